// SPDX-License-Identifier: AGPL-3.0-only

package hooktool

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gopkg.in/yaml.v3"

	"github.com/signet-charm/signet/internal/juju"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnEnvironmentIsReadByJujusNames(t *testing.T) {
	t.Parallel()
	variables := map[string]string{
		"JUJU_AGENT_SOCKET_NETWORK": "tcp", "JUJU_AGENT_SOCKET_ADDRESS": "10.0.0.1:30000", "JUJU_CONTEXT_ID": "id",
		"JUJU_AGENT_TOKEN": "token", "JUJU_AGENT_CA_CERT": "/ca.crt", "JUJU_CHARM_DIR": "/charm", "TMPDIR": "/t",
		"JUJU_UNIT_NAME": "signet/0", "JUJU_MODEL_NAME": "prod", "JUJU_MODEL_UUID": "uuid", "JUJU_VERSION": "3.6.25",
		"JUJU_HOOK_NAME": "certificates-relation-departed", "JUJU_RELATION_ID": "certificates:3", "JUJU_REMOTE_APP": "web",
		"JUJU_DEPARTING_UNIT": "web/1",
	}
	endpoints := []juju.Endpoint{{Name: "certificates"}}
	env := FromLookup(func(name string) string { return variables[name] }, endpoints)
	require.Equal(t, Environment{
		Network: "tcp", Address: "10.0.0.1:30000", ContextID: "id", Token: "token", CACert: "/ca.crt", CharmDir: "/charm",
		TempDir: "/t", Unit: "signet/0", ModelName: "prod", ModelUUID: "uuid", JujuVersion: "3.6.25",
		Hook: "certificates-relation-departed", RelationID: "certificates:3", RemoteApp: "web",
		DepartingUnit: "web/1", Endpoints: endpoints,
	}, env)
	old := FromLookup(func(name string) string { return map[string]string{"JUJU_DISPATCH_PATH": "hooks/start"}[name] }, nil)
	require.Equal(t, "start", old.Hook)
}

func TestASessionOpensOnlyInAHook(t *testing.T) {
	t.Parallel()
	_, env := fakeAgent(t, quietModel())
	for sentence, c := range map[string]struct {
		spoil func(*Environment)
		want  string
		err   error
	}{
		"outside a hook": {func(e *Environment) { e.Address = "" }, "JUJU_AGENT_SOCKET_ADDRESS is not set", juju.ErrUnreachable},
		"agent gone":     {func(e *Environment) { e.Address += "x" }, "cannot connect to the hook tools", juju.ErrUnreachable},
		"no charm dir":   {func(e *Environment) { e.CharmDir = "charm" }, `charm folder "charm" is not absolute`, nil},
		"no unit":        {func(e *Environment) { e.Unit = "" }, "unit's name is not known", nil},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			bad := env
			c.spoil(&bad)
			_, err := Open(bad)
			require.ErrorContains(t, err, c.want)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
			}
		})
	}
}

func TestAnAgentElsewhereIsReachedByTLS(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ name, want string }{
		"with the application's name": {"signet", ""},
		"with another name":           {"web", "certificate is valid for web"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			listener, caFile := tlsListener(t, c.name)
			agent := serveFake(t, listener, quietModel())
			_, env := fakeAgent(t, nil)
			env.Network, env.Address, env.CACert, env.Token = "tcp", listener.Addr().String(), caFile, "hush"
			if c.want != "" {
				_, err := Open(env)
				require.ErrorIs(t, err, juju.ErrUnreachable)
				require.ErrorContains(t, err, c.want)
				return
			}
			_, err := open(t, env).Snapshot(t.Context())
			require.NoError(t, err)
			require.Equal(t, "hush", agent.asked[0].Token)
		})
	}
}

func TestARequestCarriesWhatTheAgentChecks(t *testing.T) {
	t.Parallel()
	agent, env := fakeAgent(t, with(map[string]answer{"status-set": {stdin: true}}))
	status := juju.Status{Level: juju.Active, Message: "-x"}
	require.NoError(t, open(t, env).Commit(t.Context(), juju.Changes{Status: &status}))
	require.Len(t, agent.asked, 3, "a tool that wants standard input is asked again with one")
	require.Equal(t, Request{
		ContextId: "signet/0-start-1", Dir: env.CharmDir, CommandName: "status-set", Args: []string{"--", "active", "-x"}, StdinSet: true,
	}, agent.asked[2])
}

