// SPDX-License-Identifier: AGPL-3.0-only

package charmpack_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// charmcraftFile is what charmcraft.yaml may say. It must not repeat what stands in metadata.yaml, config.yaml or
// actions.yaml: charmcraft refuses a key that both have.
type charmcraftFile struct {
	Type      string          `yaml:"type"`
	Platforms map[string]any  `yaml:"platforms"`
	Parts     map[string]part `yaml:"parts"`
}

type part struct {
	Plugin        string   `yaml:"plugin"`
	Source        string   `yaml:"source"`
	BuildPackages []string `yaml:"build-packages"`
	BuildSnaps    []string `yaml:"build-snaps"`
	OverrideBuild string   `yaml:"override-build"`
	Stage         []string `yaml:"stage"`
}

func readCharmcraft(t *testing.T) charmcraftFile {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(read(t, "charmcraft.yaml")))
	decoder.KnownFields(true)
	var found charmcraftFile
	require.NoError(t, decoder.Decode(&found))
	require.Equal(t, "charm", found.Type)
	return found
}

func TestCharmcraftPacksForTheBasesOfTheManifest(t *testing.T) {
	t.Parallel()
	manifest, err := charm.ReadManifest(bytes.NewReader(read(t, "manifest.yaml")))
	require.NoError(t, err)
	var wanted []string
	for _, base := range manifest.Bases {
		for _, arch := range base.Architectures {
			wanted = append(wanted, base.Name+"@"+base.Channel.Track+":"+arch)
		}
	}
	var found []string
	for name, platform := range readCharmcraft(t).Platforms {
		require.Nil(t, platform, "%s: the short notation has nothing after the colon", name)
		found = append(found, name)
	}
	require.NotEmpty(t, wanted)
	require.ElementsMatch(t, wanted, found)
}

func TestCharmcraftPutsInWhatMakeCharmPutsIn(t *testing.T) {
	t.Parallel()
	found := []string{"manifest.yaml", "metadata.yaml", "config.yaml", "actions.yaml"} // charmcraft's own doing
	for name, one := range readCharmcraft(t).Parts {
		require.Equal(t, ".", one.Source, name)
		switch one.Plugin {
		case "dump":
			require.NotEmpty(t, one.Stage, name)
			require.Empty(t, one.OverrideBuild, name)
			found = append(found, one.Stage...)
		case "nil":
			for _, match := range regexp.MustCompile(`\$CRAFT_PART_INSTALL/(\S+)`).FindAllStringSubmatch(one.OverrideBuild, -1) {
				found = append(found, match[1])
			}
			require.Contains(t, one.OverrideBuild, "install -m 0755 ")
		default:
			require.Fail(t, "an unknown plugin", "%s: %s", name, one.Plugin)
		}
	}
	var wanted []string
	for _, entry := range entriesOf(t, pack(t, source(t))) {
		name, _, _ := strings.Cut(entry.Name, "/")
		wanted = append(wanted, name)
	}
	slices.Sort(wanted)
	require.ElementsMatch(t, slices.Compact(wanted), found)
}

func TestCharmcraftBuildsAsTheMakefileDoes(t *testing.T) {
	t.Parallel()
	program := readCharmcraft(t).Parts["program"]
	makefile := string(read(t, "Makefile"))
	require.Contains(t, makefile, "\ndist/linux_%/signet: FORCE\n\tGOOS=linux GOARCH=$* go build ")
	require.Contains(t, program.OverrideBuild, "make dist/linux_$CRAFT_ARCH_BUILD_FOR/signet\n")
	require.Contains(t, makefile, "\nprint-version:\n")
	require.Contains(t, program.OverrideBuild, "make --silent print-version ")
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(read(t, "go.mod")))
	require.NotNil(t, version)
	require.Equal(t, []string{"go/" + version[1] + "/stable"}, program.BuildSnaps)
}
