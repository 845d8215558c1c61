// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"crypto/rand"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

// shelf is a store in memory that counts what is written.
type shelf struct {
	blobs  map[string][]byte
	writes int
}

func (s *shelf) Read(name string) ([]byte, error) {
	if blob, found := s.blobs[name]; found {
		return blob, nil
	}
	return nil, fs.ErrNotExist
}

func (s *shelf) Write(name string, blob []byte) error {
	s.writes++
	s.blobs[name] = blob
	return nil
}

func (s *shelf) Remove(name string) error {
	delete(s.blobs, name)
	return nil
}

func (s *shelf) Names(prefix string) ([]string, error) {
	var names []string
	for name := range s.blobs {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// No key is given twice, few writes give many, another process finds what was taken, and nothing stays for long.
func TestStockOfKeys(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	store := &shelf{blobs: map[string][]byte{}}
	open := func() *stock { return newStock(store, rand.Reader, func() time.Time { return now }) }
	first := open()
	taken := map[string]cert.Key{}
	for range 500 {
		key, hash, err := first.take(cert.P256)
		require.NoError(t, err)
		require.NotContains(t, taken, hash)
		taken[hash] = key
	}
	require.LessOrEqual(t, store.writes, 16)
	_, hash, err := first.take(cert.RSA2048)
	require.NoError(t, err)

	second := open()
	for hash, key := range taken {
		found, err := second.find(hash)
		require.NoError(t, err)
		require.True(t, key.Equal(found[hash]))
	}
	found, err := second.find(hash)
	require.NoError(t, err)
	require.Contains(t, found, hash)

	require.NoError(t, first.prune(now.Add(-time.Hour)))
	require.NotEmpty(t, store.blobs)
	now = now.Add(stockLife + time.Hour + time.Minute)
	require.NoError(t, first.prune(now.Add(-time.Hour)))
	require.Empty(t, store.blobs)
	gone, err := open().find(hash)
	require.NoError(t, err)
	require.Empty(t, gone)
	_, fresh, err := first.take(cert.P256)
	require.NoError(t, err)
	require.NotContains(t, taken, fresh, "those of a stock that is too old are not used")
	require.Len(t, store.blobs, 1)

	now = now.Add(-1000 * time.Hour) // the clock was ahead
	require.NoError(t, first.prune(now.Add(-time.Hour)))
	require.Empty(t, store.blobs)
}
