// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/juju/juju/rpc"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// The answers here are ones that the embedded Juju does not give at will.

type results map[string]any

// list is a bulk call's answer.
func list(items ...any) results { return results{"results": items} }

// linkTo makes a link to a controller that gives these answers, and sensible ones to all else.
func linkTo(t *testing.T, answers map[string][]any) (*link, *fakeAPI) {
	t.Helper()
	fake := &fakeAPI{closed: make(chan struct{}), answers: map[string][]any{
		"Uniter.Refresh":                         {list(results{"life": "alive"})},
		"Uniter.ApplicationStatus":               {list(results{})},
		"Uniter.RelationsStatus":                 {list(results{"results": []any{}})},
		"Uniter.ConfigSettings":                  {list(results{"settings": results{}})},
		"Uniter.State":                           {list(results{})},
		"Uniter.UnitStatus":                      {list(results{"status": "active"})},
		"Uniter.CommitHookChanges":               {list(results{})},
		"Uniter.WatchUnitRelations":              {list(results{"StringsWatcherId": "1"})},
		"Uniter.WatchConfigSettingsHash":         {list(results{"StringsWatcherId": "2"})},
		"Pinger.Ping":                            {results{}},
		"SecretsManager.GetSecretMetadata":       {list()},
		"SecretsManager.CreateSecretURIs":        {list(results{"result": "secret:9m4e2mr0ui3e8a215n4g"})},
		"SecretsManager.GetSecretBackendConfigs": {results{"active-id": "c", "results": results{"c": results{"config": results{"type": "controller"}}}}},
	}}
	for method, queue := range answers {
		fake.answers[method] = queue
	}
	return &link{
		conn: fake, unit: names.NewUnitTag("signet/0"), app: names.NewApplicationTag("signet"),
		log: slog.New(slog.DiscardHandler), canSecrets: fake.answers["SecretsManager.GetSecretMetadata"] != nil, unjoined: make(chan struct{}, 1), stray: make(chan []string, 1),
		tracked: map[string]int{}, watched: map[string]watched{}, memory: newMemory(time.Now()),
	}, fake
}

var someSecret = juju.Changes{Secrets: []juju.Secret{
	{Label: "ca", Owner: juju.OwnedByApplication, Content: map[string]string{"private-key": "hidden"}},
}}

func TestASecretMadeByAnotherInTheMeantimeIsNotWrittenOver(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		content string // base64
		moved   bool
	}{
		"of the same content it is the one": {"aGlkZGVu", false},
		"of another it is another's":        {"YW5vdGhlcg==", true},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			l, fake := linkTo(t, map[string][]any{
				"SecretsManager.GetSecretMetadata": {list(), list(results{
					"uri": "secret:9m4e2mr0ui3e8a215n40", "owner-tag": "application-signet", "label": "ca",
				})},
				"SecretsManager.GetSecretContentInfo": {list(results{"content": results{"data": results{"private-key": c.content}}})},
				"Uniter.CommitHookChanges": {
					list(results{"error": params.Error{Message: `creating secrets: secret with label "ca" already exists`}}), list(results{}),
				},
			})
			changes := someSecret
			changes.State = map[string]string{"ledger": "head"}
			err := l.Commit(t.Context(), changes)
			commits := fake.asked["Uniter.CommitHookChanges"]
			if c.moved {
				require.ErrorIs(t, err, juju.ErrMoved)
				require.NotContains(t, err.Error(), "hidden")
				require.Len(t, commits, 1)
				return
			}
			require.NoError(t, err)
			require.Len(t, commits, 2)
			second := commits[1].(params.CommitHookChangesArgs).Args[0]
			require.Empty(t, second.SecretCreates)
			require.Empty(t, second.SecretUpdates)
			require.NotNil(t, second.SetUnitState)
		})
	}
}

