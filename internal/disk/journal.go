// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/signet-charm/signet/internal/ledger"
)

// Journal is the durable record of ledger entries: a file of JSON lines, one for each batch of entries appended
// together, so that a batch is there as a whole or not at all. Each line has a checksum that covers the lines before it,
// so that a line changed, removed or put in is found. Safe for concurrent use. It notices lines that another process
// added; who appends must hold the folder's lock.
type Journal struct {
	path string
	do   System

	queue   sync.Mutex
	waiting []*appending // what the next one to have mu writes, for all of them

	mu      sync.Mutex
	writing atomic.Bool  // what is shown stands meanwhile
	shown   sync.RWMutex // of fold

	fold  ledger.Ledger
	size  int64     // of the good lines
	lines int       // how many they are
	sum   string    // the last one's
	whole hash.Hash // SHA-256 over all of them
	notes []string
}

// openJournal reads the journal. A last line that a crash tore is left out, with a note, and cut off by the next
// Append; a damaged line before it is an error.
func openJournal(path string, system System) (*Journal, error) {
	journal := &Journal{path: path, do: system, whole: sha256.New()}
	if _, err := journal.refresh(); err != nil {
		return nil, err
	}
	return journal, nil
}

// Append makes entries durable before it returns, all of them or none. It refuses entries that the ledger refuses, and
// leaves out orders that are given again after they came to nothing, so that what fails all day does not fill the disk,
// revocations of what is revoked, and decisions that stand.
// After an error of the disk the entries may still have come to be recorded: the journal tells.
func (j *Journal) Append(entries ...ledger.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	own := &appending{entries: entries}
	j.queue.Lock()
	j.waiting = append(j.waiting, own)
	j.queue.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	for !own.done { // else another one has written it along with its own
		j.queue.Lock()
		group := j.waiting
		j.waiting = nil
		j.queue.Unlock()
		j.appendAll(group)
	}
	return own.err
}

// appending is one call of Append that waits.
type appending struct {
	entries []ledger.Entry
	done    bool
	err     error
}

// appendAll makes what several wait for durable at once: the disk takes its time for each line, not for each entry. Where
// two speak of the same, the later one waits for the next line.
func (j *Journal) appendAll(group []*appending) {
	torn, err := j.refresh()
	if err == nil {
		err = j.repair(torn)
	}
	var line []ledger.Entry
	var together, later []*appending
	subjects := map[string]bool{}
	for _, one := range group {
		if err != nil {
			one.done, one.err = true, err
			continue
		}
		if one.speaksOf(subjects) {
			later = append(later, one)
			continue
		}
		news := j.news(one.entries)
		if refused := j.admissible(news); refused != nil {
			one.done, one.err = true, fmt.Errorf("cannot record in %s: %w", j.path, refused)
			continue
		}
		line, together = append(line, news...), append(together, one)
	}
	if len(line) > 0 {
		j.writing.Store(true)
		err = j.addLine(line)
		j.writing.Store(false)
	}
	for _, one := range together {
		one.done, one.err = true, err
	}
	if len(later) > 0 {
		j.queue.Lock()
		j.waiting = append(later, j.waiting...)
		j.queue.Unlock()
	}
}

// speaksOf reports whether an entry is about what others before it are about, and notes what it is about.
func (a *appending) speaksOf(subjects map[string]bool) bool {
	found := false
	for _, entry := range a.entries {
		for _, subject := range []string{"order " + entry.Order, "serial " + entry.Serial, "topic " + entry.Topic()} {
			found = found || subjects[subject] && !strings.HasSuffix(subject, " ")
		}
	}
	for _, entry := range a.entries {
		subjects["order "+entry.Order], subjects["serial "+entry.Serial], subjects["topic "+entry.Topic()] = true, true, true
	}
	return found
}

// news is what of some entries is not on record already.
func (j *Journal) news(entries []ledger.Entry) []ledger.Entry {
	var batch []ledger.Entry
	for _, entry := range entries {
		if entry.Event == ledger.Ordered && j.fold.Failing(entry.Order) || entry.Event == ledger.Revoked && j.fold.IsRevoked(entry.Serial) || j.fold.Stands(entry) {
			continue
		}
		entry.Time = entry.Time.UTC().Round(0) // as it will be read back
		batch = append(batch, entry)
	}
	return batch
}

// addLine writes entries as one line.
func (j *Journal) addLine(batch []ledger.Entry) error {
	line, sum, err := encodeLine(j.sum, batch)
	if err != nil {
		return fmt.Errorf("cannot record in %s: %w", j.path, err)
	}
	if err := j.add(line); err != nil {
		// Whatever part of the line came to the disk must not stay there, unacknowledged. When this fails too, the next
		// reader finds a torn line or a whole one.
		_ = j.repair(true)
		return trouble("write", j.path, err)
	}
	j.accept(batch, sum, line)
	return nil
}

// Remember records entries about serial numbers that the record does not know, as Append does, and passes over the others.
func (j *Journal) Remember(entries ...ledger.Entry) error {
	var unknown []ledger.Entry
	err := j.View(func(l *ledger.Ledger) {
		for _, entry := range entries {
			if _, known := l.Serial(entry.Serial); entry.Serial != "" && !known && entry.Event != ledger.Reserved {
				entry.Remembered = true
				unknown = append(unknown, entry)
			}
		}
	})
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(unknown, 1000) {
		if err := j.Append(chunk...); err != nil {
			return err
		}
	}
	return nil
}

// add writes one line and makes it durable.
func (j *Journal) add(line []byte) error {
	if err := j.do(Op{Kind: Append, Path: j.path, Data: line}); err != nil {
		return err
	}
	return j.do(Op{Kind: Sync, Path: j.path})
}

