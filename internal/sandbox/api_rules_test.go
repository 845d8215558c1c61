// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"testing"

	"github.com/juju/juju/api/agent/secretsmanager"
	"github.com/juju/juju/api/base"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// relationOfOthers is a relation in which ca has no part.
func relationOfOthers(t *testing.T, c *Controller) string {
	t.Helper()
	m := c.Model()
	require.NoError(t, m.Deploy("lb", CharmMeta{Endpoints: []juju.Endpoint{{Name: "site", Interface: "http", Role: juju.Provides}}}))
	require.NoError(t, m.Deploy("dns", CharmMeta{Endpoints: []juju.Endpoint{{Name: "web", Interface: "http", Role: juju.Requires}}}))
	_, err := m.Integrate("lb:site", "dns:web")
	require.NoError(t, err)
	return names.NewRelationTag("dns:web lb:site").String()
}

// failure calls a facade's method and gives the first result's error, or else the call's.
func failure(t *testing.T, l loggedIn, method string, args any) error {
	t.Helper()
	var results params.ErrorResults // every bulk result has an error in this place
	if err := l.state.Facade().FacadeCall(method, args, &results); err != nil {
		return err
	}
	require.NotEmpty(t, results.Results)
	if results.Results[0].Error == nil {
		return nil
	}
	return results.Results[0].Error
}

func TestRefusalsHaveJujusCodes(t *testing.T) {
	t.Parallel()
	c := started(t)
	others := relationOfOthers(t, c)
	own := names.NewRelationTag("etcd:certs ca:certificates").String()
	leader, follower := login(t, c, "ca/0"), login(t, c, "ca/1")
	require.NoError(t, c.Model().Attend("ca/1", true))
	require.NoError(t, c.Model().RemoveUnit("ca/1")) // dying: its agent is on its way through its hooks
	unit := func(relation, tag string) params.RelationUnits {
		return params.RelationUnits{RelationUnits: []params.RelationUnit{{Relation: relation, Unit: tag}}}
	}
	remote := func(relation, tag string) params.RelationUnitPairs {
		return params.RelationUnitPairs{RelationUnitPairs: []params.RelationUnitPair{
			{Relation: relation, LocalUnit: "unit-ca-0", RemoteUnit: tag},
		}}
	}
	settings := func(arg params.RelationUnitSettings) params.CommitHookChangesArgs {
		return params.CommitHookChangesArgs{Args: []params.CommitHookChangesArg{
			{Tag: "unit-ca-0", RelationUnitSettings: []params.RelationUnitSettings{arg}},
		}}
	}
	notFound, denied := params.CodeNotFound, params.CodeUnauthorized
	for sentence, tt := range map[string]struct {
		as     loggedIn
		method string
		args   any
		code   string
		text   string
	}{
		"a relation that is not there":              {leader, "Relation", unit("relation-x.y#z.w", "unit-ca-0"), denied, "permission denied"},
		"a relation of others":                      {leader, "Relation", unit(others, "unit-ca-0"), notFound, `application "ca" is not a member of "dns:web lb:site"`},
		"the own databag in a relation of others":   {leader, "ReadSettings", unit(others, "unit-ca-0"), notFound, "is not a member of"},
		"the application's in a relation of others": {leader, "ReadSettings", unit(others, "application-ca"), denied, "permission denied"},
		"another application's as one's own":        {leader, "ReadSettings", unit(own, "application-etcd"), denied, "permission denied"},
		"a machine's databag":                       {leader, "ReadSettings", unit(own, "machine-0"), denied, "permission denied"},
		"a remote unit that never was":              {leader, "ReadRemoteSettings", remote(own, "unit-etcd-9"), notFound, `cannot read settings for unit "etcd/9" in relation "etcd:certs ca:certificates": unit "etcd/9": settings not found`},
		"a unit of an application not related":      {leader, "ReadRemoteSettings", remote(own, "unit-lb-0"), denied, "permission denied"},
		"the own application as a remote one":       {leader, "ReadRemoteSettings", remote(own, "application-ca"), denied, "permission denied"},
		"remote databags of others":                 {leader, "ReadRemoteSettings", remote(others, "application-lb"), notFound, "is not a member of"},
		"to watch a relation of others":             {leader, "WatchRelationUnits", unit(others, "unit-ca-0"), notFound, "is not a member of"},
		"to leave a relation of others":             {leader, "LeaveScope", unit(others, "unit-ca-0"), notFound, "is not a member of"},
		"to write into a relation of others":        {leader, "CommitHookChanges", settings(params.RelationUnitSettings{Relation: others, Unit: "unit-ca-0", Settings: params.Settings{"a": "b"}}), notFound, "is not a member of"},
		"to write for another unit":                 {leader, "CommitHookChanges", settings(params.RelationUnitSettings{Relation: own, Unit: "unit-ca-1", Settings: params.Settings{"a": "b"}}), denied, "permission denied"},
		"to commit as no unit":                      {leader, "CommitHookChanges", params.CommitHookChangesArgs{Args: []params.CommitHookChangesArg{{Tag: "machine-0"}}}, "", `"machine-0" is not a valid unit tag`},
		"to set another unit's state":               {leader, "CommitHookChanges", params.CommitHookChangesArgs{Args: []params.CommitHookChangesArg{{Tag: "unit-ca-0", SetUnitState: &params.SetUnitStateArg{Tag: "unit-ca-1"}}}}, denied, "permission denied"},
		"the application's status as a follower":    {follower, "ApplicationStatus", entities("unit-ca-1"), "", `"ca/1" is not leader of "ca"`},
		"the application's status by its own name":  {leader, "ApplicationStatus", entities("application-ca"), denied, "permission denied"},
		"a dying unit that enters":                  {follower, "EnterScope", unit(names.NewRelationTag("ca:peers").String(), "unit-ca-1"), "", ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			err := failure(t, tt.as, tt.method, tt.args)
			if tt.text == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.text)
			require.Equal(t, tt.code, params.ErrCode(err))
		})
	}
	require.NoError(t, c.Model().LeaveScope(0, "ca/1"))
	err := failure(t, follower, "EnterScope", unit(names.NewRelationTag("ca:peers").String(), "unit-ca-1"))
	require.ErrorContains(t, err, "unit is no longer alive")
	require.Equal(t, params.CodeCannotEnterScope, params.ErrCode(err))
}

