// SPDX-License-Identifier: AGPL-3.0-only

package sandbox_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

// stage is a model with a runner: "ca" provides certificates and has peers, "web" requires them.
type stage struct {
	*sandbox.Model
	*sandbox.Runner
}

func newStage(t *testing.T) stage {
	t.Helper()
	model := startedModel(t)
	require.NoError(t, model.Deploy("ca", sandbox.CharmMeta{
		Name: "ca",
		Endpoints: []juju.Endpoint{
			{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides},
			{Name: "peers", Interface: "ca-peers", Role: juju.Peers},
		},
		Config: map[string]any{"name": "one", "days": 90, "strict": false, "unset": nil},
		Types:  map[string]string{"unset": "string"},
	}))
	require.NoError(t, model.Deploy("web", sandbox.CharmMeta{
		Name:      "web",
		Endpoints: []juju.Endpoint{{Name: "tls", Interface: "tls-certificates", Role: juju.Requires}},
	}))
	runner, err := sandbox.NewRunner(model, sandbox.RunnerOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, runner.Close()) })
	return stage{model, runner}
}

// add adds a unit that runs the charm.
func (s stage) add(t *testing.T, app string, charm sandbox.Charm) string {
	t.Helper()
	unit, err := s.AddUnit(app)
	require.NoError(t, err)
	require.NoError(t, s.Attach(unit, charm))
	return unit
}

func (s stage) settle(t *testing.T) {
	t.Helper()
	require.NoError(t, s.Settle(t.Context()))
}

func silent(context.Context, *sandbox.HookContext) error { return nil }

func quiet() sandbox.Charm { return sandbox.CharmFunc(silent) }

func TestAUnitRunsItsHooksInJujusOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ca := s.add(t, "ca", quiet())
	s.settle(t)
	require.Equal(t, []string{
		"install", "peers-relation-created(ca)", "leader-elected", "config-changed", "start",
	}, s.Hooks(ca))

	s.ForgetEvents()
	web := s.add(t, "web", quiet())
	_, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	s.settle(t)
	require.Equal(t, []string{
		"certificates-relation-created(web)", "certificates-relation-joined(web/0)", "certificates-relation-changed(web/0)",
	}, s.Hooks(ca))
	require.Equal(t, []string{
		"install", "tls-relation-created(ca)", "leader-elected", "config-changed", "start",
		"tls-relation-joined(ca/0)", "tls-relation-changed(ca/0)",
	}, s.Hooks(web))

	s.ForgetEvents()
	second := s.add(t, "ca", quiet())
	s.settle(t)
	require.Equal(t, []string{"peers-relation-joined(ca/1)", "peers-relation-changed(ca/1)"}, s.Hooks(ca))
	require.Equal(t, []string{
		"install", "certificates-relation-created(web)", "peers-relation-created(ca)", "config-changed", "start",
		"certificates-relation-joined(web/0)", "certificates-relation-changed(web/0)",
		"peers-relation-joined(ca/0)", "peers-relation-changed(ca/0)",
	}, s.Hooks(second))

	s.ForgetEvents()
	require.NoError(t, s.SetLeader(second))
	s.settle(t)
	require.Empty(t, s.Hooks(ca))
	require.Equal(t, []string{"leader-elected"}, s.Hooks(second))

	s.ForgetEvents()
	require.NoError(t, s.SetConfig("ca", map[string]any{"name": "two"}))
	s.settle(t)
	require.Equal(t, []string{"config-changed"}, s.Hooks(ca))
	s.settle(t)
	require.Equal(t, []string{"config-changed"}, s.Hooks(ca), "what was shown once is not shown again")
}

