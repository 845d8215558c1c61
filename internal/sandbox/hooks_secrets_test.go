// SPDX-License-Identifier: AGPL-3.0-only

package sandbox_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/sandbox"
)

// settableClock is a clock that a test moves.
type settableClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *settableClock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *settableClock) pass(m *sandbox.Model, span time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(span)
	c.mu.Unlock()
	m.Tick()
}

func TestSecretsRotateAndExpireByTheModelsClock(t *testing.T) {
	t.Parallel()
	clock := &settableClock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s := stageOf(t, sandbox.Options{Clock: clock.read})
	renew := true
	leader := s.add(t, "ca", sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		switch hook.Info().Name {
		case "install":
			_, err := hook.Tool("secret-add", []string{"--label", "ca", "--rotate", "hourly", "--expire", "150m", "key=one"}, nil)
			return err
		case "secret-rotate":
			if !renew {
				return nil
			}
			_, err := hook.Tool("secret-set", []string{hook.Getenv("JUJU_SECRET_ID"), "key=" + hook.Getenv("JUJU_CONTEXT_ID")}, nil)
			return err
		}
		return nil
	}))
	follower := s.add(t, "ca", quiet())
	s.settle(t)
	ran := func(passed time.Duration) []string {
		s.ForgetEvents()
		clock.pass(s.Model, passed)
		s.settle(t)
		require.Empty(t, s.Hooks(follower), "the application's secrets are the leader's affair")
		return s.Hooks(leader)
	}
	require.Empty(t, ran(time.Hour-time.Second))
	require.Equal(t, []string{"secret-rotate(ca)", "secret-remove(ca)"}, ran(time.Second), "nobody tracks what it replaced")
	require.Equal(t, 2, s.Secrets("ca")[0].Latest)
	require.Empty(t, ran(time.Hour-time.Second), "it has just been rotated")
	renew = false
	require.Equal(t, []string{"secret-rotate(ca)"}, ran(time.Second))
	require.Equal(t, []string{"secret-rotate(ca)"}, ran(5*time.Minute), "again, as the hook has done nothing")

	renew = true
	require.Equal(t, []string{"secret-rotate(ca)", "secret-remove(ca)", "secret-expired(ca)"}, ran(25*time.Minute), "revision 1 is still there")
	require.Empty(t, ran(5*time.Minute-time.Second))
	require.Equal(t, []string{"secret-expired(ca)"}, ran(time.Second))
	uri := s.Secrets("ca")[0].URI
	require.NoError(t, s.DeleteSecret(leader, sandbox.SecretDelete{URI: uri, Revisions: []int{1}}))
	require.Empty(t, ran(10*time.Minute))
}
