// SPDX-License-Identifier: AGPL-3.0-only

// Package rehearsal plays a unit's turns on a clock that is ahead of time: what Decide would order and change, if nobody else
// does anything. Nothing of it comes to pass. Where to look next: Play, then package ca, whose StandIn answers the orders.
package rehearsal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/unit"
)

// What is an event's kind.
type What string

// The kinds.
const (
	Issue     What = "issue"      // a first certificate
	Renewal   What = "renewal"    // one takes another's place
	Responder What = "responder"  // who signs OCSP responses gets another certificate
	MakeCA    What = "ca-made"    // a new CA
	Role      What = "ca-role"    // a CA has another role
	Refusal   What = "refusal"    // somebody is refused what he had
	Withdrawn What = "withdrawal" // a certificate is published no more
	Status    What = "status"     // the unit's status tells of something new
	Expiry    What = "expiry"     // of what nobody here renews
)

// Event is one thing that would happen.
type Event struct {
	At          time.Time `json:"at"`
	What        What      `json:"event"`
	Name        string    `json:"name,omitempty"`
	Application string    `json:"application,omitempty"`
	Unit        string    `json:"unit,omitempty"`
	Relation    int       `json:"relation,omitempty"`
	Generation  int       `json:"generation,omitempty"` // of the CA
	Replaces    string    `json:"replaces,omitempty"`   // serial number
	NotAfter    time.Time `json:"not-after,omitzero"`
	Detail      string    `json:"detail,omitempty"`
}

// Outcome is a rehearsal's.
type Outcome struct {
	Events []Event   `json:"events"`
	Until  time.Time `json:"until"` // how far it was played
	Turns  int       `json:"turns"`
}

// MaxTurns bounds a rehearsal, and maxRounds the rounds of one turn, as in package agent.
const (
	MaxTurns  = 20_000
	maxRounds = 11
)

// Play plays turns from a time until another, and asks before each whether it may go on. Carry answers an order as it would be
// answered at a time. Only the authority's side is played: what a consumer gets is another application's to decide.
func Play(snap juju.Snapshot, from, until time.Time, carry func(time.Time, order.Order) order.Answer, goOn func() bool) Outcome {
	p := player{snap: authorityOnly(snap), carry: carry}
	found := Outcome{Until: from}
	for now := from; !now.After(until) && found.Turns < MaxTurns && goOn(); {
		wake := p.turn(now)
		found.Until, found.Turns = now, found.Turns+1
		switch {
		case wake.IsZero():
			now = until.Add(time.Second)
		case wake.After(now):
			now = wake
		default:
			now = now.Add(time.Second)
		}
		if now.After(until) {
			found.Until = until
		}
	}
	found.Events = append(p.events, p.expiries(until)...)
	slices.SortStableFunc(found.Events, func(a, b Event) int { return a.At.Compare(b.At) })
	return found
}

// authorityOnly leaves out what the unit asks of others, and what would have its record signed each day.
func authorityOnly(snap juju.Snapshot) juju.Snapshot {
	requires := func(role juju.Role) bool { return role == juju.Requires }
	snap.Relations = slices.DeleteFunc(slices.Clone(snap.Relations), func(r juju.Relation) bool { return requires(r.Endpoint.Role) })
	snap.Endpoints = slices.DeleteFunc(slices.Clone(snap.Endpoints), func(e juju.Endpoint) bool { return requires(e.Role) })
	snap.Local, snap.State = maps.Clone(snap.Local), maps.Clone(snap.State)
	if snap.Local == nil {
		snap.Local = map[string]string{}
	}
	delete(snap.Local, provider.UncoveredKey)
	snap.Action = nil
	return snap
}

// player holds the world as it would be.
type player struct {
	snap   juju.Snapshot
	carry  func(time.Time, order.Order) order.Answer
	events []Event
}

