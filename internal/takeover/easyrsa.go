// SPDX-License-Identifier: AGPL-3.0-only

package takeover

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
)

// The files of easy-rsa 3 without which nothing can be done.
const (
	authorityFile = "ca.crt"
	keyFile       = "private/ca.key"
	indexFile     = "index.txt"
)

// patterns are the files of easy-rsa that matter. Others, such as the private keys of what it issued, are never kept.
func patterns() []string {
	return []string{
		authorityFile, keyFile, indexFile, "crl.pem",
		"issued/*.crt", "certs_by_serial/*.pem",
		"revoked/certs_by_serial/*.crt",
		"renewed/issued/*.crt", // since 3.1
	}
}

// matters reports whether a path ends in one that matters.
func matters(name string) bool {
	return slices.ContainsFunc(patterns(), func(pattern string) bool {
		parts := strings.Split(name, "/")
		tail := strings.Join(parts[max(0, len(parts)-1-strings.Count(pattern, "/")):], "/")
		matches, _ := path.Match(pattern, tail)
		return matches
	})
}

// files are the content of files that matter, by path.
type files map[string][]byte

// readFolder reads easy-rsa's folder, which may lie below the one that is named.
func readFolder(folder fs.FS) (files, error) {
	if _, err := fs.ReadDir(folder, "."); err != nil {
		return nil, fmt.Errorf("%s: let signet read it", cause(err))
	}
	var names []string
	for pattern := authorityFile; len(names) == 0 && strings.Count(pattern, "/") <= 3; pattern = "*/" + pattern {
		names, _ = fs.Glob(folder, pattern)
	}
	root, err := rootOf(names)
	if err != nil {
		return nil, err
	}
	read, left := files{}, maxTotal
	for _, pattern := range patterns() {
		entries, err := fs.ReadDir(folder, path.Join(root, path.Dir(pattern)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil: // what is revoked may be in there
			return nil, fmt.Errorf("%s: %s: let signet read it", path.Dir(pattern), cause(err))
		case len(entries) > maxEntries:
			return nil, fmt.Errorf("%s has more than %d entries: leave out what is not the authority's", path.Dir(pattern), maxEntries)
		}
		for _, entry := range entries {
			name := path.Join(path.Dir(pattern), entry.Name())
			if matches, _ := path.Match(pattern, name); !matches {
				continue
			}
			data, err := readFile(folder, path.Join(root, name), maxFile)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", quoted(name), err)
			}
			if left -= len(data); left < 0 {
				return nil, tooLarge("the folder", maxTotal)
			}
			read[name] = data
		}
	}
	return read, nil
}

// rootOf is the folder of easy-rsa, which is that of the CA's certificate: of those the highest one, for something else
// may be called "ca" and have a certificate below "issued".
func rootOf(names []string) (string, error) {
	depth := func(name string) int { return strings.Count(name, "/") }
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(depth(a)-depth(b), strings.Compare(a, b)) })
	switch {
	case len(names) == 0:
		return "", errors.New("it holds no " + authorityFile + ": name easy-rsa's folder, which is called pki as a rule")
	case len(names) > 1 && depth(names[0]) == depth(names[1]):
		return "", fmt.Errorf("it holds several authorities, such as %s and %s: name one of them",
			quoted(path.Dir(names[0])), quoted(path.Dir(names[1])))
	}
	return path.Dir(names[0]), nil
}

// readTarball reads a gzipped tar of easy-rsa's folder, as the EasyRSA charm's action "backup" makes it. Nothing is
// written anywhere.
func readTarball(r io.Reader) (files, error) {
	zipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, damaged(err)
	}
	unpacked := &bounded{r: zipped, left: maxTotal}
	all, archive := files{}, tar.NewReader(unpacked)
	for count := 1; ; count++ {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			if _, err := io.Copy(io.Discard, unpacked); err != nil { // gzip's checksum is at the very end
				return nil, damaged(err)
			}
			return all.below()
		case err != nil:
			return nil, damaged(err)
		case count > maxEntries:
			return nil, fmt.Errorf("it has more than %d entries: leave out what is not the authority's", maxEntries)
		}
		if err := all.add(header, archive); err != nil {
			return nil, err
		}
	}
}

// add keeps an entry that matters. A tarball that would write elsewhere, were it unpacked, is not what a backup made.
func (f files) add(header *tar.Header, content io.Reader) error {
	name := path.Clean(header.Name)
	switch {
	case header.Typeflag == tar.TypeXGlobalHeader: // a comment
		return nil
	case path.IsAbs(name) || slices.Contains(strings.Split(header.Name, "/"), ".."):
		return fmt.Errorf("its entry %s leads out of the folder: pack the folder anew", quoted(header.Name))
	case header.Typeflag != tar.TypeReg && header.Typeflag != tar.TypeDir:
		return fmt.Errorf("its entry %s is a link or a device: pack the folder anew with files only", quoted(header.Name))
	case header.Typeflag == tar.TypeDir || !matters(name):
		return nil
	case f[name] != nil:
		return fmt.Errorf("its entry %s is there twice: pack the folder anew", quoted(name))
	}
	data, err := io.ReadAll(io.LimitReader(content, maxFile+1))
	switch {
	case err != nil:
		return damaged(err)
	case len(data) > maxFile:
		return tooLarge("its entry "+quoted(name), maxFile)
	}
	f[name] = data
	return nil
}

// below gives the files by their paths in easy-rsa's folder, wherever in the tarball that is.
func (f files) below() (files, error) {
	var names []string
	for name := range f {
		if path.Base(name) == authorityFile {
			names = append(names, name)
		}
	}
	root, err := rootOf(names)
	if err != nil {
		return nil, err
	}
	found := files{}
	for name, data := range f {
		below, inside := strings.CutPrefix(name, root+"/")
		if root == "." {
			below, inside = name, true
		}
		if inside {
			found[below] = data
		}
	}
	return found, nil
}

// material reads the files. The key may lie elsewhere, as it should with a CA that is offline.
func (f files) material(key []byte, passphrase cert.Key) (m material, err error) {
	name := "the key file"
	if key == nil {
		name, key = keyFile, f[keyFile]
	}
	switch {
	case key == nil:
		return m, errors.New(keyFile + " is missing: name the file that holds the key")
	case f[indexFile] == nil:
		return m, errors.New(indexFile + " is missing, which tells what is revoked: to go on without, name " + authorityFile + " and the key instead")
	}
	if m.index, err = parseIndex(string(f[indexFile])); err != nil {
		return m, err
	}
	if err := m.addPEM(name, key, passphrase); err != nil {
		return m, err
	}
	// The CA's certificate and those above it come first: they are looked for in this order.
	if err := m.addPEM(authorityFile, f[authorityFile], cert.Key{}); err != nil {
		return m, err
	}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if name == authorityFile || name == keyFile || name == indexFile {
			continue
		}
		if err := m.addPEM(quoted(name), f[name], cert.Key{}); err != nil {
			return m, err
		}
	}
	return m, nil
}

// errTooMuch is that a tarball unpacks to more than it may.
var errTooMuch = errors.New("too much")

// bounded reads so much and no more.
type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return 0, errTooMuch
	}
	return n, err
}

func damaged(err error) error {
	if errors.Is(err, errTooMuch) {
		return tooLarge("what it unpacks to", maxTotal)
	}
	return fmt.Errorf("it is damaged or cut off (%s): copy it again", cause(err))
}
