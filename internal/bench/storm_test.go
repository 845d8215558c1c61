// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// storms have all units of a crowd ask at once.
func (r *run) storms(t *testing.T) {
	t.Run("legacy", func(t *testing.T) {
		s := newScene(t)
		r.storm(t, stormLegacy, s, []*crowd{s.legacyCrowd("kubernetes-worker", r.Storm)})
	})
	t.Run("requests", func(t *testing.T) {
		s := newScene(t)
		r.storm(t, stormRequests, s, []*crowd{s.requestCrowd("web", r.Storm)})
	})
	if r.Many == 0 {
		return
	}
	t.Run("many", func(t *testing.T) {
		const each = 100
		s := newScene(t)
		var crowds []*crowd
		for n := range r.Many / each {
			crowds = append(crowds, s.legacyCrowd(fmt.Sprintf("kubernetes-worker-a%d", n), each))
		}
		r.storm(t, stormMany, s, crowds)
	})
}

func (r *run) storm(t *testing.T, id string, s *scene, crowds []*crowd) {
	signet := s.place().start(t)
	signet.rest()
	size := 0
	var before []int64
	for _, c := range crowds {
		size += len(c.units)
		before = append(before, c.rewrites())
	}
	if r.profile != "" {
		require.NoError(t, os.MkdirAll(r.profile, 0o755))
		signet.tell("profile " + filepath.Join(r.profile, id))
	}
	start, calls, begin := signet.tell("read"), s.calls(), time.Now()
	for _, c := range crowds {
		c.ask(0, len(c.units))
	}
	asked := time.Since(begin)
	var err error
	for limit, rest := r.within(t), crowds; err == nil && len(rest) > 0; rest = rest[1:] {
		err = rest[0].await(limit, len(rest[0].units))
	}
	took := time.Since(begin)
	if r.profile != "" {
		signet.tell("profiled " + filepath.Join(r.profile, id))
	}
	if err != nil {
		t.Logf("not measured: %v", err)
		return
	}
	cost := signet.tell("read").since(start)
	signet.rest()
	rewrites, hooks := int64(0), int64(0)
	for i, c := range crowds {
		of := c.rewrites() - before[i]
		rewrites += of
		hooks += of * int64(len(c.units))
	}
	certificates := size
	if !crowds[0].requests {
		certificates *= 2
	}
	r.put(id, figure{Value: took.Seconds(), Size: size, Details: map[string]float64{
		"asked_s": asked.Seconds(), "cpu_s": cost.CPU.Seconds(), "turns": float64(cost.Turns), "commits": float64(cost.Commits),
		"calls": float64(s.callsSince(calls)), "allocations": float64(cost.Mallocs), "allocated_bytes": float64(cost.Allocated),
		"sent_bytes": float64(cost.Sent), "received_bytes": float64(cost.Received),
		"disk_bytes": float64(cost.Written), "disk_syncs": float64(cost.Syncs), "certificates": float64(certificates),
	}, Note: fmt.Sprintf("%s certificates/s, %d turns, agent's CPU %s s, %s syncs", shown(float64(certificates)/took.Seconds(), ""),
		cost.Turns, shown(cost.CPU.Seconds(), ""), thousands(int(cost.Syncs)))})
	r.put(id+writesSuffix, figure{Value: float64(rewrites), Size: size, Details: map[string]float64{"hooks": float64(hooks)},
		Note: thousands(int(hooks)) + " hooks of consumers"})
}
