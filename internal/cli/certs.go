// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/view"
)

func (p *program) certsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:     "certs",
		Aliases: []string{"certificates"},
		Short:   "List, show, export and verify certificates",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(p.certsListCommand(), p.certsShowCommand(), p.certsExportCommand(), p.certsVerifyCommand())
	return command
}

// filter is which certificates or requests are meant.
type filter struct{ application, unit, relation, name, state, role string }

func (f *filter) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.application, "app", "", "of this application only")
	flags.StringVar(&f.unit, "unit", "", "of this unit only")
	flags.StringVar(&f.relation, "relation", "", "of this relation only, such as certificates:3 or 3")
	flags.StringVar(&f.name, "name", "", "for this name only, a common name or another")
}

// relates reports whether a relation is meant.
func (f filter) relates(relation string) bool {
	_, id, _ := strings.Cut(relation, ":")
	return f.relation == "" || f.relation == relation || f.relation == id
}

func (f filter) certificate(one view.Certificate) bool {
	return (f.application == "" || one.Application == f.application) && (f.unit == "" || one.Unit == f.unit) && f.relates(one.Relation) &&
		(f.name == "" || one.CommonName == f.name || slices.Contains(one.Names, f.name)) &&
		(f.state == "" || string(one.State) == f.state) && (f.role == "" || string(one.Role) == f.role)
}

func (p *program) certsListCommand() *cobra.Command {
	var f filter
	command := &cobra.Command{
		Use:   "list",
		Short: "List certificates with their names and what is left of their lives",
		Long: "list shows every certificate that this application published, and those that lie on this unit's disk. Answers in the CSR\n" +
			"dialect are seen by the leader only. States: valid; expiring, when a tenth of its life or less is left, so that its renewal\n" +
			"did not come; expired; revoked; held, revoked for good and still asked for; waiting, asked for and not there yet." + exitCodes,
		Example: "  signet certs list --app etcd\n  signet certs list --state expiring -o csv",
		Args:    noArgs,
	}
	l := p.looking(command)
	f.flags(command)
	command.Flags().StringVar(&f.state, "state", "", "in this state only: valid, expiring, expired, revoked, held or waiting")
	command.Flags().StringVar(&f.role, "role", "", "issued for others, or own")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains([]string{"", "issued", "own"}, f.role) {
			return fmt.Errorf("%w: --role is issued or own", errUsage)
		}
		if !slices.Contains([]string{"", "valid", "expiring", "expired", "revoked", "held", "waiting"}, f.state) {
			return fmt.Errorf("%w: --state is valid, expiring, expired, revoked, held or waiting", errUsage)
		}
		found, err := l.view(cmd.Context())
		if err != nil {
			return err
		}
		rows := slices.DeleteFunc(slices.Clone(found.Certificates), func(one view.Certificate) bool { return !f.certificate(one) })
		return show(p, l.output, certificateColumns(found), rows)
	}
	return command
}

func certificateColumns(v view.View) []column[view.Certificate] {
	return []column[view.Certificate]{
		{name: "role", text: func(one view.Certificate) string { return string(one.Role) }},
		{name: "application", text: func(one view.Certificate) string { return one.Application }},
		{name: "unit", text: func(one view.Certificate) string { return one.Unit }},
		{name: "relation", wide: true, text: func(one view.Certificate) string { return one.Relation }},
		{name: "kind", text: func(one view.Certificate) string { return one.Kind }},
		{name: "common-name", csv: true, text: func(one view.Certificate) string { return one.CommonName }},
		{name: "names", csv: true, text: func(one view.Certificate) string { return strings.Join(one.Names, " ") }},
		{name: "name", plain: true, text: namesLine},
		{name: "expires", plain: true, text: func(one view.Certificate) string { return when(one.NotAfter) }},
		{name: "not-after", csv: true, text: func(one view.Certificate) string { return instant(one.NotAfter) }},
		{name: "left", text: func(one view.Certificate) string { return residual(v.At, one.NotAfter) }},
		{
			name: "state", text: func(one view.Certificate) string { return string(one.State) },
			paint: func(one view.Certificate) colour { return colourOf(string(one.State)) },
		},
		{name: "serial", text: func(one view.Certificate) string { return one.Serial }},
		{name: "not-before", csv: true, text: func(one view.Certificate) string { return instant(one.NotBefore) }},
		{name: "renew-at", csv: true, text: func(one view.Certificate) string { return instant(one.RenewAt) }},
		{name: "renews", wide: true, plain: true, text: func(one view.Certificate) string { return when(one.RenewAt) }},
		{name: "dialect", wide: true, text: func(one view.Certificate) string { return one.Dialect }},
		{name: "key-type", wide: true, text: func(one view.Certificate) string { return one.KeyType }},
		{name: "ca", wide: true, text: func(one view.Certificate) string { return generation(one.Generation) }},
		{name: "sha256", wide: true, most: 64, text: func(one view.Certificate) string { return one.SHA256 }},
		{name: "path", wide: true, most: 200, text: func(one view.Certificate) string { return one.Path }},
	}
}

