// SPDX-License-Identifier: AGPL-3.0-only

package disktest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/disk"
)

// Loss is what of the unsynced operations a loss of power leaves.
type Loss struct {
	Name  string
	names func(op int) bool // whether an operation on names came to pass
	data  func() float64    // how much of a file's unsynced content did: from 0 for none of it to 1 for all
}

func always(int) bool         { return true }
func never(int) bool          { return false }
func all() float64            { return 1 }
func none() float64           { return 0 }
func half() float64           { return 0.5 }
func (l Loss) String() string { return l.Name }

// KeepsNothing loses all that is not synced.
func KeepsNothing() Loss { return Loss{"all unsynced is lost", never, none} }

// draws is how many losses are drawn at random, from the same seeds each time.
const draws = 3

func losses() []Loss {
	list := []Loss{
		{"all is kept", always, all}, KeepsNothing(),
		{"names are kept, content is lost", always, none}, {"names are kept, content is torn", always, half},
	}
	for seed := range uint64(draws) {
		list = append(list, Reorders(seed))
	}
	return list
}

// Reorders has the disk carry out any of the unsynced operations and leave others out, whichever came first: a rename
// lands and the data does not, or the other way round.
func Reorders(seed uint64) Loss {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's, to be repeated
	drawn := map[int]bool{}
	return Loss{
		fmt.Sprintf("reordered, seed %d", seed),
		func(op int) bool {
			if _, known := drawn[op]; !known {
				drawn[op] = random.IntN(2) == 0
			}
			return drawn[op]
		},
		func() float64 { return []float64{0, 0.5, 1}[random.IntN(3)] },
	}
}

// Cut loses power: what is done from now on counts for nothing.
func (m *Machine) Cut() { m.lost = m.root }

// Losses tells what losses of power, now, come to different things.
func (m *Machine) Losses() []Loss {
	m.Cut()
	var different []Loss
	seen := map[string]bool{}
	for i, how := range losses() {
		if left := m.lost.surviving(how).String(); !seen[left] {
			seen[left] = true
			different = append(different, losses()[i]) // one that has drawn nothing yet
		}
	}
	return different
}

// Restart has on the disk what a loss of power left of it when it was cut. The same cut can be restarted from again, in
// another way.
func (m *Machine) Restart(how Loss) error {
	m.Heal()
	cut := m.lost
	m.root = cut.surviving(how)
	entries, err := os.ReadDir(m.Base)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(m.Base, entry.Name())); err != nil {
			return err
		}
	}
	return m.root.materialise(m.Base)
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

func (n *inode) surviving(how Loss) *inode {
	left := &inode{mode: n.mode, link: n.link}
	if n.entries == nil {
		left.data = n.synced
		if len(n.data) > len(n.synced) { // what was there before stays; of what was added, a part
			left.data = n.data[:len(n.synced)+int(float64(len(n.data)-len(n.synced))*how.data())]
		} else if how.data() == 1 {
			left.data = n.data
		}
		left.data = slices.Clone(left.data)
		left.synced = slices.Clone(left.data)
		return left
	}
	kept := maps.Clone(n.durables)
	for _, one := range n.pending {
		if how.names(one.op) {
			apply(kept, one.name, one.node)
		}
	}
	left.entries = map[string]*inode{}
	for _, name := range slices.Sorted(maps.Keys(kept)) { // draws are to be the same each time
		left.entries[name] = kept[name].surviving(how)
	}
	left.durables = maps.Clone(left.entries)
	return left
}

func (n *inode) materialise(path string) error {
	for name, node := range n.entries {
		inside := filepath.Join(path, name)
		op := disk.Op{Kind: disk.Create, Path: inside, Data: node.data, Mode: node.mode}
		switch {
		case node.entries != nil:
			op = disk.Op{Kind: disk.Mkdir, Path: inside, Mode: node.mode}
		case node.link != "":
			op = disk.Op{Kind: disk.Symlink, Path: inside, To: node.link}
		}
		if err := disk.Perform(op); err != nil {
			return err
		}
		if err := node.materialise(inside); err != nil {
			return err
		}
	}
	return nil
}
