// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// hardenedRole has this test program harden itself and tell what it then is: see TestMain.
const hardenedRole = "signet-hardened"

// tellHardening prints what the kernel says of this process, and the mode of a file that it makes as anybody would.
func tellHardening() {
	if err := harden(); err != nil {
		os.Stdout.WriteString(err.Error())
		return
	}
	limits, _ := os.ReadFile("/proc/self/limits")
	var info os.FileInfo
	if folder, err := os.MkdirTemp("", "signet-"); err == nil {
		defer os.RemoveAll(folder)
		_ = os.WriteFile(filepath.Join(folder, "file"), nil, 0o666)
		info, _ = os.Stat(filepath.Join(folder, "file"))
	}
	os.Stdout.WriteString(string(limits) + "\nmode " + info.Mode().String() + "\n")
	if dumps, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err == nil && dumps == 0 {
		os.Stdout.WriteString("undumpable\n")
	}
}

func TestAProcessWithKeysIsClosed(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), self)
	command.Args[0] = hardenedRole
	var output bytes.Buffer
	command.Stdout = &output
	require.NoError(t, command.Run())
	told := output.String()
	require.Regexp(t, `Max core file size +0 +0 +bytes`, told)
	require.Contains(t, told, "mode -rw-------")
	require.Contains(t, told, "undumpable")
}

func TestWhoeverMayHoldKeysIsClosed(t *testing.T) {
	t.Parallel()
	for line, closed := range map[string]bool{
		"dispatch": true, "hooks/install": true, "signet hook": true, "signet agent --unit a/0": true, "signet takeover --dry-run x": true,
		"signet certs export server --key --out x": true, "signet status": false,
		"signet version": false, "signet sandbox demo": false, "signet": false, "signet --help": false,
	} {
		p := &program{args: strings.Fields(line), lookup: func(string) string { return "in a hook" }}
		require.Equal(t, closed, p.guardsKeys(), line)
	}
}