func generation(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// namesLine shows the common name, or else the first name, and how many more there are.
func namesLine(one view.Certificate) string {
	name := nameOf(one)
	others := len(one.Names)
	if slices.Contains(one.Names, name) {
		others--
	}
	const most = 40
	if others > 0 {
		return fmt.Sprintf("%s (+%d)", shown(name, most), others)
	}
	return name
}

// selected gives the certificates that a word means: a serial number or its beginning, a fingerprint or its beginning, a name,
// a unit, or the name of a file on this unit's disk.
func selected(v view.View, word string) []view.Certificate {
	const least = 4 // digits of a number
	digits := strings.TrimLeft(strings.ToLower(strings.ReplaceAll(word, ":", "")), "0")
	number := len(digits) >= least && strings.Trim(digits, "0123456789abcdef") == ""
	return slices.DeleteFunc(slices.Clone(v.Certificates), func(one view.Certificate) bool {
		switch {
		case one.Serial == "" || word == "":
			return true
		case number && (strings.HasPrefix(one.Serial, digits) || strings.HasPrefix(strings.TrimLeft(one.SHA256, "0"), digits)):
			return false
		case word == one.CommonName, slices.Contains(one.Names, word), word == one.Unit, word == one.Path:
			return false
		}
		return one.Role != view.Own || one.Path == "" || !strings.HasSuffix(one.Path, "/"+word+".crt")
	})
}

// oneOrMore gives the certificates that words mean; no word means all that exist.
func oneOrMore(v view.View, words []string) ([]view.Certificate, error) {
	if len(words) == 0 {
		return slices.DeleteFunc(slices.Clone(v.Certificates), func(one view.Certificate) bool { return one.Serial == "" }), nil
	}
	var all []view.Certificate
	for _, word := range words {
		found := selected(v, word)
		if len(found) == 0 {
			return nil, fmt.Errorf("no certificate is %q: give a serial number, a name or a unit of signet certs list", word)
		}
		for _, one := range found {
			if !slices.ContainsFunc(all, func(other view.Certificate) bool { return other.SHA256 == one.SHA256 && other.Role == one.Role }) {
				all = append(all, one)
			}
		}
	}
	return all, nil
}

// completeCertificates proposes serial numbers, with the names as descriptions.
func (l *looking) completeCertificates(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	found, err := l.quiet(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, one := range found.Certificates {
		if one.Serial != "" && strings.HasPrefix(one.Serial, typed) {
			words = append(words, one.Serial+"\t"+strings.TrimSpace(nameOf(one)+" "+one.Unit))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// quiet is view for who wants no word on what it lacks.
func (l *looking) quiet(ctx context.Context) (view.View, error) {
	p := *l.program
	p.stderr = discard{}
	silent := *l
	silent.program, silent.format = &p, "table"
	return silent.view(ctx)
}

type discard struct{}

func (discard) Write(text []byte) (int, error) { return len(text), nil }

func (p *program) certsShowCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "show SERIAL|NAME|UNIT|PATH",
		Short: "Show all that is known of certificates",
		Long: "show tells what a certificate says, whose it is, who issued it by which rule, and when it will be renewed. A serial number\n" +
			"or a fingerprint may be cut after four digits." + exitCodes,
		Example: "  signet certs show etcd/0\n  signet certs show 3f9a\n  signet certs show node.example.com -o yaml",
		Args:    someArgs,
	}
	l := p.looking(command)
	command.ValidArgsFunction = l.completeCertificates
	command.RunE = func(cmd *cobra.Command, args []string) error {
		found, err := l.view(cmd.Context())
		if err != nil {
			return err
		}
		chosen, err := oneOrMore(found, args)
		if err != nil {
			return err
		}
		if l.format != "table" && l.format != "wide" {
			return show(p, l.output, certificateColumns(found), chosen)
		}
		for i, one := range chosen {
			if i > 0 {
				fmt.Fprintln(p.stdout)
			}
			if err := p.pairs(certificatePairs(found, one)); err != nil {
				return err
			}
			if l.format == "wide" {
				fmt.Fprint(p.stdout, one.PEM)
			}
		}
		return nil
	}
	return command
}

// someArgs refuses none as wrong usage.
func someArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: %s needs to know of what: see %s --help", errUsage, cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

func certificatePairs(v view.View, one view.Certificate) []pair {
	ends := fmt.Sprintf("%s (%s)", when(one.NotAfter), residual(v.At, one.NotAfter))
	renewal := when(one.RenewAt)
	if !one.PutOff.IsZero() {
		renewal += ", put off until " + when(one.PutOff)
	}
	revoked := when(one.RevokedAt)
	if one.RevokedReason != "" {
		revoked += ", " + one.RevokedReason
	}
	issuer := one.Issuer
	if one.Generation > 0 {
		issuer += fmt.Sprintf(" (CA %d)", one.Generation)
	}
	who, from := one.Application, ""
	if one.Role == view.Own {
		who, from = "", one.Application
	}
	return []pair{
		{"Certificate", namesLine(one)},
		{"State", string(one.State)},
		{"Role", string(one.Role)},
		{"Application", who},
		{"Unit", one.Unit},
		{"Given by", from},
		{"Relation", one.Relation},
		{"Kind", one.Kind},
		{"Dialect", one.Dialect},
		{"Subject", one.Subject},
		{"Names", strings.Join(one.Names, " ")},
		{"Issuer", issuer},
		{"Serial", one.Serial},
		{"SHA-256", one.SHA256},
		{"Key", one.KeyType},
		{"Valid from", when(one.NotBefore)},
		{"Valid until", ends},
		{"Renewal", renewal},
		{"Revoked", revoked},
		{"Rule", one.Rule},
		{"Request", one.Request},
		{"File", one.Path},
	}
}
