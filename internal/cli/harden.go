// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"errors"
	"fmt"
	"syscall"
)

// ownUmask closes to others whatever this process makes, until its mode is set.
const ownUmask = 0o077

// guardsKeys reports whether the program may come to hold private keys: as a hook, an action or the agent, and where it
// reads other programs' CAs, or exports what it has itself. The embedded Juju does not: it starts hooks and agents that do.
func (p *program) guardsKeys() bool {
	if p.startedByJuju() {
		return true
	}
	if len(p.args) < 2 {
		return false
	}
	switch p.args[1] {
	case "agent", "certs", "certificates", "hook", "takeover":
		return true
	}
	return false
}

// harden closes this process before it has anything to hide: its files, its core file, and on Linux its memory to
// processes that are not root's. It concerns what is started by it only as far as it says: a umask and a limit on core
// files are inherited, and package host gives the machine's programs their usual umask back.
func harden() error {
	syscall.Umask(ownUmask)
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("cannot forbid core files, which would hold keys: %w", err)
	}
	if err := concealMemory(); err != nil {
		return errors.Join(errors.New("cannot hide this process' memory, which may hold keys"), err)
	}
	return nil
}
