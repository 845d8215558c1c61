// SPDX-License-Identifier: AGPL-3.0-only

package charmpack_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"
)

// cluster is the part of the bundle charmed-kubernetes 1.32 that has to do with certificates, as it is published.
const cluster = `default-base: ubuntu@22.04
name: charmed-kubernetes
applications:
  easyrsa: {channel: 1.32/stable, charm: easyrsa, num_units: 1}
  etcd: {channel: 1.32/stable, charm: etcd, num_units: 3}
  kubeapi-load-balancer: {channel: 1.32/stable, charm: kubeapi-load-balancer, num_units: 1}
  kubernetes-control-plane: {channel: 1.32/stable, charm: kubernetes-control-plane, num_units: 2}
  kubernetes-worker: {channel: 1.32/stable, charm: kubernetes-worker, num_units: 3}
relations:
- - kubernetes-control-plane:certificates
  - easyrsa:client
- - etcd:certificates
  - easyrsa:client
- - kubernetes-worker:certificates
  - easyrsa:client
- - kubeapi-load-balancer:certificates
  - easyrsa:client
- - kubernetes-control-plane:etcd
  - etcd:db
`

// overlaid merges overlays into the cluster, as Juju does.
func overlaid(t *testing.T, overlays ...string) *charm.BundleData {
	t.Helper()
	base, err := charm.StreamBundleDataSource(strings.NewReader(cluster), t.TempDir())
	require.NoError(t, err)
	sources := []charm.BundleDataSource{base}
	dir := t.TempDir()
	for _, folder := range []string{"bundle", "dist"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o750))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dist", "signet_amd64.charm"), nil, 0o600)) // "make charm" was run
	for _, name := range overlays {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "bundle", name), read(t, filepath.Join("bundle", name)), 0o600))
		overlay, err := charm.LocalBundleDataSource(filepath.Join(dir, "bundle", name))
		require.NoError(t, err)
		sources = append(sources, overlay)
	}
	bundle, err := charm.ReadAndMergeBundleData(sources...)
	require.NoError(t, err)
	require.NoError(t, bundle.Verify(nil, nil, nil))
	return bundle
}

func TestOverlayPutsSignetInThePlaceOfEasyRSA(t *testing.T) {
	t.Parallel()
	bundle := overlaid(t, "charmed-kubernetes.yaml")
	require.NotContains(t, bundle.Applications, "easyrsa")
	signet := bundle.Applications["signet"]
	require.Equal(t, "signet_amd64.charm", filepath.Base(signet.Charm))
	require.Equal(t, "dist", filepath.Base(filepath.Dir(signet.Charm)), "the path is taken from the overlay's folder")

	before := overlaid(t)
	wanted := map[string]bool{}
	for _, ends := range before.Relations {
		if strings.HasPrefix(ends[1], "easyrsa:") {
			wanted[ends[0]] = true
		}
	}
	require.Len(t, wanted, 4)
	meta, err := charm.ReadMeta(bytes.NewReader(read(t, "metadata.yaml")))
	require.NoError(t, err)
	for _, ends := range bundle.Relations {
		app, endpoint, _ := strings.Cut(ends[1], ":")
		if app != "signet" {
			continue
		}
		require.Equal(t, "tls-certificates", meta.Provides[endpoint].Interface, endpoint)
		require.True(t, wanted[ends[0]], "%s is not one of EasyRSA's", ends[0])
		delete(wanted, ends[0])
	}
	require.Empty(t, slices.Collect(maps.Keys(wanted)), "they are left without certificates")
}

func TestOverlayForVaultSetsOptionsThatAreThere(t *testing.T) {
	t.Parallel()
	bundle := overlaid(t, "charmed-kubernetes.yaml", "vault.yaml")
	signet := bundle.Applications["signet"]
	require.Equal(t, 2, signet.NumUnits, "the second overlay leaves what the first says")
	require.Equal(t, "vault", signet.Options["authority"])
	declared := options(t, ".")
	for name, value := range signet.Options {
		require.Contains(t, declared.Options, name)
		_, err := declared.ValidateSettings(charm.Settings{name: value})
		require.NoError(t, err)
	}
}
