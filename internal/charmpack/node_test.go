// SPDX-License-Identifier: AGPL-3.0-only

package charmpack_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/signet-charm/signet/internal/charmpack"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/requirer"
)

// nodeFolder holds the files of the charm signet-node.
const nodeFolder = "charms/node"

func TestNodeMetadataDeclaresASubordinateOfTheDesign(t *testing.T) {
	t.Parallel()
	meta, err := charm.ReadMeta(bytes.NewReader(read(t, filepath.Join(nodeFolder, "metadata.yaml"))))
	require.NoError(t, err)
	require.Equal(t, "signet-node", meta.Name)
	require.LessOrEqual(t, len(meta.Summary), 78)
	require.True(t, meta.Subordinate)

	interfaces := map[string]string{}
	for name, relation := range meta.CombinedRelations() {
		interfaces[string(relation.Role)+" "+name] = relation.Interface
		wanted := charm.ScopeGlobal
		if name == "juju-info" { // each other one leads to an application elsewhere
			wanted = charm.ScopeContainer
		}
		require.Equal(t, wanted, relation.Scope, name)
		if relation.Role == charm.RoleRequirer {
			require.Equal(t, name != "juju-info", relation.Optional, name)
		}
	}
	require.Equal(t, map[string]string{
		"requirer juju-info":       "juju-info",
		"requirer certificates":    "tls-certificates",
		"requirer kube-control":    "kube-control",
		"requirer receive-ca-cert": "certificate_transfer",
		"peer peers":               "signet_peers",
	}, interfaces)
}

// What both charms say of themselves must not drift apart, and each endpoint is explained.
func TestNodeMetadataHasTheStyleOfTheMainCharm(t *testing.T) {
	t.Parallel()
	type metadata struct {
		Maintainers []string          `yaml:"maintainers"`
		Links       map[string]string `yaml:"links"`
		Tags        []string          `yaml:"tags"`
		Requires    map[string]struct {
			Description string `yaml:"description"`
		} `yaml:"requires"`
	}
	var main, node metadata
	require.NoError(t, yaml.Unmarshal(read(t, "metadata.yaml"), &main))
	require.NoError(t, yaml.Unmarshal(read(t, filepath.Join(nodeFolder, "metadata.yaml")), &node))
	require.Equal(t, main.Maintainers, node.Maintainers)
	require.Equal(t, main.Links, node.Links)
	require.Equal(t, main.Tags, node.Tags)
	for name, endpoint := range node.Requires {
		require.NotEmpty(t, endpoint.Description, name)
	}
}

// An option means the same in both charms: same type, same default, same text up to the name of the CA's endpoint.
func TestNodeOptionsAreThoseOfTheMainCharm(t *testing.T) {
	t.Parallel()
	otherText := map[string]string{
		"certificate-key-type": "the node signs nothing, so the key is for itself alone",
		"certificate-profile":  "it has another default",
	}
	otherDefault := map[string]string{"certificate-profile": "a node runs kubelet, the main charm need not"}
	endpoint := strings.NewReplacer("the upstream relation", "the certificates relation")
	folded := func(text string) string { return strings.Join(strings.Fields(text), " ") } // lines break elsewhere

	main := options(t, ".").Options
	for name, option := range options(t, nodeFolder).Options {
		require.Contains(t, main, name)
		require.Equal(t, main[name].Type, option.Type, name)
		if otherDefault[name] == "" {
			require.Equal(t, main[name].Default, option.Default, name)
		}
		if otherText[name] == "" {
			require.Equal(t, endpoint.Replace(folded(main[name].Description)), folded(option.Description), name)
		}
		require.NotContains(t, option.Description, "upstream", name)
	}
}

func TestNodeOptionsAreReadByTheConsumersSide(t *testing.T) {
	t.Parallel()
	found := readBy(t, "requirer")
	for name := range options(t, nodeFolder).Options {
		require.Contains(t, found, name)
	}
}

func TestNodeDefaultsAreUsable(t *testing.T) {
	t.Parallel()
	declared := &juju.Config{Values: options(t, nodeFolder).DefaultSettings()}
	requirer.ReadSettings(declared)
	require.Empty(t, declared.Errors)
}

func TestPackTakesTheCharmsFolderFirstAndTheRootSecond(t *testing.T) {
	t.Parallel()
	tree := checkout(t)
	tree["actions.yaml"] = &fstest.MapFile{Data: []byte("status:\n  description: Shows it.\n")}
	own := map[string]string{
		"config.yaml":   "options: {x: {type: string, default: '', description: x}}",
		"metadata.yaml": "name: x\nsummary: x\ndescription: x\nrequires: {only-mine: {interface: x}}",
		"LICENSE":       "none", // no charm has its own
		"stray":         "password: hunter2",
	}
	for name, content := range own {
		tree["charms/x/"+name] = &fstest.MapFile{Data: []byte(content)}
	}
	from := source(t)
	from.Tree, from.Charm = tree, "charms/x"
	archive := pack(t, from)
	require.NoError(t, charmpack.Check(archive, "amd64"))

	packed := map[string]string{}
	for _, entry := range entriesOf(t, archive) {
		packed[entry.Name] = contentOf(t, entry)
	}
	for _, name := range []string{"config.yaml", "metadata.yaml"} {
		require.Equal(t, own[name], packed[name], name)
	}
	for _, name := range []string{"LICENSE", "README.md", "actions.yaml", "icon.svg"} {
		require.Equal(t, string(tree[name].Data), packed[name], name)
	}
	require.NotContains(t, packed, "stray")
	require.Contains(t, packed, "manifest.yaml")
	require.Contains(t, packed, "hooks/only-mine-relation-joined")
	require.NotContains(t, packed, "hooks/upstream-relation-joined")
}
