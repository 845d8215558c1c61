// SPDX-License-Identifier: AGPL-3.0-only

package misissue

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/misissue/forge"
	"github.com/signet-charm/signet/internal/provider"
)

// A unit that asks for ever other certificates gets five times its quota within an hour, and at most those of one more
// turn; what it was given stays, and who asks beside it is served.
func TestAFloodIsCut(t *testing.T) {
	t.Parallel()
	for _, quota := range []int{1, 7, 100} {
		t.Run(fmt.Sprintf("%d requests for each unit", quota), func(t *testing.T) {
			t.Parallel()
			w, keys := newWorld(t), forge.NewKeys()
			a := asker{relation: 2, app: "web", unit: "web/0"}
			served := 0
			for turn := range 9 {
				var asks []*ask
				for i := range quota {
					name := fmt.Sprintf("h%d-%d", turn, i)
					asks = append(asks, a.request(Server, forge.Request{Subject: []forge.RDN{forge.CommonName(name)}, Key: keys["p256"][0]}))
				}
				beside := asker{relation: 2, app: "web", unit: "web/1"}.legacy(Client, "beside")
				w.snap.Config = map[string]any{"requests-per-unit": int64(quota)}
				relation := relate(append(asks, beside))[0]
				if turn > 0 {
					relation.OwnApp, relation.OwnUnit = w.snap.Relations[1].OwnApp, w.snap.Relations[1].OwnUnit
				}
				w.snap.Relations = append(w.snap.Relations[:1:1], relation)
				w.snap.Local = w.floods(t)
				w.turn(noon)
				w.collect(append(asks, beside))
				require.NotNil(t, beside.issued)
				for _, one := range asks {
					if one.issued != nil {
						served++
					} else {
						require.Equal(t, "too-many", one.code)
					}
				}
			}
			require.GreaterOrEqual(t, served, 5*quota)
			require.Less(t, served, 6*quota+1)
		})
	}
}

// floods tells, as the agent does, who was issued many certificates.
func (w *world) floods(t *testing.T) map[string]string {
	var all []ledger.Entry
	for _, entries := range w.memory.orders {
		for _, entry := range entries {
			entry.Time = noon
			all = append(all, entry)
		}
	}
	folded, err := ledger.Fold(all)
	require.NoError(t, err)
	local := map[string]string{}
	for unit, issued := range folded.Floods(noon.Add(-time.Hour), noon, provider.ManyIssues) {
		local[provider.FloodKey+unit] = strconv.Itoa(issued)
	}
	return local
}
