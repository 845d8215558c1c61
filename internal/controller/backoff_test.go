// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTheLongestWaitDoublesUpToTheCap(t *testing.T) {
	t.Parallel()
	longest := func(n int64) int64 { return n - 1 }
	for sentence, c := range map[string]struct {
		failures int
		want     time.Duration
	}{
		"the first failure waits up to a second": {0, time.Second},
		"the second up to two":                   {1, 2 * time.Second},
		"the ninth up to 256 s":                  {8, 256 * time.Second},
		"the tenth meets the cap":                {9, 5 * time.Minute},
		"so does any later one":                  {math.MaxInt, 5 * time.Minute},
		"a count that overflowed is a late one":  {-1, 5 * time.Minute},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, fullJitter(c.failures, longest))
			require.Zero(t, fullJitter(c.failures, func(int64) int64 { return 0 }), "all of the wait is random")
		})
	}
}

func TestNoWaitIsEverOutOfBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		wait := fullJitter(rapid.Int().Draw(t, "failures"), func(n int64) int64 {
			return rapid.Int64Range(0, n-1).Draw(t, "random")
		})
		require.GreaterOrEqual(t, wait, time.Duration(0))
		require.LessOrEqual(t, wait, backoffCap)
	})
}
