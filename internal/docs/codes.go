// SPDX-License-Identifier: AGPL-3.0-only

package docs

import (
	"fmt"
	"io/fs"

	"github.com/signet-charm/signet/internal/dialect"
)

// A refusal is what people want to know of a code.
type refusal struct {
	code   dialect.Code
	when   string
	remedy string
}

// refusals are all codes, in the order in which a request meets them.
func refusals() []refusal {
	return []refusal{
		{dialect.Malformed, "What the databag holds is not what the dialect allows there: no JSON, no PEM, a wrong type, text that does not print.", "Mend the charm that wrote it; the reason names the place."},
		{dialect.TooLarge, "A value, its nesting or the number of names is beyond a limit.", "Ask for less in one certificate."},
		{dialect.TooMany, "The unit, or all units of the relation, ask for more certificates than `requests-per-unit` or `requests-per-relation` allow.", "Ask for less, or raise the option."},
		{dialect.WrongUnit, "`unit_name` says that the request is another unit's.", "Mend the charm; a unit asks for itself."},
		{dialect.DialectOff, "The request is in the legacy dialect, and `legacy-dialect` is false.", "Have the charm send signing requests, or switch the dialect on."},
		{dialect.BadSignature, "The signing request is not signed by its own key.", "Make the request anew."},
		{dialect.WeakKey, "The key is too small, known to be weak, or of a kind that is not certified.", "Take RSA of 2048 bits or more, ECDSA P-256 or P-384; `policy-rules` can allow Ed25519 and P-521 (`keys`)."},
		{dialect.BadIdentity, "The common name or an organization means somebody else to Kubernetes.", "Ask for another name, or give the application the role or the identity by `policy-rules`."},
		{dialect.BadName, "A DNS name, a common name or a URI is not allowed to this application.", "`allowed-domains` where the policy is strict, or `policy-rules` (`domains`, `uris`)."},
		{dialect.BadIP, "An IP address is not allowed to this application.", "`allowed-networks` where the policy is strict, or `policy-rules` (`networks`)."},
		{dialect.BadWildcard, "A name has a wildcard.", "`policy-rules` (`wildcards: true`)."},
		{dialect.BadUsage, "The extended key usage that is asked for is not given to this application.", "Ask for serverAuth or clientAuth only; an application of another model gets clientAuth by `policy-rules` (`clients: true`)."},
		{dialect.BadExtension, "The request has a critical extension that is not certified.", "Leave it out, or mark it not critical."},
		{dialect.CANotAllowed, "A CA certificate is asked for, and nobody said that this application may have one.", "`intermediate-applications`, or `policy-rules` (`ca`), which can limit it."},
		{dialect.Unsignable, "The certificate would be wrong, also when tried again: the lint, or the limits of the CA above, forbid it.", "The reason says which; ask for something else."},
		{dialect.Revoked, "The certificate was revoked for a reason after which nothing takes its place.", "Make a new request, if it shall have one again."},
		{dialect.Repeated, "The same was issued three times within an hour: something asks in circles.", "Wait; look what the consumer does with what it gets."},
		{dialect.NoAuthority, "There is no CA yet, or it cannot sign now.", "The status says what the CA waits for."},
		{dialect.NotSigned, "The authority failed.", "Nothing, if it passes; else the status and `signet audit tail` say why."},
	}
}

// wireCodes are the numbers and names by which the dialect with signing requests knows the codes (protocol of
// tls-certificates, request_errors); all others are 999 OTHER.
func wireCodes() map[dialect.Code]string {
	return map[dialect.Code]string{
		dialect.BadIP:       "101 IP_NOT_ALLOWED",
		dialect.BadName:     "102 DOMAIN_NOT_ALLOWED",
		dialect.BadIdentity: "102 DOMAIN_NOT_ALLOWED",
		dialect.BadWildcard: "103 WILDCARD_NOT_ALLOWED",
		dialect.NoAuthority: "201 SERVER_NOT_AVAILABLE",
	}
}

const otherWireCode = "999 OTHER"

func codesPage(fs.FS) (string, error) {
	var w writing
	w.begin("Codes of refusals", "internal/docs/codes.go, which is held to internal/dialect and internal/policy",
		`A request that is refused has a code. It stands in the unit's status, in `+"`request_errors`"+` where the dialect has them (as
`+"`reason`"+`), in the record (`+"`signet audit tail`"+`) and in what `+"`signet policy check`"+` says. Where an option allows what was refused, the message has
the command. A temporary refusal takes nothing away that is there, and is tried again by itself.`)
	w.row(true, "code", "when", "what to do", "temporary", "request_errors")
	for _, one := range refusals() {
		wire, known := wireCodes()[one.code]
		if !known {
			wire = otherWireCode
		}
		temporary := "no"
		if one.code.Temporary() {
			temporary = "yes"
		}
		w.row(false, fmt.Sprintf("`%s`", one.code), one.when, one.remedy, temporary, wire)
	}
	return w.String(), nil
}
