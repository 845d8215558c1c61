// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

const certificatesVerb = "certificates"

// sandboxJuju does on an embedded Juju what the commands of Juju's client do. It knows those that signet's documents use,
// with their names, arguments and, in what matters, output; hooks have come to rest when a command returns.
type sandboxJuju struct {
	stage   *stage
	actors  map[string]actor // scripted applications, by name
	charms  map[string]actor // scripted charms, by name
	signets map[string]bool  // applications whose charm is signet
	tasks   int
}

func newSandboxJuju(s *stage) *sandboxJuju {
	return &sandboxJuju{
		stage: s, actors: map[string]actor{}, signets: map[string]bool{},
		charms: map[string]actor{
			"etcd": etcd(), "kubernetes-control-plane": kubernetesControlPlane(), "kubernetes-worker": kubernetesWorker(),
			"kubeapi-load-balancer": legacyConsumer{}, "k8s": newRequestConsumer(),
		},
	}
}

// jujuCall is one command on its way.
type jujuCall struct {
	*sandboxJuju
	dir string // where files are that the command names
	out io.Writer
}

func (j *sandboxJuju) root(dir string, out io.Writer) *cobra.Command {
	c := jujuCall{sandboxJuju: j, dir: dir, out: out}
	root := &cobra.Command{
		Use: jujuName, Short: "The embedded Juju, as far as signet's documents go", SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(c.deployCommand(), c.refreshCommand(), c.addUnitCommand(), c.removeUnitCommand(), c.runCommand(),
		c.actionsCommand(),
		c.addSecretCommand(), c.logCommand(),
		verb("integrate APP[:ENDPOINT] APP[:ENDPOINT]", "Relate two applications", cobra.ExactArgs(2), c.integrate),
		verb("remove-relation APP[:ENDPOINT] APP[:ENDPOINT]", "End a relation", cobra.ExactArgs(2), c.removeRelation),
		verb("config APP [OPTION[=VALUE|=@FILE]...]", "Set options, or show one or all", cobra.MinimumNArgs(1), c.config),
		verb("status [APP]...", "Show applications and units", cobra.ArbitraryArgs, c.status),
		verb("grant-secret SECRET APP", "Let an application read a secret", cobra.ExactArgs(2), func(_ context.Context, args []string) error {
			return c.stage.model().GrantUserSecret(args[0], strings.Split(args[1], ",")...)
		}),
		verb("update-secret SECRET KEY[#file]=VALUE...", "Give a secret new content", cobra.MinimumNArgs(2), func(_ context.Context, args []string) error {
			content, err := c.secretContent(args[1:])
			if err != nil {
				return err
			}
			return c.stage.model().UpdateUserSecret(args[0], content)
		}),
		verb("scp FROM TO", "Copy a file to a unit's machine (UNIT:PATH), or from it", cobra.ExactArgs(2), c.scp),
		c.sshCommand(),
		verb(certificatesVerb, "The sandbox's own: who holds which certificate, and whether it verifies", cobra.NoArgs, c.certificates),
	)
	for _, command := range root.Commands() {
		run := command.RunE
		command.RunE = func(cmd *cobra.Command, args []string) error {
			if err := run(cmd, args); err != nil {
				return err
			}
			return c.stage.runner.Settle(cmd.Context())
		}
	}
	return root
}

// verb is a command without flags.
func verb(use, short string, arguments cobra.PositionalArgs, run func(context.Context, []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: arguments, RunE: func(cmd *cobra.Command, args []string) error {
		return run(cmd.Context(), args)
	}}
}

// relation resolves two ends as Juju does: an endpoint that is left out is the one that fits.
func (c jujuCall) relation(args []string) (left, right string, err error) {
	var ends [2][]juju.Endpoint
	var apps [2]string
	for i, arg := range args {
		app, name, named := strings.Cut(arg, ":")
		meta, err := c.stage.model().Meta(app)
		if err != nil {
			return "", "", err
		}
		apps[i] = app
		for _, endpoint := range meta.Endpoints {
			if endpoint.Role != juju.Peers && (!named || endpoint.Name == name) {
				ends[i] = append(ends[i], endpoint)
			}
		}
		if len(ends[i]) == 0 {
			return "", "", fmt.Errorf("application %q has no %q relation", app, name)
		}
	}
	var found [][2]string
	for _, a := range ends[0] {
		for _, b := range ends[1] {
			if a.Interface == b.Interface && a.Role != b.Role {
				found = append(found, [2]string{apps[0] + ":" + a.Name, apps[1] + ":" + b.Name})
			}
		}
	}
	switch len(found) {
	case 0:
		return "", "", errors.New("no relations found")
	case 1:
		return found[0][0], found[0][1], nil
	}
	pairs := make([]string, 0, len(found))
	for _, pair := range found {
		pairs = append(pairs, fmt.Sprintf("%q", pair[0]+" "+pair[1]))
	}
	slices.Sort(pairs)
	return "", "", fmt.Errorf("ambiguous relation: %q could refer to %s", strings.Join(args, " "), strings.Join(pairs, "; "))
}

func (c jujuCall) integrate(_ context.Context, args []string) error {
	left, right, err := c.relation(args)
	if err != nil {
		return err
	}
	_, err = c.stage.model().Integrate(left, right)
	return err
}

func (c jujuCall) removeRelation(_ context.Context, args []string) error {
	left, right, err := c.relation(args)
	if err != nil {
		return err
	}
	app, endpoint, _ := strings.Cut(left, ":")
	other, _, _ := strings.Cut(right, ":")
	for _, relation := range c.stage.model().Relations(app) {
		if relation.Endpoint.Name == endpoint && relation.RemoteApp == other {
			return c.stage.model().RemoveRelation(relation.ID)
		}
	}
	return fmt.Errorf("relation %q not found", left+" "+right)
}

func (c jujuCall) config(_ context.Context, args []string) error {
	app := args[0]
	if len(args) == 1 {
		return c.showConfig(app)
	}
	if len(args) == 2 && !strings.Contains(args[1], "=") {
		values, err := c.stage.model().Config(app)
		if err != nil {
			return err
		}
		value, known := values[args[1]]
		if !known {
			return fmt.Errorf("key %q not found in %q application config or charm settings", args[1], app)
		}
		_, err = fmt.Fprintln(c.out, value)
		return err
	}
	options, err := c.options(app, args[1:])
	if err != nil {
		return err
	}
	return c.stage.model().SetConfig(app, options)
}

// showConfig prints all options in the form of Juju's, which signet policy check --config reads.
func (c jujuCall) showConfig(app string) error {
	values, err := c.stage.model().Config(app)
	if err != nil {
		return err
	}
	meta, err := c.stage.model().Meta(app)
	if err != nil {
		return err
	}
	settings := map[string]any{}
	for name, value := range values {
		source := "user"
		if value == meta.Config[name] {
			source = "default"
		}
		settings[name] = map[string]any{"default": meta.Config[name], "source": source, "type": meta.Types[name], "value": value}
	}
	return yaml.NewEncoder(c.out).Encode(map[string]any{"application": app, "charm": meta.Name, "settings": settings})
}

// options reads NAME=VALUE and NAME=@FILE, and types the values as the charm declares them.
func (c jujuCall) options(app string, pairs []string) (map[string]any, error) {
	meta, err := c.stage.model().Meta(app)
	if err != nil {
		return nil, err
	}
	options := map[string]any{}
	for _, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			return nil, fmt.Errorf("expected \"key=value\", got %q", pair)
		}
		if file, named := strings.CutPrefix(value, "@"); named {
			text, err := os.ReadFile(c.path(file))
			if err != nil {
				return nil, err
			}
			value = string(text)
		}
		if options[name], err = typed(meta.Types[name], value); err != nil {
			return nil, fmt.Errorf("option %q: %w", name, err)
		}
	}
	return options, nil
}

