// SPDX-License-Identifier: AGPL-3.0-only

// Package disktest has a machine that loses power: a disk.System that knows, beside the real folder it writes to, what
// would survive. For tests. Where to look next: loss.go for what a loss of power leaves.
package disktest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/disk"
)

// ErrPower is what fails when power is lost.
var ErrPower = errors.New("the machine lost power")

// Machine writes to a real folder, and fails one operation on demand, done or not done. Not safe for concurrent use.
type Machine struct {
	Base string
	Ops  []disk.Op // since it was told what to fail

	root   *inode
	lost   *inode // as root was when power was lost
	number int    // of the last operation, ever
	failAt int    // the operation to fail, counted from 1; 0 for none
	done   bool
	dies   bool // whether all later operations fail too
}

// inode is a file, link or folder: as it is, and as it is durable.
type inode struct {
	mode              fs.FileMode
	link              string
	data, synced      []byte
	entries, durables map[string]*inode // of a folder
	pending           []change          // of its entries, since they were durable
}

// change is what an operation that is not durable did to a name in a folder.
type change struct {
	op   int // its number: a rename is two changes, both or none of which come to pass
	name string
	node *inode // nil where the name is gone
}

// NewMachine gives the machine whose disk is a folder with all that is in it, all of it durable.
func NewMachine(base string) (*Machine, error) {
	root, err := load(base)
	return &Machine{Base: base, root: root}, err
}

func load(path string) (*inode, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	node := &inode{mode: info.Mode().Perm()}
	switch {
	case info.Mode().IsRegular():
		node.data, err = os.ReadFile(path)
		node.synced = slices.Clone(node.data)
		return node, err
	case !info.IsDir():
		node.link, err = os.Readlink(path)
		return node, err
	}
	node.entries = map[string]*inode{}
	entries, err := os.ReadDir(path)
	for _, entry := range entries {
		if node.entries[entry.Name()], err = load(filepath.Join(path, entry.Name())); err != nil {
			return nil, err
		}
	}
	node.durables = maps.Clone(node.entries)
	return node, err
}

// Fail lets the n-th operation from now fail.
func (m *Machine) Fail(n int, done, dies bool) { m.Ops, m.failAt, m.done, m.dies = nil, n, done, dies }

// Heal lets all operations work again and forgets those so far.
func (m *Machine) Heal() { m.Fail(0, false, false) }

// Do is a disk.System.
func (m *Machine) Do(op disk.Op) error {
	m.Ops = append(m.Ops, op)
	now := len(m.Ops)
	if m.failAt > 0 && (now == m.failAt && !m.done || now > m.failAt && m.dies) {
		return &fs.PathError{Op: string(op.Kind), Path: op.Path, Err: ErrPower}
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
		return &fs.PathError{Op: string(op.Kind), Path: op.Path, Err: ErrPower}
	}
	return nil
}

// remember does the operation on the model.
func (m *Machine) remember(op disk.Op) error {
	folder, name, err := m.find(op.Path)
	if err != nil {
		return err
	}
	node := folder.entries[name]
	if op.Path == m.Base {
		node = m.root
	}
	m.number++
	switch op.Kind {
	case disk.Mkdir:
		folder.put(m.number, name, &inode{mode: op.Mode, entries: map[string]*inode{}, durables: map[string]*inode{}})
	case disk.Create:
		folder.put(m.number, name, &inode{mode: op.Mode, data: slices.Clone(op.Data)})
	case disk.Symlink:
		folder.put(m.number, name, &inode{link: op.To})
	case disk.Append:
		node.data = append(node.data, op.Data...)
	case disk.Truncate:
		node.data = node.data[:op.Size:op.Size]
	case disk.Remove:
		folder.put(m.number, name, nil)
	case disk.Rename:
		target, newName, err := m.find(op.To)
		if err != nil {
			return err
		}
		target.put(m.number, newName, node)
		folder.put(m.number, name, nil)
	case disk.Sync:
		node.synced, node.durables, node.pending = slices.Clone(node.data), maps.Clone(node.entries), nil
	}
	return nil
}

// put changes what has a name in a folder; nil for nothing.
func (n *inode) put(op int, name string, node *inode) {
	n.pending = append(n.pending, change{op, name, node})
	apply(n.entries, name, node)
}

func apply(entries map[string]*inode, name string, node *inode) {
	if node == nil {
		delete(entries, name)
		return
	}
	entries[name] = node
}

// find gives the folder that a path is in.
func (m *Machine) find(path string) (*inode, string, error) {
	inside, err := filepath.Rel(m.Base, path)
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
