// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/juju/charm/v12"

	"github.com/signet-charm/signet/internal/sandbox"
)

// stage is an embedded Juju with signet as a real charm in it: hooks run this very binary as a process, agents run
// beside them, and scripted consumers play the other applications.
type stage struct {
	controller *sandbox.Controller
	runner     *sandbox.Runner
	charmDir   string // where signet's metadata.yaml and config.yaml lie
	dir        string // everything the stage writes
	env        []string
	log        *agentLog
	agents     map[string]*agentProcess
}

// actor is a scripted charm.
type actor interface {
	sandbox.Charm
	meta(app string) sandbox.CharmMeta
}

// openStage starts an embedded Juju below dir. What agents log is kept, and shown to live unless that is nil.
func openStage(charmDir, dir string, live io.Writer, options sandbox.Options) (*stage, error) {
	options.Dir = dir
	controller, err := sandbox.Start(options)
	if err != nil {
		return nil, err
	}
	tools := filepath.Join(dir, "tools")
	runner, err := sandbox.NewRunner(controller.Model(), sandbox.RunnerOptions{
		Tools: tools, APIAddresses: []string{controller.Addr()},
	})
	if err == nil {
		err = linkTools(tools)
	}
	if err != nil {
		return nil, errors.Join(err, controller.Close())
	}
	return &stage{
		controller: controller, runner: runner, charmDir: charmDir, dir: dir, log: &agentLog{live: live},
		agents: map[string]*agentProcess{},
	}, nil
}

// linkTools makes the hook tools' programs, which are this very binary, and those of the units' machines.
func linkTools(dir string) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // programs, for whoever runs a charm
		return err
	}
	return errors.Join(sandbox.LinkTools(dir, binary), writePrograms(dir))
}

func (s *stage) close() error {
	for unit := range s.agents {
		s.killAgent(unit)
	}
	return errors.Join(s.runner.Close(), s.controller.Close())
}

func (s *stage) model() *sandbox.Model { return s.controller.Model() }

// deploySignet deploys signet under a name, with its own option values.
func (s *stage) deploySignet(app string, options map[string]any) error {
	meta, err := charmMeta(s.charmOf(app))
	if err != nil {
		return err
	}
	if err := s.model().Deploy(app, meta); err != nil {
		return err
	}
	return s.model().SetConfig(app, options)
}

// nodeCharm is the name of the subordinate: the same program under other metadata.
const nodeCharm = "signet-node"

// charmOf is the folder of an application's charm.
func (s *stage) charmOf(app string) string {
	if app == nodeCharm {
		return filepath.Join(s.charmDir, "charms", "node")
	}
	return s.charmDir
}

// addSignetUnit adds a unit whose charm folder holds this very binary.
func (s *stage) addSignetUnit(app string) (string, error) {
	unit, err := s.model().AddUnit(app)
	if err != nil {
		return "", err
	}
	charm, err := s.signetCharm(app, unit)
	if err != nil {
		return "", err
	}
	return unit, s.runner.Attach(unit, charm)
}