func TestUnitAgentsEnterRelationsThemselves(t *testing.T) {
	t.Parallel()
	s := stageOf(t, sandbox.Options{LateScopes: true})
	require.NoError(t, s.Deploy("web", sandbox.CharmMeta{Endpoints: []juju.Endpoint{{Name: "tls", Interface: "tls-certificates", Role: juju.Requires}}}))
	require.NoError(t, s.Deploy("tls", sandbox.CharmMeta{Endpoints: []juju.Endpoint{{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides}}}))
	web, tls := s.add(t, "web", quiet()), s.add(t, "tls", quiet())
	id, err := s.Integrate("tls:certificates", "web:tls")
	require.NoError(t, err)
	require.False(t, s.InScope(id, web))
	s.settle(t)
	require.True(t, s.InScope(id, web))
	require.Contains(t, s.Hooks(tls), "certificates-relation-joined(web/0)")
}

func TestAUnitLeavesByItsHooks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	departing := map[string]string{}
	watch := sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		if gone := hook.Getenv("JUJU_DEPARTING_UNIT"); gone != "" {
			departing[hook.Unit()+" "+hook.Info().String()] = gone
		}
		return nil
	})
	first, second := s.add(t, "ca", watch), s.add(t, "ca", watch)
	web := s.add(t, "web", watch)
	_, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	s.settle(t)
	s.ForgetEvents()

	require.NoError(t, s.RemoveUnit(first))
	s.settle(t)
	require.Equal(t, []string{
		"certificates-relation-departed(web/0)", "certificates-relation-broken(web)",
		"peers-relation-departed(ca/1)", "stop", "remove",
	}, s.Hooks(first))
	require.Equal(t, []string{"tls-relation-departed(ca/0)"}, s.Hooks(web))
	require.Equal(t, []string{"leader-elected", "peers-relation-departed(ca/0)"}, s.Hooks(second))
	require.Equal(t, map[string]string{
		"ca/0 certificates-relation-departed(web/0)": "ca/0",
		"ca/0 peers-relation-departed(ca/1)":         "ca/0",
		"ca/1 peers-relation-departed(ca/0)":         "ca/0",
		"web/0 tls-relation-departed(ca/0)":          "ca/0",
	}, departing)
	require.Equal(t, []string{second}, s.Units("ca"))
	require.Equal(t, second, s.Leader("ca"))
}

func TestTheUnitAgentsClaimWhatTheLeaderLeaves(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first, second, third := s.add(t, "ca", quiet()), s.add(t, "ca", quiet()), s.add(t, "ca", quiet())
	s.settle(t)
	require.Equal(t, first, s.Leader("ca"))
	s.ForgetEvents()
	s.Detach(first)
	s.settle(t)
	require.Equal(t, first, s.Leader("ca"), "its lease has not run out")
	require.Empty(t, s.Events())

	s.DropLeader("ca")
	require.Empty(t, s.Leader("ca"))
	s.settle(t)
	require.Equal(t, second, s.Leader("ca"))
	require.Equal(t, []string{"leader-elected"}, s.Hooks(second))

	require.NoError(t, s.RemoveUnit(second))
	require.Equal(t, second, s.Leader("ca"), "a dying leader leads until it is gone")
	s.settle(t)
	require.Equal(t, third, s.Leader("ca"))
	require.Equal(t, "leader-elected", s.Hooks(third)[0])
}

func TestARelationEndsWithItsLastBrokenHook(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ca, web := s.add(t, "ca", quiet()), s.add(t, "web", quiet())
	id, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	s.settle(t)
	s.ForgetEvents()

	require.NoError(t, s.RemoveRelation(id))
	s.settle(t)
	require.Equal(t, []string{"certificates-relation-departed(web/0)", "certificates-relation-broken(web)"}, s.Hooks(ca))
	require.Equal(t, []string{"tls-relation-departed(ca/0)", "tls-relation-broken(ca)"}, s.Hooks(web))
	require.Empty(t, s.Relations("web"))
}

