// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/sandbox"
)

// journal copies a unit's record to one of the story's files.
func (s *story) journal(_ context.Context, _ *bytes.Buffer, args []string) error {
	text, err := os.ReadFile(disk.JournalPath(s.stage.stateDir(args[0])))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.work, args[1]), text, 0o600)
}

// juju prints what a unit wrote to Juju's log since the last time.
func (s *story) juju(_ context.Context, w *bytes.Buffer, args []string) error {
	var lines []sandbox.LogLine
	for _, line := range s.stage.runner.Log() {
		if line.Unit == args[0] {
			lines = append(lines, line)
		}
	}
	for _, line := range lines[s.logged[args[0]]:] {
		fmt.Fprintf(w, "%s %s\n", line.Level, line.Message)
	}
	s.logged[args[0]] = len(lines)
	return nil
}

// A script that verifies the record tells what is not sound from what it could not look at.
func TestARecordThatCannotBeReadIsNotUnsound(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	changed := filepath.Join(folder, "changed")
	require.NoError(t, os.WriteFile(changed, []byte("{}\n{}\n"), 0o600))
	empty := filepath.Join(folder, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, command := range []string{"verify", "tail"} {
		for path, code := range map[string]int{empty: 0, changed: 1, "": 2, filepath.Join(folder, "absent"): 3, folder: 3} {
			args := []string{"signet", "audit", command, "--journal", path}
			if path == "" {
				args = append(args, "--output", "xml")
			}
			var said strings.Builder
			p := &program{args: args, lookup: func(string) string { return "" }, stdin: strings.NewReader(""), stdout: io.Discard, stderr: &said}
			require.Equal(t, code, p.run(t.Context()), "%s %q: %s", command, path, said.String())
		}
	}
}
