// SPDX-License-Identifier: AGPL-3.0-only

// Package archive makes and reads the encrypted backups of a certificate authority. A backup is one file: age around
// gzip around tar (https://age-encryption.org/v1), so that the command-line tools of these open it without signet. It
// counts as made only after it was opened again and held what went in. Where to look next: seal.go for who can open
// one, content.go and unpack.go for what is inside, folder.go for the files.
package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"syscall"
	"time"

	"filippo.io/age"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
)

// Content is what a backup holds. Times are kept in UTC, Made to the second.
type Content struct {
	Made        time.Time
	Application string
	Model       string
	ModelUUID   string
	Record      map[string]string // the application databag of the peer relation: public data as text
	Keys        map[int]cert.Key  // private keys of the authorities by generation, from 1; PKCS#8 PEM
	Entries     []ledger.Entry    // the unit's journal
}

// Write makes a backup in a folder and gives its path. The folder, made when it is not there, must be closed to others.
// The file is durable, and has its name only after a trial restore. Safe for concurrent use.
func Write(dir string, content Content, locks Locks) (path string, err error) {
	return write(dir, content, locks, workFactor)
}

func write(dir string, content Content, locks Locks, work int) (string, error) {
	content = content.normal()
	if err := content.check(); err != nil {
		return "", fmt.Errorf("cannot make backup: %w", err)
	}
	seal, err := locks.seal(work)
	if err != nil {
		return "", fmt.Errorf("cannot make backup: %w", err)
	}
	path, err := create(dir, baseName(content.Application, content.Made), func(file *os.File) error {
		if err := encrypt(file, content, seal.recipients); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
		return try(file.Name(), content, seal.trial)
	})
	if err != nil {
		return "", fmt.Errorf("cannot make backup in %s: %w", dir, err)
	}
	return path, nil
}

// encrypt writes a whole archive. Nothing leaves it in plain: gzip and tar write to age, and age to the file.
func encrypt(file io.Writer, content Content, recipients []age.Recipient) error {
	plain, err := age.Encrypt(file, recipients...)
	if err != nil {
		return err
	}
	if err := pack(plain, content); err != nil {
		return err
	}
	return plain.Close()
}

// try is the trial restore: a backup that nobody ever opened is a hope. It goes the way of Read, from the disk.
func try(path string, content Content, trial age.Identity) error {
	opened, err := readFile(path, func(file io.Reader) (Content, error) { return decrypt(file, trial) })
	if err != nil {
		return fmt.Errorf("the trial restore failed: %w", err)
	}
	// All fields, also those that are yet to come. JSON, for one, has no way to write text that is not UTF-8.
	if !reflect.DeepEqual(content, opened) {
		return errors.New("the trial restore gave something else than what went in")
	}
	return nil
}

// Read opens a backup. All of it is authenticated before anything of it is given. But with recipients, age does not
// say who made it: whoever knows a recipient can. What is restored must be shown to its owner by its fingerprint, or be
// compared with a certificate that is trusted already. Errors hold nothing secret.
func Read(path string, open Opener) (Content, error) {
	identities, err := open.identities()
	if err != nil {
		return Content{}, fmt.Errorf("cannot read backup %s: %w", path, err)
	}
	content, err := readFile(path, func(file io.Reader) (Content, error) { return decrypt(file, identities...) })
	if err != nil {
		return Content{}, fmt.Errorf("cannot read backup %s: %w", path, open.explain(err))
	}
	return content, nil
}

// readFile hands over a file that is of a size to be a backup. It may be a link: an operator names it.
func readFile(path string, read func(io.Reader) (Content, error)) (Content, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for a writer
	if err != nil {
		return Content{}, cause(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return Content{}, cause(err)
	}
	if !info.Mode().IsRegular() {
		return Content{}, errors.New("it is not a regular file")
	}
	if info.Size() > maxFile {
		return Content{}, fmt.Errorf("it has %d bytes, more than the %d of any backup", info.Size(), int64(maxFile))
	}
	return read(io.NewSectionReader(file, 0, info.Size()))
}

// What a damaged archive is called. Where a piece is cut off, the rest often merely fails to decrypt.
var (
	errShort   = errors.New("it ends too early: copy it anew from where it was made, or take another backup")
	errDamaged = errors.New("it is damaged, incomplete or was changed: copy it anew from where it was made, or take another backup")
)

// decrypt reads a whole archive with whichever of the identities fits.
func decrypt(file io.Reader, identities ...age.Identity) (Content, error) {
	buffered := bufio.NewReader(file)
	if err := checkIntro(buffered); err != nil {
		return Content{}, err
	}
	plain, err := age.Decrypt(buffered, identities...)
	var locked *age.NoIdentityMatchError
	switch {
	case errors.As(err, &locked):
		return Content{}, locked
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Content{}, errShort
	case err != nil: // age's own text quotes the file
		return Content{}, errDamaged
	}
	source := &witness{source: plain}
	content, err := unpack(source, bounds())
	switch {
	case errors.Is(source.err, io.ErrUnexpectedEOF):
		return Content{}, errShort
	case source.err != nil:
		return Content{}, errDamaged
	case err != nil:
		return Content{}, err
	}
	return content, nil
}

// witness remembers why a reader failed. What tar and gzip make of that tells less.
type witness struct {
	source io.Reader
	err    error
}

func (w *witness) Read(p []byte) (int, error) {
	n, err := w.source.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// checkIntro tells an age archive from other files by its beginning.
func checkIntro(file *bufio.Reader) error {
	const intro = "age-encryption.org/v1\n"
	start, err := file.Peek(len(intro))
	if err != nil && err != io.EOF {
		return cause(err)
	}
	switch {
	case len(start) == 0:
		return errors.New("it is empty: copy it anew from where it was made, or take another backup")
	case string(start) == intro:
		return nil
	case bytes.HasPrefix([]byte(intro), start):
		return errShort
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}): // gzip (RFC 1952, 2.3.1), as EasyRSA's action backup writes
		return errors.New("it is a plain tarball, not an encrypted archive: take over the CA in it with the action import-ca")
	}
	return errors.New("it is not an age archive: give a file that signet made as a backup")
}
