// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/page"
)

func (p *program) reportCommand() *cobra.Command {
	var file string
	looks := &looking{program: p, output: output{format: "table"}}
	command := &cobra.Command{
		Use:   "report",
		Short: "Write what is known of this unit as one HTML page",
		Long: "report writes the page that option listen has every unit serve: status, CAs, how long certificates last, refusals\n" +
			"with the command that would allow them, what comes next, and the inventory. It asks the unit's agent, and reads the disk\n" +
			"where none answers. The page needs nothing else: no network, no scripts. It holds names and addresses, no secrets.",
		Example: "  juju ssh --pty=false signet/0 sudo signet report --html - > signet.html",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return fmt.Errorf("%w: say where to write the page: --html FILE, or --html - for the standard output", errUsage)
			}
			shown, err := looks.view(cmd.Context())
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
	command.Flags().StringVar(&looks.stateDir, "state-dir", "", "the unit's own state folder (default: the only one in "+statesDir+")")
	return command
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