func TestABrokenConnectionIsUnreachable(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		conn, err := listener.Accept()
		if err == nil {
			_ = conn.Close()
		}
	}()
	_, env := fakeAgent(t, nil)
	env.Address = listener.Addr().String()
	session := open(t, env)
	<-accepted
	require.NoError(t, listener.Close())
	_, err := session.Snapshot(t.Context())
	require.ErrorIs(t, err, juju.ErrUnreachable)
	require.ErrorIs(t, session.Commit(t.Context(), juju.Changes{State: map[string]string{"a": "b"}}), juju.ErrUnreachable)
}

func TestAnAgentThatDoesNotAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	agent, env := fakeAgent(t, quietModel())
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	agent.look = func(Request) { cancel(); <-release }
	_, err := open(t, env).Snapshot(ctx)
	close(release)
	require.ErrorIs(t, err, juju.ErrUnreachable)
	require.ErrorIs(t, err, context.Canceled)
}

func TestSecretsAreUsedOnlyWhereJujuHasThem(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		version string
		answers map[string]answer
		has     bool
	}{
		"3.6":                         {"3.6.25", nil, true},
		"4.0":                         {"4.0.1", nil, true},
		"2.9 is not asked":            {"2.9.51", nil, false},
		"a version that says nothing": {"", nil, false},
		"3.0 whose model has none":    {"3.0.0", map[string]answer{"secret-ids": {stderr: "secrets not supported"}}, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			agent, env := fakeAgent(t, with(c.answers))
			env.JujuVersion = c.version
			snap, err := open(t, env).Snapshot(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.has, snap.CanSecrets)
			if strings.HasPrefix(c.version, "2") {
				require.NotContains(t, agent.commands(), "secret-ids")
			}
		})
	}
	t.Run("an unknown command", func(t *testing.T) {
		t.Parallel()
		answers := quietModel()
		delete(answers, "secret-ids")
		_, env := fakeAgent(t, answers)
		session := open(t, env)
		snap, err := session.Snapshot(t.Context())
		require.NoError(t, err)
		require.False(t, snap.CanSecrets)
		require.ErrorContains(t, session.Commit(t.Context(), juju.Changes{Secrets: []juju.Secret{{
			Label: "a", Owner: juju.OwnedByUnit, Content: map[string]string{"key": "value"},
		}}}), "must be 3.0 or later")
	})
}

func TestADepartingUnitIsGone(t *testing.T) {
	t.Parallel()
	_, env := fakeAgent(t, with(map[string]answer{"relation-list -r certificates:3": {stdout: `["web/0","web/1"]`}}))
	env.Hook, env.RelationID, env.DepartingUnit = "certificates-relation-departed", "certificates:3", "web/1"
	snap, err := open(t, env).Snapshot(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"web/0"}, snap.On(juju.Provides, "tls-certificates")[0].UnitNames())

	env.RelationID = "peers:0"
	snap, err = open(t, env).Snapshot(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"web/0", "web/1"}, snap.On(juju.Provides, "tls-certificates")[0].UnitNames(), "it goes from the hook's relation only")
}

func TestABrokenRelationIsShownThoughJujuDoesNotListIt(t *testing.T) {
	t.Parallel()
	_, env := fakeAgent(t, with(map[string]answer{
		"relation-ids certificates":                     {stdout: "[]"},
		"relation-list -r certificates:3 --app":         {stdout: `""`},
		"relation-get -r certificates:3 - signet/0":     {stdout: `{"ca":"PEM"}`},
		"relation-get -r certificates:3 --app - web":    {stderr: "permission denied"},
		"relation-get -r certificates:3 --app - signet": {stderr: "relation not found"},
	}))
	env.Hook, env.RelationID, env.RemoteApp = "certificates-relation-broken", "certificates:3", "web"
	snap, err := open(t, env).Snapshot(t.Context())
	require.NoError(t, err)
	require.Equal(t, []juju.Relation{{
		ID: 3, Endpoint: env.Endpoints[0], RemoteApp: "web", Broken: true,
		OwnUnit: juju.Bag{"ca": "PEM"}, RemoteUnits: map[string]juju.Bag{},
	}}, snap.On(juju.Provides, "tls-certificates"))
}

