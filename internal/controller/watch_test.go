// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

func TestEveryKindOfChangeIsNoticed(t *testing.T) {
	t.Parallel()
	const reader = "signet/1" // not the leader, so that it can become it
	encode := base64.StdEncoding.EncodeToString
	for sentence, c := range map[string]struct {
		before func(*scene, int)
		change func(*scene, int)
		wanted func(juju.Snapshot) bool
	}{
		"a relation comes": {
			change: func(s *scene, _ int) {
				require.NoError(s.t, s.model.Deploy("etcd", sandbox.CharmMeta{Endpoints: []juju.Endpoint{
					{Name: "certificates", Interface: "tls-certificates", Role: juju.Requires},
				}}))
				_, err := s.model.Integrate("signet:certificates", "etcd:certificates")
				require.NoError(s.t, err)
			},
			wanted: func(snap juju.Snapshot) bool { return len(snap.On(juju.Provides, "tls-certificates")) == 2 },
		},
		"a relation goes": {
			change: func(s *scene, id int) { require.NoError(s.t, s.model.RemoveRelation(id)) },
			wanted: func(snap juju.Snapshot) bool { return len(snap.On(juju.Provides, "tls-certificates")) == 0 },
		},
		"a unit joins": {
			change: func(s *scene, _ int) {
				_, err := s.model.AddUnit("web")
				require.NoError(s.t, err)
			},
			wanted: func(snap juju.Snapshot) bool {
				return len(snap.On(juju.Provides, "tls-certificates")[0].RemoteUnits) == 2
			},
		},
		"a unit departs": {
			change: func(s *scene, _ int) { require.NoError(s.t, s.model.RemoveUnit("web/0")) },
			wanted: func(snap juju.Snapshot) bool {
				return len(snap.On(juju.Provides, "tls-certificates")[0].RemoteUnits) == 0
			},
		},
		"a unit writes": {
			change: func(s *scene, id int) { s.writeAs("web/0", id, map[string]string{"unit_name": "web_0"}, nil) },
			wanted: func(snap juju.Snapshot) bool {
				return snap.On(juju.Provides, "tls-certificates")[0].RemoteUnits["web/0"]["unit_name"] == "web_0"
			},
		},
		"an application writes": {
			change: func(s *scene, id int) { s.writeAs("web/0", id, nil, map[string]string{"key": "value"}) },
			wanted: func(snap juju.Snapshot) bool {
				return snap.On(juju.Provides, "tls-certificates")[0].RemoteApplication["key"] == "value"
			},
		},
		"a peer writes": {
			change: func(s *scene, _ int) { s.writeAs("signet/0", 0, map[string]string{"key": "value"}, nil) },
			wanted: func(snap juju.Snapshot) bool {
				return snap.On(juju.Peers, "signet-peers")[0].RemoteUnits["signet/0"]["key"] == "value"
			},
		},
		"the own application's leader writes": {
			change: func(s *scene, _ int) { s.writeAs("signet/0", 0, nil, map[string]string{"key": "value"}) },
			wanted: func(snap juju.Snapshot) bool { return snap.On(juju.Peers, "signet-peers")[0].OwnApp["key"] == "value" },
		},
		"the config changes": {
			change: func(s *scene, _ int) {
				require.NoError(s.t, s.model.SetConfig("signet", map[string]any{"days": 7}))
			},
			wanted: func(snap juju.Snapshot) bool { return snap.Config["days"] == int64(7) },
		},
		"the unit's addresses change": {
			change: func(s *scene, _ int) {
				require.NoError(s.t, s.model.SetAddresses(reader, juju.Addresses{
					Bind: []string{"192.0.2.1"}, Ingress: []string{"192.0.2.1"}, Egress: []string{"192.0.2.1/32"},
				}))
			},
			wanted: func(snap juju.Snapshot) bool { return snap.Addresses["certificates"].Ingress[0] == "192.0.2.1" },
		},
		"the unit becomes the leader": {
			change: func(s *scene, _ int) { require.NoError(s.t, s.model.SetLeader(reader)) },
			wanted: func(snap juju.Snapshot) bool { return snap.Leader },
		},
		"the unit is the leader no more": {
			before: func(s *scene, _ int) { require.NoError(s.t, s.model.SetLeader(reader)) },
			change: func(s *scene, _ int) { require.NoError(s.t, s.model.SetLeader("signet/0")) },
			wanted: func(snap juju.Snapshot) bool { return !snap.Leader },
		},
		"the unit becomes the leader after nobody was": {
			before: func(s *scene, _ int) { s.model.DropLeader("signet") },
			change: func(s *scene, _ int) { require.NoError(s.t, s.model.SetLeader(reader)) },
			wanted: func(snap juju.Snapshot) bool { return snap.Leader },
		},
		"a secret of the application is published": {
			change: func(s *scene, _ int) { publishSecret(s, "Zmlyc3Q=") },
			wanted: func(snap juju.Snapshot) bool {
				secret, _ := snap.Secret("ca")
				return secret.Content["private-key"] == "first"
			},
		},
		"a secret of the application gets new content": {
			before: func(s *scene, _ int) { publishSecret(s, "Zmlyc3Q=") },
			change: func(s *scene, _ int) {
				require.NoError(s.t, s.model.UpdateSecret("signet/0", sandbox.SecretUpsert{
					URI: s.model.Secrets("signet")[0].URI, Content: map[string]string{"private-key": encode([]byte("second"))},
				}))
			},
			wanted: func(snap juju.Snapshot) bool {
				secret, _ := snap.Secret("ca")
				return secret.Content["private-key"] == "second"
			},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, sandbox.Options{})
			id := s.integrate()
			if c.before != nil {
				c.before(s, id)
			}
			conn := s.dial(reader)
			s.quiet(conn)
			require.False(t, c.wanted(s.snapshot(conn)))
			c.change(s, id)
			s.told(conn, c.wanted)
			require.Equal(t, 1, s.juju.Sessions(reader), "watching takes no second connection")
		})
	}
}

