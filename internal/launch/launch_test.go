// SPDX-License-Identifier: AGPL-3.0-only

package launch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/launch"
)

// The one test of this process' own setting, which is why it is not parallel.
func TestTheCollectorRunsAsUsualWhenTheLaunchIsOver(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set, and kept")
	}
	require.Equal(t, 200, debug.SetGCPercent(200))
	launch.Over()
	require.Equal(t, 100, debug.SetGCPercent(100))
	launch.Stay()
	require.Equal(t, 50, debug.SetGCPercent(100))
}

// The program says itself when it collects. If this fails, more is allocated before main begins than before, or something
// allocates before package launch is initialised.
func TestNothingIsCollectedBeforeTheProgramBegins(t *testing.T) {
	t.Parallel()
	signet := filepath.Join(t.TempDir(), "signet")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", signet, "../../cmd/signet")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	for setting, collected := range map[string]bool{"": false, "GOGC=off": false, "GOGC=400": false, "GOGC=1": true} {
		command := exec.CommandContext(t.Context(), signet, "version")
		command.Env = append(os.Environ(), "GODEBUG=gctrace=1", setting)
		output, err := command.CombinedOutput()
		require.NoError(t, err, "%s", output)
		require.Contains(t, string(output), "signet ")
		require.Equal(t, collected, strings.Contains(string(output), "gc 1 @"), "%s: %s", setting, output)
	}
}
