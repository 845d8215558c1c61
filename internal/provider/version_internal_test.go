// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// A unit tells the others of which version it is, once, beside what it tells them anyway.
func TestUnitsTellEachOtherTheirVersion(t *testing.T) {
	t.Parallel()
	others := map[string]juju.Bag{"signet/1": {}}
	told := func(local string, peers juju.Relation, decided *juju.OwnBags) juju.Bag {
		s := &step{snap: juju.Snapshot{Local: map[string]string{juju.VersionKey: local}}, peers: peers, decision: Decision{Bags: map[int]juju.OwnBags{}}}
		if decided != nil {
			s.decision.Bags[peers.ID] = *decided
		}
		s.tellVersion()
		return s.decision.Bags[peers.ID].Unit
	}
	peers := func(own juju.Bag, others map[string]juju.Bag) juju.Relation {
		return juju.Relation{ID: 1, Endpoint: juju.Endpoint{Role: juju.Peers}, OwnUnit: own, RemoteUnits: others}
	}
	require.Equal(t, juju.Bag{"a": "b", "version": "1.2"}, told("1.2", peers(juju.Bag{"a": "b"}, others), nil))
	require.Equal(t, juju.Bag{"version": "1.2"}, told("1.2", peers(nil, others), nil))
	require.Equal(t, juju.Bag{"audit-checkpoint": "c", "version": "1.2"}, told("1.2", peers(juju.Bag{}, others), &juju.OwnBags{Unit: juju.Bag{"audit-checkpoint": "c"}}))
	require.Nil(t, told("1.2", peers(juju.Bag{"version": "1.2"}, others), nil), "it stands already")
	require.Nil(t, told("1.2", peers(nil, nil), nil), "there is nobody to know")
	require.Nil(t, told("", peers(nil, others), nil), "there is none to tell")
	require.Nil(t, told("1.2", juju.Relation{}, nil), "there is no peer relation yet")
}
