// SPDX-License-Identifier: AGPL-3.0-only

// Package charmpack makes the .charm archive: the charm's files from a checkout, the program for one architecture as
// its dispatch, and one link for each hook. A checkout holds several charms around one program: the main one at its
// root, each other one in a folder with what differs. The same input gives the same bytes, so that anybody can make the
// archive again and compare. Where to look next: Pack for what goes in, Check for what Juju and we demand of it, and
// cmd/main.go, which the Makefile runs.
package charmpack

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/juju/charm/v12"
	"gopkg.in/yaml.v3"
)

// Names inside the archive that Juju gives a meaning.
const (
	dispatchName = "dispatch"    // the program; Juju 2.8 and later run it for each hook
	hooksFolder  = "hooks"       // for whoever runs hooks/<name> instead
	hookTarget   = "../dispatch" // relative, as Juju refuses absolute links
	manifestName = "manifest.yaml"
	versionName  = "version" // shown by juju status
)

// maxVersion is how much of the version file Juju reads, in bytes (charm/v12, ReadVersion).
const maxVersion = 100

// Source is what one charm is made of.
type Source struct {
	Tree    fs.FS  // the checkout: LICENSE and the main charm's files at the root
	Charm   string // the folder in Tree of this charm's own files: "charms/node"; "." or empty for the root
	Arch    string // as Go and Juju both name it: "amd64" or "arm64"
	Binary  []byte // the static program for Arch, a 64-bit ELF file
	Version string // one line of at most 100 bytes
}

// A file is one entry of the archive, in memory.
type file struct {
	name string
	mode fs.FileMode
	data []byte // a link's target where mode has fs.ModeSymlink
}

// treeFile is a file taken from the checkout as it is.
type treeFile struct {
	name     string
	optional bool
	common   bool // the root's for every charm
}

// treeFiles are the files of the checkout that a unit or its operator has a use for. The list says what goes in, so
// that a stray file, which may hold a secret, never travels along.
func treeFiles() []treeFile {
	return []treeFile{
		{name: "LICENSE", common: true},
		{name: "README.md", optional: true},
		{name: "actions.yaml", optional: true},
		{name: "config.yaml"},
		{name: "icon.svg"},
		{name: "metadata.yaml"},
	}
}

// Pack writes the archive of one charm to w. Entries are sorted and carry no times, owners or modes of the machine
// that packed them. Errors name the file at fault; nothing is written before everything has been read.
func Pack(w io.Writer, source Source) error {
	if err := checkVersion(source.Version); err != nil {
		return err
	}
	if err := checkBinary(source.Binary, source.Arch); err != nil {
		return fmt.Errorf("cannot pack %s: %w", dispatchName, err)
	}
	files := []file{
		{name: dispatchName, mode: 0o755, data: source.Binary},
		{name: versionName, mode: 0o644, data: []byte(source.Version + "\n")},
	}
	taken, err := readTree(source)
	if err != nil {
		return err
	}
	files = append(files, taken...)
	manifest, err := manifestFor(source)
	if err != nil {
		return err
	}
	files = append(files, file{name: manifestName, mode: 0o644, data: manifest})
	links, err := hookLinks(source)
	if err != nil {
		return err
	}
	return writeZip(w, append(files, links...))
}

// readTree reads the files that are taken as they are.
func readTree(source Source) ([]file, error) {
	var files []file
	for _, wanted := range treeFiles() {
		read := source.read
		if wanted.common {
			read = source.readRoot
		}
		data, err := read(wanted.name)
		if wanted.optional && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: wanted.name, mode: 0o644, data: data})
	}
	return files, nil
}

