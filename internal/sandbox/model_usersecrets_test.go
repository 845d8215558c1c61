// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAUserSecretIsReadByThoseItIsGrantedTo(t *testing.T) {
	t.Parallel()
	m, _ := modelled(t)
	uri, err := m.AddUserSecret("token", map[string]string{"token": "s3cret"}, "ca")
	require.NoError(t, err)
	read := func(unit string) (map[string]string, error) {
		return m.SecretContent(unit, SecretQuery{URI: uri, Refresh: true})
	}
	_, err = read("ca/1")
	require.NoError(t, err)
	_, err = read("etcd/0")
	require.EqualError(t, err, "permission denied")
	plain, err := m.RevealSecret(uri)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"token": "s3cret"}, plain)

	require.NoError(t, m.GrantUserSecret("token", "etcd", "ca"), "by its name, and again")
	content, err := read("etcd/0")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"token": "czNjcmV0"}, content)
	for range 2 {
		require.NoError(t, m.RevokeUserSecret(uri, "ca"))
	}
	_, err = read("ca/1")
	require.EqualError(t, err, "permission denied")
	require.NoError(t, m.RemoveUserSecret("token"))
	_, err = read("etcd/0")
	require.EqualError(t, err, `secret "`+uri+`" not found`)
	require.Empty(t, m.Secrets(""))
}

func TestAUserSecretThatIsUpdatedHasANewRevision(t *testing.T) {
	t.Parallel()
	m, _ := modelled(t)
	uri, err := m.AddUserSecret("token", map[string]string{"token": "one"}, "ca")
	require.NoError(t, err)
	_, err = m.SecretContent("ca/0", SecretQuery{URI: uri})
	require.NoError(t, err)
	require.Equal(t, map[string]int{uri: 1}, m.consumed("ca/0"))
	require.NoError(t, m.UpdateUserSecret(uri, map[string]string{"token": "one"}), "the same is no news")
	require.Equal(t, map[string]int{uri: 1}, m.consumed("ca/0"))
	require.NoError(t, m.UpdateUserSecret("token", map[string]string{"token": "two"}))
	require.Equal(t, map[string]int{uri: 2}, m.consumed("ca/0"))

	content, err := m.SecretContent("ca/0", SecretQuery{URI: uri})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"token": "b25l"}, content, "until it asks to refresh")
	for number, want := range map[int]string{0: "two", 1: "one", 2: "two"} {
		plain, err := m.RevealRevision(uri, number)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"token": want}, plain)
	}
	_, err = m.RevealRevision(uri, 3)
	require.EqualError(t, err, "secret revision 3 not found")
}

func TestWhatAnOperatorGetsWrongIsRefusedAsJujuDoes(t *testing.T) {
	t.Parallel()
	const absent = "secret:9m4e2mr0ui3e8a215n4g"
	some := map[string]string{"token": "hidden"}
	for sentence, c := range map[string]struct {
		do   func(m *Model, uri string) error
		want string
	}{
		"a name that is taken": {
			func(m *Model, _ string) error { _, err := m.AddUserSecret("token", some); return err }, `secret with name "token" already exists`,
		},
		"no content": {
			func(m *Model, _ string) error { _, err := m.AddUserSecret("other", nil); return err }, `cannot add secret "other": empty secret value not valid`,
		},
		"a key too short": {
			func(m *Model, _ string) error {
				_, err := m.AddUserSecret("other", map[string]string{"id": "hidden"})
				return err
			},
			`cannot add secret "other": key "id" not valid`,
		},
		"a grant from the start to nobody": {
			func(m *Model, _ string) error { _, err := m.AddUserSecret("other", some, "nobody"); return err },
			`invalid subject reference: application "nobody" not found`,
		},
		"a grant to nobody": {
			func(m *Model, uri string) error { return m.GrantUserSecret(uri, "nobody") },
			`cannot change access to "URI" for "nobody": invalid subject reference: application "nobody" not found`,
		},
		"a grant of nothing": {
			func(m *Model, _ string) error { return m.GrantUserSecret(absent, "ca") },
			`cannot change access to "` + absent + `" for "ca": secret "` + absent + `" not found`,
		},
		"a name that is none": {func(m *Model, _ string) error { return m.RemoveUserSecret("other") }, `secret "other" not found`},
		"an update of nothing": {
			func(m *Model, _ string) error { return m.UpdateUserSecret(absent, some) }, `secret "` + absent + `" not found`,
		},
		"an update with nothing": {
			func(m *Model, uri string) error { return m.UpdateUserSecret(uri, nil) }, `cannot update secret "URI": empty secret value not valid`,
		},
		"an application's secret": {
			func(m *Model, _ string) error {
				if err := m.CreateSecret("ca/0", SecretUpsert{Owner: "ca/0", Content: map[string]string{"key": "YQ=="}}); err != nil {
					return err
				}
				return m.UpdateUserSecret(m.Secrets("ca/0")[0].URI, some)
			},
			"permission denied",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			m, _ := modelled(t)
			uri, err := m.AddUserSecret("token", map[string]string{"token": "s3cret"})
			require.NoError(t, err)
			before := m.Secrets("")
			require.EqualError(t, c.do(m, uri), strings.ReplaceAll(c.want, "URI", uri))
			require.Equal(t, before, m.Secrets(""))
		})
	}
	m := newModel(Options{NoSecrets: true, Clock: time.Now})
	_, err := m.AddUserSecret("token", some)
	require.EqualError(t, err, `cannot add secret "token": user secrets not supported`)
}
