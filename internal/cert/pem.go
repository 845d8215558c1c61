// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The types of PEM blocks (RFC 7468).
const (
	blockCertificate = "CERTIFICATE"
	blockRequest     = "CERTIFICATE REQUEST"
	blockKey         = "PRIVATE KEY"
)

// Parse reads the first PEM block of a text, which must be a certificate; whatever follows it, such as its issuers, is
// passed over. For texts of others, where a second certificate or a damaged one matters, see ParseCertificate.
func Parse(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("cannot read certificate: no PEM block")
	}
	if block.Type != blockCertificate {
		return nil, fmt.Errorf("cannot read certificate: the PEM block is %s", blockName(block.Type))
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("cannot read certificate: %w", err)
	}
	return certificate, nil
}

// ParseCertificates gives the certificates of a PEM text (RFC 7468) in the order of the text; there is at least one.
// Text around the blocks is passed over, because EasyRSA writes a description before each, and lines may end in CRLF.
// A block of another type, or one that cannot be decoded, makes the whole text an error: a bundle with a hole in it
// must not pass for a bundle.
func ParseCertificates(text string) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != blockCertificate {
			return nil, fmt.Errorf("cannot read certificates: PEM block %d is %s", len(found)+1, blockName(block.Type))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("cannot read certificate %d: %s", len(found)+1, shorten(err.Error()))
		}
		found = append(found, c)
	}
	switch begun := strings.Count(text, "-----BEGIN "); {
	case begun == 0:
		return nil, errors.New("cannot read certificates: the text holds no PEM block")
	case begun != len(found):
		return nil, fmt.Errorf("cannot read certificates: %d of %d PEM blocks are damaged", begun-len(found), begun)
	}
	return found, nil
}

// ParseCertificate gives the only certificate of a PEM text; see ParseCertificates for what is tolerated around it.
func ParseCertificate(text string) (*x509.Certificate, error) {
	found, err := ParseCertificates(text)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("cannot read certificate: the text holds %d of them", len(found))
	}
	return found[0], nil
}

// Encode is the PEM of a certificate's DER: one block, one trailing newline.
func Encode(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: blockCertificate, Bytes: der}))
}

// EncodeCertificates gives certificates as PEM blocks without any other text, each ending in one newline.
func EncodeCertificates(certificates ...*x509.Certificate) string {
	var text bytes.Buffer
	for _, c := range certificates {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: blockCertificate, Bytes: c.Raw}))
	}
	return text.String()
}

// Issuers gives the certificates of the pool that lead from the leaf to its root: the issuing CA first, the root, or
// the last one that the pool has, last. Each step is proved by a signature, so the pool's order does not matter; where
// two would do (a CA's own and its cross-signed certificate), the pool's first is taken. The pool may hold the leaf.
func Issuers(leaf *x509.Certificate, pool []*x509.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{leaf}
	for next := issuer(chain, pool); next != nil; next = issuer(chain, pool) {
		chain = append(chain, next)
	}
	return chain[1:]
}

// issuer finds who signed the last certificate of a chain, apart from those in it; nil when there is nobody.
func issuer(chain, pool []*x509.Certificate) *x509.Certificate {
	c := chain[len(chain)-1]
	var candidates []*x509.Certificate
	for _, candidate := range pool {
		if bytes.Equal(candidate.RawSubject, c.RawIssuer) && !slices.ContainsFunc(chain, candidate.Equal) {
			candidates = append(candidates, candidate)
		}
	}
	if len(candidates) == 0 || SelfSigned(c) { // a signature costs more than all else here, so it is checked last
		return nil
	}
	for _, candidate := range candidates {
		if c.CheckSignatureFrom(candidate) == nil {
			return candidate
		}
	}
	return nil
}

// SelfSigned reports whether a CA certificate is signed with its own key, as roots are.
func SelfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(c) == nil
}

// blockName names what a PEM block holds instead of what it should. That it is a private key is said in other words than the
// block's own, by which watchers of logs look for keys.
func blockName(blockType string) string {
	if strings.Contains(strings.ToUpper(blockType), "PRIVATE KEY") {
		return "a private key"
	}
	return "a " + shorten(strconv.Quote(blockType))
}
