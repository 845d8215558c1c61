// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// What docs/how-to/recover-when-everything-has-expired.md promises of signet itself, after a long sleep.

func TestCertificatesThatExpiredInASleepAreRenewedByThemselves(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	issued(p)
	before := rootOf(p)
	p.on(p.now.AddDate(0, 7, 0))
	require.True(t, p.serving().NotAfter.After(p.now))
	require.Equal(t, juju.Active, p.snap.Status.Level, p.snap.Status.Message)
	require.Equal(t, before, rootOf(p))
}

// Whether the time is right, somebody has to say: a clock that is years ahead looks the same.
func TestACAThatExpiredInASleepIsReplacedWhenSomebodySaysSo(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	issued(p)
	before := rootOf(p)
	p.now = p.now.AddDate(11, 0, 0)
	for range 3 {
		_, err := p.take(nil)
		require.NoError(t, err)
		require.Equal(t, juju.Blocked, p.snap.Status.Level)
		require.Contains(t, p.snap.Status.Message, "and can sign nothing: run rotate-ca step=advance on the leader")
	}
	outcome, err := p.take(&juju.Action{Name: "rotate-ca", Params: map[string]any{"step": "advance"}})
	require.NoError(t, err)
	require.Empty(t, outcome.Result.Failure, "what the status says must help")
	p.on(p.now)
	p.serving()
	require.Equal(t, juju.Active, p.snap.Status.Level, p.snap.Status.Message)
	require.NotEqual(t, before, rootOf(p))
}

// rootOf is the first of the CA certificates to trust.
func rootOf(p *play) string {
	p.t.Helper()
	trusted, err := cert.ParseCertificates(p.relation(legacyID).OwnUnit["ca"])
	require.NoError(p.t, err)
	return cert.EncodeCertificates(trusted[0])
}
