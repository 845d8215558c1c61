// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/agent/sessiontest"
)

func TestTheContractOfSessions(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(t *testing.T, world *sessiontest.World, unit string) agent.Session {
		t.Helper()
		conn, err := Dial(t.Context(), Config{
			AgentConf: world.Juju.AgentConf(unit), Unit: unit, Endpoints: sessiontest.Endpoints(),
		})
		require.NoError(t, err)
		t.Cleanup(conn.Close)
		return conn
	})
}
