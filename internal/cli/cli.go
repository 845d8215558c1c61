// SPDX-License-Identifier: AGPL-3.0-only

// Package cli is signet's face: it tells from the program's name, environment and arguments what it was started for,
// wires the other packages together and owns every word a person reads. It is the only package that reads the
// environment and ends the process. Where to look next: hook.go for what Juju starts, agent.go for the daemon, demo.go
// for a story that shows everything at work.
package cli

import (
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/sandbox"
)

// version is set by the build: -ldflags "-X github.com/signet-charm/signet/internal/cli.version=…".
var version = ""

// program is one start of signet with all that the process gives it.
type program struct {
	args   []string // args[0] is the name it was started by
	lookup func(string) string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// Main runs signet for the process it is in, and ends it: 0 when all went well, 1 when not, 2 for wrong usage, 3 when what was to be judged
// cannot be read.
func Main() {
	os.Exit(Run())
}

// Run is Main without its end, for test programs that have more to do.
func Run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &program{args: os.Args, lookup: os.Getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	if p.guardsKeys() {
		if err := harden(); err != nil {
			p.logger().Warn("the process is less closed than it should be", "error", err) // and does its work all the same
		}
	}
	return p.run(ctx)
}

// errUsage marks errors in how a command was called.
var errUsage = errors.New("usage")

func (p *program) run(ctx context.Context) int {
	if sandbox.IsTool(p.args[0]) { // a charm in the embedded Juju runs a hook tool as a program
		return sandbox.ToolMain(p.args[0], p.args[1:], p.lookup, p.stdin, p.stdout, p.stderr)
	}
	var err error
	if p.startedAsJuju() { // somebody types a command in the sandbox's shell
		var code int
		if code, err = p.askSandbox(ctx, p.args[1:]); err == nil {
			return code
		}
	} else if p.startedByJuju() {
		err = p.hook(ctx)
	} else {
		root := p.root()
		root.SetArgs(p.args[1:])
		err = root.ExecuteContext(ctx)
	}
	var judged verdict
	switch {
	case err == nil:
		return 0
	case errors.As(err, &judged):
		fmt.Fprintf(p.stderr, "signet: %v\n", err)
		return judged.code
	case errors.Is(err, errUsage):
		fmt.Fprintf(p.stderr, "signet: %v\nrun: signet --help\n", err)
		return 2
	case errors.Is(err, errUnread), errors.Is(err, errUnseen), errors.Is(err, errUninspected):
		fmt.Fprintf(p.stderr, "signet: %v\n", err)
		return 3
	default:
		fmt.Fprintf(p.stderr, "signet: %v\n", err)
		return 1
	}
}

// startedByJuju tells a hook by the name that Juju calls: dispatch at the charm's root, or hooks/<name> before it.
func (p *program) startedByJuju() bool {
	if len(p.args) != 1 || p.lookup("JUJU_CONTEXT_ID") == "" {
		return false
	}
	return filepath.Base(p.args[0]) == "dispatch" || filepath.Base(filepath.Dir(p.args[0])) == "hooks"
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "signet",
		Short:         "The certificate authority and certificate agent of a Juju model",
		Long:          "signet is both ends of Juju's tls-certificates interface: it signs what charms ask for, and lays on disk\nwhat a provider signed. Juju starts it as a charm; the commands here are for people.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetIn(p.stdin)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(p.agentCommand(), p.auditCommand(), p.authorityCommand(), p.backupCommand(), p.certsCommand(), p.doctorCommand(), p.expiringCommand(),
		p.hookCommand(), p.inspectCommand(), p.lintCommand(), p.policyCommand(), p.renewCommand(), p.reportCommand(), p.requestsCommand(),
		p.restoreCommand(), p.revokeCommand(), p.sandboxCommand(), p.simulateCommand(), p.statusCommand(), p.takeoverCommand(), p.trustCommand(),
		p.vaultPolicyCommand(), p.vaultSetupCommand(), p.versionCommand())
	completeForShells(root)
	return root
}

// completeForShells has scripts made for the shells that a unit's machine has.
func completeForShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, command := range root.Commands() {
		for _, shell := range command.Commands() {
			if shell.Name() == "powershell" {
				command.RemoveCommand(shell)
			}
		}
	}
}

// noArgs refuses arguments as wrong usage.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: %s takes no argument %q", errUsage, cmd.CommandPath(), args[0])
	}
	return nil
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and whether cryptography keeps to FIPS 140-3",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(p.stdout, "signet %s\nFIPS 140-3 mode: %s, module %s\n", buildVersion(), fipsMode(), fips140.Version())
			return err
		},
	}
}

// buildVersion is what the build stamped, else what the Go toolchain knows.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// fipsMode is how Go's cryptography runs (GODEBUG=fips140=…).
func fipsMode() string {
	switch {
	case fips140.Enforced():
		return "only"
	case fips140.Enabled():
		return "on"
	}
	return "off"
}

// logger writes what an operator reads in the agent's journal or Juju's log: one line an event, no secrets by type.
func (p *program) logger() *slog.Logger {
	level := slog.LevelInfo
	if strings.EqualFold(p.lookup("SIGNET_LOG"), "debug") {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: level}))
}
