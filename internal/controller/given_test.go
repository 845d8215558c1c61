// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/juju/juju/rpc"
	"github.com/juju/juju/rpc/params"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

const (
	givenURI = "secret:9m4e2mr0ui3e8a215n4g"
	otherURI = "secret:9m4e2mr0ui3e8a215n40"
)

// naming is the answer to who asks for options, of which one names a secret.
func naming(uris ...string) any {
	settings := results{}
	for _, uri := range uris {
		settings["option-of-"+uri] = uri
	}
	return list(results{"settings": settings})
}

// refusing are the answers to calls about a single secret.
func refusing(message, code string) any {
	return list(results{"error": params.Error{Message: message, Code: code}})
}

func TestWhatAControllerSaysOfAGivenSecretIsItsProblem(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		answer any
		want   juju.Given
	}{
		"not granted":        {refusing("permission denied", params.CodeUnauthorized), juju.NotGranted(givenURI, "signet")},
		"not there":          {refusing(`secret "`+givenURI+`" not found`, params.CodeNotFound), juju.NoSuchSecret(givenURI)},
		"not there, Juju 4":  {refusing("secret not found", "secret not found"), juju.NoSuchSecret(givenURI)},
		"a busy database":    {refusing("database is locked", ""), juju.Unreadable(givenURI, "database is locked")},
		"a refused call":     {&rpc.RequestError{Message: "no such request"}, juju.Unreadable(givenURI, "no such request")},
		"an unknown command": {&rpc.RequestError{Message: "no such request", Code: params.CodeNotImplemented}, juju.Unreadable(givenURI, "no such request (not implemented)")},
		"content that is not base64": {
			list(results{"content": results{"data": results{"token": "hidden!"}}}), juju.Unreadable(givenURI, "its content is not base64"),
		},
		"an external back end": {
			list(results{
				"content":        results{"value-ref": results{"backend-id": "b1", "revision-id": "r1"}},
				"backend-config": results{"config": results{"type": "vault", "params": results{"token": "hidden"}}},
			}),
			juju.Unreadable(givenURI, externalBackend("vault", "b1").Error()),
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			l, fake := linkTo(t, map[string][]any{
				"Uniter.ConfigSettings":               {naming(givenURI)},
				"SecretsManager.GetSecretContentInfo": {c.answer},
			})
			var log bytes.Buffer
			l.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			snap, err := l.Snapshot(t.Context())
			require.NoError(t, err)
			require.Equal(t, map[string]juju.Given{givenURI: c.want}, snap.Given)
			require.Equal(t, 1, fake.times("SecretsManager.GetSecretContentInfo"), "it is no reason to start over")
			require.NotContains(t, snap.Given[givenURI].Problem+log.String(), "hidden")
		})
	}
}

func TestAConnectionThatBreaksIsNoProblemOfASecret(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GetConsumerSecretsRevisionInfo", "GetSecretContentInfo"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			l, _ := linkTo(t, map[string][]any{
				"Uniter.ConfigSettings": {naming(givenURI)}, "SecretsManager." + method: {rpc.ErrShutdown},
			})
			_, err := l.Snapshot(t.Context())
			require.ErrorIs(t, err, juju.ErrUnreachable)
		})
	}
}

func TestAGivenSecretIsToldAsReadOnceForEachRevision(t *testing.T) {
	t.Parallel()
	revision := func(number int) any { return list(results{"revision": number}) }
	l, fake := linkTo(t, map[string][]any{
		"Uniter.ConfigSettings":                         {naming(givenURI)},
		"SecretsManager.GetConsumerSecretsRevisionInfo": {refusing("no consumer", params.CodeNotFound), revision(1), revision(1), revision(2), revision(2)},
		"SecretsManager.GetSecretContentInfo":           {list(results{"content": results{"data": results{"token": "a2V5"}}})},
	})
	for range 5 {
		snap, err := l.Snapshot(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]juju.Given{givenURI: {Content: map[string]string{"token": "key"}}}, snap.Given)
	}
	var refreshed []bool
	for _, asked := range fake.asked["SecretsManager.GetSecretContentInfo"] {
		arg := asked.(params.GetSecretContentArgs).Args[0]
		require.NotEqual(t, arg.Refresh, arg.Peek)
		refreshed = append(refreshed, arg.Refresh)
	}
	require.Equal(t, []bool{true, true, false, true, false}, refreshed, "the second time its number is known")
}

