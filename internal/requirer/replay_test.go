// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/wire"
)

// TestRecordedProvidersAreAccepted plays what real providers answered to recorded requirers. Each answer must pass the
// checks of an offer as if this unit had asked; one that differs in its key, its name or its chain must not.
func TestRecordedProvidersAreAccepted(t *testing.T) {
	t.Parallel()
	recordings, err := wire.All()
	require.NoError(t, err)
	for _, recording := range recordings {
		t.Run(recording.Name, func(t *testing.T) {
			t.Parallel()
			for _, state := range recording.States {
				for _, relation := range state.Relations {
					replay(t, relation)
				}
			}
		})
	}
}

func replay(t *testing.T, relation wire.Relation) {
	if relation.Interface != "tls-certificates" {
		return
	}
	for _, unit := range relation.Requirer.UnitNames() {
		items := recordedItems(t, relation, unit)
		seen := relation.RequirerSees(unit)
		s := &step{snap: juju.Snapshot{Unit: unit}}
		offers, denials := dialect.Offers(seen, unit, wants(items))
		require.Empty(t, denials)
		require.Len(t, offers, answered(t, relation, unit, items), "every recorded answer is an offer")
		for _, offer := range offers {
			leaf, err := cert.Parse(offer.Issued.Certificate)
			require.NoError(t, err)
			s.now = leaf.NotBefore.Add(time.Minute) // recordings grow old
			item := items[offer.Want]
			_, err = s.check(offer, item)
			require.NoError(t, err)
			refuseSpoiled(t, s, offer, item)
		}
	}
}

// refuseSpoiled asserts that the checks can fail.
func refuseSpoiled(t *testing.T, s *step, offer dialect.Offer, i item) {
	for name, spoil := range map[string]func(*dialect.Offer, *item){
		"it is revoked":      func(o *dialect.Offer, _ *item) { o.Revoked = true },
		"no PEM block":       func(o *dialect.Offer, _ *item) { o.Issued.Certificate = "junk" },
		"it does not verify": func(o *dialect.Offer, _ *item) { o.Trust = nil },
		"lacks the names": func(_ *dialect.Offer, i *item) {
			i.want.Names.DNS = []string{"other.example.com"}
			i.want.Kind = cert.Server
		},
		"another certificate": func(o *dialect.Offer, _ *item) { o.Issued.Key, o.Dialect = cert.Key{}, dialect.Legacy },
	} {
		spoiled, wanted := offer, i
		spoil(&spoiled, &wanted)
		_, err := s.check(spoiled, wanted)
		require.ErrorContains(t, err, name)
	}
	late := *s
	late.now = s.now.AddDate(100, 0, 0)
	_, err := late.check(offer, i)
	require.ErrorContains(t, err, "it expired")
}

// recordedItems are the server and client certificates that a recorded unit asked for.
func recordedItems(t *testing.T, relation wire.Relation, unit string) []item {
	asked := relation.Requirer.Units[unit]
	var items []item
	for _, bag := range []juju.Bag{asked, relation.Requirer.Bag} {
		var requests []struct {
			Request string `json:"certificate_signing_request"`
			CA      bool   `json:"ca"`
		}
		if text := bag["certificate_signing_requests"]; text != "" {
			require.NoError(t, json.Unmarshal([]byte(text), &requests))
		}
		for _, request := range requests {
			if !request.CA {
				items = append(items, item{want: dialect.Want{Kind: cert.Server, Request: request.Request}})
			}
		}
	}
	if asked["common_name"] != "" {
		items = append(items, item{want: dialect.Want{Kind: cert.Server, CommonName: asked["common_name"]}})
	}
	for key, kind := range map[string]cert.Kind{"cert_requests": cert.Server, "client_cert_requests": cert.Client} {
		var requests map[string]any
		if text := asked[key]; text != "" {
			require.NoError(t, json.Unmarshal([]byte(text), &requests))
		}
		for _, name := range slices.Sorted(maps.Keys(requests)) {
			if kind == cert.Client || name != asked["common_name"] {
				items = append(items, item{want: dialect.Want{Kind: kind, CommonName: name}})
			}
		}
	}
	return items
}

type entry struct {
	Request string `json:"certificate_signing_request"`
}

// answered counts the wants that the recorded provider has answered, by looking for their names in its databags.
func answered(t *testing.T, relation wire.Relation, unit string, items []item) int {
	var entries []entry
	if text := relation.Provider.Bag["certificates"]; text != "" {
		require.NoError(t, json.Unmarshal([]byte(text), &entries))
	}
	legacy := map[string]string{}
	for _, bag := range relation.Provider.Units {
		maps.Copy(legacy, bag)
	}
	name := dialect.Munge(unit)
	count := 0
	for _, i := range items {
		top := i.want.Kind == cert.Server && i.want.CommonName == relation.Requirer.Units[unit]["common_name"]
		switch {
		case i.want.Request != "":
			if slices.Contains(entries, entry{i.want.Request}) {
				count++
			}
		case top && legacy[name+".server.cert"] != "",
			i.want.Kind == cert.Server && strings.Contains(legacy[name+".processed_requests"], i.want.CommonName),
			i.want.Kind == cert.Client && strings.Contains(legacy[name+".processed_client_requests"], i.want.CommonName):
			count++
		}
	}
	return count
}
