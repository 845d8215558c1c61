// SPDX-License-Identifier: AGPL-3.0-only

// Package disk keeps what one unit must not lose: its journal, its keys and the bundles of certificates that other
// programs read. Every write is durable before it is reported, and a crash at any point leaves the old state or the new
// one. Where to look next: system.go for the operations that all of it is made of, then journal.go and bundle.go.
package disk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/signet-charm/signet/internal/ledger"
)

// The folder's layout. Everything in it is for its owner only.
const (
	lockName     = "lock"
	journalName  = "journal"
	keysName     = "keys"     // <request name>.key, PKCS#8
	requestsName = "requests" // <request name>.csr, the current one
	ranName      = "ran"      // which programs of the machine have run, for package host
	outsideName  = "outside"  // what was put where other programs look for it
	secretsName  = "secrets"  // blobs of the embedded authority, and made secrets
	bundlesName  = "bundles"  // <bundle name>.json: where it is installed
	filesName    = "files"    // bundles without a place of their own
)

const temporarySuffix = ".new"

// Folder is one unit's state folder. It carries orders that only touch the disk: order.MakeRequest, order.MakeSecret,
// order.Install, order.Link, order.Merge, order.Trust and order.Remember. Safe for concurrent use within a process; between processes, hold Lock.
type Folder struct {
	root     string
	machine  string // what takes the place of the machine's root folder; empty for that itself
	do       System
	journal  *Journal
	carrying sync.Mutex // bundles and requests change one at a time
}

// An Option changes how a folder is opened.
type Option func(*Folder)

// OnMachine has links, merged kubeconfigs and the trust store appear below a folder that stands for the machine's root,
// as in a sandbox, where several units share one machine.
func OnMachine(root string) Option { return func(f *Folder) { f.machine = root } }

// Open opens the state folder at root, makes it with mode 0700 when it is not there, and reads its journal.
func Open(root string, options ...Option) (*Folder, error) { return OpenOn(root, Perform, options...) }

// OpenOn is Open with every write going through the given system.
func OpenOn(root string, system System, options ...Option) (*Folder, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("cannot open state folder: %w", err)
	}
	if err := system.makeFolder(root, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(root)
	if err != nil {
		return nil, trouble("open", root, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(root, 0o700); err != nil { //nolint:gosec // a folder is entered by its x bit
			return nil, trouble("close to others", root, err)
		}
	}
	folder := &Folder{root: root, do: system}
	for _, option := range options {
		option(folder)
	}
	for _, name := range []string{keysName, requestsName, secretsName, bundlesName, filesName, ranName, outsideName} {
		if err := system.makeFolder(folder.path(name), 0o700); err != nil {
			return nil, err
		}
	}
	folder.journal, err = openJournal(folder.path(journalName), system)
	return folder, err
}

// Journal is the folder's durable record.
func (f *Folder) Journal() *Journal { return f.journal }

// Append records entries in the journal; see Journal.Append.
func (f *Folder) Append(entries ...ledger.Entry) error { return f.journal.Append(entries...) }

// Repeats tells what was issued so often between two times, by ledger.Entry.Key; see ledger.Ledger.Repeats.
func (f *Folder) Repeats(since, until time.Time, often int) (repeated map[string]time.Time, err error) {
	err = f.journal.View(func(l *ledger.Ledger) { repeated = l.Repeats(since, until, often) })
	return repeated, err
}

// Root is the folder's path.
func (f *Folder) Root() string { return f.root }

func (f *Folder) path(parts ...string) string {
	return filepath.Join(append([]string{f.root}, parts...)...)
}

// Lock waits until no other process, and nobody else in this one, works on the folder. The error says who does. The
// returned function gives the lock back.
func (f *Folder) Lock(ctx context.Context) (unlock func() error, err error) {
	const retry = 5 * time.Millisecond
	path := f.path(lockName)
	lock := flock.New(path, flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, retry); err != nil {
		holder, _ := os.ReadFile(path)
		if ctx.Err() != nil && len(holder) > 0 {
			return nil, fmt.Errorf("cannot lock %s: held by %s: %w", path, strings.TrimSpace(string(holder)), err)
		}
		return nil, trouble("lock", path, err)
	}
	holder := fmt.Sprintf("%s, process %d, since %s\n",
		filepath.Base(os.Args[0]), os.Getpid(), time.Now().UTC().Format(time.RFC3339))
	_ = os.WriteFile(path, []byte(holder), 0o600) // for people; the lock holds without it
	f.sweep()
	return lock.Unlock, nil
}

// sweep removes what a crash left half written, and made secrets that had their time. Only the holder of the lock may:
// others' work looks the same.
func (f *Folder) sweep() {
	for _, name := range []string{".", keysName, requestsName, secretsName, bundlesName, ranName, outsideName} {
		entries, _ := os.ReadDir(f.path(name))
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), ".") && strings.HasSuffix(entry.Name(), temporarySuffix) {
				_ = f.do(Op{Kind: Remove, Path: f.path(name, entry.Name())})
			}
		}
	}
	f.forgetMade()
}

// write replaces a file of the folder durably. The temporary name is random, lest it be that of a file which a crash
// left.
func (f *Folder) write(data []byte, parts ...string) error {
	path := f.path(parts...)
	base := "." + filepath.Base(path) + "." + rand.Text() + temporarySuffix
	return f.do.replace(path, filepath.Join(filepath.Dir(path), base), data, 0o600)
}

// Store keeps secret blobs by name, each a file with mode 0600. Safe for concurrent use.
type Store struct {
	folder *Folder
	part   string
}

// Secrets is where the embedded authority keeps its keys.
func (f *Folder) Secrets() Store { return Store{f, secretsName} }

// Ran is where it is recorded which of the machine's programs have run.
func (f *Folder) Ran() Store { return Store{f, ranName} }

// Read gives a blob; the error is fs.ErrNotExist when there is none.
func (s Store) Read(name string) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	blob, err := readFile(s.folder.path(s.part, name))
	return blob, trouble("read", s.folder.path(s.part, name), err)
}

// Write makes a blob durable before it returns.
func (s Store) Write(name string, blob []byte) error {
	if err := checkName(name); err != nil {
		return err
	}
	return s.folder.write(blob, s.part, name)
}

// Remove forgets a blob. That there is none is no error.
func (s Store) Remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	path := s.folder.path(s.part, name)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.folder.do.remove(path)
}

// Names lists the blobs whose names begin so, sorted.
func (s Store) Names(prefix string) ([]string, error) {
	return s.folder.list(s.part, func(name string) bool { return strings.HasPrefix(name, prefix) })
}

// list gives the plain names in one part of the folder, sorted; half-written files are not among them.
func (f *Folder) list(part string, wanted func(string) bool) ([]string, error) {
	entries, err := os.ReadDir(f.path(part))
	if err != nil {
		return nil, trouble("list", f.path(part), err)
	}
	var names []string
	for _, entry := range entries {
		if checkName(entry.Name()) == nil && wanted(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// checkName lets only plain names become part of a path: letters, digits, and "._-" but not at the beginning.
func checkName(name string) error {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	switch {
	case name == "" || len(name) > 128:
		return fmt.Errorf("cannot use name %q: it has no or more than 128 characters", name[:min(len(name), 40)])
	case strings.ContainsRune("._-", rune(name[0])), strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) >= 0:
		return fmt.Errorf("cannot use name %q: it is not a plain file name", name)
	}
	return nil
}
