// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestALostTransactionLeavesTheSecretsAndNothingElse(t *testing.T) {
	t.Parallel()
	m, relation := modelled(t)
	commit := Commit{
		Secrets:   SecretChanges{Creates: []SecretUpsert{{Owner: "ca", Content: map[string]string{"key": "eA=="}}}},
		Relations: []BagChange{{RelationID: relation, Unit: map[string]string{"key": "value"}}},
	}
	m.Lose(func(unit string) bool { return unit == "ca/0" })
	require.ErrorContains(t, m.Commit("ca/0", commit), "lost")
	require.Len(t, m.Secrets("ca"), 1)
	require.Empty(t, m.UnitBag(relation, "ca/0")["key"])

	m.Lose(nil)
	require.NoError(t, m.Commit("ca/0", Commit{Relations: commit.Relations}))
	require.Equal(t, "value", m.UnitBag(relation, "ca/0")["key"])
}
