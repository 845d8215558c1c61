// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"syscall"
	"time"
)

// usedCPU is how long this process has computed, in all its threads.
func usedCPU() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// stopwatch tells how long something takes, by the clock on the wall and in computing: on a busy machine the two differ.
type stopwatch struct {
	begin time.Time
	used  time.Duration
}

func start() stopwatch { return stopwatch{time.Now(), usedCPU()} }

// figure is what was measured at a size.
func (s stopwatch) figure(size int, note string) figure {
	took, used := time.Since(s.begin), usedCPU()-s.used
	return figure{
		Value: took.Seconds(), Size: size, Details: map[string]float64{"cpu_s": used.Seconds()},
		Note: "CPU " + shown(used.Seconds(), "s") + ", " + note,
	}
}
