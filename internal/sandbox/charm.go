// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Charm runs the hooks and actions of one unit. An error makes the hook fail: what it has written is discarded and the
// unit is in error until a retry succeeds. Hooks of one unit never overlap.
type Charm interface {
	Hook(ctx context.Context, hook *HookContext) error
}

// CharmFunc is a charm written as a function: a scripted application, or a charm's code run in-process. It uses the
// hook tools by HookContext's methods, or by the socket that HookContext.Environ names.
type CharmFunc func(ctx context.Context, hook *HookContext) error

// Hook calls the function.
func (f CharmFunc) Hook(ctx context.Context, hook *HookContext) error { return f(ctx, hook) }

// ErrNoHook is what a Charm returns for a hook that it does not have. Such a hook counts as done.
var ErrNoHook = errors.New("the charm does not have this hook")

// ProcessCharm runs an unpacked charm as Juju does: its dispatch for every hook, else hooks/<name>, with exactly the
// environment a unit agent gives. It may be written in any language.
type ProcessCharm struct {
	Dir     string        // the unit's own copy of the charm, absolute
	Env     []string      // more variables, "NAME=value"; a charm finds none of these under Juju
	Timeout time.Duration // after which a hook is killed and has failed; zero means five minutes
}

// Hook runs the charm's executable for the hook, in the charm's folder.
func (c ProcessCharm) Hook(ctx context.Context, hook *HookContext) error {
	path, err := c.executable(hook.DispatchPath())
	if err != nil {
		return err
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	process := exec.CommandContext(ctx, path)
	process.Dir = c.Dir
	process.Env = append(hook.Environ(), c.Env...)
	// What a hook leaves running belongs to it, so a kill reaches its whole process group.
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	process.Cancel = func() error { return syscall.Kill(-process.Process.Pid, syscall.SIGKILL) }
	process.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	process.Stdout, process.Stderr = &stdout, &stderr
	err = process.Run()
	hook.output(stdout.String(), stderr.String(), process.ProcessState)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("cannot run %s: killed after %s", hook.DispatchPath(), timeout)
	case err != nil:
		return fmt.Errorf("cannot run %s: %w%s", hook.DispatchPath(), err, lastLine(stderr.Bytes()))
	}
	return nil
}

// executable finds what Juju would run for "hooks/<name>" or "actions/<name>".
func (c ProcessCharm) executable(dispatchPath string) (string, error) {
	for _, name := range []string{"dispatch", dispatchPath} {
		path := filepath.Join(c.Dir, filepath.FromSlash(name))
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", fmt.Errorf("cannot run %s: %w", name, err)
		case info.Mode()&0o111 == 0:
			return "", fmt.Errorf("cannot run %s: it is not executable", name)
		}
		return path, nil
	}
	return "", ErrNoHook
}

// lastLine is the end of what a failed process said, which mostly is the reason.
func lastLine(stderr []byte) string {
	last := ""
	for scanner := bufio.NewScanner(bytes.NewReader(stderr)); scanner.Scan(); {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			last = ": " + line
		}
	}
	return last
}

// lines splits a process's output for the log.
func lines(output string) []string {
	var found []string
	for reader := bufio.NewReader(strings.NewReader(output)); ; {
		line, err := reader.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			found = append(found, line)
		}
		if errors.Is(err, io.EOF) {
			return found
		}
	}
}
