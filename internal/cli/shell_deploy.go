// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/juju/charm/v12"
	"github.com/spf13/cobra"
)

// clusterBundle is what charmed-kubernetes has to do with certificates. The real bundle has more applications and
// relations; an overlay meets the same names here.
const clusterBundle = `name: charmed-kubernetes
default-base: ubuntu@22.04
applications:
  easyrsa: {charm: easyrsa, num_units: 1}
  etcd: {charm: etcd, num_units: 3}
  kubeapi-load-balancer: {charm: kubeapi-load-balancer, num_units: 1}
  kubernetes-control-plane: {charm: kubernetes-control-plane, num_units: 2}
  kubernetes-worker: {charm: kubernetes-worker, num_units: 3}
relations:
- [kubernetes-control-plane:certificates, easyrsa:client]
- [etcd:certificates, easyrsa:client]
- [kubernetes-worker:certificates, easyrsa:client]
- [kubeapi-load-balancer:certificates, easyrsa:client]
`

const clusterName = "charmed-kubernetes"

func (c jujuCall) deployCommand() *cobra.Command {
	var units int
	var options, overlays []string
	command := verb("deploy CHARM [APP]", "Deploy signet, a scripted charm, or charmed-kubernetes with an overlay", cobra.RangeArgs(1, 2), func(_ context.Context, args []string) error {
		if args[0] == clusterName {
			return c.deployCluster(overlays)
		}
		app := ""
		if len(args) > 1 {
			app = args[1]
		}
		return c.deploy(args[0], app, units, func(app string) (map[string]any, error) { return c.options(app, options) })
	})
	flags := command.Flags()
	flags.IntVarP(&units, "num-units", "n", 1, "how many units")
	flags.StringArrayVar(&options, "config", nil, "OPTION=VALUE or OPTION=@FILE; may be given several times")
	flags.StringArrayVar(&overlays, "overlay", nil, "file with an overlay for the bundle; may be given several times")
	for _, name := range []string{"base", "channel", "constraints"} {
		flags.String(name, "", "taken, and without effect")
	}
	return command
}

// deploy deploys a charm, by its name or by the path of its archive, under a name, or its own.
func (c jujuCall) deploy(from, app string, units int, options func(app string) (map[string]any, error)) error {
	name := charmNamed(from)
	app = cmp.Or(app, name)
	if scripted, known := c.charms[name]; known {
		if err := c.stage.addActor(app, scripted, units); err != nil {
			return err
		}
		c.actors[app] = scripted
		return nil
	}
	switch {
	case name != "signet" && name != nodeCharm:
		return fmt.Errorf("charm %q not found: the sandbox has signet, %s, the bundle %s and %s", name, nodeCharm, clusterName,
			strings.Join(slices.Sorted(maps.Keys(c.charms)), ", "))
	case (name == nodeCharm) != (app == nodeCharm):
		return fmt.Errorf("in the sandbox %s is deployed under its own name, and nothing else under that", nodeCharm)
	}
	if err := c.stage.deploySignet(app, nil); err != nil {
		return err
	}
	values, err := options(app)
	if err == nil {
		err = c.stage.model().SetConfig(app, values)
	}
	if err != nil {
		return err
	}
	c.signets[app] = true
	for range units {
		if _, err := c.stage.addSignetUnit(app); err != nil {
			return err
		}
	}
	return nil
}

// charmNamed gives the name of a charm from what "juju deploy" is told: "etcd", "./dist/signet_amd64.charm".
func charmNamed(from string) string {
	archive, isFile := strings.CutSuffix(filepath.Base(from), ".charm")
	if !isFile {
		return filepath.Base(from)
	}
	name, _, _ := strings.Cut(archive, "_")
	return name
}

// deployCluster deploys charmed-kubernetes with overlays, which are merged as Juju merges them.
func (c jujuCall) deployCluster(overlays []string) error {
	base, err := charm.StreamBundleDataSource(strings.NewReader(clusterBundle), c.dir)
	if err != nil {
		return err
	}
	sources := []charm.BundleDataSource{base}
	for _, name := range overlays {
		overlay, err := charm.LocalBundleDataSource(c.path(name))
		if err != nil {
			return err
		}
		sources = append(sources, overlay)
	}
	bundle, err := charm.ReadAndMergeBundleData(sources...)
	if err != nil {
		return err
	}
	for _, app := range slices.Sorted(maps.Keys(bundle.Applications)) {
		spec := bundle.Applications[app]
		err := c.deploy(spec.Charm, app, spec.NumUnits, func(string) (map[string]any, error) { return spec.Options, nil })
		if err != nil {
			return fmt.Errorf("cannot deploy %s of %s: %w", app, clusterName, err)
		}
	}
	for _, ends := range bundle.Relations {
		if err := c.integrate(context.Background(), ends); err != nil {
			return fmt.Errorf("cannot integrate %s: %w", strings.Join(ends, " and "), err)
		}
	}
	return nil
}

