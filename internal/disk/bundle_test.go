// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

func bundle(dir string, files ...order.File) order.Install {
	return order.Install{Name: "certificates", Dir: dir, Files: files}
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	require.NoError(t, err)
	return string(data)
}

// entries are the names in a folder.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, entry := range found {
		names = append(names, entry.Name())
	}
	return names
}

func TestInstall(t *testing.T) {
	t.Parallel()
	root, dir := t.TempDir(), filepath.Join(private(t), "pki", "signet")
	folder := open(t, root)
	one, two := newKey(t), newKey(t)
	first := bundle(dir, order.File{Name: "server.crt", Text: selfSigned(t, one)}, order.File{Name: "server.key", Key: one},
		order.File{Name: "ca.crt", Text: "ca"})
	carried(t, folder, first)
	require.Equal(t, one.Reveal(), read(t, dir, "certificates", "server.key"))
	require.EqualValues(t, 0o644, modeOf(t, dir, "certificates", "server.crt"))
	require.EqualValues(t, 0o600, modeOf(t, dir, "certificates", "server.key"))
	require.Equal(t, string(first.ID()), survey(t, folder)["bundle.certificates"])
	require.Len(t, entries(t, dir), 2)

	before := entries(t, dir)
	carried(t, open(t, root), first)
	require.Equal(t, before, entries(t, dir), "a repetition changes nothing")

	second := bundle(dir, order.File{Name: "server.crt", Text: selfSigned(t, two)}, order.File{Name: "server.key", Key: two})
	carried(t, folder, second)
	require.Equal(t, two.Reveal(), read(t, dir, "certificates", "server.key"))
	require.NoFileExists(t, filepath.Join(dir, "certificates", "ca.crt"))
	require.Len(t, entries(t, dir), 2, "the old one is pruned")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "certificates", "server.crt"), []byte("edited"), 0o644))
	require.NotContains(t, survey(t, folder), "bundle.certificates")
	carried(t, folder, second)
	require.Equal(t, string(second.ID()), survey(t, folder)["bundle.certificates"], "mended")
	require.Len(t, entries(t, dir), 2)

	carried(t, folder, bundle(dir))
	require.Empty(t, entries(t, dir))
	require.NotContains(t, survey(t, folder), "bundle.certificates")
	carried(t, folder, bundle(dir))
}

func TestInstallElsewhereMoves(t *testing.T) {
	t.Parallel()
	root, old, next := t.TempDir(), private(t), private(t)
	folder := open(t, root)
	file := order.File{Name: "ca.crt", Text: "ca"}
	carried(t, folder, bundle(old, file))
	carried(t, folder, bundle(next, file))
	require.Empty(t, entries(t, old))
	require.Equal(t, "ca", read(t, next, "certificates", "ca.crt"))
	own := bundle("", file)
	carried(t, folder, own)
	require.Empty(t, entries(t, next))
	require.Equal(t, "ca", read(t, root, "files", "certificates", "ca.crt"))
	require.Equal(t, string(own.ID()), survey(t, folder)["bundle.certificates"])
}

func TestInstallThroughALinkedFolder(t *testing.T) {
	t.Parallel()
	base := private(t)
	require.NoError(t, os.Mkdir(filepath.Join(base, "run"), 0o755))
	require.NoError(t, os.Symlink("run", filepath.Join(base, "var-run")))
	file := order.File{Name: "ca.crt", Text: "ca"}
	carried(t, open(t, t.TempDir()), bundle(filepath.Join(base, "var-run"), file))
	carried(t, open(t, t.TempDir()), bundle(filepath.Join(base, "var-run", "below"), file))
	require.Equal(t, "ca", read(t, base, "run", "certificates", "ca.crt"))
	require.Equal(t, "ca", read(t, base, "run", "below", "certificates", "ca.crt"))
}

func TestInstallOfTheUnitsOwnKey(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder := open(t, root)
	carried(t, folder, serverRequest())
	key := cert.NewKey(read(t, root, "keys", "server.key"))
	carried(t, folder, bundle("", order.File{Name: "server.crt", Text: selfSigned(t, key)},
		order.File{Name: "server.key", KeyName: "server"}))
	require.Equal(t, key.Reveal(), read(t, root, "files", "certificates", "server.key"))
}

