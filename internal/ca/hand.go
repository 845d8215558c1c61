// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// byHand is a CA whose certificates an operator brings: it "makes" the one that is there. It is an Elsewhere.
type byHand struct{ text string }

// Accepts implements Elsewhere: what the operator's CA can do is seen by what it did.
func (byHand) Accepts(Draft) error { return nil }

// Certify implements Elsewhere.
func (b byHand) Certify(context.Context, Draft) (*x509.Certificate, error) {
	made, err := cert.ParseCertificate(b.text)
	if err != nil {
		return nil, order.Fail("bad-order", "%v", err)
	}
	return made, nil
}

// Find implements Elsewhere: what was brought is what was made.
func (b byHand) Find(ctx context.Context, draft Draft) (*x509.Certificate, error) {
	return b.Certify(ctx, draft)
}

// Withdraw implements Elsewhere. Nobody here can revoke what an operator signed; it is not used.
func (byHand) Withdraw(context.Context, string) error { return nil }

// tryByHand says what is wrong with a certificate that an operator brought, and records nothing.
func (e *Embedded) tryByHand(ctx context.Context, work issue, draft Draft, at Elsewhere) error {
	made, err := at.Certify(ctx, draft)
	if err == nil {
		err = e.differs(work, draft, made)
	}
	if err != nil {
		return refusal(work, err)
	}
	return nil
}

// ask carries out an order that an operator is to sign for: it stays pending.
func (e *Embedded) ask(ctx context.Context, o order.Sign) order.Answer {
	id := o.ID()
	leave, err := e.enter(ctx, id)
	if err != nil {
		return order.Answer{Order: id, State: order.Pending}
	}
	defer leave()
	answer, err := e.petition(id, o)
	if err != nil {
		return order.Answer{Order: id, State: order.Failed, Failure: order.FailureOf(err)}
	}
	answer.Order = id
	return answer
}

// petition gives the request that an operator has to have signed: that of who asks, or one for a key that is made here, which
// says all that the certificate shall say.
func (e *Embedded) petition(id order.ID, o order.Sign) (order.Answer, error) {
	pending := order.Answer{State: order.Pending, Request: o.Spec.Request}
	if o.Spec.Request != "" {
		return pending, nil
	}
	key, public, err := e.petitionKey(id, o)
	if err != nil {
		return order.Answer{}, err
	}
	template, err := cert.RequestTemplate(o.Spec, public)
	if err != nil {
		return order.Answer{}, order.Fail("bad-order", "cannot make the request for %s: %v", o.For, err)
	}
	private, err := cert.ParseKey(key)
	if err != nil {
		return order.Answer{}, err
	}
	der, err := x509.CreateCertificateRequest(e.random, template, private)
	if err != nil {
		return order.Answer{}, fmt.Errorf("cannot make the request for %s: %w", o.For, err)
	}
	pending.Request, pending.Key = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), key
	return pending, nil
}

// petitionKey gives the key to be certified: that of the order, else the one made for it.
func (e *Embedded) petitionKey(id order.ID, o order.Sign) (cert.Key, crypto.PublicKey, error) {
	if makesKey(o) {
		return e.outboxKey(id, o.KeyType)
	}
	return subjectKey(o)
}

// sameNames reports whether two certificates have the same alternative names, in whatever order, where they have none but
// domains and addresses.
func sameNames(one, other *x509.Certificate) bool {
	plain := func(c *x509.Certificate) bool { return len(c.EmailAddresses)+len(c.URIs) == 0 }
	return plain(one) && plain(other) && cert.NamesOf(one).Equal(cert.NamesOf(other)) &&
		altNames(one) == cert.NamesOf(one).Len() && altNames(other) == cert.NamesOf(other).Len()
}

// altNames counts the alternative names of a certificate, of whatever kind.
func altNames(c *x509.Certificate) int {
	var names []asn1.RawValue
	if der := cert.Extension(c, oidSubjectAltName); len(der) > 0 {
		if rest, err := asn1.Unmarshal(der, &names); err != nil || len(rest) > 0 {
			return -1
		}
	}
	return len(names)
}

// usageNames are key usages as people call them.
func usageNames(usage x509.KeyUsage) string {
	all := []string{
		"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign",
		"encipherOnly", "decipherOnly",
	}
	var names []string
	for bit, name := range all {
		if usage&(1<<bit) != 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}

func extUsageNames(usages []x509.ExtKeyUsage) string {
	var names []string
	for _, usage := range usages {
		switch usage {
		case x509.ExtKeyUsageServerAuth:
			names = append(names, "serverAuth")
		case x509.ExtKeyUsageClientAuth:
			names = append(names, "clientAuth")
		case x509.ExtKeyUsageOCSPSigning:
			names = append(names, "OCSPSigning")
		default:
			names = append(names, fmt.Sprintf("usage %d", usage))
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}

// byHandMay are extensions that the CAs of companies make by themselves, besides those of elsewhereMay: policies, and
// Microsoft's marks of templates. None of them widens what a certificate is good for.
var byHandMay = []asn1.ObjectIdentifier{
	{2, 5, 29, 32}, {1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, {1, 3, 6, 1, 4, 1, 311, 20, 2}, {1, 3, 6, 1, 4, 1, 311, 21, 7},
	{1, 3, 6, 1, 4, 1, 311, 21, 10},
}
