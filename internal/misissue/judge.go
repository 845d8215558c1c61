// SPDX-License-Identifier: AGPL-3.0-only

// Package misissue judges issued certificates against what the issuance policy promises, and against X.509. It is for
// tests only, and was written from the promise alone: it shares no code with the packages that decide, build and sign, so
// that one mistake cannot hide itself in both. Where to look next: rules.go for the promise, profile.go for what X.509
// asks of each certificate, and soak_test.go for a million requests whose outcomes are judged.
package misissue

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Settings are what an operator allowed, and what certificates look like besides, as plain values.
type Settings struct {
	Policy            string // "kubernetes", "strict" or "open"
	ReportOnly        bool   // nobody is refused by policy: only X.509 and the limits of CAs are judged
	Domains           []string
	Networks          []netip.Prefix
	Rules             []Rule
	Authorities       []string // the applications that may have CA certificates
	StrictServerUsage []string
	PerUnit           int // requests of one databag
	PerRelation       int
	Life              time.Duration // of a certificate
	AuthorityLife     time.Duration // of a CA's
}

// Rule is one exception that the operator made.
type Rule struct {
	Applications []string // names, or beginnings of names with "*" after them
	Role         string   // "control-plane" or "node"
	Identities   []string // likewise
	Domains      []string
	Networks     []netip.Prefix
	URIs         []string // beginnings
	Wildcards    bool
	Clients      bool
	Keys         []string // "ed25519", "ecdsa-p521"
	CA           *Below
}

// Below is what a CA certificate may say by a rule.
type Below struct {
	PathLength int
	Domains    []string
	Networks   []netip.Prefix
}

// Kind is what a certificate was asked as.
type Kind string

// The kinds.
const (
	Server      Kind = "server"
	Client      Kind = "client"
	Application Kind = "application" // one for all units
	Authority   Kind = "authority"   // a CA's
	Shared      Kind = "shared"      // the client certificate that all legacy consumers of a relation are given unasked
)

// Issue is one certificate that was issued, and why.
type Issue struct {
	Relation    int
	Application string // by Juju's local name
	Unit        string // empty when the application asked as a whole
	CrossModel  bool
	Kind        Kind
	Legacy      bool
	CommonName  string   // legacy: as asked
	Names       []string // legacy: as asked
	Request     []byte   // DER; none in the legacy dialect
	Certificate []byte   // DER
	Issuer      []byte   // DER
	At          time.Time
}

// Breach is one promise that a certificate breaks.
type Breach struct {
	Rule string
	Text string
}

func (b Breach) String() string { return b.Rule + ": " + b.Text }

// Judge remembers what it has seen, because serial numbers and node names are used once and quotas count. It is not for
// concurrent use.
type Judge struct {
	serials map[[20]byte]bool
	nodes   map[place]string // by node name: the unit that has it
	units   map[place]int    // certificates of one databag, in this turn
	hours   map[string][]time.Time
	related map[int]int                  // certificates of one relation, in this turn
	keys    map[[sha256.Size]byte]string // by SubjectPublicKeyInfo: what is wrong with it; these tests are slow
}

// place is something in one relation: a unit, the application where its name is empty, or a node's name.
type place struct {
	relation int
	name     string
}

// New gives a judge who has seen nothing.
func New() *Judge {
	j := &Judge{serials: map[[20]byte]bool{}, keys: map[[sha256.Size]byte]string{}}
	j.NewWorld()
	return j
}

// NewWorld makes the judge forget relations and units: what follows happens to others. Serial numbers stay.
func (j *Judge) NewWorld() {
	j.nodes, j.hours = map[place]string{}, map[string][]time.Time{}
	j.NewTurn()
}

// NewTurn makes the judge forget how many certificates each databag had: what follows is published together.
func (j *Judge) NewTurn() { j.units, j.related = map[place]int{}, map[int]int{} }

