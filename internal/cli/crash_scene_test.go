// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// mark is a moment between two turns of the last settling of a flow, from which the flow goes on by settling.
type mark struct {
	calls int
	scene scene
}

// scene is all that a play goes on from.
type scene struct {
	files   []node
	now     time.Time
	snap    juju.Snapshot
	taken   map[string]string
	issuers map[string]*pretend
}

// node is a file, link or folder.
type node struct {
	path, link string
	mode       fs.FileMode
	data       []byte
}

// onDisk is a node as it was written, and by what it is known that nobody has changed it since.
type onDisk struct {
	node

	info fs.FileInfo
}

// untouched reports whether a file is the one that is known: reading and writing all of them for each play takes most of
// the time of a test.
func untouched(one, other fs.FileInfo) bool {
	a, aFound := one.Sys().(*syscall.Stat_t)
	b, bFound := other.Sys().(*syscall.Stat_t)
	return aFound && bFound && a.Ino == b.Ino && a.Ctim == b.Ctim && a.Size == b.Size && a.Mode == b.Mode
}

// keep remembers the scene.
func (p *play) keep() scene {
	p.t.Helper()
	kept := scene{now: p.now, snap: p.snap, taken: maps.Clone(p.taken), issuers: maps.Clone(p.issuers)}
	require.NoError(p.t, filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == p.dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		one := node{path: path, mode: info.Mode()}
		known, found := p.known[path]
		switch {
		case info.IsDir():
		case found && untouched(known.info, info):
			one = known.node
		case info.Mode().IsRegular():
			one.data, err = os.ReadFile(path)
		default:
			one.link, err = os.Readlink(path)
		}
		kept.files = append(kept.files, one)
		return err
	}))
	return kept
}

// set sets the scene, with a process that does not run yet.
func (p *play) set(s scene) {
	p.t.Helper()
	stands := p.clear(s)
	for _, one := range s.files {
		switch {
		case stands[one.path]:
			continue
		case one.mode.IsDir():
			require.NoError(p.t, os.Mkdir(one.path, 0o700))
			require.NoError(p.t, os.Chmod(one.path, one.mode.Perm()))
		case one.link != "":
			require.NoError(p.t, os.Symlink(one.link, one.path))
		default:
			require.NoError(p.t, os.WriteFile(one.path, one.data, 0o600))
			require.NoError(p.t, os.Chmod(one.path, one.mode.Perm()))
		}
		if !one.mode.IsDir() {
			info, err := os.Lstat(one.path)
			require.NoError(p.t, err)
			p.known[one.path] = onDisk{one, info}
		}
	}
	p.now, p.snap, p.taken, p.issuers, p.unit = s.now, s.snap, maps.Clone(s.taken), maps.Clone(s.issuers), nil
	p.commits, p.loses, p.ran = 0, 0, nil
}

// clear removes what does not belong to a scene, and tells what of it stands.
func (p *play) clear(s scene) map[string]bool {
	p.t.Helper()
	wanted, stands := map[string]node{}, map[string]bool{}
	for _, one := range s.files {
		wanted[one.path] = one
	}
	require.NoError(p.t, filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == p.dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		one, belongs := wanted[path]
		known, found := p.known[path]
		if belongs && one.mode == info.Mode() && (info.IsDir() ||
			found && untouched(known.info, info) && one.link == known.link && string(one.data) == string(known.data)) {
			stands[path] = true
			return nil
		}
		delete(p.known, path)
		err = os.RemoveAll(path)
		if err == nil && info.IsDir() {
			return fs.SkipDir
		}
		return err
	}))
	return stands
}
