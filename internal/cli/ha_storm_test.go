// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/sandbox"
)

// The controller fails in all kinds of ways at random moments, for a time, while consumers ask for things and leadership
// moves. When it is well again everybody is served, and all holds that the judgement asks for. SIGNET_SOAK says for how long
// (3s), and SIGNET_SEED repeats a run's choices.
func TestWhateverTheControllerDoesNothingIsLost(t *testing.T) {
	t.Parallel()
	long := 3 * time.Second
	if text := os.Getenv("SIGNET_SOAK"); text != "" {
		var err error
		long, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	seed := fromEnvironment(t, "SIGNET_SEED", uint64(time.Now().UnixNano()))
	t.Logf("SIGNET_SOAK=%s SIGNET_SEED=%d", long, seed)
	s := &storm{chaos: &chaos{cluster: runningCluster(t), random: rand.New(rand.NewPCG(seed, 0)), done: map[string]int{}}}
	names := s.names()
	rounds, slowest := 0, time.Duration(0)
	for began := time.Now(); time.Since(began) < long || rounds == 0; rounds++ {
		for range 1 + s.random.IntN(3) {
			s.stir()
			s.wait()
			s.fail(names[s.random.IntN(len(names))])
			s.stir()
			s.wait()
		}
		healed := time.Now()
		s.heal()
		s.agentsServe()
		took := time.Since(healed)
		slowest = max(slowest, took)
		s.judge()
		if took > backedOff {
			s.restartAgents()
		}
	}
	s.rest()
	s.judge()
	faulty, err := printInventory(s.within(), &bytes.Buffer{}, s.inventory(), installedJudges())
	require.NoError(t, err)
	require.Zero(t, faulty)
	t.Logf("%d rounds; the slowest was served after %s; %v; %s", rounds, slowest.Round(time.Millisecond), s.done, s.wasted())
}

// backedOff is when agents are started anew: whose connections break again and again within a minute wait ever longer, up to
// five minutes, and this story has no time for that.
const backedOff = 5 * time.Second

func (s *storm) restartAgents() {
	s.t.Helper()
	s.note("agents restarted")
	for _, unit := range s.model().Units("signet") {
		s.killAgent(unit)
	}
	s.startAgents()
}

// storm is a cluster to whose controller things happen.
type storm struct{ *chaos }

// names are those of all faults, in order.
func (s *storm) names() []string {
	var names []string
	for name := range s.faults() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (s *storm) faults() map[string]func() error {
	control := s.controller
	return map[string]func() error{
		"connections break":     func() error { control.DropConnections(); return nil },
		"connections refused":   func() error { control.DropConnections(); return control.CloseListener() },
		"logins refused":        func() error { control.RefuseLogins(true); control.DropConnections(); return nil },
		"HTTP 503":              func() error { control.AnswerHTTP(503, ""); control.DropConnections(); return nil },
		"slow":                  func() error { control.Slow(1000, time.Millisecond); return nil },
		"certificate renewed":   func() error { control.DropConnections(); return control.RenewCertificate() },
		"another CA":            func() error { control.DropConnections(); return control.SwapCertificate() },
		"another address":       control.Move,
		"passwords rotated":     s.rotate,
		"calls lost":            func() error { s.tamper(sandbox.Lost); return nil },
		"answers lost":          func() error { s.tamper(sandbox.Unanswered); return nil },
		"watchers end, or echo": func() error { s.tamperWatchers(); return nil },
	}
}

func (s *storm) fail(name string) {
	s.t.Helper()
	s.note(name)
	require.NoError(s.t, s.faults()[name](), name)
}

// heal ends all faults.
func (s *storm) heal() {
	s.t.Helper()
	s.controller.RefuseLogins(false)
	s.controller.AnswerHTTP(0, "")
	s.controller.Slow(0, 0)
	s.controller.Tamper(nil)
	require.NoError(s.t, s.controller.Reopen())
	require.NoError(s.t, s.controller.RewriteAgentConfs())
}

func (s *storm) rotate() error {
	for _, unit := range s.model().Units("signet") {
		if err := s.controller.RotatePassword(unit); err != nil {
			return err
		}
	}
	return nil
}

// tamper has one call in twenty meet a fate.
func (s *storm) tamper(fate sandbox.Fate) {
	sometimes := s.sometimes(20)
	s.controller.Tamper(func(call sandbox.Call) sandbox.Fate {
		if call.Method != "Next" && sometimes() {
			return fate
		}
		return sandbox.Answered
	})
}

// tamperWatchers has one event in three come twice, and one watcher in ten end.
func (s *storm) tamperWatchers() {
	often, seldom := s.sometimes(3), s.sometimes(10)
	s.controller.Tamper(func(call sandbox.Call) sandbox.Fate {
		switch {
		case call.Method != "Next":
			return sandbox.Answered
		case seldom():
			return sandbox.Stopped
		case often():
			return sandbox.Doubled
		}
		return sandbox.Answered
	})
}

// sometimes is true once in so many times, at random. It may be asked by many at once.
func (s *storm) sometimes(once int) func() bool {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(s.random.Uint64(), 0))
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(once) == 0
	}
}