// Judge gives all that is wrong with a certificate.
func (j *Judge) Judge(settings Settings, issue Issue) []Breach {
	c := &hearing{judge: j, settings: settings, issue: issue}
	var err error
	if c.cert, err = x509.ParseCertificate(issue.Certificate); err != nil {
		return []Breach{{"x509", "unreadable: " + err.Error()}}
	}
	if c.issuer, err = x509.ParseCertificate(issue.Issuer); err != nil {
		return []Breach{{"x509", "its issuer is unreadable: " + err.Error()}}
	}
	if len(issue.Request) > 0 {
		if c.request, err = x509.ParseCertificateRequest(issue.Request); err != nil {
			return []Breach{{"x509", "issued for a request that is none: " + err.Error()}}
		}
	}
	if c.subject, err = readName(c.cert.RawSubject); err != nil {
		return []Breach{{"x509", "its subject is unreadable: " + err.Error()}}
	}
	if c.names, err = readAltNames(c.cert); err != nil {
		return []Breach{{"x509", "its alternative names are unreadable: " + err.Error()}}
	}
	c.readExceptions()
	c.judgeProfile()
	c.judgeKeyFloor()
	c.judgeAuthority()
	if c.enforced() {
		c.judgeRules()
	}
	return c.breaches
}

// hearing is one certificate being judged.
type hearing struct {
	judge    *Judge
	settings Settings
	issue    Issue

	cert, issuer *x509.Certificate
	request      *x509.CertificateRequest // nil in the legacy dialect
	subject      []rdn
	names        []generalName

	controlPlane, node bool
	allowed            Rule // what all rules for the application allow together
	authority          []Below
	breaches           []Breach
}

func (h *hearing) breach(rule, format string, args ...any) {
	h.breaches = append(h.breaches, Breach{rule, fmt.Sprintf(format, args...)})
}

// expect notes a breach of X.509 unless something is so.
func (h *hearing) expect(is bool, format string, args ...any) {
	if !is {
		h.breach("x509", format, args...)
	}
}

// readExceptions finds the application's roles and rules.
func (h *hearing) readExceptions() {
	is := func(names ...string) bool {
		for _, name := range names {
			if h.issue.Application == name || strings.HasPrefix(h.issue.Application, name+"-") {
				return true
			}
		}
		return false
	}
	h.controlPlane = is("kubernetes-control-plane", "kubernetes-master", "k8s-control-plane") || h.issue.Application == "k8s"
	h.node = is("kubernetes-worker", "k8s-worker", "signet-node")
	for _, rule := range h.settings.Rules {
		if !matches(rule.Applications, h.issue.Application) {
			continue
		}
		h.controlPlane = h.controlPlane || rule.Role == "control-plane"
		h.node = h.node || rule.Role == "node"
		h.allowed.Identities = append(h.allowed.Identities, rule.Identities...)
		h.allowed.Domains = append(h.allowed.Domains, rule.Domains...)
		h.allowed.Networks = append(h.allowed.Networks, rule.Networks...)
		h.allowed.URIs = append(h.allowed.URIs, rule.URIs...)
		h.allowed.Keys = append(h.allowed.Keys, rule.Keys...)
		h.allowed.Wildcards = h.allowed.Wildcards || rule.Wildcards
		h.allowed.Clients = h.allowed.Clients || rule.Clients
		if rule.CA != nil {
			h.authority = append(h.authority, *rule.CA)
		}
	}
	h.node = h.node || h.controlPlane
}

// matches reports whether a text is among patterns: equal to one, or beginning with one that ends in "*".
func matches(patterns []string, text string) bool {
	for _, pattern := range patterns {
		if begin, open := strings.CutSuffix(pattern, "*"); text == pattern || open && strings.HasPrefix(text, begin) {
			return true
		}
	}
	return false
}

// strict reports whether only what is listed may be certified.
func (h *hearing) strict() bool { return h.settings.Policy == "strict" || h.issue.CrossModel }

// enforced reports whether the policy refuses anybody.
func (h *hearing) enforced() bool { return h.settings.Policy != "open" && !h.settings.ReportOnly }

// forClients reports whether whoever has the certificate can use it as a client.
func (h *hearing) forClients() bool {
	for _, usage := range h.cert.ExtKeyUsage {
		if usage == x509.ExtKeyUsageClientAuth || usage == x509.ExtKeyUsageAny {
			return true
		}
	}
	return h.cert.IsCA || len(h.cert.ExtKeyUsage)+len(h.cert.UnknownExtKeyUsage) == 0 // without the extension: good for all
}
