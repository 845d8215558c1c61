// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/order"
)

// keeping is an order that brings a new CA and keeps these files.
func keeping(dir string, names ...string) order.Install {
	o := bundle(dir, order.File{Name: "ca.crt", Text: "new"})
	for _, name := range names {
		o.Files = append(o.Files, order.File{Name: name, Keep: true})
	}
	return o
}

func TestADamagedFileCostsNoOther(t *testing.T) {
	t.Parallel()
	folder := open(t, t.TempDir())
	key := newKey(t)
	certificate := selfSigned(t, key)
	installed := bundle("", order.File{Name: "server.crt", Text: certificate}, order.File{Name: "server.key", Key: key},
		order.File{Name: "ca.crt", Text: "old"})
	carried(t, folder, installed)
	dir := filepath.Join(folder.Root(), "files", "certificates")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.crt"), []byte("old\nedited\n"), 0o644))

	found := survey(t, folder)
	require.NotContains(t, found, "bundle.certificates", "so that it is ordered anew")
	require.Equal(t, "server.crt server.key", found["files.certificates"])
	require.Equal(t, "bad-order", failed(t, folder, keeping("", "server.crt", "server.key", "other.crt")).Code)
	require.Equal(t, "bad-order", failed(t, folder, bundle("", order.File{Name: "ca.crt", Keep: true})).Code)

	carried(t, folder, keeping("", "server.crt", "server.key"))
	require.Equal(t, certificate, read(t, dir, "server.crt"))
	require.Equal(t, key.Reveal(), read(t, dir, "server.key"))
	require.Equal(t, "new", read(t, dir, "ca.crt"))
}

func TestAMoveNotFinishedStillTellsWhatCanBeKept(t *testing.T) {
	t.Parallel()
	root, old, next := t.TempDir(), private(t), private(t)
	full := false
	folder, err := disk.OpenOn(root, func(op disk.Op) error {
		if full && filepath.Dir(op.Path) == next {
			return os.ErrPermission
		}
		return disk.Perform(op)
	})
	require.NoError(t, err)
	carried(t, folder, bundle(old, order.File{Name: "server.crt", Text: "certificate"}))
	full = true
	failed(t, folder, keeping(next, "server.crt"))
	found := survey(t, folder)
	require.NotContains(t, found, "bundle.certificates")
	require.Equal(t, "server.crt", found["files.certificates"])
	full = false
	carried(t, folder, keeping(next, "server.crt"))
	require.Equal(t, "certificate", read(t, next, "certificates", "server.crt"))
}

func TestAKeptSecretIsItsOwnersOnly(t *testing.T) {
	t.Parallel()
	for sentence, name := range map[string]string{
		"a private key":  "server.key",
		"another secret": "token",
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			folder := open(t, t.TempDir())
			dir := filepath.Join(folder.Root(), "files", "certificates")
			carried(t, folder, bundle("", order.File{Name: name, Key: newKey(t)}, order.File{Name: "open.crt", Text: "all"}))
			require.NoError(t, os.Chmod(filepath.Join(dir, name), 0o640))
			require.NoError(t, os.Chmod(filepath.Join(dir, "open.crt"), 0o600))
			carried(t, folder, keeping("", name, "open.crt"))
			require.EqualValues(t, 0o600, modeOf(t, dir, name))
			require.EqualValues(t, 0o644, modeOf(t, dir, "open.crt"))
			require.NoError(t, os.Chmod(filepath.Join(dir, name), 0o644))
			again := keeping("", name, "open.crt")
			again.Files[0].Text = "newer"
			carried(t, folder, again)
			require.EqualValues(t, 0o600, modeOf(t, dir, name), "it stays a secret when it is kept twice")
		})
	}
}
