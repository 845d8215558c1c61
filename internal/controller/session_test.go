// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

func TestASnapshotShowsTheLeaderEverything(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{ModelName: "prod"})
	id := s.integrate()
	s.writeAs("web/0", id, map[string]string{"unit_name": "web_0"}, map[string]string{"app-key": "app value"})
	s.writeAs("signet/0", id, map[string]string{"ca": "PEM"}, map[string]string{"chain": "PEMs"})
	require.NoError(t, s.model.SetConfig("signet", map[string]any{"days": 30}))

	snap := s.snapshot(s.dial("signet/0"))
	require.Equal(t, "signet/0", snap.Unit)
	require.Equal(t, "prod", snap.ModelName)
	require.Equal(t, s.model.UUID(), snap.ModelUUID)
	require.Equal(t, "3.6.25", snap.JujuVersion)
	require.True(t, snap.Leader)
	require.True(t, snap.CanSecrets)
	require.Nil(t, snap.Local, "the disk is the agent's to look at")
	require.Equal(t, map[string]any{"mode": "ca", "days": int64(30), "ratio": 0.5, "strict": false}, snap.Config)
	require.Equal(t, juju.Status{Level: juju.Waiting, Message: "waiting for machine"}, snap.Status)
	require.Empty(t, snap.State)
	require.NotNil(t, snap.State)
	require.ElementsMatch(t, []string{"certificates", "upstream", "peers"}, slices.Collect(maps.Keys(snap.Addresses)))
	require.NotEmpty(t, snap.Addresses["certificates"].Bind)
	require.NotEmpty(t, snap.Addresses["certificates"].Ingress)
	require.NotEmpty(t, snap.Addresses["certificates"].Egress)

	require.Len(t, snap.Relations, 2)
	peers, relation := snap.Relations[0], snap.Relations[1]
	require.Equal(t, juju.Relation{
		ID: peers.ID, Endpoint: signetEndpoints[2], RemoteApp: "signet",
		OwnUnit: juju.Bag(s.model.UnitBag(peers.ID, "signet/0")), OwnApp: juju.Bag{}, RemoteApplication: juju.Bag{},
		RemoteUnits: map[string]juju.Bag{"signet/1": s.model.UnitBag(peers.ID, "signet/1")},
	}, peers)
	require.Less(t, peers.ID, relation.ID)
	require.Equal(t, signetEndpoints[0], relation.Endpoint)
	require.Equal(t, "web", relation.RemoteApp)
	require.False(t, relation.Broken)
	require.Equal(t, "PEM", relation.OwnUnit["ca"])
	require.Equal(t, juju.Bag{"chain": "PEMs"}, relation.OwnApp)
	require.Equal(t, juju.Bag{"app-key": "app value"}, relation.RemoteApplication)
	require.Equal(t, []string{"web/0"}, relation.UnitNames())
	require.Equal(t, "web_0", relation.RemoteUnits["web/0"]["unit_name"])
}

func TestASnapshotShowsAnotherUnitLess(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	s.writeAs("signet/0", id, nil, map[string]string{"chain": "PEMs"})
	snap := s.snapshot(s.dial("signet/1"))
	require.False(t, snap.Leader)
	require.Nil(t, snap.On(juju.Provides, "tls-certificates")[0].OwnApp, "only the leader reads it")
	require.NotNil(t, snap.On(juju.Peers, "signet-peers")[0].OwnApp, "every unit reads that of a peer relation")
}

func TestCrossModelUnitsGoByTheirRemoteNames(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id, err := s.model.IntegrateCrossModel("signet:certificates", "web:tls")
	require.NoError(t, err)
	s.writeAs("web/0", id, map[string]string{"unit_name": "remote"}, nil)
	relation := s.relation(s.dial("signet/0"))
	require.True(t, relation.CrossModel())
	require.Equal(t, []string{relation.RemoteApp + "/0"}, relation.UnitNames())
	require.Equal(t, "remote", relation.RemoteUnits[relation.RemoteApp+"/0"]["unit_name"])
}

func TestARelationThatTheUnitIsNotInIsNotShown(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	require.NoError(t, s.model.LeaveScope(id, "signet/0"))
	require.Empty(t, s.snapshot(s.dial("signet/0")).On(juju.Provides, "tls-certificates"))
	require.Len(t, s.snapshot(s.dial("signet/1")).On(juju.Provides, "tls-certificates"), 1)
}

func TestADyingRelationIsBroken(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	require.NoError(t, s.model.Attend("signet/0", true))
	conn := s.dial("signet/0")
	require.NoError(t, s.model.RemoveRelation(id))
	relation := s.relation(conn)
	require.True(t, relation.Broken)
	require.Empty(t, relation.RemoteUnits)
	require.NoError(t, s.model.LeaveScope(id, "signet/0"))
	require.Empty(t, s.snapshot(conn).On(juju.Provides, "tls-certificates"))
}