func (c jujuCall) refreshCommand() *cobra.Command {
	var path, other string
	command := verb("refresh APP", "Make another charm, or revision, of an application's charm", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		if charmNamed(cmp.Or(path, other)) != "signet" {
			return errors.New("the sandbox has signet to refresh to: give --switch or --path")
		}
		c.signets[args[0]] = true
		return c.stage.refresh(args[0])
	})
	command.Flags().StringVar(&path, "path", "", "another archive of the same charm")
	command.Flags().StringVar(&other, "switch", "", "another charm")
	return command
}

// refresh makes a signet of an application, whatever charm it was.
func (s *stage) refresh(app string) error {
	meta, err := charmMeta(s.charmDir)
	if err != nil {
		return err
	}
	if err := s.model().Refresh(app, meta); err != nil {
		return err
	}
	for _, unit := range s.model().Units(app) {
		charm, err := s.signetCharm(app, unit)
		if err != nil {
			return err
		}
		if err := s.runner.Upgrade(unit, charm); err != nil {
			return err
		}
	}
	return nil
}

func (c jujuCall) addUnitCommand() *cobra.Command {
	var units int
	command := verb("add-unit APP", "Add units", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		for range units {
			var err error
			if a, scripted := c.actors[args[0]]; scripted {
				err = c.stage.addActorUnit(args[0], a)
			} else {
				_, err = c.stage.addSignetUnit(args[0])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	command.Flags().IntVarP(&units, "num-units", "n", 1, "how many")
	return command
}

func (c jujuCall) removeUnitCommand() *cobra.Command {
	var force bool
	command := verb("remove-unit UNIT", "Remove a unit; with --force without its hooks, as if its machine were lost", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		if force {
			c.stage.runner.Detach(args[0])
		}
		return c.stage.model().RemoveUnit(args[0])
	})
	command.Flags().BoolVar(&force, "force", false, "do not wait for the unit's hooks")
	command.Flags().Bool("no-prompt", false, "taken: nothing is asked")
	return command
}

// machinePath gives where a path of a unit's machine lies: its state, its charm, or the folder that stands for its root.
func (c jujuCall) machinePath(unit, path string) string {
	for prefix, dir := range map[string]string{
		"/var/lib/signet/" + dashed(unit):                      c.stage.stateDir(unit),
		"/var/lib/juju/agents/unit-" + dashed(unit) + "/charm": c.stage.unitCharmDir(unit),
	} {
		if rest, below := strings.CutPrefix(path, prefix); below && (rest == "" || rest[0] == '/') {
			return filepath.Join(dir, rest)
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(homeDir, path)
	}
	return filepath.Join(c.stage.machineRoot(unit), path)
}

// homeDir is where Juju's user on a machine may read and write.
const homeDir = "/home/ubuntu"

// scp copies a file; with a colon in it, a name is a unit's machine and a path there. On the machine it is the user ubuntu,
// as under Juju, who sees nothing of root's.
func (c jujuCall) scp(_ context.Context, args []string) error {
	var paths [2]string
	for i, arg := range args {
		unit, path, remote := strings.Cut(arg, ":")
		if !remote {
			paths[i] = c.path(arg)
			continue
		}
		if filepath.IsAbs(path) && !strings.HasPrefix(path, homeDir+"/") && !strings.HasPrefix(path, "/tmp/") {
			return fmt.Errorf("scp: %s: Permission denied", path)
		}
		paths[i] = c.machinePath(unit, path)
	}
	if info, err := os.Stat(paths[1]); err == nil && info.IsDir() || strings.HasSuffix(args[1], "/") || strings.HasSuffix(args[1], ":") {
		paths[1] = filepath.Join(paths[1], filepath.Base(paths[0]))
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(paths[1]), 0o755); err != nil { //nolint:gosec // a folder of a machine
		return err
	}
	return os.WriteFile(paths[1], data, 0o600) //nolint:gosec // where the user of the shell says
}

func (c jujuCall) sshCommand() *cobra.Command {
	command := verb("ssh UNIT [sudo] cat|ls|rm|mv PATH...", "Run a program on a unit's machine: these, and signet", cobra.MinimumNArgs(2), c.ssh)
	command.Flags().SetInterspersed(false)
	command.Flags().Bool("pty", false, "the sandbox has no terminals")
	return command
}

func (c jujuCall) ssh(ctx context.Context, args []string) error {
	unit, line := args[0], args[1:]
	if line[0] == "sudo" && len(line) > 1 {
		line = line[1:]
	}
	if line[0] == "signet" {
		line[0] = linkName
	}
	if line[0] == linkName || filepath.Base(line[0]) == "dispatch" {
		line[0] = c.machinePath(unit, line[0])
	} else {
		if !slices.Contains([]string{"cat", "ls", "rm", "mv"}, line[0]) {
			return fmt.Errorf("the sandbox's machines have no program %s", line[0])
		}
		for i, arg := range line[1:] {
			if !strings.HasPrefix(arg, "-") {
				line[i+1] = c.machinePath(unit, arg)
			}
		}
	}
	command := exec.CommandContext(ctx, line[0], line[1:]...) //nolint:gosec // one of those above
	command.Env = append(os.Environ(), c.stage.unitEnv(unit)...)
	command.Stdout, command.Stderr = c.out, c.out
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(line[0]), err)
	}
	return nil
}
