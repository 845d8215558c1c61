// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/juju"
)

// The state lies on a real file system of 128 KiB, which somebody else's file fills up. Who is not root cannot mount one.
func TestARealDiskThatIsFullIsShownAndPasses(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	p.system = disk.Perform
	require.NoError(t, os.Mkdir(p.state(), 0o700))
	if err := syscall.Mount("signet-test", p.state(), "tmpfs", 0, "size=128k,mode=0700"); err != nil {
		t.Skipf("only root can mount the small file system that is to be filled: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(p.state(), syscall.MNT_DETACH)) })
	issued(p)
	count := p.issues()
	ballast := filepath.Join(p.state(), "ballast")
	require.ErrorIs(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600), syscall.ENOSPC)

	relation := p.relation(requestsID) // so many that they do not fit into what is left of the last block
	relation.RemoteUnits = map[string]juju.Bag{
		"web/0": relation.RemoteUnits["web/0"], "web/1": requestsBag(p, "b.example.com", "c.example.com", "d.example.com", "e.example.com"),
	}
	for range 3 {
		_, err := p.take(nil)
		require.NoError(t, err)
		p.says("no space left on device", "free space there")
		p.judgeNow()
	}
	require.NoError(t, os.Remove(ballast))
	p.settle()
	require.Equal(t, count+4, p.issues())
	require.NotContains(t, p.snap.Status.Message, "space")
}

const handlesVariable = "SIGNET_TEST_NO_HANDLES"

// A process of its own, for its limit of open files is the whole process's, runs out of them.
func TestAProcessWithoutFileHandlesShowsItAndGoesOn(t *testing.T) {
	t.Parallel()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInAProcessWithoutFileHandles$", "-test.v")
	child.Env = append(os.Environ(), handlesVariable+"=yes")
	output, err := child.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "--- PASS: TestInAProcessWithoutFileHandles")
}

func TestInAProcessWithoutFileHandles(t *testing.T) {
	if os.Getenv(handlesVariable) == "" {
		t.Skip("TestAProcessWithoutFileHandlesShowsItAndGoesOn runs this in a process of its own, whose limit it lowers")
	}
	p := newPlay(t)
	p.system = disk.Perform
	issued(p)
	count := p.issues()
	p.moreRequests()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: limit.Max}))
	for range 3 {
		_, err := p.take(nil)
		require.NoError(t, err)
		p.says("too many open files", "raise the limit of open files")
	}
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	p.settle()
	p.judgeNow()
	require.Equal(t, count+1, p.issues())
}