// publishSecret makes a secret of the application as its leader does.
func publishSecret(s *scene, encoded string) {
	label := "ca"
	require.NoError(s.t, s.model.CreateSecret("signet/0", sandbox.SecretUpsert{
		Owner: "signet", Label: &label, Content: map[string]string{"private-key": encoded},
	}))
	s.writeAs("signet/0", 0, nil, map[string]string{"secret.ca": s.model.Secrets("signet")[0].URI})
}

func TestWatchersFollowRelationsThatComeAndGo(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	conn := s.dial("signet/0")
	s.quiet(conn)
	require.NoError(t, s.model.Attend("signet/0", true)) // its agent takes the unit through the relation's end
	for range 5 {
		id := s.integrate()
		s.told(conn, func(snap juju.Snapshot) bool { return len(snap.On(juju.Provides, "tls-certificates")) == 1 })
		s.writeAs("web/0", id, map[string]string{"unit_name": "web_0"}, nil)
		s.told(conn, func(snap juju.Snapshot) bool {
			return snap.On(juju.Provides, "tls-certificates")[0].RemoteUnits["web/0"]["unit_name"] == "web_0"
		})
		require.NoError(t, s.model.RemoveRelation(id))
		s.told(conn, func(snap juju.Snapshot) bool { return snap.On(juju.Provides, "tls-certificates")[0].Broken })
		require.NoError(t, s.model.LeaveScope(id, "signet/0"))
		s.told(conn, func(snap juju.Snapshot) bool { return len(snap.On(juju.Provides, "tls-certificates")) == 0 })
	}
	require.NoError(t, conn.Err(), "relations that go are no reason to connect again")
}

func TestARelationThatIsMadeAgainUnderItsOldKeyIsWatched(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	conn := s.dial("signet/0")
	s.quiet(conn)
	for range 10 {
		// Faster than any watcher looks: it sees the same key, alive before and after.
		require.NoError(t, s.model.RemoveRelation(id))
		id = s.integrate()
		require.Equal(t, id, s.relation(conn).ID)
		s.writeAs("web/0", id, map[string]string{"unit_name": "web_0"}, nil)
		s.told(conn, func(snap juju.Snapshot) bool {
			return snap.On(juju.Provides, "tls-certificates")[0].RemoteUnits["web/0"]["unit_name"] == "web_0"
		})
	}
}

func TestARelationThatTheUnitAgentEntersLateIsLookedForAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	require.NoError(t, s.model.LeaveScope(id, "signet/0"))
	conn := s.dial("signet/0")
	s.quiet(conn)
	require.NoError(t, s.model.EnterScope(id, "signet/0"))
	s.told(conn, func(snap juju.Snapshot) bool { return len(snap.On(juju.Provides, "tls-certificates")) == 1 })
}

func TestManyChangesAreOneNotice(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	conn := s.dial("signet/0")
	s.quiet(conn)
	for i := range 200 {
		s.writeAs("web/0", id, map[string]string{"count": string(rune('a' + i%26))}, nil)
	}
	s.writeAs("web/0", id, map[string]string{"count": "last"}, nil)
	notices := 0
	s.told(conn, func(snap juju.Snapshot) bool {
		notices++
		return snap.On(juju.Provides, "tls-certificates")[0].RemoteUnits["web/0"]["count"] == "last"
	})
	require.Less(t, notices, 100)
}

func TestTheOwnCommitAndAnUnchangedModelGiveNoEndlessNotices(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	s.integrate()
	conn := s.dial("signet/0")
	s.quiet(conn)
	require.NoError(t, conn.Commit(t.Context(), juju.Changes{Secrets: []juju.Secret{
		{Label: "ca", Owner: juju.OwnedByApplication, Content: map[string]string{"private-key": "key"}},
	}}))
	// Reading a secret is a write at the controller. It must not come back as a change each time.
	notices := 0
	s.told(conn, func(snap juju.Snapshot) bool {
		_, found := snap.Secret("ca")
		return found
	})
	for range 50 {
		s.snapshot(conn)
		select {
		case <-conn.Watch():
			notices++
		default:
		}
	}
	require.LessOrEqual(t, notices, 2)
}
