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

// What the table has is held to the codes by package dialect; policy knows some of them.
func TestTheCodesOfThePolicyAreOnTheirPage(t *testing.T) {
	t.Parallel()
	page, err := codesPage(nil)
	require.NoError(t, err)
	require.NotEmpty(t, policy.Codes())
	for _, code := range policy.Codes() {
		require.Contains(t, page, "| `"+string(code)+"` | ")
	}
	require.Contains(t, page, " | no | 101 IP_NOT_ALLOWED |\n")
	require.Contains(t, page, " | yes | 201 SERVER_NOT_AVAILABLE |\n")
	require.Contains(t, page, "The key is too small, of a kind that is not certified, or known to others. | Have the charm make a new key")
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
