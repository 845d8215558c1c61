// SPDX-License-Identifier: AGPL-3.0-only

package sessiontest

import (
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/juju"
)

// The cases here are about what a Session may have kept since the snapshot before.

// same holds a Session's next snapshot to that of another, which has seen nothing before.
func (w *World) same(session agent.Session, unit string) juju.Snapshot {
	w.t.Helper()
	have, want := w.snapshot(session), w.snapshot(w.session(unit))
	have.Remembered, want.Remembered = false, false
	require.Equal(w.t, want, have)
	return have
}

// changedTwice writes databags twice between two snapshots, and back to what it was.
func changedTwice(w *World) {
	session := w.session(Leader)
	w.snapshot(session)
	for _, value := range []string{"one", "two", "three", ""} {
		w.writeAs(Web, w.Relation, map[string]string{"a": value + "x", "b": "first"}, map[string]string{"c": value + "x"})
		w.writeAs(Web, w.Relation, map[string]string{"a": value, "b": ""}, map[string]string{"c": value})
		relation := w.relation(w.same(session, Leader))
		require.Equal(w.t, value, relation.RemoteUnits[Web]["a"])
		require.Equal(w.t, value, relation.RemoteApplication["c"])
	}
}

// reentered has a unit leave and come back between two snapshots, with as many writes as before and with others.
func reentered(w *World) {
	session := w.session(Leader)
	w.writeAs(Web, w.Relation, map[string]string{"a": "before"}, nil)
	require.Equal(w.t, "before", w.relation(w.snapshot(session)).RemoteUnits[Web]["a"])
	for _, value := range []string{"", "after", "after that"} {
		require.NoError(w.t, w.Model.LeaveScope(w.Relation, Web))
		require.NoError(w.t, w.Model.EnterScope(w.Relation, Web))
		if value != "" {
			w.writeAs(Web, w.Relation, map[string]string{"a": value}, nil)
		}
		require.Equal(w.t, value, w.relation(w.same(session, Leader)).RemoteUnits[Web]["a"])
	}
	require.NoError(w.t, w.Model.LeaveScope(w.Relation, Web))
	require.NotContains(w.t, w.relation(w.same(session, Leader)).RemoteUnits, Web)
	require.NoError(w.t, w.Model.EnterScope(w.Relation, Web))
	require.Empty(w.t, charmBag(w.relation(w.same(session, Leader)).RemoteUnits[Web]))
}

// ownWrites are in the next snapshot, and one that removes what is not there is none.
func ownWrites(w *World) {
	session := w.session(Leader)
	w.snapshot(session)
	for _, bag := range []juju.Bag{{"a": "one", "b": "two"}, {"a": "three", "never": ""}, {"a": "", "b": ""}, {"never": ""}} {
		w.commit(session, juju.Changes{Relations: []juju.RelationChange{
			w.changeOf(juju.Relation{ID: w.Peers, Endpoint: Endpoints()[2]}, bag, bag), w.change(bag, bag),
		}})
		w.same(session, Leader)
	}
}

// lead has the follower lead, do something, and give leadership back.
func (w *World) lead(does func()) {
	w.t.Helper()
	require.NoError(w.t, w.Model.SetLeader(Follower))
	does()
	require.NoError(w.t, w.Model.SetLeader(Leader))
}

// lostAndRegained has another leader write in between: that is seen, and what was decided without it is not committed over it.
func lostAndRegained(w *World) {
	for name, c := range map[string]struct {
		write func()
		over  juju.RelationChange
	}{
		"into the peer relation": {
			func() { w.writeAs(Follower, w.Peers, nil, map[string]string{"by": "the other"}) },
			w.changeOf(juju.Relation{ID: w.Peers, Endpoint: Endpoints()[2]}, nil, juju.Bag{"by": "this one"}),
		},
		"into the relation to be written": {
			func() { w.writeAs(Follower, w.Relation, nil, map[string]string{"by": "the other"}) },
			w.change(nil, juju.Bag{"by": "this one"}),
		},
	} {
		session := w.session(Leader)
		w.writeAs(Leader, w.Relation, nil, map[string]string{"by": "this one"})
		for range 2 { // the second time the databags are remembered
			snap := w.snapshot(session)
			changes := juju.Changes{Relations: []juju.RelationChange{c.over}}
			require.NoError(w.t, session.Confirm(w.t.Context(), snap, changes), name)
			w.lead(c.write)
			require.ErrorIs(w.t, session.Confirm(w.t.Context(), snap, changes), juju.ErrMoved, name)
			again := w.same(session, Leader)
			require.NoError(w.t, session.Confirm(w.t.Context(), again, changes), name)
			w.commit(session, changes)
			w.same(session, Leader)
		}
	}
}