func typed(kind, value string) (any, error) {
	switch kind {
	case "boolean":
		return strconv.ParseBool(value)
	case "int":
		return strconv.Atoi(value)
	}
	return value, nil
}

// path gives the path of a file that the command's arguments name.
func (c jujuCall) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.dir, name)
}

// secretContent reads KEY=VALUE and KEY#file=PATH.
func (c jujuCall) secretContent(pairs []string) (map[string]string, error) {
	content := map[string]string{}
	for _, pair := range pairs {
		key, value, found := strings.Cut(pair, "=")
		if !found {
			return nil, fmt.Errorf("key value %q not valid", pair)
		}
		if name, inFile := strings.CutSuffix(key, "#file"); inFile {
			text, err := os.ReadFile(c.path(value))
			if err != nil {
				return nil, err
			}
			key, value = name, string(text)
		}
		content[key] = value
	}
	return content, nil
}

func (c jujuCall) addSecretCommand() *cobra.Command {
	return verb("add-secret NAME KEY[#file]=VALUE...", "Keep a secret for applications", cobra.MinimumNArgs(2), func(_ context.Context, args []string) error {
		content, err := c.secretContent(args[1:])
		if err != nil {
			return err
		}
		uri, err := c.stage.model().AddUserSecret(args[0], content)
		fmt.Fprintln(c.out, uri)
		return err
	})
}

