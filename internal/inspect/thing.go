// SPDX-License-Identifier: AGPL-3.0-only

package inspect

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
)

// Thing is one certificate, request, key or list.
type Thing struct {
	Where     string    `json:"where,omitempty"` // in the file: "block 2", "certificates[0].chain[1]"
	Kind      string    `json:"kind"`            // certificate, CA certificate, request, private key, revocation list
	Subject   string    `json:"subject,omitempty"`
	Names     []string  `json:"names,omitempty"`
	Issuer    string    `json:"issuer,omitempty"`
	IssuedBy  string    `json:"issued-by,omitempty"` // where in the file its issuer is; "itself"
	Serial    string    `json:"serial,omitempty"`
	NotBefore time.Time `json:"not-before,omitzero"`
	NotAfter  time.Time `json:"not-after,omitzero"`
	KeyType   string    `json:"key-type,omitempty"`
	Signature string    `json:"signature,omitempty"`
	Usages    []string  `json:"usages,omitempty"`
	SHA256    string    `json:"sha256,omitempty"`
	Detail    string    `json:"detail,omitempty"`
	Faults    []string  `json:"faults,omitempty"` // what is wrong with it
	PEM       string    `json:"-"`                // of a certificate or request
}

// held is a thing with what it was read from.
type held struct {
	Thing

	leaf   *x509.Certificate
	public crypto.PublicKey
	list   *x509.RevocationList
}

func (h *held) fault(format string, args ...any) {
	h.Faults = append(h.Faults, fmt.Sprintf(format, args...))
}

func (r *reader) certificate(where string, c *x509.Certificate) {
	sum := sha256.Sum256(c.Raw)
	one := &held{leaf: c, public: c.PublicKey, Thing: Thing{
		Where: where, Kind: "certificate", Subject: c.Subject.String(), Names: allNames(c), Issuer: c.Issuer.String(),
		Serial: cert.SerialText(c.SerialNumber), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), KeyType: keyType(c.PublicKey),
		Signature: c.SignatureAlgorithm.String(), Usages: usagesOf(c.ExtKeyUsage), SHA256: hex.EncodeToString(sum[:]), PEM: cert.Encode(c.Raw),
	}}
	if c.IsCA {
		one.Kind = "CA certificate"
		if c.MaxPathLen > 0 || c.MaxPathLenZero {
			one.Detail = fmt.Sprintf("%d CAs may be below it", c.MaxPathLen)
		}
	}
	r.judge(one)
	r.add(one)
}

// judge says what is wrong with a certificate by itself.
func (r *reader) judge(one *held) {
	c := one.leaf
	switch {
	case r.now.After(c.NotAfter):
		one.fault("it expired %s ago", ago(r.now.Sub(c.NotAfter)))
	case r.now.Before(c.NotBefore):
		one.fault("it is not valid yet")
	case !r.now.Before(c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 10)):
		one.fault("a tenth of its life is left, or less")
	}
	one.weak(c.PublicKey)
	if !cert.SelfSigned(c) {
		one.weakSignature(c.SignatureAlgorithm)
	}
	switch server := hasUsage(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth); {
	case c.IsCA && c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		one.fault("it is a CA's and may not sign certificates")
	case !c.IsCA && server && len(one.Names) == 0:
		one.fault("it is a server's without a name: clients look at the alternative names only (RFC 6125, 6.4.4)")
	case !c.IsCA && c.KeyUsage&x509.KeyUsageCertSign != 0:
		one.fault("it is no CA's and may sign certificates")
	}
	if len(c.UnhandledCriticalExtensions) > 0 {
		one.fault("it has a critical extension that Go does not know, and so refuses")
	}
}

func (h *held) weak(key crypto.PublicKey) {
	if why := cert.KeyFault(key); why != "" {
		h.fault("%s", why)
	} else if why := cert.KnownWeakness(key); why != "" {
		h.fault("%s", why)
	}
}

func (h *held) weakSignature(algorithm x509.SignatureAlgorithm) {
	switch algorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		h.fault("it is signed with %s, which programs of today refuse", algorithm)
	}
}

func (r *reader) request(where string, request *x509.CertificateRequest, text string) {
	one := &held{public: request.PublicKey, Thing: Thing{
		Where: where, Kind: "request", Subject: request.Subject.String(), KeyType: keyType(request.PublicKey), Signature: request.SignatureAlgorithm.String(),
	}}
	one.Names = append(one.Names, request.DNSNames...)
	for _, ip := range request.IPAddresses {
		one.Names = append(one.Names, ip.String())
	}
	for _, uri := range request.URIs {
		one.Names = append(one.Names, uri.String())
	}
	server, client := cert.RequestedUsages(request)
	if server {
		one.Usages = append(one.Usages, "server")
	}
	if client {
		one.Usages = append(one.Usages, "client")
	}
	sum := sha256.Sum256(bytes.TrimSpace([]byte(text)))
	one.SHA256, one.PEM = hex.EncodeToString(sum[:]), text
	if err := cert.CheckRequest(request); err != nil {
		one.fault("%v", err)
	}
	one.weak(request.PublicKey)
	r.add(one)
}

