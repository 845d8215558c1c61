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
