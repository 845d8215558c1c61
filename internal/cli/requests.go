// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/view"
)

func (p *program) requestsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "requests",
		Short: "List requests, and explain what became of them",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(p.requestsListCommand(), p.requestsExplainCommand())
	return command
}

func outcomes() []string {
	return []string{string(view.Granted), string(view.Refused), string(view.InWaiting), string(view.Outstanding)}
}

func (p *program) requestsListCommand() *cobra.Command {
	var f filter
	var outcome string
	command := &cobra.Command{
		Use:   "list",
		Short: "List all requests with what became of them",
		Long: "list shows what others ask this application for, and what this unit asks others for. Outcomes: granted; refused, with a\n" +
			"code that signet requests explain explains; waiting, to be granted without anybody's doing, as far as is known;\n" +
			"outstanding, to be signed by somebody outside." + exitCodes,
		Example: "  signet requests list --outcome refused\n  signet requests list --app etcd -o wide",
		Args:    noArgs,
	}
	l := p.looking(command)
	f.flags(command)
	command.Flags().StringVar(&outcome, "outcome", "", "with this outcome only: "+strings.Join(outcomes(), ", "))
	_ = command.RegisterFlagCompletionFunc("outcome", cobra.FixedCompletions(outcomes(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		if outcome != "" && !slices.Contains(outcomes(), outcome) {
			return fmt.Errorf("%w: --outcome is %s", errUsage, strings.Join(outcomes(), ", "))
		}
		found, err := l.view(cmd.Context())
		if err != nil {
			return err
		}
		rows := slices.DeleteFunc(slices.Clone(found.Requests), func(one view.Request) bool {
			return outcome != "" && string(one.Outcome) != outcome || f.application != "" && one.Application != f.application ||
				f.unit != "" && one.Unit != f.unit || !f.relates(one.Relation) ||
				f.name != "" && one.CommonName != f.name && !slices.Contains(one.Names, f.name)
		})
		return show(p, l.output, requestColumns(found), rows)
	}
	return command
}

func requestColumns(v view.View) []column[view.Request] {
	return []column[view.Request]{
		{
			name: "outcome", text: func(one view.Request) string { return string(one.Outcome) },
			paint: func(one view.Request) colour { return colourOf(string(one.Outcome)) },
		},
		{name: "application", text: func(one view.Request) string { return one.Application }},
		{name: "unit", text: func(one view.Request) string { return one.Unit }},
		{name: "relation", text: func(one view.Request) string { return one.Relation }},
		{name: "kind", text: func(one view.Request) string { return one.Kind }},
		{name: "name", most: 40, text: requestName},
		{name: "age", plain: true, text: func(one view.Request) string {
			if one.Since.IsZero() {
				return ""
			}
			return span(v.At.Sub(one.Since))
		}},
		{name: "since", csv: true, text: func(one view.Request) string { return instant(one.Since) }},
		{name: "code", text: func(one view.Request) string { return one.Code }},
		{name: "reason", most: 80, text: func(one view.Request) string { return one.Reason }},
		{name: "rule", wide: true, text: func(one view.Request) string { return one.Rule }},
		{name: "fix", wide: true, most: 200, text: func(one view.Request) string { return one.Fix }},
		{name: "dialect", wide: true, text: func(one view.Request) string { return one.Dialect }},
		{name: "request", wide: true, most: 80, text: requestWord},
	}
}

// requestName is what a request asks for, or where it stands when that is not known.
func requestName(one view.Request) string {
	if name := cmp.Or(one.CommonName, firstOf(one.Names)); name != "" {
		return name
	}
	return one.Item
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// requestWord is by what "requests explain" finds a request.
func requestWord(one view.Request) string { return cmp.Or(one.Hash, one.ID) }

func (p *program) requestsExplainCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "explain REQUEST|NAME|UNIT|CODE",
		Short: "Explain what became of a request, or what a code means",
		Long: "explain tells of a request what it asks for, what became of it and why, and what would change that. A request is found by\n" +
			"its hash or the beginning of it, by what it asks for, or by who asks. With a code alone it tells what the code means." + exitCodes,
		Example: "  signet requests explain etcd/1\n  signet requests explain identity-not-allowed",
		Args:    someArgs,
	}
	l := p.looking(command)
	command.ValidArgsFunction = l.completeRequests
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("%w: %s explains one thing at a time", errUsage, cmd.CommandPath())
		}
		if one, known := explain(args[0]); known {
			if err := l.check(); err != nil {
				return err
			}
			return p.explainCode(l.output, one)
		}
		found, err := l.view(cmd.Context())
		if err != nil {
			return err
		}
		rows := asked(found, args[0])
		if len(rows) == 0 {
			return fmt.Errorf("no request is %q: give a hash, a name or a unit of signet requests list -o wide, or a code", args[0])
		}
		return p.explainRequests(l.output, found, rows)
	}
	return command
}

// explained is a request with what its code means.
type explained struct {
	view.Request

	Meaning string `json:"meaning,omitempty"`
	Next    string `json:"next,omitempty"`
}

// asked gives the requests that a word means.
func asked(v view.View, word string) []explained {
	const least = 4
	var rows []explained
	for _, one := range v.Requests {
		if one.ID == word || one.CommonName == word || one.Unit == word || one.Serial == word || one.Item == word ||
			slices.Contains(one.Names, word) || len(word) >= least && strings.HasPrefix(one.Hash, strings.ToLower(word)) {
			code, _ := explain(one.Code)
			rows = append(rows, explained{one, code.Meaning, code.Next})
		}
	}
	return rows
}

// explanations are those of all codes, as a terminal shows them.
func explanations() []dialect.Explanation {
	all := dialect.Explanations()
	for i, one := range all {
		all[i].Meaning, all[i].Next = strings.ReplaceAll(one.Meaning, "`", ""), strings.ReplaceAll(one.Next, "`", "")
	}
	return all
}

// explain gives a code's explanation; false for a code that there is not.
func explain(code string) (dialect.Explanation, bool) {
	for _, one := range explanations() {
		if string(one.Code) == code {
			return one, true
		}
	}
	return dialect.Explanation{}, false
}

func (p *program) explainCode(o output, one dialect.Explanation) error {
	if o.format == "json" || o.format == "yaml" {
		return p.showValue(o, one)
	}
	list := []pair{{"Code", string(one.Code)}, {"Means", one.Meaning}, {"Next", one.Next}}
	if o.format == "csv" {
		return show(p, o, pairColumns(), list)
	}
	return p.pairs(list)
}

func (p *program) explainRequests(o output, v view.View, rows []explained) error {
	if o.format != "table" && o.format != "wide" {
		columns := []column[explained]{}
		for _, c := range requestColumns(v) {
			columns = append(columns, column[explained]{
				name: c.name, plain: c.plain, csv: c.csv, text: func(one explained) string { return c.text(one.Request) },
			})
		}
		columns = append(columns,
			column[explained]{name: "meaning", text: func(one explained) string { return one.Meaning }},
			column[explained]{name: "next", text: func(one explained) string { return one.Next }},
		)
		return show(p, o, columns, rows)
	}
	for i, one := range rows {
		if i > 0 {
			fmt.Fprintln(p.stdout)
		}
		if err := p.pairs(requestPairs(one)); err != nil {
			return err
		}
	}
	return nil
}

func requestPairs(one explained) []pair {
	who := strings.TrimSpace(one.Application + " " + one.Unit)
	direction := "received from"
	if one.Sent {
		who, direction = one.Application, "sent to"
	}
	note := ""
	switch {
	case one.Reported:
		note = "it would be refused, if policy-report-only were off"
	case one.Lapsing:
		note = "it has its certificate, which will not be renewed"
	case one.Outcome == view.Refused && one.Serial != "":
		note = "it has a certificate until that ends"
	}
	next := one.Next
	if one.Outcome == view.Granted && one.Code == "" {
		next = ""
	}
	return []pair{
		{"Outcome", string(one.Outcome)},
		{"Note", note},
		{"Request", requestWord(one.Request)},
		{strings.ToUpper(direction[:1]) + direction[1:], who},
		{"Relation", one.Relation},
		{"Dialect", one.Dialect},
		{"Kind", one.Kind},
		{"Common name", one.CommonName},
		{"Names", strings.Join(one.Names, " ")},
		{"Item", one.Item},
		{"Since", when(one.Since)},
		{"Code", one.Code},
		{"Reason", one.Reason},
		{"Means", one.Meaning},
		{"Rule", one.Rule},
		{"Certificate", one.Serial},
		{"Next", next},
		{"To allow it run", one.Fix},
	}
}

// completeRequests proposes hashes, and the codes.
func (l *looking) completeRequests(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	var words []string
	for _, one := range explanations() {
		words = append(words, string(one.Code)+"\t"+one.Meaning)
	}
	if found, err := l.quiet(cmd.Context()); err == nil {
		for _, one := range found.Requests {
			if one.Hash != "" {
				words = append(words, one.Hash+"\t"+strings.TrimSpace(requestName(one)+" "+one.Unit))
			}
		}
	}
	return slices.DeleteFunc(words, func(word string) bool { return !strings.HasPrefix(word, typed) }), cobra.ShellCompDirectiveNoFileComp
}
