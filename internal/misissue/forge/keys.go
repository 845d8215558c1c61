// SPDX-License-Identifier: AGPL-3.0-only

package forge

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	_ "embed" // for the RSA keys
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Key is a key that somebody asks a certificate for. Keys are made once, from constants, so that a run of requests is
// the same every time and needs no time to make keys.
type Key struct {
	Name      string
	Info      []byte // SubjectPublicKeyInfo
	algorithm asn1.ObjectIdentifier
	null      bool // the algorithm has the parameter NULL
	sign      func(message []byte) []byte
}

// Keys are all keys, by what they are: "p256" and "good" are those of real charms.
type Keys map[string][]*Key

var (
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidRSAWithSHA256   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidRSAEncryption   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidEd25519         = asn1.ObjectIdentifier{1, 3, 101, 112}
)

//go:embed rsa-keys.txt
var rsaKeys string

// must is for what is made of constants only.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// NewKeys makes all keys.
func NewKeys() Keys {
	p := Keys{}
	for i := range 8 {
		p.addEC("p256", elliptic.P256(), i)
	}
	p.addEC("p384", elliptic.P384(), 0)
	p.addEC("p521", elliptic.P521(), 0)
	p.addEC("p224", elliptic.P224(), 0)
	published, _ := hex.DecodeString("e6cb5bdd80aa45ae9c95e8c15476679ffec953c16851e711e743939589c64fc1") // RFC 9500, 2.3
	p.addScalar("rfc9500-p256", elliptic.P256(), published)
	for i := range 2 {
		seed := sha256.Sum256([]byte(fmt.Sprint("ed25519 ", i)))
		private := ed25519.NewKeyFromSeed(seed[:])
		info := must(x509.MarshalPKIXPublicKey(private.Public()))
		p["ed25519"] = append(p["ed25519"], &Key{
			Name: "ed25519", Info: info, algorithm: oidEd25519, sign: func(message []byte) []byte { return ed25519.Sign(private, message) },
		})
	}
	for line := range strings.Lines(rsaKeys) {
		if fields := strings.Fields(line); fields[0] != "#" {
			p.addRSA(fields)
		}
	}
	p.addForeign()
	return p
}

func (p Keys) addEC(name string, curve elliptic.Curve, number int) {
	size := (curve.Params().BitSize + 7) / 8
	scalar := make([]byte, 0, size)
	for part := 0; len(scalar) < size; part++ {
		sum := sha256.Sum256(fmt.Append(nil, name, number, part))
		scalar = append(scalar, sum[:min(len(sum), size-len(scalar))]...)
	}
	scalar[0] = 0 // below the order of every curve
	p.addScalar(name, curve, scalar)
}

func (p Keys) addScalar(name string, curve elliptic.Curve, scalar []byte) {
	private := must(ecdsa.ParseRawPrivateKey(curve, scalar))
	info := must(x509.MarshalPKIXPublicKey(&private.PublicKey))
	p[name] = append(p[name], &Key{Name: name, Info: info, algorithm: oidECDSAWithSHA256, sign: func(message []byte) []byte {
		sum := sha256.Sum256(message)
		return must(private.Sign(nil, sum[:], crypto.SHA256)) // the same every time (RFC 6979)
	}})
}

// addRSA signs by hand, with the remainders of each prime, because crypto/rsa refuses most of these keys.
func (p Keys) addRSA(fields []string) {
	e := must(strconv.ParseInt(fields[1], 10, 32))
	n := big.NewInt(1)
	var primes, exponents []*big.Int
	for _, field := range fields[2:] {
		prime := new(big.Int).SetBytes(must(hex.DecodeString(strings.Repeat("0", len(field)%2) + field)))
		n.Mul(n, prime)
		primes = append(primes, prime)
		exponents = append(exponents, new(big.Int).ModInverse(big.NewInt(e), new(big.Int).Sub(prime, big.NewInt(1))))
	}
	inverse := new(big.Int).ModInverse(primes[1], primes[0])
	one := &Key{Name: fields[0], Info: rsaInfo(n, e), algorithm: oidRSAWithSHA256, null: true}
	one.sign = func(message []byte) []byte {
		sum := sha256.Sum256(message)
		size := (n.BitLen() + 7) / 8
		prefix, _ := hex.DecodeString("3031300d060960864801650304020105000420") // RFC 8017, 9.2, note 1
		padded := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-3-len(prefix)-len(sum))...)
		m := new(big.Int).SetBytes(append(append(append(padded, 0), prefix...), sum[:]...))
		m1, m2 := new(big.Int).Exp(m, exponents[0], primes[0]), new(big.Int).Exp(m, exponents[1], primes[1])
		h := new(big.Int).Sub(m1, m2)
		h.Mul(h, inverse).Mod(h, primes[0])
		return h.Mul(h, primes[1]).Add(h, m2).FillBytes(make([]byte, size))
	}
	group, _, _ := strings.Cut(fields[0], "-")
	p[group] = append(p[group], one)
	p[fields[0]] = append(p[fields[0]], one)
}

func rsaInfo(n *big.Int, e int64) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidRSAEncryption); b.AddASN1NULL() })
		b.AddASN1(cbasn1.BIT_STRING, func(b *cryptobyte.Builder) {
			b.AddUint8(0)
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1BigInt(n); b.AddASN1Int64(e) })
		})
	})
	return b.BytesOrPanic()
}

// addForeign adds keys that nobody can sign with here: too long, of exponents that no key has, off their curve, of other
// kinds.
func (p Keys) addForeign() {
	nobody := func([]byte) []byte { return bytes.Repeat([]byte{0x5a}, 256) }
	add := func(name string, info []byte) {
		p[name] = append(p[name], &Key{Name: name, Info: info, algorithm: oidRSAWithSHA256, null: true, sign: nobody})
	}
	odd := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.Add(n, big.NewInt(12345))
	}
	add("long-8193", rsaInfo(odd(8193), 65537))
	add("long-16384", rsaInfo(odd(16384), 65537))
	add("exponent-1", rsaInfo(odd(2048), 1))
	add("exponent-even", rsaInfo(odd(2048), 65538))
	add("short-512", rsaInfo(odd(512), 65537))
	point := bytes.Clone(p["p256"][0].Info)
	point[len(point)-1] ^= 1
	add("off-curve", point)
	x25519, _ := hex.DecodeString("302a300506032b656e032100" + strings.Repeat("09", 32))
	add("x25519", x25519)
}

// RSA reports whether the key is an RSA key.
func (k *Key) RSA() bool { return k.algorithm.Equal(oidRSAWithSHA256) }
