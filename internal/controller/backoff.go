// SPDX-License-Identifier: AGPL-3.0-only

package controller

import "time"

// The bounds of the back-off between attempts to connect.
const (
	backoffBase = time.Second
	backoffCap  = 5 * time.Minute
)

// fullJitter gives the wait after a number of failures in a row, counted from zero: anything from nothing up to base
// times two to that number, and never more than the cap. All of the wait is random, so that the units of a model whose
// controller restarts do not come back at once. random is uniform in [0, n).
func fullJitter(failures int, random func(int64) int64) time.Duration {
	longest := backoffCap
	if failures >= 0 && failures < 32 && backoffBase<<failures < backoffCap {
		longest = backoffBase << failures
	}
	return time.Duration(random(int64(longest) + 1))
}
