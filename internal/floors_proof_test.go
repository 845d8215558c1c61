// SPDX-License-Identifier: AGPL-3.0-only

package internal_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestCheckerComplains(t *testing.T) {
	t.Parallel()
	const own = module + "/internal/"
	cases := map[string]struct {
		file string // where the text stands
		text string // what follows the package clause
		want string
	}{
		"about a package that is not in the table": {
			file: "internal/util/util.go",
			want: "package util has no floor",
		},
		"about a folder below a package that has no such entry": {
			file: "internal/requirer/extra/extra.go",
			want: "package requirer/extra has no floor",
		},
		"about a package at the module's root": {
			file: "signet.go",
			want: "package . has no floor",
		},
		"about an import of a higher floor": {
			file: "internal/unit/decide.go",
			text: `import "` + own + `agent"`,
			want: "unit (floor 3) imports agent (floor 5)",
		},
		"about an import of the same floor": {
			file: "internal/provider/step.go",
			text: `import "` + own + `requirer"`,
			want: "provider (floor 2) imports requirer (floor 2)",
		},
		"about an import for its side effects": {
			file: "internal/ca/ca.go",
			text: `import _ "` + own + `ca/vault"`,
			want: "ca (floor 4) imports ca/vault (floor 4)",
		},
		"about one carrier that imports another": {
			file: "internal/ca/acme/acme.go",
			text: `import "` + own + `ca/vault"`,
			want: "ca/acme (floor 4) imports ca/vault (floor 4)",
		},
		"about an import that is not in the table": {
			file: "internal/cli/cli.go",
			text: `import "` + own + `util"`,
			want: "cli imports util, which has no floor",
		},
		"about test code in the program": {
			file: "internal/cli/cli.go",
			text: `import "` + own + `agent/sessiontest"`,
			want: "cli imports agent/sessiontest, which is no part of the program",
		},
		"about Juju's API outside its package": {
			file: "internal/sandbox/server.go",
			text: `import "github.com/juju/juju/api/agent/uniter"`,
			want: "sandbox imports github.com/juju/juju/api/agent/uniter, which is for controller only",
		},
		"about a file that is built elsewhere only": {
			file: "internal/dialect/legacy_windows.go",
			text: `import "os"`,
			want: "dialect imports os below the pure line",
		},
		"about the network in the core": {
			file: "internal/policy/policy.go",
			text: `import "net/http"`,
			want: "policy imports net/http below the pure line",
		},
		"about another module in the core": {
			file: "internal/policy/policy.go",
			text: `import "github.com/gofrs/flock"`,
			want: "policy imports github.com/gofrs/flock below the pure line",
		},
		"about randomness in the core": {
			file: "internal/cert/key.go",
			text: `import "math/rand/v2"`,
			want: "cert imports math/rand/v2 below the pure line",
		},
		"about locks in the core": {
			file: "internal/ledger/ledger.go",
			text: `import "sync/atomic"`,
			want: "ledger imports sync/atomic below the pure line",
		},
		"about slog where nothing allows its values": {
			file: "internal/order/order.go",
			text: `import "log/slog"`,
			want: "order imports log/slog below the pure line",
		},
		"about logging where slog's values are allowed": {
			file: "internal/cert/key.go",
			text: `import "log/slog"; func f() { slog.Info("issued") }`,
			want: "cert uses log/slog.Info below the pure line",
		},
		"about the clock in the core, under whatever name": {
			file: "internal/juju/snapshot.go",
			text: `import clock "time"; var now = clock.Now`,
			want: "juju uses time.Now below the pure line",
		},
		"about a dot import": {
			file: "internal/juju/snapshot.go",
			text: `import . "time"; var now = Now`,
			want: "juju imports all names of time",
		},
		"about a goroutine in the core": {
			file: "internal/unit/decide.go",
			text: `func f() { go f() }`,
			want: "unit starts a goroutine below the pure line",
		},
		"about printing in the core": {
			file: "internal/unit/decide.go",
			text: `import "fmt"; func f() { fmt.Println() }`,
			want: "unit uses fmt.Println below the pure line",
		},
		"about exiting below the commands": {
			file: "internal/agent/serve.go",
			text: `import "os"; func f() { os.Exit(1) }`,
			want: "agent uses os.Exit",
		},
		"about a fatal log line": {
			file: "internal/disk/disk.go",
			text: `import "log"; func f() { log.Fatalf("full") }`,
			want: "disk uses log.Fatalf",
		},
		"about exiting in main, which cli does": {
			file: "cmd/signet/main.go",
			text: `import "os"; func f() { os.Exit(1) }`,
			want: "cmd/signet uses os.Exit",
		},
		"about Juju's insides elsewhere": {
			file: "internal/hooktool/tool.go",
			text: `import "github.com/juju/juju/rpc/params"`,
			want: "hooktool imports github.com/juju/juju/rpc/params, which is for controller, sandbox only",
		},
		"about the environment below the commands": {
			file: "internal/hooktool/session.go",
			text: `import "os"; var id = os.Getenv("JUJU_CONTEXT_ID")`,
			want: "hooktool uses os.Getenv",
		},
		"about the environment in main": {
			file: "cmd/signet/main.go",
			text: `import "os"; var all = os.Environ()`,
			want: "cmd/signet uses os.Environ",
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			complaints := floors().check(parse(t, test.file, test.text))
			require.Len(t, complaints, 1)
			require.Contains(t, complaints[0], test.file+":")
			require.Contains(t, complaints[0], test.want)
		})
	}
}

