// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-charm/signet/internal/order"
)

// trustDir is where update-ca-certificates(8) looks for CA certificates of the machine's own, one to a file.
const trustDir = "/usr/local/share/ca-certificates"

// trusted are the files that lie, or may lie, in the trust store's folder.
type trusted struct {
	Order order.ID          `json:"order"` // empty while not all of it is known to stand
	Files map[string]string `json:"files"` // SHA-256 in hexadecimal by file name
	Laid  int               `json:"laid"`  // counts how often files were laid or removed
}

// trust lays certificates in the trust store's folder and removes those of the unit's that are wanted no more. It gives
// the count of such changes.
func (f *Folder) trust(o order.Trust) (laid string, err error) {
	prefix := "signet-" + strings.ReplaceAll(o.Unit, "/", "-") + "-"
	if err := checkName(prefix); err != nil {
		return "", order.Fail("bad-order", "cannot name files of the trust store: %v", err)
	}
	var known trusted
	if err := f.readRecord(trustRecord, &known); err != nil {
		return "", err
	}
	done := trusted{Order: o.ID(), Files: map[string]string{}}
	texts := map[string]string{}
	for _, text := range o.Certificates {
		sum := hexSum([]byte(text))
		name := prefix + sum[:16] + ".crt"
		done.Files[name], texts[name] = sum, text
	}
	done.Laid = known.Laid
	if id, _ := f.trustStands(); id != o.ID() {
		done.Laid++
	}
	pending := trusted{Files: maps.Clone(done.Files), Laid: done.Laid}
	maps.Copy(pending.Files, known.Files)
	if err := f.writeRecord(trustRecord, pending); err != nil {
		return "", err
	}
	dir := f.onMachine(trustDir)
	if err := f.do.makeFolder(dir, 0o755); err != nil {
		return "", err
	}
	if err := f.safe(dir, "the trust store"); err != nil {
		return "", err
	}
	for _, name := range sortedKeys(texts) {
		if standing, err := readFile(filepath.Join(dir, name)); err == nil && string(standing) == texts[name] {
			continue
		}
		temporary := filepath.Join(dir, "."+name+temporarySuffix)
		if err := f.do.discard(temporary); err != nil {
			return "", err
		}
		if err := f.do.replace(filepath.Join(dir, name), temporary, []byte(texts[name]), 0o644); err != nil {
			return "", err
		}
	}
	if err := f.distrust(dir, prefix, done.Files); err != nil {
		return "", err
	}
	return strconv.Itoa(done.Laid), f.writeRecord(trustRecord, done)
}

// ownFile reports whether a name in the trust store's folder is one of the unit's, or what a crash left of it.
func ownFile(name, prefix string) bool {
	if left, found := strings.CutPrefix(name, "."); found {
		name = strings.TrimSuffix(left, temporarySuffix)
	}
	tail, own := strings.CutPrefix(name, prefix)
	sum, named := strings.CutSuffix(tail, ".crt")
	return own && named && len(sum) == 16 && isHex(sum)
}

// distrust removes the unit's own files that are not wanted, whether a record names them or not.
func (f *Folder) distrust(dir, prefix string, wanted map[string]string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return trouble("list", dir, err)
	}
	for _, entry := range entries {
		if _, kept := wanted[entry.Name()]; ownFile(entry.Name(), prefix) && !kept {
			if err := f.do.remove(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// trustStands gives the order whose certificates lie in the trust store's folder, all of them; false when none was ever
// laid there.
func (f *Folder) trustStands() (id order.ID, recorded bool) {
	var known trusted
	if err := f.readRecord(trustRecord, &known); err != nil || known.Files == nil {
		return "", err != nil
	}
	for name, sum := range known.Files {
		if data, err := readFile(filepath.Join(f.onMachine(trustDir), name)); err != nil || hexSum(data) != sum {
			return "", true
		}
	}
	return known.Order, true
}

// trustedTexts are the certificates that lie in the trust store's folder as they were laid there.
func (f *Folder) trustedTexts() string {
	var known trusted
	if f.readRecord(trustRecord, &known) != nil {
		return ""
	}
	var texts strings.Builder
	for _, name := range sortedKeys(known.Files) {
		if data, err := readFile(filepath.Join(f.onMachine(trustDir), name)); err == nil && hexSum(data) == known.Files[name] {
			texts.Write(data)
		}
	}
	return texts.String()
}

func sortedKeys[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }
