// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/juju/juju/rpc/params"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

// versioned are the answers of oneRelation with versions, and a peer relation that vouches for the application's databags.
func versioned() map[string][]any {
	relation := func(id int, name, role, other string) results {
		return results{"life": "alive", "id": id, "other-application": other, "endpoint": results{"relation": results{"name": name, "role": role}}}
	}
	answers := oneRelation(list(results{"settings": results{}}, results{"settings": results{}}))
	answers["Uniter.RelationsStatus"] = []any{list(results{"results": []any{
		results{"relation-tag": "relation-web.tls#signet.certificates", "in-scope": true},
		results{"relation-tag": "relation-signet.peers", "in-scope": true},
	}})}
	answers["Uniter.Relation"] = []any{list(relation(1, "certificates", "provider", "web"), relation(2, "peers", "peer", "signet"))}
	answers["Uniter.ReadSettings"] = []any{list(results{"settings": results{}}, results{"settings": results{}})}
	answers["Uniter.WatchRelationUnits"] = []any{list(
		results{"RelationUnitsWatcherId": "1", "Changes": results{"changed": results{"web/0": results{"version": 3}}, "app-changed": results{"web": 4}}},
		results{"RelationUnitsWatcherId": "2", "Changes": results{"app-changed": results{"signet": 5}}},
	)}
	return answers
}

func TestWhatIsRememberedIsReadAgainInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, fake := linkTo(t, versioned())
		read := func() (own, remote, app int) {
			snap, err := l.Snapshot(t.Context())
			require.NoError(t, err)
			require.Len(t, snap.Relations, 2)
			return fake.times("Uniter.ReadSettings"), fake.times("Uniter.ReadRemoteSettings"), fake.times("Uniter.ReadLocalApplicationSettings")
		}
		expect := func(wantOwn, wantRemote, wantApp int, why string) {
			t.Helper()
			own, remote, app := read()
			require.Equal(t, []int{wantOwn, wantRemote, wantApp}, []int{own, remote, app}, why)
		}
		expect(1, 1, 2, "nothing is remembered")
		expect(1, 1, 2, "all of it is")
		time.Sleep(unsettled)
		expect(2, 1, 4, "a commit of the connection before may have been carried out meanwhile")
		expect(2, 1, 4, "once")
		time.Sleep(memoryLife - unsettled)
		expect(3, 2, 6, "it is ten minutes old")
		l.memory.doubtUnits()
		expect(4, 2, 6, "addresses")
		l.memory.doubtApps()
		expect(4, 2, 8, "leadership")
		fake.answers["Uniter.WatchRelationUnits"] = []any{list(
			results{"Changes": results{"changed": results{"web/0": results{"version": 1}}, "app-changed": results{"web": 1}}},
			results{"Changes": results{"app-changed": results{"signet": 1}}},
		)}
		expect(4, 3, 9, "a version that went back is another, and the peer relation's databag is as it was")
		fake.answers["Uniter.ReadSettings"] = []any{list(results{"settings": results{}})}
		l.memory.doubtRelations([]string{"web:tls signet:certificates", "no:such relation:here"})
		expect(5, 4, 10, "one relation")
	})
}

// A unit that a snapshot did not show is read when it is back, whatever its databag's version.
func TestWhoWasAwayIsReadAgain(t *testing.T) {
	t.Parallel()
	answers := versioned()
	with := answers["Uniter.WatchRelationUnits"][0]
	without := list(results{"Changes": results{"app-changed": results{"web": 4}}}, results{"Changes": results{"app-changed": results{"signet": 5}}})
	answers["Uniter.WatchRelationUnits"] = []any{with, without, with}
	answers["Uniter.ReadRemoteSettings"] = append(answers["Uniter.ReadRemoteSettings"], list(results{"settings": results{"came": "back"}}))
	l, fake := linkTo(t, answers)
	for _, want := range []map[string]juju.Bag{{"web/0": {}}, {}, {"web/0": {"came": "back"}}} {
		snap, err := l.Snapshot(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, snap.On(juju.Provides, "")[0].RemoteUnits)
	}
	require.Equal(t, 2, fake.times("Uniter.ReadRemoteSettings"))
}

