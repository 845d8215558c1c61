// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/juju/juju/agent"
	"github.com/juju/juju/api"
	"github.com/juju/juju/api/agent/secretsmanager"
	"github.com/juju/juju/api/agent/uniter"
	"github.com/juju/juju/core/life"
	"github.com/juju/juju/core/network"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// started is a sandbox with a provider of two units, one of them the leader, related to a requirer of one.
func started(t *testing.T) *Controller {
	t.Helper()
	c, err := Start(Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	related(t, c.Model())
	return c
}

func related(t *testing.T, m *Model) (relation int) {
	t.Helper()
	require.NoError(t, m.Deploy("ca", CharmMeta{
		Name: "signet",
		Endpoints: []juju.Endpoint{
			{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides},
			{Name: "peers", Interface: "signet-peers", Role: juju.Peers},
		},
		Config: map[string]any{"days": 30, "key-type": "p256", "strict": false, "note": nil},
		Types:  map[string]string{"note": "string"},
	}))
	require.NoError(t, m.Deploy("etcd", CharmMeta{
		Endpoints: []juju.Endpoint{{Name: "certs", Interface: "tls-certificates", Role: juju.Requires}},
	}))
	for _, app := range []string{"ca", "ca", "etcd"} {
		_, err := m.AddUnit(app)
		require.NoError(t, err)
	}
	relation, err := m.Integrate("ca:certificates", "etcd:certs")
	require.NoError(t, err)
	return relation
}

// apiInfo reads how a unit logs in, as every agent does.
func apiInfo(t *testing.T, c *Controller, unit string) *api.Info {
	t.Helper()
	conf, err := agent.ReadConfig(c.AgentConf(unit))
	require.NoError(t, err)
	info, ok := conf.APIInfo()
	require.True(t, ok)
	return info
}

// open logs in as a unit, once.
func open(t *testing.T, info *api.Info) (api.Connection, error) {
	t.Helper()
	conn, err := api.Open(info, api.DialOpts{Timeout: 10 * time.Second})
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}

// loggedIn is a unit's connection and the facades it works with.
type loggedIn struct {
	conn  api.Connection
	state *uniter.State
	unit  *uniter.Unit
	tag   names.UnitTag
}

func login(t *testing.T, c *Controller, unit string) loggedIn {
	t.Helper()
	conn, err := open(t, apiInfo(t, c, unit))
	require.NoError(t, err)
	tag := names.NewUnitTag(unit)
	state := uniter.NewState(conn, tag)
	u, err := state.Unit(tag)
	require.NoError(t, err)
	return loggedIn{conn: conn, state: state, unit: u, tag: tag}
}

// in gives a relation as this unit takes part in it.
func (l loggedIn) in(t *testing.T, relation int) *uniter.RelationUnit {
	t.Helper()
	r, err := l.state.RelationById(relation)
	require.NoError(t, err)
	ru, err := r.Unit(l.tag)
	require.NoError(t, err)
	return ru
}

func relationID(t *testing.T, c *Controller, app, endpoint string) int {
	t.Helper()
	for _, info := range c.Model().Relations(app) {
		if info.Endpoint.Name == endpoint {
			return info.ID
		}
	}
	require.Failf(t, "no such relation", "%s:%s", app, endpoint)
	return 0
}

// next waits for an event of a watcher.
func next[T any](t *testing.T, changes <-chan T) T {
	t.Helper()
	select {
	case change, ok := <-changes:
		require.True(t, ok, "the watcher has ended")
		return change
	case <-time.After(10 * time.Second):
		require.FailNow(t, "no event within ten seconds")
	}
	panic("unreachable")
}

func TestAUnitLogsInAndSeesItsModel(t *testing.T) {
	t.Parallel()
	c := started(t)
	l := login(t, c, "ca/0")

	model, err := l.state.Model()
	require.NoError(t, err)
	require.Equal(t, "sandbox", model.Name)
	require.Equal(t, c.Model().UUID(), model.UUID)
	version, ok := l.conn.ServerVersion()
	require.True(t, ok)
	require.Equal(t, "3.6.25", version.String())

	statuses, err := l.unit.RelationsStatus()
	require.NoError(t, err)
	require.Len(t, statuses, 2)
	require.True(t, statuses[0].InScope)

	rel, err := l.state.RelationById(relationID(t, c, "ca", "certificates"))
	require.NoError(t, err)
	require.Equal(t, "etcd:certs ca:certificates", rel.String())
	require.Equal(t, "etcd", rel.OtherApplication())
	endpoint, err := rel.Endpoint()
	require.NoError(t, err)
	require.Equal(t, "certificates", endpoint.Name)

	config, err := l.unit.ConfigSettings()
	require.NoError(t, err)
	require.EqualValues(t, 30, config["days"])
	require.Contains(t, config, "note")

	network, err := l.unit.NetworkInfo([]string{"certificates"}, nil)
	require.NoError(t, err)
	require.NotEmpty(t, network["certificates"].IngressAddresses)

	goal, err := l.state.GoalState()
	require.NoError(t, err)
	require.Len(t, goal.Units, 2)
	require.Contains(t, goal.Relations["certificates"], "etcd/0")
}

// Juju's writer, of what its reader found, writes the same.
func TestAgentConfIsAsJujuWritesIt(t *testing.T) {
	t.Parallel()
	c := started(t)
	require.NoError(t, c.RotatePassword("ca/0"))
	text, err := os.ReadFile(c.AgentConf("ca/0"))
	require.NoError(t, err)
	conf, err := agent.ParseConfigData(text)
	require.NoError(t, err)
	rendered, err := conf.Render()
	require.NoError(t, err)
	require.Equal(t, string(rendered), string(text))
	require.Equal(t, agent.ConfigPath(conf.DataDir(), conf.Tag()), c.AgentConf("ca/0"))
}

func TestAgentConfIsReadableByItsOwnerOnly(t *testing.T) {
	t.Parallel()
	c := started(t)
	info, err := os.Stat(c.AgentConf("ca/0"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestCommitWritesBagsAndStateTogether(t *testing.T) {
	t.Parallel()
	c := started(t)
	relation := relationID(t, c, "ca", "certificates")
	l := login(t, c, "ca/0")

	b := uniter.NewCommitHookParamsBuilder(l.tag)
	b.UpdateRelationUnitSettings(l.in(t, relation).Relation().Tag().String(),
		params.Settings{"ca": "pem", "egress-subnets": ""}, params.Settings{"certificates": "[]"})
	b.UpdateCharmState(map[string]string{"serial": "1"})
	args, _ := b.Build()
	require.NoError(t, l.unit.CommitHookChanges(args))

	own, err := l.in(t, relation).Settings()
	require.NoError(t, err)
	require.Equal(t, "pem", own.Map()["ca"])
	require.NotContains(t, own.Map(), "egress-subnets")
	require.Contains(t, own.Map(), "ingress-address")
	app, err := l.in(t, relation).ApplicationSettings()
	require.NoError(t, err)
	require.Equal(t, params.Settings{"certificates": "[]"}, app.Map())
	state, err := l.unit.State()
	require.NoError(t, err)
	require.Equal(t, map[string]string{"serial": "1"}, state.CharmState)

	remote := login(t, c, "etcd/0")
	seen, err := remote.in(t, relation).ReadSettings("ca/0")
	require.NoError(t, err)
	require.Equal(t, "pem", seen["ca"])
	seen, err = remote.in(t, relation).ReadSettings("ca")
	require.NoError(t, err)
	require.Equal(t, "[]", seen["certificates"])
}

func TestLeadershipLostBetweenReadAndCommitChangesNothing(t *testing.T) {
	t.Parallel()
	c := started(t)
	relation := relationID(t, c, "ca", "certificates")
	l := login(t, c, "ca/0")
	_, err := l.in(t, relation).ApplicationSettings()
	require.NoError(t, err)

	require.NoError(t, c.Model().SetLeader("ca/1"))
	b := uniter.NewCommitHookParamsBuilder(l.tag)
	b.UpdateRelationUnitSettings(l.in(t, relation).Relation().Tag().String(),
		params.Settings{"unit": "x"}, params.Settings{"app": "x"})
	b.UpdateCharmState(map[string]string{"state": "x"})
	args, _ := b.Build()
	err = l.unit.CommitHookChanges(args)
	require.ErrorContains(t, err, `"ca/0" is not leader of "ca"`)
	require.NotContains(t, c.Model().UnitBag(relation, "ca/0"), "unit")
	require.Empty(t, c.Model().AppBag(relation, "ca"))
	state, err := c.Model().State("ca/0")
	require.NoError(t, err)
	require.Empty(t, state.Charm)

	_, err = l.in(t, relation).ApplicationSettings()
	require.True(t, params.IsCodeUnauthorized(err), "%v", err)
}

func TestLeadershipLostAfterTheSecretsKeepsTheSecrets(t *testing.T) {
	t.Parallel()
	c := started(t)
	relation := relationID(t, c, "ca", "certificates")
	l := login(t, c, "ca/0")
	uris, err := secretsmanager.NewClient(l.conn).CreateSecretURIs(1)
	require.NoError(t, err)
	c.Model().Interpose(func(string) { _ = c.Model().SetLeader("ca/1") })

	b := uniter.NewCommitHookParamsBuilder(l.tag)
	b.UpdateRelationUnitSettings(l.in(t, relation).Relation().Tag().String(), nil, params.Settings{"app": "x"})
	b.AddSecretCreates([]uniter.SecretCreateArg{secretArg(uris[0], "ca-key", "value")})
	args, _ := b.Build()
	require.ErrorContains(t, l.unit.CommitHookChanges(args), "is not leader")
	require.Empty(t, c.Model().AppBag(relation, "ca"))
	require.Len(t, c.Model().Secrets("ca"), 1)
}

func TestWhatAUnitMayNotIsDenied(t *testing.T) {
	t.Parallel()
	c := started(t)
	relation := relationID(t, c, "ca", "certificates")
	tag := names.NewRelationTag("etcd:certs ca:certificates").String()
	follower := login(t, c, "ca/1")
	tests := map[string]func() error{
		"another unit's own bag": func() error {
			return readSettings(t, follower, tag, names.NewUnitTag("ca/0"))
		},
		"the remote unit's bag as one's own": func() error {
			return readSettings(t, follower, tag, names.NewUnitTag("etcd/0"))
		},
		"the own application's bag as a follower": func() error {
			_, err := follower.in(t, relation).ApplicationSettings()
			return err
		},
		"a peer's bag through a relation that is no peer relation": func() error {
			_, err := follower.in(t, relation).ReadSettings("ca/0")
			return err
		},
		"the own bag as a remote one": func() error {
			_, err := follower.in(t, relation).ReadSettings("ca/1")
			return err
		},
		"a stranger's bag": func() error {
			_, err := follower.in(t, relation).ReadSettings("vault/0")
			return err
		},
		"a relation that does not exist": func() error {
			_, err := follower.state.RelationById(99)
			return err
		},
		"another unit's status": func() error {
			var results params.StatusResults
			err := follower.state.Facade().FacadeCall("UnitStatus", entities("unit-ca-0"), &results)
			require.NoError(t, err)
			return results.Results[0].Error
		},
		"another unit's commit": func() error {
			b := uniter.NewCommitHookParamsBuilder(names.NewUnitTag("ca/0"))
			b.UpdateCharmState(map[string]string{"a": "b"})
			args, _ := b.Build()
			var results params.ErrorResults
			require.NoError(t, follower.state.Facade().FacadeCall("CommitHookChanges", args, &results))
			return results.Results[0].Error
		},
		"another unit's relations": func() error {
			var results params.StringsWatchResults
			require.NoError(t, follower.state.Facade().FacadeCall("WatchUnitRelations", entities("unit-ca-0"), &results))
			return results.Results[0].Error
		},
	}
	for name, attempt := range tests {
		t.Run(name, func(t *testing.T) {
			err := attempt()
			require.Error(t, err)
			require.True(t, params.IsCodeUnauthorized(err), "%v", err)
			require.Contains(t, err.Error(), "permission denied")
		})
	}
	peers, err := follower.in(t, relationID(t, c, "ca", "peers")).ReadSettings("ca")
	require.NoError(t, err, "the own application's bag of a peer relation is every unit's")
	require.Empty(t, peers)
}

func entities(tag string) params.Entities {
	return params.Entities{Entities: []params.Entity{{Tag: tag}}}
}

func readSettings(t *testing.T, l loggedIn, relation string, tag names.Tag) error {
	t.Helper()
	var results params.SettingsResults
	args := params.RelationUnits{RelationUnits: []params.RelationUnit{{Relation: relation, Unit: tag.String()}}}
	require.NoError(t, l.state.Facade().FacadeCall("ReadSettings", args, &results))
	if results.Results[0].Error == nil {
		return nil
	}
	return results.Results[0].Error
}

func TestWhatElseAnAgentAsksIsAnswered(t *testing.T) {
	t.Parallel()
	c := started(t)
	l := login(t, c, "ca/0")
	relation := relationID(t, c, "ca", "certificates")
	tests := map[string]struct {
		ask  func() (any, error)
		want any
	}{
		"its life":          {func() (any, error) { return l.unit.Life(), l.unit.Refresh() }, life.Alive},
		"its principal":     {func() (any, error) { name, _, err := l.unit.PrincipalName(); return name, err }, ""},
		"its subordinates":  {func() (any, error) { return l.unit.HasSubordinates() }, false},
		"its charm":         {func() (any, error) { return l.unit.CharmURL() }, "local:signet-0"},
		"its machine":       {func() (any, error) { return l.unit.AssignedMachine() }, names.NewMachineTag("0")},
		"its zone":          {func() (any, error) { return l.unit.AvailabilityZone() }, "default"},
		"its address":       {func() (any, error) { return l.unit.PublicAddress() }, "10.100.1.2"},
		"its own address":   {func() (any, error) { return l.unit.PrivateAddress() }, "10.100.1.2"},
		"the kind of cloud": {func() (any, error) { return l.state.ProviderType() }, "manual"},
		"the controller":    {func() (any, error) { return l.state.APIAddresses() }, []string{c.Addr()}},
		"the model's name": {func() (any, error) {
			config, err := l.state.ModelConfig()
			if err != nil {
				return nil, err
			}
			return config.Name(), nil
		}, "sandbox"},
		"to keep its agent's state": {func() (any, error) {
			yaml := "started: true"
			if err := l.unit.SetState(params.SetUnitStateArg{UniterState: &yaml}); err != nil {
				return nil, err
			}
			state, err := l.unit.State()
			return state.UniterState, err
		}, "started: true"},
		"its application's status": {func() (any, error) {
			var results params.ApplicationStatusResults
			err := l.state.Facade().FacadeCall("ApplicationStatus", entities("unit-ca-0"), &results)
			return results.Results[0].Application.Status, err
		}, "unknown"},
		"to leave and enter a scope": {func() (any, error) {
			if err := l.in(t, relation).LeaveScope(); err != nil {
				return nil, err
			}
			if c.Model().InScope(relation, "ca/0") {
				return nil, errors.New("still in scope")
			}
			return nil, l.in(t, relation).EnterScope()
		}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.ask()
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestOpenedPortsArePartOfTheCommit(t *testing.T) {
	t.Parallel()
	c := started(t)
	l := login(t, c, "ca/0")
	b := uniter.NewCommitHookParamsBuilder(l.tag)
	b.OpenPortRange("certificates", network.PortRange{Protocol: "tcp", FromPort: 8200, ToPort: 8201})
	args, _ := b.Build()
	require.NoError(t, l.unit.CommitHookChanges(args))
	require.Equal(t, []PortRange{{Endpoint: "certificates", Protocol: "tcp", From: 8200, To: 8201}}, c.Model().OpenedPorts("ca/0"))
}

func TestStatusIsSetAndRead(t *testing.T) {
	t.Parallel()
	c := started(t)
	l := login(t, c, "ca/0")
	require.NoError(t, l.unit.SetUnitStatus("blocked", "no CA yet", nil))
	got, err := l.unit.UnitStatus()
	require.NoError(t, err)
	require.Equal(t, "blocked", got.Status)
	require.Equal(t, "no CA yet", got.Info)
	require.ErrorContains(t, l.unit.SetUnitStatus("splendid", "", nil), "cannot set invalid status")
}

func TestAModelWithoutSecretsHasNoSecretsManager(t *testing.T) {
	t.Parallel()
	c, err := Start(Options{NoSecrets: true, Clock: time.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	related(t, c.Model())
	l := login(t, c, "ca/0")
	require.Zero(t, l.conn.BestFacadeVersion("SecretsManager"))
	err = c.Model().Commit("ca/0", Commit{Secrets: SecretChanges{Creates: []SecretUpsert{{Owner: "ca/0", Content: map[string]string{"key": "YQ=="}}}}})
	require.ErrorContains(t, err, "not supported")
}

// awaitDead waits until the client has noticed that its connection is broken.
func awaitDead(t *testing.T, conn api.Connection) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	select {
	case <-conn.Broken():
	case <-ctx.Done():
		require.FailNow(t, "the connection does not break")
	}
}

func TestUnitsEnterTheirScopesWhenTheirAgentsDo(t *testing.T) {
	t.Parallel()
	c, err := Start(Options{LateScopes: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	relation := related(t, c.Model())
	l := login(t, c, "ca/0")
	statuses, err := l.unit.RelationsStatus()
	require.NoError(t, err)
	require.False(t, statuses[1].InScope)
	_, err = l.in(t, relation).Settings()
	require.True(t, params.IsCodeNotFound(err), "%v", err)
	require.ErrorContains(t, err, `unit "ca/0": settings not found`)
	require.ErrorContains(t, c.Model().Commit("ca/0", Commit{Relations: []BagChange{{RelationID: relation, Unit: map[string]string{"a": "b"}}}}),
		`unit "ca/0": settings not found`)
	units, err := l.state.WatchRelationUnits(l.in(t, relation).Relation().Tag(), l.tag)
	require.NoError(t, err)
	require.Empty(t, next(t, units.Changes()).Changed)
	require.NoError(t, login(t, c, "etcd/0").in(t, relation).EnterScope())
	require.Contains(t, next(t, units.Changes()).Changed, "etcd/0")
	require.NoError(t, l.in(t, relation).EnterScope())
	_, err = l.in(t, relation).Settings()
	require.NoError(t, err)
	units.Kill()
	require.NoError(t, units.Wait())
}
