// SPDX-License-Identifier: AGPL-3.0-only

package cert_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

func TestKeysThatCanBeFoundOutAreKnown(t *testing.T) {
	t.Parallel()
	prime := func(bits int) *big.Int {
		p, err := rand.Prime(rand.Reader, bits)
		require.NoError(t, err)
		return p
	}
	next := func(p *big.Int) *big.Int {
		q := new(big.Int).Add(p, big.NewInt(2))
		for !q.ProbablyPrime(20) {
			q.Add(q, big.NewInt(2))
		}
		return q
	}
	p := prime(1024)
	for sentence, c := range map[string]struct {
		key  crypto.PublicKey
		want string // empty for no weakness
	}{
		"a factor of 751":           {public(new(big.Int).Mul(prime(2040), big.NewInt(751))), "factor below 752"},
		"a factor above":            {public(new(big.Int).Mul(prime(2040), big.NewInt(757))), ""},
		"two primes side by side":   {public(new(big.Int).Mul(p, next(p))), "close to each other"},
		"the same prime twice":      {public(new(big.Int).Mul(p, p)), "close to each other"},
		"primes of a flawed chip":   {public(new(big.Int).Mul(rocaPrime(t), rocaPrime(t))), "CVE-2017-15361"},
		"RFC 9500's key on P-256":   {published(t), "testECCP256 of RFC 9500"},
		"an honest key":             {public(new(big.Int).Mul(prime(1024), prime(1024))), ""},
		"an honest key on a curve":  {&curveKey(t, elliptic.P384()).PublicKey, ""},
		"one honest and one flawed": {public(new(big.Int).Mul(rocaPrime(t), prime(1024))), ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			reason := cert.KnownWeakness(c.key)
			if c.want == "" {
				require.Empty(t, reason)
			} else {
				require.Contains(t, reason, c.want)
			}
		})
	}
}

func public(modulus *big.Int) *rsa.PublicKey { return &rsa.PublicKey{N: modulus, E: 65537} }

// published is testECCP256 (RFC 9500, 2.3).
func published(t *testing.T) *ecdsa.PublicKey {
	point, ok := new(big.Int).SetString("04422548F88FB782FFB5ECA3744452C72A1E558FBD6F73BE5E48E93232CC45C5B1"+
		"6C4CD10C4CB8D5B8A17139E94882C8992572993425F41419AB7E90A42A494272", 16)
	require.True(t, ok)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point.FillBytes(make([]byte, 65)))
	require.NoError(t, err)
	return key
}

// rocaPrime makes a prime as the flawed chips did: k*M + (65537^a mod M), M the product of the first 126 primes ("The Return
// of Coppersmith's Attack", 2017, section 2.1).
func rocaPrime(t *testing.T) *big.Int {
	product, count := big.NewInt(1), 0
	for n := int64(2); count < 126; n++ {
		if big.NewInt(n).ProbablyPrime(20) {
			product.Mul(product, big.NewInt(n))
			count++
		}
	}
	room := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 1024), product)
	for {
		k, err := rand.Int(rand.Reader, room)
		require.NoError(t, err)
		a, err := rand.Int(rand.Reader, product)
		require.NoError(t, err)
		candidate := new(big.Int).Exp(big.NewInt(65537), a, product)
		candidate.Add(candidate, k.Mul(k, product))
		if candidate.ProbablyPrime(20) {
			return candidate
		}
	}
}
