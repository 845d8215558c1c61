// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import "slices"

// An Explanation is what a code of a refusal means, and what helps. What is typed or written somewhere stands between
// backquotes, which pages show as such and terminals do not.
type Explanation struct {
	Code    Code   `json:"code"`
	Meaning string `json:"meaning"`
	Next    string `json:"next"`
}

// Explanations are those of all codes, in the order of Codes: the one table of which both the reference and the commands are made.
func Explanations() []Explanation {
	return slices.Concat(explanationsOfRequests(), explanationsOfAnswers())
}

// explanationsOfRequests are those of what is wrong with a request, or with who makes it.
func explanationsOfRequests() []Explanation {
	return []Explanation{
		{
			Malformed,
			"what the databag holds is not what the dialect allows there (no JSON, no PEM, a wrong type, text that does not print), so that it never became a request",
			"mend the charm that writes it: the item says where it stands; all its other requests are served",
		},
		{
			TooLarge,
			"a value, its nesting or the number of names exceeds what is read",
			"ask for less in one request: at most 64 KiB and 100 names",
		},
		{
			TooMany,
			"more is asked for than the quotas serve, in one databag, one relation or within an hour",
			"have the charm withdraw what it does not need, or raise `requests-per-unit` or `requests-per-relation`",
		},
		{
			BadSignature,
			"the request is not signed with its own key, so that its sender may not have the key",
			"have the charm make a new request",
		},
		{
			WeakKey,
			"the key is too small, of a kind that is not certified, or known to others",
			"have the charm make a new key: RSA of 2048 bits or more, or ECDSA P-256 or P-384; `policy-rules` can allow Ed25519 and P-521 (`keys`)",
		},
		{
			BadName,
			"the policy does not give this DNS name, common name or URI to this application",
			"where the application should have it, run the command that comes with the refusal: `allowed-domains` where the policy is strict, or `policy-rules` (`domains`, `uris`); `signet policy check` tries a rule first",
		},
		{
			BadIP,
			"the policy does not give this address to this application",
			"where the application should have it, run the command that comes with the refusal: `allowed-networks` where the policy is strict, or `policy-rules` (`networks`)",
		},
		{
			BadWildcard,
			"a name with a star stands for names that nobody checked",
			"ask for the names themselves, or allow wildcards to the application by `policy-rules` (`wildcards: true`)",
		},
		{
			BadIdentity,
			"to Kubernetes the common name or the organization means somebody else than who asks",
			"where the application is what it says, give it the role or the identity by `policy-rules`; the command comes with the refusal",
		},
		{
			BadUsage,
			"the request asks for a usage that the application may not have",
			"have the charm ask for server or client authentication only; an application of another model gets the latter by `policy-rules` (`clients: true`)",
		},
		{
			BadExtension,
			"the request has a critical extension that would not be in the certificate, or is not understood",
			"have the charm leave the extension out, or mark it not critical",
		},
		{
			WrongUnit,
			"`unit_name` says that it is another unit than Juju says",
			"mend the charm: a unit may ask under its own name only; across models, under any that ends in its own number",
		},
	}
}

// explanationsOfAnswers are those of what the authority does not give, or cannot give now.
func explanationsOfAnswers() []Explanation {
	return []Explanation{
		{
			Revoked,
			"the certificate was revoked for good, or the request's key is compromised; no other is issued for the same",
			"to serve it again, remove the relation and add it anew, or have the charm make a new key",
		},
		{
			Repeated,
			"the same was issued again and again within the hour, and is asked for once more: something goes in circles",
			"look what the consumer does with what it gets; it is served again when the hour is over",
		},
		{
			CANotAllowed,
			"only applications that are named get a CA certificate, with which they could make others",
			"where this one should have it, add it to `intermediate-applications`, or limit it by `policy-rules` (`ca`)",
		},
		{
			DialectOff,
			"`legacy-dialect` is off, and this is asked in the legacy dialect, in which private keys are in relation data",
			"upgrade the charm to one that sends signing requests, or set `legacy-dialect=true`",
		},
		{
			Unsignable,
			"the certificate would break the rules of X.509 or the limits of the CA above, as the linter or a comparison after the signature found",
			"have the charm ask for something else: the reason names the rule; the same is tried again after an hour or more",
		},
		{
			NoAuthority,
			"there is no CA that can sign now",
			"see `signet status`: the conditions say what is missing; the request is served by itself when it is there",
		},
		{
			NotSigned,
			"the CA could not sign this time",
			"see `signet status` for the reason; it is tried again by itself within minutes",
		},
	}
}
