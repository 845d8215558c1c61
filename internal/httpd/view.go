// SPDX-License-Identifier: AGPL-3.0-only

package httpd

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-charm/signet/internal/cert"
)

// View is what is served, the CA that signs first. It is a value; nobody changes it after Show.
type View struct{ Authorities []Authority }

// Authority is one CA whose certificates may be asked for.
type Authority struct {
	Generation  int
	Certificate string // PEM of the CA's certificate
	// CRL is a PEM block "X509 CRL"; empty for none yet. OCSP answers from it too: the list is the record of what is
	// revoked.
	CRL string
	// Responder is the PEM of a delegated OCSP responder's certificate, issued by this CA (RFC 6960, 4.2.2.2); empty when
	// the CA's own key signs.
	Responder    string
	ResponderKey cert.Key // PKCS#8 PEM, the responder's or else the CA's own; zero for no OCSP
}

// content is a View that was read. Nobody changes it, apart from the responses it remembers.
type content struct {
	view      View
	files     map[string]file
	issuers   map[issuerID]*authority
	current   *authority // the first; nil for none
	responses responses
}

// authority is what could be read of an Authority.
type authority struct {
	generation  int
	certificate *x509.Certificate
	list        *list   // nil for none
	signer      *signer // nil for no OCSP
}

// list is a revocation list.
type list struct {
	der        []byte
	this, next time.Time
	revoked    map[string]revocation // by cert.SerialText
}

type revocation struct {
	time   time.Time
	reason int // RFC 5280, 5.3.1
}

// signer signs OCSP responses.
type signer struct {
	certificate *x509.Certificate // the responder's, or the CA's own
	delegated   bool
	key         crypto.Signer
	complain    sync.Once // that it fails is logged once, however many ask
}

// issuerID is how an OCSP request names a CA (RFC 6960, 4.1.1).
type issuerID struct {
	hash      crypto.Hash
	name, key string
}

func issuerOf(request *ocsp.Request) issuerID {
	return issuerID{request.HashAlgorithm, string(request.IssuerNameHash), string(request.IssuerKeyHash)}
}

// same reports whether this is what the view says. One that says nothing is read all the same, the first time.
func (c *content) same(view View) bool {
	return c.files != nil && reflect.DeepEqual(c.view.Authorities, view.Authorities)
}

// read reads all that can be read.
func read(view View, log *slog.Logger) *content {
	c := &content{view: view, files: map[string]file{}, issuers: map[issuerID]*authority{}}
	var certificates []*x509.Certificate
	for _, from := range view.Authorities {
		log := log.With("generation", from.Generation)
		certificate, err := cert.ParseCertificate(from.Certificate)
		path := fmt.Sprintf("/ca/%d.crt", from.Generation)
		if _, double := c.files[path]; double {
			err = errors.New("there is another one of this generation")
		}
		if err != nil {
			log.Warn("cannot serve a CA", "error", err)
			continue
		}
		certificates = append(certificates, certificate)
		c.files[path] = newFile("application/pkix-cert", certificate.Raw, certificate.NotBefore, certificate.NotAfter)
		c.add(readAuthority(from, certificate, log))
	}
	if c.current != nil {
		text := cert.EncodeCertificates(certificates...)
		c.files["/ca.pem"] = newFile("application/x-pem-file", []byte(text), time.Time{}, c.current.certificate.NotAfter)
	}
	return c
}

// add has an authority served, the current one first.
func (c *content) add(a *authority) {
	current := c.current == nil
	if current {
		c.current = a
	}
	if a.list != nil {
		f := newFile("application/pkix-crl", a.list.der, a.list.this, a.list.next)
		c.files[fmt.Sprintf("/crl/%d.crl", a.generation)] = f
		if current {
			c.files["/crl"] = f
		}
	}
	for _, id := range issuerIDs(a.certificate) {
		if _, newer := c.issuers[id]; !newer {
			c.issuers[id] = a
		}
	}
}