// turn plays one turn, and gives when the next one is wanted.
func (p *player) turn(now time.Time) time.Time {
	var answers []order.Answer
	var plan unit.Plan
	for range maxRounds {
		plan = unit.Decide(now, p.snap, answers)
		p.record(now, plan.Entries)
		if len(plan.Orders) == 0 {
			break
		}
		for _, wanted := range plan.Orders {
			answer := p.carry(now, wanted)
			p.note(now, wanted, answer)
			answers = append(answers, answer)
		}
	}
	if status := plan.Changes.Status; status != nil && status.Level != juju.Active {
		p.add(Event{At: now, What: Status, Detail: fmt.Sprintf("%s: %s", status.Level, status.Message)})
	}
	p.snap = juju.Apply(p.snap, plan.Changes)
	return plan.Wake
}

func (p *player) add(e Event) {
	e.At = e.At.UTC()
	p.events = append(p.events, e)
}

// note tells of an order that was carried out.
func (p *player) note(now time.Time, wanted order.Order, answer order.Answer) {
	if answer.State != order.Done {
		return
	}
	switch o := wanted.(type) {
	case order.Sign:
		e := Event{
			At: now, What: Issue, Name: o.Spec.CommonName, Application: o.Asker.App, Unit: o.Asker.Unit, Relation: o.Asker.Relation,
			Generation: o.Signer.Generation, Replaces: o.Replaces,
		}
		if leaf, err := cert.Parse(answer.Issued.Certificate); err == nil {
			e.NotAfter, e.Name = leaf.NotAfter.UTC(), leaf.Subject.CommonName
		}
		switch {
		case o.Spec.Kind == cert.Responder:
			e.What = Responder
		case o.Replaces != "":
			e.What = Renewal
		}
		p.add(e)
	case order.CreateAuthority:
		p.hold(o.Generation, answer.Authority.Certificate)
		e := Event{At: now, What: MakeCA, Name: o.CommonName, Generation: o.Generation}
		if ca, err := cert.Parse(answer.Authority.Certificate); err == nil {
			e.NotAfter = ca.NotAfter.UTC()
		}
		p.add(e)
	}
}

// hold notes that the key of a CA lies on this unit's disk, as package ca tells it.
func (p *player) hold(generation int, certificate string) {
	if ca, err := cert.Parse(certificate); err == nil {
		if hash, err := cert.KeyHash(ca.PublicKey); err == nil {
			key := fmt.Sprintf("authority.%d", generation)
			p.snap.Local[key] = p.snap.Local[key] + " " + hash
		}
	}
}

// record tells of decisions that would be recorded, each once.
func (p *player) record(now time.Time, entries []ledger.Entry) {
	for _, entry := range entries {
		if topic := entry.Topic(); topic != "" {
			p.snap.Local[provider.DecidedKey+topic] = entry.Fact()
		}
		e := Event{
			At: now, Name: entry.Subject, Application: entry.App, Unit: entry.Unit, Relation: entry.Relation, Generation: entry.Generation,
			NotAfter: entry.NotAfter.UTC(),
		}
		switch entry.Event {
		case ledger.Authority:
			e.What, e.Detail = Role, entry.After
		case ledger.Denied:
			e.What, e.Detail, e.Name = Refusal, entry.Reason, cmp.Or(entry.Subject, entry.Item)
		case ledger.Withdrawn:
			e.What, e.Replaces = Withdrawn, entry.Serial
		default:
			continue
		}
		p.add(e)
	}
}

// expiries tells of certificates that end before a time, as the world then is.
func (p *player) expiries(until time.Time) []Event {
	var found []Event
	overview, _ := provider.Survey(until, p.snap, provider.ReadSettings(&juju.Config{Values: p.snap.Config}), nil)
	for _, one := range overview.Asks {
		if one.Leaf == nil || one.Leaf.NotAfter.After(until) {
			continue
		}
		e := Event{
			At: one.Leaf.NotAfter.UTC(), What: Expiry, Name: one.Leaf.Subject.CommonName, Application: one.Ask.App, Unit: one.Ask.Unit,
			Relation: one.Ask.Relation, Generation: one.Generation, Detail: "unless its owner asks for another one",
		}
		if one.Orphaned {
			e.Detail = "nobody asks for it any more"
		}
		found = append(found, e)
	}
	return found
}
