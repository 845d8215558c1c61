// SPDX-License-Identifier: AGPL-3.0-only

package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// leastSeeds are what a fuzz target begins with: without any it would hardly come past the first check of a decoder.
const leastSeeds = 3

func TestFuzzTargetsHaveSeeds(t *testing.T) {
	t.Parallel()
	targets, poor, err := fuzzTargets(os.DirFS(".."))
	require.NoError(t, err)
	require.GreaterOrEqual(t, targets, 12, "fuzz targets are missing, or the test looks in the wrong place")
	require.Empty(t, poor)
}

func TestATargetWithoutSeedsIsFound(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		body string
		more fstest.MapFS // committed seeds
		want int          // complaints
	}{
		"no seed":                    {body: `f.Fuzz(nil)`, want: 1},
		"two calls":                  {body: `f.Add(1); f.Add(2)`, want: 1},
		"three calls":                {body: `f.Add(1); f.Add(2); f.Add(3)`},
		"a call for each of a list":  {body: `for _, x := range []int{1, 2, 3} { f.Add(x) }`},
		"for a list that is short":   {body: `for _, x := range []int{1, 2} { f.Add(x) }`, want: 1},
		"lists in each other":        {body: `for range []int{1, 2} { for range []int{1, 2} { f.Add(1) } }`},
		"a loop of unknown length":   {body: `for _, x := range y { f.Add(x) }`, want: 1},
		"a call to something else":   {body: `g.Add(1); g.Add(2); g.Add(3)`, want: 1},
		"a corpus beside one call":   {body: `f.Add(1)`, more: corpus("FuzzIt", 2)},
		"a corpus of another target": {body: `f.Add(1)`, more: corpus("FuzzThat", 2), want: 1},
		"a corpus that is too small": {body: `f.Add(1)`, more: corpus("FuzzIt", 1), want: 1},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			tree := fstest.MapFS{"internal/x/x_test.go": {Data: []byte("package x; func FuzzIt(f *testing.F) {" + c.body + "}")}}
			for name, file := range c.more {
				tree[name] = file
			}
			targets, poor, err := fuzzTargets(tree)
			require.NoError(t, err)
			require.Equal(t, 1, targets)
			require.Len(t, poor, c.want)
		})
	}
}

func corpus(target string, files int) fstest.MapFS {
	tree := fstest.MapFS{}
	for n := range files {
		tree[fmt.Sprintf("internal/x/testdata/fuzz/%s/seed-%d", target, n)] = &fstest.MapFile{Data: []byte("go test fuzz v1\nint(1)\n")}
	}
	return tree
}

// fuzzTargets counts the fuzz targets of a checkout, and tells which have too few seeds for certain: those that their
// source adds, and those that are committed.
func fuzzTargets(tree fs.FS) (targets int, poor []string, err error) {
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." && !holdsPackages(entry.Name()) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declared := range file.Decls {
			target, ok := declared.(*ast.FuncDecl)
			if !ok || target.Recv != nil || !strings.HasPrefix(target.Name.Name, "Fuzz") || len(target.Type.Params.List) != 1 {
				continue
			}
			targets++
			committed, _ := fs.Glob(tree, path.Join(path.Dir(name), "testdata/fuzz", target.Name.Name, "*"))
			if seeds := added(target.Body, target.Type.Params.List[0].Names[0].Name) + len(committed); seeds < leastSeeds {
				poor = append(poor, fmt.Sprintf("%s: %s has %d seeds for certain, fewer than %d: add some, or commit them below testdata/fuzz",
					name, target.Name.Name, seeds, leastSeeds))
			}
		}
		return nil
	})
	return targets, poor, err
}

// added counts the calls of f.Add that happen at the least: one for each that is written, or as many as the literal has
// elements over which a loop goes.
func added(node ast.Node, f string) int {
	count := 0
	ast.Inspect(node, func(inner ast.Node) bool {
		switch inner := inner.(type) {
		case *ast.RangeStmt:
			times := 1
			if literal, ok := inner.X.(*ast.CompositeLit); ok {
				times = len(literal.Elts)
			}
			count += times * added(inner.Body, f)
			return false
		case *ast.CallExpr:
			selector, ok := inner.Fun.(*ast.SelectorExpr)
			if !ok || selector.Sel.Name != "Add" {
				return true
			}
			if on, ok := selector.X.(*ast.Ident); ok && on.Name == f {
				count++
			}
		}
		return true
	})
	return count
}
