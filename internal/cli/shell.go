// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"
)

// The sandbox's shell is a shell of the user's own in which the program juju is this very binary, which hands each command
// to the embedded Juju over a unix socket. So whoever reads the tutorial types what they would type on a real Juju, and
// the tests run the documents' blocks as they stand there.

const (
	jujuName   = "juju"
	sandboxEnv = "SIGNET_SANDBOX" // path of the socket on which the sandbox takes commands
)

func (p *program) shellCommand(charmDir *string) *cobra.Command {
	command := &cobra.Command{
		Use:   "shell [PROGRAM [ARGUMENT...]]",
		Short: "Start a shell in which juju is the embedded Juju",
		Long: "shell starts $SHELL, or another program, with the programs juju and signet first in its PATH: this one, and one that\n" +
			"does on an embedded Juju what the real one does. \"juju help\" there lists what it knows. Deployed are signet itself and\n" +
			"scripted charms of Charmed Kubernetes, which ask for certificates as the real ones do. Hooks have run when a command\n" +
			"returns. When the shell ends, everything goes away with it.",
		Example: "  signet sandbox shell\n  signet sandbox shell bash -c 'juju deploy signet && juju status'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStage(*charmDir, nil, func(s *stage) error { return p.runShell(cmd.Context(), newSandboxJuju(s), args) })
		},
	}
	command.Flags().SetInterspersed(false) // what follows the program's name is the program's
	return command
}

// certificatesCommand asks the sandbox whose shell it is run in.
func (p *program) certificatesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   certificatesVerb,
		Short: "In the sandbox's shell: print who holds which certificate, and whether it verifies",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			code, err := p.askSandbox(cmd.Context(), []string{certificatesVerb})
			if err == nil && code != 0 {
				err = errors.New("not every certificate verifies")
			}
			return err
		},
	}
}

func (p *program) runShell(ctx context.Context, j *sandboxJuju, args []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program: %w", err)
	}
	programs := filepath.Join(j.stage.dir, "programs")
	if err := os.Mkdir(programs, 0o700); err != nil {
		return fmt.Errorf("cannot make the shell's programs: %w", err)
	}
	for _, name := range []string{jujuName, "signet"} {
		if err := os.Symlink(binary, filepath.Join(programs, name)); err != nil {
			return fmt.Errorf("cannot make the shell's programs: %w", err)
		}
	}
	socket := filepath.Join(j.stage.dir, "shell.socket")
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("cannot take the shell's commands: %w", err)
	}
	served := make(chan error, 1)
	go func() { served <- j.serve(ctx, listener) }()
	interactive := len(args) == 0
	if interactive {
		fmt.Fprintln(p.stdout, "juju is the embedded Juju here; try: juju deploy signet. Everything goes away when you type exit.")
		args = []string{p.lookup("SHELL")}
		if args[0] == "" {
			args = []string{"sh"}
		}
	}
	command := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // whoever starts the shell says which
	command.Env = append(os.Environ(), sandboxEnv+"="+socket, "PATH="+programs+string(os.PathListSeparator)+p.lookup("PATH"))
	command.Stdin, command.Stdout, command.Stderr = p.stdin, p.stdout, p.stderr
	err = command.Run()
	var exit *exec.ExitError
	if interactive && errors.As(err, &exit) { // a shell ends as its last command did, which was seen
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("cannot finish %s: %w", args[0], err)
	}
	cancel()
	return errors.Join(err, listener.Close(), <-served)
}

// shellCall is one command as the shell's juju sends it, and shellAnswer what it prints.
type (
	shellCall struct {
		Args []string `json:"args"`
		Dir  string   `json:"dir"` // where files are that the command names
	}
	shellAnswer struct {
		Stdout []byte `json:"stdout"` // any bytes: of a file, perhaps
		Stderr []byte `json:"stderr"`
		Code   int    `json:"code"`
	}
)

// serve carries out one command after the other until the listener is closed.
func (j *sandboxJuju) serve(ctx context.Context, listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot take the shell's commands: %w", err)
		}
		// Who hangs up early, or sends what is no command, harms himself only.
		var call shellCall
		if json.NewDecoder(conn).Decode(&call) == nil {
			_ = json.NewEncoder(conn).Encode(j.answer(ctx, call))
		}
		conn.Close()
	}
}

func (j *sandboxJuju) answer(ctx context.Context, call shellCall) shellAnswer {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the hooks did not come to rest"))
	defer cancel()
	var stdout, stderr bytes.Buffer
	root := j.root(call.Dir, &stdout)
	root.SetArgs(call.Args)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	answer := shellAnswer{}
	if err := root.ExecuteContext(ctx); err != nil {
		answer.Code = 1
		if !errors.Is(err, errSaid) {
			fmt.Fprintf(&stderr, "ERROR %v\n", err)
		}
	}
	answer.Stdout, answer.Stderr = stdout.Bytes(), stderr.Bytes()
	return answer
}

// errSaid marks a failure that the command has printed already, as Juju prints it.
var errSaid = errors.New("said already")

// startedAsJuju tells the shell's juju by its name.
func (p *program) startedAsJuju() bool {
	return filepath.Base(p.args[0]) == jujuName && p.lookup(sandboxEnv) != ""
}

// askSandbox has the sandbox of this shell carry out one command, and gives its exit code.
func (p *program) askSandbox(ctx context.Context, args []string) (int, error) {
	socket := p.lookup(sandboxEnv)
	if socket == "" {
		return 1, errors.New("cannot find the sandbox: run signet sandbox shell, and this command in it")
	}
	dir, err := os.Getwd()
	if err != nil {
		return 1, fmt.Errorf("cannot tell the working folder: %w", err)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return 1, fmt.Errorf("cannot reach the sandbox: %w", err)
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(shellCall{Args: args, Dir: dir}); err != nil {
		return 1, fmt.Errorf("cannot ask the sandbox: %w", err)
	}
	var answer shellAnswer
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		return 1, fmt.Errorf("cannot read the sandbox's answer: %w", err)
	}
	_, _ = p.stdout.Write(answer.Stdout)
	_, _ = p.stderr.Write(answer.Stderr)
	return answer.Code, nil
}
