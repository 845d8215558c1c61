// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/signet-charm/signet/internal/kubefile"
	"github.com/signet-charm/signet/internal/order"
)

// merged is what was put, or may have been put, into somebody else's kubeconfig.
type merged struct {
	Order      order.ID         `json:"order"` // empty while it is not known to stand
	Bundle     string           `json:"bundle"`
	Dir        string           `json:"dir"`
	Path       string           `json:"path"`
	Kubeconfig order.Kubeconfig `json:"kubeconfig"`
	Sums       []string         `json:"sums"` // kubefile's, of the entries that may stand there
}

// merge puts entries into a kubeconfig, and takes those that an earlier order put into another file out of it.
func (f *Folder) merge(o order.Merge) error {
	var known merged
	if err := f.readRecord(mergeRecord, &known); err != nil {
		return err
	}
	if known.Path != "" && (known.Path != o.Path || namesOf(known.Kubeconfig) != namesOf(o.Kubeconfig)) {
		if err := f.unmerge(known); err != nil {
			return err
		}
		known = merged{}
		if err := f.writeRecord(mergeRecord, known); err != nil {
			return err
		}
	}
	if o.Path == "" {
		return nil
	}
	if !filepath.IsAbs(o.Path) || filepath.Clean(o.Path) != o.Path {
		return order.Fail("bad-order", "cannot merge into %q: give a clean absolute path", o.Path)
	}
	config, err := f.kubeconfig(o.Bundle, o.Dir, o.Kubeconfig, func(name string) ([]byte, bool) {
		data, _, found := f.standing(o.Bundle, name, []string{o.Dir})
		return data, found
	})
	if err != nil {
		return err
	}
	path, existing, err := f.readMergeable(o.Path)
	if err != nil {
		return err
	}
	formers := known.Sums
	if o.Overwrite {
		formers = []string{kubefile.Overwrite}
	}
	text, err := kubefile.Merge(existing.text, config, formers...)
	if err != nil {
		code := "bad-kubeconfig"
		if errors.Is(err, kubefile.ErrForeign) {
			code = "occupied"
		}
		return order.Fail(code, "cannot merge into %s: %v: mend the file, or choose another with kubeconfig-merge", path, err)
	}
	pending := merged{Bundle: o.Bundle, Dir: o.Dir, Path: o.Path, Kubeconfig: o.Kubeconfig, Sums: known.Sums}
	if sum := config.Sum(); !slices.Contains(pending.Sums, sum) {
		pending.Sums = append(slices.Clone(known.Sums), sum)
	}
	if err := f.writeRecord(mergeRecord, pending); err != nil {
		return err
	}
	if o.Kubeconfig.Embed {
		existing.mode &= 0o700 // it holds a key now
	}
	if err := f.replaceMergeable(path, existing, text); err != nil {
		return err
	}
	pending.Order, pending.Sums = o.ID(), []string{config.Sum()}
	return f.writeRecord(mergeRecord, pending)
}

func namesOf(of order.Kubeconfig) kubefile.Names {
	return kubefile.Names{Cluster: of.Cluster, User: of.User, Context: of.Context}
}

// unmerge takes entries out of a kubeconfig, if they are as they were put there.
func (f *Folder) unmerge(known merged) error {
	path, existing, err := f.readMergeable(known.Path)
	if err != nil {
		return err
	}
	if err := f.do.discard(temporaryMerge(path)); err != nil || !existing.there {
		return err
	}
	text, err := kubefile.Remove(existing.text, namesOf(known.Kubeconfig), known.Sums...)
	switch {
	case err != nil: // it is no kubeconfig any more, so nothing of ours is in force there
		return nil //nolint:nilerr // whoever spoilt it will mend it
	case text == "":
		return f.do.remove(path)
	}
	return f.replaceMergeable(path, existing, text)
}

// mergeable is somebody else's kubeconfig.
type mergeable struct {
	there bool
	text  string
	mode  fs.FileMode
	owner Owner
}

// readMergeable reads a kubeconfig, through links, and gives where it is. One that is not there will be made.
func (f *Folder) readMergeable(path string) (string, mergeable, error) {
	path = f.onMachine(path)
	if behind, err := filepath.EvalSymlinks(path); err == nil {
		path = behind
	}
	if err := f.safe(filepath.Dir(path), "kubeconfig "+filepath.Base(path)); err != nil {
		return path, mergeable{}, err
	}
	data, info, err := readFileInfo(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, mergeable{mode: 0o600, owner: ownUser()}, nil
	}
	if err != nil {
		return path, mergeable{}, trouble("read", path, err)
	}
	return path, mergeable{true, string(data), info.Mode().Perm(), ownerOf(info)}, nil
}

// temporaryMerge is where a merged kubeconfig is written before it takes the place of the former.
func temporaryMerge(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".signet"+temporarySuffix)
}

// replaceMergeable writes a kubeconfig back as whose it is.
func (f *Folder) replaceMergeable(path string, existing mergeable, text string) error {
	temporary := temporaryMerge(path)
	if err := f.do.discard(temporary); err != nil {
		return err
	}
	if info, err := os.Lstat(path); err == nil && existing.text == text && info.Mode().Perm() == existing.mode {
		return nil
	}
	dir := filepath.Dir(path)
	if err := f.do.makeFolder(dir, 0o700); err != nil {
		return err
	}
	return f.do.replaceAs(path, Op{Path: temporary, Data: []byte(text), Mode: existing.mode, Owner: &existing.owner})
}

// mergeStands gives the order whose entries stand in somebody else's kubeconfig; false when none was put into any.
func (f *Folder) mergeStands() (id order.ID, recorded bool) {
	var known merged
	if err := f.readRecord(mergeRecord, &known); err != nil || known.Path == "" {
		return "", err != nil
	}
	config, err := f.kubeconfig(known.Bundle, known.Dir, known.Kubeconfig, func(name string) ([]byte, bool) {
		data, _, found := f.standing(known.Bundle, name, []string{known.Dir})
		return data, found
	})
	if err != nil {
		return "", true
	}
	_, existing, err := f.readMergeable(known.Path)
	if err != nil || !kubefile.Holds(existing.text, config) {
		return "", true
	}
	return known.Order, true
}
