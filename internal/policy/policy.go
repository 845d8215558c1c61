// SPDX-License-Identifier: AGPL-3.0-only

// Package policy says who may get which certificate: from the remote application and unit, the model it is in, and the
// kind, names, key and usages that are asked for. Judge is pure and explains itself: every refusal has a code, the rule
// that decided, a sentence, and the command that would allow it. Where to look next: rules.go, which reads as a
// checklist, exceptions.go for what an operator may allow, then package provider, which asks before it orders a
// signature.
package policy

import (
	"crypto"
	"net/netip"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
)

// Mode is how much is allowed.
type Mode string

// The modes.
const (
	Kubernetes Mode = "kubernetes" // what has a meaning to Kubernetes only for whom it is meant; other models are held to Strict
	Strict     Mode = "strict"     // names within the allowed domains and networks only
	Open       Mode = "open"       // whatever X.509 allows
)

// Modes are the modes as the charm's option spells them, the default first.
func Modes() []string { return []string{string(Kubernetes), string(Strict), string(Open)} }

// Settings are what an operator allows.
type Settings struct {
	Mode          Mode
	Provider      string // the application that issues, for the commands that mend a refusal
	Domains       []string
	Networks      []netip.Prefix
	Exceptions    []Exception
	Intermediates []string // applications that may have CA certificates, by the option of that name
}

// Request is one certificate that somebody asks for.
type Request struct {
	App         string // the remote application, by Juju's name here
	CrossModel  bool   // it lives in another model
	Kind        cert.Kind
	CommonNames []string
	Names       cert.Names
	ServerAuth  bool // what the certificate would be good for
	ClientAuth  bool
	Key         crypto.PublicKey // nil where the authority makes the key
	Asked       *cert.Requested  // what a certificate signing request says beside; nil in the legacy dialect
	Shared      bool             // the client certificate that all units of a relation share, whose name the authority chose
	NodeHolder  string           // another unit of the relation that has the node name asked for; empty for none
}

// Code says what kind of refusal it is. Package dialect has the same codes, and those of refusals before policy.
type Code string

// The codes.
const (
	CANotAllowed        Code = "ca-not-allowed"
	WeakKey             Code = "weak-key"
	UsageNotAllowed     Code = "usage-not-allowed"
	ExtensionNotAllowed Code = "extension-not-allowed"
	IdentityNotAllowed  Code = "identity-not-allowed"
	WildcardNotAllowed  Code = "wildcard-not-allowed"
	NameNotAllowed      Code = "name-not-allowed"
	IPNotAllowed        Code = "ip-not-allowed"
	TooLarge            Code = "too-large"
	TooMany             Code = "too-many"
)

// Codes are all of them.
func Codes() []Code {
	return []Code{
		CANotAllowed, WeakKey, UsageNotAllowed, ExtensionNotAllowed, IdentityNotAllowed, WildcardNotAllowed,
		NameNotAllowed, IPNotAllowed, TooLarge, TooMany,
	}
}

// Refusal is one reason why a certificate is not issued.
type Refusal struct {
	Code   Code
	Rule   string // "identities"
	Reason string // a sentence without full stop
	Fix    string // the command that would allow it; empty where nothing does
}

// Verdict is what became of a request.
type Verdict struct {
	Refusals    []Refusal // in the order of the rules; none when it is allowed
	Rule        string    // what allowed it: the mode, and the exceptions and roles it took, "kubernetes, role node"
	Without     []string  // organizations that the certificate shall not have
	ServersOnly bool      // it shall not be good for clients, although one like it would be
	PathLen     int       // of a CA certificate
	Constraints *cert.Constraints
}

// Allowed reports whether the certificate may be issued.
func (v Verdict) Allowed() bool { return len(v.Refusals) == 0 }

// judgement is one request being judged.
type judgement struct {
	Request
	settings   Settings
	strict     bool
	exceptions []Exception // those that hold for the application
	roles      []role
	verdict    Verdict
	used       []string // what was needed beside the mode
}

// Judge decides about one request. It does not look for weaknesses of the key that take time to find: see
// cert.KnownWeakness.
func (s Settings) Judge(request Request) Verdict {
	j := &judgement{Request: request, settings: s}
	j.strict = s.Mode == Strict || s.Mode == Kubernetes && request.CrossModel
	for _, exception := range s.Exceptions {
		if exception.holdsFor(request.App) {
			j.exceptions = append(j.exceptions, exception)
		}
	}
	j.roles = rolesOf(request.App, j.exceptions)
	j.authorities()
	if s.Mode != Open {
		j.keys()
		j.usages()
		j.extensions()
		j.identities()
		j.names()
		j.addresses()
		j.otherNames()
		j.count()
	}
	j.subject()
	j.verdict.Rule = strings.Join(append([]string{string(s.Mode)}, j.used...), ", ")
	return j.verdict
}

// use notes that something was allowed because of more than the mode.
func (j *judgement) use(what string) {
	if !slices.Contains(j.used, what) {
		j.used = append(j.used, what)
	}
}

// excepted reports whether an exception for the application allows something, and notes which.
func (j *judgement) excepted(allows func(Exception) bool) bool {
	for _, exception := range j.exceptions {
		if allows(exception) {
			j.use(exception.String())
			return true
		}
	}
	return false
}

// isClient reports whether the certificate could be shown by a client. One of a CA has no extended key usages, and so is
// good for everything.
func (j *judgement) isClient() bool { return j.ClientAuth || j.Kind == cert.Intermediate }

// Offers is what an application may hope for, before it asks.
type Offers struct {
	Addresses bool
	Wildcards bool
	CA        bool
	Domains   []string // nil where all names are allowed that mean nothing to Kubernetes
}

// Offers tells what an application may hope for.
func (s Settings) Offers(app string, crossModel bool) Offers {
	strict := s.Mode == Strict || s.Mode == Kubernetes && crossModel
	offers := Offers{
		Addresses: !strict || len(s.Networks) > 0, Wildcards: s.Mode == Open, CA: slices.Contains(s.Intermediates, app),
	}
	if strict {
		offers.Domains = slices.Clone(s.Domains)
	}
	for _, exception := range s.Exceptions {
		if !exception.holdsFor(app) {
			continue
		}
		offers.Addresses = offers.Addresses || len(exception.networks) > 0
		offers.Wildcards = offers.Wildcards || exception.Wildcards
		offers.CA = offers.CA || exception.CA != nil
		if strict {
			offers.Domains = append(offers.Domains, exception.Domains...)
		}
	}
	return offers
}

// HasIntermediates reports whether any application may have a CA certificate.
func (s Settings) HasIntermediates() bool {
	return len(s.Intermediates) > 0 || slices.ContainsFunc(s.Exceptions, func(e Exception) bool { return e.CA != nil })
}
