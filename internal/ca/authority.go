// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// requestPrefix begins the store's names of requests for CA certificates: "request.<order ID>".
const requestPrefix = "request."

// request makes the key of an authority that another one shall certify, and the request to show to it. The request is
// kept, so that the order repeated gives the same text: the answer to it may be on its way.
func (e *Embedded) request(id order.ID, o order.RequestAuthority) (order.Answer, error) {
	if answer, found := e.requestedBefore(id, o); found {
		return answer, nil
	}
	key, public, err := e.outboxKey(id, o.KeyType)
	if err != nil {
		return order.Answer{}, err
	}
	private, err := cert.ParseKey(key)
	if err != nil {
		return order.Answer{}, err
	}
	template, err := cert.AuthorityRequest(o.Subject)
	if err != nil {
		return order.Answer{}, order.Fail("bad-order", "cannot make the request for CA %d: %v", o.Generation, err)
	}
	der, err := x509.CreateCertificateRequest(e.random, template, private)
	if err != nil {
		return order.Answer{}, order.Fail("bad-order", "cannot make the request for CA %d: %v", o.Generation, err)
	}
	name, err := authorityName(o.Generation, public)
	if err != nil {
		return order.Answer{}, err
	}
	if err := e.keep(name, key); err != nil {
		return order.Answer{}, err
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	if err := e.store.Write(requestPrefix+string(id), []byte(text)); err != nil {
		return order.Answer{}, err
	}
	return order.Answer{Request: text, Key: key}, e.Forget(id)
}

// requestedBefore gives the request that was made for an order, with its key, unless either is lost.
func (e *Embedded) requestedBefore(id order.ID, o order.RequestAuthority) (order.Answer, bool) {
	text, err := e.store.Read(requestPrefix + string(id))
	if err != nil {
		return order.Answer{}, false
	}
	made, err := cert.ParseRequest(string(text))
	if err != nil {
		return order.Answer{}, false
	}
	name, err := authorityName(o.Generation, made.PublicKey)
	if err != nil {
		return order.Answer{}, false
	}
	key, err := e.store.Read(name)
	if err != nil {
		return order.Answer{}, false
	}
	private, err := cert.ParseKey(cert.NewKey(string(key)))
	if err != nil || !cert.SameKey(private.Public(), made.PublicKey) {
		return order.Answer{}, false
	}
	return order.Answer{Request: string(text), Key: cert.NewKey(string(key))}, true
}

// cross makes one authority vouch for another.
func (e *Embedded) cross(id order.ID, o order.CrossSign) (order.Answer, error) {
	if before, found, err := e.issuedBefore(id); err != nil || found {
		return order.Answer{Issued: cert.Issued{Certificate: before.Certificate, Issuers: o.Signer.Chain()}, Serial: before.Serial}, err
	}
	signer, err := e.signer(o.Signer)
	if err != nil {
		return order.Answer{}, err
	}
	other, err := cert.Parse(o.Certificate)
	if err != nil {
		return order.Answer{}, order.Fail("bad-order", "cannot vouch for CA %d: %v", o.Generation, err)
	}
	entry, err := e.issue(issue{
		order: id, who: fmt.Sprintf("authority %d, vouched for by authority %d", o.Generation, o.Signer.Generation),
		generation: o.Signer.Generation, issuer: signer.certificate, other: other, key: signer.key,
		spec: cert.Spec{Kind: cert.Intermediate, PathLen: cert.CrossPathLen(other, signer.certificate), Life: other.NotAfter.Sub(o.NotBefore.UTC().Truncate(time.Second)) + time.Second},
		template: func(serial *big.Int) (*x509.Certificate, error) {
			return cert.CrossTemplate(other, signer.certificate, serial, o.NotBefore)
		},
	})
	if err != nil {
		return order.Answer{}, err
	}
	return order.Answer{Issued: cert.Issued{Certificate: entry.Certificate, Issuers: o.Signer.Chain()}, Serial: entry.Serial}, nil
}

// list signs a revocation list. It is not recorded: what it says is already, and a list signed twice says the same.
func (e *Embedded) list(o order.SignCRL) (string, error) {
	signer, err := e.signer(o.Signer)
	if err != nil {
		return "", err
	}
	template := &x509.RevocationList{
		Number: big.NewInt(o.Number), ThisUpdate: o.Update.UTC().Truncate(time.Second),
		NextUpdate: o.Update.UTC().Truncate(time.Second).Add(o.Life),
	}
	template.RevokedCertificateEntries = make([]x509.RevocationListEntry, 0, len(o.Revoked))
	for _, revoked := range o.Revoked {
		number, err := hex.DecodeString(strings.Repeat("0", len(revoked.Serial)%2) + revoked.Serial)
		serial := new(big.Int).SetBytes(number)
		if err != nil || serial.Sign() == 0 {
			return "", order.Fail("bad-order", "cannot list serial %q: it is not hexadecimal", revoked.Serial)
		}
		entry := x509.RevocationListEntry{SerialNumber: serial, RevocationTime: revoked.Time.UTC().Truncate(time.Second)}
		if code := revoked.Reason.Code(); code != 0 { // unspecified is said by leaving it out (RFC 5280, 5.3.1)
			entry.ReasonCode = code
		}
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, entry)
	}
	issuer := *signer.certificate
	if issuer.KeyUsage == 0 { // a CA that says nothing of usages may do all (RFC 5280, 4.2.1.3), which Go wants said
		issuer.KeyUsage = x509.KeyUsageCRLSign
	}
	der, err := x509.CreateRevocationList(e.random, template, &issuer, signer.key)
	if err != nil {
		return "", order.Fail("signing", "cannot sign the revocation list of CA %d: %v", o.Signer.Generation, err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return "", order.Fail("signing", "cannot read back the revocation list of CA %d: %v", o.Signer.Generation, err)
	}
	if err := list.CheckSignatureFrom(signer.certificate); err != nil {
		return "", order.Fail("signing", "cannot verify the revocation list of CA %d: %v", o.Signer.Generation, err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})), nil
}