func TestAModelWhoseSecretsLieElsewhereIsRefusedByName(t *testing.T) {
	t.Parallel()
	l, fake := linkTo(t, map[string][]any{
		"SecretsManager.GetSecretBackendConfigs": {results{"active-id": "b1", "results": results{
			"b1": results{"config": results{"type": "vault", "params": results{"token": "hidden"}}},
		}}},
	})
	err := l.Commit(t.Context(), someSecret)
	require.ErrorContains(t, err, `vault secret back end "b1"`)
	require.NotContains(t, err.Error(), "hidden")
	require.Empty(t, fake.asked["Uniter.CommitHookChanges"])
}

func TestAControllerThatKnowsNoSecretBackEndsIsItsOwn(t *testing.T) {
	t.Parallel()
	l, fake := linkTo(t, map[string][]any{"SecretsManager.GetSecretBackendConfigs": nil})
	require.NoError(t, l.Commit(t.Context(), someSecret))
	require.Len(t, fake.asked["Uniter.CommitHookChanges"], 1)

	l, fake = linkTo(t, map[string][]any{"SecretsManager.GetSecretBackendConfigs": {&rpc.RequestError{Message: "database is locked"}}})
	require.ErrorContains(t, l.Commit(t.Context(), someSecret), "cannot tell the model's secret back end: database is locked")
	require.Empty(t, fake.asked["Uniter.CommitHookChanges"], "it is not guessed")
}

func TestARefusedCommitIsBlamedOnLostLeadershipOnlyIfItWas(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		refusal params.Error
		leader  results
		want    bool
	}{
		"Juju says so":                          {params.Error{Message: `checking leadership continuity: "signet/0" is not leader of "signet"`}, results{}, true},
		"Juju has a code for it":                {params.Error{Message: "no", Code: params.CodeNotLeader}, results{}, true},
		"permission is denied, and it is lost":  {*denied, results{"error": denied}, true},
		"permission is denied for other causes": {*denied, results{}, false},
		"a quota is used up":                    {params.Error{Message: "too much", Code: params.CodeQuotaLimitExceeded}, results{"error": denied}, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			l, _ := linkTo(t, map[string][]any{
				"Uniter.CommitHookChanges": {list(results{"error": c.refusal})},
				"Uniter.ApplicationStatus": {list(c.leader)},
			})
			err := l.Commit(t.Context(), someSecret)
			require.ErrorContains(t, err, c.refusal.Message)
			require.Equal(t, c.want, errors.Is(err, juju.ErrNotLeader))
			require.NotContains(t, err.Error(), "hidden")
		})
	}
}

func TestLeadershipThatCannotBeToldIsNotGuessed(t *testing.T) {
	t.Parallel()
	l, _ := linkTo(t, map[string][]any{"Uniter.ApplicationStatus": {&rpc.RequestError{Message: "database is locked"}}})
	_, err := l.Snapshot(t.Context())
	require.ErrorContains(t, err, "cannot tell whether signet/0 is the leader: database is locked")
}

// oneRelation has the unit be in one relation, with one remote unit.
func oneRelation(settings ...any) map[string][]any {
	return map[string][]any{
		"Uniter.RelationsStatus": {list(results{"results": []any{results{"relation-tag": "relation-web.tls#signet.certificates", "in-scope": true}}})},
		"Uniter.Relation": {list(results{
			"life": "alive", "id": 1, "key": "web:tls signet:certificates", "other-application": "web",
			"endpoint": results{"relation": results{"name": "certificates", "role": "provider"}},
		})},
		"Uniter.ReadSettings":                 {list(results{"settings": results{"a": "b"}})},
		"Uniter.WatchRelationUnits":           {list(results{"RelationUnitsWatcherId": "1", "Changes": results{"changed": results{"web/0": results{}}}})},
		"Uniter.ReadRemoteSettings":           settings,
		"Uniter.ReadLocalApplicationSettings": {results{"settings": results{}}},
	}
}

