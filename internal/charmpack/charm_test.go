// SPDX-License-Identifier: AGPL-3.0-only

package charmpack_test

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/signet-charm/signet/internal/charmpack"
)

// root is the checkout, seen from this package.
const root = "../.."

// folders gives the folder of each charm's own files, by the charm's name.
func folders() map[string]string {
	return map[string]string{"signet": ".", "signet-node": nodeFolder}
}

// read gives a file of the checkout.
func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return data
}

func TestCheckoutHasOneLinkForEachHook(t *testing.T) {
	t.Parallel()
	wanted, err := charmpack.HookNames(os.DirFS(root), ".")
	require.NoError(t, err)
	require.Contains(t, wanted, "install")
	require.Contains(t, wanted, "certificates-relation-changed")

	entries, err := os.ReadDir(filepath.Join(root, "hooks"))
	require.NoError(t, err)
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
		target, err := os.Readlink(filepath.Join(root, "hooks", entry.Name()))
		require.NoError(t, err)
		require.Equal(t, "../dispatch", target, entry.Name())
	}
	require.Equal(t, wanted, names, "hooks/ and the hooks of metadata.yaml differ")
}

func TestMetadataDeclaresTheEndpointsOfTheDesign(t *testing.T) {
	t.Parallel()
	meta, err := charm.ReadMeta(bytes.NewReader(read(t, "metadata.yaml")))
	require.NoError(t, err)
	require.Equal(t, "signet", meta.Name)
	require.LessOrEqual(t, len(meta.Summary), 78)
	require.Empty(t, meta.Series, "manifest.yaml names the bases; both together are refused by Juju")

	interfaces := map[string]string{}
	for name, relation := range meta.CombinedRelations() {
		interfaces[string(relation.Role)+" "+name] = relation.Interface
		require.Equal(t, charm.ScopeGlobal, relation.Scope, name)
	}
	require.Equal(t, map[string]string{
		"provider certificates":     "tls-certificates",
		"provider client":           "tls-certificates",
		"provider send-ca-cert":     "certificate_transfer",
		"provider cos-agent":        "cos_agent",
		"provider metrics-endpoint": "prometheus_scrape",
		"requirer upstream":         "tls-certificates",
		"requirer receive-ca-cert":  "certificate_transfer",
		"requirer kube-control":     "kube-control",
		"peer peers":                "signet_peers",
	}, interfaces)
}

func TestMetadataSaysOfEachEndpointThatItIsOptional(t *testing.T) {
	t.Parallel()
	type endpoint struct {
		Optional    *bool  `yaml:"optional"` // nil when left to Juju's default, which differs from what tools assume
		Description string `yaml:"description"`
	}
	var declared struct {
		Provides map[string]endpoint `yaml:"provides"`
		Requires map[string]endpoint `yaml:"requires"`
	}
	require.NoError(t, yaml.Unmarshal(read(t, "metadata.yaml"), &declared))
	require.NotEmpty(t, declared.Provides)
	require.NotEmpty(t, declared.Requires)
	for _, side := range []map[string]endpoint{declared.Provides, declared.Requires} {
		for name, endpoint := range side {
			require.NotNil(t, endpoint.Optional, name)
			require.True(t, *endpoint.Optional, name)
			require.NotEmpty(t, endpoint.Description, name)
		}
	}
}

func TestConfigExplainsEachOption(t *testing.T) {
	t.Parallel()
	for name, folder := range folders() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := read(t, filepath.Join(folder, "config.yaml"))
			_, err := charm.ReadConfig(bytes.NewReader(text))
			require.NoError(t, err)

			// Read anew as plain YAML, because charm/v12 fills in what is missing.
			var declared struct {
				Options map[string]struct {
					Type        string `yaml:"type"`
					Default     any    `yaml:"default"`
					Description string `yaml:"description"`
				} `yaml:"options"`
			}
			require.NoError(t, yaml.Unmarshal(text, &declared))
			require.NotEmpty(t, declared.Options)
			for name, option := range declared.Options {
				require.NotEmpty(t, option.Type, name)
				require.NotNil(t, option.Default, name)
				require.Contains(t, strings.ToLower(option.Description), "default", "option %s: say why the default is what it is", name)
			}
		})
	}
}

func TestManifestCoversBothArchitecturesOnEachBase(t *testing.T) {
	t.Parallel()
	manifest, err := charm.ReadManifest(bytes.NewReader(read(t, "manifest.yaml")))
	require.NoError(t, err)
	require.NoError(t, manifest.Validate())
	var tracks []string
	for _, base := range manifest.Bases {
		require.Equal(t, "ubuntu", base.Name)
		require.Equal(t, []string{"amd64", "arm64"}, base.Architectures)
		tracks = append(tracks, base.Channel.Track)
	}
	require.Equal(t, []string{"22.04", "24.04"}, tracks)
}

func TestIconIsASquareOfHundred(t *testing.T) {
	t.Parallel()
	var icon struct {
		XMLName xml.Name
		Width   string `xml:"width,attr"`
		Height  string `xml:"height,attr"`
		ViewBox string `xml:"viewBox,attr"`
	}
	require.NoError(t, xml.Unmarshal(read(t, "icon.svg"), &icon))
	require.Equal(t, "svg", icon.XMLName.Local)
	require.Equal(t, "100", icon.Width)
	require.Equal(t, "100", icon.Height)
	require.Equal(t, "0 0 100 100", icon.ViewBox)
}
