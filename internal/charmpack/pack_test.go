// SPDX-License-Identifier: AGPL-3.0-only

package charmpack_test

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/charmpack"
)

// program gives the smallest file that is an ELF program for the machine, with program headers of these types.
func program(t *testing.T, machine elf.Machine, types ...elf.ProgType) []byte {
	t.Helper()
	const headerSize, progSize = 64, 56
	header := elf.Header64{
		Ident:     [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:      uint16(elf.ET_EXEC),
		Machine:   uint16(machine),
		Version:   uint32(elf.EV_CURRENT),
		Phoff:     headerSize,
		Ehsize:    headerSize,
		Phentsize: progSize,
		Phnum:     uint16(len(types)),
	}
	var out bytes.Buffer
	require.NoError(t, binary.Write(&out, binary.LittleEndian, header))
	for _, kind := range types {
		require.NoError(t, binary.Write(&out, binary.LittleEndian, elf.Prog64{Type: uint32(kind)}))
	}
	return out.Bytes()
}

// source gives the real main charm around a made-up program for amd64.
func source(t *testing.T) charmpack.Source {
	t.Helper()
	return charmpack.Source{Tree: os.DirFS(root), Arch: "amd64", Binary: program(t, elf.EM_X86_64, elf.PT_LOAD), Version: "1.2.3"}
}

// pack gives the archive of a source that is good.
func pack(t *testing.T, from charmpack.Source) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, charmpack.Pack(&out, from))
	return out.Bytes()
}

func TestPackTwiceGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	for name, folder := range folders() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := source(t)
			from.Charm = folder
			first, second := pack(t, from), pack(t, from)
			require.Equal(t, first, second)
		})
	}
}

func TestPackPassesItsOwnCheckOnEachArchitecture(t *testing.T) {
	t.Parallel()
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		for name, folder := range folders() {
			t.Run(name+" on "+arch, func(t *testing.T) {
				t.Parallel()
				from := source(t)
				from.Charm, from.Arch, from.Binary = folder, arch, program(t, machine)
				archive := pack(t, from)
				require.NoError(t, charmpack.Check(archive, arch))

				packed, err := charm.ReadCharmArchiveBytes(archive)
				require.NoError(t, err)
				require.Equal(t, name, packed.Meta().Name)
				require.Equal(t, "1.2.3", packed.Version())
				for _, base := range packed.Manifest().Bases {
					require.Equal(t, []string{arch}, base.Architectures)
				}
			})
		}
	}
}

func TestPackedCharmExpandsToARunnableFolder(t *testing.T) {
	t.Parallel()
	packed, err := charm.ReadCharmArchiveBytes(pack(t, source(t)))
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, packed.ExpandTo(folder))

	for hook := range packed.Meta().Hooks() {
		info, err := os.Stat(filepath.Join(folder, "hooks", hook)) // follows the link
		require.NoError(t, err)
		require.NotZero(t, info.Mode()&0o100, "%s is not executable", hook)
	}
	data, err := os.ReadFile(filepath.Join(folder, "dispatch"))
	require.NoError(t, err)
	require.Equal(t, source(t).Binary, data)
}

func TestPackTakesOnlyWhatACharmNeeds(t *testing.T) {
	t.Parallel()
	tree := checkout(t)
	tree["agent.conf"] = &fstest.MapFile{Data: []byte("password: hunter2")}
	tree["actions.yaml"] = &fstest.MapFile{Data: []byte("status:\n  description: Shows it.\n")}
	delete(tree, "README.md")
	from := source(t)
	from.Tree = tree

	var names []string
	for _, entry := range entriesOf(t, pack(t, from)) {
		if !strings.HasPrefix(entry.Name, "hooks/") {
			names = append(names, entry.Name)
		}
		require.Equal(t, "1980-01-01", entry.Modified.UTC().Format("2006-01-02"), entry.Name)
	}
	require.Equal(t, []string{
		"LICENSE", "actions.yaml", "config.yaml", "dispatch", "icon.svg", "manifest.yaml", "metadata.yaml", "version",
	}, names)
}

func TestPackRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil func(*testing.T, *charmpack.Source, fstest.MapFS)
		want  string
	}{
		"a checkout without metadata.yaml": {
			spoil: func(_ *testing.T, _ *charmpack.Source, tree fstest.MapFS) { delete(tree, "metadata.yaml") },
			want:  "cannot read metadata.yaml",
		},
		"a folder that is no charm": {
			spoil: func(_ *testing.T, from *charmpack.Source, _ fstest.MapFS) { from.Charm = "charms/nod" },
			want:  "cannot read metadata.yaml: open charms/nod/metadata.yaml",
		},
		"a charm's own file that cannot be read": {
			spoil: func(_ *testing.T, from *charmpack.Source, tree fstest.MapFS) {
				from.Charm = "charms/node"
				tree["charms/node/metadata.yaml"] = tree["metadata.yaml"]
				tree["charms/node/config.yaml/folder"] = &fstest.MapFile{}
			},
			want: "cannot read config.yaml",
		},
		"a checkout without the licence": {
			spoil: func(_ *testing.T, _ *charmpack.Source, tree fstest.MapFS) { delete(tree, "LICENSE") },
			want:  "cannot read LICENSE",
		},
		"metadata that is no YAML": {
			spoil: func(_ *testing.T, _ *charmpack.Source, tree fstest.MapFS) { tree["metadata.yaml"].Data = []byte("{") },
			want:  "cannot parse metadata.yaml",
		},
		"a manifest with a member that would be lost": {
			spoil: func(_ *testing.T, _ *charmpack.Source, tree fstest.MapFS) {
				tree["manifest.yaml"].Data = append(tree["manifest.yaml"].Data, "analysis: {}\n"...)
			},
			want: "cannot parse manifest.yaml",
		},
		"a manifest without the architecture": {
			spoil: func(_ *testing.T, _ *charmpack.Source, tree fstest.MapFS) {
				tree["manifest.yaml"].Data = []byte("bases: [{name: ubuntu, channel: '24.04', architectures: [s390x]}]")
			},
			want: `cannot narrow manifest.yaml to "amd64"`,
		},
		"an architecture that nobody builds": {
			spoil: func(_ *testing.T, from *charmpack.Source, _ fstest.MapFS) { from.Arch = "mips" },
			want:  `architecture "mips" is none of`,
		},
		"a program for another machine": {
			spoil: func(t *testing.T, from *charmpack.Source, _ fstest.MapFS) {
				from.Binary = program(t, elf.EM_AARCH64)
			},
			want: "cannot pack dispatch: it is built for EM_AARCH64",
		},
		"a program that needs a dynamic linker": {
			spoil: func(t *testing.T, from *charmpack.Source, _ fstest.MapFS) {
				from.Binary = program(t, elf.EM_X86_64, elf.PT_LOAD, elf.PT_INTERP)
			},
			want: "linked dynamically",
		},
		"a script as the program": {
			spoil: func(_ *testing.T, from *charmpack.Source, _ fstest.MapFS) { from.Binary = []byte("#!/bin/sh\n") },
			want:  "not an ELF program",
		},
		"an empty version": {
			spoil: func(_ *testing.T, from *charmpack.Source, _ fstest.MapFS) { from.Version = " " },
			want:  "its version is empty",
		},
		"a version of two lines": {
			spoil: func(_ *testing.T, from *charmpack.Source, _ fstest.MapFS) { from.Version = "1\n2" },
			want:  "more than one line",
		},
		"a version that Juju would cut off": {
			spoil: func(_ *testing.T, from *charmpack.Source, _ fstest.MapFS) { from.Version = strings.Repeat("1", 101) },
			want:  "more than 100",
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, tree := source(t), checkout(t)
			from.Tree = tree
			test.spoil(t, &from, tree)
			var out bytes.Buffer
			require.ErrorContains(t, charmpack.Pack(&out, from), test.want)
			require.Zero(t, out.Len(), "something was written")
		})
	}
}