func TestASuspendedRelationIsLeftAndEnteredAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ca, web := s.add(t, "ca", quiet()), s.add(t, "web", quiet())
	plain, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	s.settle(t)
	require.ErrorContains(t, s.SuspendRelation(plain), "which is not associated with an offer")
	require.NoError(t, s.RemoveRelation(plain))
	s.settle(t)

	id, err := s.IntegrateCrossModel("ca:certificates", "web:tls")
	require.NoError(t, err)
	s.settle(t)
	require.NoError(t, s.Commit(ca, sandbox.Commit{Relations: []sandbox.BagChange{{RelationID: id, Unit: map[string]string{"ca": "PEM"}}}}))
	s.settle(t)
	remote := s.Relations("ca")[1].RemoteApp
	s.ForgetEvents()
	require.NoError(t, s.SuspendRelation(id))
	s.settle(t)
	require.Equal(t, []string{"certificates-relation-departed(" + remote + "/0)", "certificates-relation-broken(" + remote + ")"}, s.Hooks(ca))
	require.Equal(t, []string{"tls-relation-departed(ca/0)", "tls-relation-broken(ca)"}, s.Hooks(web))
	require.False(t, s.InScope(id, ca))
	info, err := s.RelationOf(ca, id)
	require.NoError(t, err)
	require.Equal(t, sandbox.Alive, info.Life)
	require.True(t, info.Suspended)

	s.ForgetEvents()
	require.NoError(t, s.ResumeRelation(id))
	s.settle(t)
	require.Equal(t, []string{
		"certificates-relation-created(" + remote + ")", "certificates-relation-joined(" + remote + "/0)", "certificates-relation-changed(" + remote + "/0)",
	}, s.Hooks(ca))
	require.NotContains(t, s.UnitBag(id, ca), "ca", "a unit that enters has a fresh databag")
}

func TestWhatAHookWritesTakesEffectWhenItEndsWell(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	fail, ran := true, 0
	ca := s.add(t, "ca", sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		if hook.Info().Name != "certificates-relation-joined" {
			return nil
		}
		ran++
		if err := hook.RelationSet("", map[string]string{"ca": "PEM"}); err != nil {
			return err
		}
		if err := hook.SetStatus("maintenance", "working"); err != nil {
			return err
		}
		own, err := hook.RelationGet("", hook.Unit())
		if err != nil || own["ca"] != "PEM" {
			return errors.New("a hook does not see what it has written")
		}
		if fail {
			return errors.New("out of paper")
		}
		return nil
	}))
	web := s.add(t, "web", quiet())
	id, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)

	require.ErrorContains(t, s.Settle(t.Context()), "unit ca/0 is in error: hook certificates-relation-joined(web/0) of ca/0 failed: out of paper")
	require.Equal(t, 3, ran, "a failing hook is retried, and nothing else runs before it")
	require.NotContains(t, s.UnitBag(id, ca), "ca")
	agent, err := s.AgentStatus(ca)
	require.NoError(t, err)
	require.Equal(t, "error", agent.Level)
	status, err := s.UnitStatus(ca)
	require.NoError(t, err)
	require.Equal(t, "working", status.Message, "the status is set at once")

	fail = false
	s.ForgetEvents()
	s.settle(t)
	require.Equal(t, "PEM", s.UnitBag(id, ca)["ca"])
	require.Equal(t, []string{"tls-relation-changed(ca/0)"}, s.Hooks(web))
	agent, err = s.AgentStatus(ca)
	require.NoError(t, err)
	require.Equal(t, "idle", agent.Level)
}

func TestManyChangesOfADatabagAreOneHook(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ca, web := s.add(t, "ca", quiet()), s.add(t, "web", quiet())
	id, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	s.settle(t)
	s.ForgetEvents()

	for _, value := range []string{"1", "2", "3"} {
		require.NoError(t, s.Commit(web, sandbox.Commit{Relations: []sandbox.BagChange{{RelationID: id, Unit: map[string]string{"n": value}}}}))
	}
	s.settle(t)
	require.Equal(t, []string{"certificates-relation-changed(web/0)"}, s.Hooks(ca))
}

func TestALoopBetweenCharmsIsAnError(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	answer := sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		if hook.Info().RemoteUnit == "" || hook.Info().Name == "tls-relation-departed" {
			return nil
		}
		return hook.RelationSet("", map[string]string{"hook": hook.Getenv("JUJU_CONTEXT_ID")})
	})
	s.add(t, "ca", answer)
	s.add(t, "web", answer)
	_, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	require.ErrorContains(t, s.Settle(t.Context()), "hooks ran and more are due")
}