func TestASnapshotStartsOverWhenTheModelChangesUnderIt(t *testing.T) {
	t.Parallel()
	good := list(results{"settings": results{}}, results{"settings": results{"unit_name": "web_0"}})
	torn := list(results{"settings": results{}}, results{"error": denied})
	l, fake := linkTo(t, oneRelation(torn, torn, good))
	snap, err := l.Snapshot(t.Context())
	require.NoError(t, err)
	require.Equal(t, "web_0", snap.Relations[0].RemoteUnits["web/0"]["unit_name"])
	require.Equal(t, "web", snap.Relations[0].RemoteApp)
	require.Len(t, fake.asked["RelationUnitsWatcher.Stop"], 3, "no watcher is left behind")

	l, fake = linkTo(t, oneRelation(torn))
	_, err = l.Snapshot(t.Context())
	require.ErrorContains(t, err, "cannot read the databag of unit-web-0 in certificates:1: permission denied")
	require.Len(t, fake.asked["Uniter.ReadRemoteSettings"], snapshotTries, "but not for ever")
}

func TestADatabagThatCannotBeReadIsNeverTakenForEmpty(t *testing.T) {
	t.Parallel()
	for sentence, answer := range map[string]any{
		"an error in one result": list(results{"settings": results{}}, results{"error": params.Error{Message: "database is locked"}}),
		"too few results":        list(results{"settings": results{}}),
		"no results":             results{},
		"a broken connection":    rpc.ErrShutdown,
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			l, _ := linkTo(t, oneRelation(answer))
			_, err := l.Snapshot(t.Context())
			require.ErrorContains(t, err, "cannot read the unit's snapshot: cannot ")
		})
	}
}

func TestAnAnswerThatWasNotUnderstoodSpoilsTheSnapshot(t *testing.T) {
	t.Parallel()
	// The library hands out what it could decode and ends the connection, on which the ping then fails.
	l, _ := linkTo(t, map[string][]any{"Pinger.Ping": {rpc.ErrShutdown}})
	_, err := l.Snapshot(t.Context())
	require.ErrorIs(t, err, juju.ErrUnreachable)
}

func TestASecretThatIsGoneHasNoContent(t *testing.T) {
	t.Parallel()
	l, _ := linkTo(t, map[string][]any{
		"SecretsManager.GetSecretMetadata": {list(results{
			"uri": "secret:9m4e2mr0ui3e8a215n40", "owner-tag": "unit-signet-0", "label": "own", "latest-revision": 2,
		})},
		"SecretsManager.GetSecretContentInfo": {list(results{"error": params.Error{Message: "secret not found", Code: params.CodeNotFound}})},
	})
	snap, err := l.Snapshot(t.Context())
	require.NoError(t, err)
	require.Equal(t, []juju.Secret{{URI: "secret:9m4e2mr0ui3e8a215n40", Label: "own", Owner: juju.OwnedByUnit}}, snap.Secrets)
}

func TestARevisionIsToldAsReadOnce(t *testing.T) {
	t.Parallel()
	listed := func(revision int) results {
		return list(results{"uri": "secret:9m4e2mr0ui3e8a215n40", "owner-tag": "unit-signet-0", "label": "own", "latest-revision": revision})
	}
	l, fake := linkTo(t, map[string][]any{
		"SecretsManager.GetSecretMetadata":    {listed(1), listed(1), listed(2)},
		"SecretsManager.GetSecretContentInfo": {list(results{"content": results{"data": results{"key": "a2V5"}}})},
	})
	for range 3 {
		_, err := l.Snapshot(t.Context())
		require.NoError(t, err)
	}
	var refreshed []bool
	for _, asked := range fake.asked["SecretsManager.GetSecretContentInfo"] {
		arg := asked.(params.GetSecretContentArgs).Args[0]
		require.NotEqual(t, arg.Refresh, arg.Peek)
		refreshed = append(refreshed, arg.Refresh)
	}
	require.Equal(t, []bool{true, false, true}, refreshed)
}

