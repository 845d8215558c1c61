// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/signet-charm/signet/internal/audit"
)

// exitCodes is the end of each reading command's help.
const exitCodes = "\n\nIt ends with 0 when all went well, 1 when not, 2 for wrong usage, 3 when nothing can be read."

// output is how a command that reads shows what it found.
type output struct {
	format    string
	noHeaders bool
}

// formats are the values of -o.
func formats() []string { return []string{"table", "wide", "json", "yaml", "csv"} }

func (o *output) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVarP(&o.format, "output", "o", "table", strings.Join(formats(), ", "))
	flags.BoolVar(&o.noHeaders, "no-headers", false, "leave the first line out of tables and CSV")
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

func (o *output) check() error {
	if !slices.Contains(formats(), o.format) {
		return fmt.Errorf("%w: output %q is none of %s", errUsage, o.format, strings.Join(formats(), ", "))
	}
	return nil
}

// column is one column of a table of Ts.
type column[T any] struct {
	name  string // of CSV; in a table in upper case
	wide  bool   // only with -o wide, and in CSV
	plain bool   // not in CSV, which has the same in another column
	csv   bool   // in CSV only
	most  int    // characters of a cell in a table; 0 for 60
	text  func(T) string
	paint func(T) colour // nil for none
}

// longestCell is how much of what others wrote a table shows.
const longestCell = 60

// show writes rows in the format that was asked for. What others wrote can neither end a line nor play with a terminal.
func show[T any](p *program, o output, columns []column[T], rows []T) error {
	switch o.format {
	case "json", "yaml":
		if rows == nil {
			rows = []T{}
		}
		return p.showValue(o, rows)
	case "csv":
		return writeCSV(p.stdout, o, columns, rows)
	}
	columns = slices.DeleteFunc(slices.Clone(columns), func(c column[T]) bool { return c.csv || c.wide && o.format != "wide" })
	table := table{paints: p.paints()}
	if !o.noHeaders {
		var header []cell
		for _, c := range columns {
			header = append(header, cell{text: strings.ToUpper(strings.ReplaceAll(c.name, "-", " "))})
		}
		table.rows = append(table.rows, header)
	}
	for _, row := range rows {
		var cells []cell
		for _, c := range columns {
			most := c.most
			if most == 0 || o.format == "wide" {
				most = max(most, longestCell)
			}
			one := cell{text: shown(c.text(row), most)}
			if c.paint != nil {
				one.colour = c.paint(row)
			}
			cells = append(cells, one)
		}
		table.rows = append(table.rows, cells)
	}
	return table.write(p.stdout)
}

// showValue writes a value as JSON or YAML, with the same names in both.
func (p *program) showValue(o output, value any) error {
	text, err := indented(value)
	if err != nil || o.format != "yaml" {
		_, written := p.stdout.Write(text)
		return firstError(err, written)
	}
	var node yaml.Node // JSON is YAML, and a node keeps the order
	if err := yaml.Unmarshal(text, &node); err != nil {
		return err
	}
	inBlocks(&node)
	encoder := yaml.NewEncoder(p.stdout)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return err
	}
	return encoder.Close()
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func indented(value any) ([]byte, error) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return []byte(text.String()), err
}

// inBlocks has YAML written as people write it.
func inBlocks(node *yaml.Node) {
	node.Style = 0
	if node.Kind == yaml.ScalarNode && strings.Contains(node.Value, "\n") {
		node.Style = yaml.LiteralStyle
	}
	for _, child := range node.Content {
		inBlocks(child)
	}
}

func writeCSV[T any](w io.Writer, o output, columns []column[T], rows []T) error {
	columns = slices.DeleteFunc(slices.Clone(columns), func(c column[T]) bool { return c.plain })
	writer := csv.NewWriter(w)
	record := make([]string, len(columns))
	if !o.noHeaders {
		for i, c := range columns {
			record[i] = strings.ToLower(strings.ReplaceAll(c.name, " ", "-"))
		}
		_ = writer.Write(record) // Error tells
	}
	const longest = 4096
	for _, row := range rows {
		for i, c := range columns {
			record[i] = inert(audit.Plain(c.text(row), longest))
		}
		_ = writer.Write(record) // likewise
	}
	writer.Flush()
	return writer.Error()
}

// inert keeps a spreadsheet from taking what others wrote for a formula.
func inert(text string) string {
	if text != "" && strings.ContainsRune("=+-@", rune(text[0])) {
		return "'" + text
	}
	return text
}

// pair is one line of what is shown of a single thing.
type pair struct{ name, value string }

// pairs writes one thing, a line for each of its values; empty ones are left out.
func (p *program) pairs(list []pair) error {
	table := table{paints: p.paints()}
	for _, one := range list {
		if one.value != "" {
			table.rows = append(table.rows, []cell{{text: one.name + ":"}, {text: audit.Plain(one.value, 1000), colour: colourOf(one.value)}})
		}
	}
	return table.write(p.stdout)
}

// colour is an SGR parameter of ECMA-48; empty for none.
type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

// colourOf tells the colour of a word that stands for how something is.
func colourOf(word string) colour {
	word, _, _ = strings.Cut(word, ":")
	switch word {
	case "valid", "granted", "active", "signing", "ok":
		return green
	case "expiring", "waiting", "outstanding", "maintenance", "retiring", "trusted", "requested":
		return yellow
	case "expired", "revoked", "held", "refused", "blocked", "NO":
		return red
	}
	return ""
}

// paints reports whether colours help: on a terminal that has them, unless NO_COLOR (https://no-color.org) says otherwise.
func (p *program) paints() bool {
	file, isFile := p.stdout.(*os.File)
	if !isFile || p.lookup("NO_COLOR") != "" || p.lookup("TERM") == "dumb" || p.lookup("TERM") == "" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// table is text in columns. Colours take no room, so that it aligns with them and without.
type table struct {
	paints bool
	rows   [][]cell
}

type cell struct {
	text   string
	colour colour
}

func (t table) write(w io.Writer) error {
	var widths []int
	for _, row := range t.rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var text strings.Builder
	for _, row := range t.rows {
		for i, c := range row {
			shown := c.text
			if t.paints && c.colour != "" {
				shown = "\x1b[" + string(c.colour) + "m" + c.text + "\x1b[0m"
			}
			text.WriteString(shown)
			if i < len(row)-1 {
				text.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		text.WriteByte('\n')
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// residual says how long it is until a time, in its largest unit.
func residual(now, at time.Time) string {
	const day = 24 * time.Hour
	left := at.Sub(now)
	switch {
	case at.IsZero():
		return ""
	case left < 0:
		return "expired"
	case left >= 2*365*day:
		return fmt.Sprintf("%dy", left/(365*day))
	}
	return span(left)
}

// span is a duration in its largest unit.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%dd", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", max(0, d)/time.Second)
}

// instant is a time as machines read it; empty for none.
func instant(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// when is a time for people, to the minute; empty for none.
func when(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04 UTC")
}
