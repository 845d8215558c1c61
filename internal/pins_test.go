// SPDX-License-Identifier: AGPL-3.0-only

package internal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// jujusYAML is what Juju's own go.mod says: its libraries do not compile with the original.
const jujusYAML = "replace gopkg.in/yaml.v2 => github.com/juju/yaml/v2 v2.0.0"

// unpinned tells what of a Makefile, a script or a go.mod may be another thing tomorrow.
func unpinned(name, text string) []string {
	var found []string
	pinned := regexp.MustCompile(`@(v[0-9]+\.[0-9]+\.[0-9]+|\$\([A-Z_]+_VERSION\))(\s|$)`)
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//"):
		case filepath.Base(name) == "go.mod":
			if (strings.HasPrefix(line, "replace ") || strings.Contains(line, "=>")) && line != jujusYAML {
				found = append(found, name+": replaces a module: "+line)
			}
		case strings.Contains(line, "go install ") && !pinned.MatchString(line), strings.Contains(line, "@latest"):
			found = append(found, name+": installs what is not pinned: "+line)
		case regexp.MustCompile(`^[A-Z_]+_VERSION\s*[:?]?=`).MatchString(line) && !regexp.MustCompile(`:= v[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(line):
			found = append(found, name+": a version that is none: "+line)
		}
	}
	return found
}

func TestEverythingIsPinned(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../Makefile", "../go.mod", "../.ci/run", "../.ci/fuzz", "../.ci/want", "../.ci/fips", "../.ci/reproducible"} {
		text, err := os.ReadFile(filepath.FromSlash(name))
		require.NoError(t, err)
		require.Empty(t, unpinned(name, string(text)))
	}
}

func TestWhatIsNotPinnedIsSeen(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		name, text string
		want       int
	}{
		"a replaced module":          {"go.mod", "replace a => ../a", 1},
		"replaced ones in a block":   {"go.mod", "replace (\n\ta v1.0.0 => b v1.0.0\n)", 2},
		"what Juju replaces":         {"go.mod", jujusYAML, 0},
		"a module":                   {"go.mod", "require a v1.0.0", 0},
		"a tool at its newest":       {"Makefile", "\tgo install a@latest", 1},
		"a tool on a branch":         {"Makefile", "\tgo install a@main", 1},
		"a tool without a version":   {"Makefile", "\tgo install a", 1},
		"a tool by a variable":       {"Makefile", "\tgo install a@$(A_VERSION)", 0},
		"a tool by a version":        {"Makefile", "\tgo install a@v1.2.3", 0},
		"a variable without a pin":   {"Makefile", "A_VERSION := latest", 1},
		"a variable that may change": {"Makefile", "A_VERSION ?= v1.2.3", 1},
		"a pin":                      {"Makefile", "A_VERSION := v1.2.3", 0},
		"a comment":                  {"Makefile", "# go install a@latest", 0},
	} {
		require.Len(t, unpinned(c.name, c.text), c.want, sentence)
	}
}