func TestAnUnreadableDatabagIsNotAnEmptyOne(t *testing.T) {
	t.Parallel()
	for sentence, command := range map[string]string{
		"a remote unit's":          "relation-get -r certificates:3 - web/0",
		"the own unit's":           "relation-get -r certificates:3 - signet/0",
		"the remote application's": "relation-get -r certificates:3 --app - web",
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, env := fakeAgent(t, with(map[string]answer{
				"relation-list -r certificates:3": {stdout: `["web/0"]`}, command: {stderr: "permission denied"},
			}))
			_, err := open(t, env).Snapshot(t.Context())
			require.ErrorContains(t, err, "cannot read relation certificates:3: cannot read the databag of")
		})
	}
	_, env := fakeAgent(t, with(map[string]answer{"relation-get -r certificates:3 --app - signet": {stderr: "permission denied"}}))
	snap, err := open(t, env).Snapshot(t.Context())
	require.NoError(t, err, "leadership can be lost between two questions")
	require.Nil(t, snap.On(juju.Provides, "tls-certificates")[0].OwnApp)
}

func TestAnswersThatMakeNoSenseAreErrorsThatNameTheTool(t *testing.T) {
	t.Parallel()
	for command, garbage := range map[string]string{
		"is-leader": "yes", "config-get": "[1]", "relation-ids certificates": `{"a":1}`, "relation-list": "{", "relation-get": `["a"]`,
		"status-get": "active", "state-get": "7", "secret-ids": `"one"`,
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			_, env := fakeAgent(t, with(map[string]answer{command: {stdout: garbage}}))
			_, err := open(t, env).Snapshot(t.Context())
			name, _, _ := strings.Cut(command, " ")
			require.ErrorContains(t, err, "cannot understand the answer of "+name)
		})
	}
	_, env := fakeAgent(t, with(map[string]answer{"relation-ids certificates": {stdout: `["other:1"]`}}))
	_, err := open(t, env).Snapshot(t.Context())
	require.ErrorContains(t, err, "cannot read relation other:1: neither its endpoint nor its number makes sense")
}

func TestACommitPassesNoValueAsAnArgument(t *testing.T) {
	t.Parallel()
	agent, env := fakeAgent(t, quietModel())
	var file string
	content := map[string]string{}
	agent.look = func(req Request) {
		for i, arg := range req.Args {
			if req.CommandName != "secret-add" || arg != "--file" {
				continue
			}
			file = req.Args[i+1]
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != 0o600 {
				file = "not private"
			}
			text, _ := os.ReadFile(file)
			_ = json.Unmarshal(text, &content)
		}
	}
	status := juju.Status{Level: juju.Blocked, Message: "-look here"}
	require.NoError(t, open(t, env).Commit(t.Context(), juju.Changes{
		Secrets:   []juju.Secret{{Label: "authority", Owner: juju.OwnedByApplication, Content: map[string]string{"private-key": "hidden-1"}}},
		Relations: []juju.RelationChange{{ID: 3, Key: "certificates:3", Unit: juju.Bag{"ca": "hidden-2"}, App: juju.Bag{"chain": "hidden-3", "old": ""}}},
		State:     map[string]string{"ledger": "hidden-4", "old": ""},
		Status:    &status,
	}))
	require.Equal(t, map[string]string{"private-key": "hidden-1"}, content)
	require.NoFileExists(t, file)
	left, err := os.ReadDir(env.TempDir)
	require.NoError(t, err)
	require.Empty(t, left)

	commands := agent.commands()
	require.NotContains(t, strings.Join(commands, "\n"), "hidden")
	require.Equal(t, []string{
		"is-leader", "secret-ids",
		"secret-add --label authority --owner application --file " + file,
		"relation-ids peers", "relation-ids peers", "relation-get -r peers:0 --app - signet",
		"relation-set -r 0 --app --file -",
		"relation-set -r 3 --app --file -", "relation-set -r 3 --file -",
		"state-delete -- old", "state-set --file -",
		"status-set -- blocked -look here",
	}, commands, "secrets, then databags and state, the status last")
	require.Equal(t, "? \"secret.authority\"\n: \"secret:9m4e2mr0ui3e8a215n4g\"\n", string(agent.asked[6].Stdin))
	require.Equal(t, "? \"chain\"\n: \"hidden-3\"\n? \"old\"\n: \"\"\n", string(agent.asked[7].Stdin))
}

