// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// SystemdUnit describes the agent's service on a machine that runs systemd.
type SystemdUnit struct {
	Name    string // "signet-unit-signet-0"
	Binary  string // absolute path
	Args    []string
	UnitDir string // where unit files lie; empty for /etc/systemd/system
}

// File gives the unit file. The service may do little besides reading, writing and opening network connections: what it
// guards is worth it. Most of the file system stays writable, because laying certificates where the operator wants them
// (certificate-directory, links) is the service's work; what needs more than it may do runs apart (package host). Why each
// line is there, and what systemd-analyze(1) security would like and is not, is in systemd_test.go.
func (s SystemdUnit) File() string {
	command := []string{quote(s.Binary)}
	for _, arg := range s.Args {
		command = append(command, quote(arg))
	}
	return `# Written by the signet charm; it is written anew at each upgrade.
[Unit]
Description=signet certificate agent (` + s.Name + `)
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart=` + strings.Join(command, " ") + `
Restart=always
RestartSec=5
UMask=0077
LimitCORE=0
MemorySwapMax=0
PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes
ProtectSystem=yes
ReadWritePaths=-/usr/local
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
NoNewPrivileges=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@keyring @memlock
SystemCallErrorNumber=EPERM
CapabilityBoundingSet=CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_NET_BIND_SERVICE

[Install]
WantedBy=multi-user.target
`
}

// SystemdRuns reports whether this machine's first process is systemd (sd_booted(3)).
func SystemdRuns() bool {
	info, err := os.Stat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// Install writes the unit file and (re)starts the service.
func (s SystemdUnit) Install(ctx context.Context) error {
	if err := errors.Join(
		os.WriteFile(s.path(), []byte(s.File()), 0o644), //nolint:gosec // systemd reads it; it holds no secret
		os.Chmod(s.path(), 0o644),                       //nolint:gosec // likewise; the process' umask would close it
	); err != nil {
		return fmt.Errorf("cannot write the agent's service: %w", err)
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", s.Name + ".service"}, {"restart", s.Name + ".service"}} {
		if err := systemctl(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// Remove stops the service and removes its unit file. A service that is not there is no error.
func (s SystemdUnit) Remove(ctx context.Context) error {
	if _, err := os.Stat(s.path()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	stopped := systemctl(ctx, "disable", "--now", s.Name+".service")
	if err := os.Remove(s.path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(stopped, fmt.Errorf("cannot remove the agent's service: %w", err))
	}
	return errors.Join(stopped, systemctl(ctx, "daemon-reload"))
}

func (s SystemdUnit) path() string {
	dir := s.UnitDir
	if dir == "" {
		dir = "/etc/systemd/system"
	}
	return filepath.Join(dir, s.Name+".service")
}

func systemctl(ctx context.Context, args ...string) error {
	output, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput() //nolint:gosec // fixed verbs, own unit name
	if err != nil {
		return fmt.Errorf("cannot run systemctl %s: %w: %s", args[0], err, strings.TrimSpace(string(output)))
	}
	return nil
}

// quote writes one word of a systemd command line (systemd.syntax(7)).
func quote(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(word) + `"`
}
