// SPDX-License-Identifier: AGPL-3.0-only

package ca_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

var errCrash = errors.New("the machine lost power")

// memory is a store and a journal that survive their authority. It can lose power at a write, done or not done; from
// then on it does nothing until it is mended.
type memory struct {
	mu     sync.Mutex
	blobs  map[string][]byte
	fold   ledger.Ledger
	writes int
	failAt int // the write to fail, counted from 1; 0 for none
	done   bool
	dead   bool
}

func newMemory() *memory { return &memory{blobs: map[string][]byte{}} }

func (m *memory) mend() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failAt, m.dead = 0, false
}

// change does one write, or loses power before or after it.
func (m *memory) change(write func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	if m.dead {
		return errCrash
	}
	m.dead = m.writes == m.failAt
	if m.dead && !m.done {
		return errCrash
	}
	err := write()
	if m.dead {
		return errCrash
	}
	return err
}

func (m *memory) Read(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	blob, found := m.blobs[name]
	if !found {
		return nil, fs.ErrNotExist
	}
	return blob, nil
}

func (m *memory) Write(name string, blob []byte) error {
	return m.change(func() error { m.blobs[name] = slices.Clone(blob); return nil })
}

func (m *memory) Remove(name string) error {
	return m.change(func() error { delete(m.blobs, name); return nil })
}

func (m *memory) Names(prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.blobs)), func(name string) bool {
		return !strings.HasPrefix(name, prefix)
	}), nil
}

func (m *memory) Append(entries ...ledger.Entry) error {
	return m.change(func() error {
		for _, entry := range entries {
			if err := m.fold.Add(entry); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *memory) Order(id string) ([]ledger.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fold.Order(id), nil
}

func (m *memory) Serial(serial string) (ledger.Certificate, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	certificate, known := m.fold.Serial(serial)
	return certificate, known, nil
}

func (m *memory) Head() (lines int, sum string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, err := json.Marshal(m.fold.Entries())
	whole := sha256.Sum256(text)
	return m.fold.Len(), hex.EncodeToString(whole[:]), err
}

func (m *memory) open() *ca.Embedded { return ca.New(ca.Config{Store: m, Journal: m}) }

// issues counts the certificates that the journal has for each order.
func (m *memory) issues() map[string]int {
	count := map[string]int{}
	for _, entry := range m.fold.Entries() {
		if entry.Event == ledger.Issued {
			count[entry.Order]++
		}
	}
	return count
}

func authorityOrder(keyType cert.KeyType) order.CreateAuthority {
	return order.CreateAuthority{
		Generation: 1, CommonName: "signet CA G1", Organizations: []string{"Example"}, KeyType: keyType,
		NotBefore: time.Now().Add(-time.Hour), Life: 10 * 365 * 24 * time.Hour,
	}
}

// create makes an authority in the memory.
func (m *memory) create(t *testing.T, keyType cert.KeyType) order.Signer {
	t.Helper()
	answer := m.open().Carry(t.Context(), authorityOrder(keyType))
	require.Nil(t, answer.Failure)
	return order.Signer{Authority: answer.Authority, Key: answer.Key}
}

func TestEmbeddedKeepsTheContract(t *testing.T) {
	t.Parallel()
	catest.Run(t, func(t *testing.T) catest.Bench {
		memory := newMemory()
		signer := memory.create(t, cert.P256)
		return catest.Bench{Carrier: memory.open(), Signer: signer, Reopen: func() catest.Carrier { return memory.open() }}
	})
}
