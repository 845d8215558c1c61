// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/signet-charm/signet/internal/order"
)

// manifest is what a bundle's folder should hold; it is kept inside.
type manifest struct {
	Order  order.ID          `json:"order"`
	Folder string            `json:"folder"` // the state folder of the unit that wrote it: several may install side by side
	Files  map[string]record `json:"files"`  // by file name
}

// record is one file as it was written.
type record struct {
	Sum    string      `json:"sum"` // SHA-256 in hexadecimal
	Mode   fs.FileMode `json:"mode"`
	Owner  Owner       `json:"owner"`
	Secret bool        `json:"secret"` // whatever its mode became since
	Own    bool        `json:"own"`    // a key that was made here, for a request
}

// generation is the folder that a bundle's link points to. Each of its files is judged by itself, so that damage to one
// does not cost the others.
type generation struct {
	manifest

	path string
}

// generationOf finds what stands in a folder as a bundle, if it can tell what it should hold.
func (f *Folder) generationOf(dir, bundle string) (g generation, found bool) {
	target, err := os.Readlink(filepath.Join(dir, bundle))
	if err != nil || !isGeneration(bundle, target) {
		return generation{}, false
	}
	g, found = readGeneration(filepath.Join(dir, target))
	return g, found && g.Folder == f.root
}

// foreign reports whether a bundle's folder is known to be another unit's.
func (f *Folder) foreign(path string) bool {
	g, found := readGeneration(path)
	return found && g.Folder != f.root
}

func readGeneration(path string) (g generation, found bool) {
	g.path = path
	if info, err := os.Lstat(g.path); err != nil || !info.IsDir() {
		return generation{}, false
	}
	encoded, err := readFile(filepath.Join(g.path, manifestName))
	if err != nil || json.Unmarshal(encoded, &g.manifest) != nil {
		return generation{}, false
	}
	return g, true
}

// read gives a file if its content is as it was written, and whether its mode and owner are too. What is given is what
// was compared: the file may change meanwhile.
func (g generation) read(file string) (data []byte, intact, kept bool) {
	written, listed := g.Files[file]
	if !listed || checkName(file) != nil {
		return nil, false, false
	}
	data, info, err := readFileInfo(filepath.Join(g.path, file))
	if err != nil || hexSum(data) != written.Sum {
		return nil, false, false
	}
	return data, true, info.Mode().Perm() == written.Mode && ownerOf(info) == written.Owner
}

// intact gives the content of the files that have the one that was written, and tells whether these are all, with their
// modes and owners.
func (g generation) intact() (files map[string][]byte, whole bool) {
	files, whole = map[string][]byte{}, len(g.Files) > 0
	for file := range g.Files {
		data, ok, kept := g.read(file)
		if ok {
			files[file] = data
		}
		whole = whole && ok && kept
	}
	return files, whole
}

// stands reports whether just this order's bundle is in a folder, undamaged. What is rendered of other files follows
// from them, and from a program that may be a newer one.
func (f *Folder) stands(dir string, o order.Install, files []content) bool {
	g, found := f.generationOf(dir, o.Name)
	if !found || g.Order != o.ID() || len(files) != len(g.Files) {
		return false
	}
	for _, file := range files {
		if g.Files[file.name].Sum != hexSum(file.data) || g.Files[file.name].Mode != file.mode || g.Files[file.name].Owner != file.owner {
			return false
		}
	}
	_, whole := g.intact()
	return whole
}

// standing reads a file of the bundle as it stands now, in the first of these places that has it undamaged.
func (f *Folder) standing(bundle, file string, dirs []string) (data []byte, written record, found bool) {
	for _, dir := range dirs {
		g, found := f.generationOf(f.dirOf(dir), bundle)
		if !found {
			continue
		}
		if data, intact, _ := g.read(file); intact {
			return data, g.Files[file], true
		}
	}
	return nil, record{}, false
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
