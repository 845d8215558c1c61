// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// A relation that stirs keeps what was read of it, one at rest only that it is at rest, and one that is gone nothing.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	t.Parallel()
	var memory Memory
	fill := func(relation, results int) *relationMemory {
		filled := memory.of(relation)
		for n := range results {
			filled.shelves.Put(strconv.Itoa(n), juju.Bag{})
		}
		return filled
	}
	stirring, resting := fill(1, 10), fill(2, manyResults-15)
	fill(3, 10)
	resting.rest, resting.rested = &rest{}, restful
	longer := fill(4, 5)
	longer.rest, longer.rested = &rest{}, restful+1
	snap := juju.Snapshot{Relations: []juju.Relation{{ID: 1}, {ID: 2}, {ID: 4}}}

	memory.pass(snap)
	require.NotContains(t, memory.relations, 3)
	require.Equal(t, manyResults-15, memory.of(2).Len(), "there is room for it")

	fill(1, 11)
	memory.pass(snap)
	require.Same(t, stirring, memory.of(1))
	require.Zero(t, memory.of(4).Len(), "who has been at rest for longest goes first")
	require.Same(t, resting, memory.of(2), "which makes room enough")

	fill(1, 100)
	memory.pass(snap)
	require.Zero(t, memory.of(2).Len())
	require.Same(t, resting.rest, memory.of(2).rest)
	memory.pass(snap)
	require.Equal(t, 100, memory.of(1).Len())
}