// signetCharm lays out a unit's charm folder, beside what is in it.
func (s *stage) signetCharm(app, unit string) (sandbox.Charm, error) {
	dir := s.unitCharmDir(unit)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a charm folder is readable under Juju as well
		return nil, err
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for name, target := range map[string]string{
		"dispatch":      binary,
		"metadata.yaml": filepath.Join(s.charmOf(app), "metadata.yaml"),
		"config.yaml":   filepath.Join(s.charmOf(app), "config.yaml"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	return sandbox.ProcessCharm{Dir: dir, Env: s.unitEnv(unit)}, s.nameMachine(unit)
}

// addActor deploys a scripted charm with a number of units.
func (s *stage) addActor(app string, a actor, units int) error {
	if err := s.model().Deploy(app, a.meta(app)); err != nil {
		return err
	}
	for range units {
		if err := s.addActorUnit(app, a); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) addActorUnit(app string, a actor) error {
	unit, err := s.model().AddUnit(app)
	if err != nil {
		return err
	}
	return s.runner.Attach(unit, a)
}

func (s *stage) unitCharmDir(unit string) string {
	return filepath.Join(filepath.Dir(s.controller.AgentConf(unit)), "charm")
}

func (s *stage) stateDir(unit string) string { return filepath.Join(s.dir, "state", dashed(unit)) }

func (s *stage) unitEnv(unit string) []string {
	return append([]string{
		"SIGNET_STATE_DIR=" + s.stateDir(unit),
		"SIGNET_ROOT=" + s.machineRoot(unit),
		"PATH=" + filepath.Join(s.dir, "tools") + ":" + os.Getenv("PATH"),
	}, s.env...)
}

// settle runs hooks until all is quiet and a condition holds, which agents may bring about between hooks.
func (s *stage) settle(ctx context.Context, until func() error) error {
	for {
		changed := s.model().Changed()
		if err := s.runner.Settle(ctx); err != nil {
			return err
		}
		missing := until()
		if missing == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", missing, context.Cause(ctx))
		}
	}
}

// agentProcess is one unit's agent.
type agentProcess struct {
	command *exec.Cmd
	done    chan struct{}
}

// startAgent starts a unit's agent as systemd would, and returns when it reports that it is ready.
func (s *stage) startAgent(ctx context.Context, unit string) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, dashed(unit)+".notify")
	_ = os.Remove(path) // of an agent that was killed
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	command := exec.CommandContext(context.WithoutCancel(ctx), binary, "agent", "--unit", unit, "--charm-dir", s.unitCharmDir(unit), "--state-dir", s.stateDir(unit)) //nolint:gosec // this very binary
	command.Args[0] = "signet"
	command.Env = append(os.Environ(), append(s.unitEnv(unit), "NOTIFY_SOCKET="+path)...)
	command.Stdout, command.Stderr = s.log, s.log
	if err := command.Start(); err != nil {
		return errors.Join(err, notify.Close())
	}
	process := &agentProcess{command: command, done: make(chan struct{})}
	s.agents[unit] = process
	reports := make(chan struct{})
	go process.read(notify, reports)
	go func() {
		defer close(process.done)
		_ = command.Wait()
		_ = notify.Close()
	}()
	select {
	case <-reports:
		return nil
	case <-process.done:
		return fmt.Errorf("cannot start the agent of %s: it ended", unit)
	case <-ctx.Done():
		return fmt.Errorf("cannot start the agent of %s: %w", unit, context.Cause(ctx))
	}
}

// read takes the agent's reports (sd_notify(3)) until it ends, and closes ready at the first that says so.
func (p *agentProcess) read(notify *net.UnixConn, ready chan<- struct{}) {
	message := make([]byte, 4096)
	for {
		n, err := notify.Read(message)
		if err != nil {
			return
		}
		if ready != nil && strings.Contains(string(message[:n]), "READY=1") {
			close(ready)
			ready = nil
		}
	}
}

// agentLog keeps what several agents log at once.
type agentLog struct {
	mu   sync.Mutex
	kept bytes.Buffer
	live io.Writer
}

func (l *agentLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept.Write(p)
	if l.live == nil {
		return len(p), nil
	}
	return l.live.Write(p)
}

func (l *agentLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.String()
}

// killAgent ends a unit's agent the hard way.
func (s *stage) killAgent(unit string) {
	if process, running := s.agents[unit]; running {
		_ = process.command.Process.Kill()
		<-process.done
		delete(s.agents, unit)
	}
}

// charmMeta reads what the model needs to know of a charm from its files.
func charmMeta(dir string) (sandbox.CharmMeta, error) {
	found, err := endpoints(dir)
	if err != nil {
		return sandbox.CharmMeta{}, err
	}
	meta := sandbox.CharmMeta{Name: filepath.Base(dir), Endpoints: found, Config: map[string]any{}, Types: map[string]string{}}
	file, err := os.Open(filepath.Join(dir, "config.yaml"))
	if errors.Is(err, os.ErrNotExist) {
		return meta, nil // a charm need not have options
	}
	if err != nil {
		return sandbox.CharmMeta{}, fmt.Errorf("cannot read the charm's options: %w", err)
	}
	defer file.Close()
	config, err := charm.ReadConfig(file)
	if err != nil {
		return sandbox.CharmMeta{}, fmt.Errorf("cannot read the charm's options: %w", err)
	}
	for name, option := range config.Options {
		meta.Config[name], meta.Types[name] = option.Default, option.Type
	}
	return meta, nil
}

// patience bounds one act of a story; it is spent only when something is wrong.
const patience = 2 * time.Minute
