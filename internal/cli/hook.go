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
	"github.com/signet-charm/signet/internal/ca/vault"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/hooktool"
	"github.com/signet-charm/signet/internal/host"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/launch"
	"github.com/signet-charm/signet/internal/view"
)

func (p *program) hookCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hook",
		Short: "Do what Juju's current hook needs (Juju runs this as dispatch or hooks/<name>)",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.hook(cmd.Context()) },
	}
}

// hook does a hook's work, and tells Juju's log what was recorded since the last one, by whomever.
func (p *program) hook(ctx context.Context) error {
	charmDir := p.lookup("JUJU_CHARM_DIR")
	if charmDir == "" {
		return fmt.Errorf("%w: not in a hook: JUJU_CHARM_DIR is not set; Juju starts hooks itself", errUsage)
	}
	env := hooktool.FromLookup(p.lookup, nil)
	at := p.placeOf(env.Unit, env.CharmDir)
	err := p.dispatch(ctx, env, at)
	if untold := p.tell(ctx, env, at); untold != nil {
		p.logger().Warn("Juju's log lacks security events", "error", untold)
	}
	return err
}

// dispatch looks after the agent's service where the hook is about the charm itself, and takes a turn, by the agent if one
// answers. A hook ends only when its turn is done.
func (p *program) dispatch(ctx context.Context, env hooktool.Environment, at place) error {
	if env.Action != "" {
		return p.action(ctx, env, at)
	}
	if env.Hook == "stop" || env.Hook == "remove" {
		return p.leave(ctx, env, at)
	}
	if startsService(env.Hook) {
		if err := p.linkProgram(at); err != nil {
			p.logger().Warn("the program is reached by its whole path only", "error", err)
		}
	}
	if err := p.lookAfterService(ctx, env, at); err != nil {
		p.logger().Warn("the agent's service cannot be set up; the hook takes the turn itself", "error", err)
		return p.ownTurn(ctx, env, at, err.Error())
	}
	_, err := agent.Ask(ctx, at.socket(), env.Hook)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, agent.ErrNoAgent) && (!hasAgent(env) || startsService(env.Hook)):
		return p.ownTurn(ctx, env, at, "")
	default:
		p.logger().Warn("the agent could not do it; the hook takes the turn itself", "error", err)
		return p.ownTurn(ctx, env, at, err.Error())
	}
}

// action does what an operator asks for, by the agent if one answers, and tells what came of it.
func (p *program) action(ctx context.Context, env hooktool.Environment, at place) (err error) {
	folder, err := p.openFolder(at)
	if err != nil {
		return err
	}
	session, err := openSession(env, at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	action, err := session.Action(ctx)
	if err != nil {
		return err
	}
	outcome, err := agent.AskAction(ctx, at.socket(), action)
	if errors.Is(err, agent.ErrNoAgent) {
		outcome, err = p.unit(session, folder, at).Act(ctx, action)
	}
	if err != nil {
		return errors.Join(err, session.Finish(ctx, juju.Result{Failure: err.Error()}))
	}
	return session.Finish(ctx, outcome.Result)
}

// ownTurn takes one turn over the hook tools. Trouble is why the agent did not.
func (p *program) ownTurn(ctx context.Context, env hooktool.Environment, at place, trouble string) (err error) {
	session, err := openSession(env, at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	folder, err := p.openFolder(at)
	if err != nil {
		p.logger().Error("the unit's folder cannot be opened", "error", err)
		_, err = agent.Show(ctx, session, err)
		return err
	}
	unit := p.unit(session, folder, at)
	unit.Trouble = trouble
	_, err = unit.Turn(ctx)
	return err
}

// openSession opens the hook tools for a turn. Only now the charm's metadata is read, of which a hook has no use that
// leaves its turn to the agent.
func openSession(env hooktool.Environment, at place) (*hooktool.Session, error) {
	launch.Over()
	var err error
	if env.Endpoints, err = endpoints(env.CharmDir); err != nil {
		return nil, err
	}
	env.TempDir = at.stateDir // secrets pass through a folder that only root can enter
	return hooktool.Open(env)
}

// unit joins a session with the unit's folder and the authority: the embedded one, which keeps its keys there, or
// Vault.
func (p *program) unit(session agent.Session, folder *disk.Folder, at place) *agent.Unit {
	root := p.lookup("SIGNET_ROOT")
	return &agent.Unit{
		Session:   session,
		Authority: vault.New(vault.Config{Embedded: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()})}),
		Folder:    folder,
		Machine:   host.New(host.Config{Records: folder.Ran(), Root: root, Apart: root == "" && agent.SystemdRuns()}),
		Keeper:    keeper{folder, at.charmDir, p.lookup("SIGNET_ROOT")},
		Leftovers: at.leftovers,
		Installed: func() ([]view.Installed, error) { return disk.Installed(at.stateDir) },
		Version:   buildVersion(),
		Now:       time.Now,
		Log:       p.logger(),
	}
}

// openFolder opens the unit's state folder. SIGNET_ROOT is a folder that stands for the machine's root, for tests and the
// sandbox: links, merged kubeconfigs and the trust store appear below it.
func (p *program) openFolder(at place) (*disk.Folder, error) {
	return disk.Open(at.stateDir, disk.OnMachine(p.lookup("SIGNET_ROOT")))
}

// lookAfterService installs the agent's service and starts it anew with each version of the charm.
func (p *program) lookAfterService(ctx context.Context, env hooktool.Environment, at place) error {
	if startsService(env.Hook) && hasAgent(env) {
		return serviceOf(at).Install(ctx)
	}
	return nil
}

// startsService tells the hooks after which the agent may not be up yet.
func startsService(hook string) bool {
	return hook == "install" || hook == "upgrade-charm" || hook == "start"
}

// leave ends what a unit that is going has running. Its files stay: the certificates are its machine's, and the CA's key
// may be the only copy where the model had no secrets when the CA was made.
func (p *program) leave(ctx context.Context, env hooktool.Environment, at place) error {
	var unlinked error
	if env.Hook == "remove" {
		unlinked = p.unlinkProgram(at)
	}
	if !hasAgent(env) {
		return unlinked
	}
	return errors.Join(unlinked, serviceOf(at).Remove(ctx))
}

// hasAgent reports whether this machine and this Juju can have an agent: Juju 2.9 has no API version in common with it.
func hasAgent(env hooktool.Environment) bool {
	return agent.SystemdRuns() && !strings.HasPrefix(env.JujuVersion, "2.")
}

func serviceOf(at place) agent.SystemdUnit {
	return agent.SystemdUnit{
		Name:   at.service(),
		Binary: at.program(),
		Args:   []string{"agent", "--unit", at.unit, "--charm-dir", at.charmDir, "--state-dir", at.stateDir},
	}
}
