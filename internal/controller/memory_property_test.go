// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

// history is a random one, as one connection sees it that hears from no watcher: versions, its own commits and Confirm are
// all that tells it of changes.
type history struct {
	*scene

	link      *link
	random    func(int64) int64
	relations map[string]int // those with web and db, by application
	steps     []string
}

func (h *history) pick(of ...string) string { return of[h.random(int64(len(of)))] }

// bag is a change of a few keys to a few values, which is often none.
func (h *history) bag() juju.Bag {
	bag := juju.Bag{}
	for range h.random(3) {
		bag[h.pick("a", "b", "c")] = h.pick("", "one", "two")
	}
	return bag
}

// ids are the peer relation and those with others.
func (h *history) ids() []int {
	ids := []int{h.model.Relations("signet")[0].ID}
	for _, app := range []string{"web", "db"} {
		if id, found := h.relations[app]; found {
			ids = append(ids, id)
		}
	}
	return ids
}

func (h *history) step() {
	app := h.pick("web", "db")
	id, related := h.relations[app]
	unit := h.pick(app+"/0", app+"/1")
	step := h.pick("write", "write", "app", "leave", "enter", "relate", "commit", "commit", "lost", "peer", "lead", "between", "secret")
	if !related {
		step = h.pick("relate", "commit", "peer", "lead")
	}
	h.steps = append(h.steps, step+" "+unit)
	switch step {
	case "write": // fails where the unit has no databag yet
		_ = h.model.Commit(unit, sandbox.Commit{Relations: []sandbox.BagChange{{RelationID: id, Unit: h.bag()}}})
	case "app":
		h.writeAs(app+"/0", id, nil, h.bag())
	case "leave":
		require.NoError(h.t, h.model.LeaveScope(id, unit))
	case "enter":
		require.NoError(h.t, h.model.EnterScope(id, unit))
	case "relate":
		h.relate(app)
	case "commit":
		h.commit(nil)
	case "lost":
		h.model.Lose(func(string) bool { return true })
		h.commit(nil)
		h.model.Lose(nil)
	case "secret":
		h.commit([]juju.Secret{{Label: "ca", Owner: juju.OwnedByApplication, Content: map[string]string{"key": h.pick("one", "two")}}})
	case "peer":
		h.writeAs("signet/1", h.ids()[0], h.bag(), nil)
	case "lead":
		require.NoError(h.t, h.model.SetLeader(h.pick("signet/0", "signet/1")))
	case "between":
		require.NoError(h.t, h.model.SetLeader("signet/1"))
		ids := h.ids()
		h.writeAs("signet/1", ids[h.random(int64(len(ids)))], nil, h.bag())
		require.NoError(h.t, h.model.SetLeader("signet/0"))
	}
}

// relate relates an application, or makes its relation another one under the same key.
func (h *history) relate(app string) {
	if id, found := h.relations[app]; found {
		require.NoError(h.t, h.model.RemoveRelation(id))
		delete(h.relations, app)
		if h.random(2) == 0 {
			return
		}
	}
	id, err := h.model.Integrate("signet:certificates", app+":tls")
	require.NoError(h.t, err)
	h.relations[app] = id
}

// commit is one of the connection's own, which fails where it does not lead.
func (h *history) commit(secrets []juju.Secret) {
	changes := juju.Changes{Secrets: secrets}
	for _, id := range h.ids() {
		change := juju.RelationChange{ID: id, Key: fmt.Sprint(id), Unit: h.bag()}
		if h.random(2) == 0 {
			change.App = h.bag()
		}
		changes.Relations = append(changes.Relations, change)
	}
	_ = h.link.Commit(h.t.Context(), changes)
}

// check holds what the connection shows to what a new one does. What it only remembers it must say so of, and not confirm
// where it is otherwise.
func (h *history) check() {
	h.t.Helper()
	snap, err := h.link.Snapshot(h.t.Context())
	require.NoError(h.t, err)
	if snap.Remembered {
		var changes juju.Changes
		for _, relation := range snap.Relations {
			changes.Relations = append(changes.Relations, juju.RelationChange{ID: relation.ID, App: juju.Bag{"any": "thing"}})
		}
		if err := h.link.Confirm(h.t.Context(), snap, changes); err != nil {
			require.ErrorIs(h.t, err, juju.ErrMoved)
			snap, err = h.link.Snapshot(h.t.Context())
			require.NoError(h.t, err)
			require.False(h.t, snap.Remembered)
		}
	}
	snap.Remembered = false
	fresh := h.open("signet/0")
	want, err := fresh.Snapshot(h.t.Context())
	require.NoError(h.t, err)
	require.NoError(h.t, fresh.conn.Close())
	require.Equal(h.t, want, snap, "after %v", h.steps)
}

