// SPDX-License-Identifier: AGPL-3.0-only

package sessiontest

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

func identity(w *World) {
	require.NoError(w.t, w.Model.SetUnitStatus(Leader, "maintenance", "warming up", nil))
	snap := w.snapshot(w.session(Leader))
	require.Equal(w.t, Leader, snap.Unit)
	require.Equal(w.t, "signet", snap.Application())
	require.Equal(w.t, "prod", snap.ModelName)
	require.Equal(w.t, w.Model.UUID(), snap.ModelUUID)
	require.Equal(w.t, w.Model.JujuVersion(), snap.JujuVersion)
	require.True(w.t, snap.CanSecrets)
	require.Empty(w.t, snap.Secrets)
	require.Equal(w.t, juju.Status{Level: juju.Maintenance, Message: "warming up"}, snap.Status)
	require.Equal(w.t, map[string]string{}, snap.State)
	require.Nil(w.t, snap.Local, "the disk is the agent's to look at")
	have, err := w.Model.Addresses(Leader)
	require.NoError(w.t, err)
	for _, endpoint := range Endpoints() {
		require.Equal(w.t, have, snap.Addresses[endpoint.Name], endpoint.Name)
	}
}

func config(w *World) {
	session := w.session(Leader)
	require.Equal(w.t, map[string]any{
		"mode": "ca", "days": int64(365), "ratio": 0.5, "strict": false, "empty": "", "digits": "0123",
	}, w.snapshot(session).Config)
	require.NoError(w.t, w.Model.SetConfig("signet", map[string]any{"days": 30, "strict": true, "notes": "<b> & \"c\"\n"}))
	require.Equal(w.t, map[string]any{
		"mode": "ca", "days": int64(30), "ratio": 0.5, "strict": true, "empty": "", "digits": "0123", "notes": "<b> & \"c\"\n",
	}, w.snapshot(session).Config)
}

func leaderBags(w *World) {
	w.writeAs(Web, w.Relation, map[string]string{"unit_name": "web_0"}, map[string]string{"app-key": "app value"})
	w.writeAs(Leader, w.Relation, map[string]string{"ca": "PEM"}, map[string]string{"chain": "PEMs"})
	snap := w.snapshot(w.session(Leader))
	require.True(w.t, snap.Leader)
	require.Len(w.t, snap.Relations, 2)
	require.Less(w.t, snap.Relations[0].ID, snap.Relations[1].ID)
	relation := w.relation(snap)
	require.Equal(w.t, w.Relation, relation.ID)
	require.Equal(w.t, Endpoints()[0], relation.Endpoint)
	require.Equal(w.t, "web", relation.RemoteApp)
	require.False(w.t, relation.Broken)
	require.False(w.t, relation.CrossModel())
	require.Equal(w.t, juju.Bag(w.Model.UnitBag(w.Relation, Leader)), relation.OwnUnit, "with the keys that Juju puts there")
	require.Equal(w.t, juju.Bag{"ca": "PEM"}, charmBag(relation.OwnUnit))
	require.Equal(w.t, juju.Bag{"chain": "PEMs"}, relation.OwnApp)
	require.Equal(w.t, juju.Bag{"app-key": "app value"}, relation.RemoteApplication)
	require.Equal(w.t, map[string]juju.Bag{
		Web: w.Model.UnitBag(w.Relation, Web), Web2: w.Model.UnitBag(w.Relation, Web2),
	}, relation.RemoteUnits)
}

func followerBags(w *World) {
	w.writeAs(Leader, w.Relation, nil, map[string]string{"chain": "PEMs"})
	w.writeAs(Web, w.Relation, nil, map[string]string{"app-key": "app value"})
	snap := w.snapshot(w.session(Follower))
	require.False(w.t, snap.Leader)
	relation := w.relation(snap)
	require.Nil(w.t, relation.OwnApp, "only the leader may read it: that is not the same as empty")
	require.Equal(w.t, juju.Bag{"app-key": "app value"}, relation.RemoteApplication)
	require.Empty(w.t, charmBag(relation.OwnUnit))
	require.Equal(w.t, []string{Web, Web2}, relation.UnitNames())
}

func peerBags(w *World) {
	w.writeAs(Leader, w.Peers, map[string]string{"address": "a"}, map[string]string{"authority": "PEM"})
	for _, unit := range []string{Leader, Follower} {
		snap := w.snapshot(w.session(unit))
		peers, found := snap.Peers()
		require.True(w.t, found)
		require.Equal(w.t, w.Peers, peers.ID)
		require.Equal(w.t, "signet", peers.RemoteApp)
		require.Equal(w.t, juju.Bag{"authority": "PEM"}, peers.OwnApp)
		require.Equal(w.t, peers.OwnApp, peers.RemoteApplication)
		other := map[string]string{Leader: Follower, Follower: Leader}[unit]
		require.Equal(w.t, map[string]juju.Bag{other: w.Model.UnitBag(w.Peers, other)}, peers.RemoteUnits)
	}
}

