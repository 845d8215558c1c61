// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/stretchr/testify/require"
)

// TestTheReferenceIsOfTheCommands holds docs/reference/cli.md and docs/man to the help of the commands. With SIGNET_UPDATE=1 it
// writes them:
//
//	SIGNET_UPDATE=1 go test ./internal/cli -run TestTheReferenceIsOfTheCommands
func TestTheReferenceIsOfTheCommands(t *testing.T) {
	t.Parallel()
	docs := filepath.Join("..", "..", "docs")
	made := reference(t)
	if os.Getenv("SIGNET_UPDATE") != "" {
		require.NoError(t, os.RemoveAll(filepath.Join(docs, "man")))
		for name, text := range made {
			path := filepath.Join(docs, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		}
	}
	for name, text := range made {
		written, err := os.ReadFile(filepath.Join(docs, name))
		require.NoError(t, err, "make it: SIGNET_UPDATE=1 go test ./internal/cli -run %s", t.Name())
		require.Equal(t, text, string(written), "%s is not of these commands: SIGNET_UPDATE=1 go test ./internal/cli -run %s", name, t.Name())
	}
	pages, err := filepath.Glob(filepath.Join(docs, "man", "*"))
	require.NoError(t, err)
	require.Len(t, pages, len(made)-1, "a page of a command that is gone: SIGNET_UPDATE=1 go test ./internal/cli -run %s", t.Name())
}

// reference makes the pages, by their paths below docs.
func reference(t *testing.T) map[string]string {
	t.Helper()
	p := &program{args: []string{"signet"}, lookup: func(string) string { return "" }, stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}
	root := p.root()
	root.DisableAutoGenTag = true
	made := map[string]string{}
	var page bytes.Buffer
	page.WriteString("<!-- Made from the help of the commands, and held to it: SIGNET_UPDATE=1 go test ./internal/cli -run TestTheReferenceIsOfTheCommands -->\n" +
		"# Commands\n\n`signet` is the charm's own program. On a unit it is for root, as `/usr/local/bin/signet`,\nwhich leads to the charm (`/var/lib/juju/agents/unit-<name>-<n>/charm/dispatch`) unless another program is there:\n\n" +
		"    juju ssh signet/0 sudo signet status\n\n" +
		"Commands that read ask the unit's agent for what its last turn came to, and read the unit's folder where none answers; then\n" +
		"relation data and options are not known, and the command says so. `-o` chooses between `table`, `wide`, `json`, `yaml` and `csv`;\n" +
		"tables have colours on a terminal unless `NO_COLOR` is set. Shells complete commands, flags, serial numbers and codes: see\n" +
		"`signet completion bash --help`; manual pages lie in `docs/man`.\n\n" +
		"| exit code | what it means |\n|---|---|\n| 0 | all went well |\n" +
		"| 1 | it did not, or there is what was looked for: something expires, does not verify, would be refused |\n" +
		"| 2 | wrong usage |\n| 3 | what was to be read cannot be, so that nothing is known |\n\n| command | what it does |\n|---|---|\n")
	commands := runnable(root)
	for _, command := range commands {
		fmt.Fprintf(&page, "| [%s](#%s) | %s |\n", command.CommandPath(), anchor(command), inMarkdown(command.Short))
	}
	for _, command := range commands {
		describeCommand(&page, command)
	}
	made["reference/cli.md"] = page.String()
	// The month of the first version, so that the same commands give the same bytes at any time.
	month := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	for _, command := range append([]*cobra.Command{root}, documented(root)...) {
		var page bytes.Buffer
		require.NoError(t, doc.GenMan(command, &doc.GenManHeader{
			Title: strings.ToUpper(anchor(command)), Section: "1", Source: "signet", Manual: "signet", Date: &month,
		}, &page))
		made["man/"+anchor(command)+".1"] = page.String()
	}
	return made
}

// documented are the commands below one that people see.
func documented(command *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, below := range command.Commands() {
		if below.IsAvailableCommand() {
			all = append(append(all, below), documented(below)...)
		}
	}
	return all
}

// runnable are those that do something else than print their help.
func runnable(root *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(documented(root), func(command *cobra.Command) bool { return len(command.Commands()) > 0 })
}

func anchor(command *cobra.Command) string {
	return strings.ReplaceAll(command.CommandPath(), " ", "-")
}

func describeCommand(w io.Writer, command *cobra.Command) {
	long := command.Long
	if long == "" {
		long = command.Short + "."
	}
	fmt.Fprintf(w, "\n## %s\n\n%s\n\n    %s\n", command.CommandPath(), inMarkdown(long), command.UseLine())
	if command.Example != "" {
		fmt.Fprintf(w, "\n%s\n", indentedBy("  ", command.Example))
	}
	if flags := strings.TrimRight(command.NonInheritedFlags().FlagUsages(), "\n"); flags != "" {
		fmt.Fprintf(w, "\n%s\n", indentedBy("  ", flags))
	}
}

// inMarkdown keeps columns in a help text as they are, and tabs out of it.
func inMarkdown(text string) string {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = strings.TrimRight(strings.ReplaceAll(line, "\t", "    "), "\n ")
		column := strings.HasPrefix(line, "  ")
		if len(lines) > 0 && line != "" && lines[len(lines)-1] != "" && column != strings.HasPrefix(lines[len(lines)-1], "    ") {
			lines = append(lines, "")
		}
		if column {
			line = "    " + strings.TrimLeft(line, " ")
		}
		lines = append(lines, strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(line))
	}
	return strings.Join(lines, "\n")
}

func indentedBy(indent, text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(indent+strings.TrimRight(line, "\n"), " "))
	}
	return strings.Join(lines, "\n")
}

// Every command that a person sees says what it is for, and those that change files say what they would do.
func TestEveryCommandHasItsWords(t *testing.T) {
	t.Parallel()
	p := &program{args: []string{"signet"}, lookup: func(string) string { return "" }, stdout: io.Discard, stderr: io.Discard}
	commands := documented(p.root())
	require.Greater(t, len(commands), 15)
	for _, command := range commands {
		require.NotEmpty(t, command.Short, command.CommandPath())
		require.False(t, strings.HasSuffix(command.Short, "."), command.CommandPath())
		for _, line := range strings.Split(command.Long, "\n") {
			require.LessOrEqual(t, len(line), 180, command.CommandPath())
		}
	}
	export, _, err := p.root().Find([]string{"certs", "export"})
	require.NoError(t, err)
	require.NotNil(t, export.Flags().Lookup("dry-run"))
}
