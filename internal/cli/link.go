// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// linkName is where people find the program on a unit's machine: in the PATH of sudo, too.
const linkName = "/usr/local/bin/signet"

// linkProgram makes the charm's program one that people can type. What is there and is no unit's stays. Of several units on
// one machine the last one wins, which does no harm: commands name the unit's folder where there is more than one.
func (p *program) linkProgram(at place) error {
	link, target := filepath.Join(p.lookup("SIGNET_ROOT"), linkName), at.program()
	if p.lookup("SIGNET_ROOT") == "" && !strings.HasPrefix(target, "/var/lib/juju/") {
		return nil // no unit of a machine's Juju
	}
	switch there, err := os.Readlink(link); {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, syscall.EINVAL), err == nil && (there == target || !isUnitsProgram(there)):
		return nil
	case err != nil:
		return fmt.Errorf("cannot look at %s: %w", linkName, err)
	}
	made := link + ".new"
	_ = os.Remove(made) // of a hook that was killed

	if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink(target, made), os.Rename(made, link)); err != nil { //nolint:gosec // a program is for all
		return fmt.Errorf("cannot make %s: %w", linkName, err)
	}
	return nil
}

// unlinkProgram removes what linkProgram made for this unit.
func (p *program) unlinkProgram(at place) error {
	link := filepath.Join(p.lookup("SIGNET_ROOT"), linkName)
	if there, err := os.Readlink(link); err != nil || there != at.program() {
		return nil
	}
	return os.Remove(link)
}

// isUnitsProgram tells the program of a unit, this one's or another's, by how Juju lays out its folders.
func isUnitsProgram(path string) bool {
	return regexp.MustCompile(`/unit-[^/]+/charm/dispatch$`).MatchString(path)
}
