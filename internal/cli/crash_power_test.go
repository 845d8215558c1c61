// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/disk/disktest"
)

// onPower has the play's disk lose, when its process dies, what a loss of power loses.
func (p *play) onPower(how disktest.Loss) {
	machine, err := disktest.NewMachine(p.dir)
	require.NoError(p.t, err)
	p.system = func(op disk.Op) error {
		return p.out.call(fmt.Sprintf("disk %s %s", op.Kind, op.Path), func() error { return machine.Do(op) })
	}
	p.died = func() {
		machine.Cut()
		require.NoError(p.t, machine.Restart(how))
		p.judgeNow()
	}
}

// The whole machine loses power before each outside call of a flow, and its disk keeps none, or any, of what was not
// synced. Juju, which is elsewhere, keeps all: what it was shown must be on the disk.
func TestEveryOutsideCallMayBeTheLastBeforePowerIsLost(t *testing.T) {
	t.Parallel()
	chosen := everyNth(t, "SIGNET_POWER_EVERY")
	var points, plays atomic.Int64
	names := []string{"first certificates", "more certificates", "a consumer's swap"}
	t.Run("flows", func(t *testing.T) {
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p, f := newPlay(t), flows()[name]
				whole := p.undisturbed(f)
				for n, what := range whole.calls {
					if !chosen(n) {
						continue
					}
					points.Add(1)
					for _, how := range []disktest.Loss{disktest.KeepsNothing(), disktest.Reorders(uint64(n))} {
						before, steps := whole.until(p, n)
						p.onPower(how)
						p.out.disturb(n+1-before, way{dies: true})
						p.playOn(steps, fmt.Sprintf("power is lost before call %d of %d, %s: %s", n+1, len(whole.calls), what, how), whole.end)
						plays.Add(1)
					}
				}
			})
		}
	})
	figure(t, "crash-power", "power lost: before %d outside calls of %d flows, with the disk's unsynced operations lost or reordered: %d plays",
		points.Load(), len(names), plays.Load())
}
