// SPDX-License-Identifier: AGPL-3.0-only

package charmpack_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/requirer"
)

// A unit whose option is unset must do what config.yaml promises as the default.
func TestConfigDefaultsAreThoseOfTheProgram(t *testing.T) {
	t.Parallel()
	declared := &juju.Config{Values: options(t, ".").DefaultSettings()}
	unset := &juju.Config{}
	require.Equal(t, provider.ReadSettings(unset), provider.ReadSettings(declared))
	require.Equal(t, requirer.ReadSettings(unset), requirer.ReadSettings(declared))
	require.Empty(t, declared.Errors)
}

func TestConfigDeclaresWhatTheProgramReads(t *testing.T) {
	t.Parallel()
	found := readBy(t, "provider")
	maps.Copy(found, readBy(t, "requirer"))
	require.Equal(t, slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(options(t, ".").Options)))
}

// readBy gives the options that a package's settings read, found in its source.
func readBy(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	getter := regexp.MustCompile(`(?:config\.[A-Z]\w+\(|cleanPath\(config, |const option = )"([^"]+)"`) // config.Text("ca-common-name", …
	found := map[string]bool{}
	paths, err := filepath.Glob(filepath.Join(root, "internal", pkg, "*.go"))
	require.NoError(t, err)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, match := range getter.FindAllSubmatch(source, -1) {
			found[string(match[1])] = true
		}
	}
	require.NotEmpty(t, found, pkg)
	return found
}

// options gives the options that the charm in a folder declares.
func options(t *testing.T, folder string) *charm.Config {
	t.Helper()
	config, err := charm.ReadConfig(bytes.NewReader(read(t, filepath.Join(folder, "config.yaml"))))
	require.NoError(t, err)
	return config
}