func TestACommitChangesAllThatItNames(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	s.writeAs("signet/0", id, map[string]string{"stale": "x", "kept": "y"}, map[string]string{"stale": "x"})
	conn := s.dial("signet/0")
	status := juju.Status{Level: juju.Active, Message: "1 certificate"}
	uri := ""
	for round := range 2 {
		require.NoError(t, conn.Commit(t.Context(), juju.Changes{
			Secrets: []juju.Secret{
				{URI: uri, Label: "ca", Owner: juju.OwnedByApplication, Content: map[string]string{"private-key": fmt.Sprint("key ", round)}},
				{Label: "own", Owner: juju.OwnedByUnit, Content: map[string]string{"private-key": "own"}},
			},
			Relations: []juju.RelationChange{{
				ID: id, Key: fmt.Sprintf("certificates:%d", id),
				Unit: juju.Bag{"ca": "PEM", "stale": ""}, App: juju.Bag{"chain": "PEMs", "stale": ""},
			}},
			State:  map[string]string{"ledger": fmt.Sprint("head ", round), "other": ""},
			Status: &status,
		}))
		uri = s.model.Secrets("signet")[0].URI
	}
	unit := s.model.UnitBag(id, "signet/0")
	require.Equal(t, "PEM", unit["ca"])
	require.Equal(t, "y", unit["kept"])
	require.NotContains(t, unit, "stale")
	require.Equal(t, map[string]string{"chain": "PEMs"}, s.model.AppBag(id, "signet"))

	owned := s.model.Secrets("signet")
	require.Len(t, owned, 1, "a label that exists is that secret")
	content, err := s.model.RevealSecret(owned[0].URI)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"private-key": "key 1"}, content)
	require.Len(t, s.model.Secrets("signet/0"), 1)

	snap := s.snapshot(conn)
	require.Equal(t, status, snap.Status)
	require.Equal(t, map[string]string{"ledger": "head 1"}, snap.State)
	require.Equal(t, []juju.Secret{
		{URI: owned[0].URI, Label: "ca", Owner: juju.OwnedByApplication, Content: map[string]string{"private-key": "key 1"}},
		{URI: s.model.Secrets("signet/0")[0].URI, Label: "own", Owner: juju.OwnedByUnit, Content: map[string]string{"private-key": "own"}},
	}, snap.Secrets)
	peers, _ := snap.Peers()
	require.Empty(t, peers.OwnApp, "the keys that publish secrets are the sessions' own")
	require.Equal(t, map[string]string{"secret.ca": owned[0].URI}, s.model.AppBag(peers.ID, "signet"))

	require.Equal(t, []juju.Secret{
		{URI: owned[0].URI, Label: "ca", Owner: juju.OwnedByApplication, Content: map[string]string{"private-key": "key 1"}},
	}, s.snapshot(s.dial("signet/1")).Secrets, "every unit reads the application's secrets")
}

func TestASecretOfTheSameContentGetsNoNewRevision(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	conn := s.dial("signet/0")
	secret := juju.Secret{Label: "ca", Owner: juju.OwnedByApplication, Content: map[string]string{"one-key": "a", "another": "b"}}
	for range 3 {
		require.NoError(t, conn.Commit(t.Context(), juju.Changes{Secrets: []juju.Secret{secret}}))
	}
	secret.URI = s.model.Secrets("signet")[0].URI
	require.NoError(t, conn.Commit(t.Context(), juju.Changes{Secrets: []juju.Secret{secret}}))
	require.Equal(t, 1, s.model.Secrets("signet")[0].Latest)
	secret.Content["another"] = "c"
	require.NoError(t, conn.Commit(t.Context(), juju.Changes{Secrets: []juju.Secret{secret}}))
	require.Equal(t, 2, s.model.Secrets("signet")[0].Latest)
}

func TestASecretThatTheOtherUnitsCannotFindIsPublishedByTheNextCommit(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	label := "ca"
	require.NoError(t, s.model.CreateSecret("signet/0", sandbox.SecretUpsert{
		Owner: "signet", Label: &label, Content: map[string]string{"private-key": "a2V5"},
	}))
	leader, other := s.dial("signet/0"), s.dial("signet/1")
	require.Empty(t, s.snapshot(other).Secrets)
	require.Len(t, s.snapshot(leader).Secrets, 1)
	require.NoError(t, leader.Commit(t.Context(), juju.Changes{State: map[string]string{"key": "value"}}))
	require.Equal(t, s.snapshot(leader).Secrets, s.snapshot(other).Secrets)
}

