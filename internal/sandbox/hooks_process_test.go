// SPDX-License-Identifier: AGPL-3.0-only

package sandbox_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/sandbox"
)

// The test binary is also the hook tools: LinkTools makes links to it.
func init() {
	if sandbox.IsTool(os.Args[0]) {
		os.Exit(sandbox.ToolMain(os.Args[0], os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
	}
}

// shellCharm writes a charm of shell scripts, by path: "dispatch", "hooks/start".
func shellCharm(t *testing.T, scripts map[string]string) sandbox.ProcessCharm {
	t.Helper()
	dir := t.TempDir()
	for path, script := range scripts {
		path = filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nset -eu\n"+script), 0o755))
	}
	return sandbox.ProcessCharm{Dir: dir}
}

// newProcessStage is a stage whose process charms find the hook tools.
func newProcessStage(t *testing.T) stage {
	t.Helper()
	s := newStage(t)
	binary, err := os.Executable()
	require.NoError(t, err)
	tools := filepath.Join(t.TempDir(), "tools")
	require.NoError(t, sandbox.LinkTools(tools, binary))
	runner, err := sandbox.NewRunner(s.Model, sandbox.RunnerOptions{Tools: tools, APIAddresses: []string{"127.0.0.1:17070"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, runner.Close()) })
	s.Runner = runner
	return s
}

func TestACharmInAnotherLanguageUsesTheHookTools(t *testing.T) {
	t.Parallel()
	s := newProcessStage(t)
	charm := shellCharm(t, map[string]string{"dispatch": `
case "$JUJU_HOOK_NAME" in
*-relation-joined)
	juju-log -l WARNING "joined by $JUJU_REMOTE_UNIT"
	relation-set -r "$JUJU_RELATION_ID" a=1 gone=
	printf 'long: "two\\nlines"\nnumber: 7\n' | relation-set --file -
	relation-set --app --file - <<-'EOF'
		{"app": "` + "`date`" + `"}
	EOF
	test "$(relation-get number "$JUJU_UNIT_NAME")" = 7
	test "$(relation-list)" = "$JUJU_REMOTE_UNIT"
	relation-set --help | grep -q -- --file
	config-get name
	;;
config-changed) status-set active "$(config-get --format=json)" ;;
esac
`})
	ca := s.add(t, "ca", charm)
	web := s.add(t, "web", quiet())
	id, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	s.settle(t)

	bag := s.UnitBag(id, ca)
	require.Equal(t, "1", bag["a"])
	require.Equal(t, "two\nlines", bag["long"])
	require.Equal(t, "7", bag["number"])
	require.Equal(t, map[string]string{"app": "`date`"}, s.AppBag(id, "ca"))
	status, err := s.UnitStatus(ca)
	require.NoError(t, err)
	require.JSONEq(t, `{"days":90,"name":"one","strict":false}`, status.Message)
	require.Contains(t, s.Log(), sandbox.LogLine{Unit: ca, Level: "WARNING", Message: "certificates:" + itoa(id) + ": joined by " + web})
	require.Contains(t, s.Log(), sandbox.LogLine{Unit: ca, Level: "DEBUG", Message: "one"})
}

func TestAHookFindsExactlyJujusEnvironment(t *testing.T) {
	t.Parallel()
	s := newProcessStage(t)
	charm := shellCharm(t, map[string]string{"dispatch": `env | sort > "$JUJU_CHARM_DIR/$(basename "$JUJU_DISPATCH_PATH").env"; pwd > pwd`})
	ca := s.add(t, "ca", charm)
	s.add(t, "web", quiet())
	id, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	s.settle(t)
	_, err = s.RunAction(t.Context(), ca, "show", nil)
	require.NoError(t, err)

	base := []string{
		"APT_LISTCHANGES_FRONTEND", "CHARM_DIR", "CLOUD_API_VERSION", "DEBIAN_FRONTEND", "JUJU_AGENT_SOCKET_ADDRESS",
		"JUJU_AGENT_SOCKET_NETWORK", "JUJU_API_ADDRESSES", "JUJU_AVAILABILITY_ZONE", "JUJU_CHARM_DIR", "JUJU_CHARM_FTP_PROXY",
		"JUJU_CHARM_HTTPS_PROXY", "JUJU_CHARM_HTTP_PROXY", "JUJU_CHARM_NO_PROXY", "JUJU_CONTEXT_ID", "JUJU_DISPATCH_PATH",
		"JUJU_HOOK_NAME", "JUJU_MACHINE_ID", "JUJU_MODEL_NAME", "JUJU_MODEL_UUID", "JUJU_PRINCIPAL_UNIT", "JUJU_SLA",
		"JUJU_UNIT_NAME", "JUJU_VERSION", "LANG", "PATH", "TERM",
	}
	for hook, more := range map[string]map[string]string{
		"start": {"JUJU_HOOK_NAME": "start", "JUJU_DISPATCH_PATH": "hooks/start", "JUJU_API_ADDRESSES": "127.0.0.1:17070"},
		"certificates-relation-created": {
			"JUJU_RELATION": "certificates", "JUJU_RELATION_ID": "certificates:" + itoa(id), "JUJU_REMOTE_APP": "web", "JUJU_REMOTE_UNIT": "",
		},
		"certificates-relation-changed": {
			"JUJU_RELATION": "certificates", "JUJU_RELATION_ID": "certificates:" + itoa(id), "JUJU_REMOTE_APP": "web", "JUJU_REMOTE_UNIT": "web/0",
		},
		"show": {
			"JUJU_HOOK_NAME": "", "JUJU_DISPATCH_PATH": "actions/show", "JUJU_ACTION_NAME": "show",
			"JUJU_ACTION_UUID": "*", "JUJU_ACTION_TAG": "*",
		},
	} {
		text, err := os.ReadFile(filepath.Join(charm.Dir, hook+".env"))
		require.NoError(t, err)
		have := map[string]string{}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if name != "PWD" && name != "_" && name != "OLDPWD" && name != "SHLVL" { // the shell's own
				have[name] = value
			}
		}
		names := append([]string{}, base...)
		for name, value := range more {
			if !slices.Contains(base, name) {
				names = append(names, name)
			}
			if value != "*" {
				require.Equal(t, value, have[name], "%s in %s", name, hook)
			}
		}
		var got []string
		for name := range have {
			got = append(got, name)
		}
		require.ElementsMatch(t, names, got, hook)
		require.Equal(t, charm.Dir, have["CHARM_DIR"])
		require.Equal(t, "ca/0", have["JUJU_UNIT_NAME"])
		require.True(t, strings.HasSuffix(have["JUJU_AGENT_SOCKET_ADDRESS"], "/agents/unit-ca-0/agent.socket"))
		require.NoFileExists(t, have["JUJU_AGENT_SOCKET_ADDRESS"], "the socket lives as long as the hook")
	}
	where, err := os.ReadFile(filepath.Join(charm.Dir, "pwd"))
	require.NoError(t, err)
	require.Equal(t, charm.Dir+"\n", string(where))
}

func TestWithoutDispatchOnlyTheHooksThatExistRun(t *testing.T) {
	t.Parallel()
	s := newProcessStage(t)
	ca := s.add(t, "ca", shellCharm(t, map[string]string{
		"hooks/start":  "status-set active started",
		"actions/list": "action-set count=2; echo shown; echo warned >&2; exit 3",
	}))
	s.settle(t)
	status, err := s.UnitStatus(ca)
	require.NoError(t, err)
	require.Equal(t, "started", status.Message)
	for _, event := range s.Events() {
		require.Equal(t, event.Hook.Name != "start", event.Skipped, event)
	}
	result, err := s.RunAction(t.Context(), ca, "list", nil)
	require.NoError(t, err)
	require.Equal(t, "failed", result.Status)
	require.Equal(t, map[string]any{"count": "2", "return-code": 3, "stdout": "shown\n", "stderr": "warned\n"}, result.Results)
	result, err = s.RunAction(t.Context(), ca, "other", nil)
	require.NoError(t, err)
	require.Equal(t, `action not implemented on unit: "other"`, result.Message)
}

func TestAFailingProcessDiscardsWhatItWrote(t *testing.T) {
	t.Parallel()
	s := newProcessStage(t)
	charm := shellCharm(t, map[string]string{
		"hooks/certificates-relation-joined": "relation-set half=done; echo 'no paper' >&2; exit 1",
		"hooks/install":                      "true",
	})
	ca := s.add(t, "ca", charm)
	s.add(t, "web", quiet())
	id, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	require.ErrorContains(t, s.Settle(t.Context()), "cannot run hooks/certificates-relation-joined: exit status 1: no paper")
	require.NotContains(t, s.UnitBag(id, ca), "half")
}

func TestAHookThatHangsIsKilledWithAllItStarted(t *testing.T) {
	t.Parallel()
	s := newProcessStage(t)
	charm := shellCharm(t, map[string]string{"hooks/install": "sleep 1000 & wait"})
	charm.Timeout = 100 * time.Millisecond
	s.add(t, "ca", charm)
	require.ErrorContains(t, s.Settle(t.Context()), "killed after 100ms")
}

func TestAToolOutsideItsHookIsRefused(t *testing.T) {
	t.Parallel()
	s := newProcessStage(t)
	var left *sandbox.HookContext
	unit := s.add(t, "ca", quiet())
	s.settle(t)
	require.NoError(t, s.Attach(unit, sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		left = hook
		return nil
	})))
	s.settle(t)
	_, err := left.Tool("is-leader", nil, nil)
	require.ErrorContains(t, err, "wrong context ID")
	var stderr strings.Builder
	require.Equal(t, 1, sandbox.ToolMain("/tools/is-leader", nil, left.Getenv, strings.NewReader(""), &stderr, &stderr))
	require.Contains(t, stderr.String(), "ERROR cannot reach the unit agent")
	stderr.Reset()
	require.Equal(t, 1, sandbox.ToolMain("is-leader", nil, func(string) string { return "" }, nil, &stderr, &stderr))
	require.Equal(t, "ERROR JUJU_CONTEXT_ID not set\n", stderr.String())
}

func TestAUnitWithoutACharmIsNamed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	require.ErrorContains(t, s.Attach("ca/7", quiet()), "cannot attach a charm")
	require.ErrorContains(t, s.Order("ca/7", "update-status"), "unit ca/7 has no charm attached")
	_, err := s.RunAction(t.Context(), "ca/7", "list", nil)
	require.ErrorContains(t, err, "cannot run action list: unit ca/7 has no charm attached")
}
