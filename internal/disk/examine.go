// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Standing is how a unit's files are, for who looks after the machine. No secret is in it.
type Standing struct {
	Root    string
	Loose   []string // what of the state folder others may read or enter
	Foreign []string // what in it belongs to another user than the folder itself
	Left    []Left   // what was half written and nobody swept
	Laid    []Laid
	Links   []OutsideFile
	Trust   []OutsideFile // with their content, as far as it is what was laid there
}

// Left is a temporary file of this package's.
type Left struct {
	Path  string
	Since time.Time
}

// Laid is a certificate that lies in a bundle beside its key.
type Laid struct {
	Path  string // of the certificate
	PEM   string // with those that follow it
	CA    string // PEM: whom the bundle trusts
	Key   string // KeyFits, KeyDiffers, KeyAbsent or KeyUnread
	Mode  fs.FileMode
	Owner Owner // of the key
}

// How a key is that lies beside a certificate.
const (
	KeyFits    = "fits"
	KeyDiffers = "differs"
	KeyAbsent  = "absent"
	KeyUnread  = "unread"
)

// OutsideFile is what was laid where other programs look for it.
type OutsideFile struct {
	Path    string
	Wanted  string // the target of a link
	Trouble string // why it is not as it was laid; empty when it is
	Text    string // of a file in the trust store
}

// Examine tells how the files of the state folder at root are, and those that were laid elsewhere on the machine. Like
// Installed it reads only, needs no lock, and can be asked while an agent works there.
func Examine(root string, options ...Option) (Standing, error) {
	folder := &Folder{root: root}
	for _, option := range options {
		option(folder)
	}
	found := Standing{Root: root}
	if err := folder.examineTree(&found); err != nil {
		return Standing{}, err
	}
	if err := folder.examineBundles(&found); err != nil {
		return Standing{}, err
	}
	return found, errors.Join(folder.examineLinks(&found), folder.examineTrust(&found))
}

// mostExamined bounds how many files of a state folder are looked at.
const mostExamined = 20_000

// examineTree looks at modes and leftovers. What programs of other users read lies in bundles, which is why these are
// closed by the folder above them, and only their keys are looked at, with the bundles.
func (f *Folder) examineTree(found *Standing) error {
	info, err := os.Stat(f.root)
	if err != nil {
		return trouble("examine", f.root, err)
	}
	owner, seen := ownerOf(info), 0
	return filepath.WalkDir(f.root, func(path string, entry fs.DirEntry, err error) error {
		if seen++; seen > mostExamined {
			return fs.SkipAll
		}
		if errors.Is(err, fs.ErrNotExist) { // an agent works here meanwhile
			return nil
		}
		if err != nil {
			return trouble("examine", path, err)
		}
		info, err := entry.Info()
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		within, _ := filepath.Rel(f.root, path)
		part, _, _ := strings.Cut(within, string(filepath.Separator))
		name := entry.Name()
		if strings.HasPrefix(name, ".") && strings.HasSuffix(name, temporarySuffix) {
			found.Left = append(found.Left, Left{path, info.ModTime()})
		}
		if part == filesName && within != filesName {
			return nil
		}
		if info.Mode().Type() != fs.ModeSymlink && info.Mode().Perm()&0o077 != 0 {
			found.Loose = append(found.Loose, path)
		}
		if ownerOf(info) != owner {
			found.Foreign = append(found.Foreign, path)
		}
		return nil
	})
}

// examineBundles looks at the certificates that lie beside keys.
func (f *Folder) examineBundles(found *Standing) error {
	installed, err := Installed(f.root)
	if err != nil {
		return err
	}
	for _, one := range installed {
		laid := Laid{Path: one.Path, PEM: one.PEM, Key: KeyAbsent}
		if text, err := readFile(filepath.Join(filepath.Dir(one.Path), "ca.crt")); err == nil {
			laid.CA = string(text)
		}
		key := strings.TrimSuffix(one.Path, ".crt") + ".key"
		if info, err := os.Stat(key); err == nil {
			laid.Mode, laid.Owner = info.Mode(), ownerOf(info)
			laid.Key = KeyUnread
		}
		if text, err := readFile(key); err == nil {
			laid.Key = KeyDiffers
			if fits(content{data: []byte(one.PEM)}, content{data: text}) {
				laid.Key = KeyFits
			}
		}
		found.Laid = append(found.Laid, laid)
	}
	return nil
}

func (f *Folder) examineLinks(found *Standing) error {
	var known links
	if err := f.readRecord(linksRecord, &known); err != nil {
		return err
	}
	for _, path := range sortedKeys(known.At) {
		one := OutsideFile{Path: path}
		if targets := known.At[path]; len(targets) > 0 {
			one.Wanted = targets[len(targets)-1]
		}
		standing, err := os.Readlink(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			one.Trouble = "it is gone"
		case err != nil:
			one.Trouble = "it is no link"
		case standing != one.Wanted:
			one.Trouble = "it leads to " + standing
		default:
			if _, err := os.Stat(path); err != nil {
				one.Trouble = "what it leads to is gone"
			}
		}
		found.Links = append(found.Links, one)
	}
	return nil
}

func (f *Folder) examineTrust(found *Standing) error {
	listed, err := f.listTrust()
	found.Trust = listed
	return err
}

// listTrust tells of each file that was laid in the trust store's folder.
func (f *Folder) listTrust() ([]OutsideFile, error) {
	var known trusted
	if err := f.readRecord(trustRecord, &known); err != nil {
		return nil, err
	}
	var found []OutsideFile
	for _, name := range sortedKeys(known.Files) {
		one := OutsideFile{Path: filepath.Join(f.onMachine(trustDir), name)}
		data, err := readFile(one.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			one.Trouble = "it is gone"
		case err != nil:
			one.Trouble = "it cannot be read"
		case hexSum(data) != known.Files[name]:
			one.Trouble = "it was changed"
		default:
			one.Text = string(data)
		}
		found = append(found, one)
	}
	return found, nil
}

// Space is how much room a file system has left.
type Space struct {
	Free, Size             uint64 // bytes; free ones for the user of this process
	FreeInodes, SizeInodes uint64 // zero where the file system does not count them
}

// SpaceAt tells how much room there is where a path is.
func SpaceAt(path string) (Space, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		return Space{}, trouble("examine", path, err)
	}
	size := uint64(stat.Bsize) //nolint:gosec // no file system has blocks of a negative size
	return Space{stat.Bavail * size, stat.Blocks * size, stat.Ffree, stat.Files}, nil
}

// Blobs names the blobs of the state folder at root that are wanted, the oldest first.
func Blobs(root string, wanted func(name string) bool) ([]Left, error) {
	entries, err := os.ReadDir(filepath.Join(root, secretsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, trouble("list", filepath.Join(root, secretsName), err)
	}
	var found []Left
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && wanted(entry.Name()) {
			found = append(found, Left{filepath.Join(root, secretsName, entry.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b Left) int { return a.Since.Compare(b.Since) })
	return found, nil
}