func TestCheckerAccepts(t *testing.T) {
	t.Parallel()
	const own = module + "/internal/"
	cases := map[string]struct{ file, text string }{
		"an import of a lower floor":            {"internal/unit/decide.go", `import "` + own + `provider"`},
		"a carrier that imports ca":             {"internal/ca/vault/vault.go", `import "` + own + `ca"`},
		"Juju's API in its package":             {"internal/controller/session.go", `import "github.com/juju/juju/api"`},
		"a module that merely begins alike":     {"internal/sandbox/names.go", `import "github.com/juju/juju/apiserver"`},
		"addresses as values in the core":       {"internal/cert/names.go", `import "net/netip"`},
		"YAML in the core":                      {"internal/kubefile/kubeconfig.go", `import "gopkg.in/yaml.v3"`},
		"durations in the core":                 {"internal/juju/config.go", `import "time"; const day = 24 * time.Hour`},
		"a field that is called like the clock": {"internal/juju/world.go", `type t struct{ Now int }; func f(time t) int { return time.Now }`},
		"slog's values in a key":                {"internal/cert/key.go", `import "log/slog"; var v slog.Value`},
		"a clock above the line":                {"internal/agent/turn.go", `import "time"; var now = time.Now`},
		"an exit and the environment in cli":    {"internal/cli/main.go", `import "os"; func f() { os.Getenv(""); os.Exit(1) }`},
		"anything in a contract suite":          {"internal/agent/sessiontest/suite.go", `import "testing"; import "` + own + `sandbox"`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Empty(t, floors().check(parse(t, test.file, test.text)))
		})
	}
}

func TestParseTreePassesOverWhatIsNoPackage(t *testing.T) {
	t.Parallel()
	nonsense := &fstest.MapFile{Data: []byte("nonsense")}
	sources, err := parseTree(fstest.MapFS{
		"internal/cert/key_test.go":         nonsense,
		"internal/cert/testdata/wrong.go":   nonsense,
		".tools/golangci/main.go":           nonsense,
		"_old/main.go":                      nonsense,
		"README.md":                         nonsense,
		"internal/ca/vault/vault_darwin.go": {Data: []byte("package vault")},
	})
	require.NoError(t, err)
	require.Len(t, sources, 1)
	require.Equal(t, "ca/vault", sources[0].pkg)

	_, err = parseTree(fstest.MapFS{"internal/cert/key.go": nonsense})
	require.ErrorContains(t, err, "internal/cert/key.go")
}

// parse gives the tree that holds this one file.
func parse(t *testing.T, file, text string) []source {
	t.Helper()
	sources, err := parseTree(fstest.MapFS{file: {Data: []byte("package p; " + text)}})
	require.NoError(t, err)
	require.Len(t, sources, 1)
	return sources
}
