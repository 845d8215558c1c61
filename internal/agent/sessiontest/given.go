// SPDX-License-Identifier: AGPL-3.0-only

package sessiontest

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// addGiven makes a secret of the operator's, readable by the applications named, and has the option credentials name it.
func (w *World) addGiven(content map[string]string, apps ...string) string {
	w.t.Helper()
	uri, err := w.Model.AddUserSecret("vault", content, apps...)
	require.NoError(w.t, err)
	w.configure("credentials", uri)
	return uri
}

func (w *World) configure(option string, value any) {
	w.t.Helper()
	require.NoError(w.t, w.Model.SetConfig("signet", map[string]any{option: value}))
}

// approle is a content whose values no error and no log may hold.
func approle(secretID string) map[string]string {
	return map[string]string{"role-id": "very-private role", "secret-id": "very-private " + secretID, "note": "--- |\n%x: \u2028 grün\n"}
}

func givenRead(w *World) {
	leader, follower := w.session(Leader), w.session(Follower)
	require.Nil(w.t, w.snapshot(leader).Given, "no option names a secret")
	uri := w.addGiven(approle("one"), "signet")
	long := "secret://" + w.Model.UUID() + "/" + strings.TrimPrefix(uri, "secret:")
	w.configure("more-credentials", long)
	want := map[string]juju.Given{uri: {Content: approle("one")}, long: {Content: approle("one")}}
	for range 2 {
		require.Equal(w.t, want, w.snapshot(leader).Given)
		require.Equal(w.t, want, w.snapshot(follower).Given, "every unit reads it, not the leader alone")
	}
	require.Empty(w.t, w.snapshot(leader).Secrets, "it is the operator's, not the application's")
	w.configure("credentials", nil)
	w.configure("more-credentials", nil)
	require.Nil(w.t, w.snapshot(leader).Given)
}

func givenUpdated(w *World) {
	session := w.session(Leader)
	uri := w.addGiven(approle("one"), "signet")
	require.Equal(w.t, approle("one"), w.snapshot(session).Given[uri].Content)
	for _, secretID := range []string{"two", "three"} {
		require.NoError(w.t, w.Model.UpdateUserSecret(uri, approle(secretID)))
		for range 2 {
			require.Equal(w.t, map[string]juju.Given{uri: {Content: approle(secretID)}}, w.snapshot(session).Given)
		}
	}
}

func givenGranted(w *World) {
	session := w.session(Leader)
	uri := w.addGiven(approle("one"), "web")
	snap := w.snapshot(session)
	require.Equal(w.t, map[string]juju.Given{uri: juju.NotGranted(uri, "signet")}, snap.Given)
	require.NotContains(w.t, snap.Given[uri].Problem, "very-private")
	require.NoError(w.t, w.Model.UpdateUserSecret(uri, approle("two")))
	require.NoError(w.t, w.Model.GrantUserSecret(uri, "signet"))
	require.Equal(w.t, map[string]juju.Given{uri: {Content: approle("two")}}, w.snapshot(session).Given)
}

func givenTaken(w *World) {
	session := w.session(Leader)
	uri := w.addGiven(approle("one"), "signet")
	require.Empty(w.t, w.snapshot(session).Given[uri].Problem)
	require.NoError(w.t, w.Model.RevokeUserSecret(uri, "signet"))
	require.Equal(w.t, juju.NotGranted(uri, "signet"), w.snapshot(session).Given[uri])
	require.NoError(w.t, w.Model.UpdateUserSecret(uri, approle("two")))
	require.Equal(w.t, juju.NotGranted(uri, "signet"), w.snapshot(session).Given[uri])
	require.NoError(w.t, w.Model.GrantUserSecret(uri, "signet"))
	require.Equal(w.t, juju.Given{Content: approle("two")}, w.snapshot(session).Given[uri])
	require.NoError(w.t, w.Model.RemoveUserSecret(uri))
	require.Equal(w.t, juju.NoSuchSecret(uri), w.snapshot(session).Given[uri])
}

func givenHarmsNothing(w *World) {
	session := w.session(Leader)
	w.writeAs(Web, w.Relation, map[string]string{"unit_name": "web_0"}, nil)
	w.commit(session, juju.Changes{Secrets: []juju.Secret{applicationSecret("key one")}})
	uri := w.addGiven(approle("one"), "signet")
	before := w.snapshot(session)
	require.Len(w.t, before.Given, 1)
	ungranted, err := w.Model.AddUserSecret("other", approle("two"))
	require.NoError(w.t, err)
	for named, want := range map[string]juju.Given{
		ungranted:                     juju.NotGranted(ungranted, "signet"),
		"secret:9m4e2mr0ui3e8a215n4g": juju.NoSuchSecret("secret:9m4e2mr0ui3e8a215n4g"),
		"secret://0b1a2c3d-4e5f-6071-8293-a4b5c6d7e8f9/9m4e2mr0ui3e8a215n4g": juju.Unreadable("secret:9m4e2mr0ui3e8a215n4g",
			"it is another model's: run juju add-secret in this one"),
	} {
		w.configure("more-credentials", named)
		snap := w.snapshot(session)
		require.Equal(w.t, map[string]juju.Given{uri: {Content: approle("one")}, named: want}, snap.Given)
		require.Equal(w.t, before.Secrets, snap.Secrets)
		require.Equal(w.t, before.Relations, snap.Relations)
	}
	w.configure("more-credentials", "secret:zzzzzzzzzzzzzzzzzzzz") // which has a URI's form, and none of its checks
	snap := w.snapshot(session)
	require.Equal(w.t, approle("one"), snap.Given[uri].Content)
	require.Contains(w.t, snap.Given["secret:zzzzzzzzzzzzzzzzzzzz"].Problem, "secret:zzzzzzzzzzzzzzzzzzzz cannot be read: ")
	require.Contains(w.t, snap.Given["secret:zzzzzzzzzzzzzzzzzzzz"].Problem, "not valid")
}

func givenWithoutSecrets(w *World) {
	uri := "secret:9m4e2mr0ui3e8a215n4g"
	w.configure("credentials", uri)
	require.Equal(w.t, map[string]juju.Given{uri: juju.WithoutSecrets(uri)}, w.snapshot(w.session(Leader)).Given)
}
