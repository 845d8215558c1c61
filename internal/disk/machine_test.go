// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/disk"
)

var errPower = errors.New("the machine lost power")

// machine is a disk.System that knows, beside the real folder it writes to, what would survive a loss of power.
// It fails one operation on demand, done or not done.
type machine struct {
	base   string
	root   *inode
	lost   *inode // as root was when power was lost
	ops    []disk.Op
	failAt int // the operation to fail, counted from 1; 0 for none
	done   bool
	dies   bool // whether all later operations fail too
}

// inode is a file, link or folder: as it is, and as it is durable.
type inode struct {
	mode              fs.FileMode
	link              string
	data, synced      []byte
	entries, durables map[string]*inode // of a folder
}

// loss is what of the unsynced data a loss of power leaves.
type loss string

const (
	keepsAll     loss = "all is kept"
	losesAll     loss = "all unsynced is lost"
	losesContent loss = "names are kept, content is lost"
	tearsContent loss = "names are kept, content is torn"
)

func newMachine(t *testing.T) *machine {
	t.Helper()
	return &machine{base: private(t), root: newFolderInode(0o755)}
}

func newFolderInode(mode fs.FileMode) *inode {
	return &inode{mode: mode, entries: map[string]*inode{}, durables: map[string]*inode{}}
}

// fail lets the n-th operation from now fail.
func (m *machine) fail(n int, done, dies bool) { m.ops, m.failAt, m.done, m.dies = nil, n, done, dies }

// heal lets all operations work again and forgets those so far.
func (m *machine) heal() { m.fail(0, false, false) }

func (m *machine) do(op disk.Op) error {
	m.ops = append(m.ops, op)
	now := len(m.ops)
	if m.failAt > 0 && (now == m.failAt && !m.done || now > m.failAt && m.dies) {
		return &fs.PathError{Op: string(op.Kind), Path: op.Path, Err: errPower}
	}
	if op.Kind != disk.Sync { // real syncs would only take time
		if err := disk.Perform(op); err != nil {
			return err
		}
	}
	if err := m.remember(op); err != nil {
		return err
	}
	if now == m.failAt {
		return &fs.PathError{Op: string(op.Kind), Path: op.Path, Err: errPower}
	}
	return nil
}

// remember does the operation on the model.
func (m *machine) remember(op disk.Op) error {
	folder, name, err := m.find(op.Path)
	if err != nil {
		return err
	}
	node := folder.entries[name]
	if op.Path == m.base {
		node = m.root
	}
	switch op.Kind {
	case disk.Mkdir:
		folder.entries[name] = newFolderInode(op.Mode)
	case disk.Create:
		folder.entries[name] = &inode{mode: op.Mode, data: append([]byte(nil), op.Data...)}
	case disk.Symlink:
		folder.entries[name] = &inode{link: op.To}
	case disk.Append:
		node.data = append(node.data, op.Data...)
	case disk.Truncate:
		node.data = node.data[:op.Size:op.Size]
	case disk.Remove:
		delete(folder.entries, name)
	case disk.Rename:
		target, newName, err := m.find(op.To)
		if err != nil {
			return err
		}
		target.entries[newName] = node
		delete(folder.entries, name)
	case disk.Sync:
		node.synced = append([]byte(nil), node.data...)
		node.durables = maps.Clone(node.entries)
	}
	return nil
}

// find gives the folder that a path is in.
func (m *machine) find(path string) (*inode, string, error) {
	inside, err := filepath.Rel(m.base, path)
	if err != nil || strings.HasPrefix(inside, "..") {
		return nil, "", fmt.Errorf("%s is outside the machine", path)
	}
	folder := m.root
	parts := strings.Split(inside, string(filepath.Separator))
	for _, part := range parts[:len(parts)-1] {
		if folder = folder.entries[part]; folder == nil || folder.entries == nil {
			return nil, "", fmt.Errorf("%s is in no folder", path)
		}
	}
	return folder, parts[len(parts)-1], nil
}

// losses tells what losses of power, now, come to different things, and remembers the state in which it is lost.
func (m *machine) losses() []loss {
	m.lost = m.root
	var different []loss
	seen := map[string]bool{}
	for _, how := range []loss{keepsAll, losesAll, losesContent, tearsContent} {
		if left := m.lost.surviving(how).String(); !seen[left] {
			seen[left] = true
			different = append(different, how)
		}
	}
	return different
}

