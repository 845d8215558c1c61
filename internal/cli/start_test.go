// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
)

// startRounds is how often each program is started. What else the machine does moves all of them alike, because they take
// turns.
const startRounds = 200

// hello is the least that a program in Go does.
const hello = `package main

import "fmt"

func main() { fmt.Println("hello, world") }
`

// How long signet takes from start to exit, in the median, against a program that says hello, with the same flags: for the
// version, and for a hook with nothing to do, which asks the agent for a turn. One operation is 200 starts of each.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	source := filepath.Join(dir, "hello.go")
	require.NoError(b, os.WriteFile(source, []byte(hello), 0o600))
	greeter, signet := build(b, filepath.Join(dir, "hello"), source), build(b, filepath.Join(dir, "signet"), "../../cmd/signet")
	charm, err := filepath.Abs("../..")
	require.NoError(b, err)
	idleAgent(b, dir)
	starts := map[string]*exec.Cmd{
		"hello":   {Path: greeter},
		"version": {Path: signet, Args: []string{"signet", "version"}},
		"hook": {Path: signet, Args: []string{"dispatch"}, Dir: dir, Env: []string{
			"JUJU_CONTEXT_ID=bench", "JUJU_CHARM_DIR=" + charm, "JUJU_UNIT_NAME=signet/0", "JUJU_DISPATCH_PATH=hooks/update-status",
			"JUJU_VERSION=3.6.25", "SIGNET_STATE_DIR=" + dir,
		}},
	}
	for b.Loop() {
		taken := map[string][]time.Duration{}
		for range startRounds {
			for name, start := range starts {
				command := &exec.Cmd{Path: start.Path, Args: start.Args, Dir: start.Dir, Env: start.Env}
				begin := time.Now()
				output, err := command.CombinedOutput()
				taken[name] = append(taken[name], time.Since(begin))
				require.NoError(b, err, "%s", output)
			}
		}
		for _, name := range []string{"version", "hook"} {
			b.ReportMetric(median(taken[name]).Seconds()*1e3, "ms/"+name)
			b.ReportMetric(float64(median(taken[name]))/float64(median(taken["hello"])), name+"/hello")
		}
	}
}

func median(taken []time.Duration) time.Duration {
	slices.Sort(taken)
	return taken[len(taken)/2]
}

// build builds a program as the Makefile does.
func build(b *testing.B, path, what string) string {
	b.Helper()
	command := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, what)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := command.CombinedOutput()
	require.NoError(b, err, "%s", output)
	return path
}

// idleAgent answers each hook as an agent does whose turn found nothing to do.
func idleAgent(b *testing.B, dir string) {
	b.Helper()
	listener, err := agent.Listen(filepath.Join(dir, "agent.sock"))
	require.NoError(b, err)
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			reply(conn)
		}
	}()
}

func reply(conn net.Conn) {
	defer conn.Close()
	if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
		_ = json.NewEncoder(conn).Encode(map[string]string{"level": "active"})
	}
}
