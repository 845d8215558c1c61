// SPDX-License-Identifier: AGPL-3.0-only

package hooktool

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

const (
	givenURI = "secret:9m4e2mr0ui3e8a215n4g"
	otherURI = "secret:9m4e2mr0ui3e8a215n40"
)

func TestWhatJujuSaysOfAGivenSecretIsItsProblem(t *testing.T) {
	t.Parallel()
	unreadable := func(cause string) juju.Given { return juju.Unreadable(givenURI, cause) }
	for sentence, c := range map[string]struct {
		answer answer
		want   juju.Given
	}{
		"readable":         {answer{stdout: `{"token":"key"}`}, juju.Given{Content: map[string]string{"token": "key"}}},
		"not granted":      {answer{stderr: "permission denied"}, juju.NotGranted(givenURI, "signet")},
		"not there":        {answer{stderr: `secret "` + givenURI + `" not found`}, juju.NoSuchSecret(givenURI)},
		"not there, 4":     {answer{stderr: "secret not found"}, juju.NoSuchSecret(givenURI)},
		"not a URI":        {answer{stderr: `secret URI "x" not valid`}, unreadable(`cannot run secret-get: secret URI "x" not valid`)},
		"a back end fails": {answer{stderr: "dial tcp: no route to host"}, unreadable("cannot run secret-get: dial tcp: no route to host")},
		"a key in the complaint": {
			answer{stderr: "cannot use -----BEGIN EC PRIVATE KEY----- hidden"}, unreadable("cannot run secret-get: it did not understand its input"),
		},
		"no JSON": {answer{stdout: "hidden"}, unreadable("cannot understand the answer of secret-get: not the JSON that was asked for")},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			agent, env := fakeAgent(t, with(map[string]answer{
				"config-get":                          {stdout: `{"credentials":"` + givenURI + `","more":"` + otherURI + `"}`},
				"secret-get --refresh -- " + givenURI: c.answer, "secret-get --refresh -- " + otherURI: {stdout: `{"token":"other"}`},
			}))
			snap, err := open(t, env).Snapshot(t.Context())
			require.NoError(t, err)
			require.Equal(t, map[string]juju.Given{givenURI: c.want, otherURI: {Content: map[string]string{"token": "other"}}}, snap.Given)
			require.NotContains(t, snap.Given[givenURI].Problem, "hidden")
			require.Equal(t, 2, strings.Count(strings.Join(agent.commands(), "\n"), "secret-get"))
		})
	}
}

func TestAGivenSecretIsNotAskedForWhereJujuHasNone(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		version string
		ids     answer
	}{
		"Juju 2.9":                    {"2.9.51", answer{stdout: "null"}},
		"3.0 whose model has none":    {"3.0.0", answer{stderr: "secrets not supported"}},
		"a version that says nothing": {"", answer{stdout: "null"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			agent, env := fakeAgent(t, with(map[string]answer{
				"config-get": {stdout: `{"credentials":"` + givenURI + `"}`}, "secret-ids": c.ids,
			}))
			env.JujuVersion = c.version
			snap, err := open(t, env).Snapshot(t.Context())
			require.NoError(t, err)
			require.Equal(t, map[string]juju.Given{givenURI: juju.WithoutSecrets(givenURI)}, snap.Given)
			require.NotContains(t, strings.Join(agent.commands(), "\n"), "secret-get")
		})
	}
}

func TestAnAgentThatGoesIsNoProblemOfASecret(t *testing.T) {
	t.Parallel()
	agent, env := fakeAgent(t, with(map[string]answer{
		"is-leader":  {stdout: "false"}, // for whom the secret is the last thing to ask for
		"config-get": {stdout: `{"credentials":"` + givenURI + `"}`},
	}))
	session := open(t, env)
	agent.look = func(req Request) {
		if req.CommandName == "secret-get" {
			_ = session.client.Close()
		}
	}
	_, err := session.Snapshot(t.Context())
	require.ErrorIs(t, err, juju.ErrUnreachable)
}
