// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"math/big"
)

// publishedKeys are keys whose private halves everybody can read: those of RFC 9500, which programs are tested with. Each
// by the SHA-256 fingerprint of its subject public key info.
func publishedKeys() map[string]string {
	return map[string]string{
		"8fb6bad671cfe698393c453357da61b56d757ab8c0f3fb9c87f2849e63131878": "testRSA2048 of RFC 9500",
		"b2b04340cfaee616ec9c2c62d261b208e54bb197498df52e8cadede23ac0ba5e": "testECCP256 of RFC 9500",
		"c4c10105a0be0ed4dd3354428dc38a9bfee64da141ce16e75c94eda272f9dd3a": "testECCP384 of RFC 9500",
		"acb1b8327fef995e2458fdf5e3c33b2dc0749feabd6a894cb9bda9d70ac06c24": "testECCP521 of RFC 9500",
	}
}

// KnownWeakness says why the private half of a public key can be found out, although its kind and size are good; empty
// where no way is known. It takes a millisecond for an RSA key, so ask when a certificate is to be signed only.
func KnownWeakness(key crypto.PublicKey) string {
	if der, err := x509.MarshalPKIXPublicKey(key); err == nil {
		sum := sha256.Sum256(der)
		if name, published := publishedKeys()[hex.EncodeToString(sum[:])]; published {
			return "its private key is published: " + name
		}
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return ""
	}
	switch {
	case hasSmallFactor(public.N):
		return "its RSA modulus has a factor below 752"
	case isROCA(public.N):
		return "its RSA key was made by a chip whose keys can be factored (CVE-2017-15361, ROCA)"
	case hasClosePrimes(public.N):
		return "its RSA modulus is the product of two primes that are close to each other"
	}
	return ""
}

// hasSmallFactor tells by one division for all primes below 752, the bound of NIST SP 800-89, 5.3.3.
func hasSmallFactor(modulus *big.Int) bool {
	product := big.NewInt(1)
	for _, prime := range primesBelow(752) {
		product.Mul(product, big.NewInt(prime))
	}
	return new(big.Int).GCD(nil, nil, product, modulus).Cmp(big.NewInt(1)) != 0
}

// isROCA reports whether a modulus is, modulo each small prime, a power of 65537, as all products of the primes
// that those chips made are. Of other moduli one in 2^27 is so by chance ("The Return of Coppersmith's Attack", 2017,
// section 2.2).
func isROCA(modulus *big.Int) bool {
	for _, prime := range primesBelow(168) {
		rest := new(big.Int).Mod(modulus, big.NewInt(prime)).Int64()
		power, found := int64(1), false
		for range prime {
			if found = power == rest; found {
				break
			}
			power = power * (65537 % prime) % prime
		}
		if !found {
			return false
		}
	}
	return true
}

// hasClosePrimes tries Fermat's factorisation as often as it takes for primes that differ in less than their lower half
// and a few bits (CVE-2022-26320).
func hasClosePrimes(modulus *big.Int) bool {
	const rounds = 110
	root := new(big.Int).Sqrt(modulus)
	if new(big.Int).Mul(root, root).Cmp(modulus) == 0 {
		return true
	}
	one := big.NewInt(1)
	for range rounds {
		root.Add(root, one)
		square := new(big.Int).Mul(root, root)
		square.Sub(square, modulus)
		other := new(big.Int).Sqrt(square)
		if other.Mul(other, other).Cmp(square) == 0 {
			return true
		}
	}
	return false
}

func primesBelow(limit int64) []int64 {
	var primes []int64
	composite := make([]bool, limit)
	for n := int64(2); n < limit; n++ {
		if composite[n] {
			continue
		}
		primes = append(primes, n)
		for multiple := n * n; multiple < limit; multiple += n {
			composite[multiple] = true
		}
	}
	return primes
}