func TestLeadershipLostSinceTheSnapshotCommitsNothing(t *testing.T) {
	t.Parallel()
	for sentence, lose := range map[string]func(*scene){
		"before the commit": func(s *scene) { require.NoError(s.t, s.model.SetLeader("signet/1")) },
		"inside it":         func(s *scene) { s.model.Interpose(func(string) { _ = s.model.SetLeader("signet/1") }) },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, sandbox.Options{})
			id := s.integrate()
			conn := s.dial("signet/0")
			require.True(t, s.snapshot(conn).Leader)
			before := s.model.UnitBag(id, "signet/0")
			lose(s)
			err := conn.Commit(t.Context(), juju.Changes{
				Secrets: []juju.Secret{{Label: "ca", Owner: juju.OwnedByApplication, Content: map[string]string{"private-key": "hidden"}}},
				Relations: []juju.RelationChange{{
					ID: id, Key: "certificates", Unit: juju.Bag{"ca": "PEM"}, App: juju.Bag{"chain": "PEMs"},
				}},
				State:  map[string]string{"ledger": "head"},
				Status: &juju.Status{Level: juju.Active},
			})
			require.ErrorIs(t, err, juju.ErrNotLeader)
			require.NotContains(t, err.Error(), "hidden")
			require.Equal(t, before, s.model.UnitBag(id, "signet/0"))
			require.Empty(t, s.model.AppBag(id, "signet"))
			snap := s.snapshot(conn)
			require.False(t, snap.Leader)
			require.Empty(t, snap.State)
			require.Equal(t, juju.Waiting, snap.Status.Level)
		})
	}
}

func TestAnotherCommitInBetweenIsKept(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	conn := s.dial("signet/0")
	s.snapshot(conn)
	s.model.Interpose(func(string) {
		s.model.Interpose(nil)
		s.writeAs("signet/0", id, map[string]string{"by-hook": "kept"}, map[string]string{"by-hook": "kept"})
	})
	require.NoError(t, conn.Commit(t.Context(), juju.Changes{Relations: []juju.RelationChange{{
		ID: id, Key: "certificates", Unit: juju.Bag{"ca": "PEM"}, App: juju.Bag{"chain": "PEMs"},
	}}}))
	conn.Close()
	relation := s.relation(s.dial("signet/0")) // which remembers nothing: no version tells of the unit's own other writes
	require.Equal(t, juju.Bag{"chain": "PEMs", "by-hook": "kept"}, relation.OwnApp)
	require.Equal(t, "PEM", relation.OwnUnit["ca"])
	require.Equal(t, "kept", relation.OwnUnit["by-hook"])
}

func TestACommitToARelationThatIsGoneChangesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	conn := s.dial("signet/0")
	s.snapshot(conn)
	require.NoError(t, s.model.RemoveRelation(id))
	err := conn.Commit(t.Context(), juju.Changes{
		Relations: []juju.RelationChange{{ID: id, Key: "certificates:9", Unit: juju.Bag{"ca": "PEM"}}},
		State:     map[string]string{"ledger": "head"},
	})
	require.ErrorContains(t, err, "no longer takes part in relation certificates:9")
	require.Empty(t, s.snapshot(conn).State)
}

func TestWhatIsNotTextIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	conn := s.dial("signet/0")
	for sentence, changes := range map[string]juju.Changes{
		"a value of a databag": {Relations: []juju.RelationChange{{ID: id, Key: "certificates:1", Unit: juju.Bag{"ca": "\xff"}}}},
		"a key of a databag":   {Relations: []juju.RelationChange{{ID: id, Key: "certificates:1", App: juju.Bag{"\xff": "a"}}}},
		"an empty key":         {State: map[string]string{"": "a"}},
	} {
		require.ErrorContains(t, conn.Commit(t.Context(), changes), "must be UTF-8 text", sentence)
	}
}

func TestAModelWithoutSecretsHasNone(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{NoSecrets: true})
	conn := s.dial("signet/0")
	snap := s.snapshot(conn)
	require.False(t, snap.CanSecrets)
	require.Empty(t, snap.Secrets)
	require.ErrorContains(t, conn.Commit(t.Context(), juju.Changes{Secrets: []juju.Secret{
		{Label: "ca", Owner: juju.OwnedByApplication, Content: map[string]string{"private-key": "hidden"}},
	}}), "this model has no secrets")
}

func TestASnapshotEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	conn := s.dial("signet/0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := conn.Snapshot(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, conn.Commit(ctx, juju.Changes{State: map[string]string{"a": "b"}}), context.Canceled)
	require.NotEmpty(t, s.snapshot(conn).Unit, "the connection is none the worse")
}
