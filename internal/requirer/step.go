// SPDX-License-Identifier: AGPL-3.0-only

// Package requirer decides for the consumer's side: what this unit asks of its provider, which answers it accepts and
// what appears on its disk. Step is pure. Where to look next: step.go for the order of things, checks.go for what an
// offered certificate must be, profile.go for what is asked, files.go and machine.go for what appears on the machine.
package requirer

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// The bundles this unit lays on its disk.
const (
	certificatesBundle = "certificates"
	receivedBundle     = "received-ca"
)

// Names of files in the certificates bundle that are no certificates or keys.
const (
	kubeconfigName = "kubeconfig"
	kubeletName    = "kubelet.conf" // kubelet reads files with this ending in its --config-dir
)

// Decision is what the consumer's side wants.
type Decision struct {
	Orders  []order.Order
	Bags    map[int]juju.OwnBags // by relation ID: complete desired content
	Reports []juju.Status
	State   map[string]string // unit state to change
	Wake    time.Time
}

type step struct {
	now      time.Time
	snap     juju.Snapshot
	settings Settings
	cluster  Cluster // the settings', completed by what the cluster says
	answers  map[order.ID]order.Answer
	provided []string // CA certificates of the providers
	received []string // CA certificates that others say to trust
	unclear  bool     // somebody who may have said whom to trust cannot be understood now
	decision Decision
	wanted   []item // what was asked for, in the end
}

// retry is when an order that failed is given again.
const retry = 5 * time.Minute

// item is one certificate this unit wants, under the name of its files.
type item struct {
	name          string // "server", "client"
	organizations []string
	alsoClient    bool // a server's certificate that must be good for a client as well
	want          dialect.Want
	best          *accepted
	rekeyed       bool              // best is on disk, and its successor is asked for under a new key
	spent         *x509.Certificate // answers the standing request, but is revoked or over
	unmade        bool              // the disk cannot make its request now
	refused       bool              // the standing request is refused, or answered with something unusable
	denial        *dialect.Denial   // why a provider refuses it
	trouble       string            // why what a provider offers cannot be used
}

// accepted is an offer that passed the checks.
type accepted struct {
	offer    dialect.Offer
	leaf     *x509.Certificate
	relation juju.Relation
}

// ownKey reports whether the best answer is for a key that never left this unit.
func (i item) ownKey() bool { return i.best != nil && i.best.offer.Dialect == dialect.CSR }

// Step decides what the consumer's side wants, given the answers to orders that an earlier Step of the same turn gave.
// It is total, deterministic and idempotent.
func Step(now time.Time, snap juju.Snapshot, settings Settings, answers []order.Answer) Decision {
	s := newStep(now, snap, settings, answers)
	s.decide()
	return s.decision
}

func newStep(now time.Time, snap juju.Snapshot, settings Settings, answers []order.Answer) *step {
	return &step{
		now: now, snap: snap, settings: settings, answers: order.ByID(answers),
		decision: Decision{Bags: map[int]juju.OwnBags{}, State: map[string]string{}},
	}
}

func (s *step) decide() {
	s.readCluster()
	s.receive()
	relations := s.providers()
	items, asked := s.ask(relations)
	if asked {
		s.trustMachine(s.keeps(relations, items)) // before services start that rely on it
	}
	if len(items) > 0 && asked {
		s.install(items, relations[len(relations)-1])
	}
	s.forget()
	s.wanted = items
}

// providers gives the relations with who may certify this unit, by ascending ID, and notes whom they say to trust.
func (s *step) providers() []juju.Relation {
	var relations []juju.Relation
	if s.settings.Idle {
		return nil
	}
	for _, relation := range s.snap.On(juju.Requires, dialect.Interface) {
		if !relation.Broken {
			relations = append(relations, relation)
			s.trustProvider(relation)
		}
	}
	return relations
}