// restart opens the folder with what a loss of power left of it.
func (m *machine) restart(t *testing.T, how loss) *disk.Folder {
	t.Helper()
	m.heal()
	m.root = m.lost.surviving(how)
	require.NoError(t, os.RemoveAll(m.base))
	require.NoError(t, os.Mkdir(m.base, 0o755))
	m.root.materialise(t, m.base)
	folder, err := disk.OpenOn(filepath.Join(m.base, "signet"), m.do, disk.OnMachine(m.base))
	require.NoError(t, err)
	return folder
}

// String is all of a tree.
func (n *inode) String() string {
	if n.entries == nil {
		return fmt.Sprintf("%o %s%q", n.mode, n.link, n.data)
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		fmt.Fprintf(&text, "%s: {%s} ", name, n.entries[name])
	}
	return text.String()
}

func (n *inode) surviving(how loss) *inode {
	left := &inode{mode: n.mode, link: n.link}
	switch {
	case n.entries != nil:
		kept := n.entries
		if how == losesAll {
			kept = n.durables
		}
		left.entries = map[string]*inode{}
		for name, node := range kept {
			left.entries[name] = node.surviving(how)
		}
		left.durables = maps.Clone(left.entries)
		return left
	case how == keepsAll:
		left.data = n.data
	case how == tearsContent && len(n.data) > len(n.synced):
		left.data = n.data[:(len(n.data)+len(n.synced))/2]
	default:
		left.data = n.synced
	}
	left.data = append([]byte(nil), left.data...)
	left.synced = append([]byte(nil), left.data...)
	return left
}

func (n *inode) materialise(t *testing.T, path string) {
	t.Helper()
	for name, node := range n.entries {
		inside := filepath.Join(path, name)
		switch {
		case node.entries != nil:
			require.NoError(t, disk.Perform(disk.Op{Kind: disk.Mkdir, Path: inside, Mode: node.mode}))
			node.materialise(t, inside)
		case node.link != "":
			require.NoError(t, os.Symlink(node.link, inside))
		default:
			require.NoError(t, disk.Perform(disk.Op{Kind: disk.Create, Path: inside, Data: node.data, Mode: node.mode}))
		}
	}
}

// scenario is something durable that the folder does, tried with each of its operations failing in each way.
type scenario struct {
	before func(t *testing.T, folder *disk.Folder)                      // the state before, durable
	act    func(folder *disk.Folder) error                              // what is cut off
	whole  func(t *testing.T, folder *disk.Folder, acknowledged bool)   // the state must be old or new; new when acknowledged
	after  func(t *testing.T, folder *disk.Folder, operations *machine) // after act was repeated with success
}

// sweep runs a scenario once for each operation, way of failing and loss.
func sweep(t *testing.T, s scenario) {
	t.Helper()
	start := func(t *testing.T) (*machine, *disk.Folder) {
		m := newMachine(t)
		folder, err := disk.OpenOn(filepath.Join(m.base, "signet"), m.do, disk.OnMachine(m.base))
		require.NoError(t, err)
		s.before(t, folder)
		m.heal()
		return m, folder
	}
	m, folder := start(t)
	require.NoError(t, s.act(folder))
	count := len(m.ops)
	require.Positive(t, count, "it does something")
	for n := 1; n <= count; n++ {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprintf("operation %d %s fails, done %t", n, m.ops[n-1].Kind, done), func(t *testing.T) {
				t.Parallel()
				m, folder := start(t)
				m.fail(n, done, false)
				err := s.act(folder)
				m.heal()
				s.whole(t, folder, err == nil)
				require.NoError(t, s.act(folder))
				s.whole(t, folder, true)
				s.after(t, folder, m)
			})
		}
	}
	for n := 1; n <= count+1; n++ {
		t.Run(fmt.Sprintf("power is lost before operation %d", n), func(t *testing.T) {
			t.Parallel()
			m, folder := start(t)
			m.fail(n, false, true)
			acknowledged := s.act(folder) == nil
			require.Equal(t, n > count, acknowledged)
			losses, lost := m.losses(), m.root
			for _, how := range losses {
				m.lost = lost
				folder := m.restart(t, how)
				s.whole(t, folder, acknowledged)
				require.NoError(t, s.act(folder), how)
				m.lost = m.root
				folder = m.restart(t, losesAll) // what is acknowledged is durable
				s.whole(t, folder, true)
				s.after(t, folder, m)
			}
		})
	}
}
