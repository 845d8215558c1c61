// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// Overview is what there is to see of the authority's side: its CAs, and what became of each ask. No secret is in it. A
// unit that does not lead sees no answers of the CSR dialect, and no refusals but those of the dialects.
type Overview struct {
	Members    []Member
	Asks       []Asked
	Denials    []dialect.Denial // of asks, and of what never became one
	Reported   []dialect.Denial // what would be refused, were the policy more than reported
	Lapsing    []dialect.Denial // what has a certificate that will not be renewed
	Phase      Phase            // of the CA's replacement
	Note       string           // likewise, in words; empty when there is nothing to say
	Paused     bool
	RolloverAt time.Time // when the next replacement begins by itself; zero while there is no CA
	Signing    bool      // this unit can order signatures now
	Climbs     bool      // the relations with who may certify this unit are the CA's

	pending map[dialect.AskID]bool
}

// Phase is how far the replacement of a CA has come.
type Phase string

// The phases, in their order.
const (
	Steady     Phase = "steady"     // none is under way
	Certifying Phase = "certifying" // the next CA waits to be certified
	Preparing  Phase = "preparing"  // it is made, and not published yet
	Trusting   Phase = "trusting"   // it is published to be trusted, and does not sign yet
	Replacing  Phase = "replacing"  // it signs; what the one before signed is replaced
)

// Member is one CA on record.
type Member struct {
	Generation  int
	Role        string            // see the roles in audit.go: "signing", "trusted", …
	Certificate *x509.Certificate // nil while another CA has not certified it
	Issuers     []string          // PEM
	Adopted     time.Time         // when it was taken over from another program; else zero
	Until       time.Time         // retiring: when its last certificate ends
	Vault       string            // the mount; empty where Vault does not keep it
	CRL         string            // PEM; empty for none yet
	Revoked     int               // how many certificates
	Points      cert.Points       // what its certificates say of where to ask
}

// Asked is one ask, or a certificate that is published though nobody asks for it, and what it has.
type Asked struct {
	Ask        dialect.Ask
	Leaf       *x509.Certificate // nil when it has none
	Generation int               // of the CA that signed it; 0 for another's
	Renew      time.Time         // when its renewal is due; zero for never
	PutOff     time.Time         // until when a renewal that is due has to wait; zero for none
	Revoked    bool
	Held       bool            // it is revoked for good, and its owner is told to stop using it
	Pending    bool            // somebody outside is to sign it
	Orphaned   bool            // nobody asks for it any more
	Denial     *dialect.Denial // nil when it is not refused
}

// Survey tells what Step sees, and gives no orders. The snapshot is as it stands after a turn, the answers are that
// turn's. It does a turn's work, so it is for when somebody asks.
func Survey(now time.Time, snap juju.Snapshot, settings Settings, answers []order.Answer) (Overview, []juju.Status) {
	s := new(Memory).newStep(now, snap, settings, answers)
	s.overview = &Overview{Phase: Steady, pending: map[dialect.AskID]bool{}}
	s.decide()
	found := s.overview
	found.Denials, found.Reported, found.Lapsing = s.denials, s.reported, s.lapsing
	found.Signing, found.Paused, found.Climbs = s.signing, s.record.Paused, s.decision.Climbs
	s.surveyMembers()
	return *found, s.decision.Reports
}

func (s *step) surveyMembers() {
	found := s.overview
	roles := s.record.roles()
	for _, one := range s.record.slots() {
		if one.Generation == 0 {
			continue
		}
		member := Member{
			Generation: one.Generation, Role: roles[one.Generation], Issuers: one.Issuers, Adopted: one.Adopted, Until: one.Until,
			CRL: s.peers.OwnApp[crlKey(one.Generation)], Revoked: len(s.revoked[one.Generation]),
		}
		if bags, decided := s.decision.Bags[s.peers.ID]; decided {
			member.CRL = bags.App[crlKey(one.Generation)]
		}
		if one.Vault != nil {
			member.Vault = one.Vault.Mount
		} else if !one.Hand {
			member.Points = s.pointsOf(one.Generation)
		}
		member.Certificate, _ = cert.Parse(one.Certificate) // none: the role says that it is requested
		found.Members = append(found.Members, member)
	}
	switch {
	case s.record.Next != nil && s.record.Next.Certificate == "":
		found.Phase = Certifying
	case s.record.Next != nil && s.record.Since.IsZero():
		found.Phase = Preparing
	case s.record.Next != nil:
		found.Phase = Trusting
	case len(s.record.Retiring) > 0:
		found.Phase = Replacing
	}
	if s.current.slot != nil {
		found.Note, found.RolloverAt = s.rolloverNote(), s.rolloverAt()
	}
}

