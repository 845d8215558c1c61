// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/order"
)

// A bundle is one symbolic link <dir>/<name> to a folder .<name>-<order>-<number> beside it. A new bundle is a new folder;
// one rename of the link replaces the old one, so that a reader who opens files through the link never sees parts of
// two, and key and certificate change together.

const (
	manifestName = ".manifest.json"
	linkSuffix   = ".link" // of the link before it is renamed into place
)

// places is where a bundle has been put, as orders say it: the wanted place first, then those from which it was not
// removed yet.
type places struct {
	Dirs []string `json:"dirs"`
}

// install puts a bundle in place, or removes it when it has no files, and gives the sums of the files.
func (f *Folder) install(o order.Install) (order.Sums, error) {
	if err := checkName(o.Name); err != nil {
		return nil, order.Fail("bad-order", "cannot install a bundle: %v", err)
	}
	if o.Dir != "" && !filepath.IsAbs(o.Dir) {
		return nil, order.Fail("bad-order", "cannot install bundle %s in %q: give an absolute path", o.Name, o.Dir)
	}
	owner, err := ownerNamed(o.Owner, o.Group)
	if err != nil {
		return nil, err
	}
	known, err := f.readPlaces(o.Name)
	if err != nil {
		return nil, err
	}
	files, err := f.contents(o, known.Dirs)
	if err != nil {
		return nil, err
	}
	for i := range files {
		files[i].owner = owner
	}
	if err := f.settle(o, files, known); err != nil {
		return nil, err
	}
	sums := order.Sums{}
	for _, file := range files {
		sums[file.name] = hexSum(file.data)
	}
	return sums, nil
}

// settle makes the bundle stand in its place and nowhere else.
func (f *Folder) settle(o order.Install, files []content, known places) error {
	others := slices.DeleteFunc(known.Dirs, func(d string) bool { return d == o.Dir })
	if len(files) == 0 {
		return f.uninstall(o.Name, append(others, o.Dir))
	}
	dir := f.dirOf(o.Dir)
	if err := f.safe(dir, "bundle "+o.Name); err != nil {
		return err
	}
	// The places are written first: a bundle that no record names would be lost to Survey and never removed.
	if err := f.writePlaces(o.Name, append([]string{o.Dir}, others...)); err != nil {
		return err
	}
	if !f.stands(dir, o, files) {
		if err := f.place(dir, o, files); err != nil {
			return err
		}
	}
	if err := f.prune(dir, o.Name); err != nil {
		return err
	}
	for _, other := range others {
		if err := f.clear(f.dirOf(other), o.Name); err != nil {
			return err
		}
	}
	return f.writePlaces(o.Name, []string{o.Dir})
}

// dirOf is the folder that a bundle's link is in, for an order's Dir.
func (f *Folder) dirOf(dir string) string {
	if dir == "" {
		return f.path(filesName)
	}
	return filepath.Clean(dir)
}

// place writes a new folder and swaps the link.
func (f *Folder) place(dir string, o order.Install, files []content) error {
	if err := f.do.makeFolder(dir, 0o755); err != nil {
		return err
	}
	if err := f.safe(dir, "bundle "+o.Name); err != nil { // somebody else may have made it
		return err
	}
	link := filepath.Join(dir, o.Name)
	if target, err := os.Readlink(link); err == nil && !isGeneration(o.Name, target) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return order.Fail("occupied", "cannot install bundle %s: %s is there and not from this charm: move it away", o.Name, link)
	} else if err == nil && f.foreign(filepath.Join(dir, target)) {
		return order.Fail("occupied", "cannot install bundle %s: %s is another unit's: set another certificate-directory", o.Name, link)
	}
	generation, err := f.writeGeneration(dir, o, files)
	if err != nil {
		return err
	}
	if err := f.do(Op{Kind: Sync, Path: dir}); err != nil { // the new folder must be there when the link is
		return trouble("put in place", link, err)
	}
	return f.do.placeLink(filepath.Join(dir, "."+o.Name+linkSuffix), generation, link)
}