// repair makes the file end with its good lines: it is made when it is missing, and cut when its end is torn.
func (j *Journal) repair(torn bool) error {
	if _, err := os.Lstat(j.path); errors.Is(err, fs.ErrNotExist) {
		if err := j.do(Op{Kind: Create, Path: j.path, Mode: 0o600}); err != nil {
			return trouble("write", j.path, err)
		}
		return trouble("write", j.path, j.do(Op{Kind: Sync, Path: filepath.Dir(j.path)}))
	}
	if !torn {
		return nil
	}
	if err := j.do(Op{Kind: Truncate, Path: j.path, Size: j.size}); err != nil {
		return trouble("repair", j.path, err)
	}
	return trouble("repair", j.path, j.do(Op{Kind: Sync, Path: j.path}))
}

// admissible tries entries on a ledger that nobody sees: of a batch, all follow or none.
func (j *Journal) admissible(batch []ledger.Entry) error {
	seen := map[string]bool{}
	for _, entry := range batch {
		if err := j.fold.Check(entry); err != nil {
			return err
		}
		if entry.Event == ledger.Reserved || entry.Event == ledger.Issued || entry.Event == ledger.Refused {
			if seen[entry.Serial] {
				return fmt.Errorf("serial %s is in one batch twice", entry.Serial)
			}
			seen[entry.Serial] = entry.Serial != ""
		}
	}
	return nil
}

func (j *Journal) accept(batch []ledger.Entry, sum string, line []byte) {
	j.shown.Lock()
	defer j.shown.Unlock()
	for _, entry := range batch {
		_ = j.fold.Add(entry) // was checked before
	}
	j.sum = sum
	j.size += int64(len(line))
	j.lines++
	_, _ = j.whole.Write(line)
}

// refresh reads the lines that were added since the last time, by another process or before this one. It tells
// whether something follows the good lines.
func (j *Journal) refresh() (torn bool, err error) {
	info, err := os.Lstat(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = nil, nil
	}
	if err != nil {
		return false, trouble("read", j.path, err)
	}
	var size int64
	if info != nil {
		if !info.Mode().IsRegular() {
			return false, trouble("read", j.path, fs.ErrExist)
		}
		size = info.Size()
	}
	if size == j.size {
		return false, nil
	}
	if size < j.size { // another file took its place
		j.shown.Lock()
		j.fold = ledger.Ledger{}
		j.shown.Unlock()
		j.size, j.lines, j.sum, j.whole = 0, 0, "", sha256.New()
	}
	tail, err := j.readTail(size - j.size)
	if err != nil {
		return false, trouble("read", j.path, err)
	}
	return j.replay(tail)
}

func (j *Journal) readTail(length int64) ([]byte, error) {
	file, err := os.Open(j.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(j.size, io.SeekStart); err != nil {
		return nil, err
	}
	tail := make([]byte, length)
	read, err := io.ReadFull(file, tail)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) { // it was cut meanwhile
		err = nil
	}
	return tail[:read], err
}

// replay takes in lines. Only the last one can be torn, because each line is durable before the next is begun.
func (j *Journal) replay(tail []byte) (torn bool, err error) {
	for line := range decodeLines(j.sum, tail) {
		if line.err != nil && line.last {
			note := fmt.Sprintf("%s: line %d was torn by a crash: %v; it is left out", j.path, j.lines+1, line.err)
			if len(j.notes) == 0 || j.notes[len(j.notes)-1] != note {
				j.notes = append(j.notes, note)
			}
			return true, nil
		}
		if line.err != nil {
			return false, j.damage(fmt.Errorf("line %d is damaged: %w", j.lines+1, line.err))
		}
		if err := j.admissible(line.batch); err != nil {
			return false, j.damage(fmt.Errorf("line %d contradicts those before it: %w", j.lines+1, err))
		}
		j.accept(line.batch, line.sum, line.text)
	}
	return false, nil
}

func (j *Journal) damage(err error) error {
	return &problem{what: "read " + j.path, err: err, next: "restore the file from a backup"}
}

// Notes tells what was left out when the journal was read.
func (j *Journal) Notes() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.notes...)
}

// Order gives the entries of one order, in the order in which they were appended.
func (j *Journal) Order(id string) (entries []ledger.Entry, err error) {
	err = j.View(func(l *ledger.Ledger) { entries = l.Order(id) })
	return entries, err
}

// Serial tells what is known of a serial number (hex).
func (j *Journal) Serial(serial string) (certificate ledger.Certificate, known bool, err error) {
	err = j.View(func(l *ledger.Ledger) { certificate, known = l.Serial(serial) })
	return certificate, known, err
}

// Head tells how many lines the journal has, and the SHA-256 of them all, in hexadecimal. The checksums of the lines are
// shorter: they find accidents, this finds intent.
func (j *Journal) Head() (lines int, sum string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.refresh(); err != nil {
		return 0, "", err
	}
	return j.lines, hex.EncodeToString(j.whole.Sum(nil)), nil
}

// View shows the ledger as it is now; it must not be kept, or changed, after look returns. While a line is being written it
// shows what stood before, for who reads need not wait for the disk.
func (j *Journal) View(look func(*ledger.Ledger)) error {
	if !j.writing.Load() {
		j.mu.Lock()
		defer j.mu.Unlock()
		if _, err := j.refresh(); err != nil {
			return err
		}
	}
	j.shown.RLock()
	defer j.shown.RUnlock()
	look(&j.fold)
	return nil
}
