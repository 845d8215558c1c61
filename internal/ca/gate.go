// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"io"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-charm/signet/internal/cert"
)

// gate is an authority's key that signs what a judge lets pass and nothing else: there is no signature of what would be
// wrong, not even one that is thrown away. It is a crypto.MessageSigner, which x509.CreateCertificate shows what it has
// signed (RFC 5280's TBSCertificate) before it is hashed.
type gate struct {
	crypto.Signer

	judge func(tbs []byte) error
}

// SignMessage implements crypto.MessageSigner.
func (g gate) SignMessage(random io.Reader, tbs []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := g.judge(tbs); err != nil {
		return nil, err
	}
	return crypto.SignMessage(g.Signer, random, tbs, opts)
}

// Sign signs nothing: what a hash is of cannot be judged.
func (g gate) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("cannot sign a hash: what it is of was not checked")
}

// standIn gives a signature by a throw-away key of the issuer's type.
func (l *linter) standIn(issuer crypto.PublicKey) ([]byte, error) {
	keyType, err := cert.KeyTypeOf(issuer)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	signature := l.signed[keyType]
	l.mu.Unlock()
	if signature != nil {
		return signature, nil
	}
	key, err := l.throwAway(issuer)
	if err != nil {
		return nil, err
	}
	digest, hash := make([]byte, sha256.Size), crypto.SHA256
	if keyType == cert.P384 {
		digest, hash = make([]byte, sha512.Size384), crypto.SHA384
	}
	if signature, err = key.Sign(l.random, digest, hash); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signed[keyType] = signature
	return signature, nil
}

// assemble makes a certificate of what was signed and a signature (RFC 5280, 4.1). The algorithm stands in both halves.
func assemble(tbs, signature []byte) ([]byte, error) {
	var fields, algorithm cryptobyte.String
	whole := cryptobyte.String(tbs)
	version := asn1.Tag(0).Constructed().ContextSpecific()
	if !whole.ReadASN1(&fields, asn1.SEQUENCE) || !whole.Empty() || !fields.SkipOptionalASN1(version) ||
		!fields.SkipASN1(asn1.INTEGER) || !fields.ReadASN1Element(&algorithm, asn1.SEQUENCE) {
		return nil, errors.New("it does not begin with a version, a serial number and an algorithm")
	}
	var made cryptobyte.Builder
	made.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
	})
	return made.Bytes()
}
