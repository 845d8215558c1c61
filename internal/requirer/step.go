// SPDX-License-Identifier: AGPL-3.0-only

// Package requirer decides for the consumer's side: what this unit asks of its provider, which answers it accepts and
// what appears on its disk. Step is pure. Where to look next: step.go for the order of things, checks.go for what an
// offered certificate must be.
package requirer

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// The endpoints on which signet is a consumer.
const (
	Endpoint         = "upstream"        // tls-certificates: who signs for this unit
	TransferEndpoint = "receive-ca-cert" // certificate_transfer: whom else to trust
)

// The bundles this unit lays on its disk.
const (
	certificatesBundle = "certificates"
	receivedBundle     = "received-ca"
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
	answers  map[order.ID]order.Answer
	decision Decision
}

// retry is when an order that failed is given again.
const retry = 5 * time.Minute

// item is one certificate this unit wants, under the name of its files.
type item struct {
	name          string // "server", "client"
	organizations []string
	want          dialect.Want
	best          *accepted
	spent         *x509.Certificate // answers the standing request, but is revoked or over
}

// accepted is an offer that passed the checks.
type accepted struct {
	offer dialect.Offer
	leaf  *x509.Certificate
}

// Step decides what the consumer's side wants, given the answers to orders that an earlier Step of the same turn gave.
// It is total, deterministic and idempotent.
func Step(now time.Time, snap juju.Snapshot, settings Settings, answers []order.Answer) Decision {
	s := &step{
		now: now, snap: snap, settings: settings, answers: order.ByID(answers),
		decision: Decision{Bags: map[int]juju.OwnBags{}, State: map[string]string{}},
	}
	s.receive()
	s.ask()
	return s.decision
}

// ask asks every related provider for this unit's certificates, and installs what is answered.
func (s *step) ask() {
	var relations []juju.Relation
	for _, relation := range s.snap.At(Endpoint) {
		if !relation.Broken {
			relations = append(relations, relation)
		}
	}
	if len(relations) == 0 {
		return
	}
	items, err := s.items(relations[0])
	if err != nil {
		s.report(juju.Waiting, "%v", err)
		return
	}
	ready := true
	for i := range items {
		ready = s.findRequest(&items[i]) && ready
	}
	if !ready {
		return
	}
	for _, relation := range relations {
		s.askOne(relation, items)
	}
	s.renew(items)
	for _, relation := range relations {
		s.decision.Bags[relation.ID] = juju.OwnBags{
			Unit: dialect.Request(relation, s.snap.Unit, wants(items), dialects(relation)...),
		}
	}
	s.install(items, relations[0])
}

// items says what this unit wants: a server certificate under its addresses and names, and a client certificate under
// its own name.
func (s *step) items(relation juju.Relation) ([]item, error) {
	addresses := s.snap.Addresses[relation.Endpoint.Name]
	names := s.settings.Names.With(usable(addresses.Ingress)).With(usable(addresses.Bind)).
		With(usable([]string{s.snap.Local["hostname"], "127.0.0.1"}))
	commonName := s.settings.CommonName
	if commonName == "" {
		if len(addresses.Ingress) == 0 {
			return nil, fmt.Errorf("waiting for an ingress address on endpoint %s; or set the option common-name", relation.Endpoint.Name)
		}
		commonName = s.shortName(addresses.Ingress)
	}
	names = names.With(usable([]string{commonName}))
	return []item{
		{name: "server", want: dialect.Want{Kind: cert.Server, CommonName: commonName, Names: names}},
		{name: "client", organizations: s.settings.Organizations,
			want: dialect.Want{Kind: cert.Client, CommonName: s.snap.Unit}},
	}, nil
}

// shortName gives the first of the names that fits into a common name (RFC 5280, ub-common-name); the
// unit's own when none does. The alternative names have all of them.
func (s *step) shortName(names []string) string {
	for _, name := range names {
		if len([]rune(name)) <= cert.MaxCommonName {
			return name
		}
	}
	return s.snap.Unit
}

// usable drops names that cannot stand in a certificate: a machine's own idea of its name is not the operator's fault.
func usable(candidates []string) cert.Names {
	var names cert.Names
	for _, candidate := range candidates {
		if parsed, err := cert.ParseNames([]string{candidate}); err == nil {
			names = names.With(parsed)
		}
	}
	return names
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
	return s.makeRequest(i, "")
}

// makeRequest has a new signing request made. It is false while the disk has not answered; a disk that cannot leaves the
// item as it is.
func (s *step) makeRequest(i *item, replaces string) bool {
	wanted := order.MakeRequest{
		Name: i.name, Kind: i.want.Kind, CommonName: i.want.CommonName, Organizations: i.organizations, Names: i.want.Names,
		KeyType: s.settings.KeyType, Replaces: replaces,
	}
	answer, answered := s.answers[wanted.ID()]
	switch {
	case !answered:
		s.decision.Orders = append(s.decision.Orders, wanted)
		return false
	case answer.Failure != nil:
		s.report(juju.Blocked, "cannot make the request for the %s certificate: %s", i.name, answer.Failure.Message)
		s.wake(s.now.Add(retry))
	default:
		i.want.Request = answer.Request
	}
	return true
}

// askOne looks through one provider's offers and keeps the best for each item: a CSR answer before a legacy one,
// because its key never left this unit, and among those the one that lives longest.
func (s *step) askOne(relation juju.Relation, items []item) {
	offers, denials := dialect.Offers(relation, s.snap.Unit, wants(items))
	for _, denial := range denials {
		s.report(juju.Waiting, "%s refuses: %s", relation.RemoteApp, denial)
	}
	for _, offer := range offers {
		i := &items[offer.Want]
		leaf, err := s.check(offer, *i)
		if err != nil {
			if leaf != nil && offer.Dialect == dialect.CSR {
				i.spent = leaf
			}
			s.report(juju.Waiting, "%s offers an unusable %s certificate: %v", relation.RemoteApp, i.name, err)
			continue
		}
		candidate := accepted{offer, leaf}
		if i.best == nil || better(candidate, *i.best) {
			i.best = &candidate
		}
	}
}

func better(a, b accepted) bool {
	if a.offer.Dialect != b.offer.Dialect {
		return a.offer.Dialect == dialect.CSR
	}
	return cmp.Compare(a.leaf.NotAfter.Unix(), b.leaf.NotAfter.Unix()) > 0
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
