// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"maps"
	"reflect"
	"time"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// rest is a relation in which nothing was to be done but for renewals that are put off. On the same ground, until something in it
// changes, all of it would be found so again. A leader of many relations looks closely only at those that are not at rest.
type rest struct {
	relation juju.Relation
	noted    juju.Bag // what the peer relation's databag holds of it
	since    time.Time
	until    time.Time // when the first of its certificates is due; zero for never
	terms    []term    // of all its certificates
	sums     sums
}

// sums are what deciding about a relation adds to what is told of all.
type sums struct {
	granted, shared, exposed   int
	denials, reported, lapsing []dialect.Denial
	unlike                     []string
	orders, entries, noted     int // of a relation at rest: none
	signings, changes          int
}

func (s *step) sumsNow() sums {
	return sums{
		granted: s.granted, shared: s.shared, exposed: s.exposed, denials: s.denials, reported: s.reported, lapsing: s.lapsing, unlike: s.unlike,
		orders: len(s.decision.Orders), entries: len(s.decision.Entries), noted: s.notedOfRelations,
		signings: s.considered, changes: len(s.withheld),
	}
}

// since gives what was added since an earlier time.
func (all sums) since(before sums) sums {
	return sums{
		granted: all.granted - before.granted, shared: all.shared - before.shared, exposed: all.exposed - before.exposed,
		denials: all.denials[len(before.denials):], reported: all.reported[len(before.reported):],
		lapsing: all.lapsing[len(before.lapsing):], unlike: all.unlike[len(before.unlike):],
		orders: all.orders - before.orders, entries: all.entries - before.entries,
		noted: all.noted - before.noted, signings: all.signings - before.signings, changes: all.changes - before.changes,
	}
}

// idle reports whether nothing was done.
func (all sums) idle() bool {
	return all.orders == 0 && all.entries == 0 && all.noted == 0 && all.signings == 0 && all.changes == 0
}

// notes are what the peer relation's databag holds of a relation.
func (s *step) notes(relation int) juju.Bag {
	noted := juju.Bag{}
	for _, key := range append([]string{nodesKey(relation), makersKey(relation)}, s.shelf[relation]...) {
		noted[key] = s.peers.OwnApp[key]
	}
	return noted
}

// notesAre reports whether the peer relation's databag still holds the same of a relation.
func (s *step) notesAre(noted juju.Bag, relation int) bool {
	if len(noted) != len(s.shelf[relation])+2 {
		return false
	}
	for key, text := range noted { // which are as many as stand there, and empty where there are none
		if s.peers.OwnApp[key] != text {
			return false
		}
	}
	return true
}

// rests reports whether a relation is still at rest, and adds what is told of it.
func (s *step) rests(relation juju.Relation) bool {
	found := s.memory.of(relation.ID).rest
	if found == nil || s.attentive() || s.now.Before(found.since) ||
		!same(found.relation, relation) || !s.notesAre(found.noted, relation.ID) || !s.allLast(found) {
		return false
	}
	s.granted += found.sums.granted
	s.exposed += found.sums.exposed
	s.denials = append(s.denials, found.sums.denials...)
	s.reported = append(s.reported, found.sums.reported...)
	s.lapsing = append(s.lapsing, found.sums.lapsing...)
	s.unlike = append(s.unlike, found.sums.unlike...)
	s.resting[relation.ID] = nil
	s.memory.of(relation.ID).rested++
	return true
}

// allLast reports whether all certificates of a relation stay for now. When one does not, it is as if none had been asked for.
func (s *step) allLast(found *rest) bool {
	if found.until.IsZero() || s.now.Before(found.until) {
		s.expectRenewal(found.until)
		return true
	}
	wake, renewal, put := s.decision.Wake, s.renewal, s.pace.put
	for _, one := range found.terms {
		if !s.lasts(found.relation.RemoteApp, one) {
			s.decision.Wake, s.renewal, s.pace.put = wake, renewal, put
			return false
		}
	}
	return true
}

// settle takes a relation to be at rest, once it is known that the shelf holds what it shall, if nothing was done about it and
// nothing in it is to change.
func (s *step) settle(relation juju.Relation, bags juju.OwnBags, added sums) {
	if !added.idle() || len(s.lasting) != added.granted+added.shared || s.attentive() || len(s.retiring) > 0 || bags.App == nil ||
		!maps.Equal(bags.Unit, relation.OwnUnit) || !maps.Equal(bags.App, relation.OwnApp) {
		return
	}
	found := &rest{relation: relation, noted: s.notes(relation.ID), since: s.now, terms: s.lasting, sums: added}
	for _, one := range s.lasting {
		found.until = juju.Earliest(found.until, one.renew)
	}
	s.resting[relation.ID] = found
}

// keepRest remembers which relations are at rest.
func (s *step) keepRest() {
	for id, found := range s.resting {
		if found != nil {
			s.memory.of(id).rest = found
		}
	}
}

// same reports whether a relation shows what it did.
func same(a, b juju.Relation) bool {
	return a.ID == b.ID && a.Endpoint == b.Endpoint && a.RemoteApp == b.RemoteApp && a.Broken == b.Broken && a.Partial == b.Partial &&
		equal(a.OwnUnit, b.OwnUnit) && equal(a.OwnApp, b.OwnApp) && equal(a.RemoteApplication, b.RemoteApplication) &&
		maps.EqualFunc(a.RemoteUnits, b.RemoteUnits, equal)
}

// equal reports whether two databags say the same. Often they are the same one, for a session reads only what changed.
func equal(a, b juju.Bag) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() || maps.Equal(a, b)
}
