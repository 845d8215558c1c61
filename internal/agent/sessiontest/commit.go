// SPDX-License-Identifier: AGPL-3.0-only

package sessiontest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// everything is a change of each kind there is.
func (w *World) everything() juju.Changes {
	return juju.Changes{
		Secrets:   []juju.Secret{applicationSecret("key one")},
		Relations: []juju.RelationChange{w.change(juju.Bag{"ca": "PEM"}, juju.Bag{"chain": "PEMs"})},
		State:     map[string]string{"ledger": "head"},
		Version:   "1.2.3",
		Status:    &juju.Status{Level: juju.Active, Message: "1 certificate"},
	}
}

func commitAll(w *World) {
	w.writeAs(Leader, w.Relation, map[string]string{"kept": "x"}, map[string]string{"kept": "y"})
	session := w.session(Leader)
	before := w.snapshot(session)
	w.commit(session, w.everything())
	snap := w.snapshot(session)
	relation := w.relation(snap)
	require.Equal(w.t, juju.Bag{"ca": "PEM", "kept": "x"}, charmBag(relation.OwnUnit))
	require.Equal(w.t, juju.Bag{"chain": "PEMs", "kept": "y"}, relation.OwnApp)
	require.Equal(w.t, map[string]string{"ledger": "head"}, snap.State)
	require.Equal(w.t, juju.Status{Level: juju.Active, Message: "1 certificate"}, snap.Status)
	version, err := w.Model.WorkloadVersion(Leader)
	require.NoError(w.t, err)
	require.Equal(w.t, "1.2.3", version)
	secret, found := snap.Secret("authority")
	require.True(w.t, found)
	require.Equal(w.t, applicationSecret("key one").Content, secret.Content)
	require.Equal(w.t, juju.Bag{"kept": "x"}, charmBag(w.relation(before).OwnUnit), "a snapshot is a value: it does not change")
	require.NotEqual(w.t, before.Status, snap.Status)
}

func removal(w *World) {
	w.writeAs(Leader, w.Relation, map[string]string{"old": "x", "kept": "x"}, map[string]string{"old": "y"})
	session := w.session(Leader)
	w.commit(session, juju.Changes{State: map[string]string{"old": "z", "kept": "z"}})
	w.commit(session, juju.Changes{
		Relations: []juju.RelationChange{w.change(juju.Bag{"old": "", "never": ""}, juju.Bag{"old": ""})},
		State:     map[string]string{"old": "", "never": ""},
	})
	snap := w.snapshot(session)
	require.Equal(w.t, juju.Bag{"kept": "x"}, charmBag(w.relation(snap).OwnUnit))
	require.Equal(w.t, juju.Bag{}, w.relation(snap).OwnApp)
	require.Equal(w.t, map[string]string{"kept": "z"}, snap.State)
}

// odd are texts that some encoding on the way may take for something else.
func odd() map[string]string {
	texts := map[string]string{}
	for i, text := range []string{
		"yes", "~", "null", "1e3", "0x10", "0o7", "1_000", "2024-01-01", "12:30:45", "=", "<<", "!!str a", "&a", "*a", "%TAG",
		"- a", "? a", "a: b", "{a: b}", "[a]", "# a", "a #b", "'", `"`, `\`, `\n`, "|", ">", "`", "@a", "---\na: b\n...",
		" ", " a ", "\t", "\n", "a\n", "\na", "a\r\nb\r\n", "a\n\n\nb", "\x01\x02\x1b", "\x7f", "\u0085", "\u00a0", "\u2028\u2029",
		"\ufeff", "\ufffd", "\uffff", "grün", "日本語", "🔏", "<b>&amp;", "$(id)", "`id`", "${HOME}", "-r", "--help", "-",
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", `{"a":"b\u0000"}`,
	} {
		texts[fmt.Sprintf("text-%02d", i)] = text
	}
	for _, key := range []string{
		"with.dot", "with$dollar", "with space", "with:colon", "with=equals", "#hash", "-dash", "--dashes", "?", "~", "yes", "1",
		"ключ", "🔑", "{brace", `back\slash`, `"quote`, "'quote", "web_0.server.cert",
	} {
		texts[key] = "value of " + key
	}
	return texts
}

