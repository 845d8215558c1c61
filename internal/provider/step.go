// SPDX-License-Identifier: AGPL-3.0-only

// Package provider decides for the authority: which asks are granted, what has to be signed for it, what every
// relation shall show. Step is pure. Where to look next: step.go for the order of things, judge.go for when a
// certificate is kept, renewed or replaced.
package provider

import (
	"crypto/x509"
	"fmt"
	"maps"
	"time"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// Endpoints are the endpoints on which certificates are asked for: two names, so that signet fits bundles written
// for Vault and for EasyRSA.
var Endpoints = []string{"certificates", "client"}

// TransferEndpoint is where the CA certificates are given to whoever must trust them (certificate_transfer).
const TransferEndpoint = "send-ca-cert"

// backdate makes new certificates valid on machines whose clocks run a little late.
const backdate = time.Minute

// Decision is what the authority's side wants.
type Decision struct {
	Entries []ledger.Entry       // to be recorded before the orders are carried out
	Orders  []order.Order        // not yet answered
	Bags    map[int]juju.OwnBags // by relation ID: complete desired content
	Secrets []juju.Secret
	Reports []juju.Status // one for each thing an operator should know
	Wake    time.Time     // next renewal; zero for none
}

// step is one run of Step: what it was given, and the decision under way.
type step struct {
	now      time.Time
	snap     juju.Snapshot
	settings Settings
	answers  []order.Answer

	signer  order.Signer
	issuer  *x509.Certificate // of signer
	peers   juju.Relation
	sealed  bool // private keys can travel through the peer relation
	signing bool // this unit may order signatures
	shelf   shelf

	decision Decision
	granted  int
	denials  []dialect.Denial
	waiting  int
}

// Step decides what the authority's side wants, given the answers to orders that an earlier Step of the same turn
// gave. It is total, deterministic and idempotent.
func Step(now time.Time, snap juju.Snapshot, settings Settings, answers []order.Answer) Decision {
	s := &step{
		now: now, snap: snap, settings: settings, answers: answers,
		decision: Decision{Bags: map[int]juju.OwnBags{}},
	}
	if !settings.Embedded {
		return s.decision
	}
	s.serve()
	return s.decision
}

func (s *step) serve() {
	ready := s.findSigner()
	if ready {
		s.sealed = s.ensureSeal()
		s.signing = s.canSign()
		s.shelf = readShelf(s.peers.OwnApp)
	}
	for _, relation := range s.snap.At(Endpoints...) {
		if !relation.Broken {
			s.serveRelation(relation, ready)
		}
	}
	if !ready {
		return
	}
	for _, relation := range s.snap.At(TransferEndpoint) {
		if !relation.Broken {
			s.decision.Bags[relation.ID] = dialect.PublishTransfer(relation, s.signer.Chain())
		}
	}
	if s.snap.Leader {
		s.writeShelf()
	}
	s.summarize()
}

// obtain gives the answer to an order when it is done; else it sees to it that the order is given.
func (s *step) obtain(wanted order.Order) (order.Answer, bool) {
	answer, answered := order.Answered(s.answers, wanted.ID())
	if !answered {
		s.decision.Orders = append(s.decision.Orders, wanted)
	}
	return answer, answered && answer.State == order.Done
}

// peerBag is the peer application bag as it shall be: what stands there, until changed.
func (s *step) peerBag() juju.Bag {
	bags, begun := s.decision.Bags[s.peers.ID]
	if !begun {
		bags.App = maps.Clone(s.peers.OwnApp)
		if bags.App == nil {
			bags.App = juju.Bag{}
		}
		s.decision.Bags[s.peers.ID] = bags
	}
	return bags.App
}

func (s *step) notBefore() time.Time { return s.now.Add(-backdate).Truncate(time.Second).UTC() }

func (s *step) wake(at time.Time) { s.decision.Wake = juju.Earliest(s.decision.Wake, at) }

func (s *step) report(level juju.Level, format string, args ...any) {
	s.decision.Reports = append(s.decision.Reports, juju.Status{Level: level, Message: fmt.Sprintf(format, args...)})
}

// summarize says in one line how the authority is.
func (s *step) summarize() {
	until := s.issuer.NotAfter.Format(time.DateOnly)
	if !s.snap.Leader {
		s.report(juju.Active, "standby, %s published, CA until %s", count(s.granted, "certificate"), until)
	} else if s.granted+s.waiting+len(s.denials) == 0 {
		s.report(juju.Active, "CA ready until %s", until)
	} else {
		s.report(juju.Active, "%s, CA until %s", count(s.granted, "certificate"), until)
	}
	if s.waiting > 0 {
		s.report(juju.Waiting, "%s being signed", count(s.waiting, "certificate"))
	}
	if len(s.denials) > 0 {
		s.report(juju.Active, "%d refused: %s", len(s.denials), s.denials[0])
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
