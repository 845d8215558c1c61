// SPDX-License-Identifier: AGPL-3.0-only

package memo_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/memo"
)

func TestAResultIsWorkedOutOnce(t *testing.T) {
	t.Parallel()
	var doubled memo.Of[int, int]
	worked := 0
	for range 3 {
		require.Equal(t, 8, doubled.Get(4, func() int { worked++; return 8 }))
		doubled.Pass()
	}
	require.Equal(t, 1, worked)
	found, known := doubled.Find(4)
	require.True(t, known)
	require.Equal(t, 8, found)
	_, known = doubled.Find(5)
	require.False(t, known)
}

// In each pass the same thousand results are used, and ten that are never used again.
func TestWhatNobodyAsksForIsForgotten(t *testing.T) {
	t.Parallel()
	var same memo.Of[int, int]
	worked := 0
	const lasting, passes, passing = 1000, 1000, 10
	for pass := range passes {
		for n := range lasting {
			same.Get(n, func() int { worked++; return n })
		}
		for n := range passing {
			same.Get(lasting+pass*passing+n, func() int { return n })
		}
		same.Pass()
	}
	require.Equal(t, lasting, worked, "what is asked for in each pass is never worked out again")
	require.Less(t, same.Len(), 2*lasting)
}