func TestInstallRefuses(t *testing.T) {
	t.Parallel()
	one, two := newKey(t), newKey(t)
	cases := map[string]struct {
		order order.Install
		code  string
	}{
		"a key that is not the certificate's": {bundle("", order.File{Name: "a.crt", Text: selfSigned(t, one)}, order.File{Name: "a.key", Key: two}), "key-mismatch"},
		"a certificate that is none":          {bundle("", order.File{Name: "a.crt", Text: "x"}, order.File{Name: "a.key", Key: two}), "key-mismatch"},
		"a key never made":                    {bundle("", order.File{Name: "a.key", KeyName: "server"}), "no-key"},
		"a path as a file name":               {bundle("", order.File{Name: "../a.crt"}), "bad-order"},
		"a hidden file":                       {bundle("", order.File{Name: ".manifest.json"}), "bad-order"},
		"a file twice":                        {bundle("", order.File{Name: "a"}, order.File{Name: "a"}), "bad-order"},
		"a path as a key name":                {bundle("", order.File{Name: "a", KeyName: "../secrets/x"}), "bad-order"},
		"a relative folder":                   {bundle("etc", order.File{Name: "a"}), "bad-order"},
		"a path as its name":                  {order.Install{Name: "../x", Files: []order.File{{Name: "a"}}}, "bad-order"},
	}
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			folder := open(t, t.TempDir())
			carried(t, folder, bundle("", order.File{Name: "a.crt", Text: "former"}))
			failure := failed(t, folder, c.order)
			require.Equal(t, c.code, failure.Code)
			require.NotContains(t, failure.Message, "PRIVATE KEY")
			require.Equal(t, "former", read(t, folder.Root(), "files", "certificates", "a.crt"), "the former bundle stays")
		})
	}
}

func TestInstallLeavesAloneWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	file := order.File{Name: "ca.crt", Text: "ca"}
	for sentence, plant := range map[string]func(t *testing.T, dir, outside string){
		"a folder": func(t *testing.T, dir, _ string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, "certificates"), 0o755))
		},
		"a file": func(t *testing.T, dir, _ string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "certificates"), nil, 0o644))
		},
		"a link": func(t *testing.T, dir, outside string) {
			require.NoError(t, os.Symlink(outside, filepath.Join(dir, "certificates")))
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			dir, outside := private(t), t.TempDir()
			plant(t, dir, outside)
			require.Equal(t, "occupied", failed(t, open(t, t.TempDir()), bundle(dir, file)).Code)
			require.Empty(t, entries(t, outside))
		})
	}
	t.Run("a link that looks like a folder of the bundle", func(t *testing.T) {
		t.Parallel()
		dir, outside := private(t), t.TempDir()
		o := bundle(dir, file)
		require.NoError(t, os.Symlink(outside, filepath.Join(dir, ".certificates-"+string(o.ID())+"-1")))
		require.NoError(t, os.Symlink(outside, filepath.Join(dir, ".certificates.link")))
		carried(t, open(t, t.TempDir()), o)
		require.Empty(t, entries(t, outside))
		require.Equal(t, "ca", read(t, dir, "certificates", "ca.crt"))
	})
}

// The folder can be made, a longer path in it cannot.
func TestInstallWhereNoNameFitsFails(t *testing.T) {
	t.Parallel()
	const longest = 4056 // with a bundle's folder below it, a path is longer than Linux takes
	dir := private(t)
	for len(dir) < longest-200 {
		dir = filepath.Join(dir, strings.Repeat("d", 150))
	}
	dir = filepath.Join(dir, strings.Repeat("d", longest-len(dir)-1))
	failure := failed(t, open(t, t.TempDir()), bundle(dir, order.File{Name: "ca.crt", Text: "ca"}))
	require.Equal(t, "disk", failure.Code)
	require.Contains(t, failure.Message, "file name too long: use a shorter path")
}
