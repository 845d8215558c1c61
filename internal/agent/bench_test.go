// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// BenchmarkTurnOfNewAsks takes the turn in which a hundred units ask for the first time, on a real disk: what it costs to
// sign, and to record it durably.
func BenchmarkTurnOfNewAsks(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		session, u, _ := leaderAt(b, time.Now)
		_, err := u.Turn(b.Context()) // makes the CA
		require.NoError(b, err)
		units := map[string]juju.Bag{}
		for n := range 100 {
			units[fmt.Sprintf("etcd/%d", n)] = juju.Bag{"unit_name": fmt.Sprintf("etcd_%d", n), "common_name": fmt.Sprintf("10.0.0.%d", n)}
		}
		session.relate(units)
		b.StartTimer()
		_, err = u.Turn(b.Context())
		require.NoError(b, err)
		b.StopTimer()
		require.Contains(b, session.snap.Relations[1].OwnUnit, "etcd_99.server.cert")
		b.StartTimer()
	}
}
