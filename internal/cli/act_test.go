// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/view"
)

// toldToAgent is what an agent was asked to do.
type toldToAgent struct {
	View   bool
	Action *struct {
		Name   string
		Params map[string]any
	}
}

// answerAs answers on a unit's socket as its agent would, until the test ends, and keeps what it was asked to do.
func answerAs(t *testing.T, shown view.View, results map[string]string, failure string) (dir string, actions <-chan toldToAgent) {
	t.Helper()
	dir, err := os.MkdirTemp("", "signet-") //nolint:usetesting // paths of sockets are short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, socketName))
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	done := make(chan toldToAgent, 8)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			var question toldToAgent
			_ = json.NewDecoder(conn).Decode(&question)
			if question.View {
				_ = json.NewEncoder(conn).Encode(map[string]any{"view": shown})
			} else {
				done <- question
				_ = json.NewEncoder(conn).Encode(map[string]any{"result": map[string]any{"Results": results, "Failure": failure}})
			}
			_ = conn.Close()
		}
	}()
	return dir, done
}

// runFor runs a command for the unit of a folder.
func runFor(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := &program{
		args: append([]string{"signet"}, args...), stdin: strings.NewReader(""), stdout: &out, stderr: &errs,
		lookup: func(name string) string { return map[string]string{"SIGNET_STATE_DIR": dir}[name] },
	}
	return p.run(t.Context()), out.String(), errs.String()
}

func TestCommandsAreActions(t *testing.T) {
	t.Parallel()
	pem := filepath.Join(t.TempDir(), "signed.pem")
	require.NoError(t, os.WriteFile(pem, []byte(selfMade(t)), 0o600))
	leader := view.View{Source: view.FromAgent, Unit: "signet/0", Application: "signet", Leader: true, Version: buildVersion()}
	for line, c := range map[string]struct {
		action string
		params map[string]any
	}{
		"renew --app etcd --new-key":                                {"renew", map[string]any{"application": "etcd", "new-key": true}},
		"renew --all --at-once --dry-run":                           {"renew", map[string]any{"all": true, "at-once": true, "dry-run": true}},
		"revoke --relation 0 --reason keyCompromise":                {"revoke", map[string]any{"relation": 0.0, "reason": "keyCompromise"}},
		"revoke --serial a:b --name x --unit e/0 --dry-run":         {"revoke", map[string]any{"serial": "a:b", "name": "x", "unit": "e/0", "reason": "unspecified", "dry-run": true}},
		"ca rotate plan":                                            {"rotate-ca", map[string]any{"step": "plan"}},
		"ca rotate run":                                             {"rotate-ca", map[string]any{"step": "start"}},
		"ca rotate run --dry-run":                                   {"rotate-ca", map[string]any{"step": "plan"}},
		"ca rotate abort --dry-run":                                 {"rotate-ca", map[string]any{"step": "abort", "dry-run": true}},
		"ca import /a/pki --key /a/k --passphrase-file /a/p":        {"import-ca", map[string]any{"path": "/a/pki", "key-path": "/a/k", "passphrase-path": "/a/p"}},
		"ca csr --common-name X --force":                            {"get-csr", map[string]any{"common-name": "X", "force": true}},
		"ca install-signed " + pem:                                  {"upload-signed-csr", map[string]any{"pem": selfMade(t)}},
		"backup --recipient a --recipient b":                        {"backup", map[string]any{"recipients": "a b"}},
		"backup list":                                               {"list-backups", map[string]any{}},
		"backup delete x --dry-run":                                 {"delete-backup", map[string]any{"name": "x", "dry-run": true}},
		"restore x --identity-file /a/i":                            {"restore", map[string]any{"name": "x", "identity-path": "/a/i"}},
		"restore /a/x.age --passphrase-file /a/p --dry-run -o json": {"restore", map[string]any{"name": "/a/x.age", "passphrase-path": "/a/p", "dry-run": true}},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			dir, actions := answerAs(t, leader, map[string]string{"output": "done so"}, "")
			code, stdout, stderr := runFor(t, dir, strings.Fields(line)...)
			require.Zero(t, code, stderr)
			require.Contains(t, stdout, "done so")
			question := <-actions
			require.Equal(t, c.action, question.Action.Name)
			if c.action == "upload-signed-csr" {
				require.Contains(t, question.Action.Params["pem"], "BEGIN CERTIFICATE")
				return
			}
			require.Equal(t, c.params, question.Action.Params)
		})
	}
}

// Nothing is done by a unit that may not, by an agent that may do what should only be tried, or for a question that means all.
func TestWhatIsNotAskedOfAnAgent(t *testing.T) {
	t.Parallel()
	leader := view.View{Source: view.FromAgent, Unit: "signet/1", Application: "signet", Leader: true, Version: buildVersion()}
	follower, former := leader, leader
	follower.Leader, former.Version = false, "0.1"
	for sentence, c := range map[string]struct {
		view   view.View
		line   string
		code   int
		stderr string
	}{
		"another unit leads":              {follower, "renew --name 'x'", 1, "signet/1 does not lead, and only the leader does this: where juju is, run: juju run signet/leader renew"},
		"an agent of before, by a trial":  {former, "backup --dry-run", 1, "the agent is of version 0.1"},
		"a renewal of nothing":            {leader, "renew", 2, "say what to renew"},
		"a revocation of nothing":         {leader, "revoke --reason superseded", 2, "say what to revoke"},
		"no backup, and not all":          {leader, "backup delete", 2, "or --all"},
		"a backup, and all":               {leader, "backup delete x --all", 2, "or --all"},
		"a file that is none":             {leader, "ca install-signed /nowhere", 1, "cannot read the certificates"},
		"an output that there is not":     {leader, "renew --all -o xml", 2, "is none of"},
		"a flag that there is not":        {leader, "renew --everything", 2, "unknown flag"},
		"a restore of nothing":            {leader, "restore", 2, "needs the name of a backup"},
		"an import of nothing":            {leader, "ca import", 2, "needs a path"},
		"a certificate that is not there": {leader, "ca install-signed", 2, "needs the file"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			dir, actions := answerAs(t, c.view, nil, "")
			code, _, stderr := runFor(t, dir, strings.Fields(c.line)...)
			require.Equal(t, c.code, code, stderr)
			require.Contains(t, stderr, c.stderr)
			require.Empty(t, actions)
		})
	}
}

func TestAFailureOfAnActionIsTheCommands(t *testing.T) {
	t.Parallel()
	leader := view.View{Source: view.FromAgent, Unit: "signet/0", Application: "signet", Leader: true, Version: buildVersion()}
	dir, _ := answerAs(t, leader, nil, "there is no CA yet: see the status")
	code, stdout, stderr := runFor(t, dir, "ca", "rotate", "run")
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Equal(t, "signet: there is no CA yet: see the status\n", stderr)
}

// selfMade is a CA certificate that means nothing.
func selfMade(t *testing.T) string {
	t.Helper()
	standIn := ca.NewStandIn()
	now := time.Now()
	made := standIn.Carry(now, order.CreateAuthority{Generation: 1, CommonName: "CA", KeyType: cert.P256, NotBefore: now, Life: time.Hour})
	require.Equal(t, order.Done, made.State)
	return made.Authority.Certificate
}
