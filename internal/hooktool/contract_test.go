// SPDX-License-Identifier: AGPL-3.0-only

package hooktool_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/agent/sessiontest"
	"github.com/signet-charm/signet/internal/hooktool"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

func TestHooktoolKeepsTheSessionContract(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(t *testing.T, world *sessiontest.World, unit string) agent.Session {
		runner, err := sandbox.NewRunner(world.Model, sandbox.RunnerOptions{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, runner.Close()) })
		u := &hookedUnit{runner: runner, unit: unit}
		require.NoError(t, runner.Attach(unit, sandbox.CharmFunc(u.hook)))
		return u
	})
}

// hookedUnit makes a Session that outlives hooks of those that live in one: each call first lets the unit run the hooks
// that are due, then has one run for itself.
type hookedUnit struct {
	runner *sandbox.Runner
	unit   string
	during func(*hooktool.Session) error // what the next hook of our own does
	ended  *juju.Snapshot                // what the unit saw while a relation was breaking
}

// hook is the unit's charm. In a -broken hook, the only one that shows a broken relation, it takes a snapshot.
func (u *hookedUnit) hook(ctx context.Context, hook *sandbox.HookContext) error {
	session, err := hooktool.Open(hooktool.FromLookup(hook.Getenv, sessiontest.Endpoints()))
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	if strings.HasSuffix(hook.Info().Name, "-relation-broken") {
		snap, err := session.Snapshot(ctx)
		u.ended = &snap
		return err
	}
	if hook.Info().Name == "update-status" {
		return u.during(session)
	}
	return nil
}

func (u *hookedUnit) run(ctx context.Context, during func(*hooktool.Session) error) error {
	if err := u.runner.Settle(ctx); err != nil {
		return err
	}
	u.during = during
	return u.runner.RunHook(ctx, u.unit, "update-status")
}

func (u *hookedUnit) Snapshot(ctx context.Context) (juju.Snapshot, error) {
	var snap juju.Snapshot
	err := u.run(ctx, func(session *hooktool.Session) error {
		var err error
		snap, err = session.Snapshot(ctx)
		return err
	})
	if u.ended != nil {
		snap, u.ended = *u.ended, nil
	}
	return snap, err
}

// Confirm does so in another hook than the snapshot's, which a turn never does.
func (u *hookedUnit) Confirm(ctx context.Context, snap juju.Snapshot, changes juju.Changes) error {
	return u.run(ctx, func(session *hooktool.Session) error { return session.Confirm(ctx, snap, changes) })
}

// Commit takes a snapshot in the same hook first, as a turn does: the Session may have something to mend from it.
func (u *hookedUnit) Commit(ctx context.Context, changes juju.Changes) error {
	return u.run(ctx, func(session *hooktool.Session) error {
		if _, err := session.Snapshot(ctx); err != nil {
			return errors.Join(errors.New("no snapshot"), err)
		}
		return session.Commit(ctx, changes)
	})
}
