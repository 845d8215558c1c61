// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"slices"

	"github.com/signet-charm/signet/internal/dialect"
)

// explanation is what a code of a refusal means, and what helps.
type explanation struct {
	Code    dialect.Code `json:"code"`
	Meaning string       `json:"meaning"`
	Next    string       `json:"next"`
}

// explain gives a code's explanation; false for a code that there is not.
func explain(code string) (explanation, bool) {
	for _, one := range explanations() {
		if string(one.Code) == code {
			return one, true
		}
	}
	return explanation{}, false
}

// explanations are all codes of refusals, in the order in which package dialect has them.
func explanations() []explanation {
	return slices.Concat(explanationsOfRequests(), explanationsOfAnswers())
}

// explanationsOfRequests are those of what is wrong with a request, or with who makes it.
func explanationsOfRequests() []explanation {
	return []explanation{
		{
			dialect.Malformed, "what stands in the databag is not what the dialect allows there, so that it never became a request",
			"mend the charm that writes it: the item says where it stands; all its other requests are served",
		},
		{
			dialect.TooLarge, "a value, or how deeply it is nested, exceeds what is read",
			"ask for less in one request: at most 64 KiB and 100 names",
		},
		{
			dialect.TooMany, "more is asked for than the quotas serve, in one databag, one relation or within an hour",
			"have the charm withdraw what it does not need, or raise requests-per-unit or requests-per-relation",
		},
		{
			dialect.BadSignature, "the request is not signed with its own key, so that its sender may not have the key",
			"have the charm make a new request",
		},
		{
			dialect.WeakKey, "the key is too small, of a kind that is not certified, or known to others",
			"have the charm make a new key: RSA of 2048 bits or more, or ECDSA P-256 or P-384",
		},
		{
			dialect.BadName, "the policy does not give this name to this application",
			"run the command in fix where the application should have it, or signet policy check to try a rule first",
		},
		{
			dialect.BadIP, "the policy does not give this address to this application",
			"run the command in fix where the application should have it, or add the network to allowed-networks",
		},
		{
			dialect.BadWildcard, "a name with a star stands for names that nobody checked",
			"ask for the names themselves, or allow wildcards to the application by policy-rules",
		},
		{
			dialect.BadIdentity, "to Kubernetes the common name or the organization means somebody else than who asks",
			"where the application is what it says, give it the role by policy-rules; the command stands in fix",
		},
		{
			dialect.BadUsage, "the request asks for a usage that the application may not have",
			"have the charm ask for server or client authentication only, or allow the usage by policy-rules",
		},
		{
			dialect.BadExtension, "the request has a critical extension that would not be in the certificate, or is not understood",
			"have the charm leave the extension out",
		},
		{
			dialect.WrongUnit, "unit_name says that it is another unit than Juju says",
			"mend the charm: a unit may ask under its own name only; across models, under any that ends in its own number",
		},
	}
}

// explanationsOfAnswers are those of what the authority does not give, or cannot give now.
func explanationsOfAnswers() []explanation {
	return []explanation{
		{
			dialect.Revoked, "the certificate was revoked for good, or the request's key is compromised; no other is issued for the same",
			"to serve it again, remove the relation and add it anew, or have the charm make a new key",
		},
		{
			dialect.Repeated, "the same was issued again and again within the hour, and is asked for once more: something goes in circles",
			"look what the consumer does with what it gets; it is served again when the hour is over",
		},
		{
			dialect.CANotAllowed, "only applications that are named get a CA certificate, with which they could make others",
			"where this one should have it, add it to intermediate-applications, or limit it by policy-rules",
		},
		{
			dialect.DialectOff, "legacy-dialect is off, and this is asked in the legacy dialect, in which private keys are in relation data",
			"upgrade the charm to one that sends signing requests, or set legacy-dialect=true",
		},
		{
			dialect.Unsignable, "the certificate would break the rules of X.509, as the linter or a comparison after the signature found",
			"have the charm ask for something else: the reason names the rule; the same is tried again after an hour or more",
		},
		{
			dialect.NoAuthority, "there is no CA that can sign now",
			"see signet status: the conditions say what is missing; the request is served by itself when it is there",
		},
		{
			dialect.NotSigned, "the CA could not sign this time",
			"see signet status for the reason; it is tried again by itself within minutes",
		},
	}
}
