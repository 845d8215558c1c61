// SPDX-License-Identifier: AGPL-3.0-only

package archive_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/archive"
)

const good = "signet-easy-rsa-20260301T123005Z.age"

// hostile are names that are no backup's.
func hostile() map[string]string {
	return map[string]string{
		"nothing":                     "",
		"a folder":                    ".",
		"the folder above":            "..",
		"a path":                      "../" + good,
		"a path within the name":      "signet-a/../b-20260301T123005Z.age",
		"an absolute path":            "/" + good,
		"a backslash":                 `signet-a\b-20260301T123005Z.age`,
		"a NUL":                       "signet-a\x00-20260301T123005Z.age",
		"an unfinished one":           "." + good + ".new",
		"another ending":              good + ".bak",
		"no ending":                   "signet-easy-rsa-20260301T123005Z",
		"no application":              "signet-20260301T123005Z.age",
		"an empty application":        "signet--20260301T123005Z.age",
		"an application in capitals":  "signet-ABZ-20260301T123005Z.age",
		"another program's":           "vault-easy-rsa-20260301T123005Z.age",
		"no time":                     "signet-easy-rsa.age",
		"a day that is none":          "signet-easy-rsa-20260231T123005Z.age",
		"a fraction of a second":      "signet-easy-rsa-20260301T123005.5Z.age",
		"the first, numbered":         "signet-easy-rsa-20260301T123005Z-1.age",
		"a number with a zero before": "signet-easy-rsa-20260301T123005Z-02.age",
		"a negative number":           "signet-easy-rsa-20260301T123005Z--2.age",
		"a number that is none":       "signet-easy-rsa-20260301T123005Z-x.age",
		"a line break":                "signet-easy-rsa-20260301T123005Z.age\n",
	}
}

func TestListLeavesOutWhatIsNoBackup(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	dir := t.TempDir()
	for sentence, name := range hostile() {
		if name == filepath.Base(name) && name != "." && name != ".." && sentence != "a NUL" && name != "" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		}
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "signet-folder-20260301T123005Z.age"), 0o700))
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(dir, "signet-link-20260301T123005Z.age")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, good), []byte("12345"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "signet-a-20250301T123005Z-12.age"), nil, 0o600))
	files, err := archive.List(dir)
	require.NoError(t, err)
	require.Equal(t, []archive.File{
		{Name: "signet-a-20250301T123005Z-12.age", Made: made().AddDate(-1, 0, 0)},
		{Name: good, Size: 5, Made: made()},
	}, files)
}

func TestListWithoutAFolder(t *testing.T) {
	t.Parallel()
	files, err := archive.List(folder(t))
	require.NoError(t, err)
	require.Empty(t, files)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = archive.List(file)
	require.EqualError(t, err, "cannot list backups in "+file+": not a directory")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, good), nil, 0o600))
	require.NoError(t, archive.Delete(dir, good))
	require.NoFileExists(t, filepath.Join(dir, good))
	require.ErrorContains(t, archive.Delete(dir, good), "there is none of this name")

	require.NoError(t, os.Mkdir(filepath.Join(dir, good), 0o700))
	require.ErrorContains(t, archive.Delete(dir, good), "it is not a regular file")
}

func TestDeleteTakesNamesOfBackupsOnly(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	for sentence, name := range hostile() {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir := filepath.Join(root, "backups")
			require.NoError(t, os.Mkdir(dir, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(root, good), nil, 0o600))
			require.ErrorContains(t, archive.Delete(dir, name), "no backup has such a name")
			require.FileExists(t, filepath.Join(root, good))
		})
	}
}

func TestWriteIntoFoldersThatDoNotServe(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	cases := map[string]struct {
		prepare func(t *testing.T, dir string)
		problem string
		asRoot  bool
	}{
		"a file in its place": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(dir, nil, 0o600))
		}, "it is not a folder: move away what is there", true},
		"a file in the place of the folder above": {func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Dir(dir)))
			require.NoError(t, os.WriteFile(filepath.Dir(dir), nil, 0o600))
		}, "not a directory", true},
		"a link that leads nowhere": {func(t *testing.T, dir string) {
			require.NoError(t, os.Symlink("nowhere", dir))
		}, "no such file or directory", true},
		"one that is open to others": {func(t *testing.T, dir string) {
			require.NoError(t, os.Mkdir(dir, 0o700))
			require.NoError(t, os.Chmod(dir, 0o750))
		}, "is open to others (mode 0750): close it with chmod 0700", true},
		"one that is read-only": {func(t *testing.T, dir string) {
			require.NoError(t, os.Mkdir(dir, 0o500))
		}, "permission denied", false},
	}
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if !c.asRoot && os.Geteuid() == 0 {
				t.Skip("root may write into a folder whatever its mode says: only another user sees the refusal")
			}
			dir := filepath.Join(t.TempDir(), "state", "backups")
			require.NoError(t, os.Mkdir(filepath.Dir(dir), 0o700))
			c.prepare(t, dir)
			_, err := archive.Write(dir, sample(t), archive.Locks{Recipients: []string{identity(t).Recipient().String()}})
			require.ErrorContains(t, err, "cannot make backup in "+dir)
			require.ErrorContains(t, err, c.problem)
		})
	}
}

func TestWriteRemovesWhatACrashLeft(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	old, young, foreign := filepath.Join(dir, "."+good+".new"), filepath.Join(dir, ".signet-a-20260301T123005Z.age.new"), filepath.Join(dir, ".other.new")
	for _, path := range []string{old, young, foreign} {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	for _, path := range []string{old, foreign} {
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-25*time.Hour)))
	}
	path, err := archive.Write(dir, sample(t), archive.Locks{Recipients: []string{identity(t).Recipient().String()}})
	require.NoError(t, err)
	require.Equal(t, good, filepath.Base(path))
	require.NoFileExists(t, old)
	require.FileExists(t, young, "somebody may be at it")
	require.FileExists(t, foreign)
}