func remoteUnits(w *World) {
	session := w.session(Leader)
	require.Equal(w.t, []string{Web, Web2}, w.relation(w.snapshot(session)).UnitNames())
	require.NoError(w.t, w.Model.RemoveUnit(Web2))
	require.Equal(w.t, []string{Web}, w.relation(w.snapshot(session)).UnitNames())
	third, err := w.Model.AddUnit("web")
	require.NoError(w.t, err)
	w.writeAs(third, w.Relation, map[string]string{"unit_name": "web_2"}, nil)
	relation := w.relation(w.snapshot(session))
	require.Equal(w.t, []string{Web, third}, relation.UnitNames())
	require.Equal(w.t, "web_2", relation.RemoteUnits[third]["unit_name"])
}

func crossModel(w *World) {
	require.NoError(w.t, w.Model.RemoveRelation(w.Relation))
	id, err := w.Model.IntegrateCrossModel("signet:certificates", "web:tls")
	require.NoError(w.t, err)
	w.writeAs(Web, id, map[string]string{"unit_name": "elsewhere"}, map[string]string{"app-key": "app value"})
	relation := w.relation(w.snapshot(w.session(Leader)))
	require.True(w.t, relation.CrossModel())
	require.Equal(w.t, []string{relation.RemoteApp + "/0", relation.RemoteApp + "/1"}, relation.UnitNames())
	require.Equal(w.t, "elsewhere", relation.RemoteUnits[relation.RemoteApp+"/0"]["unit_name"])
	require.Equal(w.t, juju.Bag{"app-key": "app value"}, relation.RemoteApplication)
}

func broken(w *World) {
	session := w.session(Leader)
	w.writeAs(Leader, w.Relation, map[string]string{"ca": "PEM"}, map[string]string{"chain": "PEMs"})
	require.NoError(w.t, w.Model.Attend(Leader, true)) // its agent tells it before it leaves
	w.snapshot(session)
	require.NoError(w.t, w.Model.RemoveRelation(w.Relation))
	relation := w.relation(w.snapshot(session))
	require.True(w.t, relation.Broken)
	require.Equal(w.t, w.Relation, relation.ID)
	require.Equal(w.t, "web", relation.RemoteApp)
	require.Empty(w.t, relation.RemoteUnits)
	require.Equal(w.t, juju.Bag{"ca": "PEM"}, charmBag(relation.OwnUnit))
	_ = w.Model.LeaveScope(w.Relation, Leader) // an error when its hooks have seen to that
	require.Empty(w.t, w.snapshot(session).On(juju.Provides, "tls-certificates"))
}

func leadership(w *World) {
	first, second := w.session(Leader), w.session(Follower)
	require.True(w.t, w.snapshot(first).Leader)
	require.False(w.t, w.snapshot(second).Leader)
	require.NoError(w.t, w.Model.SetLeader(Follower))
	require.False(w.t, w.snapshot(first).Leader)
	require.Nil(w.t, w.relation(w.snapshot(first)).OwnApp)
	require.True(w.t, w.snapshot(second).Leader)
	require.NotNil(w.t, w.relation(w.snapshot(second)).OwnApp)
}

func leaderless(w *World) {
	session := w.session(Follower)
	require.NoError(w.t, w.Model.RemoveUnit(Leader))
	w.Model.TrackLeadership(Follower) // hooks may have seen to that
	snap := w.snapshot(session)
	require.True(w.t, snap.Leader)
	require.NotNil(w.t, w.relation(snap).OwnApp)
}

func withoutSecrets(w *World) {
	session := w.session(Leader)
	snap := w.snapshot(session)
	require.False(w.t, snap.CanSecrets)
	require.Empty(w.t, snap.Secrets)
	err := session.Commit(w.t.Context(), juju.Changes{
		Secrets:   []juju.Secret{applicationSecret("key one")},
		Relations: []juju.RelationChange{w.change(juju.Bag{"ca": "PEM"}, nil)},
	})
	require.ErrorContains(w.t, err, "secrets")
	require.Empty(w.t, charmBag(w.Model.UnitBag(w.Relation, Leader)))
	w.commit(session, juju.Changes{Relations: []juju.RelationChange{w.change(juju.Bag{"ca": "PEM"}, nil)}})
	require.Equal(w.t, juju.Bag{"ca": "PEM"}, charmBag(w.relation(w.snapshot(session)).OwnUnit))
}

func leftovers(w *World) {
	require.Nil(w.t, w.snapshot(w.session(Leader)).Leftovers)
	require.NoError(w.t, w.Model.SetLeaderSettings(Leader, map[string]string{"certificate_authority": "PEM\n"}))
	wanted := map[string]string{"certificate_authority": "PEM\n"}
	if strings.HasPrefix(w.Model.JujuVersion(), "4.") { // which has no leader settings
		wanted = nil
	}
	require.Equal(w.t, wanted, w.snapshot(w.session(Leader)).Leftovers)
	require.Nil(w.t, w.snapshot(w.session(Follower)).Leftovers)
}
