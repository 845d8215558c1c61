// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/page"
	"github.com/signet-charm/signet/internal/view"
)

func (p *program) reportCommand() *cobra.Command {
	var file, stateDir string
	command := &cobra.Command{
		Use:   "report",
		Short: "Write what is known of this unit as one HTML page",
		Long: "report writes the page that option listen has every unit serve: status, CAs, how long certificates last, refusals\n" +
			"with the command that would allow them, what comes next, and the inventory. It asks the unit's agent, and reads the disk\n" +
			"where none answers. The page needs nothing else: no network, no scripts. It holds names and addresses, no secrets.",
		Example: "  juju ssh signet/0 sudo /var/lib/juju/agents/unit-signet-0/charm/dispatch report --html - > signet.html",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return fmt.Errorf("%w: say where to write the page: --html FILE, or --html - for the standard output", errUsage)
			}
			shown, err := p.reported(cmd.Context(), stateDir)
			if err != nil {
				return err
			}
			if file == "-" {
				return page.Write(p.stdout, shown, page.File)
			}
			return replaceFile(file, func(w io.Writer) error { return page.Write(w, shown, page.File) })
		},
	}
	command.Flags().StringVar(&file, "html", "", "the file to write; - for the standard output")
	command.Flags().StringVar(&stateDir, "state-dir", "", "the unit's own state folder (default: the only one in "+statesDir+")")
	return command
}

// reported asks the unit's agent for a view, and reads the disk where none answers.
func (p *program) reported(ctx context.Context, dir string) (view.View, error) {
	if dir == "" {
		dir = p.lookup("SIGNET_STATE_DIR")
	}
	if dir == "" {
		found, _ := filepath.Glob(filepath.Join(statesDir, "*")) // the pattern is a good one
		if len(found) != 1 {
			return view.View{}, fmt.Errorf("%w: %d units are in %s: say which with --state-dir", errUsage, len(found), statesDir)
		}
		dir = found[0]
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return view.View{}, fmt.Errorf("%w: there is no state folder %s", errUnread, dir)
	}
	shown, err := agent.AskView(ctx, place{stateDir: dir}.socket())
	if err == nil {
		return shown, nil
	}
	fmt.Fprintf(p.stderr, "signet: %v; the page shows what the disk tells\n", err)
	facts := view.Facts{Now: time.Now(), Version: buildVersion()}
	findings, err := disk.VerifyJournal(disk.JournalPath(dir), disk.Evidence{})
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return view.View{}, fmt.Errorf("%w: %w", errUnread, err)
	case !findings.Sound():
		facts.Unread = findings.Problems[0]
	}
	facts.Unit, facts.Entries = findings.Unit, findings.Recorded
	if facts.Installed, err = disk.Installed(dir); err != nil {
		return view.View{}, fmt.Errorf("%w: %w", errUnread, err)
	}
	shown = view.Of(facts)
	shown.Status = view.Condition{Level: juju.Level("unknown"), Message: "No agent answers on this unit."}
	return shown, nil
}

// replaceFile writes a file that everybody may read, whole or not at all. It follows no link that stands in its place.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".signet-report-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	err = errors.Join(write(file), file.Chmod(0o644), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}