func TestGivenSecretsAreAskedForOneByOne(t *testing.T) {
	t.Parallel()
	content := list(results{"content": results{"data": results{"token": "a2V5"}}})
	l, fake := linkTo(t, map[string][]any{
		"Uniter.ConfigSettings":               {naming(givenURI, otherURI)},
		"SecretsManager.GetSecretContentInfo": {refusing("permission denied", params.CodeUnauthorized), content},
	})
	snap, err := l.Snapshot(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]juju.Given{
		otherURI: juju.NotGranted(otherURI, "signet"), givenURI: {Content: map[string]string{"token": "key"}},
	}, snap.Given)
	for _, asked := range fake.asked["SecretsManager.GetSecretContentInfo"] {
		require.Len(t, asked.(params.GetSecretContentArgs).Args, 1)
	}
}

func TestASharedSecretThatWasNeverReadIsReadOnJuju4(t *testing.T) {
	t.Parallel()
	answers := oneRelation(list())
	answers["Uniter.RelationsStatus"] = []any{list(results{"results": []any{results{"relation-tag": "relation-signet.peers", "in-scope": true}}})}
	answers["Uniter.Relation"] = []any{list(results{
		"life": "alive", "id": 0, "key": "signet:peers", "other-application": "signet",
		"endpoint": results{"relation": results{"name": "peers", "role": "peer"}},
	})}
	answers["Uniter.ReadLocalApplicationSettings"] = []any{results{"settings": results{"secret.ca": givenURI}}}
	answers["Uniter.ReadRemoteSettings"] = []any{list(results{"settings": results{}})}
	answers["Uniter.ApplicationStatus"] = []any{refusing("permission denied", params.CodeUnauthorized)}
	answers["SecretsManager.GetConsumerSecretsRevisionInfo"] = []any{refusing("secret consumer not found", "secret consumer not found")}
	answers["SecretsManager.GetSecretContentInfo"] = []any{list(results{"content": results{"data": results{"token": "a2V5"}}})}
	l, _ := linkTo(t, answers)
	snap, err := l.Snapshot(t.Context())
	require.NoError(t, err)
	require.Equal(t, []juju.Secret{
		{URI: givenURI, Label: "ca", Owner: juju.OwnedByApplication, Content: map[string]string{"token": "key"}},
	}, snap.Secrets)
}

// TestWhatBecomesOfAGivenSecretIsNoticed also says what is not: a grant, of which Juju tells nobody.
func TestWhatBecomesOfAGivenSecretIsNoticed(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	uri, err := s.model.AddUserSecret("vault", map[string]string{"token": "one"}, "signet")
	require.NoError(t, err)
	conn := s.dial("signet/1")
	s.quiet(conn)
	is := func(want juju.Given) func(juju.Snapshot) bool {
		return func(snap juju.Snapshot) bool {
			have, found := snap.Given[uri]
			return found && have.Problem == want.Problem && have.Content["token"] == want.Content["token"]
		}
	}
	require.NoError(t, s.model.SetConfig("signet", map[string]any{"notes": uri}))
	s.told(conn, is(juju.Given{Content: map[string]string{"token": "one"}}))
	require.NoError(t, s.model.UpdateUserSecret(uri, map[string]string{"token": "two"}))
	s.told(conn, is(juju.Given{Content: map[string]string{"token": "two"}}))

	require.NoError(t, s.model.RevokeUserSecret(uri, "signet"))
	require.True(t, is(juju.NotGranted(uri, "signet"))(s.snapshot(conn)))
	require.NoError(t, s.model.UpdateUserSecret(uri, map[string]string{"token": "three"}))
	s.told(conn, is(juju.NotGranted(uri, "signet"))) // who has read it once is told, though it may not read any more
	require.NoError(t, s.model.GrantUserSecret(uri, "signet"))
	require.True(t, is(juju.Given{Content: map[string]string{"token": "three"}})(s.snapshot(conn)))

	require.NoError(t, s.model.RemoveUserSecret(uri))
	s.told(conn, is(juju.NoSuchSecret(uri)))
}
