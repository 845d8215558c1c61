// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hello is the least that a program in Go does.
const hello = `package main

import "fmt"

func main() { fmt.Println("hello, world") }
`

// programs are those that are started: signet, and one that says hello, built with the same flags.
type programs struct{ signet, hello string }

// build builds them as the Makefile does.
func (r *run) build() programs {
	dir := r.t.TempDir()
	source := filepath.Join(dir, "hello.go")
	require.NoError(r.t, os.WriteFile(source, []byte(hello), 0o600))
	built := programs{filepath.Join(dir, "signet"), filepath.Join(dir, "hello")}
	for path, what := range map[string]string{built.signet: "../../cmd/signet", built.hello: source} {
		command := exec.CommandContext(r.t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, what)
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		output, err := command.CombinedOutput()
		require.NoError(r.t, err, "%s", output)
	}
	return built
}

// hook gives signet's process as Juju starts it for a hook of a unit.
func (p programs) hook(t testing.TB, at place, name string) *exec.Cmd {
	t.Helper()
	charm, err := filepath.Abs("../..")
	require.NoError(t, err)
	return &exec.Cmd{Path: p.signet, Args: []string{"dispatch"}, Dir: at.Dir, Env: []string{
		"JUJU_CONTEXT_ID=bench", "JUJU_CHARM_DIR=" + charm, "JUJU_UNIT_NAME=" + at.Unit, "JUJU_DISPATCH_PATH=hooks/" + name,
		"JUJU_VERSION=3.6.25", "SIGNET_STATE_DIR=" + at.Dir,
	}}
}

// coldStart starts both programs in turns, so that what else the machine does moves both alike.
func (r *run) coldStart(t *testing.T) {
	at := newScene(t).place()
	at.start(t).rest()
	const least = 20
	taken := map[string][]float64{}
	for range max(least, r.Repetitions) {
		for name, command := range map[string]*exec.Cmd{
			"hello": {Path: r.programs.hello}, "version": {Path: r.programs.signet, Args: []string{"signet", "version"}},
			"hook": r.programs.hook(t, at, "update-status"),
		} {
			began := time.Now()
			output, err := command.CombinedOutput()
			taken[name] = append(taken[name], milliseconds(time.Since(began)))
			require.NoError(t, err, "%s", output)
		}
	}
	least1, version, hook := median(taken["hello"]), median(taken["version"]), median(taken["hook"])
	r.put(coldStart, figure{
		Value: hook / least1, Details: map[string]float64{"hello_ms": least1, "version_ms": version, "hook_ms": hook},
		Note: fmt.Sprintf("%s ms against %s; signet version %s", shown(hook, ""), shown(least1, ""), shown(version, "")),
	})
}

// onlyOf reports whether SIGNET_BENCH_ONLY, beginnings of the parts' names, names a part.
func onlyOf(only, part string) bool {
	return only == "" || slices.ContainsFunc(strings.Split(only, ","), func(begin string) bool { return strings.HasPrefix(part, begin) })
}
