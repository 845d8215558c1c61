// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/unit/rehearsal"
	"github.com/signet-charm/signet/internal/view"
)

func (p *program) simulateCommand() *cobra.Command {
	var days int
	command := &cobra.Command{
		Use:   "simulate",
		Short: "Show the calendar of renewals and of the CA, as it will be if nobody does anything",
		Long: "simulate has the unit's agent play its turns of the days to come, on what the last one left: with the very decisions, at their\n" +
			"own pace and within the maintenance window, and certificates that stand in for those to be issued. Nothing is signed with\n" +
			"the CA's key, written or published. What others do is not played: a signing request whose owner does not renew it expires.\n" +
			"Without an agent it shows what the unit's disk tells: the next renewal of each certificate only." + exitCodes,
		Example: "  signet simulate --days 400\n  signet simulate --days 3650 -o json | jq '.[] | select(.event == \"ca-role\")'",
		Args:    noArgs,
	}
	l := p.looking(command)
	const byDefault = 90
	command.Flags().IntVar(&days, "days", byDefault, "how many days to look ahead")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		const most = 4000
		if days < 1 || days > most {
			return fmt.Errorf("%w: --days is from 1 to %d", errUsage, most)
		}
		events, err := l.rehearse(cmd.Context(), days)
		if err != nil {
			return err
		}
		return show(p, l.output, eventColumns(time.Now()), events)
	}
	return command
}

// rehearse gives the calendar of the days to come.
func (l *looking) rehearse(ctx context.Context, days int) ([]rehearsal.Event, error) {
	dir, err := l.folder()
	if err != nil {
		return nil, err
	}
	p, until := l.program, time.Now().AddDate(0, 0, days)
	found, err := agent.AskRehearsal(ctx, filepath.Join(dir, socketName), days)
	switch {
	case errors.Is(err, agent.ErrNoAgent):
		v, err := l.view(ctx)
		if err != nil {
			return nil, err
		}
		return foreseen(v, until, func(view.Renewal) bool { return true }), nil
	case err != nil:
		return nil, err
	case found.Until.Before(until.Add(-time.Hour)):
		fmt.Fprintf(p.stderr, "signet: it was played until %s only, in %d turns: ask for fewer days\n", instant(found.Until), found.Turns)
	}
	// What this unit has from others is theirs to decide; its own calendar says when it will ask.
	v, err := agent.AskView(ctx, filepath.Join(dir, socketName))
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, one := range v.Certificates {
		own[one.Serial] = one.Role == view.Own
	}
	events := append(found.Events, foreseen(v, until, func(one view.Renewal) bool { return one.Serial != "" && own[one.Serial] })...)
	slices.SortStableFunc(events, func(a, b rehearsal.Event) int { return a.At.Compare(b.At) })
	return events, nil
}

// foreseen is what a view's own calendar has, as far as it is wanted.
func foreseen(v view.View, until time.Time, wanted func(view.Renewal) bool) []rehearsal.Event {
	var events []rehearsal.Event
	for _, one := range v.Renewals {
		if one.At.After(until) || one.Event == view.TurnAgain || !wanted(one) {
			continue
		}
		what := rehearsal.What(one.Event)
		_, number, _ := strings.Cut(one.Relation, ":")
		relation, _ := strconv.Atoi(number) // none: 0
		events = append(events, rehearsal.Event{
			At: one.At, What: what, Name: one.Name, Application: one.Application, Unit: one.Unit, Relation: relation, Generation: one.Generation,
			Replaces: one.Serial,
		})
	}
	return events
}

func eventColumns(now time.Time) []column[rehearsal.Event] {
	const longest = 120
	return []column[rehearsal.Event]{
		{name: "time", text: func(e rehearsal.Event) string { return when(e.At) }},
		{name: "in", plain: true, text: func(e rehearsal.Event) string { return residualDue(now, e.At) }},
		{name: "event", text: func(e rehearsal.Event) string { return string(e.What) }},
		{name: "who", text: func(e rehearsal.Event) string { return whose(e.Unit, e.Application) }},
		{name: "name", text: func(e rehearsal.Event) string { return e.Name }},
		{name: "ca", text: func(e rehearsal.Event) string { return generation(e.Generation) }},
		{name: "not-after", text: func(e rehearsal.Event) string { return when(e.NotAfter) }},
		{name: "relation", wide: true, text: func(e rehearsal.Event) string { return generation(e.Relation) }},
		{name: "replaces", wide: true, text: func(e rehearsal.Event) string { return e.Replaces }},
		{name: "detail", most: longest, text: func(e rehearsal.Event) string { return e.Detail }},
	}
}
