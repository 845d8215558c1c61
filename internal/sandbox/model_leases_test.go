// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/juju/juju/core/leadership"
	"github.com/stretchr/testify/require"
)

// inTime runs a test on the model of related, in a time of its own that passes when the test sleeps.
func inTime(t *testing.T, test func(t *testing.T, m *Model)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, _ := modelled(t)
		defer m.stopAlarm()
		test(t, m)
	})
}

func TestNobodyLeadsUntilSomebodyClaims(t *testing.T) {
	t.Parallel()
	for sentence, end := range map[string]func(*Model) error{
		"the leader is removed":      func(m *Model) error { return m.RemoveUnit("ca/0") },
		"the leader's lease is gone": func(m *Model) error { m.DropLeader("ca"); return nil },
		"the leader's agent dies": func(m *Model) error {
			err := m.Attend("ca/0", false)
			time.Sleep(leaseLength)
			return err
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			inTime(t, func(t *testing.T, m *Model) {
				require.Equal(t, "ca/0", m.Leader("ca"))
				require.NoError(t, end(m))
				require.Empty(t, m.Leader("ca"))
				require.ErrorContains(t, m.CheckLeader("ca/1"), `"ca/1" is not leader of "ca"`)
				name, err := m.AddUnit("ca")
				require.NoError(t, err)
				require.Empty(t, m.Leader("ca"), "a new unit's agent is not there yet")
				require.NoError(t, m.ClaimLeadership(name, "ca", name, leaseLength))
				require.Equal(t, name, m.Leader("ca"))
			})
		})
	}
}

func TestALeaseLastsAsLongAsClaimed(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, m *Model) {
		claim := func(unit string, span time.Duration) error { return m.ClaimLeadership(unit, "ca", unit, span) }
		m.DropLeader("ca")
		require.NoError(t, claim("ca/1", leaseLength))
		require.ErrorIs(t, claim("ca/0", leaseLength), leadership.ErrClaimDenied)
		time.Sleep(leaseRenew)
		require.NoError(t, claim("ca/1", leaseLength), "the leader prolongs its lease")
		time.Sleep(leaseRenew)
		require.ErrorIs(t, claim("ca/0", leaseLength), leadership.ErrClaimDenied)
		require.NoError(t, claim("ca/1", 5*time.Second), "and may cut it short")
		time.Sleep(5*time.Second - time.Nanosecond)
		require.Equal(t, "ca/1", m.Leader("ca"))
		time.Sleep(time.Nanosecond)
		require.Empty(t, m.Leader("ca"))
		require.NoError(t, claim("ca/0", leaseLength))
	})
}

func TestAClaimBesideTheAgentsIsNoMoreThanItAsksFor(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, m *Model) {
		require.NoError(t, m.Attend("ca/0", true))
		require.NoError(t, m.ClaimLeadership("ca/0", "ca", "ca/0", leaseRenew))
		time.Sleep(time.Hour)
		require.Equal(t, "ca/0", m.Leader("ca"), "its agent has renewed in time")
		require.NoError(t, m.ClaimLeadership("ca/0", "ca", "ca/0", 10*time.Second))
		time.Sleep(10 * time.Second)
		require.Empty(t, m.Leader("ca"), "its agent would have renewed too late")
	})
}

func TestWhoWaitsForTheReleaseIsToldOfThatOnly(t *testing.T) {
	t.Parallel()
	for sentence, release := range map[string]func(*Model){
		"the lease runs out": func(*Model) { time.Sleep(leaseLength) },
		"the lease is gone":  func(m *Model) { m.DropLeader("ca") },
		"another unit leads": func(m *Model) { _ = m.SetLeader("ca/1") },
		"the leader is removed and another claims at once": func(m *Model) {
			_ = m.RemoveUnit("ca/0")
			m.TrackLeadership("ca/1")
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			inTime(t, func(t *testing.T, m *Model) {
				m.DropLeader("ca")
				require.NoError(t, m.AwaitLeadershipReleased(t.Context(), "ca/1", "ca"), "it is free")
				require.NoError(t, m.ClaimLeadership("ca/0", "ca", "ca/0", leaseLength))
				told := make(chan error, 1)
				go func() { told <- m.AwaitLeadershipReleased(t.Context(), "ca/1", "ca") }()
				time.Sleep(leaseRenew)
				require.NoError(t, m.ClaimLeadership("ca/0", "ca", "ca/0", leaseLength))
				require.NoError(t, m.SetConfig("ca", map[string]any{"days": 7}))
				time.Sleep(leaseLength - time.Nanosecond)
				synctest.Wait()
				require.Empty(t, told)
				release(m)
				synctest.Wait()
				require.Len(t, told, 1)
				require.NoError(t, <-told)
			})
		})
	}
}

func TestWaitingForTheReleaseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	m, _ := modelled(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, m.AwaitLeadershipReleased(ctx, "ca/1", "ca"), leadership.ErrBlockCancelled)
	require.ErrorContains(t, m.AwaitLeadershipReleased(t.Context(), "etcd/0", "ca"), "permission denied")
}

func TestAClockThatATestMovesIsLookedAtWhenItSaysSo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := newModel(Options{ModelName: "test", Clock: func() time.Time { return now }})
	defer m.stopAlarm()
	related(t, m)
	require.NoError(t, m.Attend("ca/0", false))
	changed := m.Changed()
	now = now.Add(leaseLength)
	m.Tick()
	<-changed
	require.Empty(t, m.Leader("ca"))
}
