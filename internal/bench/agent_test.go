// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/ca/vault"
	"github.com/signet-charm/signet/internal/controller"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/host"
	"github.com/signet-charm/signet/internal/httpd"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/launch"
	"github.com/signet-charm/signet/internal/provider"
)

// An agent whose memory and allocations are measured runs in a process of its own, for in the test's the embedded
// controller allocates too. It is this very binary, told by the environment whom to be; it takes one command a line and
// answers each with one line of JSON.

// agentVariable holds the JSON of a place: who is told so is an agent.
const agentVariable = "SIGNET_BENCH_AGENT"

// place says where one unit's things are.
type place struct {
	Unit      string
	AgentConf string
	Dir       string // of the state folder, the socket and what stands for the machine's root
	Endpoints []juju.Endpoint
}

func (p place) socket() string { return filepath.Join(p.Dir, "agent.sock") }

// unit joins a session with a unit's folder as the program does (cli.program.unit), with all of it counted.
func (p place) unit(session agent.Session, m *meter, log *slog.Logger) (*agent.Unit, error) {
	folder, err := disk.OpenOn(filepath.Join(p.Dir, "state"), m.system(true), disk.OnMachine(p.Dir))
	if err != nil {
		return nil, err
	}
	return &agent.Unit{
		Session:   meteredSession{session, m},
		Authority: vault.New(vault.Config{Embedded: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()})}),
		Folder:    meteredFolder{folder, m},
		Machine:   host.New(host.Config{Records: folder.Ran(), Root: p.Dir}),
		Now:       time.Now,
		Log:       log,
	}, nil
}

func (p place) config(m *meter, log *slog.Logger) controller.Config {
	return controller.Config{AgentConf: p.AgentConf, Unit: p.Unit, Endpoints: p.Endpoints, Log: log, Dial: m.dial}
}

// reading is what an agent tells of itself. Counts are since its start.
type reading struct {
	Turns, Looks, Commits int64
	Sent, Received        int64
	Written, Syncs        int64
	Mallocs, Allocated    uint64 // objects and bytes
	Goroutines            int
	Heap, Taken, RSS      uint64 // bytes: in use; what Go holds of the system's; resident, after a collection where one was asked for
	Peak                  uint64 // of RSS
	CPU                   time.Duration
	Error                 string
}

// since gives the counts since an earlier reading; all else is as it is now.
func (r reading) since(before reading) reading {
	r.Turns, r.Looks, r.Commits = r.Turns-before.Turns, r.Looks-before.Looks, r.Commits-before.Commits
	r.Sent, r.Received = r.Sent-before.Sent, r.Received-before.Received
	r.Written, r.Syncs = r.Written-before.Written, r.Syncs-before.Syncs
	r.Mallocs, r.Allocated = r.Mallocs-before.Mallocs, r.Allocated-before.Allocated
	r.CPU -= before.CPU
	return r
}

func (m *meter) read() reading {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return reading{
		Turns: m.turns.Load(), Looks: m.looks.Load(), Commits: m.commits.Load(),
		Sent: m.sent.Load(), Received: m.received.Load(), Written: m.written.Load(), Syncs: m.syncs.Load(),
		Mallocs: memory.Mallocs, Allocated: memory.TotalAlloc, Goroutines: runtime.NumGoroutine(),
		Heap: memory.HeapAlloc, Taken: memory.Sys - memory.HeapReleased,
		RSS: resident("VmRSS"), Peak: resident("VmHWM"), CPU: usedCPU(),
	}
}

// resident reads a size of this process from Linux, in bytes; 0 elsewhere.
func resident(what string) uint64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, what+":"); found {
			kilobytes, _ := strconv.ParseUint(strings.Fields(value)[0], 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}

// runAgent is an agent's process, until its standard input ends.
func runAgent(ctx context.Context, description string, commands io.Reader, answers io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	launch.Stay()
	var at place
	if err := json.Unmarshal([]byte(description), &at); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var m meter
	listener, err := agent.Listen(at.socket())
	if err != nil {
		return err
	}
	conn := controller.Start(at.config(&m, log))
	defer conn.Close()
	<-conn.Tried()
	unit, err := at.unit(conn, &m, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	web := httpd.New(log, unit.Now)
	unit.Publish = func(serve provider.Serve) {
		var view httpd.View
		for _, served := range serve.Authorities {
			view.Authorities = append(view.Authorities, httpd.Authority(served))
		}
		web.Show(view)
	}
	service := agent.Service{Unit: unit, Changes: conn.Watch(), Hooks: listener}
	ended := make(chan error, 1)
	go func() { ended <- service.Serve(ctx) }()
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		told := m.obey(strings.Fields(lines.Text()))
		if err := json.NewEncoder(answers).Encode(told); err != nil {
			return err
		}
	}
	cancel()
	return errors.Join(<-ended, web.Close())
}

// obey does what one command says: "read", "collect" (garbage, then read), "profile" and "profiled <files>".
func (m *meter) obey(command []string) reading {
	var err error
	switch {
	case len(command) == 1 && command[0] == "read":
	case len(command) == 1 && command[0] == "collect":
		debug.FreeOSMemory() // as an agent does that has been idle for a while
	case len(command) == 2 && command[0] == "profile":
		err = startProfile(command[1] + ".cpu.prof")
	case len(command) == 2 && command[0] == "profiled":
		pprof.StopCPUProfile()
		err = writeProfile(command[1] + ".allocs.prof")
	default:
		err = fmt.Errorf("%q is no command", command)
	}
	found := m.read()
	if err != nil {
		found.Error = err.Error()
	}
	return found
}

func startProfile(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(file)
}

func writeProfile(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}

// process is an agent that runs.
type process struct {
	t       testing.TB
	at      place
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

// start starts the agent of a unit; it ends with the test, or before by stop.
func (p place) start(t testing.TB) *process {
	t.Helper()
	description, err := json.Marshal(p)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(p.Dir, 0o700))
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), agentVariable+"="+string(description))
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	require.NoError(t, err)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	started := &process{t: t, at: p, command: command, in: in, out: bufio.NewScanner(out)}
	t.Cleanup(started.stop)
	return started
}

func (p *process) stop() {
	if p.command == nil {
		return
	}
	require.NoError(p.t, p.in.Close())
	require.NoError(p.t, p.command.Wait())
	p.command = nil
}

// tell gives the agent a command, and its answer.
func (p *process) tell(command string) reading {
	p.t.Helper()
	_, err := fmt.Fprintln(p.in, command)
	require.NoError(p.t, err)
	require.True(p.t, p.out.Scan(), "the agent is gone")
	var found reading
	require.NoError(p.t, json.Unmarshal(p.out.Bytes(), &found))
	require.Empty(p.t, found.Error)
	return found
}

// ask is what dispatch does: it has the agent take a turn, and waits for its end.
func (p *process) ask(hook string) error {
	_, err := agent.Ask(p.t.Context(), p.at.socket(), hook)
	return err
}

// rest has the agent take turns until nothing but being asked has it take one, twice in a row: a notice may be on its way.
func (p *process) rest() {
	p.t.Helper()
	for quiet := 0; quiet < 2; {
		before := p.tell("read").Turns
		require.NoError(p.t, p.ask("update-status"))
		quiet++
		if p.tell("read").Turns != before+1 {
			quiet = 0
		}
	}
}
