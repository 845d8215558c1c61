// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/sandbox"
)

// Each address of agent.conf is looked at without a login, which a controller would take for the agent's own.
func TestAProbeLogsNobodyIn(t *testing.T) {
	t.Parallel()
	s, unit := newScene(t, sandbox.Options{}).juju, "signet/0"
	path := s.AgentConf(unit)

	found, err := Probe(t.Context(), path, unit)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, found[0].Trouble)
	require.True(t, found[0].NotAfter.After(time.Now()))
	require.WithinDuration(t, time.Now(), found[0].Date, time.Minute)
	require.WithinDuration(t, found[0].Asked, found[0].Date, 2*time.Second)
	require.Zero(t, s.Sessions(unit))

	// Somebody else answers there.
	require.NoError(t, s.SwapCertificate())
	found, err = Probe(t.Context(), path, unit)
	require.NoError(t, err)
	require.ErrorContains(t, found[0].Trouble, "certificate")
	require.True(t, found[0].Date.IsZero(), "nothing is believed of a stranger")
	require.False(t, found[0].NotAfter.IsZero())

	// Nobody does.
	require.NoError(t, s.CloseListener())
	found, err = Probe(t.Context(), path, unit)
	require.NoError(t, err)
	require.ErrorContains(t, found[0].Trouble, "refused")

	// The file is not to be used, and no error holds what is in it.
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o644))
	_, err = Probe(t.Context(), path, unit)
	require.ErrorContains(t, err, "chmod 0600")
	for line := range strings.Lines(string(text)) {
		if _, password, is := strings.Cut(line, "apipassword: "); is {
			require.NotContains(t, err.Error(), strings.TrimSpace(password))
		}
	}
}
