// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/juju/charm/v12"
	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

func (c jujuCall) runCommand() *cobra.Command {
	return verb("run UNIT|APP/leader ACTION [PARAMETER=VALUE...]", "Run an action", cobra.MinimumNArgs(2), func(ctx context.Context, args []string) error {
		unit := args[0]
		app, which, _ := strings.Cut(unit, "/")
		if which == "leader" {
			if unit = c.stage.model().Leader(app); unit == "" {
				return fmt.Errorf("could not determine leader for %q", app)
			}
		}
		params, err := c.actionParams(app, args[1], args[2:])
		if err != nil {
			return err
		}
		result, err := c.stage.runner.RunAction(ctx, unit, args[1], params)
		if err != nil {
			return err
		}
		c.tasks += 2
		fmt.Fprintf(c.out, "Running operation %d with 1 task\n  - task %d on unit-%s\n\nWaiting for task %d...\n", c.tasks-1, c.tasks, dashed(unit), c.tasks)
		for _, line := range result.Log {
			fmt.Fprintln(c.out, line)
		}
		maps.DeleteFunc(result.Results, func(key string, _ any) bool { return key == "return-code" || key == "stderr" })
		if len(result.Results) > 0 {
			text, err := yaml.Marshal(result.Results)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s", text)
		}
		if result.Status != "completed" {
			fmt.Fprintf(c.out, "Action id %d failed: %s\n", c.tasks, result.Message)
			return errSaid
		}
		return nil
	})
}

// declaredActions are those of an application's charm.
func (c jujuCall) declaredActions(app string) (*charm.Actions, error) {
	if !c.signets[app] || app == nodeCharm {
		return nil, fmt.Errorf("no actions defined on charm of %q", app)
	}
	file, err := os.Open(filepath.Join(c.stage.charmDir, "actions.yaml"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return charm.ReadActionsYaml("signet", file)
}

func (c jujuCall) actionsCommand() *cobra.Command {
	var schema bool
	command := verb("actions APP", "List actions", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		declared, err := c.declaredActions(args[0])
		if err != nil {
			return err
		}
		if schema {
			shown := map[string]any{}
			for name, spec := range declared.ActionSpecs {
				shown[name] = spec.Params
			}
			return yaml.NewEncoder(c.out).Encode(shown)
		}
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "Action\tDescription")
		for _, name := range slices.Sorted(maps.Keys(declared.ActionSpecs)) {
			fmt.Fprintf(table, "%s\t%s\n", name, strings.Join(strings.Fields(declared.ActionSpecs[name].Description), " "))
		}
		return table.Flush()
	})
	command.Flags().BoolVar(&schema, "schema", false, "with their parameters")
	return command
}

// actionParams reads NAME=VALUE as Juju does, as YAML, and holds the parameters to the action's declaration.
func (c jujuCall) actionParams(app, action string, pairs []string) (map[string]any, error) {
	declared, err := c.declaredActions(app)
	if err != nil {
		return nil, err
	}
	spec, known := declared.ActionSpecs[action]
	if !known {
		return nil, fmt.Errorf("action %q not defined on unit of %q", action, app)
	}
	params := map[string]any{}
	for _, pair := range pairs {
		name, text, found := strings.Cut(pair, "=")
		if !found {
			return nil, fmt.Errorf("argument %q must be of the form key.key.key...=value", pair)
		}
		var value any
		if yaml.Unmarshal([]byte(text), &value) != nil || value == nil {
			value = text
		}
		params[name] = value
	}
	if err := spec.ValidateParams(params); err != nil {
		return nil, err
	}
	return params, nil
}