func readAuthority(from Authority, certificate *x509.Certificate, log *slog.Logger) *authority {
	a := &authority{generation: from.Generation, certificate: certificate}
	var err error
	if from.CRL != "" {
		if a.list, err = readList(from.CRL, certificate); err != nil {
			log.Warn("cannot serve a CA's revocation list", "error", err)
		}
	}
	if !from.ResponderKey.IsZero() {
		if a.signer, err = readSigner(from, certificate); err != nil {
			log.Warn("cannot answer OCSP requests for a CA", "error", err)
		}
	}
	return a
}

// readList reads a list and has the CA's signature vouch for it: lists of other CAs would make verifiers fail.
func readList(text string, issuer *x509.Certificate) (*list, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "X509 CRL" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New(`the text is not one PEM block "X509 CRL"`)
	}
	parsed, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(parsed.RawIssuer, issuer.RawSubject) {
		return nil, errors.New("it is another CA's")
	}
	if err := parsed.CheckSignatureFrom(issuer); err != nil {
		return nil, err
	}
	if parsed.NextUpdate.IsZero() {
		return nil, errors.New("it does not say when the next one comes (RFC 5280, 5.1.2.5)")
	}
	l := &list{
		der: block.Bytes, this: parsed.ThisUpdate, next: parsed.NextUpdate,
		revoked: make(map[string]revocation, len(parsed.RevokedCertificateEntries)),
	}
	for _, entry := range parsed.RevokedCertificateEntries {
		l.revoked[cert.SerialText(entry.SerialNumber)] = revocation{entry.RevocationTime, entry.ReasonCode}
	}
	return l, nil
}

// readSigner holds the signer to RFC 6960, 4.2.2.2: the CA itself, or whom it issued a certificate for this very purpose.
func readSigner(from Authority, issuer *x509.Certificate) (*signer, error) {
	s := &signer{certificate: issuer, delegated: from.Responder != ""}
	var err error
	if s.key, err = cert.ParseKey(from.ResponderKey); err != nil {
		return nil, err
	}
	if s.delegated {
		if s.certificate, err = cert.ParseCertificate(from.Responder); err != nil {
			return nil, err
		}
		if err := s.certificate.CheckSignatureFrom(issuer); err != nil {
			return nil, fmt.Errorf("the responder's certificate is not the CA's: %w", err)
		}
		if !slices.Contains(s.certificate.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
			return nil, errors.New("the responder's certificate lacks the extended key usage OCSPSigning")
		}
	}
	if !cert.SameKey(s.key.Public(), s.certificate.PublicKey) {
		return nil, errors.New("the key is not the certificate's")
	}
	switch s.certificate.PublicKeyAlgorithm {
	case x509.RSA, x509.ECDSA:
		return s, nil
	default:
		return nil, fmt.Errorf("a key of type %s does not sign OCSP responses here: use ECDSA or RSA",
			s.certificate.PublicKeyAlgorithm)
	}
}

// issuerIDs are all names by which requests may call a CA, made by the library that reads the requests.
func issuerIDs(certificate *x509.Certificate) []issuerID {
	var ids []issuerID
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		var der []byte
		var err error
		fips140.WithoutEnforcement(func() { // SHA-1 is a name here: see sign
			der, err = ocsp.CreateRequest(certificate, certificate, &ocsp.RequestOptions{Hash: hash})
		})
		if err != nil {
			continue // nobody else can make such a request either
		}
		if request, err := ocsp.ParseRequest(der); err == nil {
			ids = append(ids, issuerOf(request))
		}
	}
	return ids
}

func newFile(mime string, body []byte, modified, until time.Time) file {
	sum := sha256.Sum256(body)
	return file{mime: mime, body: body, tag: `"` + hex.EncodeToString(sum[:16]) + `"`, modified: modified, until: until}
}