// A commit that was refused leaves nothing remembered of the databags it was to change, one that was made leaves all.
func TestARefusedCommitIsReadAfter(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		outcome results
		want    int
	}{
		"made":    {results{}, 1},
		"refused": {results{"error": params.Error{Message: "too much", Code: params.CodeQuotaLimitExceeded}}, 2},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			answers := versioned()
			answers["Uniter.ReadSettings"] = append(answers["Uniter.ReadSettings"], list(results{"settings": results{}}))
			answers["Uniter.CommitHookChanges"] = []any{list(c.outcome)}
			l, fake := linkTo(t, answers)
			_, err := l.Snapshot(t.Context())
			require.NoError(t, err)
			err = l.Commit(t.Context(), juju.Changes{Relations: []juju.RelationChange{{ID: 1, Unit: juju.Bag{"a": "b"}}}})
			require.Equal(t, sentence == "made", err == nil)
			_, err = l.Snapshot(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.want, fake.times("Uniter.ReadSettings"))
		})
	}
}

func TestWatchersRaiseDoubts(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		happens func(*scene, *link)
		shown   func(juju.Relation) bool
	}{
		"the unit agent wrote addresses": {
			func(s *scene, _ *link) {
				require.NoError(s.t, s.model.SetAddresses("signet/0", juju.Addresses{Bind: []string{"10.9.9.9"}, Ingress: []string{"10.9.9.9"}}))
			},
			func(r juju.Relation) bool { return r.OwnUnit["ingress-address"] == "10.9.9.9" },
		},
		"another unit led": {
			func(s *scene, l *link) {
				require.NoError(s.t, s.model.SetLeader("signet/1"))
				s.writeAs("signet/1", s.model.Relations("signet")[1].ID, nil, map[string]string{"by": "another"})
				s.eventually(func() bool { return l.memory.told().apps })
				require.NoError(s.t, s.model.SetLeader("signet/0"))
			},
			func(r juju.Relation) bool { return r.OwnApp["by"] == "another" },
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, sandbox.Options{})
			s.integrate()
			conn := s.dial("signet/0")
			s.quiet(conn)
			c.happens(s, currentLink(t, conn))
			s.eventually(func() bool { return c.shown(s.relation(conn)) })
		})
	}
}

func TestARelationThatWasSuspendedIsInDoubt(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id, err := s.model.IntegrateCrossModel("signet:certificates", "web:tls")
	require.NoError(t, err)
	conn := s.dial("signet/0")
	s.quiet(conn)
	require.NoError(t, conn.Commit(t.Context(), juju.Changes{Relations: []juju.RelationChange{{ID: id, Unit: juju.Bag{"ca": "PEM"}}}}))
	require.Equal(t, "PEM", s.relation(conn).OwnUnit["ca"])
	require.NoError(t, s.model.SuspendRelation(id))
	l := currentLink(t, conn)
	s.eventually(func() bool { return len(l.memory.told().whole) > 0 })
	require.NoError(t, s.model.ResumeRelation(id))
	require.NotContains(t, s.relation(conn).OwnUnit, "ca", "the unit entered with a fresh databag")
}

func currentLink(t *testing.T, conn *Conn) *link {
	t.Helper()
	current, err := conn.connection()
	require.NoError(t, err)
	l, is := current.(*link)
	require.True(t, is)
	return l
}

// told is what watchers told, and the next snapshot will heed.
func (m *memory) told() doubt {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.doubt
}

// The watchers that a snapshot asks who is in scope are stopped before it ends, also where it fails.
func TestNoWatcherIsLeftBehind(t *testing.T) {
	t.Parallel()
	for sentence, spoil := range map[string]func(map[string][]any){
		"all is well":         func(map[string][]any) {},
		"a databag is denied": func(a map[string][]any) { a["Uniter.ReadRemoteSettings"] = []any{list(results{"error": denied})} },
		"one scope is denied": func(a map[string][]any) {
			a["Uniter.WatchRelationUnits"] = []any{list(results{"error": denied}, results{"RelationUnitsWatcherId": "2"})}
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			answers := versioned()
			spoil(answers)
			l, fake := linkTo(t, answers)
			snap, err := l.Snapshot(t.Context())
			perSnapshot := 2
			if sentence == "one scope is denied" {
				perSnapshot = 1
			}
			require.Equal(t, sentence == "all is well", err == nil)
			require.Len(t, fake.asked["RelationUnitsWatcher.Stop"], perSnapshot*fake.times("Uniter.WatchRelationUnits"))
			if err == nil {
				fake.answers["Uniter.WatchRelationUnits"] = []any{list(results{"Changes": results{"app-changed": results{"signet": 5}}})}
				require.NoError(t, l.Confirm(t.Context(), snap, juju.Changes{}))
				require.Len(t, fake.asked["RelationUnitsWatcher.Stop"], 2+1, "it asks about the peer relation")
			}
		})
	}
}