// read gives one file of the charm: its own, else the root's, so that a folder holds only what differs.
func (s Source) read(name string) ([]byte, error) {
	data, err := fs.ReadFile(s.Tree, path.Join(s.Charm, name))
	if errors.Is(err, fs.ErrNotExist) {
		return s.readRoot(name)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return data, nil
}

// readRoot gives one file that all charms share.
func (s Source) readRoot(name string) ([]byte, error) {
	data, err := fs.ReadFile(s.Tree, name)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return data, nil
}

// hookLinks gives one link to dispatch for each hook that Juju may run for this metadata.
func hookLinks(source Source) ([]file, error) {
	hooks, err := HookNames(source.Tree, source.Charm)
	if err != nil {
		return nil, err
	}
	links := make([]file, 0, len(hooks))
	for _, hook := range hooks {
		links = append(links, file{
			name: hooksFolder + "/" + hook,
			mode: fs.ModeSymlink | 0o777,
			data: []byte(hookTarget),
		})
	}
	return links, nil
}

// HookNames gives the name of each hook that Juju may run for the metadata.yaml in the charm's folder, sorted. The
// root's is no substitute: a folder without one is no charm, and a misspelt folder must not give the main charm.
func HookNames(tree fs.FS, folder string) ([]string, error) {
	data, err := fs.ReadFile(tree, path.Join(folder, "metadata.yaml"))
	if err != nil {
		return nil, fmt.Errorf("cannot read metadata.yaml: %w", err)
	}
	meta, err := charm.ReadMeta(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("cannot parse metadata.yaml: %w", err)
	}
	return slices.Sorted(maps.Keys(meta.Hooks())), nil
}

// A manifest is the part of manifest.yaml that Juju reads.
type manifest struct {
	Bases []base `yaml:"bases"`
}

// A base is an operating system release that the charm runs on.
type base struct {
	Name          string   `yaml:"name"`
	Channel       string   `yaml:"channel"`
	Architectures []string `yaml:"architectures"`
}

// manifestFor gives the charm's manifest.yaml narrowed to one architecture: the archive holds a program for no other,
// and Juju picks the machine by this list.
func manifestFor(source Source) ([]byte, error) {
	data, err := source.read(manifestName)
	if err != nil {
		return nil, err
	}
	var declared manifest
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true) // what is not carried over must not be lost in silence
	if err := decoder.Decode(&declared); err != nil {
		return nil, fmt.Errorf("cannot parse %s: %w", manifestName, err)
	}
	var narrowed manifest
	for _, candidate := range declared.Bases {
		if slices.Contains(candidate.Architectures, source.Arch) {
			candidate.Architectures = []string{source.Arch}
			narrowed.Bases = append(narrowed.Bases, candidate)
		}
	}
	if len(narrowed.Bases) == 0 {
		return nil, fmt.Errorf("cannot narrow %s to %q: no base names that architecture", manifestName, source.Arch)
	}
	return yaml.Marshal(narrowed)
}

// checkVersion refuses what Juju would show cut off or not at all.
func checkVersion(version string) error {
	switch {
	case strings.TrimSpace(version) == "":
		return errors.New("cannot pack the charm: its version is empty")
	case strings.ContainsAny(version, "\r\n"):
		return fmt.Errorf("cannot pack the charm: its version %q has more than one line", version)
	case len(version) > maxVersion:
		return fmt.Errorf("cannot pack the charm: its version has %d bytes, more than %d", len(version), maxVersion)
	}
	return nil
}

// writeZip writes the files, sorted by name.
func writeZip(w io.Writer, files []file) error {
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	archive := zip.NewWriter(w)
	for _, entry := range files {
		header := &zip.FileHeader{Name: entry.name, Method: zip.Deflate, Modified: epoch()}
		if entry.mode&fs.ModeSymlink != 0 {
			header.Method = zip.Store
		}
		header.SetMode(entry.mode)
		out, err := archive.CreateHeader(header)
		if err != nil {
			return fmt.Errorf("cannot write %s: %w", entry.name, err)
		}
		if _, err := out.Write(entry.data); err != nil {
			return fmt.Errorf("cannot write %s: %w", entry.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("cannot finish the archive: %w", err)
	}
	return nil
}

// epoch is every entry's time: the earliest that a zip file can hold.
func epoch() time.Time { return time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC) }