func TestPackReportsAFullDisk(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	require.ErrorIs(t, charmpack.Pack(brokenWriter{full}, source(t)), full)
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil func(header *zip.FileHeader, data []byte) (keep bool, changed []byte)
		want  string
	}{
		"no manifest": {
			spoil: drop("manifest.yaml"),
			want:  "cannot accept manifest.yaml: it names no base",
		},
		"no options": {
			spoil: replace("config.yaml", "options: {}"),
			want:  "cannot accept config.yaml",
		},
		"a manifest for all architectures": {
			spoil: replace("manifest.yaml", "bases: [{name: ubuntu, channel: '24.04', architectures: [amd64, arm64]}]"),
			want:  `not for "amd64" alone`,
		},
		"reserved relation names": {
			spoil: replace("metadata.yaml", "name: x\nsummary: x\ndescription: x\nprovides: {juju-x: {interface: x}}"),
			want:  "cannot accept metadata.yaml",
		},
		"no dispatch": {
			spoil: drop("dispatch"),
			want:  "cannot accept dispatch: the archive has no such entry",
		},
		"a dispatch that may not be run": {
			spoil: chmod("dispatch", 0o644),
			want:  "its mode is -rw-r--r--",
		},
		"no version": {
			spoil: drop("version"),
			want:  "its version is empty",
		},
		"a hook left out": {
			spoil: drop("hooks/install"),
			want:  `no entry for ["install"]`,
		},
		"a hook that is no link": {
			spoil: chmod("hooks/install", 0o755),
			want:  "cannot accept hooks/install: it is not a link",
		},
		"a hook that leads elsewhere": {
			spoil: replace("hooks/install", "../version"),
			want:  "cannot accept hooks/install: it is not a link to ../dispatch",
		},
		"a hook that Juju does not have": {
			spoil: func(header *zip.FileHeader, data []byte) (bool, []byte) {
				header.Name = strings.Replace(header.Name, "hooks/install", "hooks/instal", 1)
				return true, data
			},
			want: "cannot accept hooks/instal: Juju has no such hook",
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spoiled := rewrite(t, pack(t, source(t)), test.spoil)
			require.ErrorContains(t, charmpack.Check(spoiled, "amd64"), test.want)
		})
	}
	require.ErrorContains(t, charmpack.Check([]byte("PK"), "amd64"), "cannot read the archive as a charm")
	require.ErrorContains(t, charmpack.Check(pack(t, source(t)), "arm64"), `not for "arm64" alone`)
}

// checkout gives a copy of the real charm's files that a test may spoil.
func checkout(t *testing.T) fstest.MapFS {
	t.Helper()
	tree := fstest.MapFS{"README.md": {Data: []byte("# signet\n")}}
	for _, name := range []string{"LICENSE", "config.yaml", "icon.svg", "manifest.yaml", "metadata.yaml"} {
		tree[name] = &fstest.MapFile{Data: read(t, name)}
	}
	return tree
}

// entriesOf lists an archive.
func entriesOf(t *testing.T, archive []byte) []*zip.File {
	t.Helper()
	reader, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	require.NoError(t, err)
	return reader.File
}

// contentOf gives what is in an entry.
func contentOf(t *testing.T, entry *zip.File) string {
	t.Helper()
	in, err := entry.Open()
	require.NoError(t, err)
	data, err := io.ReadAll(in)
	require.NoError(t, err)
	return string(data)
}

// rewrite copies an archive, with each entry through spoil.
func rewrite(t *testing.T, archive []byte, spoil func(*zip.FileHeader, []byte) (bool, []byte)) []byte {
	t.Helper()
	var out bytes.Buffer
	writer := zip.NewWriter(&out)
	for _, entry := range entriesOf(t, archive) {
		data := []byte(contentOf(t, entry))
		header := zip.FileHeader{Name: entry.Name, Method: zip.Deflate, ExternalAttrs: entry.ExternalAttrs, CreatorVersion: entry.CreatorVersion}
		keep, data := spoil(&header, data)
		if !keep {
			continue
		}
		to, err := writer.CreateHeader(&header)
		require.NoError(t, err)
		_, err = to.Write(data)
		require.NoError(t, err)
	}
	require.NoError(t, writer.Close())
	return out.Bytes()
}

// drop leaves one entry out.
func drop(name string) func(*zip.FileHeader, []byte) (bool, []byte) {
	return func(header *zip.FileHeader, data []byte) (bool, []byte) { return header.Name != name, data }
}

// replace gives one entry other content.
func replace(name, content string) func(*zip.FileHeader, []byte) (bool, []byte) {
	return func(header *zip.FileHeader, data []byte) (bool, []byte) {
		if header.Name == name {
			return true, []byte(content)
		}
		return true, data
	}
}

// chmod gives one entry another mode.
func chmod(name string, mode fs.FileMode) func(*zip.FileHeader, []byte) (bool, []byte) {
	return func(header *zip.FileHeader, data []byte) (bool, []byte) {
		if header.Name == name {
			header.SetMode(mode)
		}
		return true, data
	}
}

// A brokenWriter fails at once.
type brokenWriter struct{ err error }

// Write writes nothing.
func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }
