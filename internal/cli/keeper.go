// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/signet-charm/signet/internal/archive"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/takeover"
)

// keeper is an agent.Carrier for what operators bring to the unit's machine and take from it: other programs' CAs, and
// backups, which lie in a folder of the unit's own. Its files are named by their paths on the machine.
type keeper struct {
	folder  *disk.Folder
	charm   string // the charm's folder
	machine string // what takes the place of the machine's root folder; empty for that itself
}

const backupsName = "backups" // in the unit's folder

func (k keeper) Carry(ctx context.Context, o order.Order) order.Answer {
	answer := order.Answer{Order: o.ID(), State: order.Pending}
	if ctx.Err() != nil {
		return answer
	}
	var err error
	switch o := o.(type) {
	case order.ReadAuthority:
		answer.Found, err = k.readAuthority(o)
	case order.WriteArchive:
		answer.Names, err = k.write(o)
	case order.ReadArchive:
		answer.Archive, err = k.read(o)
	case order.ListArchives:
		answer.Names, err = k.list()
	case order.DeleteArchive:
		answer.Names, err = k.remove(o)
	default:
		err = order.Fail("not-carried", "cannot carry out %T: it is not about other programs' CAs or backups", o)
	}
	answer.State = order.Done
	if err != nil {
		answer = order.Answer{Order: o.ID(), State: order.Failed, Failure: order.FailureOf(err)}
	}
	return answer
}

func (k keeper) dir() string { return filepath.Join(k.folder.Root(), backupsName) }

// at is where a file of the machine lies. The charm's folder and the unit's own are where they are.
func (k keeper) at(path string) string {
	for _, own := range []string{k.charm, k.folder.Root()} {
		if rest, inside := strings.CutPrefix(path, own); inside && (rest == "" || rest[0] == filepath.Separator) {
			return path
		}
	}
	return filepath.Join(k.machine, path)
}

// secret reads a file that holds a passphrase or identities; an empty path gives none.
func (k keeper) secret(path string) (cert.Key, error) {
	if path == "" {
		return cert.Key{}, nil
	}
	const most = 64 << 10
	text, err := os.ReadFile(k.at(path))
	switch {
	case err != nil:
		return cert.Key{}, order.Fail("bad-file", "cannot read %s: %v: put it on this unit with juju scp", path, errors.Unwrap(err))
	case len(text) > most:
		return cert.Key{}, order.Fail("bad-file", "cannot use %s: it has more than %d bytes", path, most)
	case strings.TrimRight(string(text), "\r\n") == "":
		return cert.Key{}, order.Fail("bad-file", "cannot use %s: it is empty", path)
	}
	return cert.NewKey(strings.TrimRight(string(text), "\r\n")), nil
}

func (k keeper) readAuthority(o order.ReadAuthority) (order.Found, error) {
	passphrase, err := k.secret(o.PassphrasePath)
	if err != nil {
		return order.Found{}, err
	}
	keyPath := o.KeyPath
	if keyPath != "" {
		keyPath = k.at(keyPath)
	}
	found, err := takeover.Read(k.at(o.Path), keyPath, passphrase)
	if err != nil {
		return order.Found{}, order.Fail("bad-authority", "%v", err)
	}
	return order.Found{
		Source:    found.Source,
		Authority: cert.Authority{Certificate: found.Certificate, Issuers: found.Issuers},
		Key:       found.Key, Revoked: found.Revoked, Issued: found.Issued,
	}, nil
}

func (k keeper) write(o order.WriteArchive) ([]string, error) {
	passphrase, err := k.secret(o.PassphrasePath)
	if err != nil {
		return nil, err
	}
	content := archive.Content(o.Archive)
	if err := k.folder.Journal().View(func(l *ledger.Ledger) { content.Entries = l.Entries() }); err != nil {
		return nil, err
	}
	path, err := archive.Write(k.dir(), content, archive.Locks{Recipients: o.Recipients, Passphrase: passphrase})
	if err != nil {
		return nil, order.Fail("backup", "%v", err)
	}
	return []string{path}, nil
}

func (k keeper) read(o order.ReadArchive) (order.Archive, error) {
	identities, err := k.secret(o.IdentityPath)
	if err != nil {
		return order.Archive{}, err
	}
	passphrase, err := k.secret(o.PassphrasePath)
	if err != nil {
		return order.Archive{}, err
	}
	path := o.Name
	if filepath.IsAbs(path) {
		path = k.at(path)
	} else if path, err = k.named(o.Name); err != nil {
		return order.Archive{}, err
	}
	content, err := archive.Read(path, archive.Opener{Identities: identities, Passphrase: passphrase})
	if err != nil {
		return order.Archive{}, order.Fail("backup", "%v", err)
	}
	return order.Archive(content), nil
}

// named gives the path of one of the unit's own backups.
func (k keeper) named(name string) (string, error) {
	files, err := archive.List(k.dir())
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if file.Name == name {
			return filepath.Join(k.dir(), name), nil
		}
	}
	return "", order.Fail("backup", "there is no backup %q on this unit: see list-backups", name)
}

func (k keeper) list() ([]string, error) {
	files, err := archive.List(k.dir())
	var names []string
	for _, file := range files {
		names = append(names, file.Name)
	}
	return names, err
}

func (k keeper) remove(o order.DeleteArchive) ([]string, error) {
	names := []string{o.Name}
	if o.Name == "" {
		var err error
		if names, err = k.list(); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		if _, err := k.named(name); err != nil {
			return nil, err
		}
		if err := archive.Delete(k.dir(), name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// leftFolder is where the EasyRSA charm keeps its CA, in its own charm folder. A refresh to another charm leaves it there.
const leftFolder = "EasyRSA/pki"

// leftovers tells what a charm left behind that this one took the place of.
func (pl place) leftovers() (map[string]string, error) {
	folder := filepath.Join(pl.charmDir, filepath.FromSlash(leftFolder))
	_, err := os.Stat(filepath.Join(folder, "ca.crt"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cannot look for another charm's CA: %w", err)
	}
	return map[string]string{provider.LeftFolderKey: folder}, nil
}
