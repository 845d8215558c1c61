// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

// No small key is ruled out, at the ends of each step least of all, nor its negation; nearly all others are.
func TestASmallKeyIsNeverRuledOut(t *testing.T) {
	t.Parallel()
	known := &smallKeys{}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		size := (curve.Params().N.BitLen() + 7) / 8
		ruledOut := func(d *big.Int) bool {
			key, err := ecdsa.ParseRawPrivateKey(curve, d.FillBytes(make([]byte, size)))
			require.NoError(t, err)
			return known.rulesOut(key.Public())
		}
		var small []int64
		for _, middle := range []int64{1, smallBlock, smallTableLen, 2 * smallTableLen, 3 * smallTableLen, 4 * smallTableLen, smallKeyMost} {
			for d := middle - 3; d <= middle+3; d++ {
				small = append(small, d)
			}
		}
		for d := int64(1); d < smallKeyMost; d += 997 {
			small = append(small, d)
		}
		for _, d := range small {
			if d < 1 || d > smallKeyMost {
				continue
			}
			require.False(t, ruledOut(big.NewInt(d)), "%s, %d", curve.Params().Name, d)
			require.False(t, ruledOut(new(big.Int).Sub(curve.Params().N, big.NewInt(d))), "%s, -%d", curve.Params().Name, d)
		}
		for range 100 {
			key, err := ecdsa.GenerateKey(curve, rand.Reader)
			require.NoError(t, err)
			require.True(t, known.rulesOut(key.Public()), "one in 2^48 may be taken for a small one")
		}
		require.True(t, ruledOut(big.NewInt(1<<20)))
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	require.False(t, known.rulesOut(public))
}

func BenchmarkSmallKeys(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b, err)
	b.Run("table", func(b *testing.B) {
		for b.Loop() {
			_, err := newSmallTable(elliptic.P256())
			require.NoError(b, err)
		}
	})
	known := &smallKeys{}
	known.rulesOut(key.Public())
	b.Run("key", func(b *testing.B) {
		for b.Loop() {
			known.rulesOut(key.Public())
		}
	})
}
