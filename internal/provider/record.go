// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// Where the authority is written down. The peer application bag follows leadership; each CA's key lies in an application
// owned secret of its own, so that its content never changes.
const (
	authorityKey    = "authority" // peer application bag: JSON of record
	SealLabel       = "seal"      // secret: content member "key", 32 bytes as base64
	SealMember      = "key"
	keyMember       = "private-key"
	certMember      = "certificate"
	requestMember   = "request"
	firstGeneration = 1
)

// record is all that is written down of an application's CAs. Its zero value is that of an application that never had
// one.
type record struct {
	Current  slot      `json:"current"`            // signs; without a certificate while the first one is being certified
	Next     *slot     `json:"next,omitempty"`     // shall sign
	Retiring []slot    `json:"retiring,omitempty"` // signed before, and is trusted until its last certificate has ended
	Last     int       `json:"last,omitempty"`     // the highest generation ever used, where that is not the current one
	Since    time.Time `json:"since,omitzero"`     // when the next one was first published to be trusted
	Paused   bool      `json:"paused,omitempty"`   // nothing of the rollover goes on by itself
	Used     bool      `json:"used,omitempty"`     // a certificate was issued
}

// slot is one CA.
type slot struct {
	Generation  int          `json:"generation"`
	Certificate string       `json:"certificate,omitempty"` // PEM; empty while another CA has not certified it
	Issuers     []string     `json:"issuers,omitempty"`     // PEM, in order; none where the CA is a root
	Request     string       `json:"request,omitempty"`     // PEM, for the CA above
	Crosses     []string     `json:"crosses,omitempty"`     // PEM: certificates by which others of the record vouch for this one
	Made        *made        `json:"made,omitempty"`        // by which options
	Adopted     time.Time    `json:"adopted,omitzero"`      // when it was taken over from another program
	Upstream    bool         `json:"upstream,omitempty"`    // certified over a relation, where its request stays
	Vault       *order.Place `json:"vault,omitempty"`       // where Vault keeps it; nil for a CA of this application's own
	Hand        bool         `json:"hand,omitempty"`        // an operator signs with it, elsewhere
	Until       time.Time    `json:"until,omitzero"`        // retiring: when the last certificate that it signed ends
}

// made are the options that a CA was made by. When they change, a rollover is planned.
type made struct {
	CommonName    string        `json:"common-name,omitempty"`
	Organizations []string      `json:"organizations,omitempty"`
	KeyType       cert.KeyType  `json:"key-type"`
	Life          time.Duration `json:"life"`
	Intermediate  bool          `json:"intermediate,omitempty"`
	Vault         string        `json:"vault,omitempty"` // the mount; empty where it was made here
	Hand          bool          `json:"hand,omitempty"`  // an operator brings it
}

// fits reports whether a private key is a CA's.
func (s slot) fits(key cert.Key) bool {
	public, err := s.publicKey()
	if err != nil {
		return false
	}
	private, err := cert.ParseKey(key)
	return err == nil && cert.SameKey(private.Public(), public)
}

// slots are all CAs on record, to be changed in place.
func (r *record) slots() []*slot {
	all := []*slot{&r.Current}
	if r.Next != nil {
		all = append(all, r.Next)
	}
	for i := range r.Retiring {
		all = append(all, &r.Retiring[i])
	}
	return all
}

func (s slot) public() cert.Authority {
	return cert.Authority{Generation: s.Generation, Certificate: s.Certificate, Issuers: s.Issuers}
}

// authority is one CA that has a certificate, read.
type authority struct {
	*slot

	certificate *x509.Certificate
}

// generation is the CA's number; 0 for none.
func (a authority) generation() int {
	if a.slot == nil {
		return 0
	}
	return a.Generation
}

// root is the certificate to trust.
func (a authority) root() string { return a.public().Root() }

const authorityLabelPrefix = "ca-"

func authorityLabel(generation int) string {
	return fmt.Sprintf("%s%d", authorityLabelPrefix, generation)
}

// readRecord reads what is written down, and parses each CA once for all comparisons.
func (s *step) readRecord(written string) bool {
	var read record
	if json.Unmarshal([]byte(written), &read) != nil {
		s.report(juju.Blocked, "the record of the CA in the peer relation is unreadable: restore it from a backup")
		return false
	}
	s.record = read
	return s.parseRecord()
}

