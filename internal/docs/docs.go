// SPDX-License-Identifier: AGPL-3.0-only

// Package docs makes the pages of docs/reference that say what is in the charm's files and in the code: options, actions,
// codes of refusals, files and endpoints. Its test holds the pages in the tree to what it makes, and
// "go test ./internal/docs -update" writes them. Where to look next: Pages; for the blocks of other pages, which tests run,
// docs_test.go in package cli.
package docs

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"gopkg.in/yaml.v3"
)

// nodeFolder has the files of signet-node that differ from the main charm's.
const nodeFolder = "charms/node"

// A Page is one file of docs/reference.
type Page struct {
	Name string // "config.md"
	Text string
}

// Pages makes all pages from a checkout. Errors name the file that cannot be read.
func Pages(tree fs.FS) ([]Page, error) {
	var pages []Page
	for _, one := range []struct {
		name string
		make func(fs.FS) (string, error)
	}{
		{"config.md", configPage},
		{"actions.md", actionsPage},
		{"codes.md", codesPage},
		{"files.md", filesPage},
		{"metadata.md", metadataPage},
	} {
		text, err := one.make(tree)
		if err != nil {
			return nil, fmt.Errorf("cannot make %s: %w", one.name, err)
		}
		pages = append(pages, Page{Name: one.name, Text: text})
	}
	return pages, nil
}

// readYAML reads a file of the charm in a folder.
func readYAML(tree fs.FS, folder, name string, into any) error {
	data, err := fs.ReadFile(tree, path.Join(folder, name))
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(data, into); err != nil {
		return fmt.Errorf("cannot parse %s: %w", path.Join(folder, name), err)
	}
	return nil
}

// ordered is a mapping whose keys keep the order of the file, which is the order in which they are best read.
type ordered[T any] struct {
	names  []string
	values map[string]T
}

func (o *ordered[T]) UnmarshalYAML(node *yaml.Node) error {
	o.values = map[string]T{}
	if err := node.Decode(&o.values); err != nil {
		return err
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		o.names = append(o.names, node.Content[i].Value)
	}
	return nil
}

// writing collects a page.
type writing struct{ strings.Builder }

// begin writes a page's title and what it is made from.
func (w *writing) begin(title, from, introduction string) {
	w.line("<!-- Made from %s by internal/docs: go test ./internal/docs -update -->", from)
	w.line("# %s\n\n%s\n", title, introduction)
}

func (w *writing) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// row writes a table's row; the first one is followed by its rule.
func (w *writing) row(first bool, cells ...string) {
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(cell, "|", `\|`)
	}
	w.line("| %s |", strings.Join(cells, " | "))
	if first {
		w.line("|%s", strings.Repeat("---|", len(cells)))
	}
}

// prose makes Markdown of a description: what would be markup is not, and lines of YAML are a block.
func prose(text string) string {
	var out strings.Builder
	inBlock := false
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		line = strings.TrimRight(line, "\n")
		if isYAML := strings.HasPrefix(line, "- {"); isYAML != inBlock {
			inBlock = isYAML
			out.WriteString(map[bool]string{true: "\n```yaml\n", false: "```\n\n"}[inBlock])
		}
		if !inBlock {
			line = strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(line)
		}
		out.WriteString(line + "\n")
	}
	if inBlock {
		out.WriteString("```\n")
	}
	return out.String()
}

// cell makes one line of a description.
func cell(text string) string { return strings.Join(strings.Fields(prose(text)), " ") }

// code shows a value, or that it is empty.
func code(value any) string {
	if text := fmt.Sprint(value); text != "" && value != nil {
		return "`" + text + "`"
	}
	return "empty"
}