func oddValues(w *World) {
	session := w.session(Leader)
	w.writeAs(Web, w.Relation, odd(), odd())
	w.commit(session, juju.Changes{
		Secrets:   []juju.Secret{{Label: "odd label: yes", Owner: juju.OwnedByApplication, Content: oddSecret()}},
		Relations: []juju.RelationChange{w.change(odd(), odd())},
		State:     odd(),
		Status:    &juju.Status{Level: juju.Blocked, Message: "-x: \"set\" the option 'a' …"},
	})
	snap := w.snapshot(session)
	require.Equal(w.t, juju.Bag(odd()), charmBag(w.relation(snap).OwnUnit))
	require.Equal(w.t, juju.Bag(odd()), w.relation(snap).OwnApp)
	require.Equal(w.t, juju.Bag(odd()), w.relation(snap).RemoteApplication)
	require.Equal(w.t, juju.Bag(odd()), charmBag(w.relation(snap).RemoteUnits[Web]))
	require.Equal(w.t, odd(), snap.State)
	require.Equal(w.t, juju.Status{Level: juju.Blocked, Message: "-x: \"set\" the option 'a' …"}, snap.Status)
	secret, found := snap.Secret("odd label: yes")
	require.True(w.t, found)
	require.Equal(w.t, oddSecret(), secret.Content)
}

// oddSecret are the odd texts under keys that Juju allows in secrets.
func oddSecret() map[string]string {
	content := map[string]string{}
	for i, key := range slices.Sorted(maps.Keys(odd())) {
		content[fmt.Sprintf("text%03d", i)] = odd()[key]
	}
	return content
}

func largeValues(w *World) {
	session := w.session(Leader)
	large := strings.Repeat("-----BEGIN CERTIFICATE-----\n", 1<<20/28+1)
	w.writeAs(Web, w.Relation, map[string]string{"large": large}, nil)
	w.commit(session, juju.Changes{Relations: []juju.RelationChange{w.change(juju.Bag{"one": large, "two": large}, juju.Bag{"large": large})}})
	relation := w.relation(w.snapshot(session))
	for _, have := range []string{
		relation.OwnUnit["one"], relation.OwnUnit["two"], relation.OwnApp["large"], relation.RemoteUnits[Web]["large"],
	} {
		require.Len(w.t, have, len(large))
		require.Equal(w.t, large, have)
	}
}

func emptyChanges(w *World) {
	session := w.session(Leader)
	w.snapshot(session)
	before := w.traceOf(Leader)
	w.commit(session, juju.Changes{})
	require.Equal(w.t, before, w.traceOf(Leader))
}

func idempotent(w *World) {
	session := w.session(Leader)
	world := juju.World{
		Bags: map[int]juju.OwnBags{
			w.Relation: {App: juju.Bag{"chain": "PEMs"}},
			w.Peers:    {App: juju.Bag{"authority": "PEM"}},
		},
		Secrets: []juju.Secret{applicationSecret("key one")},
		State:   map[string]string{"ledger": "head"},
		Status:  juju.Status{Level: juju.Active, Message: "ready"},
	}
	changes := juju.Diff(w.snapshot(session), world)
	require.False(w.t, changes.Empty())
	w.commit(session, changes)
	before := w.traceOf(Leader)
	require.Equal(w.t, juju.Changes{}, juju.Diff(w.snapshot(session), world))
	w.commit(session, changes) // again, as after a crash: what is the same fires no hook
	require.Equal(w.t, before.Versions, w.traceOf(Leader).Versions)
	require.Len(w.t, w.Model.Secrets("signet"), 1)
}

