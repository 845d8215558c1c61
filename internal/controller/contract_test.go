// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/agent/sessiontest"
	"github.com/signet-charm/signet/internal/sandbox"
)

func TestTheContractOfSessions(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, openSession)
}

func TestTheContractOfSessionsOnJuju4(t *testing.T) {
	t.Parallel()
	sessiontest.RunOn(t, sandbox.Options{JujuVersion: "4.0.1"}, openSession)
}

func TestTheContractOfSessionsOnControllersOfOld(t *testing.T) {
	t.Parallel()
	for version, facades := range map[string]map[string]int{
		"3.1.10": {"Uniter": 18, "SecretsManager": 1},
		"3.5.7":  {"Uniter": 19, "SecretsManager": 3},
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			sessiontest.RunOn(t, sandbox.Options{JujuVersion: version, Facades: facades}, openSession)
		})
	}
}

func openSession(t *testing.T, world *sessiontest.World, unit string) agent.Session {
	t.Helper()
	conn, err := dial(t.Context(), Config{
		AgentConf: world.Juju.AgentConf(unit), Unit: unit, Endpoints: sessiontest.Endpoints(),
	})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}
