// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"maps"
	"sync"
	"time"

	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"

	"github.com/signet-charm/signet/internal/juju"
)

// The limits of trusting what was read before.
const (
	// memoryLife is how long anything is remembered without being read again. The unit's own databags have writers whom no
	// version and no watcher tells of: the unit agent (addresses), a hook that took a turn without the agent.
	memoryLife = 10 * time.Minute
	// unsettled is how long the outcome of an unanswered commit may yet come: that of a commit which ended the connection
	// before this one, too.
	unsettled = 2 * callLimit
)

// memory is what one connection remembers of databags, so that a snapshot costs what changed and not what exists:
//
//   - what the other side wrote, by the version that each snapshot asks for anew (readScopes), and that of a peer
//     relation's application databag likewise;
//   - the unit's own databags, which only this unit writes: each commit is applied to what is remembered;
//   - the application's own databags while this unit leads, likewise, for as long as nothing tells of another leader; and
//     since something may have failed to tell, Confirm reads them before they are written.
//
// Versions are compared for equality only: Juju 4 has checksums for them. Databags are given to every snapshot as the same
// maps, which nobody may change, with the same texts for values that stay the same.
//
// All of it belongs to the one snapshot or commit under way, but for the doubts, which watchers raise.
type memory struct {
	relations map[int]*remembered // by ID: keys come back
	since     time.Time           // nothing was read before
	settles   time.Time           // own databags that were read before are to be read again then; zero when they were
	unsure    bool                // a commit was not answered: until then, own databags are read each time

	mu    sync.Mutex
	doubt doubt
}

// doubt is what watchers told since the last snapshot began. It counts from the next one on, so that what a snapshot under
// way has read before is not taken for news.
type doubt struct {
	apps  bool            // another unit may have led
	units bool            // the unit agent may have written addresses
	whole map[string]bool // keys of relations that the unit may have left and entered again
}

// remembered is one relation.
type remembered struct {
	tag       names.RelationTag
	broken    bool
	ownUnit   held
	ownApp    held
	remoteApp held
	remote    map[string]*held    // by unit in scope
	shown     map[string]juju.Bag // the last snapshot's RemoteUnits; nil when one of them is another now

	visible   juju.Bag          // the own application's databag without the sessions' own keys; nil when it is another now
	published map[string]string // those keys, which a peer relation has: the URIs of secrets, by label
}

// held is one databag. One that is not sure is only kept to be compared with what is read in its place.
type held struct {
	bag     juju.Bag
	version int64
	sure    bool
}

// is reports whether the databag is known in this version.
func (h *held) is(version int64, known bool) bool { return h.sure && known && h.version == version }

// take remembers what was read, and reports whether it is other than what was remembered before.
func (h *held) take(fresh juju.Bag, version int64) (differs bool) {
	differs = h.bag == nil || !maps.Equal(h.bag, fresh)
	if differs {
		h.bag = keepTexts(h.bag, fresh)
	}
	h.version, h.sure = version, true
	return differs
}

// write applies a change that was committed, and reports whether it made a difference. Juju counts the version up by one
// for a write that does, and for no other.
func (h *held) write(change juju.Bag) (differs bool) {
	if !h.sure || len(change) == 0 {
		return false
	}
	next := maps.Clone(h.bag)
	for key, value := range change {
		if value == "" {
			delete(next, key)
		} else {
			next[key] = value
		}
	}
	if maps.Equal(h.bag, next) {
		return false
	}
	h.bag = next
	h.version++
	return true
}

// keepTexts gives a databag whose values are the very texts of another where they are equal, so that they can be compared
// without being read.
func keepTexts(before, fresh juju.Bag) juju.Bag {
	for key, value := range fresh {
		if old, found := before[key]; found && old == value {
			fresh[key] = old
		}
	}
	return fresh
}

func newMemory(now time.Time) *memory {
	return &memory{relations: map[int]*remembered{}, since: onTheWall(now), settles: onTheWall(now).Add(unsettled)}
}

// onTheWall is a time by the clock that goes on while a machine is suspended.
func onTheWall(t time.Time) time.Time { return t.Round(0) }

