// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/order"
)

// private is a folder that nobody else can write in, whatever the umask.
func private(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func TestInstallWhereOthersCanWrite(t *testing.T) {
	t.Parallel()
	const nobody = 65534
	makeWith := func(mode fs.FileMode) func(t *testing.T, base string) string {
		return func(t *testing.T, base string) string {
			dir := filepath.Join(base, "pki")
			require.NoError(t, os.Mkdir(dir, 0o755))
			require.NoError(t, os.Chmod(dir, mode))
			return dir
		}
	}
	for sentence, c := range map[string]struct {
		dir   func(t *testing.T, base string) string
		names string // the folder or link that is refused, below the base; empty when all is well
	}{
		"its owner's":           {makeWith(0o755), ""},
		"all can write":         {makeWith(0o777), "pki"},
		"a group can write":     {makeWith(0o775), "pki"},
		"all can add only":      {makeWith(0o777 | fs.ModeSticky), ""},
		"below one to add only": {func(t *testing.T, base string) string { return makeWith(0o777|fs.ModeSticky)(t, base) + "/x" }, ""},
		"not there yet":         {func(t *testing.T, base string) string { return makeWith(0o777)(t, base) + "/below/it" }, "pki"},
		"there, but below one": {func(t *testing.T, base string) string {
			below := filepath.Join(makeWith(0o777)(t, base), "below")
			require.NoError(t, os.Mkdir(below, 0o755))
			return below
		}, "pki"},
		"through a link": {func(t *testing.T, base string) string {
			makeWith(0o777)(t, base)
			require.NoError(t, os.Symlink("./pki/../pki", filepath.Join(base, "link")))
			return filepath.Join(base, "link", "below")
		}, "pki"},
		"through a link from the root": {func(t *testing.T, base string) string {
			require.NoError(t, os.Symlink(makeWith(0o777)(t, base), filepath.Join(base, "link")))
			return filepath.Join(base, "link")
		}, "pki"},
		"somebody else's": {func(t *testing.T, base string) string {
			dir := makeWith(0o755)(t, base)
			if os.Chown(dir, nobody, nobody) != nil {
				t.Skip("only root can make a folder somebody else's, which the case needs")
			}
			return dir
		}, "pki"},
		"through somebody else's link": {func(t *testing.T, base string) string {
			link := filepath.Join(base, "link")
			require.NoError(t, os.Symlink(makeWith(0o755)(t, base), link))
			if os.Lchown(link, nobody, nobody) != nil {
				t.Skip("only root can make a link somebody else's, which the case needs")
			}
			return link
		}, "link"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			base := private(t)
			dir := c.dir(t, base)
			folder := open(t, t.TempDir())
			carried(t, folder, bundle("", order.File{Name: "ca.crt", Text: "former"}))
			o := bundle(dir, order.File{Name: "ca.crt", Text: "ca"})
			if c.names == "" {
				carried(t, folder, o)
				return
			}
			failure := failed(t, folder, o)
			require.Equal(t, "unsafe-directory", failure.Code)
			require.Contains(t, failure.Message, filepath.Join(base, c.names)+"\", or choose another folder")
			require.NoDirExists(t, filepath.Join(base, "pki", "below", "it"))
			require.NoFileExists(t, filepath.Join(dir, "certificates", "ca.crt"))
			require.Equal(t, "former", read(t, folder.Root(), "files", "certificates", "ca.crt"), "the former bundle stays")
			require.NotEmpty(t, survey(t, folder)["bundle.certificates"])
		})
	}
}

func TestALinkInALoopIsNoPlace(t *testing.T) {
	t.Parallel()
	base := private(t)
	require.NoError(t, os.Symlink("loop", filepath.Join(base, "loop")))
	failure := failed(t, open(t, t.TempDir()), bundle(filepath.Join(base, "loop"), order.File{Name: "ca.crt", Text: "ca"}))
	require.Equal(t, "disk", failure.Code)
	require.Contains(t, failure.Message, "move away what is there")
}

// A folder of the bundle could be a link to elsewhere by the time that its files are removed.
func TestNothingIsRemovedWhereOthersCanWrite(t *testing.T) {
	t.Parallel()
	dir := private(t)
	folder := open(t, t.TempDir())
	carried(t, folder, bundle(dir, order.File{Name: "ca.crt", Text: "ca"}))
	require.NoError(t, os.Chmod(dir, 0o777))
	require.Equal(t, "unsafe-directory", failed(t, folder, bundle(dir)).Code)
	require.Equal(t, "ca", read(t, dir, "certificates", "ca.crt"))
	require.NoError(t, os.Chmod(dir, 0o755))
	carried(t, folder, bundle(dir))
	require.Empty(t, entries(t, dir))
}

// Somebody puts a folder that is not there yet in place first.
func TestAFolderMadeBySomebodyElseMeanwhileIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(private(t), "pki")
	folder, err := disk.OpenOn(t.TempDir(), func(op disk.Op) error {
		if op.Kind == disk.Mkdir && op.Path == dir {
			if err := disk.Perform(disk.Op{Kind: disk.Mkdir, Path: dir, Mode: 0o777}); err != nil {
				return err
			}
		}
		return disk.Perform(op)
	})
	require.NoError(t, err)
	require.Equal(t, "unsafe-directory", failed(t, folder, bundle(dir, order.File{Name: "ca.crt", Text: "ca"})).Code)
	require.Empty(t, entries(t, dir))
}

// What only root may read must not come out through a bundle that somebody else can change.
func TestAFileThatIsNoFileIsNotKept(t *testing.T) {
	t.Parallel()
	for sentence, plant := range map[string]func(t *testing.T, path, outside string){
		"a link":   func(t *testing.T, path, outside string) { require.NoError(t, os.Symlink(outside, path)) },
		"a pipe":   func(t *testing.T, path, _ string) { require.NoError(t, syscall.Mkfifo(path, 0o644)) },
		"a folder": func(t *testing.T, path, _ string) { require.NoError(t, os.Mkdir(path, 0o755)) },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			dir, outside := private(t), filepath.Join(t.TempDir(), "outside")
			require.NoError(t, os.WriteFile(outside, []byte("same"), 0o600))
			folder := open(t, t.TempDir())
			carried(t, folder, bundle(dir, order.File{Name: "a.crt", Text: "same"}, order.File{Name: "b.crt", Text: "b"}))
			path := filepath.Join(dir, "certificates", "a.crt")
			require.NoError(t, os.Remove(path))
			plant(t, path, outside)
			require.Equal(t, "b.crt", survey(t, folder)["files.certificates"])
			require.Equal(t, "bad-order", failed(t, folder, keeping(dir, "a.crt")).Code)
		})
	}
}
