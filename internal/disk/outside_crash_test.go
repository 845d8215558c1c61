// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/order"
)

// beside gives a path beside a scenario's folder: what the machine of these tests keeps track of.
func beside(folder *disk.Folder, parts ...string) string {
	return filepath.Join(append([]string{filepath.Dir(folder.Root())}, parts...)...)
}

func TestACrashLeavesALinkOrNone(t *testing.T) {
	t.Parallel()
	sweep(t, scenario{
		before: func(t *testing.T, folder *disk.Folder) {
			carried(t, folder, bundle("", order.File{Name: "ca.crt", Text: "ca"}))
			carried(t, folder, linksTo(false, "/etc/former", "ca.crt", "/etc/kept", "ca.crt"))
		},
		act: func(folder *disk.Folder) error {
			return carry(t, folder, linksTo(false, "/etc/kept", "ca.crt", "/etc/new", "ca.crt"))
		},
		whole: func(t *testing.T, folder *disk.Folder, acknowledged bool) {
			require.Equal(t, "ca", read(t, beside(folder, "etc", "kept")), "always there")
			for _, name := range []string{"former", "new"} {
				text, err := os.ReadFile(beside(folder, "etc", name))
				require.True(t, os.IsNotExist(err) || string(text) == "ca")
				require.False(t, acknowledged && (err == nil) != (name == "new"))
			}
			if acknowledged {
				require.NotEqual(t, "damaged", survey(t, folder)["links"])
			}
		},
		after: func(t *testing.T, folder *disk.Folder, _ *machine) {
			require.Len(t, entries(t, beside(folder, "etc")), 2, "nothing half made stays")
		},
	})
}

func TestACrashLeavesTheTrustStoreOldOrNew(t *testing.T) {
	t.Parallel()
	trust := func(certificates ...string) order.Trust {
		return order.Trust{Unit: "node/0", Certificates: certificates}
	}
	store := func(folder *disk.Folder) string { return beside(folder, "usr/local/share/ca-certificates") }
	sweep(t, scenario{
		before: func(t *testing.T, folder *disk.Folder) { carried(t, folder, trust("kept\n", "former\n")) },
		act:    func(folder *disk.Folder) error { return carry(t, folder, trust("kept\n", "new\n")) },
		whole: func(t *testing.T, folder *disk.Folder, acknowledged bool) {
			texts := map[string]bool{}
			for _, name := range entries(t, store(folder)) {
				if filepath.Ext(name) == ".crt" {
					texts[read(t, store(folder), name)] = true
				}
			}
			require.True(t, texts["kept\n"])
			delete(texts, "kept\n")
			require.Subset(t, map[string]bool{"former\n": true, "new\n": true}, texts, "each whole or not there")
			require.False(t, acknowledged && (texts["former\n"] || !texts["new\n"]))
		},
		after: func(t *testing.T, folder *disk.Folder, _ *machine) { require.Len(t, entries(t, store(folder)), 2) },
	})
}

func TestACrashLeavesAMergedKubeconfigOldOrNew(t *testing.T) {
	t.Parallel()
	one, two := newKey(t), newKey(t)
	first, second := clientBundle(t, one), clientBundle(t, two)
	merge := mergeable("/etc/config", true)
	sweep(t, scenario{
		before: func(t *testing.T, folder *disk.Folder) {
			carried(t, folder, first)
			carried(t, folder, merge)
			carried(t, folder, second)
		},
		act: func(folder *disk.Folder) error { return carry(t, folder, merge) },
		whole: func(t *testing.T, folder *disk.Folder, acknowledged bool) {
			text := read(t, beside(folder, "etc", "config"))
			require.Contains(t, text, "client-key-data")
			if acknowledged {
				require.Equal(t, string(merge.ID()), survey(t, folder)["merge"])
			}
		},
		after: func(t *testing.T, folder *disk.Folder, _ *machine) {
			require.Equal(t, []string{"config"}, entries(t, beside(folder, "etc")))
			carried(t, folder, order.Merge{})
			require.Empty(t, entries(t, beside(folder, "etc")), "no part of it is left behind")
		},
	})
}

func TestACrashMakesOneRotatedKey(t *testing.T) {
	t.Parallel()
	rotated := serverRequest()
	rotated.NewKey, rotated.Replaces = true, "41aa"
	sweep(t, scenario{
		before: func(t *testing.T, folder *disk.Folder) { carried(t, folder, serverRequest()) },
		act:    func(folder *disk.Folder) error { return carry(t, folder, rotated) },
		whole: func(t *testing.T, folder *disk.Folder, acknowledged bool) {
			_, err := cert.ParseKey(cert.NewKey(read(t, folder.Root(), "keys", "server.key")))
			require.NoError(t, err)
			_, found := survey(t, folder)["request.server"]
			require.False(t, acknowledged && !found)
		},
		after: func(t *testing.T, folder *disk.Folder, _ *machine) {
			key := read(t, folder.Root(), "keys", "server.key")
			carried(t, folder, rotated)
			require.Equal(t, key, read(t, folder.Root(), "keys", "server.key"))
		},
	})
}