// parseRecord parses the CAs of the record again, after it changed.
func (s *step) parseRecord() bool {
	s.current, s.next, s.retiring = authority{}, authority{}, nil
	parse := func(one *slot) (authority, bool) {
		certificate, err := cert.Parse(one.Certificate)
		if err != nil {
			s.report(juju.Blocked, "the CA certificate in the peer relation is unusable: restore it from a backup")
		}
		return authority{one, certificate}, err == nil
	}
	usable := true
	if s.record.Current.Certificate != "" {
		s.current, usable = parse(&s.record.Current)
	}
	if next := s.record.Next; usable && next != nil && next.Certificate != "" {
		s.next, usable = parse(next)
	}
	for i := range s.record.Retiring {
		old, readable := parse(&s.record.Retiring[i])
		if usable = usable && readable; readable {
			s.retiring = append(s.retiring, old)
		}
	}
	s.signer = order.Signer{}
	if s.current.slot != nil {
		s.signer = s.signerOf(s.current)
	}
	return usable
}

// members are the CAs that have signed or may sign, the current one first.
func (s *step) members() []authority {
	var all []authority
	if s.current.slot != nil {
		all = append(all, s.current)
	}
	all = append(all, s.retiring...)
	if s.next.slot != nil && !s.record.Since.IsZero() {
		all = append(all, s.next)
	}
	return all
}

// signerOf joins a CA with its key, which is zero where only this unit's disk may have it.
func (s *step) signerOf(a authority) order.Signer {
	signer := order.Signer{Authority: a.public(), Key: s.keys[a.Generation]}
	if a.Hand {
		return signer
	}
	if a.Vault != nil {
		vault, _ := s.vaultAt(*a.Vault)
		signer.Vault = &vault
		return signer
	}
	if secret, found := s.snap.Secret(authorityLabel(a.Generation)); found && signer.Key.IsZero() {
		signer.Key = cert.NewKey(secret.Content[keyMember])
	}
	return signer
}

// holdsKey reports whether a CA's key lies on this unit's own disk.
func (s *step) holdsKey(a authority) bool {
	hash, err := cert.KeyHash(a.certificate.PublicKey)
	held := strings.Fields(s.snap.Local[fmt.Sprintf("authority.%d", a.Generation)])
	return err == nil && slices.Contains(held, hash)
}

// keepKey puts a CA's key where every unit and every later leader finds it.
func (s *step) keepKey(one slot, key cert.Key) {
	s.keys[one.Generation] = key
	if !s.snap.CanSecrets {
		return
	}
	content := map[string]string{keyMember: key.Reveal()}
	if one.Certificate != "" {
		content[certMember] = one.Certificate
	} else {
		content[requestMember] = one.Request
	}
	s.decision.Secrets = append(s.decision.Secrets, juju.Secret{
		Label: authorityLabel(one.Generation), Owner: juju.OwnedByApplication, Content: content,
	})
}

// saveRecord writes the record down where every unit and every later leader finds it, once the keys of its CAs are in a
// safe place.
func (s *step) saveRecord() {
	if s.record.Current.Generation == 0 || !s.keysAreSafe() {
		return
	}
	s.record.Used = s.record.Used || s.granted > 0
	text, err := json.Marshal(s.record)
	if err != nil {
		s.report(juju.Blocked, "cannot record the CA: %v", err)
		return
	}
	s.peerBag()[authorityKey] = string(text)
}

// keysAreSafe sees to it that keys which came from elsewhere lie on this unit's disk, where the model has no secrets.
func (s *step) keysAreSafe() bool {
	if s.snap.CanSecrets {
		return true
	}
	safe := true
	for _, one := range s.record.slots() {
		key := s.keys[one.Generation]
		certificate, err := cert.Parse(one.Certificate)
		if key.IsZero() || err != nil || s.holdsKey(authority{one, certificate}) {
			continue
		}
		answer, done := s.obtain(order.KeepKey{Signer: order.Signer{Authority: one.public(), Key: key}})
		if answer.Failure != nil {
			s.report(juju.Blocked, "cannot keep the key of CA %d: %s", one.Generation, answer.Failure.Message)
			s.wake(s.now.Add(retry))
		}
		safe = safe && done
	}
	return safe
}

// options are what a CA is made by now.
func (s *step) options() *made {
	return &made{
		s.settings.CACommonName, s.settings.CAOrganizations, s.settings.CAKeyType, s.settings.CALife, s.settings.Intermediate,
		s.settings.Vault.name(), s.settings.Hand,
	}
}

// changed names the options that differ from those that a CA was made by.
func (m made) changed(now made) []string {
	var names []string
	for name, differs := range map[string]bool{
		"authority":       m.Intermediate != now.Intermediate || (m.Vault == "") != (now.Vault == "") || m.Hand != now.Hand,
		"vault-mount":     m.Vault != now.Vault && m.Vault != "" && now.Vault != "",
		"ca-common-name":  m.CommonName != now.CommonName && !now.Hand, // who brings a CA has made it
		"ca-organization": !slices.Equal(m.Organizations, now.Organizations) && !now.Hand,
		"ca-key-type":     m.KeyType != now.KeyType && !now.Hand,
		"ca-validity":     m.Life != now.Life && !now.Hand,
	} {
		if differs {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
