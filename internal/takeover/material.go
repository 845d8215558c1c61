// SPDX-License-Identifier: AGPL-3.0-only

package takeover

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
)

// pemBegin starts every PEM block (RFC 7468, 3).
const pemBegin = "-----BEGIN "

// material is what a source holds, not yet sorted out: the CA's certificate, those above it and below it in one pool.
type material struct {
	certificates []*x509.Certificate
	key          crypto.Signer
	crl          *x509.RevocationList
	index        index
}

// addPEM adds all blocks of a text, whatever their order; the name is for messages, empty where they have it already.
// Text around the blocks, such as openssl's description of a certificate, is passed over; a block that cannot be decoded
// is an error, lest half a chain pass for a whole one.
func (m *material) addPEM(name string, text []byte, passphrase cert.Key) error {
	where, decoded := "", 0
	if name != "" {
		where = name + ", "
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		decoded++
		if err := m.addBlock(block, passphrase); err != nil {
			return fmt.Errorf("%sPEM block %d: %w", where, decoded, err)
		}
	}
	switch begun := bytes.Count(text, []byte(pemBegin)); {
	case begun == 0:
		return fmt.Errorf("%s holds no PEM block: convert it to PEM or leave it out", name)
	case begun != decoded:
		return fmt.Errorf("%s%d of %d PEM blocks are damaged: copy the file again", where, begun-decoded, begun)
	}
	return nil
}

func (m *material) addBlock(block *pem.Block, passphrase cert.Key) error {
	switch {
	case block.Type == "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("%s: copy the certificate again or leave it out", shorten(err.Error()))
		}
		m.certificates = append(m.certificates, c)
	case block.Type == "X509 CRL":
		if m.crl != nil {
			return errors.New("it is a second revocation list: keep the last one only")
		}
		crl, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return fmt.Errorf("%s: make the revocation list anew", shorten(err.Error()))
		}
		m.crl = crl
	case block.Type == "EC PARAMETERS": // openssl ecparam writes them before the key, which repeats them
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		if m.key != nil {
			return errors.New("it is a second private key: keep only that of the authority")
		}
		key, err := openKey(block, passphrase)
		if err != nil {
			return err
		}
		m.key = key
	default:
		return fmt.Errorf("it is a %q, which is no part of an authority: leave it out", shorten(block.Type))
	}
	return nil
}

// found is the authority that the material makes, checked, or why it makes none.
func (m *material) found(source string, now time.Time) (Found, error) {
	found, err := m.sortOut(now)
	if err != nil {
		return Found{}, fmt.Errorf("cannot take over %s: %w", source, err)
	}
	found.Source = source
	return found, nil
}

// sortOut finds what is the CA's own, above it and below it; whatever belongs to none of these is left out.
func (m *material) sortOut(now time.Time) (Found, error) {
	own, err := m.own(now)
	if err != nil {
		return Found{}, err
	}
	above := cert.Issuers(own, m.certificates)
	if err := cert.CheckAuthority(own, above, m.key.Public(), now); err != nil {
		return Found{}, fmt.Errorf("the certificate of %s: %w: take over one that is in order", name(own), err)
	}
	if err := checkRoot(append([]*x509.Certificate{own}, above...)); err != nil {
		return Found{}, err
	}
	key, err := cert.EncodeKey(m.key)
	if err != nil {
		return Found{}, err
	}
	found := Found{Certificate: cert.Encode(own.Raw), Key: key}
	for _, issuer := range above {
		found.Issuers = append(found.Issuers, cert.Encode(issuer.Raw))
	}
	below := m.below(own)
	for _, c := range below {
		found.Issued = append(found.Issued, cert.Encode(c.Raw))
	}
	if found.CRLNumber, err = m.checkCRL(own); err != nil {
		return Found{}, err
	}
	found.Revoked = m.revoked(below)
	return found, nil
}

// own finds the CA's certificate: the first that has the key and may be a CA's. One that has expired does not count where
// the CA was renewed under the same key.
func (m *material) own(now time.Time) (*x509.Certificate, error) {
	switch {
	case len(m.certificates) == 0:
		return nil, errors.New("there is no certificate: add that of the authority")
	case m.key == nil:
		return nil, errors.New("there is no private key: name the file that holds it, or add it")
	}
	if err := checkKey(m.key.Public()); err != nil {
		return nil, err
	}
	var leaf, expired *x509.Certificate
	for _, c := range m.certificates {
		switch {
		case !cert.SameKey(c.PublicKey, m.key.Public()):
		case !c.BasicConstraintsValid || !c.IsCA:
			leaf = c
		case now.After(c.NotAfter):
			expired = c
		default:
			return c, nil
		}
	}
	switch {
	case expired != nil:
		return nil, fmt.Errorf("the certificate of %s expired at %s: renew it with the program that made it first",
			name(expired), expired.NotAfter.UTC().Format(time.RFC3339))
	case leaf != nil:
		return nil, fmt.Errorf("the certificate of %s is not a CA's: name that of the authority, and its key", name(leaf))
	case len(m.certificates) == 1:
		return nil, fmt.Errorf("the private key is not that of the certificate of %s: name its own", name(m.certificates[0]))
	}
	return nil, fmt.Errorf("the private key is that of none of the %d certificates: name the authority's", len(m.certificates))
}

