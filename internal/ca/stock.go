// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// stock has keys that were made and kept ahead, several in one blob, for orders whose record says which one they took: the
// disk takes its time for each blob. It keeps those as well that were made for a batch of orders. Its blobs are called "stock.<Unix time>.<hash of the first key>".
type stock struct {
	store  Store
	random io.Reader
	now    func() time.Time

	mu    sync.Mutex
	ready map[cert.KeyType]*batch
	kept  map[string]cert.Key // by cert.KeyHash
}

// batch is one blob's keys that nobody has taken.
type batch struct {
	keys []cert.Key
	size int // of the blob; the next one is larger, up to maxBatch
	made time.Time
}

const (
	stockPrefix = "stock."
	maxBatch    = 64
	stockLife   = time.Hour // what nobody has taken by then is thrown away
)

func newStock(store Store, random io.Reader, now func() time.Time) *stock {
	return &stock{store: store, random: random, now: now, ready: map[cert.KeyType]*batch{}, kept: map[string]cert.Key{}}
}

// take gives a key that nobody else gets, and its hash. It is durable.
func (s *stock) take(keyType cert.KeyType) (cert.Key, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ready := s.ready[keyType]
	if ready == nil || len(ready.keys) == 0 || s.now().After(ready.made.Add(stockLife)) {
		size := 1
		if ready != nil {
			size = min(2*ready.size, maxBatch)
		}
		if keyType != cert.P256 && keyType != cert.P384 { // which takes longer than the disk
			size = 1
		}
		made, err := s.make(keyType, size)
		if err != nil {
			return cert.Key{}, "", err
		}
		ready = made
		s.ready[keyType] = ready
	}
	key := ready.keys[0]
	ready.keys = ready.keys[1:]
	hash, err := hashOf(key)
	return key, hash, err
}

// make makes keys and keeps them.
func (s *stock) make(keyType cert.KeyType, size int) (*batch, error) {
	made, first := &batch{size: size, made: s.now()}, ""
	for range size {
		key, _, hash, err := makeKey(keyType, s.random)
		if err != nil {
			return nil, err
		}
		first = cmp.Or(first, hash)
		made.keys = append(made.keys, key)
		s.kept[hash] = key
	}
	return made, s.write(made.keys, first)
}

// keep keeps keys that were made for somebody, and are nobody else's to take. The first one's hash is given.
func (s *stock) keep(keys []cert.Key, first string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(keys, first)
}

// write makes keys durable, all at once.
func (s *stock) write(keys []cert.Key, first string) error {
	var text strings.Builder
	for _, key := range keys {
		text.WriteString(key.Reveal())
	}
	return s.store.Write(fmt.Sprintf("%s%d.%s", stockPrefix, s.now().Unix(), first[:16]), []byte(text.String()))
}

// makeKey makes a key, and gives its other half and the hash of that.
func makeKey(keyType cert.KeyType, random io.Reader) (key cert.Key, public crypto.PublicKey, hash string, err error) {
	private, err := keyType.Generate(random)
	if err == nil {
		key, err = cert.EncodeKey(private)
	}
	if err != nil {
		return cert.Key{}, nil, "", order.Fail("bad-order", "%v", err)
	}
	hash, err = cert.KeyHash(private.Public())
	return key, private.Public(), hash, err
}

// find gives keys that were taken or kept before, also by another process, by their hashes; not those that are gone.
func (s *stock) find(hashes ...string) (map[string]cert.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, read := map[string]cert.Key{}, false
	for _, hash := range hashes {
		if _, known := s.kept[hash]; !known && !read && hash != "" {
			if err := s.read(); err != nil {
				return nil, err
			}
			read = true
		}
		if key, known := s.kept[hash]; known {
			found[hash] = key
		}
	}
	return found, nil
}

// read reads all that is kept.
func (s *stock) read() error {
	names, err := s.store.Names(stockPrefix)
	if err != nil {
		return err
	}
	for _, name := range names {
		blob, err := s.store.Read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		const end = "-----END PRIVATE KEY-----\n"
		for text := range strings.SplitAfterSeq(string(blob), end) {
			key := cert.NewKey(text)
			if found, err := hashOf(key); err == nil {
				s.kept[found] = key
			}
		}
	}
	return nil
}

// prune throws away what was made so long before a time that nobody has taken any of it since then.
func (s *stock) prune(before time.Time) error {
	names, err := s.store.Names(stockPrefix)
	if err != nil || len(names) == 0 {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		seconds, _, _ := strings.Cut(strings.TrimPrefix(name, stockPrefix), ".")
		made, err := strconv.ParseInt(seconds, 10, 64)
		if err == nil && !time.Unix(made, 0).Add(stockLife).Before(before) && time.Unix(made, 0).Before(s.now().Add(stockLife)) {
			continue
		}
		if err := s.store.Remove(name); err != nil {
			return err
		}
		clear(s.kept) // what is kept still is read again
		for _, ready := range s.ready {
			for _, key := range ready.keys {
				if hash, err := hashOf(key); err == nil {
					s.kept[hash] = key
				}
			}
		}
	}
	return nil
}

// publicOf is a private key's other half, with its hash.
func publicOf(key cert.Key) (crypto.PublicKey, string, error) {
	private, err := cert.ParseKey(key)
	if err != nil {
		return nil, "", err
	}
	hash, err := cert.KeyHash(private.Public())
	return private.Public(), hash, err
}

func hashOf(key cert.Key) (string, error) {
	_, hash, err := publicOf(key)
	return hash, err
}
