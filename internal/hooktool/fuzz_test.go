// SPDX-License-Identifier: AGPL-3.0-only

package hooktool

import (
	"net"
	"net/rpc"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// FuzzReply has one hook tool answer anything, well or not. A snapshot is whole or an error; the error names the command
// that was not understood and does not repeat what it said on its standard output, which may be a secret.
func FuzzReply(f *testing.F) {
	commands := []string{
		"is-leader", "config-get", "relation-ids certificates", "relation-list -r certificates:3 --app", "relation-list", "relation-get",
		"network-get", "status-get", "state-get", "secret-ids", "secret-info-get", "secret-get", "leader-get", "goal-state", "action-get",
	}
	for at := range commands {
		for _, stdout := range []string{"null", `{"a": "hidden-value-of-a-secret"}`, `["secret:9m4e2mr0ui3e8a215n4g", "certificates:3"]`, `"hidden-value-of-a-secret`} {
			f.Add(uint8(at), stdout, "")
		}
		f.Add(uint8(at), "", "permission denied")
	}
	f.Add(uint8(1), `{"a": 1e999, "b": 9223372036854775808, "c": {"d": []}}`, "")
	f.Add(uint8(13), `{"relations": {"certificates": {"web": {"status": "joined"}, "web/0": {"status": "joining"}}}}`, "")
	f.Fuzz(func(t *testing.T, at uint8, stdout, stderr string) {
		command := commands[int(at)%len(commands)]
		agent := &Jujuc{answers: with(map[string]answer{
			"leader-get": {stdout: "{}"}, "goal-state": {stdout: "{}"}, "action-get": {stdout: "{}"},
			"secret-ids": {stdout: `["9m4e2mr0ui3e8a215n4g"]`}, "secret-get": {stdout: `{"key": "x"}`},
			"secret-info-get": {stdout: `{"9m4e2mr0ui3e8a215n4g": {"label": "a", "owner": "application"}}`},
		})}
		agent.answers[command] = answer{stdout: stdout, stderr: stderr}
		session := between(t, agent)
		for _, read := range []func() error{
			func() error {
				snap, err := session.Snapshot(t.Context())
				if err != nil {
					require.Zero(t, snap)
				}
				return err
			},
			func() error { _, err := session.Action(t.Context()); return err },
		} {
			if err := read(); err != nil && stderr == "" {
				if !strings.HasPrefix(command, "relation-ids") { // whose keys are named one by one
					require.ErrorContains(t, err, strings.Fields(command)[0])
				}
				if said := strings.TrimSpace(stdout); len(said) >= 24 {
					require.NotContains(t, err.Error(), said)
				}
				require.NotContains(t, err.Error(), "hidden-value-of-a-secret")
				require.NotErrorIs(t, err, juju.ErrUnreachable)
			}
		}
	})
}

// between gives a session whose hook tools are a scripted agent in this process.
func between(t *testing.T, agent *Jujuc) *Session {
	t.Helper()
	near, far := net.Pipe()
	server := rpc.NewServer()
	require.NoError(t, server.Register(agent))
	go server.ServeConn(far)
	session := &Session{
		client: rpc.NewClient(near), secrets: true,
		env: Environment{
			ContextID: "signet/0-start-1", CharmDir: "/charm", Unit: "signet/0", ModelName: "prod", JujuVersion: "3.6.25", Hook: "start", Action: "backup",
			Endpoints: []juju.Endpoint{
				{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides},
				{Name: "peers", Interface: "signet-peers", Role: juju.Peers},
			},
		},
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}
