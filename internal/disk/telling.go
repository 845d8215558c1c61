// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/signet-charm/signet/internal/ledger"
)

// toldName is the file that remembers up to where the journal was told to Juju's log.
const toldName = "told"

// told is what stands in it.
type told struct {
	Size int64  `json:"size"` // of the lines that were told
	Sum  string `json:"sum"`  // of the last one
}

// Untold gives entries that were recorded since the last time, in a state folder that need not be open, and what to call
// once they are told; the lines of no more than a number of entries, but of one line at least. It reads new lines only, and
// needs no lock: only one hook of a unit runs at once.
func Untold(root string, most int) (entries []ledger.Entry, done func() error, err error) {
	path := JournalPath(root)
	done = func() error { return nil }
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, done, nil
	}
	if err != nil {
		return nil, done, trouble("read", path, err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, done, trouble("read", path, err)
	}
	var at told
	if text, err := readFile(filepath.Join(root, toldName)); err == nil && (json.Unmarshal(text, &at) != nil || at.Size < 0 || at.Size > info.Size()) {
		at = told{} // another journal took its place
	}
	if at.Size == info.Size() {
		return nil, done, nil
	}
	if _, err := file.Seek(at.Size, io.SeekStart); err != nil {
		return nil, done, trouble("read", path, err)
	}
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break // the end, or a line that is being written
		}
		batch, sum, err := decodeLine(at.Sum, line[:len(line)-1])
		if err != nil && len(entries) > 0 {
			break // the entries before it are told first
		}
		if err != nil {
			err = fmt.Errorf("cannot tell what is recorded in %s: a line is damaged (see signet audit verify), or it is another file "+
				"than before (remove %s to have all of it told)", path, filepath.Join(root, toldName))
			return nil, done, err
		}
		if len(entries) > 0 && len(entries)+len(batch) > most {
			break
		}
		entries = append(entries, batch...)
		at = told{Size: at.Size + int64(len(line)), Sum: sum}
	}
	return entries, func() error { return writeTold(root, at) }, nil
}

// writeTold remembers how far was told. It need not survive a loss of power: then some is told twice.
func writeTold(root string, at told) error {
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	path := filepath.Join(root, toldName)
	fresh := filepath.Join(root, "."+toldName+temporarySuffix)
	if err := os.WriteFile(fresh, append(text, '\n'), 0o600); err != nil {
		return trouble("write", path, err)
	}
	return trouble("write", path, os.Rename(fresh, path))
}