func TestASecretRefusedBecauseItExistsIsNotWrittenOver(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		content string
		moved   bool
	}{
		"of the same content it is the one": {`{"private-key":"hidden"}`, false},
		"of another it is another's":        {`{"private-key":"other"}`, true},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			agent, env := fakeAgent(t, with(map[string]answer{
				"secret-add":      {stderr: `secret with label "authority" already exists`},
				"secret-info-get": {stdout: `{"9m4e2mr0ui3e8a215n4g":{"label":"authority","owner":"application","revision":1}}`},
				"secret-get":      {stdout: c.content},
			}))
			asked := 0
			agent.look = func(req Request) { // it comes to be between the listing and the creation
				if req.CommandName == "secret-add" {
					agent.answers["secret-ids"] = answer{stdout: `["9m4e2mr0ui3e8a215n4g"]`}
					asked++
				}
			}
			err := open(t, env).Commit(t.Context(), juju.Changes{Secrets: []juju.Secret{{
				Label: "authority", Content: map[string]string{"private-key": "hidden"},
			}}})
			require.Equal(t, 1, asked)
			commands := strings.Join(agent.commands(), "\n")
			require.NotContains(t, commands, "secret-set")
			if c.moved {
				require.ErrorIs(t, err, juju.ErrMoved)
				require.NotContains(t, err.Error(), "hidden")
				require.NotContains(t, commands, "relation-set")
				return
			}
			require.NoError(t, err)
			require.Contains(t, commands, "relation-set -r 0 --app --file -", "other units are told where it is")
		})
	}
}

func TestRefusalsForWantOfLeadershipAreErrNotLeader(t *testing.T) {
	t.Parallel()
	secret := juju.Changes{Secrets: []juju.Secret{{Label: "a", Owner: juju.OwnedByApplication, Content: map[string]string{"key": "v"}}}}
	bag := juju.Changes{Relations: []juju.RelationChange{{ID: 3, Key: "certificates:3", App: juju.Bag{"a": "b"}}}}
	for sentence, c := range map[string]struct {
		changes juju.Changes
		answers map[string]answer
	}{
		"is-leader says no":       {bag, map[string]answer{"is-leader": {stdout: "false"}}},
		"secret-add is refused":   {secret, map[string]answer{"secret-add": {stderr: "this unit is not the leader"}}},
		"relation-set is refused": {bag, map[string]answer{"relation-set": {stderr: "cannot write relation settings"}}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, env := fakeAgent(t, with(c.answers))
			require.ErrorIs(t, open(t, env).Commit(t.Context(), c.changes), juju.ErrNotLeader)
		})
	}
}

func TestAComplaintAboutTheInputIsNotPassedOn(t *testing.T) {
	t.Parallel()
	for sentence, complaint := range map[string]string{
		"of YAML":    "yaml: line 2: cannot unmarshal hidden into map",
		"with a key": "cannot use -----BEGIN EC PRIVATE KEY----- hidden",
		"of JSON":    "json: cannot unmarshal string hidden",
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, env := fakeAgent(t, with(map[string]answer{"relation-set": {stderr: complaint}}))
			err := open(t, env).Commit(t.Context(), juju.Changes{
				Relations: []juju.RelationChange{{ID: 3, Key: "certificates:3", Unit: juju.Bag{"key": "hidden"}}},
			})
			require.EqualError(t, err, "cannot write the databag of relation certificates:3: cannot run relation-set: it did not understand its input")
		})
	}
}

func TestASecretWithoutContentOrTextIsRefusedFirst(t *testing.T) {
	t.Parallel()
	agent, env := fakeAgent(t, quietModel())
	session := open(t, env)
	for _, content := range []map[string]string{nil, {"raw": "\xff"}} {
		require.Error(t, session.Commit(t.Context(), juju.Changes{Secrets: []juju.Secret{{Label: "a", Owner: juju.OwnedByUnit, Content: content}}}))
	}
	require.Empty(t, agent.asked)
}

// FuzzSettings holds the YAML that the tools are sent to what was meant, as another YAML reader takes it.
func FuzzSettings(f *testing.F) {
	for _, text := range []string{"", "a", "yes", "a: b", "\x00\x7f\u0085\u2028\ufeff", "\U0001f510", "\"'\\\n", "\xff"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		want := map[string]string{key: value, "other": "x"}
		if checkText("databag", want) != nil {
			t.Skip("a text that Juju does not keep in a databag, and that is refused before it is sent")
		}
		var got map[string]string
		require.NoError(t, yaml.Unmarshal(settings(want), &got))
		require.Equal(t, want, got)
	})
}
