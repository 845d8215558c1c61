// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"slices"
	"sync"
	"time"
)

// Turns is what was counted of a unit's turns since its agent started.
type Turns struct {
	Worked, Failed uint64
	Failing        bool          // the last one failed
	Took           time.Duration // all of them together
	Within         []uint64      // how many took no longer than each of TurnBounds
}

// TurnBounds are the times that turns are sorted by: an idle one takes milliseconds, one that issues for thousands minutes.
func TurnBounds() []time.Duration {
	return []time.Duration{
		time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute,
	}
}

// tally counts turns. It takes the place of nothing that a turn does, and costs it no more than an addition.
type tally struct {
	mu    sync.Mutex // guards what follows
	turns Turns
}

// count notes a turn that is over.
func (t *tally) count(took time.Duration, failed bool) {
	bounds := TurnBounds()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.turns.Within == nil {
		t.turns.Within = make([]uint64, len(bounds))
	}
	if failed {
		t.turns.Failed++
	} else {
		t.turns.Worked++
	}
	t.turns.Failing = failed
	t.turns.Took += took
	for i, bound := range bounds {
		if took <= bound {
			t.turns.Within[i]++
		}
	}
}

// Turns tells what was counted. It is safe for concurrent use, also with turns.
func (u *Unit) Turns() Turns {
	u.tally.mu.Lock()
	defer u.tally.mu.Unlock()
	turns := u.tally.turns
	turns.Within = slices.Clone(turns.Within)
	if turns.Within == nil {
		turns.Within = make([]uint64, len(TurnBounds()))
	}
	return turns
}
