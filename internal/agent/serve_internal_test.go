// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"log/slog"
	"testing"
	"testing/synctest"
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

// Who wakes at once is let rest, lest what goes wrong does so without end; only a turn that did its share is not, for others
// wait for theirs.
func TestAShareThatWasDoneIsFollowedAtOnce(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	s := Service{Unit: &Unit{Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}}
	for sentence, c := range map[string]struct {
		outcome Outcome
		want    time.Duration
	}{
		"nothing is due":              {Outcome{}, 24 * time.Hour},
		"something is due later":      {Outcome{Wake: now.Add(time.Minute)}, time.Minute},
		"something is due now":        {Outcome{Wake: now}, time.Second},
		"others wait for their share": {Outcome{Wake: now, Unfinished: true}, 0},
	} {
		failures := 3
		require.Equal(t, c.want, s.rest(c.outcome, nil, &failures), sentence)
		require.Zero(t, failures)
	}
}

// It rests once, and goes on waiting for what it waited for.
func TestWhoWaitsRestsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rests := 0
		service := &Service{Idle: func() { rests++ }, Changes: make(chan struct{})}
		began := time.Now()
		asked, woken, rested := service.await(t.Context(), time.After(time.Hour), time.After(idleAfter))
		require.Empty(t, asked)
		require.False(t, woken)
		require.True(t, rested)
		require.Equal(t, 1, rests)
		require.Equal(t, time.Hour, time.Since(began))
	})
}
