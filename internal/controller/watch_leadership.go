// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/juju/juju/api/agent/leadership"
)

// The times of watching leadership.
const (
	leaderSettle  = time.Second      // a released lease is taken by some unit agent within this, mostly
	leaderLongest = 30 * time.Second // between two looks at a lease that nobody takes
	leaderRecheck = time.Minute      // a release between two ticks of the lease manager goes unsaid
)

// watchLeadership notices when the unit becomes the leader or ceases to be. The lease's release can be waited for; who
// took it then cannot, and is asked a moment later, while the next release is already waited for.
func (w *watch) watchLeadership(leader bool) {
	for settle := leaderSettle; ; {
		began := time.Now()
		released := w.leadershipReleased()
		for held, wait := true, settle; held; wait = leaderRecheck {
			var err error
			if held, err = w.awaitRelease(released, wait); err != nil {
				w.fail(fmt.Errorf("cannot watch leadership: %w", err))
				return
			}
			switch {
			case held:
			case time.Since(began) > settle:
				settle = leaderSettle
			default: // nobody held it to begin with: asking must not become a loop
				if !sleep(w.ctx, settle) {
					return
				}
				settle = min(2*settle, leaderLongest)
			}
			now, err := w.leader()
			if err != nil {
				w.fail(err)
				return
			}
			if !held || now != leader {
				w.memory.doubtApps() // whoever had it in between may have written
			}
			if now != leader {
				leader = now
				w.notify()
			}
		}
	}
}

// awaitRelease waits for a lease's release, and reports true when it is still held after so long.
func (w *watch) awaitRelease(released <-chan error, long time.Duration) (held bool, err error) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case err := <-released:
		return false, err
	case <-timer.C:
		return true, nil
	case <-w.ctx.Done():
		return true, context.Cause(w.ctx)
	}
}

// leadershipReleased waits for the end of the application's present lease, whoever holds it. The channel gets one value.
func (w *watch) leadershipReleased() <-chan error {
	released := make(chan error, 1)
	w.run(func() {
		released <- leadership.NewClient(w.api).BlockUntilLeadershipReleased(w.app.Id(), nil)
	})
	return released
}
