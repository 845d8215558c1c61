// SPDX-License-Identifier: AGPL-3.0-only

// Package provider decides for the authority: which asks are granted, what has to be signed for it, what every
// relation shall show. Step is pure. Where to look next: step.go for the order of things, judge.go for when a
// certificate is kept, renewed or replaced, policy.go for who may have it, nodes.go and makers.go for whose it is, audit.go
// for what is put on record, vault.go for a CA that Vault keeps, hand.go for one that an operator signs with, and action.go for
// what operators ask for.
package provider

import (
	"crypto/x509"
	"fmt"
	"maps"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// backdate makes new certificates valid on machines whose clocks run a little late.
const backdate = time.Minute

// Decision is what the authority's side wants.
type Decision struct {
	Entries []ledger.Entry       // to be recorded before the orders are carried out
	Record  []ledger.Entry       // likewise, of what the turn came to: once no order is left
	Orders  []order.Order        // not yet answered
	Bags    map[int]juju.OwnBags // by relation ID: complete desired content
	Secrets []juju.Secret
	State   map[string]string // unit state to change
	Reports []juju.Status     // one for each thing an operator should know
	Wake    time.Time         // next renewal; zero for none
	Climbs  bool              // the relations with who may certify this unit are the CA's
	Serve   Serve             // what everybody may ask this unit for
	Result  *juju.Result      // of the action that is asked for; nil when there is none, or none of the authority's
}

// step is one run of Step: what it was given, and the decision under way.
type step struct {
	now      time.Time
	snap     juju.Snapshot
	settings Settings
	memory   *Memory
	answers  map[order.ID]order.Answer

	peers        juju.Relation
	record       record
	damaged      bool // the record cannot be read
	adopted      slot // the CA of another program that is being taken over
	current      authority
	next         authority // once it has a certificate
	retiring     []authority
	keys         map[int]cert.Key          // of CAs that were made or found in this very turn, by generation
	signer       order.Signer              // the current CA with its key
	above        []*x509.Certificate       // the current CA, and what is above it; read when it is needed
	unread       map[int]bool              // generations whose record of that cannot be read
	withheld     map[string]bool           // serial numbers of what is revoked for good and still asked for
	revoked      map[int][]cert.Revocation // by generation
	newlyRevoked bool                      // something is, in this turn
	sealed       bool                      // private keys can travel through the peer relation
	signing      bool                      // this unit may order signatures
	shelf        shelf
	pace         pace

	decision         Decision
	granted          int       // certificates published
	renewal          time.Time // the earliest that is to come; zero for none
	waiting          int       // being signed
	signed           int       // for those who ask, in this turn
	hopeless         int       // of these: refused for good, so that they are not given again
	exposed          int       // relations with private keys published although the legacy dialect is off
	repeats          int       // asks in circles
	denials          []dialect.Denial
	reported         []dialect.Denial // what would be refused, were the policy more than reported
	lapsing          []dialect.Denial // what has a certificate that will not be renewed
	lasting          []term           // of the certificates that fit, of the relation that is looked at
	shared           int              // certificates of these that all units of a relation share
	considered       int              // asks that got as far as an order
	notedOfRelations int              // what is remembered of relations, and changed in this turn
	resting          map[int]*rest    // relations that are at rest; nil for one that was before
	unlike           []string         // serial numbers of CA certificates with other limits than they would have now
	decided          map[string]bool  // topics of what is recorded in this turn
	denied           map[string]int   // refusals that are recorded in this turn, by asker

	outstanding []outstanding                   // what an operator has to have signed
	standing    map[string]map[order.ID]pending // what is written down of that, by key of the peer bag
	wishes      map[string]wish                 // what an operator wants renewed, by serial number
	seen        map[string]bool                 // of these: what is in service
	hand        *provision                      // what an operator brings
	late        func()                          // ends an action once all relations were served
	steps       []string                        // of the action: what was done
	undone      bool                            // the action shall change nothing

	login *order.Vault         // what reaches Vault, once it is gathered
	asked map[order.ID]bool    // what Vault is asked in this turn
	heard map[int]order.Answer // what it said of its CAs, by generation

	overview *Overview // what is seen on the way; nil unless somebody wants to know
	deferred time.Time // until when the renewal that was just looked at is put off
}

// retry is when an order that failed or is pending is given again.
const retry = 5 * time.Minute

// Step decides what the authority's side wants, given the answers to orders that an earlier Step of the same turn
// gave. It is total, deterministic and idempotent.
func (m *Memory) Step(now time.Time, snap juju.Snapshot, settings Settings, answers []order.Answer) Decision {
	defer m.pass(snap)
	s := m.newStep(now, snap, settings, answers)
	s.decide()
	return s.decision
}

func (m *Memory) newStep(now time.Time, snap juju.Snapshot, settings Settings, answers []order.Answer) *step {
	settings.Policy.Provider = snap.Application()
	return m.begun(now, snap, settings, order.ByID(answers))
}

func (m *Memory) begun(now time.Time, snap juju.Snapshot, settings Settings, answers map[order.ID]order.Answer) *step {
	return &step{
		now: now, snap: snap, settings: settings, memory: m, answers: answers, keys: map[int]cert.Key{}, withheld: map[string]bool{},
		decision: Decision{Bags: map[int]juju.OwnBags{}, State: map[string]string{}}, decided: map[string]bool{}, denied: map[string]int{},
		resting: map[int]*rest{},
	}
}

func (s *step) decide() {
	s.decision.Serve.Listen = s.settings.Listen // while there is no CA, operators see why
	if !s.settings.Authority {
		s.reportLeftovers()
		return
	}
	s.serve()
	if s.late != nil && s.decision.Result == nil {
		s.late()
	}
	if s.decision.Result != nil {
		s.decision.Result.Steps = s.steps
	}
	if s.undone {
		result, overview := s.decision.Result, s.overview
		plain := s.snap
		plain.Action = nil
		*s = *s.memory.begun(s.now, plain, s.settings, s.answers)
		s.decide()
		s.decision.Result, s.overview = result, overview
		return
	}
	s.audit()
	s.tellVersion()
}

func (s *step) serve() {
	s.readShelf()
	ready := s.findSigner()
	if ready {
		s.sealed = s.ensureSeal()
		s.signing = s.canSign()
		if !s.sealed {
			s.shelf = shelf{}
		}
	}
	s.readPace()
	s.memory.stand(s.groundNow(ready))
	for _, relation := range s.snap.On(juju.Provides, dialect.Interface) {
		if !relation.Broken {
			s.serveRelation(relation, ready)
		}
	}
	if s.snap.Leader && !s.damaged {
		s.saveRecord()
	}
	if !ready {
		return
	}
	for _, relation := range s.snap.On(juju.Provides, dialect.TransferInterface) {
		if !relation.Broken && s.current.slot != nil {
			s.decision.Bags[relation.ID] = dialect.PublishTransfer(relation, s.transferred())
		}
	}
	if s.snap.Leader {
		s.savePending()
		s.saveWishes()
		s.writeShelf()
		s.keepRest()
		s.savePace()
		s.publishRevoked()
		for _, member := range s.members() {
			s.keepResponder(member)
		}
	}
	s.share()
	s.serveOthers()
	s.summarize()
}

// obtain gives the answer to an order when it is done; else it sees to it that the order is given.
func (s *step) obtain(wanted order.Order) (order.Answer, bool) {
	answer, answered := s.answers[wanted.ID()]
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

// reportLeftovers says that an application which is no authority any more still publishes what it issued: taking it away
// would stop consumers, which only the operator can decide.
func (s *step) reportLeftovers() {
	left := 0
	for _, relation := range s.snap.On(juju.Provides, dialect.Interface) {
		if relation.OwnUnit["ca"] != "" || relation.OwnApp["certificates"] != "" {
			left++
		}
	}
	if left > 0 {
		s.report(juju.Active, "no authority, but what was issued is still published to %s: remove them to withdraw it", count(left, "relation"))
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