func TestSecretsAreForThoseWhoLiveAndMay(t *testing.T) {
	t.Parallel()
	c := started(t)
	m := c.Model()
	content := map[string]string{"key": "YQ=="}
	require.NoError(t, m.CreateSecret("ca/0", SecretUpsert{Owner: "ca", Content: content}))
	uri := m.Secrets("ca")[0].URI
	grant := SecretGrant{URI: uri, Subject: "etcd/0", Relation: "etcd:certs ca:certificates", Role: "view"}
	for sentence, tt := range map[string]struct {
		grant SecretGrant
		want  string
	}{
		"no relation to live with": {SecretGrant{URI: uri, Subject: "etcd", Role: "view"}, "invalid scope reference"},
		"a unit that is not there": {SecretGrant{URI: uri, Subject: "etcd/9", Relation: grant.Relation, Role: "view"}, "invalid subject reference"},
		"a role that is none":      {SecretGrant{URI: uri, Subject: "etcd", Relation: grant.Relation, Role: "own"}, `secret role "own" not valid`},
	} {
		require.ErrorContains(t, m.GrantSecret("ca/0", tt.grant), tt.want, sentence)
	}
	require.NoError(t, m.Attend("etcd/0", true))
	require.NoError(t, m.RemoveUnit("etcd/0"))
	require.ErrorContains(t, m.GrantSecret("ca/0", grant), `cannot grant dying "unit-etcd-0" access to secret`)

	dying := secretsmanager.NewClient(login(t, c, "etcd/0").conn)
	_, err := dying.CreateSecretURIs(1)
	require.ErrorContains(t, err, `cannot reserve secret for owner "unit-etcd-0" which is not alive`)
	require.ErrorContains(t, m.CreateSecret("etcd/0", SecretUpsert{Owner: "etcd/0", Content: content}), "which is not alive")

	follower := login(t, c, "ca/1")
	var contents params.SecretContentResults
	err = secretsFacade(follower).FacadeCall("GetSecretRevisionContentInfo", params.SecretRevisionArg{URI: uri, Revisions: []int{1}}, &contents)
	require.ErrorContains(t, err, `"ca/1" is not leader of "ca"`)
	_, err = secretsmanager.NewClient(follower.conn).WatchObsolete(names.NewUserTag("ca"))
	require.ErrorContains(t, err, "permission denied")
}

func TestOldControllersAnswerInTheirOwnWay(t *testing.T) {
	t.Parallel()
	c, err := Start(Options{JujuVersion: "3.1.10", Facades: map[string]int{"Uniter": 18, "SecretsManager": 1}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	relation := related(t, c.Model())
	l := login(t, c, "ca/0")
	require.Equal(t, 18, l.conn.BestFacadeVersion("Uniter"))
	var relations params.RelationResults
	require.NoError(t, l.state.Facade().FacadeCall("RelationById", params.RelationIds{RelationIds: []int{relation}}, &relations))
	require.Equal(t, "etcd", relations.Results[0].OtherApplication)

	value := map[string]string{"key": "YQ=="}
	require.NoError(t, c.Model().CreateSecret("ca/0", SecretUpsert{Owner: "ca", Content: value}))
	uri := c.Model().Secrets("ca")[0].URI
	require.NoError(t, c.Model().UpdateSecret("ca/0", SecretUpsert{URI: uri, Content: value}))
	var secrets params.ListSecretResults
	require.NoError(t, secretsFacade(l).FacadeCall("GetSecretMetadata", nil, &secrets))
	require.Equal(t, []params.SecretRevision{{Revision: 1}, {Revision: 2}}, secrets.Results[0].Revisions)
	manager := secretsmanager.NewClient(l.conn)
	_, err = manager.GetSecretBackendConfig(nil)
	require.ErrorContains(t, err, "method SecretsManager(1).GetSecretBackendConfigs is not implemented")
	var backends params.SecretBackendConfigResultsV1
	require.NoError(t, secretsFacade(l).FacadeCall("GetSecretBackendConfig", nil, &backends))
	require.Equal(t, "controller", backends.Configs[backends.ActiveID].BackendType)
	watcher, err := manager.WatchObsolete(names.NewApplicationTag("ca"))
	require.NoError(t, err)
	next(t, watcher.Changes())
	require.NoError(t, c.Model().DeleteSecret("ca/0", SecretDelete{URI: uri}))
	require.Equal(t, []string{uri}, next(t, watcher.Changes()))
	watcher.Kill()
	require.NoError(t, watcher.Wait())

	for facade, version := range map[string]int{"Uniter": 17, "SecretsManager": 5, "Pinger": 1} {
		_, err := Start(Options{Facades: map[string]int{facade: version}})
		require.ErrorContains(t, err, "cannot serve version")
	}
}

// secretsFacade is the facade of secrets, for calls that the library has no words for.
func secretsFacade(l loggedIn) base.FacadeCaller {
	return base.NewFacadeCaller(l.conn, "SecretsManager")
}
