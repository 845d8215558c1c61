// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/view"
)

// errUnseen is what commands that read end with when nothing can be said of the unit.
var errUnseen = errors.New("nothing is known of the unit")

// looking is which unit a command reads, and how it shows what it found.
type looking struct {
	output

	stateDir string
	program  *program
}

func (l *looking) flags(command *cobra.Command) {
	l.output.flags(command)
	command.Flags().StringVar(&l.stateDir, "state-dir", "", "the unit's own state folder (default: the only one in "+statesDir+")")
}

// of gives a command of this program's its unit and its output.
func (p *program) looking(command *cobra.Command) *looking {
	l := &looking{program: p}
	l.flags(command)
	return l
}

// folder finds the unit's state folder.
func (l *looking) folder() (string, error) {
	if err := l.check(); err != nil {
		return "", err
	}
	if dir := l.stateDir; dir != "" {
		return dir, nil
	}
	if dir := l.program.lookup("SIGNET_STATE_DIR"); dir != "" {
		return dir, nil
	}
	found, _ := filepath.Glob(filepath.Join(statesDir, "*")) // the pattern is a good one
	if len(found) != 1 {
		return "", fmt.Errorf("%w: %d units are in %s: say which with --state-dir", errUsage, len(found), statesDir)
	}
	return found[0], nil
}

// view asks the unit's agent, and reads the disk where none answers.
func (l *looking) view(ctx context.Context) (view.View, error) {
	dir, err := l.folder()
	if err != nil {
		return view.View{}, err
	}
	p := l.program
	found, err := agent.AskView(ctx, filepath.Join(dir, socketName))
	switch {
	case err != nil:
		if info, missing := os.Stat(dir); missing != nil || !info.IsDir() {
			return view.View{}, fmt.Errorf("%w: there is no state folder %s", errUnseen, dir)
		}
		fmt.Fprintf(p.stderr, "signet: %v; reading the disk only: relation data, options and what other units did are not known\n", err)
		return p.readUnit(dir)
	case found.Trouble != "":
		fmt.Fprintf(p.stderr, "signet: the last turn failed, and this is of the one before, at %s: %s\n", instant(found.Turn), found.Trouble)
	}
	if !found.Leader && found.Source == view.FromAgent && len(found.Authorities) > 0 {
		fmt.Fprintf(p.stderr, "signet: %s does not lead: answers in the CSR dialect and most refusals are seen by the leader only\n", found.Unit)
	}
	return found, nil
}

// readUnit reads what a unit's state folder tells, and changes nothing.
func (p *program) readUnit(dir string) (view.View, error) {
	facts := view.Facts{Now: time.Now(), Version: buildVersion(), Unit: unitOf(dir)}
	findings, err := disk.VerifyJournal(disk.JournalPath(dir), disk.Evidence{})
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return view.View{}, fmt.Errorf("%w: %w", errUnseen, err)
	case !findings.Sound():
		fmt.Fprintf(p.stderr, "signet: the record is not sound: run signet audit verify\n")
		facts.Unread = findings.Problems[0]
	}
	if findings.Unit != "" {
		facts.Unit = findings.Unit
	}
	facts.Entries = findings.Recorded
	if facts.Installed, err = disk.Installed(dir); err != nil {
		return view.View{}, fmt.Errorf("%w: %w", errUnseen, err)
	}
	found := view.Of(facts)
	found.Status = view.Condition{Level: "unknown", Message: "no agent answers"}
	return found, nil
}

// unitOf tells a unit by its state folder: "/var/lib/signet/signet-0" is signet/0's.
func unitOf(dir string) string {
	name := filepath.Base(dir)
	at := strings.LastIndexByte(name, '-')
	if at < 1 {
		return ""
	}
	unit := name[:at] + "/" + name[at+1:]
	if _, numbered := juju.UnitNumber(unit); !numbered {
		return ""
	}
	return unit
}

// duration reads a duration such as 30d.
func duration(flag, text string) (time.Duration, error) {
	config := &juju.Config{Values: map[string]any{flag: text}}
	found := config.Span(flag, 0)
	if len(config.Errors) > 0 {
		return 0, fmt.Errorf("%w: --%s: %s", errUsage, flag, config.Errors[0].Reason)
	}
	return found, nil
}
