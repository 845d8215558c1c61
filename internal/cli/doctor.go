// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/doctor"
	"github.com/signet-charm/signet/internal/view"
	"github.com/signet-charm/signet/internal/view/diagnosis"
)

// verdict ends a command whose answer is in its exit code. The text is for people; what was found is printed before.
type verdict struct {
	code int
	text string
}

func (v verdict) Error() string { return v.text }

// examination is what "signet doctor" is asked.
type examination struct {
	*looking

	agentConf string
	dial      []string
	only      []string
	quiet     bool
}

func (p *program) doctorCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong with this unit, and what mends it",
		Long: "doctor looks at the unit's agent, files, record, certificates, CA, controller and clock, and at who serves its certificates\n" +
			"here, by named checks. Each says how severe what it found is (ok, info, warning, error) and what mends it; after \"run:\"\n" +
			"stands a command. It changes nothing. Without an agent it finds out what the machine alone tells.\n\n" +
			"It ends with 0 when all is well, 1 when there are warnings, 2 when there are errors, 3 when nothing can be read.",
		Example: "  juju ssh signet/0 sudo signet doctor\n  signet doctor --quiet --dial kubernetes.example.com:6443\n  signet doctor -o json --check agent-conf,clock-controller",
		Args:    noArgs,
	}
	e := &examination{looking: p.looking(command)}
	flags := command.Flags()
	flags.StringVar(&e.agentConf, "agent-conf", "", "the unit agent's agent.conf (default: that of the unit below "+agentsDir+")")
	flags.StringSliceVar(&e.dial, "dial", nil, "look at what is served at this HOST:PORT as well")
	flags.StringSliceVar(&e.only, "check", nil, "ask these checks only, by their names")
	flags.BoolVarP(&e.quiet, "quiet", "q", false, "leave out what is ok")
	_ = command.RegisterFlagCompletionFunc("check", cobra.FixedCompletions(diagnosis.IDs(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, id := range e.only {
			if !slices.Contains(diagnosis.IDs(), id) {
				return fmt.Errorf("%w: there is no check %q: %s", errUsage, id, strings.Join(diagnosis.IDs(), ", "))
			}
		}
		facts, err := e.gather(cmd.Context())
		if err != nil {
			return err
		}
		return e.report(diagnosis.Examine(facts))
	}
	return command
}

// agentsDir is where Juju's agents of a machine have their folders.
const agentsDir = "/var/lib/juju/agents"

// gather asks the agent, and everybody else.
func (e *examination) gather(ctx context.Context) (diagnosis.Facts, error) {
	p := e.program
	dir, err := e.folder()
	if err != nil {
		return diagnosis.Facts{}, err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return diagnosis.Facts{}, fmt.Errorf("%w: there is no state folder %s", errUnseen, dir)
	}
	at := doctor.Place{
		State: dir, Socket: filepath.Join(dir, socketName), Backups: filepath.Join(dir, backupsName), Machine: p.lookup("SIGNET_ROOT"), Dial: e.dial,
	}
	seen, trouble := agent.AskView(ctx, at.Socket)
	if trouble != nil {
		if seen, err = p.readUnit(dir); err != nil && !errors.Is(err, errUnseen) {
			return diagnosis.Facts{}, err
		}
		seen.Source = view.FromDisk
	}
	if at.Unit = seen.Unit; at.Unit == "" {
		at.Unit = unitOf(dir)
	}
	at.Service = place{unit: at.Unit}.service()
	if at.AgentConf = e.agentConf; at.AgentConf == "" && at.Unit != "" {
		at.AgentConf = filepath.Join(agentsDir, "unit-"+dashed(at.Unit), "agent.conf")
	}
	facts := doctor.Gather(ctx, at, seen, trouble, time.Now)
	facts.Version, facts.FIPS = buildVersion(), p.fips()
	return facts, nil
}

// fips tells how cryptography runs, and how it should.
func (p *program) fips() diagnosis.FIPS {
	found := diagnosis.FIPS{Mode: fipsMode()}
	for setting := range strings.SplitSeq(p.lookup("GODEBUG"), ",") {
		if value, is := strings.CutPrefix(setting, "fips140="); is && value != "off" && value != "debug" {
			found.Asked = value
		}
	}
	text, _ := os.ReadFile("/proc/sys/crypto/fips_enabled") // none: not in that mode
	found.Kernel = strings.TrimSpace(string(text)) == "1" && !fips140.Enabled()
	return found
}

func (e *examination) report(found []diagnosis.Finding) error {
	asked := slices.DeleteFunc(slices.Clone(found), func(one diagnosis.Finding) bool {
		return len(e.only) > 0 && !slices.Contains(e.only, one.ID)
	})
	shown := slices.DeleteFunc(slices.Clone(asked), func(one diagnosis.Finding) bool { return e.quiet && one.Severity == diagnosis.OK })
	if err := show(e.program, e.output, findingColumns(), shown); err != nil {
		return err
	}
	counts := map[diagnosis.Severity]int{}
	for _, one := range asked {
		counts[one.Severity]++
	}
	text := fmt.Sprintf("errors: %d, warnings: %d, of %d asked", counts[diagnosis.Error], counts[diagnosis.Warning], len(asked))
	switch diagnosis.Worst(asked) {
	case diagnosis.Error:
		return verdict{2, text}
	case diagnosis.Warning:
		return verdict{1, text}
	}
	return nil
}

func findingColumns() []column[diagnosis.Finding] {
	const longest = 400
	return []column[diagnosis.Finding]{
		{name: "check", text: func(one diagnosis.Finding) string { return one.ID }},
		{name: "severity", text: func(one diagnosis.Finding) string { return string(one.Severity) }, paint: severityColour},
		{name: "finding", most: longest, text: func(one diagnosis.Finding) string { return one.Finding }},
		{name: "fix", most: longest, text: func(one diagnosis.Finding) string { return one.Fix }},
	}
}

func severityColour(one diagnosis.Finding) colour {
	switch one.Severity {
	case diagnosis.OK:
		return green
	case diagnosis.Warning:
		return yellow
	case diagnosis.Error:
		return red
	}
	return ""
}
