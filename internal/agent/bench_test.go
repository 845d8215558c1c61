// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/host"
	"github.com/signet-charm/signet/internal/juju"
)

// BenchmarkTurnOfNewAsks takes the turn in which a hundred units ask for the first time, on a real disk: what it costs to
// sign, and to record it durably.
func BenchmarkTurnOfNewAsks(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		session, u := benchUnit(b, b.TempDir())
		_, err := u.Turn(b.Context()) // makes the CA
		require.NoError(b, err)
		units := map[string]juju.Bag{}
		for n := range 100 {
			units[fmt.Sprintf("etcd/%d", n)] = juju.Bag{"unit_name": fmt.Sprintf("etcd_%d", n), "common_name": fmt.Sprintf("10.0.0.%d", n)}
		}
		session.snap.Relations = append(session.snap.Relations, juju.Relation{
			ID: 7, Endpoint: juju.Endpoint{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides}, RemoteApp: "etcd",
			OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteApplication: juju.Bag{}, RemoteUnits: units,
		})
		b.StartTimer()
		_, err = u.Turn(b.Context())
		require.NoError(b, err)
		b.StopTimer()
		require.Contains(b, session.snap.Relations[1].OwnUnit, "etcd_99.server.cert")
		b.StartTimer()
	}
}

func benchUnit(b *testing.B, dir string) (*recorded, *agent.Unit) {
	b.Helper()
	folder, err := disk.Open(dir)
	require.NoError(b, err)
	session := &recorded{snap: juju.Snapshot{
		Endpoints: []juju.Endpoint{{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides}},
		Unit:      "signet/0", ModelName: "bench", ModelUUID: "uuid", JujuVersion: "3.6.25", Leader: true, CanSecrets: true,
		Relations: []juju.Relation{{
			ID: peersID, Endpoint: juju.Endpoint{Name: "peers", Role: juju.Peers}, RemoteApp: "signet",
			OwnUnit: juju.Bag{}, OwnApp: juju.Bag{},
		}},
	}}
	return session, &agent.Unit{
		Session:   session,
		Authority: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()}),
		Folder:    folder,
		Machine:   host.New(host.Config{Records: folder.Ran()}),
		Now:       time.Now,
		Log:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}