func (r *reader) list(where string, list *x509.RevocationList) {
	one := &held{list: list, Thing: Thing{
		Where: where, Kind: "revocation list", Issuer: list.Issuer.String(), NotBefore: list.ThisUpdate.UTC(), NotAfter: list.NextUpdate.UTC(),
		Signature: list.SignatureAlgorithm.String(), Detail: fmt.Sprintf("%d revoked", len(list.RevokedCertificateEntries)),
	}}
	if list.Number != nil {
		one.Serial = list.Number.String()
	}
	if r.now.After(list.NextUpdate) {
		one.fault("it is overdue for %s", ago(r.now.Sub(list.NextUpdate)))
	}
	r.add(one)
}

func (r *reader) key(where string, block *pem.Block) {
	if strings.Contains(block.Type, "ENCRYPTED") || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		r.add(&held{Thing: Thing{Where: where, Kind: "private key", Detail: "under a passphrase"}})
		return
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		r.privateKey(where, key)
		return
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		r.privateKey(where, key)
		return
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		r.privateKey(where, key)
		return
	}
	r.add(&held{Thing: Thing{Where: where, Kind: "private key", Faults: []string{"it cannot be read"}}})
}

// privateKey notes that there is one, and whose; nothing of it is given.
func (r *reader) privateKey(where string, key any) {
	one := &held{Thing: Thing{Where: where, Kind: "private key"}}
	if signer, ok := key.(crypto.Signer); ok {
		one.public = signer.Public()
		one.KeyType = keyType(one.public)
		one.weak(one.public)
	}
	r.add(one)
}

// relate says who issued what, and which key is whose, as far as both are there.
func (r *reader) relate() {
	for _, one := range r.found {
		switch {
		case one.leaf != nil:
			r.findIssuer(one)
		case one.list != nil:
			one.IssuedBy = r.signerOf(one.list.RawIssuer, one.list.CheckSignatureFrom)
		case one.Kind == "private key" && one.public != nil:
			for _, other := range r.found {
				if other != one && other.public != nil && cert.SameKey(other.public, one.public) && other.Kind != one.Kind {
					one.Detail = "of " + other.Where + ": " + other.Subject
					break
				}
			}
		}
	}
}

func (r *reader) findIssuer(one *held) {
	if cert.SelfSigned(one.leaf) {
		one.IssuedBy = "itself"
		return
	}
	one.IssuedBy = r.signerOf(one.leaf.RawIssuer, one.leaf.CheckSignatureFrom)
	if one.IssuedBy != "" {
		return
	}
	for _, other := range r.found {
		if other.leaf != nil && other != one && bytes.Equal(other.leaf.RawSubject, one.leaf.RawIssuer) {
			one.fault("%s has its issuer's name, and did not sign it", other.Where)
			return
		}
	}
}

// signerOf tells where the CA is that signed something.
func (r *reader) signerOf(issuer []byte, check func(*x509.Certificate) error) string {
	for _, other := range r.found {
		if other.leaf != nil && bytes.Equal(other.leaf.RawSubject, issuer) && check(other.leaf) == nil {
			return other.Where
		}
	}
	return ""
}

func allNames(c *x509.Certificate) []string {
	names := cert.NamesOf(c).List()
	for _, uri := range c.URIs {
		names = append(names, uri.String())
	}
	return append(names, c.EmailAddresses...)
}

func keyType(key crypto.PublicKey) string {
	if known, err := cert.KeyTypeOf(key); err == nil {
		return string(known)
	}
	return strings.TrimPrefix(strings.TrimSuffix(fmt.Sprintf("%T", key), ".PublicKey"), "*")
}

func hasUsage(usages []x509.ExtKeyUsage, wanted x509.ExtKeyUsage) bool {
	for _, usage := range usages {
		if usage == wanted {
			return true
		}
	}
	return false
}

func usagesOf(usages []x509.ExtKeyUsage) []string {
	var names []string
	for _, usage := range usages {
		switch usage {
		case x509.ExtKeyUsageServerAuth:
			names = append(names, "server")
		case x509.ExtKeyUsageClientAuth:
			names = append(names, "client")
		case x509.ExtKeyUsageOCSPSigning:
			names = append(names, "OCSP signing")
		case x509.ExtKeyUsageAny:
			names = append(names, "any")
		default:
			names = append(names, "other")
		}
	}
	return names
}

// ago is a span in its largest unit.
func ago(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}