// surveyAsk notes what an ask has come to.
func (s *step) surveyAsk(ask dialect.Ask, issued cert.Issued, denial *dialect.Denial) {
	if s.overview == nil {
		return
	}
	asked := Asked{Ask: ask, Denial: denial, Pending: s.overview.pending[ask.ID()], PutOff: s.deferred}
	s.deferred = time.Time{}
	if leaf, err := s.memory.of(ask.Relation).Parse(issued.Certificate); err == nil {
		s.surveyLeaf(&asked, leaf)
	}
	s.overview.Asks = append(s.overview.Asks, asked)
}

func (s *step) surveyLeaf(asked *Asked, leaf *x509.Certificate) {
	asked.Leaf = leaf
	by, retiring, ours := s.issuerOf(leaf)
	if !ours {
		return
	}
	asked.Generation = by.generation()
	revoked, isRevoked := s.revocationOf(asked.Generation, cert.SerialText(leaf.SerialNumber))
	asked.Revoked, asked.Held = isRevoked, isRevoked && holds(revoked.Reason, asked.Ask)
	switch {
	case isRevoked, asked.Orphaned:
	case retiring && !s.record.Paused:
		asked.Renew = s.now
	case retiring || s.renewable(leaf):
		asked.Renew = renewAt(leaf, asked.Ask)
	}
}

// surveyMirrored notes the asks of a relation about which another unit decides.
func (s *step) surveyMirrored(relation juju.Relation) {
	if s.overview != nil {
		s.denials = append(s.denials, s.memory.of(relation.ID).Read(relation).Denials...)
		s.surveyUnserved(relation)
	}
}

// surveyUnserved notes the asks of a relation about which nothing is decided now: there is no CA, or another unit leads.
func (s *step) surveyUnserved(relation juju.Relation) {
	if s.overview == nil {
		return
	}
	relation = s.withShelved(relation)
	memory := s.memory.of(relation.ID)
	defer s.surveyOrphans(relation)
	reading, published := memory.Read(relation), memory.Index(relation)
	s.writtenMakers(relation.ID).attribute(reading.Asks)
	asks := reading.Asks
	if client, found := published.Client(); found && client.Certificate != "" {
		asks = append(asks, globalClientAsk(relation))
	}
	for _, ask := range asks {
		s.surveyAsk(ask, current(published, ask), nil)
	}
}

// surveyOrphans notes what a relation publishes though nobody asks for it.
func (s *step) surveyOrphans(relation juju.Relation) {
	if s.overview == nil {
		return
	}
	known := map[string]bool{}
	for _, asked := range s.overview.Asks {
		if asked.Leaf != nil && asked.Ask.Relation == relation.ID {
			known[cert.SerialText(asked.Leaf.SerialNumber)] = true
		}
	}
	for _, held := range s.memory.of(relation.ID).Inventory(relation) {
		serial := cert.SerialText(held.Leaf.SerialNumber)
		if known[serial] {
			continue
		}
		known[serial] = true
		orphan := Asked{Orphaned: true, Revoked: held.Revoked, Ask: dialect.Ask{
			Relation: relation.ID, App: relation.RemoteApp, Unit: unmunged(held.Unit), Dialect: held.Dialect, Names: cert.NamesOf(held.Leaf),
			CommonName: held.Leaf.Subject.CommonName,
		}}
		s.surveyLeaf(&orphan, held.Leaf)
		s.overview.Asks = append(s.overview.Asks, orphan)
	}
}

// unmunged gives a unit name back from its form in the keys of the legacy dialect.
func unmunged(name string) string {
	if at := strings.LastIndexByte(name, '_'); at > 0 {
		return name[:at] + "/" + name[at+1:]
	}
	return name
}

// pend notes that somebody outside is to sign for an ask.
func (o *Overview) pend(ask dialect.Ask) {
	if o != nil {
		o.pending[ask.ID()] = true
	}
}
