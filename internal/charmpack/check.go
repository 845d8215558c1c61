// SPDX-License-Identifier: AGPL-3.0-only

package charmpack

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/juju/charm/v12"
)

// Check reads an archive back the way Juju does and then as strictly as this project does: metadata and manifest are
// valid for Juju, every base has an architecture and it is arch alone, dispatch is a static program for arch and may
// be run, and hooks holds exactly one link to it for each hook. Errors name the entry at fault.
func Check(archive []byte, arch string) error {
	packed, err := charm.ReadCharmArchiveBytes(archive)
	if err != nil {
		return fmt.Errorf("cannot read the archive as a charm: %w", err)
	}
	if err := charm.CheckMeta(packed); err != nil {
		return fmt.Errorf("cannot accept metadata.yaml: %w", err)
	}
	if err := checkManifest(packed.Manifest(), arch); err != nil {
		return fmt.Errorf("cannot accept %s: %w", manifestName, err)
	}
	if len(packed.Config().Options) == 0 {
		return errors.New("cannot accept config.yaml: it has no options")
	}
	if err := checkVersion(packed.Version()); err != nil {
		return err
	}
	entries, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return fmt.Errorf("cannot read the archive: %w", err)
	}
	if err := checkDispatch(entries, arch); err != nil {
		return fmt.Errorf("cannot accept %s: %w", dispatchName, err)
	}
	return checkHooks(entries, packed.Meta())
}

// checkManifest demands at least one base, each for arch alone. Juju takes a charm without a manifest for one of the
// oldest format.
func checkManifest(declared *charm.Manifest, arch string) error {
	if declared == nil || len(declared.Bases) == 0 {
		return errors.New("it names no base")
	}
	if err := declared.Validate(); err != nil {
		return err
	}
	for _, candidate := range declared.Bases {
		if !slices.Equal(candidate.Architectures, []string{arch}) {
			return fmt.Errorf("base %s is for %q, not for %q alone", candidate.Channel.Track, candidate.Architectures, arch)
		}
	}
	return nil
}

// checkDispatch demands the program itself, executable: charm/v12 mends the modes of hooks, but not this one.
func checkDispatch(entries *zip.Reader, arch string) error {
	entry, err := find(entries, dispatchName)
	if err != nil {
		return err
	}
	if entry.Mode() != 0o755 {
		return fmt.Errorf("its mode is %s, not %s", entry.Mode(), fs.FileMode(0o755))
	}
	binary, err := content(entry)
	if err != nil {
		return err
	}
	return checkBinary(binary, arch)
}

// checkHooks demands one link to dispatch for each of Juju's hooks, and nothing else in the folder.
func checkHooks(entries *zip.Reader, meta *charm.Meta) error {
	missing := maps.Clone(meta.Hooks())
	for _, entry := range entries.File {
		name, inside := cutFolder(entry.Name)
		if !inside {
			continue
		}
		if !missing[name] {
			return fmt.Errorf("cannot accept %s: Juju has no such hook", entry.Name)
		}
		delete(missing, name)
		target, err := content(entry)
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", entry.Name, err)
		}
		if entry.Mode()&fs.ModeSymlink == 0 || string(target) != hookTarget {
			return fmt.Errorf("cannot accept %s: it is not a link to %s", entry.Name, hookTarget)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("cannot accept %s: no entry for %q", hooksFolder, slices.Sorted(maps.Keys(missing)))
	}
	return nil
}

// checkBinary demands a static 64-bit ELF program for arch. A dynamic one would need libraries that the oldest base
// may lack.
func checkBinary(binary []byte, arch string) error {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	wanted, known := machines[arch]
	if !known {
		return fmt.Errorf("architecture %q is none of %q", arch, slices.Sorted(maps.Keys(machines)))
	}
	program, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		return fmt.Errorf("not an ELF program: %w", err)
	}
	if program.Machine != wanted {
		return fmt.Errorf("it is built for %s, not for %s (%s)", program.Machine, wanted, arch)
	}
	if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return errors.New("it is linked dynamically: build it with CGO_ENABLED=0")
	}
	return nil
}

// find gives the entry with this name.
func find(entries *zip.Reader, name string) (*zip.File, error) {
	at := slices.IndexFunc(entries.File, func(f *zip.File) bool { return f.Name == name })
	if at < 0 {
		return nil, errors.New("the archive has no such entry")
	}
	return entries.File[at], nil
}

// content reads one entry.
func content(entry *zip.File) ([]byte, error) {
	in, err := entry.Open()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(in)
	return data, errors.Join(err, in.Close())
}

// cutFolder gives what follows "hooks/" in an entry's name.
func cutFolder(name string) (hook string, inside bool) {
	return strings.CutPrefix(name, hooksFolder+"/")
}
