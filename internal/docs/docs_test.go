// SPDX-License-Identifier: AGPL-3.0-only

package docs

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/policy"
	"github.com/signet-charm/signet/internal/requirer"
)

var update = flag.Bool("update", false, "write docs/reference anew")

const root = "../.."

func TestReferenceSaysWhatTheFilesAndTheCodeSay(t *testing.T) {
	t.Parallel()
	pages, err := Pages(os.DirFS(root))
	require.NoError(t, err)
	require.Len(t, pages, 5)
	for _, page := range pages {
		path := filepath.Join(root, "docs", "reference", page.Name)
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(page.Text), 0o644))
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, page.Text, string(text), "run go test ./internal/docs -update")
	}
}

func TestPagesHaveEachOptionActionAndEndpoint(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{
		"config.yaml":                {Data: []byte("options:\n  b:\n    type: string\n    default: \"\"\n    description: |\n      One <two> *\n      - {three: four}\n      five.\n  a: {type: int, default: 3, description: Six.}\n")},
		"charms/node/config.yaml":    {Data: []byte("options:\n  a: {type: int, default: 4, description: Six.}\n")},
		"actions.yaml":               {Data: []byte("go:\n  description: Goes. And stays.\n  params:\n    now: {type: string, enum: [a, b], default: a, description: When | if.}\n    who: {type: string, description: Who.}\n  required: [who]\n")},
		"metadata.yaml":              {Data: []byte("name: x\nsummary: X.\nprovides:\n  p: {interface: i, optional: true, description: P.}\n")},
		"charms/node/metadata.yaml":  {Data: []byte("name: y\nsummary: Y.\nsubordinate: true\nrequires:\n  q: {interface: i, optional: false, description: Q.}\n")},
		"manifest.yaml":              {Data: []byte("bases:\n- {name: ubuntu, channel: \"24.04\", architectures: [amd64]}\n")},
		"charms/node/unrelated.yaml": {Data: []byte("{")},
	}
	pages, err := Pages(tree)
	require.NoError(t, err)
	require.Contains(t, pages[0].Text, "| [b](#b) | string | empty |  |\n| [a](#a) | int | `3` | yes, default `4` |\n")
	require.Contains(t, pages[0].Text, "One &lt;two> \\*\n\n```yaml\n- {three: four}\n```\n\nfive.")
	require.Contains(t, pages[1].Text, "| [go](#go) | Goes. |")
	require.Contains(t, pages[1].Text, "| `now` | a, b | `a` | When \\| if. |\n| `who` | string | required | Who. |")
	require.Contains(t, pages[4].Text, "| `p` | provides | `i` | yes | P. |")
	require.Contains(t, pages[4].Text, "A subordinate charm for machines.")
	require.Contains(t, pages[4].Text, "| `ubuntu@24.04` | amd64 |")

	delete(tree, "manifest.yaml")
	_, err = Pages(tree)
	require.ErrorContains(t, err, "cannot make metadata.md: ")
}

// The codes are constants of two packages, in which nothing lists them for others.
func TestCodesAreThoseOfTheCode(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for _, one := range refusals() {
		require.False(t, listed[string(one.code)], one.code)
		listed[string(one.code)] = true
		require.True(t, strings.HasSuffix(one.when, ".") && strings.HasSuffix(one.remedy, "."), one.code)
	}
	declared := codeConstants(t)
	require.Greater(t, len(declared), 15, "no codes found: the test looks in the wrong place")
	for _, value := range declared {
		require.True(t, listed[value], "%s is not in docs/reference/codes.md", value)
	}
	require.Len(t, listed, len(declared))
	for _, code := range policy.Codes() {
		require.True(t, listed[string(code)], code)
	}
}

// wire in package dialect is the one place that knows the numbers; it is read as source.
func TestNumbersOfCodesAreThoseOfTheCode(t *testing.T) {
	t.Parallel()
	constants := codeConstants(t)
	file := parse(t, "dialect", "codes.go")
	numbers := map[string]string{}
	found := map[dialect.Code]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.ValueSpec:
			if value, ok := n.Values[0].(*ast.BasicLit); ok {
				numbers[n.Names[0].Name] = value.Value
			}
		case *ast.FuncDecl:
			return n.Name.Name != "codeOf"
		case *ast.CaseClause:
			result, ok := n.Body[0].(*ast.ReturnStmt)
			if !ok || len(result.Results) != 2 || len(n.List) == 0 {
				return true
			}
			number, name := result.Results[0].(*ast.Ident), result.Results[1].(*ast.BasicLit)
			text, err := strconv.Unquote(name.Value)
			require.NoError(t, err)
			for _, code := range n.List {
				found[dialect.Code(constants[code.(*ast.Ident).Name])] = numbers[number.Name] + " " + text
			}
		}
		return true
	})
	require.Equal(t, found, wireCodes())
	require.Equal(t, otherWireCode, numbers["wireOther"]+" OTHER")
}

// codeConstants gives the values of package dialect's codes by their names.
func codeConstants(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	ast.Inspect(parse(t, "dialect", "ask.go"), func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok {
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Code" {
				value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				require.NoError(t, err)
				found[spec.Names[0].Name] = value
			}
		}
		return true
	})
	return found
}

func parse(t *testing.T, pkg, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "internal", pkg, name), nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	return file
}

func TestFilesAreThoseOfTheCode(t *testing.T) {
	t.Parallel()
	for _, one := range installedFiles() {
		config := &juju.Config{Values: map[string]any{"links": one.name + "=/somewhere"}}
		require.Len(t, requirer.ReadSettings(config).Links, 1, one.name)
		require.Empty(t, config.Errors, one.name)
	}
	config := &juju.Config{Values: map[string]any{"links": "none=/somewhere"}}
	requirer.ReadSettings(config)
	require.Len(t, config.Errors, 1)
	all := config.Errors[0].Error()
	all = all[strings.LastIndex(all, "of the files ")+len("of the files "):]
	require.Len(t, installedFiles(), len(strings.Split(all, ", ")), all)

	config = &juju.Config{Values: map[string]any{"links": "none"}}
	requirer.ReadSettings(config)
	require.Contains(t, config.Errors[0].Error(), strings.Join(linkPresets(), ", ")+", nor")

	var layout []string
	for _, name := range []string{"folder.go", "telling.go"} {
		ast.Inspect(parse(t, "disk", name), func(node ast.Node) bool {
			if spec, ok := node.(*ast.ValueSpec); ok && len(spec.Values) == 1 && strings.HasSuffix(spec.Names[0].Name, "Name") {
				if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
					value, err := strconv.Unquote(literal.Value)
					require.NoError(t, err)
					layout = append(layout, value)
				}
			}
			return true
		})
	}
	layout = append(layout, "backups") // package cli's
	var named []string
	for _, one := range stateFiles() {
		named = append(named, one.name)
	}
	slices.Sort(layout)
	slices.Sort(named)
	require.Equal(t, layout, named)
}