// checkKey refuses keys with which package cert makes no signatures.
func checkKey(public crypto.PublicKey) error {
	if _, err := cert.KeyTypeOf(public); err == nil {
		return nil
	}
	what := strings.TrimSuffix(fmt.Sprintf("%T", public), ".PublicKey") // "ed25519"
	switch key := public.(type) {
	case *rsa.PublicKey:
		what = fmt.Sprintf("RSA of %d bits with exponent %d", key.N.BitLen(), key.E)
	case *ecdsa.PublicKey:
		what = "ECDSA on " + key.Curve.Params().Name
	}
	return fmt.Errorf("the authority's key is %s, with which signet does not sign: make a new authority with one of %s",
		what, strings.Join(cert.KeyTypeNames(), ", "))
}

// checkRoot refuses a chain that does not end in a root: whoever trusts that only must be able to follow it.
func checkRoot(chain []*x509.Certificate) error {
	last := chain[len(chain)-1]
	switch {
	case cert.SelfSigned(last):
		return nil
	case bytes.Equal(last.RawIssuer, last.RawSubject):
		return fmt.Errorf("the certificate of %s does not verify with its own key (%s): make a new authority",
			name(last), cause(last.CheckSignatureFrom(last)))
	}
	return fmt.Errorf("the certificate of %s, which issued that of %s, is missing: append all certificates up to the root",
		quoted(last.Issuer.String()), name(last))
}

// below are the certificates that the CA issued, in the order of their serial numbers' text. Those of another CA, which
// may lie in the same folder, and the CA's own under the same key are not among them.
func (m *material) below(own *x509.Certificate) []*x509.Certificate {
	var below []*x509.Certificate
	for _, c := range m.certificates {
		if bytes.Equal(c.RawIssuer, own.RawSubject) && !cert.SameKey(c.PublicKey, own.PublicKey) && c.CheckSignatureFrom(own) == nil {
			below = append(below, c)
		}
	}
	slices.SortFunc(below, func(a, b *x509.Certificate) int {
		return cmp.Or(strings.Compare(cert.SerialText(a.SerialNumber), cert.SerialText(b.SerialNumber)), bytes.Compare(a.Raw, b.Raw))
	})
	return slices.CompactFunc(below, (*x509.Certificate).Equal)
}

// checkCRL gives the number of the revocation list, which easy-rsa's do not have. The list must be the CA's: whoever puts
// another's in its place could revoke anything.
func (m *material) checkCRL(own *x509.Certificate) (int64, error) {
	if m.crl == nil {
		return 0, nil
	}
	if err := m.crl.CheckSignatureFrom(own); err != nil {
		return 0, fmt.Errorf("the revocation list is not signed by %s (%s): make it anew or leave it out", name(own), shorten(err.Error()))
	}
	switch number := m.crl.Number; {
	case number == nil:
		return 0, nil
	case number.Sign() < 0 || !number.IsInt64():
		return 0, errors.New("the number of the revocation list is out of range: make the list anew with a smaller one")
	default:
		return number.Int64(), nil
	}
}

// revoked unites the index and the revocation list. The index comes first: it is newer than any list made of it.
func (m *material) revoked(below []*x509.Certificate) []cert.Revocation {
	ends := m.index.ends
	if ends == nil {
		ends = map[string]time.Time{}
	}
	for _, c := range below {
		ends[cert.SerialText(c.SerialNumber)] = c.NotAfter.UTC()
	}
	all := slices.Clone(m.index.revoked)
	if m.crl != nil {
		for _, entry := range m.crl.RevokedCertificateEntries {
			all = append(all, cert.Revocation{
				Serial: cert.SerialText(entry.SerialNumber),
				Time:   entry.RevocationTime.UTC(),
				Reason: cert.ReasonOf(entry.ReasonCode),
			})
		}
	}
	for i := range all {
		all[i].Ends = ends[all[i].Serial]
	}
	// Stable, so that of those with the same number the index's is kept.
	slices.SortStableFunc(all, func(a, b cert.Revocation) int { return strings.Compare(a.Serial, b.Serial) })
	return slices.CompactFunc(all, func(a, b cert.Revocation) bool { return a.Serial == b.Serial })
}

// name is a certificate's subject for messages.
func name(c *x509.Certificate) string { return quoted(c.Subject.String()) }

func quoted(text string) string { return fmt.Sprintf("%q", shorten(text)) }