// open makes a connection that watches nothing.
func (s *scene) open(unit string) *link {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	made, err := open(ctx, withDefaults(s.config(unit)))
	require.NoError(s.t, err)
	l, is := made.(*link)
	require.True(s.t, is)
	return l
}

func newHistory(t *testing.T, version string, random func(int64) int64) *history {
	t.Helper()
	h := &history{scene: newScene(t, sandbox.Options{JujuVersion: version}), random: random, relations: map[string]int{}}
	require.NoError(t, h.model.Deploy("db", sandbox.CharmMeta{Endpoints: []juju.Endpoint{
		{Name: "tls", Interface: "tls-certificates", Role: juju.Requires},
	}}))
	for _, app := range []string{"web", "db", "db"} {
		_, err := h.model.AddUnit(app)
		require.NoError(t, err)
	}
	for _, unit := range []string{"signet/0", "web/0", "db/0"} {
		require.NoError(t, h.model.SetLeader(unit))
	}
	h.link = h.open("signet/0")
	t.Cleanup(func() { _ = h.link.conn.Close() })
	return h
}

func TestWhatIsRememberedIsWhatIsThere(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for n, version := range []string{"3.6.25", "4.0.1"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			for round := range 12 {
				h := newHistory(t, version, random(100*n+round))
				for range 25 {
					h.step()
					if h.random(2) == 0 {
						h.check()
					}
				}
				h.check()
			}
		})
	}
}

// Databags that did not change are the same maps in the next snapshot, and values that did not are the same texts.
func TestWhatDidNotChangeIsShared(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	s.writeAs("web/0", id, map[string]string{"a": "one", "b": "two"}, map[string]string{"a": "one"})
	l := s.open("signet/0")
	t.Cleanup(func() { _ = l.conn.Close() })
	look := func() juju.Relation {
		snap, err := l.Snapshot(t.Context())
		require.NoError(t, err)
		return snap.On(juju.Provides, "tls-certificates")[0]
	}
	before := look()
	l.memory.forget()
	again := look()
	require.True(t, sameMap(before.OwnUnit, again.OwnUnit))
	require.True(t, sameMap(before.OwnApp, again.OwnApp))
	require.True(t, sameMap(before.RemoteApplication, again.RemoteApplication))
	require.True(t, sameMap(before.RemoteUnits, again.RemoteUnits))
	s.writeAs("web/0", id, map[string]string{"a": "three"}, nil)
	later := look()
	require.False(t, sameMap(before.RemoteUnits, later.RemoteUnits))
	require.Equal(t, juju.Bag{"a": "one", "b": "two"}, withoutAddresses(before.RemoteUnits["web/0"]), "a snapshot is a value")
	require.Equal(t, juju.Bag{"a": "three", "b": "two"}, withoutAddresses(later.RemoteUnits["web/0"]))
	require.True(t, sameText(before.RemoteUnits["web/0"]["b"], later.RemoteUnits["web/0"]["b"]))
	require.True(t, sameMap(before.OwnUnit, later.OwnUnit))
}

// An unanswered commit may yet be carried out: until it must have been, nothing that it changes is remembered.
func TestAfterAnUnansweredCommitNothingOfItIsRemembered(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	l := s.open("signet/0")
	t.Cleanup(func() { _ = l.conn.Close() })
	_, err := l.Snapshot(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	gaveUp := errors.New("gave up")
	s.model.Interpose(func(string) { cancel(gaveUp); s.model.Interpose(nil) })
	change := juju.RelationChange{ID: id, Unit: juju.Bag{"a": "one"}}
	require.ErrorIs(t, l.Commit(ctx, juju.Changes{Relations: []juju.RelationChange{change}}), gaveUp)
	s.eventually(func() bool {
		snap, err := l.Snapshot(t.Context())
		require.NoError(t, err)
		return snap.On(juju.Provides, "tls-certificates")[0].OwnUnit["a"] == "one"
	})
}

func sameMap[M ~map[string]V, V any](a, b M) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

func sameText(a, b string) bool { return unsafe.StringData(a) == unsafe.StringData(b) }

func withoutAddresses(bag juju.Bag) juju.Bag {
	own := maps.Clone(bag)
	maps.DeleteFunc(own, func(key, _ string) bool { return strings.HasSuffix(key, "-address") || key == "egress-subnets" })
	return own
}
