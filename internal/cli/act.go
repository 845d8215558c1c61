// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/juju"
)

// actingCodes is the end of the help of each command that has the agent do something.
const actingCodes = "\n\nThe unit's agent does it, as it does the action of Juju's of the same meaning, and records who asked for what.\n" +
	"It ends with 0 when it was done, 1 when not, 2 for wrong usage."

// acting is a command that has the unit's agent do what an action of the charm's does.
type acting struct {
	*looking

	dryRun bool
}

func (p *program) acting(command *cobra.Command) *acting {
	a := &acting{looking: p.looking(command)}
	command.Flags().BoolVar(&a.dryRun, "dry-run", false, "only say what would be done")
	return a
}

// do has an action done, and shows what came of it. Parameters that are empty are not given.
func (a *acting) do(ctx context.Context, name string, params map[string]any) error {
	maps.DeleteFunc(params, func(_ string, value any) bool { return value == "" || value == false })
	if a.dryRun {
		params["dry-run"] = true
	}
	result, err := a.ask(ctx, name, params)
	if err != nil {
		return err
	}
	return a.showResult(result)
}

// anyUnit names the actions for which a unit need not lead.
func anyUnit() []string { return []string{"get-root-ca", "list-backups", "delete-backup"} }

// ask has an action done. Where this unit is not who does it, the error says how to have it done.
func (a *acting) ask(ctx context.Context, name string, params map[string]any) (juju.Result, error) {
	dir, err := a.folder()
	if err != nil {
		return juju.Result{}, err
	}
	socket := filepath.Join(dir, socketName)
	seen, err := agent.AskView(ctx, socket)
	switch {
	case errors.Is(err, agent.ErrNoAgent):
		unit := unitOf(dir)
		return juju.Result{}, fmt.Errorf("%w, which would do it: find out why with signet doctor; meanwhile, where juju is: %s", err, jujuRun(unit, name, params))
	case err != nil:
		return juju.Result{}, err
	case !seen.Leader && !slices.Contains(anyUnit(), name):
		return juju.Result{}, fmt.Errorf("%s does not lead, and only the leader does this: where juju is, run: %s", seen.Unit, jujuRun(seen.Application+"/leader", name, params))
	case a.dryRun && seen.Version != buildVersion(): // an agent that does not know the parameter would do it
		return juju.Result{}, fmt.Errorf("the agent is of version %s, and this program of %s: nothing is tried, because it might be done; restart the agent",
			seen.Version, buildVersion())
	}
	outcome, err := agent.AskAction(ctx, socket, juju.Action{Name: name, Params: params})
	if err != nil {
		return juju.Result{}, err
	}
	if outcome.Result.Failure != "" {
		return juju.Result{}, errors.New(outcome.Result.Failure)
	}
	return outcome.Result, nil
}

// jujuRun is the command by which Juju has an action done.
func jujuRun(unit, name string, params map[string]any) string {
	words := []string{"juju", "run", unit, name}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		value := fmt.Sprint(params[key])
		if strings.Contains(value, "\n") {
			value = "…"
		}
		words = append(words, shellWord(key+"="+value))
	}
	return strings.Join(words, " ")
}

// shellWord quotes a word where a shell would take it apart.
func shellWord(word string) string {
	if strings.ContainsAny(word, " \t'\"$&;|<>()*?[]`\\#~!{}") {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// showResult prints what an action gave: its output alone where it has one, else each result.
func (a *acting) showResult(result juju.Result) error {
	p := a.program
	if a.format == "json" || a.format == "yaml" {
		return p.showValue(a.output, result.Results)
	}
	var list []pair
	for _, key := range slices.Sorted(maps.Keys(result.Results)) {
		value := strings.TrimRight(result.Results[key], "\n")
		if len(result.Results) == 1 && (key == "output" || key == "message") || key == "pem" && strings.Contains(value, "-----BEGIN") {
			_, err := fmt.Fprintln(p.stdout, value)
			return err
		}
		for line := range strings.SplitSeq(value, "\n") { // each with its name, so that a script can take them apart
			list = append(list, pair{key, line})
		}
	}
	if a.format == "csv" {
		return show(p, a.output, pairColumns(), list)
	}
	return p.pairs(list)
}

// selection is which certificates a command is about.
type selection struct {
	serial, name, unit, application string
	relation                        int
}

func (s *selection) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&s.serial, "serial", "", "serial number, hexadecimal, with or without colons")
	flags.StringVar(&s.name, "name", "", "common name, DNS name or IP address")
	flags.StringVar(&s.unit, "unit", "", "unit that it was issued to, such as etcd/0")
	flags.StringVar(&s.application, "app", "", "application that it was issued to")
	flags.IntVar(&s.relation, "relation", -1, "number of the relation")
}

// params are those of an action; empty where nothing is selected.
func (s *selection) params() map[string]any {
	params := map[string]any{}
	for name, value := range map[string]string{"serial": s.serial, "name": s.name, "unit": s.unit, "application": s.application} {
		if value != "" {
			params[name] = value
		}
	}
	if s.relation >= 0 {
		params["relation"] = s.relation
	}
	return params
}

func (p *program) revokeCommand() *cobra.Command {
	var which selection
	var reason string
	command := &cobra.Command{
		Use:   "revoke",
		Short: "Revoke certificates that were issued here",
		Long: "revoke revokes all certificates that fit every flag given. Where a serial number alone is given, it is revoked even if the\n" +
			"certificate is published no more. What takes its place depends on the reason: after unspecified, superseded,\n" +
			"keyCompromise, cACompromise and aACompromise a legacy certificate is replaced under a new key; a signing request gets a\n" +
			"new certificate after the first two only. After affiliationChanged, cessationOfOperation and privilegeWithdrawn nothing does." + actingCodes,
		Example: "  signet revoke --unit etcd/1 --reason keyCompromise --dry-run\n  signet revoke --serial 4f:21:9a",
		Args:    noArgs,
	}
	a := p.acting(command)
	which.flags(command)
	command.Flags().StringVar(&reason, "reason", "unspecified", "why (RFC 5280, 5.3.1)")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		params := which.params()
		if len(params) == 0 {
			return fmt.Errorf("%w: say what to revoke: --serial, --name, --unit, --app or --relation", errUsage)
		}
		params["reason"] = reason
		return a.do(cmd.Context(), "revoke", params)
	}
	return command
}

func (p *program) renewCommand() *cobra.Command {
	var which selection
	var all, atOnce, newKey bool
	command := &cobra.Command{
		Use:   "renew",
		Short: "Renew certificates that were issued here, before their time",
		Long: "renew renews all certificates that fit every flag given. Keys are kept, and one unit of an application follows the other at\n" +
			"the pace of renewals, so that no two restart together." + actingCodes,
		Example: "  signet renew --app etcd --dry-run\n  signet renew --all --new-key",
		Args:    noArgs,
	}
	a := p.acting(command)
	which.flags(command)
	flags := command.Flags()
	flags.BoolVar(&all, "all", false, "all certificates")
	flags.BoolVar(&atOnce, "at-once", false, "without regard to the pace: units may restart together")
	flags.BoolVar(&newKey, "new-key", false, "under new keys, where keys are made here (legacy dialect)")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		params := which.params()
		if len(params) == 0 && !all {
			return fmt.Errorf("%w: say what to renew: --serial, --name, --unit, --app, --relation or --all", errUsage)
		}
		params["all"], params["at-once"], params["new-key"] = all, atOnce, newKey
		return a.do(cmd.Context(), "renew", params)
	}
	return command
}
