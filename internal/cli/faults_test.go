// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/juju"
)

// fault is what is wrong with the machine, and what its operator is told to do.
type fault struct {
	err  error
	next string
	hits func(disk.Op) bool
}

func everything(disk.Op) bool { return true }

func faults() map[string]fault {
	fills := func(op disk.Op) bool {
		return op.Kind == disk.Create || op.Kind == disk.Append || op.Kind == disk.Mkdir
	}
	return map[string]fault{
		"the disk is full":              {syscall.ENOSPC, "free space there", fills},
		"the quota is used up":          {syscall.EDQUOT, "free space there", fills},
		"the disk is broken":            {syscall.EIO, "look at the disk", everything},
		"the disk does not sync":        {syscall.EIO, "look at the disk", func(op disk.Op) bool { return op.Kind == disk.Sync }},
		"the disk is read-only":         {syscall.EROFS, "mount it writable", everything},
		"there are no file handles":     {syscall.EMFILE, "raise the limit of open files", everything},
		"the folder is somebody else's": {syscall.EACCES, "let the charm's user in", everything},
	}
}

// stricken has each operation that a fault hits fail while it lasts, from when the process runs.
func (p *play) stricken(f fault, lasts *bool) {
	p.system = func(op disk.Op) error {
		if p.unit != nil && *lasts && f.hits(op) {
			return &fs.PathError{Op: string(op.Kind), Path: op.Path, Err: f.err}
		}
		return p.out.disk(op)
	}
	require.NoError(p.t, p.start())
}

// says holds the unit's status to naming a path of the machine's, what is wrong there, and the next step.
func (p *play) says(what, next string) {
	p.t.Helper()
	require.Contains(p.t, []juju.Level{juju.Blocked, juju.Waiting}, p.snap.Status.Level, p.snap.Status.Message)
	for _, part := range []string{p.dir, what, next} {
		require.Contains(p.t, p.snap.Status.Message, part)
	}
}

// What is wrong with the machine ends each turn without harm. The unit's status names the path and the next step, and when
// the fault has gone, the unit comes by itself to where it would have been.
func TestFaultsOfTheMachineAreShownAndPass(t *testing.T) {
	t.Parallel()
	for _, flow := range []string{"more certificates", "renewal", "a consumer's swap", "first certificates"} {
		for sentence, f := range faults() {
			t.Run(flow+": "+sentence, func(t *testing.T) {
				t.Parallel()
				p, f := newPlay(t), f
				whole := p.undisturbed(flows()[flow])
				p.set(whole.begin)
				p.out.disturb(0, way{})
				lasts := true
				p.stricken(f, &lasts)
				p.struck = func(p *play) {
					for range 3 {
						outcome, err := p.take(nil)
						require.NoError(t, err, "a hook that fails hides the reason")
						p.judgeNow()
						p.says(f.err.Error(), f.next)
						require.Equal(t, p.snap.Status, outcome.Status)
						require.False(t, outcome.Wake.IsZero() || outcome.Wake.After(p.now.Add(5*time.Minute)), "it tries again soon")
					}
					lasts = false
				}
				whole.flow.steps(p)
				require.Nil(t, p.struck)
				require.Empty(t, differences(whole.end, p.rest()))
			})
		}
	}
}