func (c jujuCall) status(_ context.Context, apps []string) error {
	model := c.stage.model()
	if len(apps) == 0 {
		apps = model.Applications()
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "Model\tController\tVersion\n%s\tsandbox\t%s\n", model.Name(), model.JujuVersion())
	fmt.Fprintf(table, "\nApp\tScale\tCharm\n")
	for _, app := range apps {
		meta, err := model.Meta(app)
		if err != nil {
			return err
		}
		name := meta.Name
		switch {
		case app == nodeCharm:
			name = nodeCharm
		case c.signets[app]:
			name = "signet"
		}
		fmt.Fprintf(table, "%s\t%d\t%s\n", app, len(model.Units(app)), name)
	}
	fmt.Fprintf(table, "\nUnit\tWorkload\tAgent\tMachine\tMessage\n")
	for _, app := range apps {
		for _, unit := range model.Units(app) {
			status, err := c.unitStatus(app, unit)
			if err != nil {
				return err
			}
			machine, _ := model.Machine(unit) // empty in a unit that is gone
			if unit == model.Leader(app) {
				unit += "*"
			}
			fmt.Fprintf(table, "%s\t%s\tidle\t%s\t%s\n", unit, status.Level, machine, status.Message)
		}
	}
	return table.Flush()
}

// unitStatus is what a unit says, or for a scripted charm, which says nothing, how it is with its certificates.
func (c jujuCall) unitStatus(app, unit string) (sandbox.StatusInfo, error) {
	if _, scripted := c.actors[app]; !scripted {
		return c.stage.model().UnitStatus(unit)
	}
	held := 0
	for _, h := range c.stage.inventory() {
		if h.owner != unit {
			continue
		}
		if _, err := h.verify(); err != nil {
			return sandbox.StatusInfo{Level: "waiting", Message: "waiting for certificates"}, nil
		}
		held++
	}
	if held == 0 {
		return sandbox.StatusInfo{Level: "blocked", Message: "no certificate authority is related"}, nil
	}
	return sandbox.StatusInfo{Level: "active", Message: fmt.Sprintf("ready with %d certificates", held)}, nil
}

func (c jujuCall) certificates(ctx context.Context, _ []string) error {
	holdings := c.stage.inventory()
	for _, unit := range c.stage.model().Units(nodeCharm) {
		holdings = append(holdings, installed(unit, filepath.Join(c.stage.stateDir(unit), "files", "certificates"))...)
	}
	faulty, err := printInventory(ctx, c.out, holdings, installedJudges())
	if err == nil && faulty > 0 {
		err = fmt.Errorf("%d of %d certificates do not verify", faulty, len(holdings))
	}
	return err
}

func (c jujuCall) logCommand() *cobra.Command {
	var include string
	var level string
	command := verb("debug-log", "Show Juju's log", cobra.NoArgs, func(context.Context, []string) error {
		for _, line := range c.stage.runner.Log() {
			if include == "" || include == line.Unit || include == juju.ApplicationOf(line.Unit) {
				fmt.Fprintf(c.out, "unit-%s: %s unit.%s.juju-log %s\n", dashed(line.Unit), line.Level, line.Unit, line.Message)
			}
		}
		return nil
	})
	command.Flags().StringVar(&include, "include", "", "a unit's or an application's lines only")
	command.Flags().StringVar(&level, "level", "", "taken, and all are shown")
	command.Flags().Bool("replay", true, "taken: it always begins at the beginning")
	command.Flags().Bool("no-tail", true, "taken: it never waits")
	return command
}
