// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// fakeConnection lives until it is broken, or for as long as life says.
type fakeConnection struct {
	broken chan error
	life   time.Duration // zero: until broken
}

func (f *fakeConnection) Snapshot(context.Context) (juju.Snapshot, error) {
	return juju.Snapshot{Unit: "signet/0"}, nil
}

func (f *fakeConnection) Commit(context.Context, juju.Changes) error { return nil }
func (f *fakeConnection) Confirm(context.Context, juju.Snapshot, juju.Changes) error {
	return nil
}

func (f *fakeConnection) Serve(ctx context.Context, notify func()) error {
	notify()
	var end <-chan time.Time
	if f.life > 0 {
		end = time.After(f.life)
	}
	select {
	case err := <-f.broken:
		return err
	case <-end:
		return errors.New("cut")
	case <-ctx.Done():
		return nil
	}
}

// attempts records when connections were attempted, and has each go as the script says; after its end all fail.
type attempts struct {
	script []func() (connection, error)
	times  []time.Time
}

func (a *attempts) connect(context.Context) (connection, error) {
	a.times = append(a.times, time.Now())
	if n := len(a.times); n <= len(a.script) {
		return a.script[n-1]()
	}
	return nil, errors.New("refused")
}

// waits are the times between attempts, in whole seconds.
func (a *attempts) waits() []int {
	var waits []int
	for i := 1; i < len(a.times); i++ {
		waits = append(waits, int(a.times[i].Sub(a.times[i-1]).Seconds()))
	}
	return waits
}

// slowest makes every wait the longest possible.
func slowest(n int64) int64 { return n - 1 }

func live(life time.Duration) func() (connection, error) {
	return func() (connection, error) { return &fakeConnection{broken: make(chan error), life: life}, nil }
}

func startFake(script ...func() (connection, error)) (*Conn, *attempts) {
	a := &attempts{script: script}
	return start(withDefaults(Config{Random: slowest}), a.connect), a
}

func TestAttemptsToConnectBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, a := startFake()
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		require.Equal(t, []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}, a.waits())
		c.Close()
	})
}

func TestAConnectionThatLivedForgetsTheFailuresBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fail := func() (connection, error) { return nil, errors.New("refused") }
		c, a := startFake(fail, fail, live(settled), fail)
		time.Sleep(3*time.Second + settled + 3*time.Second)
		synctest.Wait()
		require.Equal(t, []int{1, 2, 61, 2}, a.waits())
		c.Close()
	})
}

func TestAConnectionThatBreaksAtOnceIsBackedOffFrom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		short := live(time.Second)
		c, a := startFake(short, short, short, short)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Equal(t, []int{2, 3, 5, 9}, a.waits())
		c.Close()
	})
}

func TestEachConnectGivesOneNotice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := &fakeConnection{broken: make(chan error)}
		c, _ := startFake(func() (connection, error) { return first, nil }, live(0))
		defer c.Close()
		<-c.Watch()
		_, err := c.Snapshot(t.Context())
		require.NoError(t, err)

		first.broken <- errors.New("the cable was cut")
		synctest.Wait()
		_, err = c.Snapshot(t.Context())
		require.ErrorIs(t, err, juju.ErrUnreachable)
		require.ErrorContains(t, err, "the cable was cut")
		require.ErrorIs(t, c.Commit(t.Context(), juju.Changes{State: map[string]string{"a": "b"}}), juju.ErrUnreachable)

		<-c.Watch()
		require.NoError(t, c.Err())
		synctest.Wait()
		require.Empty(t, c.Watch(), "one notice each")
	})
}

func TestCloseEndsTheAttempts(t *testing.T) {
	t.Parallel()
	for sentence, script := range map[string][]func() (connection, error){
		"while connected":            {live(0)},
		"while waiting for the next": nil,
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, a := startFake(script...)
				synctest.Wait()
				c.Close()
				c.Close()
				time.Sleep(time.Hour)
				require.Len(t, a.times, 1)
				_, err := c.Snapshot(t.Context())
				require.ErrorIs(t, err, juju.ErrUnreachable)
				require.ErrorContains(t, err, "closed")
			})
		})
	}
}

func TestCommittingNothingNeedsNoConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := startFake()
		defer c.Close()
		require.NoError(t, c.Commit(t.Context(), juju.Changes{}))
	})
}
