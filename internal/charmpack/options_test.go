// SPDX-License-Identifier: AGPL-3.0-only

package charmpack_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	declared := &juju.Config{Values: options(t).DefaultSettings()}
	unset := &juju.Config{}
	require.Equal(t, provider.ReadSettings(unset), provider.ReadSettings(declared))
	require.Equal(t, requirer.ReadSettings(unset), requirer.ReadSettings(declared))
	require.Empty(t, declared.Errors)
}

func TestConfigDeclaresWhatTheProgramReads(t *testing.T) {
	t.Parallel()
	getter := regexp.MustCompile(`(?:config\.[A-Z]\w+\(|keyType\(config, )"([^"]+)"`) // config.Text("ca-common-name", …
	found := map[string]bool{}
	for _, pkg := range []string{"provider", "requirer"} {
		source, err := os.ReadFile(filepath.Join(root, "internal", pkg, "settings.go"))
		require.NoError(t, err)
		for _, match := range getter.FindAllSubmatch(source, -1) {
			found[string(match[1])] = true
		}
	}
	require.Equal(t, slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(options(t).Options)))
}

// options gives the declared options.
func options(t *testing.T) *charm.Config {
	t.Helper()
	config, err := charm.ReadConfig(bytes.NewReader(read(t, "config.yaml")))
	require.NoError(t, err)
	return config
}
