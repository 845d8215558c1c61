// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/audit"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/ledger"
)

// statesDir is where units have their state folders.
const statesDir = "/var/lib/signet"

func (p *program) auditCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "audit",
		Short: "Read and verify the record of what was decided and signed",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(p.verifyCommand(), p.tailCommand())
	return command
}

// record is which journal a command is about.
type record struct{ stateDir, journal string }

func (r *record) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&r.stateDir, "state-dir", "", "the unit's own state folder (default: the only one in "+statesDir+")")
	flags.StringVar(&r.journal, "journal", "", "the journal itself, or a copy of it")
}

// checkOutput checks the flag -o.
func checkOutput(output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("%w: output %q is neither text nor json", errUsage, output)
	}
	return nil
}

// path finds the journal.
func (r *record) path(lookup func(string) string) (string, error) {
	switch {
	case r.journal != "" && r.stateDir != "":
		return "", fmt.Errorf("%w: give --journal or --state-dir, not both", errUsage)
	case r.journal != "":
		return r.journal, nil
	case r.stateDir != "":
		return disk.JournalPath(r.stateDir), nil
	case lookup("SIGNET_STATE_DIR") != "":
		return disk.JournalPath(lookup("SIGNET_STATE_DIR")), nil
	}
	found, _ := filepath.Glob(disk.JournalPath(filepath.Join(statesDir, "*"))) // the pattern is a good one
	if len(found) != 1 {
		return "", fmt.Errorf("%w: %d journals are in %s: say which with --state-dir or --journal", errUsage, len(found), statesDir)
	}
	return found[0], nil
}

func (p *program) verifyCommand() *cobra.Command {
	var about record
	var checkpoints, authorities []string
	var unit, output string
	command := &cobra.Command{
		Use:   "verify",
		Short: "Find out whether the record is as it was written",
		Long: "verify reads the record of a unit, also of one whose agent runs, and changes nothing. It ends with 0 when the record is\n" +
			"sound, with 1 when it is not, with 2 for wrong usage, and with 3 when it cannot be read, so that nothing is known.\n" +
			"Checkpoints that were kept elsewhere find out what a look at this machine cannot: give it Juju's log (juju debug-log --replay --no-tail), another unit's databag, or what the action\n" +
			"checkpoint gave; it finds them in any text.",
		Example: "  juju ssh --pty=false signet/0 sudo cat /var/lib/signet/signet-0/journal > journal\n" +
			"  juju debug-log --replay --no-tail --include signet/0 | signet audit verify --journal journal --checkpoint -",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			path, err := about.path(p.lookup)
			if err != nil {
				return err
			}
			evidence := disk.Evidence{Unit: unit}
			if evidence.Checkpoints, err = p.readCheckpoints(checkpoints); err != nil {
				return err
			}
			if evidence.Authorities, err = readAuthorities(authorities); err != nil {
				return err
			}
			findings, err := disk.VerifyJournal(path, evidence)
			if err != nil {
				return fmt.Errorf("%w: %w", errUnread, err)
			}
			return p.showFindings(output, path, findings)
		},
	}
	about.flags(command)
	flags := command.Flags()
	flags.StringArrayVar(&checkpoints, "checkpoint", nil, "a text in which checkpoints stand that were kept elsewhere, - for the standard input")
	flags.StringArrayVar(&authorities, "ca", nil, "certificates (PEM) of the CA whose checkpoints are to be believed")
	flags.StringVarP(&output, "output", "o", "text", "text or json")
	flags.StringVar(&unit, "unit", "", "whose record it is (default: the unit that its checkpoints name)")
	return command
}