// writeGeneration writes the bundle's files and its manifest into a folder that did not exist, and gives its name. What
// it wrote is removed again when it fails: the disk may be full.
func (f *Folder) writeGeneration(dir string, o order.Install, files []content) (string, error) {
	var name, path string
	for number := 1; ; number++ {
		name = fmt.Sprintf(".%s-%s-%d", o.Name, o.ID(), number)
		path = filepath.Join(dir, name)
		_, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return "", trouble("look at", path, err)
		}
	}
	written := manifest{Order: o.ID(), Folder: f.root, Files: map[string]record{}}
	ops := []Op{{Kind: Mkdir, Path: path, Mode: 0o755}}
	write := func(file content) {
		to := filepath.Join(path, file.name)
		ops = append(ops, Op{Kind: Create, Path: to, Data: file.data, Mode: file.mode, Owner: &file.owner}, Op{Kind: Sync, Path: to})
	}
	for _, file := range files {
		write(file)
		written.Files[file.name] = record{hexSum(file.data), file.mode, file.owner, file.secret, file.own}
	}
	encoded, err := json.Marshal(written)
	if err != nil {
		return "", err
	}
	write(content{name: manifestName, data: encoded, mode: 0o600, owner: ownUser()})
	ops = append(ops, Op{Kind: Sync, Path: path})
	for _, op := range ops {
		if err := f.do(op); err != nil {
			_ = f.removeGeneration(path)
			return "", trouble("write", op.Path, err)
		}
	}
	return name, nil
}

// uninstall removes a bundle everywhere.
func (f *Folder) uninstall(name string, dirs []string) error {
	for _, dir := range dirs {
		if err := f.clear(f.dirOf(dir), name); err != nil {
			return err
		}
	}
	path := f.path(bundlesName, name+".json")
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return f.do.remove(path)
}

// clear removes a bundle's link, if it is ours, and then its folders.
func (f *Folder) clear(dir, name string) error {
	link := filepath.Join(dir, name)
	if target, err := os.Readlink(link); err == nil && isGeneration(name, target) && !f.foreign(filepath.Join(dir, target)) {
		if err := f.safe(dir, "bundle "+name); err != nil {
			return err
		}
		if err := f.do.remove(link); err != nil {
			return err
		}
	}
	return f.prune(dir, name)
}

// prune removes the folders of a bundle that its link does not point to.
func (f *Folder) prune(dir, name string) error {
	old, err := f.superseded(dir, name)
	if err != nil || len(old) == 0 {
		return err
	}
	if err := f.safe(dir, "bundle "+name); err != nil {
		return err
	}
	for _, path := range old {
		if err := f.removeGeneration(path); err != nil {
			return err
		}
	}
	return trouble("remove from", dir, f.do(Op{Kind: Sync, Path: dir}))
}

// superseded gives the folders of a bundle that its link does not point to.
func (f *Folder) superseded(dir, name string) (paths []string, err error) {
	current, _ := os.Readlink(filepath.Join(dir, name))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, trouble("list", dir, err)
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if entry.IsDir() && entry.Name() != current && isGeneration(name, entry.Name()) && !f.foreign(path) {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

func (f *Folder) removeGeneration(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return trouble("remove", path, err)
	}
	for _, entry := range entries {
		if err := f.do(Op{Kind: Remove, Path: filepath.Join(path, entry.Name())}); err != nil {
			return trouble("remove", filepath.Join(path, entry.Name()), err)
		}
	}
	return trouble("remove", path, f.do(Op{Kind: Remove, Path: path}))
}

// isGeneration reports whether a file name is that of one of the bundle's folders.
func isGeneration(bundle, file string) bool {
	tail, found := strings.CutPrefix(file, "."+bundle+"-")
	sum, number, numbered := strings.Cut(tail, "-")
	return found && numbered && len(sum) == 32 && isHex(sum) && number != "" && strings.TrimLeft(number, "0123456789") == ""
}

// isHex reports whether a text consists of hexadecimal digits as this program writes them.
func isHex(text string) bool { return strings.TrimLeft(text, "0123456789abcdef") == "" }

func (f *Folder) readPlaces(name string) (places, error) {
	path := f.path(bundlesName, name+".json")
	encoded, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return places{}, nil
	}
	if err != nil {
		return places{}, trouble("read", path, err)
	}
	var known places
	_ = json.Unmarshal(encoded, &known) // when it is damaged, the next installation writes it anew
	return known, nil
}

// writePlaces records where the bundle is, unless that is recorded already.
func (f *Folder) writePlaces(name string, dirs []string) error {
	known, err := f.readPlaces(name)
	if err == nil && slices.Equal(known.Dirs, dirs) {
		return nil
	}
	encoded, err := json.Marshal(places{dirs})
	if err != nil {
		return err
	}
	return f.write(encoded, bundlesName, name+".json")
}
