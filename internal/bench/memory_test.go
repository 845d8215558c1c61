// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

const megabyte = 1e6

// memory is what an agent takes, idle and with many units served.
func (r *run) memory(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		signet := newScene(t).place().start(t)
		signet.rest()
		r.put(memoryIdle, sizeOf(signet.tell("collect"), 0))
	})
	t.Run("served", func(t *testing.T) {
		s := newScene(t)
		c := s.legacyCrowd("kubernetes-worker", r.Served)
		empty := c.published()
		c.ask(0, r.Served)
		signet := s.place().start(t)
		if err := c.await(r.within(t), r.Served); err != nil {
			t.Logf("not measured: %v", err)
			return
		}
		signet.rest()
		found := signet.tell("collect")
		r.put(memoryMany, sizeOf(found, r.Served))
		r.put(routines, figure{Value: float64(found.Goroutines), Size: r.Served})
		r.put(bytesLegacy, figure{Value: float64(c.published()-empty) / float64(r.Served), Size: r.Served})
	})
	t.Run("requests", func(t *testing.T) {
		const units = 50
		s := newScene(t)
		c := s.requestCrowd("web", units)
		empty := c.published()
		c.ask(0, units)
		s.place().start(t)
		require.NoError(t, c.await(r.within(t), units))
		r.put(bytesRequests, figure{Value: float64(c.published()-empty) / units, Size: units})
	})
}

// sizeOf is an agent's memory after a collection. Its pages of the program's file are in RSS as well; here that is the
// test's, which is as large as the program.
func sizeOf(found reading, size int) figure {
	return figure{Value: float64(found.RSS) / megabyte, Size: size, Details: map[string]float64{
		"rss_bytes": float64(found.RSS), "peak_bytes": float64(found.Peak), "heap_bytes": float64(found.Heap),
		"held_bytes": float64(found.Taken), "goroutines": float64(found.Goroutines),
	}, Note: fmt.Sprintf("heap %s MB, held of the system's %s MB, peak %s MB", shown(float64(found.Heap)/megabyte, ""),
		shown(float64(found.Taken)/megabyte, ""), shown(float64(found.Peak)/megabyte, ""))}
}
