// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A storm of any length is answered in a number of turns that grows with its logarithm, and then once a second.
func TestWindowsGrowUnderLoad(t *testing.T) {
	t.Parallel()
	window, turns := firstWindow, 0
	for passed := time.Duration(0); passed < 10*time.Second; turns++ {
		passed += window
		window = nextWindow(window, true)
	}
	require.LessOrEqual(t, turns, 20)
	require.Equal(t, longestWindow, window)
	require.Equal(t, firstWindow, nextWindow(window, false))
}
