// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/order"
)

// manifest is what a bundle's folder should hold; it is kept inside.
type manifest struct {
	Order     order.ID          `json:"order"`
	Files     map[string]string `json:"files"`      // SHA-256 in hexadecimal by file name
	OwnerOnly []string          `json:"owner-only"` // names of the files for their owner only
}

// generation is the folder that a bundle's link points to. Each of its files is judged by itself, so that damage to one
// does not cost the others.
type generation struct {
	manifest

	path string
}

// generationOf finds what stands in a folder as a bundle, if it can tell what it should hold.
func generationOf(dir, bundle string) (g generation, found bool) {
	target, err := os.Readlink(filepath.Join(dir, bundle))
	if err != nil || !isGeneration(bundle, target) {
		return generation{}, false
	}
	g.path = filepath.Join(dir, target)
	if info, err := os.Lstat(g.path); err != nil || !info.IsDir() {
		return generation{}, false
	}
	encoded, err := readFile(filepath.Join(g.path, manifestName))
	if err != nil || json.Unmarshal(encoded, &g.manifest) != nil {
		return generation{}, false
	}
	return g, true
}

// read gives a file if it is as it was written. What is given is what was compared: the file may change meanwhile.
func (g generation) read(file string) (data []byte, intact bool) {
	sum, listed := g.Files[file]
	if !listed || checkName(file) != nil {
		return nil, false
	}
	data, err := readFile(filepath.Join(g.path, file))
	if err != nil || hexSum(data) != sum {
		return nil, false
	}
	return data, true
}

// secret reports whether a file is for its owner only. Its mode does not tell: somebody may have let a group read it.
func (m manifest) secret(file string) bool {
	return slices.Contains(m.OwnerOnly, file) || strings.HasSuffix(file, ".key")
}

// intact names the files that are as they were written, and tells whether these are all.
func (g generation) intact() (files []string, whole bool) {
	for file := range g.Files {
		if _, ok := g.read(file); ok {
			files = append(files, file)
		}
	}
	return files, len(files) > 0 && len(files) == len(g.Files)
}

// stands reports whether just this order's bundle is in a folder, undamaged.
func stands(dir string, o order.Install) bool {
	g, found := generationOf(dir, o.Name)
	if !found || g.Order != o.ID() {
		return false
	}
	_, whole := g.intact()
	return whole
}

// standing reads a file of the bundle as it stands now, in the first of these places that has it undamaged.
func (f *Folder) standing(bundle, file string, dirs []string) (data []byte, secret, found bool) {
	for _, dir := range dirs {
		g, found := generationOf(f.dirOf(dir), bundle)
		if !found {
			continue
		}
		if data, intact := g.read(file); intact {
			return data, g.secret(file), true
		}
	}
	return nil, false, false
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
