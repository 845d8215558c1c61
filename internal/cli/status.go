// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/view"
)

func (p *program) statusCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "status",
		Short: "Show how this unit is, on one screen",
		Long: "status shows what the unit's agent came to in its last turn: its status with all that makes it, its CAs, how many\n" +
			"certificates and requests there are and how they are, and what comes next. Without an agent it shows what the unit's disk\n" +
			"tells, and says so." + exitCodes,
		Example: "  juju ssh signet/0 sudo signet status\n  signet status -o json",
		Args:    noArgs,
	}
	l := p.looking(command)
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		found, err := l.view(cmd.Context())
		if err != nil {
			return err
		}
		summary := summaryOf(found)
		switch l.format {
		case "json", "yaml":
			return p.showValue(l.output, summary)
		case "csv":
			return show(p, l.output, pairColumns(), summary.pairs(found))
		}
		return p.pairs(summary.pairs(found))
	}
	return command
}

func pairColumns() []column[pair] {
	return []column[pair]{
		{name: "item", text: func(one pair) string { return strings.ToLower(one.name) }},
		{name: "value", text: func(one pair) string { return one.value }},
	}
}

// summary is a view without its lists.
type summary struct {
	view.View
	Certificates map[view.State]int   `json:"certificates"`
	Requests     map[view.Outcome]int `json:"requests"`
	Renewals     []view.Renewal       `json:"next,omitempty"`
	FirstExpiry  *view.Renewal        `json:"first-expiry,omitempty"`
}

// summaryOf counts what a view lists, and keeps the next few things to come.
func summaryOf(v view.View) summary {
	s := summary{View: v, Certificates: map[view.State]int{}, Requests: map[view.Outcome]int{}}
	const next = 3
	for _, one := range v.Certificates {
		s.Certificates[one.State]++
		ends := view.Renewal{
			At: one.NotAfter, Event: view.Ends, Serial: one.Serial, Name: nameOf(one), Application: one.Application, Unit: one.Unit, Relation: one.Relation,
		}
		if !ends.At.IsZero() && !one.Orphaned && (s.FirstExpiry == nil || ends.At.Before(s.FirstExpiry.At)) {
			s.FirstExpiry = &ends
		}
	}
	for _, one := range v.Requests {
		s.Requests[one.Outcome]++
	}
	s.Renewals, s.View.Renewals = v.Renewals[:min(next, len(v.Renewals))], nil
	s.Authorities = slices.Clone(v.Authorities)
	for i := range s.Authorities {
		s.Authorities[i].PEM, s.Authorities[i].Chain = "", nil
	}
	return s
}

// pairs is the one screen.
func (s summary) pairs(v view.View) []pair {
	role := "does not lead"
	if v.Leader {
		role = "leads"
	}
	if v.Source == view.FromDisk {
		role = "read from its disk"
	}
	list := []pair{
		{"Unit", strings.TrimSpace(fmt.Sprintf("%s, %s", cmp.Or(v.Unit, "not known"), role))},
		{"Model", v.Model},
		{"Version", strings.TrimSuffix(fmt.Sprintf("signet %s, Juju %s", v.Version, v.JujuVersion), ", Juju ")},
		{"Status", fmt.Sprintf("%s: %s", v.Status.Level, v.Status.Message)},
	}
	for _, one := range v.Conditions {
		if !strings.Contains(v.Status.Message, one.Message) {
			list = append(list, pair{"Condition", fmt.Sprintf("%s: %s", one.Level, one.Message)})
		}
	}
	for _, fault := range v.Options {
		list = append(list, pair{"Option", fault + "; the last value without a fault stays in force"})
	}
	for _, one := range v.Authorities {
		list = append(list, pair{fmt.Sprintf("CA %d", one.Generation), authorityLine(v, one)})
	}
	if v.Rollover.Note != "" {
		list = append(list, pair{"Rollover", v.Rollover.Note})
	}
	list = append(list,
		pair{"Certificates", tally(s.Certificates)},
		pair{"Requests", tally(s.Requests)},
	)
	if s.FirstExpiry != nil {
		list = append(list, pair{"First expiry", line(v.At, *s.FirstExpiry)})
	}
	for _, one := range s.Renewals {
		list = append(list, pair{"Next", string(one.Event) + " " + line(v.At, one)})
	}
	return append(list, pair{"Record", recordLine(v)}, pair{"As of", asOf(v)})
}

func authorityLine(v view.View, one view.Authority) string {
	text := one.Role
	if !one.NotAfter.IsZero() {
		text += fmt.Sprintf(", until %s (%s), %s", one.NotAfter.Format(time.DateOnly), residual(v.At, one.NotAfter), one.Subject)
	}
	text += fmt.Sprintf(", %d issued, %d revoked", one.Issued, one.Revoked)
	if one.Vault != "" {
		text += ", its key in Vault's mount " + one.Vault
	}
	return text
}

// tally counts in words: "12 valid, 1 expiring".
func tally[K ~string](counts map[K]int) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[key], key))
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// line is one line of the calendar.
func line(now time.Time, one view.Renewal) string {
	parts := []string{fmt.Sprintf("%s (%s)", when(one.At), cmp.Or(residualDue(now, one.At), "now"))}
	for _, part := range []string{one.Name, cmp.Or(one.Unit, one.Application)} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " ")
}

// residualDue is residual for what does not end but is due.
func residualDue(now, at time.Time) string {
	if !at.After(now) {
		return "due"
	}
	return "in " + residual(now, at)
}

func recordLine(v view.View) string {
	text := fmt.Sprintf("%d entries, %d of them since the last checkpoint", v.Record.Entries, v.Record.Uncovered)
	if n := v.Record.LegacyKeys; n > 0 {
		text += fmt.Sprintf("; %d private keys in relation data", n)
	}
	if v.Record.Trouble != "" {
		text += "; cannot be read: " + v.Record.Trouble
	}
	return text
}

func asOf(v view.View) string {
	if v.Turn.IsZero() {
		return when(v.At)
	}
	return fmt.Sprintf("%s, %s after the last turn", when(v.At), span(v.At.Sub(v.Turn)))
}

// nameOf is what a certificate is called.
func nameOf(one view.Certificate) string {
	if one.CommonName == "" && len(one.Names) > 0 {
		return one.Names[0]
	}
	return one.CommonName
}
