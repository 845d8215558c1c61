// SPDX-License-Identifier: AGPL-3.0-only

package archive

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A backup is named "signet-<application>-<UTC>.age"; further ones of the same second end in "-2.age", "-3.age" and so
// on. While it is made it has a hidden name.
const (
	namePrefix      = "signet-"
	nameSuffix      = ".age"
	stampLayout     = "20060102T150405Z"
	temporarySuffix = ".new"
)

// File is a backup in a folder.
type File struct {
	Name string
	Size int64
	Made time.Time
}

func baseName(application string, made time.Time) string {
	return namePrefix + application + "-" + made.UTC().Format(stampLayout)
}

func fullName(base string, number int) string {
	if number == 1 {
		return base + nameSuffix
	}
	return base + "-" + strconv.Itoa(number) + nameSuffix
}

// parseName reads a backup's name; false for any that Write would not give, so that a valid one is safe in a path.
func parseName(name string) (made time.Time, number int, valid bool) {
	rest, whole := strings.CutSuffix(name, nameSuffix)
	if !whole {
		return time.Time{}, 0, false
	}
	number = 1
	if i := strings.LastIndex(rest, "-"); i >= 0 && !strings.HasSuffix(rest, "Z") { // no application has a capital Z
		var err error
		if number, err = strconv.Atoi(rest[i+1:]); err != nil || number < 2 {
			return time.Time{}, 0, false
		}
		rest = rest[:i]
	}
	i := strings.LastIndex(rest, "-")
	if i < len(namePrefix) {
		return time.Time{}, 0, false
	}
	application := strings.TrimPrefix(rest[:i], namePrefix)
	made, err := time.Parse(stampLayout, rest[i+1:])
	valid = err == nil && isApplication(application) && fullName(baseName(application, made), number) == name
	return made, number, valid
}

// create makes a file with the first free name and with mode 0600, filled under a temporary name and given its own only
// when that went well. Whatever happens, an unfinished one does not stay.
func create(dir, base string, fill func(*os.File) error) (path string, err error) {
	if err := makeFolder(dir); err != nil {
		return "", err
	}
	sweep(dir)
	file, path, err := claim(dir, base)
	if err != nil {
		return "", err
	}
	temporary := file.Name()
	if err := errors.Join(fill(file), file.Close()); err != nil {
		_ = os.Remove(temporary) // a full disk needs the room
		return "", err
	}
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return "", err
	}
	return path, syncFolder(dir)
}

// claim opens the temporary file of the first free name. Who has made it owns the name: nobody else renames to it, and
// looking for the finished file comes afterwards, lest another one finish in between.
func claim(dir, base string) (file *os.File, path string, err error) {
	const most = 1000
	for number := range most {
		path := filepath.Join(dir, fullName(base, number+1))
		temporary := filepath.Join(dir, "."+filepath.Base(path)+temporarySuffix)
		file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		_, err = os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return file, path, nil
		}
		_ = file.Close()
		_ = os.Remove(temporary)
		if err != nil {
			return nil, "", err
		}
	}
	return nil, "", fmt.Errorf("there are %d of this second already: wait for the next", most)
}

// makeFolder makes a folder that is for its owner only, and those above it that are missing, each durable. One that was
// there is left as it is, because others may have business in it; but who can write to it could put his own archive in
// a backup's place.
func makeFolder(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return makeFolders(dir)
	case err != nil:
		return err
	case !info.IsDir():
		return errors.New("it is not a folder: move away what is there")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("the folder is open to others (mode %04o): close it with chmod 0700, or give another one", info.Mode().Perm())
	}
	return nil
}

func makeFolders(dir string) error {
	parent := filepath.Dir(dir)
	if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
		if err := makeFolders(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

// sweep removes what crashes left unfinished. Another process's work looks the same, but never takes a day.
func sweep(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		name, hidden := strings.CutPrefix(entry.Name(), ".")
		name, unfinished := strings.CutSuffix(name, temporarySuffix)
		_, _, valid := parseName(name)
		info, err := entry.Info()
		if hidden && unfinished && valid && err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

func syncFolder(path string) error {
	folder, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// List gives the backups in a folder, the oldest first. Whatever else is there is left out; without the folder there
// are none.
func List(dir string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list backups in %s: %w", dir, cause(err))
	}
	var files []File
	numbers := map[string]int{}
	for _, entry := range entries {
		made, number, valid := parseName(entry.Name())
		if !valid {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot list backups in %s: %w", dir, cause(err))
		}
		if info.Mode().IsRegular() {
			files = append(files, File{Name: entry.Name(), Size: info.Size(), Made: made})
			numbers[entry.Name()] = number
		}
	}
	slices.SortFunc(files, func(a, b File) int {
		return cmp.Or(a.Made.Compare(b.Made), cmp.Compare(numbers[a.Name], numbers[b.Name]), strings.Compare(a.Name, b.Name))
	})
	return files, nil
}

// Delete removes a backup durably, by its name in List.
func Delete(dir, name string) error {
	if _, _, valid := parseName(name); !valid {
		return fmt.Errorf("cannot delete backup %.60q: no backup has such a name: give one as it is listed", name)
	}
	path := filepath.Join(dir, name)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot delete backup %s: there is none of this name", name)
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("cannot delete backup %s: it is not a regular file", name)
	case err == nil:
		err = os.Remove(path)
	}
	if err == nil {
		err = syncFolder(dir)
	}
	if err != nil {
		return fmt.Errorf("cannot delete backup %s: %w", name, cause(err))
	}
	return nil
}

// cause is an error's text without the path, which is said elsewhere.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