// anotherLed has another leader write everywhere, of which the peer relation tells.
func anotherLed(w *World) {
	session := w.session(Leader)
	for _, value := range []string{"one", "two"} {
		w.snapshot(session)
		w.lead(func() {
			w.writeAs(Follower, w.Peers, nil, map[string]string{"by": value})
			w.writeAs(Follower, w.Relation, nil, map[string]string{"by": value})
		})
		require.Equal(w.t, juju.Bag{"by": value}, w.relation(w.same(session, Leader)).OwnApp)
	}
}

// ledUnseen has another leader write into a relation alone, which this unit saw lead and did not see write.
func ledUnseen(w *World) {
	session := w.session(Leader)
	w.snapshot(session)
	w.lead(func() {
		require.False(w.t, w.snapshot(session).Leader)
		w.writeAs(Follower, w.Relation, nil, map[string]string{"by": "the other"})
	})
	require.Equal(w.t, juju.Bag{"by": "the other"}, w.relation(w.same(session, Leader)).OwnApp)
}

// confirmLost says that leadership is gone, or that a secret is another.
func confirmLost(w *World) {
	session, second := w.session(Leader), w.session(Follower)
	changes := w.everything()
	snap := w.snapshot(session)
	require.NoError(w.t, session.Confirm(w.t.Context(), snap, changes))
	w.lead(func() { w.commit(second, juju.Changes{Secrets: []juju.Secret{applicationSecret("key two")}}) })
	require.ErrorIs(w.t, session.Confirm(w.t.Context(), snap, changes), juju.ErrMoved)
	snap = w.same(session, Leader)
	require.NoError(w.t, session.Confirm(w.t.Context(), snap, changes))
	require.NoError(w.t, w.Model.SetLeader(Follower))
	require.ErrorIs(w.t, session.Confirm(w.t.Context(), snap, changes), juju.ErrMoved)
	require.False(w.t, w.same(session, Leader).Leader)
}

// confirmGone says that a relation that the snapshot shows is not there any more.
func confirmGone(w *World) {
	session := w.session(Leader)
	snap := w.snapshot(session)
	changes := juju.Changes{Relations: []juju.RelationChange{w.change(nil, juju.Bag{"a": "b"})}}
	require.NoError(w.t, session.Confirm(w.t.Context(), snap, changes))
	require.NoError(w.t, w.Model.RemoveRelation(w.Relation))
	require.ErrorIs(w.t, session.Confirm(w.t.Context(), snap, changes), juju.ErrMoved)
	w.snapshot(session) // in which a hook may show it once more, as broken
	w.same(session, Leader)
}

// failedCommits are as if they had not been, whichever of their parts was made.
func failedCommits(w *World) {
	session := w.session(Leader)
	w.commit(session, juju.Changes{Relations: []juju.RelationChange{w.change(juju.Bag{"a": "one"}, juju.Bag{"a": "one"})}})
	w.snapshot(session)
	for range 2 {
		w.Model.Lose(func(string) bool { return true })
		require.Error(w.t, session.Commit(w.t.Context(), juju.Changes{
			Secrets:   []juju.Secret{applicationSecret("key one")},
			Relations: []juju.RelationChange{w.change(juju.Bag{"a": "two"}, juju.Bag{"a": "two"})},
		}))
		w.Model.Lose(nil)
		relation := w.relation(w.same(session, Leader))
		require.Equal(w.t, juju.Bag{"a": "one"}, charmBag(relation.OwnUnit))
		require.Equal(w.t, juju.Bag{"a": "one"}, relation.OwnApp)
	}
}

// overtakenInCommit has leadership go and come back inside a commit that is made.
func overtakenInCommit(w *World) {
	session := w.session(Leader)
	w.snapshot(session)
	w.Model.Interpose(func(string) {
		w.Model.Interpose(nil)
		w.lead(func() { w.writeAs(Follower, w.Peers, nil, map[string]string{"by": "the other"}) })
	})
	w.commit(session, juju.Changes{Relations: []juju.RelationChange{
		w.changeOf(juju.Relation{ID: w.Peers, Endpoint: Endpoints()[2]}, nil, juju.Bag{"mine": "too"}), w.change(nil, juju.Bag{"a": "b"}),
	}})
	peers, _ := w.same(session, Leader).Peers()
	require.Equal(w.t, juju.Bag{"by": "the other", "mine": "too"}, peers.OwnApp)
}
