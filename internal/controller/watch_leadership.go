// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
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
	settle := leaderSettle
	for {
		asked := time.Now()
		released := w.leadershipReleased()
		wait := settle
		for held := true; held; wait = leaderRecheck {
			timer := time.NewTimer(wait)
			select {
			case err := <-released:
				if err != nil {
					w.fail(fmt.Errorf("cannot watch leadership: %w", err))
					timer.Stop()
					return
				}
				held = false
				// Nobody holds the lease: a unit that led does so no more, and asking at a lease's end must not become a loop.
				if time.Since(asked) > settle {
					settle = leaderSettle
				} else if !sleep(w.ctx, settle) {
					timer.Stop()
					return
				} else {
					settle = min(2*settle, leaderLongest)
				}
			case <-timer.C:
			case <-w.ctx.Done():
				timer.Stop()
				return
			}
			timer.Stop()
			now, err := w.leader()
			if err != nil {
				w.fail(err)
				return
			}
			if now != leader {
				leader = now
				w.notify()
			}
		}
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
