// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/signet-charm/signet/internal/cert"
)

// Dialect is one of the two ways in which tls-certificates is spoken.
type Dialect string

// The dialects. Only a databag's content tells which one its writer speaks.
const (
	Legacy Dialect = "legacy" // keys made by the provider, everything in unit databags
	CSR    Dialect = "csr"    // certificate signing requests; keys never leave their unit
)

// Ask is one certificate that somebody wants, with the dialect peeled off.
type Ask struct {
	Relation   int    // relation ID
	App        string // the remote application, by Juju's name here
	Unit       string // the remote unit, by Juju's name here; empty when the application asks as a whole
	Dialect    Dialect
	Kind       cert.Kind
	Name       string     // legacy: the munged unit name under which the answer is filed, "etcd_0"; empty for all units
	CommonName string     // legacy: as asked, the answer's key; CSR dialect: the request's, for people
	Names      cert.Names // subject alternative names asked for
	Request    string     // CSR dialect: the request's text, to be echoed byte for byte
	Makers     []string   // CSR dialect: the units that make the same request, Unit among them; nil where it is the only one
}

// AskID is an ask's identity over time: an ask that changes its names keeps it, and so gets its answer replaced.
type AskID string

// ID gives the ask's identity: (relation, unit, kind, common name) in the legacy dialect, (relation, request) in the
// CSR dialect, (relation) for a certificate shared by an application.
func (a Ask) ID() AskID {
	switch {
	case a.Dialect == CSR:
		return AskID(fmt.Sprintf("%d/csr/%s", a.Relation, fingerprint(a.Request)))
	case a.Kind == cert.Application:
		return AskID(fmt.Sprintf("%d/legacy/application", a.Relation))
	default:
		return AskID(fmt.Sprintf("%d/legacy/%s/%s/%s", a.Relation, a.Name, a.Kind, a.CommonName))
	}
}

// Grant is a certificate to publish for an ask.
type Grant struct {
	Ask     Ask
	Issued  cert.Issued
	Revoked bool // CSR dialect: published with the word to stop using it
}

// Code says why an ask was refused; it is stable, so that people and programs can look it up.
type Code string

// The codes, and what request_errors of the CSR dialect calls them.
const (
	Malformed    Code = "malformed"        // not what the dialect allows there
	TooLarge     Code = "too-large"        // a value or its nesting exceeds a limit
	TooMany      Code = "too-many"         // more requests in one databag than are served
	BadSignature Code = "bad-signature"    // a request not signed by its own key
	WeakKey      Code = "weak-key"         // a key too small or of a kind that is not certified
	BadName      Code = "name-not-allowed" // a DNS name or common name
	BadIP        Code = "ip-not-allowed"   // an IP address
	BadWildcard  Code = "wildcard-not-allowed"
	BadIdentity  Code = "identity-not-allowed"  // a common name or organization that means somebody else to Kubernetes
	BadUsage     Code = "usage-not-allowed"     // an extended key usage
	BadExtension Code = "extension-not-allowed" // a critical extension that is not certified
	WrongUnit    Code = "unit-name-mismatch"    // unit_name claims to be another unit
	Revoked      Code = "revoked"               // the certificate was revoked, and no other is issued for the same ask
	Repeated     Code = "repeated"              // issued too often within an hour: something asks in circles
	CANotAllowed Code = "ca-not-allowed"        // a CA certificate for an application that may have none
	DialectOff   Code = "dialect-off"           // the legacy dialect is switched off
	Unsignable   Code = "unsignable"            // the certificate would be wrong: refused for good, not as NotSigned
	NoAuthority  Code = "no-authority"          // there is no CA yet
	NotSigned    Code = "not-signed"            // the authority failed, and may not the next time
)

// Denial is an ask, or an item that should have been one, that is refused.
type Denial struct {
	Relation int
	Unit     string // the remote unit; empty for the application's own databag
	Item     string // what is refused, as its writer would look for it: "client_cert_requests[system:kubelet]"
	Ask      AskID  // empty when the item never became an ask; then it takes nothing from an ask for the same request
	Request  string // CSR dialect: the request's text when it can be echoed, i.e. parses as a request
	Code     Code
	Reason   string // a sentence without full stop, for the operator
	Rule     string // of the policy that refused it; empty where the dialect or the authority did
	Fix      string // the command that would allow it; empty where none does
}

// String is the denial as a status or log line shows it.
func (d Denial) String() string {
	who := d.Unit
	if who == "" {
		who = fmt.Sprintf("relation %d", d.Relation)
	}
	return fmt.Sprintf("%s: %s: %s (%s)", who, d.Item, d.Advice(), d.Code)
}

// Advice is the reason, with the command that would allow what is refused where there is one.
func (d Denial) Advice() string {
	if d.Fix == "" {
		return d.Reason
	}
	return d.Reason + "; to allow it run: " + d.Fix
}

// Reading is all that the remote side of one relation asks for, in the order of its units' names.
type Reading struct {
	Asks    []Ask
	Denials []Denial
	Legacy  []string // remote units that speak the legacy dialect, also before they ask for anything (unit_name)
	// Application is what each unit wants of the certificate that all share, for which there is one ask.
	Application []Wish
	CSR         []string // remote units that speak the CSR dialect; "" stands for the application
}

// Wish is what one unit wants of the certificate that all units of its application share.
type Wish struct {
	Unit       string // empty for what is published already, where not all units are shown
	CommonName string
	Names      cert.Names
}

// Publication is what this side of a relation shall say.
type Publication struct {
	Common       *Common // legacy: what every consumer gets; nil leaves it as it is
	Grants       []Grant
	Denials      []Denial
	Reading      Reading       // what was asked: who is present decides which answers are withdrawn
	Capabilities *Capabilities // CSR dialect; nil withdraws them
}

// Common is the part of a legacy answer that all units of a relation share.
type Common struct {
	Trust  []string    // certificates to trust: the roots; more than one while a CA is replaced
	Chain  []string    // certificates to append after a leaf; empty when the CA is a root
	Client cert.Issued // the global client certificate
}

// Capabilities is what a provider can do, told before anybody asks. A nil member is unknown, and left out.
type Capabilities struct {
	IPSANs         *bool    `json:"supports_ip_sans,omitempty"`
	WildcardDNS    *bool    `json:"supports_wildcard_dns,omitempty"`
	Subdomain      *bool    `json:"supports_subdomain,omitempty"`
	CACertificates *bool    `json:"supports_ca_certificates,omitempty"`
	AllowedDomains []string `json:"allowed_domains,omitempty"` // nil where all are
	ProviderType   string   `json:"provider_type,omitempty"`
}

// Want is one certificate that this unit wants from a provider.
type Want struct {
	Kind       cert.Kind // Server or Client, or Intermediate
	CommonName string
	Names      cert.Names
	Request    string // PEM; what is asked in the CSR dialect; empty to ask in the legacy dialect only
}

// Offer is a provider's answer to a want.
type Offer struct {
	Want    int // index of the want
	Dialect Dialect
	Issued  cert.Issued
	Trust   []string // CA certificates to trust, PEM
	Revoked bool     // the provider says: stop using it
}

func fingerprint(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Munge gives the form of a unit name that the legacy dialect uses in keys: "etcd/0" gives "etcd_0".
func Munge(unit string) string {
	munged := []byte(unit)
	for i, c := range munged {
		if c == '/' {
			munged[i] = '_'
		}
	}
	return string(munged)
}
