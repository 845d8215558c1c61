// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Key is a private key or another secret text. It never prints itself: not through fmt, slog or an encoder. Only
// Reveal gives the text. Two of them are not compared with ==: see Equal.
type Key struct {
	_    [0]func() // not comparable
	text *string   // fmt asks no method of an unexported field's value, and prints where a pointer leads to as an address
}

// NewKey wraps secret text, usually a PKCS#8 PEM block.
func NewKey(text string) Key {
	if text == "" {
		return Key{}
	}
	return Key{text: &text}
}

// Reveal gives the secret text. Each caller is a place where a secret may leave the program.
func (k Key) Reveal() string {
	if k.text == nil {
		return ""
	}
	return *k.text
}

// IsZero reports whether there is no secret.
func (k Key) IsZero() bool { return k.text == nil }

// Equal reports whether both are the same text.
func (k Key) Equal(other Key) bool { return k.Reveal() == other.Reveal() }

// String hides the secret from fmt.
func (k Key) String() string {
	if k.IsZero() {
		return "[no key]"
	}
	return "[secret key]"
}

// GoString hides the secret from %#v where a Key is printed as such.
func (k Key) GoString() string { return k.String() }

// Format hides the secret from all verbs: %d, for one, does not ask String.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue hides the secret from slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText refuses: whoever stores a key must say so with Reveal.
func (k Key) MarshalText() ([]byte, error) {
	return nil, errors.New("cannot encode a private key: reveal it where it is meant to be stored")
}

// Generate makes a key of this type. The randomness is the caller's.
func (t KeyType) Generate(random io.Reader) (crypto.Signer, error) {
	switch t {
	case P256:
		return ecdsa.GenerateKey(elliptic.P256(), random)
	case P384:
		return ecdsa.GenerateKey(elliptic.P384(), random)
	case RSA2048:
		return rsa.GenerateKey(random, 2048)
	case RSA3072:
		return rsa.GenerateKey(random, 3072)
	case RSA4096:
		return rsa.GenerateKey(random, 4096)
	}
	return nil, fmt.Errorf("cannot make a key: %q is not a key type; choose one of %v", shorten(string(t)), KeyTypes())
}

// KeyTypeOf names the type of a public key; an error for one that signet never makes. Requests may bring keys of other
// types too: see CheckRequest.
func KeyTypeOf(public crypto.PublicKey) (KeyType, error) {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return P256, nil
		case elliptic.P384():
			return P384, nil
		}
		return "", fmt.Errorf("an ECDSA key on curve %s is not one that signet makes: use P-256 or P-384", key.Curve.Params().Name)
	case *rsa.PublicKey:
		if key.E < 65537 || key.E%2 == 0 {
			return "", fmt.Errorf("an RSA key with public exponent %d is not one that signet makes: use 65537", key.E)
		}
		switch size := key.N.BitLen(); {
		case size == 2048:
			return RSA2048, nil
		case size == 3072:
			return RSA3072, nil
		case size == 4096:
			return RSA4096, nil
		default:
			return "", fmt.Errorf("an RSA key of %d bits is not one that signet makes: use 2048, 3072 or 4096", size)
		}
	}
	return "", fmt.Errorf("a key of type %T is not one that signet makes: use ECDSA or RSA", public)
}

// EncodeKey is a private key as a PKCS#8 PEM block (RFC 5958).
func EncodeKey(private crypto.Signer) (Key, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Key{}, fmt.Errorf("cannot encode a private key: %w", err)
	}
	return NewKey(string(pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: der}))), nil
}

// ParseKey reads a private key: PKCS#8, or the older forms that openssl and easy-rsa wrote. Its errors hold nothing of
// the key.
func ParseKey(key Key) (crypto.Signer, error) {
	block, rest := pem.Decode([]byte(key.Reveal()))
	if block != nil && block.Type == "EC PARAMETERS" { // openssl ecparam writes one before the key
		block, _ = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("cannot read private key: no PEM block")
	}
	var parsed any
	var err error
	switch block.Type {
	case blockKey:
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, errors.New("cannot read private key: the PEM block is not an unencrypted private key")
	}
	if err != nil {
		return nil, errors.New("cannot read private key: its encoding is damaged or of an unknown kind")
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("cannot use private key: a %T does not sign", parsed)
	}
	return signer, nil
}

// PublicKeyOf is the public key of the first PEM block of a text: a certificate, a certificate request or a private
// key.
func PublicKeyOf(text string) (crypto.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("cannot find a public key: no PEM block")
	}
	switch block.Type {
	case blockCertificate:
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("cannot read certificate: %w", err)
		}
		return certificate.PublicKey, nil
	case blockRequest, "NEW " + blockRequest:
		request, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("cannot read certificate request: %w", err)
		}
		return request.PublicKey, nil
	}
	private, err := ParseKey(NewKey(text))
	if err != nil {
		return nil, err
	}
	return private.Public(), nil
}

// SameKey reports whether both are the same public key.
func SameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// KeyMatches reports whether a private key is the certificate's.
func KeyMatches(key Key, c *x509.Certificate) bool {
	private, err := ParseKey(key)
	return err == nil && SameKey(private.Public(), c.PublicKey)
}

// KeyHash names a public key: the SHA-256 of its SubjectPublicKeyInfo as 64 hexadecimal digits.
func KeyHash(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("cannot encode a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// KeyID is a public key's identifier in certificates: the leftmost 160 bits of the SHA-256 of the key's bits (RFC 7093,
// section 2, method 1).
func KeyID(public crypto.PublicKey) ([]byte, error) {
	if key, ok := public.(*ecdsa.PublicKey); ok { // whose bits are the point (RFC 5480, 2.2), which needs no decoding
		point, err := key.Bytes()
		if err != nil {
			return nil, fmt.Errorf("cannot encode a public key: %w", err)
		}
		sum := sha256.Sum256(point)
		return sum[:20], nil
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("cannot encode a public key: %w", err)
	}
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, fmt.Errorf("cannot encode a public key: %w", err)
	}
	sum := sha256.Sum256(info.Key.Bytes)
	return sum[:20], nil
}
