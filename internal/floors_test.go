// SPDX-License-Identifier: AGPL-3.0-only

// Package internal_test holds the tree to its floors: which package may import which, and what stays out of the pure
// core. The rules and the table are in this file, the checker that applies them is in floors_checker_test.go, and the
// proof that it can fail in floors_proof_test.go.
package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is this module's path.
const module = "github.com/signet-charm/signet"

// A rulebook says what each package may do. Packages go by their path below internal/, or below the module's root
// where they are outside of it ("cmd/signet").
type rulebook struct {
	floors    map[string]int      // a package imports lower floors only; "ca/*" stands for all folders of ca
	pureBelow int                 // floors below this one are the pure core
	outside   map[string]bool     // no part of the shipped program: nobody on a floor may import them
	exits     map[string]bool     // may end the process
	environs  map[string]bool     // may read the environment
	restricts map[string][]string // import path, with all below it: the packages that may import it
	values    map[string][]values // pure packages that may use an impure package's value types, and why
}

// values are the names of an otherwise impure package that are plain values.
type values struct {
	path  string
	names []string
}

// floors are the rules of this tree; README.md says what lives on each floor.
func floors() rulebook {
	return rulebook{
		floors: map[string]int{
			"audit":      1,
			"memo":       -1,
			"cert":       0,
			"cos":        1,
			"juju":       0,
			"dialect":    1,
			"kubefile":   1,
			"ledger":     0,
			"order":      1,
			"policy":     1,
			"provider":   2,
			"requirer":   2,
			"unit":       3,
			"unit/*":     3,
			"view":       3,
			"view/*":     3,
			"archive":    4,
			"ca":         4,
			"ca/*":       4,
			"controller": 4,
			"disk":       4,
			"hooktool":   4,
			"host":       4,
			"inspect":    4,
			"keystore":   4,
			"launch":     4,
			"metrics":    4,
			"page":       4,
			"takeover":   4,
			"agent":      5,
			"httpd":      5,
			"charmpack":  6,
			"doctor":     6,
			"sandbox":    6,
			"cli":        7,
			"cmd/signet": 8,
		},
		pureBelow: 4,
		outside: map[string]bool{
			"agent/sessiontest":  true, // contract suite for every agent.Session
			"ca/catest":          true, // contract suite for every agent.Carrier
			"ca/vault/vaulttest": true, // a Vault server, for tests
			"disk/disktest":      true, // a machine that loses power, for tests of what is durable
			"bench":              true, // measures the program, for tests
			"charmpack/cmd":      true, // run by the Makefile
			"docs":               true, // makes docs/reference, for its test
			"misissue":           true, // judges what was issued, for tests
			"misissue/forge":     true, // makes odd requests, for tests
			"view/viewtest":      true, // views for tests
			"wire":               true, // recorded relation data for tests to replay
		},
		exits:    map[string]bool{"cli": true},
		environs: map[string]bool{"cli": true},
		restricts: map[string][]string{
			"github.com/juju/juju/api":       {"controller"},
			"github.com/juju/juju":           {"controller", "sandbox"},
			"github.com/hashicorp/vault/api": {"ca/vault"},
		},
		values: map[string][]values{
			"cert": {
				// A key hides itself from slog by implementing LogValuer; that needs the types and logs nothing.
				{path: "log/slog", names: []string{"LogValuer", "StringValue", "Value"}},
				// Name constraints are of this type in package x509; it is a value.
				{path: "net", names: []string{"ParseCIDR"}},
			},
		},
	}
}

func TestTreeKeepsItsFloors(t *testing.T) {
	t.Parallel()
	sources, err := parseTree(os.DirFS(".."))
	require.NoError(t, err)
	require.NotEmpty(t, sources, "no files found: the test looks in the wrong place")
	require.Empty(t, floors().check(sources))
}

// parseTree reads all Go files of a checkout but tests, whatever their build constraints.
func parseTree(tree fs.FS) ([]source, error) {
	var sources []source
	positions := token.NewFileSet()
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && (!holdsPackages(entry.Name()) || isModule(tree, name)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(positions, name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		sources = append(sources, source{pkg: packageAt(path.Dir(name)), file: file, positions: positions})
		return nil
	})
	return sources, err
}

// holdsPackages reports whether the go command looks for packages in a folder of this name.
func holdsPackages(folder string) bool {
	return folder != "testdata" && !strings.HasPrefix(folder, ".") && !strings.HasPrefix(folder, "_")
}

// isModule reports whether a folder is a module of its own, whose packages are not this one's.
func isModule(tree fs.FS, folder string) bool {
	_, err := fs.Stat(tree, path.Join(folder, "go.mod"))
	return err == nil
}

// packageAt gives the name in the rulebook for a folder of the module.
func packageAt(folder string) string { return strings.TrimPrefix(folder, "internal/") }
