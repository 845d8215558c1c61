// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// The store's names: "authority.<generation>.<cert.KeyHash>" for the keys of authorities, since two units may each have
// made a first authority before one of them was published; and "outbox.<order ID>" for keys of authorities in the making. Keys
// made for others are in the stock.
const (
	authorityPrefix = "authority."
	outboxPrefix    = "outbox."
)

// signer is an authority with its key, ready to sign.
type signer struct {
	certificate *x509.Certificate
	key         crypto.Signer
	text        cert.Key // as the order had it, which need not be read again; zero when it had none
}

// Authorities tells which authorities' keys this unit holds, for juju.Snapshot.Local: "authority.<generation>" gives the
// hashes of their public keys (cert.KeyHash), sorted and separated by spaces; there is nearly always one.
func (e *Embedded) Authorities() (map[string]string, error) {
	names, err := e.store.Names(authorityPrefix)
	if err != nil {
		return nil, err
	}
	held := map[string]string{}
	for _, name := range names {
		generation, hash, found := strings.Cut(strings.TrimPrefix(name, authorityPrefix), ".")
		if found {
			key := authorityPrefix + generation
			held[key] = strings.TrimSpace(held[key] + " " + hash)
		}
	}
	return held, nil
}

// Forget removes the keys that were made for these orders of authorities. The same order carried again then makes another
// certificate.
func (e *Embedded) Forget(ids ...order.ID) error {
	for _, id := range ids {
		if err := e.store.Remove(outboxPrefix + string(id)); err != nil {
			return err
		}
	}
	return nil
}

// Prune removes the keys of all orders that were last worked on before the given time, so that keys of answers that
// nobody published do not pile up.
func (e *Embedded) Prune(before time.Time) error {
	names, err := e.store.Names(outboxPrefix)
	if err != nil {
		return err
	}
	var old []order.ID
	for _, name := range names {
		id := strings.TrimPrefix(name, outboxPrefix)
		entries, err := e.journal.Order(id)
		if err != nil {
			return err
		}
		if len(entries) == 0 || entries[len(entries)-1].Time.Before(before) {
			old = append(old, order.ID(id))
		}
	}
	return errors.Join(e.Forget(old...), e.stock.prune(before))
}

// signer finds the authority that shall sign and its key: in the order, which is then adopted, or in the store.
func (e *Embedded) signer(from order.Signer) (*signer, error) {
	e.mu.Lock()
	known := e.signers[from.Certificate]
	e.mu.Unlock()
	if known != nil && (from.Key.IsZero() || from.Key.Equal(known.text) || keysAgree(from.Key, known.certificate) == nil) {
		return known, nil
	}
	certificate, err := cert.Parse(from.Certificate)
	if err != nil {
		return nil, order.Fail("bad-authority", "cannot sign with authority %d: %v", from.Generation, err)
	}
	if !certificate.IsCA || certificate.KeyUsage != 0 && certificate.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, order.Fail("bad-authority", "cannot sign with authority %d: its certificate is not an authority's", from.Generation)
	}
	name, err := authorityName(from.Generation, certificate.PublicKey)
	if err != nil {
		return nil, err
	}
	key, err := e.authorityKey(name, from, certificate)
	if err != nil {
		return nil, err
	}
	found := &signer{certificate, key, from.Key}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.signers[from.Certificate] = found
	return found, nil
}

// fetchKey gives the key of an authority that this unit holds.
func (e *Embedded) fetchKey(o order.FetchKey) (cert.Key, error) {
	found, err := e.signer(order.Signer{Authority: o.Authority})
	if err != nil {
		return cert.Key{}, err
	}
	return cert.EncodeKey(found.key)
}

// authorityKey reads the authority's key, and keeps one that it did not have.
func (e *Embedded) authorityKey(name string, from order.Signer, certificate *x509.Certificate) (crypto.Signer, error) {
	if !from.Key.IsZero() {
		if err := keysAgree(from.Key, certificate); err != nil {
			return nil, order.Fail("key-mismatch", "cannot sign with authority %d: %v: restore the secret that holds its key",
				from.Generation, err)
		}
		if err := e.keep(name, from.Key); err != nil {
			return nil, err
		}
		return cert.ParseKey(from.Key)
	}
	blob, err := e.store.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, order.Fail("no-key", "cannot sign with authority %d: this unit does not hold its key: make a unit that "+
			"holds it the leader, or create a new authority", from.Generation)
	}
	if err != nil {
		return nil, err
	}
	key := cert.NewKey(string(blob))
	if err := keysAgree(key, certificate); err != nil {
		return nil, order.Fail("key-mismatch", "cannot sign with authority %d: %v: restore %s from a backup",
			from.Generation, err, name)
	}
	return cert.ParseKey(key)
}

// keep writes a key unless it is there already.
func (e *Embedded) keep(name string, key cert.Key) error {
	blob, err := e.store.Read(name)
	if err == nil && string(blob) == key.Reveal() {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return e.store.Write(name, []byte(key.Reveal()))
}

// outboxKey gives the key made for an order: the one made before a crash, or a new one, kept before it is used.
func (e *Embedded) outboxKey(id order.ID, keyType cert.KeyType) (cert.Key, crypto.PublicKey, error) {
	if key, public, err := e.madeKey(id); err != nil {
		return cert.Key{}, nil, err
	} else if made, err := cert.KeyTypeOf(public); err == nil && made == keyType {
		return key, public, nil
	}
	key, public, _, err := makeKey(keyType, e.random)
	if err != nil {
		return cert.Key{}, nil, err
	}
	return key, public, e.store.Write(outboxPrefix+string(id), []byte(key.Reveal()))
}

// madeKey gives the key that was made for an order; nil when there is none that can be read.
func (e *Embedded) madeKey(id order.ID) (cert.Key, crypto.PublicKey, error) {
	blob, err := e.store.Read(outboxPrefix + string(id))
	if err != nil {
		return cert.Key{}, nil, ignoreAbsent(err)
	}
	key := cert.NewKey(string(blob))
	if private, err := cert.ParseKey(key); err == nil {
		return key, private.Public(), nil
	}
	return cert.Key{}, nil, nil
}

// issuedBefore gives the last certificate that the journal has for an order.
func (e *Embedded) issuedBefore(id order.ID) (ledger.Entry, bool, error) {
	entries, err := e.journal.Order(string(id))
	before, found := issued(entries)
	return before, found, err
}

// issued gives the last certificate among entries.
func issued(entries []ledger.Entry) (ledger.Entry, bool) {
	for _, entry := range slices.Backward(entries) {
		if entry.Event == ledger.Issued {
			return entry, true
		}
	}
	return ledger.Entry{}, false
}

func authorityName(generation int, public crypto.PublicKey) (string, error) {
	hash, err := cert.KeyHash(public)
	if err != nil {
		return "", order.Fail("bad-authority", "%v", err)
	}
	return fmt.Sprintf("%s%d.%s", authorityPrefix, generation, hash), nil
}

// keysAgree says why a private key is not the certificate's.
func keysAgree(key cert.Key, certificate *x509.Certificate) error {
	private, err := cert.ParseKey(key)
	if err != nil {
		return err
	}
	if !cert.SameKey(private.Public(), certificate.PublicKey) {
		return errors.New("the key is not the certificate's")
	}
	return nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
