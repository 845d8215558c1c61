// SPDX-License-Identifier: AGPL-3.0-only

package host

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/signet-charm/signet/internal/order"
)

// patience bounds how long a program may take: a turn waits for it, and a hook for the turn. A service that takes longer
// to start is reported as failed, and looked at again later.
const patience = 2 * time.Minute

// serviceLimit ends a program that runs as a service of its own a little earlier: nobody waits for it then.
const serviceLimit = "--property=RuntimeMaxSec=110"

// trustLock is below the machine's root.
const trustLock = "run/signet-trust.lock"

// underWay is recorded while a program runs, in place of the order for which it ran last.
const underWay order.ID = "under-way"

// childUmask is that of programs of the machine.
const childUmask = 0o022

// Run runs a program and gives what it printed, to both outputs, and how it ended.
type Run func(ctx context.Context, program string, args ...string) (output string, err error)

// Child runs a program as a child of this process.
func Child(ctx context.Context, program string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, program, args...)                            //nolint:gosec // the callers below name the programs
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) } // it may have to tidy up
	command.WaitDelay = 5 * time.Second
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	// What it makes, such as /etc/ssl/certs, is for all to read, and this process' own files are for nobody. Whoever carries
	// orders does so alone, and every file of this process has its mode set.
	own := syscall.Umask(childUmask)
	err := command.Start()
	syscall.Umask(own)
	if err == nil {
		err = command.Wait()
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("it did not end within %s", patience)
	}
	return output.String(), err
}

// Carry carries out an order for one of the machine's programs; any other fails with the code "not-carried". An order
// that is recorded as done is not carried out again.
func (m *Machine) Carry(ctx context.Context, o order.Order) order.Answer {
	what, do, known := m.work(o)
	if !known {
		return failed(o, order.Fail("not-carried", "cannot carry out %T: it is no program's", o))
	}
	if m.last(what) == o.ID() {
		return order.Answer{Order: o.ID(), State: order.Done}
	}
	bounded, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := m.record(what, underWay); err != nil { // or a failure, and then the former files again, would pass for done
		return failed(o, err)
	}
	if err := do(bounded); err != nil {
		if ctx.Err() != nil { // this process is told to end
			return order.Answer{Order: o.ID(), State: order.Pending}
		}
		return failed(o, err)
	}
	if err := m.record(what, o.ID()); err != nil {
		return failed(o, err)
	}
	return order.Answer{Order: o.ID(), State: order.Done}
}

// record writes down for which order something was done.
func (m *Machine) record(what string, id order.ID) error {
	blob, err := json.Marshal(ran{What: what, Order: id})
	if err != nil {
		return err
	}
	return m.config.Records.Write(recordOf(what), blob)
}

func failed(o order.Order, err error) order.Answer {
	return order.Answer{Order: o.ID(), State: order.Failed, Failure: order.FailureOf(err)}
}

func (m *Machine) work(o order.Order) (what string, do func(context.Context) error, known bool) {
	switch o := o.(type) {
	case order.RefreshTrust:
		return "refresh-trust", m.refreshTrust, true
	case order.Reload:
		return "reload." + o.Service, func(ctx context.Context) error { return m.reload(ctx, o) }, true
	}
	return "", nil, false
}

// refreshTrust has /etc/ssl/certs made anew (update-ca-certificates(8)). The program knows no lock, and two of it at once
// spoil what they make, so that all units on a machine take turns.
func (m *Machine) refreshTrust(ctx context.Context) (err error) {
	path := filepath.Join(cmp.Or(m.config.Root, "/"), trustLock)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // /run is everybody's to enter
		return fmt.Errorf("cannot refresh the trust store: %w", err)
	}
	lock := flock.New(path, flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return order.Fail("busy", "cannot refresh the trust store: cannot lock %s: %v: see which unit holds it", lock.Path(), err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	var args []string
	if root := m.config.Root; root != "" {
		args = []string{
			"--certsconf", filepath.Join(root, "etc/ca-certificates.conf"), "--hooksdir", filepath.Join(root, "etc/ca-certificates/update.d"),
			"--localcertsdir", filepath.Join(root, "usr/local/share/ca-certificates"), "--etccertsdir", filepath.Join(root, "etc/ssl/certs"),
		}
	}
	output, err := m.runApart(ctx, "update-ca-certificates", args...)
	if errors.Is(err, exec.ErrNotFound) {
		return order.Fail("no-program", "cannot refresh the trust store: there is no update-ca-certificates here: install the package ca-certificates, or set trust-store=false")
	}
	return programFailed("refresh the trust store", "run update-ca-certificates to see why", output, err)
}

// runApart runs a program as a service of its own (systemd-run(1)) where that is wanted: this process may be a service
// that is allowed little, and a hook of update-ca-certificates starts a Java machine, which needs more.
func (m *Machine) runApart(ctx context.Context, program string, args ...string) (string, error) {
	if !m.config.Apart {
		return m.config.Run(ctx, program, args...)
	}
	return m.config.Run(ctx, "systemd-run", append([]string{"--quiet", "--wait", "--collect", "--pipe", serviceLimit, program}, args...)...)
}

// reload asks systemd to have a service take up new files.
func (m *Machine) reload(ctx context.Context, o order.Reload) error {
	if !slices.Contains([]string{"reload-or-restart", "reload", "restart"}, o.Verb) || strings.HasPrefix(o.Service, "-") {
		return order.Fail("bad-order", "cannot %s %q: not a verb and a service of systemd's", o.Verb, o.Service)
	}
	service, err := m.resolve(ctx, o.Service)
	if err != nil {
		return err
	}
	output, err := m.config.Run(ctx, "systemctl", o.Verb, service)
	return programFailed(o.Verb+" "+o.Service, "see journalctl -u "+service, output, err)
}

// resolve gives the name under which systemd knows a service: its own, or where it has none of that name, that of the
// snap of this name (a snap's kubelet is "snap.kubelet.daemon.service").
func (m *Machine) resolve(ctx context.Context, service string) (string, error) {
	stem := strings.TrimSuffix(service, ".service")
	for _, candidate := range []string{service, "snap." + stem + ".daemon.service"} {
		output, err := m.config.Run(ctx, "systemctl", "show", "--property=LoadState", "--value", candidate)
		if err != nil {
			if errors.Is(err, exec.ErrNotFound) {
				return "", order.Fail("no-program", "cannot reach %s: there is no systemctl here: unset the option reload", service)
			}
			return "", programFailed("find "+service, "run systemctl status", output, err)
		}
		if strings.TrimSpace(output) == "loaded" {
			return candidate, nil
		}
	}
	return "", order.Fail("no-service", "cannot find service %s: install it, or mend the option reload", service)
}

// programFailed is the failure of a program that did not succeed, with the last line it printed.
func programFailed(what, next, output string, err error) error {
	if err == nil {
		return nil
	}
	const shown = 200
	lines := strings.Split(strings.TrimSpace(output), "\n")
	last := strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(lines[len(lines)-1], ""))
	if len(last) > shown {
		last = strings.ToValidUTF8(last[:shown], "") + "…"
	}
	reason := err.Error()
	if last != "" {
		reason = fmt.Sprintf("%s (%v)", last, err)
	}
	return order.Fail("program", "cannot %s: %s: %s", what, reason, next)
}
