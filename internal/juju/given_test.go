// SPDX-License-Identifier: AGPL-3.0-only

package juju_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

const (
	someID    = "9m4e2mr0ui3e8a215n4g"
	otherID   = "9m4e2mr0ui3e8a215n50"
	someModel = "0b1a2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
)

func TestAnOptionNamesASecretByItsURIAndNothingElse(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		value any
		named string
	}{
		"as Juju prints it":            {"secret:" + someID, "secret:" + someID},
		"with its model":               {"secret://" + someModel + "/" + someID, "secret://" + someModel + "/" + someID},
		"with a line's end behind it":  {" secret:" + someID + "\n", "secret:" + someID},
		"a bare ID, which may be text": {someID, ""},
		"a name":                       {"secret:vault", ""},
		"two of them":                  {"secret:" + someID + " secret:" + someID, ""},
		"text around it":               {"use secret:" + someID, ""},
		"one character too many":       {"secret:" + someID + "0", ""},
		"one too few":                  {"secret:" + someID[1:], ""},
		"capitals":                     {"secret:9M4E2MR0UI3E8A215N4G", ""},
		"a host that is no model":      {"secret://vault.example.com/" + someID, ""},
		"a model cut short":            {"secret://" + someModel[:35] + "/" + someID, ""},
		"a model of other groups":      {"secret://0b1a2c3d4-e5f-6071-8293-a4b5c6d7e8f9/" + someID, ""},
		"a model in capitals":          {"secret://0B1A2C3D-4e5f-6071-8293-a4b5c6d7e8f9/" + someID, ""},
		"no model":                     {"secret:///" + someID, ""},
		"no ID":                        {"secret://" + someModel, ""},
		"a model without slashes":      {"secret:" + someModel + "/" + someID, ""},
		"another scheme":               {"https://" + someModel + "/" + someID, ""},
		"a path below":                 {"secret:" + someID + "/2", ""},
		"nothing":                      {"", ""},
		"a number":                     {int64(7), ""},
		"a flag":                       {true, ""},
		"not set":                      {nil, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var want []string
			if c.named != "" {
				want = []string{c.named}
			}
			require.Equal(t, want, juju.SecretsNamed(map[string]any{"option": c.value}))
		})
	}
	require.Equal(t, []string{"secret:" + someID, "secret:" + otherID}, juju.SecretsNamed(map[string]any{
		"a": "secret:" + otherID, "b": "secret:" + someID, "c": "secret:" + otherID, "d": "text",
	}))
}

func TestASecretThatCannotBeReadSaysWhatToDo(t *testing.T) {
	t.Parallel()
	uri, content := "secret:"+someID, map[string]string{"token": "t"}
	for sentence, c := range map[string]struct {
		value   string
		without bool
		read    juju.Given
		want    juju.Given
	}{
		"it is readable":          {value: uri, read: juju.Given{Content: content}, want: juju.Given{Content: content}},
		"by its model's name too": {value: "secret://" + someModel + "/" + someID, read: juju.Given{Content: content}, want: juju.Given{Content: content}},
		"it is not granted":       {value: uri, read: juju.NotGranted(uri, "signet"), want: juju.Given{Problem: uri + " cannot be read by this application: run juju grant-secret " + someID + " signet"}},
		"it is not there":         {value: uri, read: juju.NoSuchSecret(uri), want: juju.Given{Problem: uri + " does not exist: run juju add-secret, and set the option to what it prints"}},
		"Juju has no secrets":     {value: uri, without: true, want: juju.Given{Problem: "this Juju has no secrets: reading " + uri + " takes Juju 3.3 or later"}},
		"it is another model's":   {value: "secret://1" + someModel[1:] + "/" + someID, want: juju.Given{Problem: uri + " cannot be read: it is another model's: run juju add-secret in this one"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			snap := juju.Snapshot{ModelUUID: someModel, CanSecrets: !c.without, Config: map[string]any{"option": c.value, "other": "text"}}
			require.NoError(t, snap.Give(func(asked string) (juju.Given, error) {
				require.Equal(t, uri, asked)
				return c.read, nil
			}))
			require.Equal(t, c.want, snap.Given[c.value])
		})
	}
	snap := juju.Snapshot{CanSecrets: true, Config: map[string]any{"option": "text"}}
	require.NoError(t, snap.Give(nil))
	require.Nil(t, snap.Given, "where no option names one, there are none")
	snap.Config["option"] = uri
	require.EqualError(t, snap.Give(func(string) (juju.Given, error) { return juju.Given{}, errors.New("gone") }), "gone")
}