// ask asks every provider for this unit's certificates, and gives them with the best answers. It is false while the disk
// has not answered.
func (s *step) ask(relations []juju.Relation) ([]item, bool) {
	if len(relations) == 0 {
		return nil, true
	}
	items, err := s.items(relations[0])
	if err != nil {
		s.report(juju.Waiting, "%v", err)
		return nil, true
	}
	ready := true
	for i := range items {
		ready = s.findRequest(&items[i]) && ready
	}
	if !ready {
		return nil, false
	}
	for _, relation := range slices.Backward(relations) { // the newest first: it is where an operator moves to
		s.askOne(relation, items)
	}
	s.renew(items)
	for _, relation := range relations {
		if slices.ContainsFunc(items, func(i item) bool { return i.unmade }) {
			break // what stands there may be the request of a certificate in use
		}
		s.decision.Bags[relation.ID] = juju.OwnBags{
			Unit: dialect.Request(relation, s.snap.Unit, wants(items), dialects(relation)...),
		}
	}
	return items, true
}

// findRequest gives an item its signing request: the one on disk while it still says what is wanted, else a new one
// under the same key. Without one the item can still be asked for in the legacy dialect. It is false while the disk has
// not answered.
func (s *step) findRequest(i *item) bool {
	standing := s.snap.Local["request."+i.name]
	if standing != "" && requests(standing, *i, s.settings.KeyType) {
		i.want.Request = standing
		return true
	}
	return s.makeRequest(i, "", false)
}

// makeRequest has a new signing request made. It is false while the disk has not answered; a disk that cannot leaves the
// item as it is.
func (s *step) makeRequest(i *item, replaces string, newKey bool) bool {
	wanted := order.MakeRequest{
		Name: i.name, Kind: i.want.Kind, ClientAuth: i.alsoClient,
		CommonName: i.want.CommonName, Organizations: i.organizations, Names: i.want.Names,
		KeyType: s.settings.KeyType, Replaces: replaces, NewKey: newKey,
	}
	answer, answered := s.answers[wanted.ID()]
	switch {
	case !answered:
		s.decision.Orders = append(s.decision.Orders, wanted)
		return false
	case answer.Failure != nil:
		i.unmade = s.snap.Local["request."+i.name] != ""
		s.report(juju.Blocked, "cannot make the request for the %s certificate: %s", i.name, answer.Failure.Message)
		s.wake(s.now.Add(retry))
	default:
		i.want.Request = answer.Request
	}
	return true
}

// askOne looks through one provider's offers and keeps the best for each item: a CSR answer before a legacy one, because
// its key never left this unit, and of several providers that of the one that is looked at first.
func (s *step) askOne(relation juju.Relation, items []item) {
	offers, denials := dialect.Offers(relation, s.snap.Unit, wants(items))
	for _, denial := range denials {
		s.report(juju.Waiting, "%s refuses: %s", relation.RemoteApp, denial)
		for i := range items {
			if denial.Request != "" && denial.Request == items[i].want.Request {
				items[i].refused, items[i].denial = true, &denial
			}
		}
	}
	for _, offer := range offers {
		i := &items[offer.Want]
		leaf, err := s.check(offer, *i)
		if err != nil {
			if offer.Dialect == dialect.CSR {
				i.refused = true
				i.spent = cmp.Or(leaf, i.spent)
			}
			i.trouble = err.Error()
			s.report(juju.Waiting, "%s offers an unusable %s certificate: %v", relation.RemoteApp, i.name, err)
			continue
		}
		if i.best == nil || offer.Dialect == dialect.CSR && i.best.offer.Dialect != dialect.CSR {
			i.best = &accepted{offer, leaf, relation}
		}
	}
}

// dialects says how to ask: in both dialects, until this provider is seen to speak the CSR one.
func dialects(relation juju.Relation) []dialect.Dialect {
	for _, spoken := range dialect.Spoken(relation) {
		if spoken == dialect.CSR {
			return []dialect.Dialect{dialect.CSR}
		}
	}
	return []dialect.Dialect{dialect.Legacy, dialect.CSR}
}

func wants(items []item) []dialect.Want {
	var list []dialect.Want
	for _, i := range items {
		list = append(list, i.want)
	}
	return list
}

func (s *step) wake(at time.Time) { s.decision.Wake = juju.Earliest(s.decision.Wake, at) }

func (s *step) report(level juju.Level, format string, args ...any) {
	s.decision.Reports = append(s.decision.Reports, juju.Status{Level: level, Message: fmt.Sprintf(format, args...)})
}
