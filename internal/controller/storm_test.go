// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/sandbox"
)

// seeded gives the source of random numbers that SIGNET_SEED gives again. Each connection draws from one of its own, so that
// a run is the same whatever the order in which goroutines run.
func seeded(t *testing.T) func(n int) func(int64) int64 {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SIGNET_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("SIGNET_SEED=%d", seed)
	return func(n int) func(int64) int64 { return rand.New(rand.NewPCG(seed, uint64(n))).Int64N }
}

// perSecond counts what happened in each second since a time. Its last member is the last second in which something did.
func perSecond(since time.Time, times []time.Time) []int {
	var counts []int
	for _, at := range times {
		second := int(at.Sub(since) / time.Second)
		for len(counts) <= second {
			counts = append(counts, 0)
		}
		counts[second]++
	}
	return counts
}

// A thousand agents lose a controller that stays away for five minutes, all at once. The bounds are several times what full
// jitter makes of it, and a fraction of what agents in step would.
func TestAThousandAgentsDoNotComeBackAtOnce(t *testing.T) {
	t.Parallel()
	const agents, away = 1000, 5 * time.Minute
	random := seeded(t)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		recorded := make([]*attempts, agents)
		conns := make([]*Conn, agents)
		for n := range agents {
			a := &attempts{}
			recorded[n] = a
			conns[n] = start(withDefaults(Config{Random: random(n)}), func(context.Context) (connection, error) {
				a.times = append(a.times, time.Now())
				if time.Since(began) < away {
					return nil, errors.New("refused")
				}
				return &fakeConnection{broken: make(chan error)}, nil
			})
			t.Cleanup(conns[n].Close)
		}
		time.Sleep(away + backoffCap + time.Second) // whoever failed just before waits no longer than the cap
		synctest.Wait()
		var dials []time.Time
		for n, c := range conns {
			require.NoError(t, c.Err(), "agent %d is back", n)
			dials = append(dials, recorded[n].times...)
		}
		counts := perSecond(began, dials)
		require.GreaterOrEqual(t, counts[0], agents, "all find out at once")
		back := int(away / time.Second)
		for second, count := range counts[1:] {
			second++
			bound := agents // the waits are of a few seconds
			switch {
			case second >= back:
				bound = agents / 20
			case second >= 30: // of half a minute and more
				bound = agents / 8
			case second >= 10:
				bound = agents / 3
			}
			require.LessOrEqual(t, count, bound, "second %d", second)
		}
		t.Logf("%d dials in %d s; per second at first %v; later at most %d; when it is back at most %d, over %d s",
			len(dials), len(counts), counts[:10], slices.Max(counts[30:]), slices.Max(counts[back:]), len(counts)-back)
	})
}

// Two hundred agents of one embedded controller, over Juju's own client, lose their connections at once. All are back within
// the first wait, spread over it.
func TestAFleetComesBackSpread(t *testing.T) {
	t.Parallel()
	const agents = 200
	random := seeded(t)
	synctest.Test(t, func(t *testing.T) {
		network := &sandbox.Network{}
		s := newScene(t, sandbox.Options{Network: network})
		var conns []*Conn
		for range agents - 2 {
			_, err := s.model.AddUnit("signet")
			require.NoError(t, err)
		}
		for n := range agents {
			config := s.config(fmt.Sprintf("signet/%d", n))
			config.Dial, config.Random = network.Dial, random(n)
			conns = append(conns, Start(config))
			t.Cleanup(conns[n].Close)
		}
		connected := func() (count int) {
			for _, c := range conns {
				if c.Err() == nil {
					count++
				}
			}
			return count
		}
		time.Sleep(2 * settled)
		synctest.Wait()
		require.Equal(t, agents, connected())

		before := len(network.Dials())
		began := time.Now()
		require.Equal(t, agents, s.juju.DropConnections())
		time.Sleep(backoffBase + time.Second)
		synctest.Wait()
		require.Equal(t, agents, connected(), "the first wait is a second at most")
		dials := network.Dials()[before:]
		require.Len(t, dials, agents, "one attempt each")
		tenths := make([]int, 11)
		for _, dial := range dials {
			tenths[min(int(dial.At.Sub(began)/(100*time.Millisecond)), 10)]++
		}
		t.Logf("dials in each tenth of the second: %v", tenths)
		for tenth, count := range tenths[:10] {
			require.LessOrEqual(t, count, 60, "tenth %d", tenth)
			require.Positive(t, count, "tenth %d", tenth)
		}
	})
}
