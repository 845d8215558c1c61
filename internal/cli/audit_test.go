// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

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
