// SPDX-License-Identifier: AGPL-3.0-only

package sessiontest

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// applicationSecret is a secret of signet's to be created.
func applicationSecret(value string) juju.Secret {
	return juju.Secret{
		Label: "authority", Owner: juju.OwnedByApplication,
		Content: map[string]string{"private-key": value, "certificate": "PEM\n"},
	}
}

// onlySecret is the one secret that a snapshot of this unit shows.
func (w *World) onlySecret(unit string) juju.Secret {
	w.t.Helper()
	snap := w.snapshot(w.session(unit))
	require.Len(w.t, snap.Secrets, 1)
	return snap.Secrets[0]
}

func secretShared(w *World) {
	leader := w.session(Leader)
	w.commit(leader, juju.Changes{Secrets: []juju.Secret{applicationSecret("key one")}})
	owned := w.Model.Secrets("signet")
	require.Len(w.t, owned, 1)
	want := applicationSecret("key one")
	want.URI = owned[0].URI
	require.Equal(w.t, []juju.Secret{want}, w.snapshot(leader).Secrets)
	require.Equal(w.t, want, w.onlySecret(Follower))
}

func secretUpdate(w *World) {
	leader, follower := w.session(Leader), w.session(Follower)
	w.commit(leader, juju.Changes{Secrets: []juju.Secret{applicationSecret("key one")}})
	secret := w.snapshot(leader).Secrets[0]
	require.Equal(w.t, []juju.Secret{secret}, w.snapshot(follower).Secrets)

	updated := applicationSecret("key two")
	delete(updated.Content, "certificate")
	updated.URI = secret.URI
	w.commit(leader, juju.Changes{Secrets: []juju.Secret{updated}})
	require.Equal(w.t, []juju.Secret{updated}, w.snapshot(leader).Secrets)
	require.Equal(w.t, []juju.Secret{updated}, w.snapshot(follower).Secrets, "a snapshot shows the newest revision")
	require.Equal(w.t, 2, w.Model.Secrets("signet")[0].Latest)
}

func secretExists(w *World) {
	leader := w.session(Leader)
	for range 2 {
		w.commit(leader, juju.Changes{Secrets: []juju.Secret{applicationSecret("key one")}})
	}
	require.Len(w.t, w.Model.Secrets("signet"), 1)
	require.Equal(w.t, 1, w.Model.Secrets("signet")[0].Latest)
}

func secretOfAnotherLeader(w *World) {
	first, second := w.session(Leader), w.session(Follower)
	require.Empty(w.t, w.snapshot(first).Secrets)
	require.NoError(w.t, w.Model.SetLeader(Follower))
	w.commit(second, juju.Changes{Secrets: []juju.Secret{applicationSecret("key two")}})
	require.NoError(w.t, w.Model.SetLeader(Leader))
	changes := w.everything()
	changes.Status = nil
	before := w.traceOf(Leader)
	require.ErrorIs(w.t, first.Commit(w.t.Context(), changes), juju.ErrMoved)
	require.Equal(w.t, before, w.traceOf(Leader))
	require.Equal(w.t, applicationSecret("key two").Content, w.snapshot(first).Secrets[0].Content)
}

func secretOfUnit(w *World) {
	follower := w.session(Follower)
	w.commit(follower, juju.Changes{Secrets: []juju.Secret{
		{Label: "node", Owner: juju.OwnedByUnit, Content: map[string]string{"private-key": "mine"}},
	}})
	owned := w.Model.Secrets(Follower)
	require.Len(w.t, owned, 1)
	require.Equal(w.t, []juju.Secret{
		{URI: owned[0].URI, Label: "node", Owner: juju.OwnedByUnit, Content: map[string]string{"private-key": "mine"}},
	}, w.snapshot(follower).Secrets)
	require.Empty(w.t, w.snapshot(w.session(Leader)).Secrets)
	require.Empty(w.t, w.Model.AppBag(w.Peers, "signet"))
}

func secretKeysHidden(w *World) {
	leader := w.session(Leader)
	w.commit(leader, juju.Changes{Secrets: []juju.Secret{applicationSecret("key one")}})
	snap := w.snapshot(leader)
	peers, _ := snap.Peers()
	require.Empty(w.t, peers.OwnApp)
	require.Empty(w.t, peers.RemoteApplication)
	require.Len(w.t, w.Model.AppBag(w.Peers, "signet"), 1)

	world := juju.World{Bags: map[int]juju.OwnBags{w.Peers: {App: juju.Bag{"authority": "PEM"}}}}
	w.commit(leader, juju.Diff(snap, world))
	require.Len(w.t, w.Model.AppBag(w.Peers, "signet"), 2)
	require.Equal(w.t, "key one", w.onlySecret(Follower).Content["private-key"])
}

func secretTakeover(w *World) {
	first, second := w.session(Leader), w.session(Follower)
	w.commit(first, juju.Changes{Secrets: []juju.Secret{applicationSecret("key one")}})
	require.NoError(w.t, w.Model.SetLeader(Follower))
	snap := w.snapshot(second)
	require.Len(w.t, snap.Secrets, 1)
	w.commit(second, juju.Diff(snap, juju.World{Secrets: []juju.Secret{applicationSecret("key two")}}))
	require.Len(w.t, w.Model.Secrets("signet"), 1)
	require.Equal(w.t, "key two", w.snapshot(first).Secrets[0].Content["private-key"])
}

func secretNotInErrors(w *World) {
	session := w.session(Leader)
	for name, spoil := range map[string]func(map[string]string){
		"a key too short":  func(content map[string]string) { content["ab"] = "very-private" },
		"a key with a dot": func(content map[string]string) { content["tls.key"] = "very-private" },
		"too large":        func(content map[string]string) { content["large"] = strings.Repeat("very-private", 100_000) },
	} {
		secret := applicationSecret("very-private key")
		spoil(secret.Content)
		err := session.Commit(w.t.Context(), juju.Changes{Secrets: []juju.Secret{secret}, State: map[string]string{"ledger": "head"}})
		require.Error(w.t, err, name)
		require.NotContains(w.t, err.Error(), "very-private", name)
	}
	require.Empty(w.t, w.Model.Secrets("signet"))
	require.Empty(w.t, w.snapshot(session).State)
}