// watching answers what a watch without secrets needs; more answers replace these.
func watching(more map[string][]any) map[string][]any {
	answers := oneRelation(list())
	answers["Uniter.WatchUnitRelations"] = []any{list(results{"StringsWatcherId": "1", "Changes": []string{"web:tls signet:certificates"}})}
	answers["SecretsManager.GetSecretMetadata"] = nil
	maps.Copy(answers, more)
	return answers
}

func TestAWatcherThatEndsEndsTheConnection(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		answers map[string][]any
		want    string
	}{
		"one that is stopped":            {map[string][]any{"StringsWatcher.Next": {&rpc.RequestError{Message: "watcher was stopped", Code: params.CodeStopped}}}, "any longer: watcher was stopped"},
		"one that fails":                 {map[string][]any{"StringsWatcher.Next": {&rpc.RequestError{Message: "database is locked"}}}, "any longer: database is locked"},
		"one that cannot be set up":      {map[string][]any{"Uniter.WatchConfigSettingsHash": {&rpc.RequestError{Message: "not now"}}}, "cannot watch the config: not now"},
		"leadership that is not to know": {map[string][]any{"LeadershipService.BlockUntilLeadershipReleased": {&rpc.RequestError{Message: "not now"}}}, "cannot watch leadership"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, fake := linkTo(t, watching(c.answers))
				err := l.Serve(t.Context(), func() {})
				require.ErrorContains(t, err, c.want)
				<-fake.closed
			})
		})
	}
}

func TestTheWatcherOfALivingRelationIsRestoredButNotForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, fake := linkTo(t, watching(map[string][]any{
			"RelationUnitsWatcher.Next": {&rpc.RequestError{Message: "watcher was stopped", Code: params.CodeStopped}},
		}))
		err := l.Serve(t.Context(), func() {})
		require.ErrorContains(t, err, "cannot watch the units of web:tls signet:certificates any longer")
		require.Equal(t, 1+relationRestarts, fake.times("Uniter.WatchRelationUnits"))
	})
}

func TestTheWatcherOfARelationThatIsGoneIsNotRestored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := watching(map[string][]any{
			"RelationUnitsWatcher.Next": {&rpc.RequestError{Message: "watcher was stopped", Code: params.CodeStopped}},
		})
		answers["Uniter.Relation"] = append(answers["Uniter.Relation"], list(results{"error": denied}))
		l, fake := linkTo(t, answers)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		notices := newNotices()
		require.NoError(t, l.Serve(ctx, notices.notify))
		require.Len(t, notices.times, 2, "one when all watchers stand, one for the relation")
		require.Equal(t, 1, fake.times("Uniter.WatchRelationUnits"))
	})
}

func TestALeaseThatNobodyTakesIsNotAskedForInALoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, fake := linkTo(t, watching(map[string][]any{
			"Uniter.ApplicationStatus":                       {list(results{"error": denied})},
			"LeadershipService.BlockUntilLeadershipReleased": {results{}},
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		notices := newNotices()
		require.NoError(t, l.Serve(ctx, notices.notify))
		require.Len(t, notices.times, 1)
		asked := fake.times("LeadershipService.BlockUntilLeadershipReleased")
		require.Greater(t, asked, 100, "twice a minute")
		require.Less(t, asked, 150)
		require.Zero(t, fake.times("LeadershipService.ClaimLeadership"), "claiming is the unit agent's")
	})
}

func TestLeadershipThatMovesUnnoticedIsFoundInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leads, follows := list(results{}), list(results{"error": denied})
		l, _ := linkTo(t, watching(map[string][]any{"Uniter.ApplicationStatus": {follows, follows, leads}}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		notices := newNotices()
		require.NoError(t, l.Serve(ctx, notices.notify))
		require.Equal(t, []time.Duration{0, leaderSettle + leaderRecheck}, notices.times)
	})
}
