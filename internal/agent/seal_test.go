// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/provider"
)

func sealedWorld(content string) juju.Snapshot {
	return juju.Snapshot{
		Unit: "signet/0", ModelUUID: "uuid",
		Relations: []juju.Relation{{ID: 1, Endpoint: juju.Endpoint{Name: "peers", Role: juju.Peers}, OwnApp: juju.Bag{"authority": "clear"}}},
		Secrets: []juju.Secret{{URI: "secret:s", Label: provider.SealLabel, Owner: juju.OwnedByApplication,
			Content: map[string]string{provider.SealMember: content}}},
	}
}

const sealKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func TestSealHidesAndOpens(t *testing.T) {
	t.Parallel()
	snap := sealedWorld(sealKey)
	plain := `{"3/legacy/x":{"certificate":"C","key":"very secret"}}`
	changes := juju.Changes{Relations: []juju.RelationChange{{ID: 1, App: juju.Bag{"sealed.3.x_0": plain, "authority": "new"}}}}

	sealed, err := seal(snap, changes)
	require.NoError(t, err)
	require.Equal(t, plain, changes.Relations[0].App["sealed.3.x_0"], "the caller's changes stay as they are")
	text := sealed.Relations[0].App["sealed.3.x_0"]
	require.NotContains(t, text, "secret")
	require.Equal(t, "new", sealed.Relations[0].App["authority"])

	again, err := seal(juju.Apply(snap, sealed), changes)
	require.NoError(t, err)
	require.Equal(t, sealed, again, "an unchanged value must be the same text, or every turn would fire hooks")
	other, err := seal(snap, changes)
	require.NoError(t, err)
	require.NotEqual(t, sealed, other, "who sees two sealed values must not see whether they are one")

	opened, err := open(juju.Apply(snap, sealed))
	require.NoError(t, err)
	require.Equal(t, plain, opened.Relations[0].OwnApp["sealed.3.x_0"])
}

func TestSealedValuesCannotBeForgedOrMoved(t *testing.T) {
	t.Parallel()
	snap := sealedWorld(sealKey)
	sealed, err := seal(snap, juju.Changes{Relations: []juju.RelationChange{{ID: 1, App: juju.Bag{"sealed.3.x_0": "plain"}}}})
	require.NoError(t, err)
	text := sealed.Relations[0].App["sealed.3.x_0"]
	for name, bag := range map[string]juju.Bag{
		"under another key":  {"sealed.3.y_0": text},
		"cut short":          {"sealed.3.x_0": text[:len(text)-8]},
		"not base64":         {"sealed.3.x_0": "v1:!!"},
		"of another version": {"sealed.3.x_0": strings.Replace(text, "v1:", "v2:", 1)},
		"never sealed":       {"sealed.3.x_0": "plain"},
		"empty box":          {"sealed.3.x_0": "v1:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			moved := sealedWorld(sealKey)
			moved.Relations[0].OwnApp = bag
			opened, err := open(moved)
			require.NoError(t, err)
			require.Equal(t, bag, opened.Relations[0].OwnApp, "what cannot be opened stays as it is")
		})
	}
}

func TestNothingIsCommittedUnsealed(t *testing.T) {
	t.Parallel()
	snap := sealedWorld("")
	_, err := seal(snap, juju.Changes{Relations: []juju.RelationChange{{ID: 1, App: juju.Bag{"sealed.3.x_0": "plain"}}}})
	require.ErrorContains(t, err, "cannot seal")
	opened, err := open(sealedWorld("dG9vIHNob3J0"))
	require.ErrorContains(t, err, "not 32 bytes")
	require.Empty(t, opened.Secrets[0].Content, "the core sees a secret that it cannot read")
}