// begin forgets what is too old to be trusted, and what is in doubt.
func (m *memory) begin(now time.Time) {
	now = onTheWall(now)
	if age := now.Sub(m.since); age < 0 || age >= memoryLife {
		m.forget()
		m.since = now
	}
	if settled := !m.settles.IsZero() && !now.Before(m.settles); settled || m.unsure {
		m.forgetOwn()
		if settled {
			m.settles, m.unsure = time.Time{}, false
		}
	}
	m.mu.Lock()
	told := m.doubt
	m.doubt = doubt{}
	m.mu.Unlock()
	for _, r := range m.relations {
		if told.whole[r.tag.Id()] {
			r.forget()
		}
		if told.units {
			r.ownUnit.sure = false
		}
		if told.apps {
			r.ownApp.sure = false
		}
	}
}

// meet gives what is remembered of these relations, in their order, and forgets all others.
func (m *memory) meet(relations []joined) []*remembered {
	met := make([]*remembered, len(relations))
	known := m.relations
	m.relations = map[int]*remembered{}
	for i, j := range relations {
		r := known[j.relation.ID]
		if r == nil {
			r = &remembered{remote: map[string]*held{}}
		}
		if r.broken != j.relation.Broken {
			r.forget()
		}
		r.tag, r.broken = j.tag, j.relation.Broken
		m.relations[j.relation.ID], met[i] = r, r
	}
	return met
}

func (m *memory) forget() {
	for _, r := range m.relations {
		r.forget()
	}
}

// forgetOwn forgets what this side wrote.
func (m *memory) forgetOwn() {
	for _, r := range m.relations {
		r.ownUnit.sure, r.ownApp.sure = false, false
	}
}

func (r *remembered) forget() {
	r.ownUnit.sure, r.ownApp.sure, r.remoteApp.sure = false, false, false
	for _, bag := range r.remote {
		bag.sure = false
	}
}

// wrote takes note of what was committed.
func (m *memory) wrote(changes []params.RelationUnitSettings) {
	m.changed(changes, func(r *remembered, change params.RelationUnitSettings) {
		r.ownUnit.write(juju.Bag(change.Settings))
		if r.ownApp.write(juju.Bag(change.ApplicationSettings)) {
			r.visible = nil
		}
	})
}

// failed takes note of a commit that was refused.
func (m *memory) failed(changes []params.RelationUnitSettings) {
	m.changed(changes, func(r *remembered, _ params.RelationUnitSettings) { r.ownUnit.sure, r.ownApp.sure = false, false })
}

// unanswered takes note of a commit of which it is not known whether it was, or is yet to be, carried out.
func (m *memory) unanswered(now time.Time) {
	m.forgetOwn()
	m.settles, m.unsure = onTheWall(now).Add(unsettled), true
}

func (m *memory) changed(changes []params.RelationUnitSettings, do func(*remembered, params.RelationUnitSettings)) {
	for _, change := range changes {
		for _, r := range m.relations {
			if r.tag.String() == change.Relation {
				do(r, change)
			}
		}
	}
}

// raise notes a doubt.
func (m *memory) raise(note func(*doubt)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	note(&m.doubt)
}

func (m *memory) doubtApps() { m.raise(func(d *doubt) { d.apps = true }) }

func (m *memory) doubtUnits() { m.raise(func(d *doubt) { d.units = true }) }

func (m *memory) doubtRelations(keys []string) {
	m.raise(func(d *doubt) {
		if d.whole == nil {
			d.whole = map[string]bool{}
		}
		for _, key := range keys {
			d.whole[key] = true
		}
	})
}

// units gives the databags of the units in scope, and forgets those of all others: who has left may come back with another.
func (r *remembered) units(scope map[string]int64) map[string]juju.Bag {
	maps.DeleteFunc(r.remote, func(unit string, _ *held) bool { _, in := scope[unit]; return !in })
	same := r.shown != nil && len(r.shown) == len(scope)
	for unit := range scope {
		_, shown := r.shown[unit]
		same = same && shown
	}
	if same {
		return r.shown
	}
	r.shown = make(map[string]juju.Bag, len(scope))
	for unit := range scope {
		r.shown[unit] = r.remote[unit].bag
	}
	return r.shown
}

// app gives the own application's databag as charms see it. The keys that name secrets belong to the sessions: no snapshot
// shows them, so that no difference removes them.
func (r *remembered) app(peers bool) juju.Bag {
	if r.visible != nil {
		return r.visible
	}
	r.visible, r.published = r.ownApp.bag, nil
	if peers {
		r.visible, r.published = splitSecretKeys(r.ownApp.bag)
	}
	return r.visible
}

// published gives the URIs of the application's secrets by label, as the peer relation tells them.
func (m *memory) published() map[string]string {
	for _, r := range m.relations {
		if r.published != nil {
			return r.published
		}
	}
	return nil
}