// readCheckpoints finds checkpoints in texts. One without any is a mistake, and must not pass for evidence.
func (p *program) readCheckpoints(paths []string) ([]audit.Signed, error) {
	var all []audit.Signed
	for _, path := range paths {
		var text []byte
		var err error
		if path == "-" {
			text, err = io.ReadAll(p.stdin)
		} else {
			text, err = os.ReadFile(path)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: cannot read checkpoints: %w", errUsage, err)
		}
		found := audit.Find(string(text))
		if len(found) == 0 {
			return nil, fmt.Errorf("%w: no checkpoint stands in %s", errUsage, path)
		}
		all = append(all, found...)
	}
	return all, nil
}

func readAuthorities(paths []string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%w: cannot read CA certificates: %w", errUsage, err)
		}
		found, err := cert.ParseCertificates(string(text))
		if err != nil {
			return nil, fmt.Errorf("%w: cannot read CA certificates in %s: %w", errUsage, path, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// errUnsound is what verify ends with when the record is not as it was written.
var errUnsound = errors.New("the record is not sound")

// errUnread is what verify and tail end with when nothing can be said of the record.
var errUnread = errors.New("nothing is known of the record")

func (p *program) showFindings(output, path string, found disk.Findings) error {
	if output == "json" {
		text, err := json.MarshalIndent(struct {
			Sound bool `json:"sound"`
			disk.Findings
		}{found.Sound(), found}, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintln(p.stdout, string(text))
	} else {
		p.printFindings(path, found)
	}
	if !found.Sound() {
		return fmt.Errorf("%w: %s", errUnsound, path)
	}
	return nil
}

func (p *program) printFindings(path string, found disk.Findings) {
	verdict := "sound"
	if !found.Sound() {
		verdict = "NOT SOUND"
	}
	fmt.Fprintf(p.stdout, "%s: %s\n", path, verdict)
	for _, problem := range found.Problems {
		fmt.Fprintf(p.stdout, "problem: %s\n", audit.Plain(problem, 1000))
	}
	for _, note := range found.Notes {
		fmt.Fprintf(p.stdout, "note: %s\n", audit.Plain(note, 1000))
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, row := range []struct{ name, value string }{
		{"unit", cmp.Or(found.Unit, "not known")},
		{"model", cmp.Or(found.Model, "not known")},
		{"lines", fmt.Sprintf("%d, %d of them vouched for", found.Lines, found.Covered)},
		{"entries", fmt.Sprint(found.Entries)},
		{"certificates", fmt.Sprintf("%d issued, %d elsewhere, %d revoked", found.Events["issued"], found.Elsewhere, found.Events["revoked"])},
		{"refusals", fmt.Sprintf("%d, %d only reported", found.Events["denied"], found.Events["reported"])},
		{"checkpoints", fmt.Sprintf("%d, %d kept elsewhere, %d of other units", found.Checkpoints, found.External, found.PassedOver)},
		{"from", moment(found.First)}, {"to", moment(found.Last)},
	} {
		fmt.Fprintf(table, "%s:\t%s\n", row.name, row.value)
	}
	_ = table.Flush()
}

func moment(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}

func (p *program) tailCommand() *cobra.Command {
	var about record
	var o output
	var number int
	var everything bool
	command := &cobra.Command{
		Use:   "tail",
		Short: "Print the last decisions",
		Long: "tail prints who was given or refused what, what was revoked, and what operators did. In JSON each decision is a line of its\n" +
			"own. A record that is not sound is shown as far as it can be believed." +
			"\n\nIt ends with 0 when all went well, 1 when the record is not sound, 2 for wrong usage, 3 when it cannot be read.",
		Example: "  juju ssh signet/0 sudo signet audit tail",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if o.format == "text" { // as it was called before
				o.format = "table"
			}
			if err := o.check(); err != nil {
				return err
			}
			path, err := about.path(p.lookup)
			if err != nil {
				return err
			}
			if number < 1 {
				return fmt.Errorf("%w: -n is a number of decisions", errUsage)
			}
			found, err := disk.VerifyJournal(path, disk.Evidence{})
			if err != nil {
				return fmt.Errorf("%w: %w", errUnread, err)
			}
			entries := slices.DeleteFunc(slices.Clone(found.Recorded), func(e ledger.Entry) bool {
				return !everything && (e.Event == ledger.Ordered || e.Event == ledger.Reserved || e.Event == ledger.Submitted)
			})
			if o.format != "json" {
				nameRevoked(entries, found.Recorded)
			}
			if err := p.printEntries(o, entries[max(0, len(entries)-number):]); err != nil {
				return err
			}
			if !found.Sound() {
				return fmt.Errorf("%w: %s: run signet audit verify", errUnsound, path)
			}
			return nil
		},
	}
	about.flags(command)
	o.flags(command)
	command.Flags().IntVarP(&number, "lines", "n", 20, "how many")
	command.Flags().BoolVar(&everything, "all", false, "the steps before a certificate is issued as well")
	return command
}

func (p *program) printEntries(o output, entries []ledger.Entry) error {
	if o.format == "json" {
		encoder := json.NewEncoder(p.stdout)
		for _, entry := range entries {
			if err := encoder.Encode(entry); err != nil {
				return err
			}
		}
		return nil
	}
	return show(p, o, entryColumns(), entries)
}

func entryColumns() []column[ledger.Entry] {
	return []column[ledger.Entry]{
		{name: "time", text: func(e ledger.Entry) string { return moment(e.Time) }},
		{name: "event", text: func(e ledger.Entry) string { return string(e.Event) }},
		{name: "who", most: 40, text: who},
		{name: "what", most: 120, text: what},
		{name: "rule", most: 40, text: func(e ledger.Entry) string { return e.Rule }},
		{name: "code", most: 30, text: func(e ledger.Entry) string { return e.Code }},
		{name: "serial", most: 40, text: func(e ledger.Entry) string { return e.Serial }},
		{name: "relation", wide: true, text: func(e ledger.Entry) string { return generation(e.Relation) }},
		{name: "ca", wide: true, text: func(e ledger.Entry) string { return generation(e.Generation) }},
		{name: "not-after", wide: true, text: func(e ledger.Entry) string { return instant(e.NotAfter) }},
	}
}

// nameRevoked says of revocations whose certificate it was, where this record has its issue.
func nameRevoked(entries, recorded []ledger.Entry) {
	issued := map[string]ledger.Entry{}
	for _, entry := range recorded {
		if entry.Event == ledger.Issued {
			issued[entry.Serial] = entry
		}
	}
	for i, entry := range entries {
		if one, known := issued[entry.Serial]; known && entry.Event == ledger.Revoked {
			entries[i].For, entries[i].App, entries[i].Unit, entries[i].Subject = one.For, one.App, one.Unit, one.Subject
		}
	}
}

func shown(text string, most int) string { return cmp.Or(audit.Plain(text, most), "-") }

func who(e ledger.Entry) string {
	if e.Event == ledger.Action {
		return "operator"
	}
	return audit.Asker(e)
}

// what says in a few words what a decision is about.
func what(e ledger.Entry) string {
	switch e.Event {
	case ledger.Issued:
		text := e.Subject
		if len(e.Names) > 0 {
			text += " for " + strings.Join(e.Names, " ")
		}
		if e.Before != "" {
			text += ", replacing " + e.Before
		}
		return text
	case ledger.Authority:
		return strings.TrimSpace(fmt.Sprintf("CA %d is %s %s", e.Generation, e.After, e.Reason))
	case ledger.Action:
		return strings.TrimSpace(fmt.Sprintf("%s %s: %s %s", e.Item, e.Detail, e.After, e.Reason))
	case ledger.Checkpoint:
		return fmt.Sprintf("CA %d vouches for all before", e.Generation)
	case ledger.Withdrawn, ledger.Held:
		return e.Subject + " in " + e.Item
	case ledger.Denied, ledger.Reported:
		return e.Item + ": " + e.Reason
	case ledger.Revoked:
		return strings.TrimSpace(e.Subject + " " + e.Reason)
	}
	return cmp.Or(e.Reason, e.Subject)
}