func TestSecretChangedRunsForWhoTracksAnOlderRevision(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	value := "first"
	var read []string
	charm := sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		leader, err := hook.IsLeader()
		if err != nil {
			return err
		}
		if leader && hook.Info().Name == "update-status" {
			args := []string{"--label", "ca", "cert=" + value}
			command := "secret-add"
			if value != "first" {
				command, args = "secret-set", append([]string{hook.Info().SecretURI}, "cert="+value)
				uris, err := hook.Tool("secret-ids", nil, nil)
				if err != nil {
					return err
				}
				args[0] = string(uris[:len(uris)-1])
			}
			_, err = hook.Tool(command, args, nil)
			return err
		}
		if hook.Unit() == "ca/1" && hook.Info().Name == "update-status" {
			out, err := hook.Tool("secret-get", []string{"--label", "ca"}, nil)
			read = append(read, string(out))
			return err
		}
		return nil
	})
	s.add(t, "ca", charm)
	s.add(t, "ca", charm)
	s.settle(t)
	for _, unit := range []string{"ca/0", "ca/1"} {
		require.NoError(t, s.Order(unit, "update-status"))
		s.settle(t)
	}
	s.ForgetEvents()

	value = "second"
	require.NoError(t, s.Order("ca/0", "update-status"))
	s.settle(t)
	require.Equal(t, []string{"secret-changed(ca)"}, s.Hooks("ca/1"))
	require.NoError(t, s.Order("ca/1", "update-status"))
	s.settle(t)
	require.Equal(t, []string{"cert: first\n", "cert: first\n"}, read, "without --refresh a reader keeps to its revision")
}

func TestActionsAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	unit := s.add(t, "ca", sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		name, _, running := hook.Action()
		if !running {
			return nil
		}
		for _, call := range [][]string{{"action-log", "counting"}, {"action-set", "list.size=2", "list.first=a=b"}} {
			if _, err := hook.Tool(call[0], call[1:], nil); err != nil {
				return err
			}
		}
		who, err := hook.Tool("action-get", []string{"who.name"}, nil)
		if err != nil {
			return err
		}
		if name == "refuse" {
			_, err = hook.Tool("action-fail", []string{"not for " + string(who[:len(who)-1])}, nil)
		}
		return err
	}))
	s.settle(t)
	params := map[string]any{"who": map[string]any{"name": "kim"}}

	result, err := s.RunAction(t.Context(), unit, "list", params)
	require.NoError(t, err)
	require.Equal(t, sandbox.ActionResult{
		Status: "completed", Results: map[string]any{"list": map[string]any{"size": "2", "first": "a=b"}}, Log: []string{"counting"},
	}, result)

	result, err = s.RunAction(t.Context(), unit, "refuse", params)
	require.NoError(t, err)
	require.Equal(t, "failed", result.Status)
	require.Equal(t, "not for kim", result.Message)
}

// startedModel is the model of a sandbox of its own.
func startedModel(t *testing.T) *sandbox.Model {
	t.Helper()
	controller, err := sandbox.Start(sandbox.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, controller.Close()) })
	return controller.Model()
}

func TestServeRunsHooksAsTheModelChanges(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	joined := make(chan string, 10)
	s.add(t, "ca", sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		switch hook.Info().Name {
		case "certificates-relation-joined":
			joined <- hook.Info().RemoteUnit
		case "config-changed":
			return errors.New("a unit in error does not keep the others waiting")
		}
		return nil
	}))
	second := s.add(t, "ca", sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		if hook.Info().Name == "certificates-relation-joined" {
			joined <- hook.Info().RemoteUnit
		}
		return nil
	}))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx) }()
	web, err := s.AddUnit("web")
	require.NoError(t, err)
	_, err = s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	require.Equal(t, web, <-joined)
	stop()
	require.NoError(t, <-ended)
	require.Contains(t, s.Hooks(second), "certificates-relation-joined(web/0)")
}
