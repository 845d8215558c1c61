// SPDX-License-Identifier: AGPL-3.0-only

// Package takeover reads a certificate authority that another program made, so that signet can go on as that authority:
// an easy-rsa folder, the backup that the EasyRSA charm makes of one, that charm's leader settings, PEM files and
// PKCS#12. It only reads, and whatever it hands out is checked. Where to look next: Read, then material.go for what makes
// an authority of certificates and a key, and easyrsa.go for what easy-rsa remembers besides these.
package takeover

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
)

// What is larger than this is no authority that somebody wants to go on with, or means harm.
const (
	maxFile    = 16 << 20 // one file
	maxTotal   = 64 << 20 // all files of a folder, or a tarball when it is unpacked
	maxEntries = 100_000  // of a folder or a tarball
)

// Found is an authority that another program made.
type Found struct {
	Source      string            // in words: "easy-rsa folder /root/pki"
	Certificate string            // PEM, one block
	Issuers     []string          // PEM, its issuer first, the root last; empty for a root
	Key         cert.Key          // PKCS#8 PEM, unencrypted
	Revoked     []cert.Revocation // sorted by serial number's text; Ends where it is known
	CRLNumber   int64             // of the last revocation list; 0 where it had none or there is no list
	Issued      []string          // PEM of the certificates it issued that are known, without its own, sorted likewise
}

// Read reads the authority at a path: a folder of easy-rsa or one that holds it, a gzipped tarball of that, PEM or
// PKCS#12. A second file, which may be named too, holds the key in PEM when the first does not. The passphrase is needed
// where the key is encrypted.
func Read(path, keyPath string, passphrase cert.Key) (Found, error) {
	source, m, err := read(path, keyPath, passphrase)
	if err != nil {
		return Found{}, fmt.Errorf("cannot take over %s: %w", source, err)
	}
	return m.found(source, time.Now())
}

// ReadLeaderSettings reads the authority in the leader settings of the EasyRSA charm; false where the settings are not
// that charm's. They do not say what was revoked, and of what was issued they hold one certificate only.
func ReadLeaderSettings(settings map[string]string) (Found, bool, error) {
	const certificate, key, client = "certificate_authority", "certificate_authority_key", "client_certificate"
	if settings[certificate] == "" && settings[key] == "" {
		return Found{}, false, nil
	}
	const source = "EasyRSA's leader settings"
	var m material
	for _, name := range []string{certificate, key, client} {
		if settings[name] == "" {
			continue // the checks miss what is needed
		}
		if err := m.addPEM(name, []byte(settings[name]), cert.Key{}); err != nil {
			return Found{}, true, fmt.Errorf("cannot take over %s: %w", source, err)
		}
	}
	found, err := m.found(source, time.Now())
	return found, true, err
}

// read tells what it is that it reads, also when it cannot.
func read(path, keyPath string, passphrase cert.Key) (source string, m material, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return path, m, fmt.Errorf("%s: name an easy-rsa folder, its backup, a PEM file or a PKCS#12 file", cause(err))
	}
	var key []byte
	if keyPath != "" {
		if key, err = readFile(os.DirFS(filepath.Dir(keyPath)), filepath.Base(keyPath), maxFile); err != nil {
			return path, m, fmt.Errorf("the key file %s: %w", keyPath, err)
		}
	}
	if info.IsDir() {
		files, err := readFolder(os.DirFS(path))
		if err != nil {
			return "easy-rsa folder " + path, m, err
		}
		m, err = files.material(key, passphrase)
		return "easy-rsa folder " + path, m, err
	}
	data, err := readFile(os.DirFS(filepath.Dir(path)), filepath.Base(path), maxTotal)
	if err != nil {
		return path, m, err
	}
	kind, m, err := readContent(data, key, passphrase)
	return kind + " " + path, m, err
}

// readContent reads what is no folder, and says what kind of file it is.
func readContent(data, key []byte, passphrase cert.Key) (kind string, m material, err error) {
	switch {
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}): // RFC 1952, 2.3.1
		files, err := readTarball(bytes.NewReader(data))
		if err != nil {
			return "tarball", m, err
		}
		m, err = files.material(key, passphrase)
		return "easy-rsa backup", m, err
	case len(data) > maxFile:
		return "file", m, tooLarge("it", maxFile)
	case bytes.Contains(data, []byte(pemBegin)):
		err = m.addPEM("", data, passphrase)
		if err == nil && key != nil {
			err = m.addPEM("the key file", key, passphrase)
		}
		return "PEM file", m, err
	case bytes.HasPrefix(data, []byte{0x30}): // a SEQUENCE of DER
		if key != nil {
			return "PKCS#12 file", m, errors.New("such a file holds its key: leave out the key file")
		}
		return "PKCS#12 file", m, m.addPKCS12(data, passphrase)
	}
	return "file", m, errors.New("it is neither a gzipped tarball nor PEM nor PKCS#12: convert it to one of these")
}

// readFile reads a regular file of limited size. Links are followed: the folder is its administrator's.
func readFile(folder fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(folder, name)
	if err == nil && !info.Mode().IsRegular() { // to open a pipe would wait for a writer
		return nil, errors.New("it is not a regular file: name the file itself")
	}
	var data []byte
	if err == nil {
		var file fs.File
		if file, err = folder.Open(name); err == nil {
			data, err = io.ReadAll(io.LimitReader(file, limit+1))
			_ = file.Close()
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("it does not exist: look for a misspelt name")
	case err != nil:
		return nil, fmt.Errorf("%s: let signet read it", cause(err))
	case int64(len(data)) > limit:
		return nil, tooLarge("it", limit)
	}
	return data, nil
}

func tooLarge(what string, limit int64) error {
	return fmt.Errorf("%s is larger than %d MiB: leave out what is not the authority's", what, limit>>20)
}

// cause is why something failed without the path, which the message has already.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return shorten(err.Error())
}

// shorten bounds what others wrote, for messages.
func shorten(text string) string {
	const limit = 80
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
