// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/controller"
	"github.com/signet-charm/signet/internal/httpd"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/launch"
	"github.com/signet-charm/signet/internal/metrics"
	"github.com/signet-charm/signet/internal/provider"
)

func (p *program) agentCommand() *cobra.Command {
	var unit, charmDir, agentConf, stateDir string
	command := &cobra.Command{
		Use:   "agent",
		Short: "Watch the model and keep one unit's certificates right (systemd runs this)",
		Long: "agent logs in to the controller as the unit and takes a turn whenever something changes, a renewal is due or\n" +
			"a hook asks for one. It runs until it is told to stop.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if unit == "" || charmDir == "" {
				return fmt.Errorf("%w: an agent needs --unit and --charm-dir", errUsage)
			}
			at := p.placeOf(unit, charmDir)
			if agentConf != "" {
				at.agentConf = agentConf
			}
			if stateDir != "" {
				at.stateDir = stateDir
			}
			return p.serve(cmd.Context(), at)
		},
	}
	flags := command.Flags()
	flags.StringVar(&unit, "unit", "", "the unit's name, such as signet/0")
	flags.StringVar(&charmDir, "charm-dir", "", "where the unit's charm lies, such as /var/lib/juju/agents/unit-signet-0/charm")
	flags.StringVar(&agentConf, "agent-conf", "", "the unit agent's agent.conf (default: beside the charm folder)")
	flags.StringVar(&stateDir, "state-dir", "", "the unit's own state folder (default: /var/lib/signet/<unit>)")
	return command
}

// serve runs the agent until the context ends.
func (p *program) serve(ctx context.Context, at place) (err error) {
	launch.Stay()
	found, err := endpoints(at.charmDir)
	if err != nil {
		return err
	}
	folder, err := p.openFolder(at)
	if err != nil {
		return err
	}
	listener, err := agent.Listen(filepath.Clean(at.socket()))
	if err != nil {
		return err
	}
	conn := controller.Start(controller.Config{
		AgentConf: at.agentConf, Unit: at.unit, Endpoints: found, Log: p.logger(),
	})
	defer conn.Close()
	select { // a hook that asks at once should find a connection, or the reason why there is none
	case <-conn.Tried():
	case <-ctx.Done():
		return listener.Close()
	}
	p.notify(daemon.SdNotifyReady)
	unit := p.unit(conn, folder, at)
	web := httpd.New(unit.Log, unit.Now)
	defer func() { err = errors.Join(err, web.Close()) }()
	web.Watch(sightOf(unit, conn))
	unit.Publish = func(serve provider.Serve) { p.publish(web, serve) }
	unit.Tell = p.tellJournald
	service := agent.Service{
		Unit:    unit,
		Changes: conn.Watch(),
		Hooks:   listener,
		Idle:    debug.FreeOSMemory,
		Notify:  func(status juju.Status) { p.notify(fmt.Sprintf("STATUS=%s: %s", status.Level, status.Message)) },
	}
	p.logger().Info("the agent runs", "unit", at.unit, "version", buildVersion())
	err = service.Serve(ctx)
	p.notify(daemon.SdNotifyStopping)
	return err
}

// publish shows what everybody may ask for. What cannot be shown is logged, and stops nothing else.
func (p *program) publish(web *httpd.Server, serve provider.Serve) {
	var view httpd.View
	for _, served := range serve.Authorities {
		view.Authorities = append(view.Authorities, httpd.Authority(served))
	}
	web.Show(view)
	if err := web.Listen(serve.Listen); err != nil {
		p.logger().Error("revocation lists, the page and metrics are not served", "error", err)
	}
}

// sightOf is what operators are shown over HTTP.
func sightOf(unit *agent.Unit, conn *controller.Conn) httpd.Sight {
	return httpd.Sight{View: unit.View, Facts: func() metrics.Facts {
		turns := unit.Turns()
		return metrics.Facts{
			Connected: conn.Err() == nil, Version: buildVersion(), GoVersion: runtime.Version(), FIPS: fipsMode(),
			Turns: metrics.Turns{
				Worked: turns.Worked, Failed: turns.Failed, Failing: turns.Failing, Took: turns.Took, Bounds: agent.TurnBounds(), Within: turns.Within,
			},
		}
	}}
}

// notify tells systemd how the agent is (sd_notify(3)); where there is none this does nothing.
func (p *program) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		p.logger().Warn("cannot tell systemd how the agent is", "error", err)
	}
}
