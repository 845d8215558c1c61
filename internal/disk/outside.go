// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-charm/signet/internal/order"
)

// What lies where other programs look for it is recorded in the folder, one record a kind of order. A record is written
// before what it speaks of, so that nothing is left behind that no record names, and again with the order's ID once all
// of it stands.

const (
	linksRecord = "links.json"
	mergeRecord = "merge.json"
	trustRecord = "trust.json"
)

// onMachine gives the place of a path on the machine, which in a sandbox is another.
func (f *Folder) onMachine(path string) string {
	if f.machine == "" {
		return filepath.Clean(path)
	}
	return filepath.Join(f.machine, path)
}

// readRecord reads a record; one that is not there or damaged is empty.
func (f *Folder) readRecord(name string, record any) error {
	path := f.path(outsideName, name)
	encoded, err := readFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return trouble("read", path, err)
	}
	_ = json.Unmarshal(encoded, record)
	return nil
}

// writeRecord writes a record unless just that stands there.
func (f *Folder) writeRecord(name string, record any) error {
	encoded, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if standing, err := readFile(f.path(outsideName, name)); err == nil && string(standing) == string(encoded) {
		return nil
	}
	return f.write(encoded, outsideName, name)
}

// damaged is told in place of an order whose effect does not stand, or not all of it.
const damaged = "damaged"

// surveyOutside tells which orders' effects stand outside the folder.
func (f *Folder) surveyOutside(found map[string]string) {
	for key, stands := range map[string]func() (order.ID, bool){"links": f.linksStand, "merge": f.mergeStands, "trust": f.trustStands} {
		switch id, recorded := stands(); {
		case recorded && id == "":
			found[key] = damaged
		case recorded:
			found[key] = string(id)
		}
	}
	if texts := f.trustedTexts(); texts != "" {
		found["text.trust"] = texts
	}
	var known trusted
	if f.readRecord(trustRecord, &known) == nil && known.Laid > 0 {
		found["trust.laid"] = strconv.Itoa(known.Laid)
	}
}

// links are the links that stand, or may stand, outside.
type links struct {
	Order order.ID            `json:"order"` // empty while not all of it is known to stand
	At    map[string][]string `json:"at"`    // by path: where a link of ours may lead
}

// link makes links and removes those that are wanted no more.
func (f *Folder) link(o order.Link) error {
	var known links
	if err := f.readRecord(linksRecord, &known); err != nil {
		return err
	}
	pending := links{At: map[string][]string{}}
	for path, targets := range known.At {
		pending.At[path] = targets
	}
	wanted := map[string]string{}
	for _, link := range o.Links {
		if !filepath.IsAbs(link.Path) || filepath.Clean(link.Path) != link.Path || checkName(link.File) != nil {
			return order.Fail("bad-order", "cannot link %q to %q: give a clean absolute path and a file of the bundle", link.Path, link.File)
		}
		path, target := f.onMachine(link.Path), filepath.Join(f.dirOf(o.Dir), o.Bundle, link.File)
		wanted[path] = target
		if !slices.Contains(pending.At[path], target) {
			pending.At[path] = append(slices.Clone(pending.At[path]), target)
		}
	}
	if err := f.writeRecord(linksRecord, pending); err != nil {
		return err
	}
	done := links{Order: o.ID(), At: map[string][]string{}}
	var faults []string
	for _, path := range sortedKeys(pending.At) {
		target, isWanted := wanted[path]
		var err error
		if isWanted {
			err = f.makeLink(path, target, pending.At[path], o.Overwrite)
		} else {
			err = f.removeLink(path, pending.At[path])
		}
		switch {
		case err != nil:
			faults = append(faults, err.Error())
			done.Order, done.At[path] = "", pending.At[path]
		case isWanted:
			done.At[path] = []string{target}
		}
	}
	if err := f.writeRecord(linksRecord, done); err != nil {
		return err
	}
	if len(faults) > 0 {
		return order.Fail("occupied", "%s", strings.Join(faults, "; "))
	}
	return nil
}

// makeLink puts a link at a path. What is there is replaced if it is a link of ours, or if so told.
func (f *Folder) makeLink(path, target string, ours []string, overwrite bool) error {
	dir, what := filepath.Dir(path), "link "+filepath.Base(path)
	if err := f.safe(dir, what); err != nil {
		return err
	}
	if err := f.do.makeFolder(dir, 0o755); err != nil {
		return err
	}
	if err := f.safe(dir, what); err != nil { // somebody else may have made it
		return err
	}
	info, err := os.Lstat(path)
	switch standing, _ := os.Readlink(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return trouble("look at", path, err)
	case standing == target:
		return nil
	case info.IsDir():
		return order.Fail("occupied", "cannot link %s: a folder is there: move it away", path)
	case !overwrite && !slices.Contains(ours, standing):
		return order.Fail("occupied", "cannot link %s: what is there is not from this charm: move it away, or set overwrite-files=true", path)
	}
	return f.do.placeLink(temporaryLink(path), target, path)
}

func temporaryLink(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".signet"+linkSuffix)
}

// placeLink makes a link under a temporary name, which it replaces, and renames it into place.
func (do System) placeLink(temporary, target, path string) error {
	if err := do.discard(temporary); err != nil {
		return err
	}
	for _, op := range []Op{
		{Kind: Symlink, Path: temporary, To: target},
		{Kind: Rename, Path: temporary, To: path},
		{Kind: Sync, Path: filepath.Dir(path)},
	} {
		if err := do(op); err != nil {
			return trouble("put in place", path, err)
		}
	}
	return nil
}

// removeLink removes a link if it is one of ours.
func (f *Folder) removeLink(path string, ours []string) error {
	left, leftErr := os.Readlink(temporaryLink(path)) // by a crash
	standing, err := os.Readlink(path)
	isOurs, isLeft := err == nil && slices.Contains(ours, standing), leftErr == nil && slices.Contains(ours, left)
	if !isOurs && !isLeft {
		return nil
	}
	if err := f.safe(filepath.Dir(path), "link "+filepath.Base(path)); err != nil {
		return err
	}
	if isLeft {
		if err := f.do.discard(temporaryLink(path)); err != nil {
			return err
		}
	}
	if !isOurs {
		return nil
	}
	return f.do.remove(path)
}

// linksStand gives the order whose links stand, all of them; false when none was ever made.
func (f *Folder) linksStand() (id order.ID, recorded bool) {
	var known links
	if err := f.readRecord(linksRecord, &known); err != nil || known.At == nil {
		return "", err != nil
	}
	for path, targets := range known.At {
		if standing, err := os.Readlink(path); err != nil || len(targets) != 1 || standing != targets[0] {
			return "", true
		}
	}
	return known.Order, true
}