func lostBefore(w *World) {
	session := w.session(Leader)
	require.True(w.t, w.snapshot(session).Leader)
	require.NoError(w.t, w.Model.SetLeader(Follower))
	before := w.traceOf(Leader)
	for name, changes := range map[string]juju.Changes{
		"everything": w.everything(),
		"databag":    {Relations: []juju.RelationChange{w.change(juju.Bag{"ca": "PEM"}, juju.Bag{"chain": "PEMs"})}, State: map[string]string{"a": "b"}},
		"secret":     {Secrets: []juju.Secret{applicationSecret("key one")}, State: map[string]string{"a": "b"}},
	} {
		require.ErrorIs(w.t, session.Commit(w.t.Context(), changes), juju.ErrNotLeader, name)
		require.Equal(w.t, before, w.traceOf(Leader), name)
	}
	require.Empty(w.t, w.Model.Secrets("signet"))
}

func lostDuring(w *World) {
	session := w.session(Leader)
	require.True(w.t, w.snapshot(session).Leader)
	before := w.traceOf(Leader)
	w.Model.Interpose(func(string) { _ = w.Model.SetLeader(Follower) })
	changes := w.everything()
	changes.Status = nil // a hook sets it before its other changes are made
	require.Error(w.t, session.Commit(w.t.Context(), changes))
	require.Equal(w.t, before, w.traceOf(Leader))
}

func allOrNothing(w *World) {
	session := w.session(Leader)
	w.snapshot(session)
	before := w.traceOf(Leader)
	changes := w.everything()
	changes.Status = nil
	changes.State["big"] = strings.Repeat("x", 70_000) // Juju takes 64 KiB
	require.Error(w.t, session.Commit(w.t.Context(), changes))
	require.Equal(w.t, before.Unit, w.traceOf(Leader).Unit)
	require.Equal(w.t, before.App, w.traceOf(Leader).App)
	require.Equal(w.t, before.State, w.traceOf(Leader).State)
	require.Equal(w.t, before.Versions, w.traceOf(Leader).Versions)

	delete(changes.State, "big")
	w.commit(session, changes) // the Session is as good as before
	require.Equal(w.t, map[string]string{"chain": "PEMs"}, w.Model.AppBag(w.Relation, "signet"))
}

func followerCommit(w *World) {
	session := w.session(Follower)
	w.snapshot(session)
	w.commit(session, juju.Changes{
		Relations: []juju.RelationChange{w.change(juju.Bag{"ca": "PEM"}, nil)},
		State:     map[string]string{"ledger": "head"},
		Status:    &juju.Status{Level: juju.Active},
	})
	snap := w.snapshot(session)
	require.Equal(w.t, juju.Bag{"ca": "PEM"}, charmBag(w.relation(snap).OwnUnit))
	require.Equal(w.t, map[string]string{"ledger": "head"}, snap.State)
	require.Equal(w.t, juju.Status{Level: juju.Active}, snap.Status)
	require.Empty(w.t, w.snapshot(w.session(Leader)).State, "each unit has a state of its own")
}

func notText(w *World) {
	session := w.session(Leader)
	w.snapshot(session)
	before := w.traceOf(Leader)
	for name, spoil := range map[string]func(*juju.Changes){
		"value of a databag":          func(c *juju.Changes) { c.Relations[0].Unit["ca"] = "\xff" },
		"value of an app databag":     func(c *juju.Changes) { c.Relations[0].App["ca"] = "a\xc3" },
		"key of a databag":            func(c *juju.Changes) { c.Relations[0].Unit["\xff"] = "a" },
		"empty key of a databag":      func(c *juju.Changes) { c.Relations[0].Unit[""] = "a" },
		"value of the unit state":     func(c *juju.Changes) { c.State["ledger"] = "\xff" },
		"empty key of the unit state": func(c *juju.Changes) { c.State[""] = "a" },
	} {
		changes := w.everything()
		spoil(&changes)
		require.Error(w.t, session.Commit(w.t.Context(), changes), name)
		require.Equal(w.t, before, w.traceOf(Leader), name)
	}
}
