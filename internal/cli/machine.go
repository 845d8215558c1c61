// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"os"
	"path/filepath"
)

// Each unit on a stage has a machine of its own: a folder that stands for the root (SIGNET_ROOT), with programs that do
// there what the real ones would, and write down that they ran.

const systemctlScript = `#!/bin/sh
# Stands in for systemctl. A service is a file in /etc/systemd/system that says "ok", or why it cannot be started.
for service; do :; done
unit="$SIGNET_ROOT/etc/systemd/system/$service"
if [ "$1" = show ]; then
	if [ -e "$unit" ]; then echo loaded; else echo not-found; fi
	exit 0
fi
echo "systemctl $*" >>"$SIGNET_ROOT/programs"
read -r state <"$unit"
[ "$state" = ok ] && exit 0
echo "Job for $service failed: $state"
exit 1
`

const updateCACertificatesScript = `#!/bin/sh
# Stands in for update-ca-certificates: one bundle of all that lies in the folder of local certificates.
echo update-ca-certificates >>"$SIGNET_ROOT/programs"
mkdir -p "$SIGNET_ROOT/etc/ssl/certs"
find "$SIGNET_ROOT/usr/local/share/ca-certificates" -name '*.crt' | sort | xargs -r cat >"$SIGNET_ROOT/etc/ssl/certs/ca-certificates.crt"
`

// writePrograms puts the machines' programs into a folder.
func writePrograms(dir string) error {
	for name, script := range map[string]string{"systemctl": systemctlScript, "update-ca-certificates": updateCACertificatesScript} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil { //nolint:gosec // a program is for whoever runs it
			return err
		}
	}
	return nil
}

// machineRoot is the folder that stands for the root of a unit's machine.
func (s *stage) machineRoot(unit string) string {
	return filepath.Join(s.dir, "machines", dashed(unit))
}

// nameMachine gives a unit's machine a name of its own, as Juju does: the nodes of a cluster differ in theirs.
func (s *stage) nameMachine(unit string) error {
	dir := filepath.Join(s.machineRoot(unit), "etc")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // programs of all users read it
		return err
	}
	return os.WriteFile(filepath.Join(dir, "hostname"), []byte("juju-"+dashed(unit)+"\n"), 0o644) //nolint:gosec // likewise
}
