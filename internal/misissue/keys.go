// SPDX-License-Identifier: AGPL-3.0-only

package misissue

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
)

// judgeKeyFloor refuses the keys that no setting allows.
func (h *hearing) judgeKeyFloor() {
	switch key := h.cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 8192 {
			h.breach("keys", "an RSA key of %d bits", bits)
		}
		if key.E < 65537 || key.E%2 == 0 {
			h.breach("keys", "an RSA key with the exponent %d", key.E)
		}
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits != 256 && bits != 384 && bits != 521 {
			h.breach("keys", "a key on %s", key.Curve.Params().Name)
		}
	case ed25519.PublicKey:
	default:
		h.breach("keys", "a key of the type %T", key)
	}
}

// keyFault says why a key may not be certified.
func (h *hearing) keyFault() string {
	switch key := h.cert.PublicKey.(type) {
	case ed25519.PublicKey:
		if !slices.Contains(h.allowed.Keys, "ed25519") {
			return "an Ed25519 key without a rule"
		}
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize == 521 && !slices.Contains(h.allowed.Keys, "ecdsa-p521") {
			return "a P-521 key without a rule"
		}
	}
	id := sha256.Sum256(h.cert.RawSubjectPublicKeyInfo)
	fault, known := h.judge.keys[id]
	if !known {
		fault = publishedKey(id)
		if key, isRSA := h.cert.PublicKey.(*rsa.PublicKey); isRSA && fault == "" {
			fault = rsaFault(key.N)
		}
		h.judge.keys[id] = fault
	}
	return fault
}

// publishedKey knows keys of RFC 9500, whose private halves everybody has, by the hash of their public ones.
func publishedKey(id [sha256.Size]byte) string {
	switch hex.EncodeToString(id[:]) {
	case "b2b04340cfaee616ec9c2c62d261b208e54bb197498df52e8cadede23ac0ba5e": // 2.3, P-256
	case "c4c10105a0be0ed4dd3354428dc38a9bfee64da141ce16e75c94eda272f9dd3a": // 2.3, P-384
	case "8fb6bad671cfe698393c453357da61b56d757ab8c0f3fb9c87f2849e63131878": // 2.1, 2048 bits
	default:
		return ""
	}
	return "a key of RFC 9500"
}

// rsaFault looks for moduli that are known to be easy to take apart.
func rsaFault(n *big.Int) string {
	one, rest := big.NewInt(1), new(big.Int)
	sieve := make([]bool, 752)
	for p := 2; p < len(sieve); p++ {
		if sieve[p] {
			continue
		}
		for multiple := p * p; multiple < len(sieve); multiple += p {
			sieve[multiple] = true
		}
		if rest.Mod(n, big.NewInt(int64(p))).Sign() == 0 {
			return fmt.Sprintf("an RSA key that %d divides", p)
		}
	}
	if infineon(n) {
		return "an RSA key as the ROCA fault makes them (CVE-2017-15361)"
	}
	// Fermat's method: n = (a-b)(a+b), where a is hardly more than the root of n when the primes are close.
	a := new(big.Int).Sqrt(n)
	if a.Cmp(new(big.Int).Sqrt(new(big.Int).Mul(a, a))) == 0 && new(big.Int).Mul(a, a).Cmp(n) == 0 {
		return "an RSA key that is a square"
	}
	for range 100 {
		a.Add(a, one)
		rest.Mul(a, a)
		rest.Sub(rest, n)
		b := new(big.Int).Sqrt(rest)
		if b.Mul(b, b).Cmp(rest) == 0 {
			return "an RSA key of two primes that are close"
		}
	}
	return ""
}

// infineon reports whether a modulus is a power of 65537 modulo each small prime, as one of 2^27 is by chance.
func infineon(n *big.Int) bool {
	for _, p := range []int64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
		127, 131, 137, 139, 149, 151, 157, 163, 167,
	} {
		rest := new(big.Int).Mod(n, big.NewInt(p)).Int64()
		found := false
		for i, power := int64(0), int64(1); i < p && !found; i, power = i+1, power*65537%p {
			found = power == rest
		}
		if !found {
			return false
		}
	}
	return true
}
