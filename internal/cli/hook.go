// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/hooktool"
)

func (p *program) hookCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hook",
		Short: "Do what Juju's current hook needs (Juju runs this as dispatch or hooks/<name>)",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.hook(cmd.Context()) },
	}
}

// hook does a hook's work: it looks after the agent's service where the hook is about the charm itself, and takes a
// turn, by the agent if one answers. A hook ends only when its turn is done.
func (p *program) hook(ctx context.Context) error {
	charmDir := p.lookup("JUJU_CHARM_DIR")
	if charmDir == "" {
		return fmt.Errorf("%w: not in a hook: JUJU_CHARM_DIR is not set; Juju starts hooks itself", errUsage)
	}
	found, err := endpoints(charmDir)
	if err != nil {
		return err
	}
	env := hooktool.FromLookup(p.lookup, found)
	at := p.placeOf(env.Unit, env.CharmDir)
	if done, err := p.lookAfterService(ctx, env, at); done || err != nil {
		return err
	}
	_, err = agent.Ask(ctx, at.socket(), env.Hook)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, agent.ErrNoAgent):
		return p.ownTurn(ctx, env, at, "")
	default:
		p.logger().Warn("the agent could not do it; the hook takes the turn itself", "error", err)
		return p.ownTurn(ctx, env, at, err.Error())
	}
}

// ownTurn takes one turn over the hook tools. Trouble is why the agent did not.
func (p *program) ownTurn(ctx context.Context, env hooktool.Environment, at place, trouble string) (err error) {
	folder, err := disk.Open(at.stateDir)
	if err != nil {
		return err
	}
	env.TempDir = at.stateDir // secrets pass through a folder that only root can enter
	session, err := hooktool.Open(env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	unit := p.unit(session, folder)
	unit.Trouble = trouble
	_, err = unit.Turn(ctx)
	return err
}

// unit joins a session with the unit's folder and the embedded authority that keeps its keys there.
func (p *program) unit(session agent.Session, folder *disk.Folder) *agent.Unit {
	return &agent.Unit{
		Session:   session,
		Authority: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()}),
		Folder:    folder,
		Now:       time.Now,
		Log:       p.logger(),
	}
}

// lookAfterService installs, renews and removes the agent's service. It reports whether the hook needs nothing else:
// a unit that is leaving has nothing left to decide.
func (p *program) lookAfterService(ctx context.Context, env hooktool.Environment, at place) (done bool, err error) {
	service := agent.SystemdUnit{
		Name:   at.service(),
		Binary: at.charmDir + "/dispatch",
		Args:   []string{"agent", "--unit", at.unit, "--charm-dir", at.charmDir, "--state-dir", at.stateDir},
	}
	leaving := env.Hook == "stop" || env.Hook == "remove"
	// Juju 2.9 has no API version in common with the agent: hooks alone do the work there.
	if !agent.SystemdRuns() || strings.HasPrefix(env.JujuVersion, "2.") {
		return leaving, nil
	}
	switch {
	case leaving:
		return true, service.Remove(ctx)
	case env.Hook == "install" || env.Hook == "upgrade-charm" || env.Hook == "start":
		return false, service.Install(ctx)
	}
	return false, nil
}
