// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// rootPathLen lets an authority vouch for another one, which signs intermediate authorities, and these only leaves.
const rootPathLen = 2

// create makes a self-signed authority. Its key waits in the outbox under the order's ID until the certificate exists,
// so that a crash in between leaves no key behind that nothing names.
func (e *Embedded) create(id order.ID, o order.CreateAuthority) (order.Answer, error) {
	before, found, err := e.issuedBefore(id)
	if err != nil {
		return order.Answer{}, err
	}
	if found {
		answer, usable, err := e.createdBefore(id, o, before)
		if usable || err != nil {
			return answer, err
		}
	}
	key, public, err := e.outboxKey(id, o.KeyType)
	if err != nil {
		return order.Answer{}, err
	}
	private, err := cert.ParseKey(key)
	if err != nil {
		return order.Answer{}, err
	}
	spec := cert.Spec{
		CommonName: o.CommonName, Organizations: o.Organizations, PathLen: rootPathLen, Life: o.Life,
	}
	work := issue{
		order: id, generation: o.Generation, spec: spec, key: private,
		who: fmt.Sprintf("authority %d", o.Generation),
		template: func(serial *big.Int) (*x509.Certificate, error) {
			return cert.RootTemplate(spec, public, serial, o.NotBefore)
		},
		keep: func() error {
			name, err := authorityName(o.Generation, public)
			if err != nil {
				return err
			}
			return e.keep(name, key)
		},
	}
	entry, err := e.issue(work)
	if err != nil {
		return order.Answer{}, err
	}
	return e.created(id, o, entry, key)
}

// createdBefore answers from the journal, unless the key is lost: then nobody can use the authority.
func (e *Embedded) createdBefore(
	id order.ID, o order.CreateAuthority, before ledger.Entry,
) (answer order.Answer, usable bool, err error) {
	certificate, err := cert.Parse(before.Certificate)
	if err != nil {
		return order.Answer{}, false, err
	}
	name, err := authorityName(o.Generation, certificate.PublicKey)
	if err != nil {
		return order.Answer{}, false, err
	}
	blob, err := e.store.Read(name)
	if err != nil || keysAgree(cert.NewKey(string(blob)), certificate) != nil {
		return order.Answer{}, false, ignoreAbsent(err)
	}
	answer, err = e.created(id, o, before, cert.NewKey(string(blob)))
	return answer, true, err
}

// created gives the answer, and takes the key out of the outbox: it is kept under the authority's name.
func (e *Embedded) created(id order.ID, o order.CreateAuthority, entry ledger.Entry, key cert.Key) (order.Answer, error) {
	return order.Answer{
		Authority: cert.Authority{Generation: o.Generation, Certificate: entry.Certificate},
		Key:       key,
		Serial:    entry.Serial,
	}, e.Forget(id)
}

// sign makes one certificate under an authority.
func (e *Embedded) sign(id order.ID, o order.Sign) (order.Answer, error) {
	before, found, err := e.issuedBefore(id)
	if err != nil {
		return order.Answer{}, err
	}
	if found {
		answer, usable, err := e.signedBefore(id, o, before, cert.Key{})
		if usable || err != nil {
			return answer, err
		}
	}
	signer, err := e.signer(o.Signer)
	if err != nil {
		return order.Answer{}, err
	}
	key, public, err := e.subjectKey(id, o)
	if err != nil {
		return order.Answer{}, err
	}
	work := errand(id, o, signer.certificate, public)
	work.fresh = makesKey(o)
	work.key = signer.key
	entry, err := e.issue(work)
	if err != nil {
		return order.Answer{}, err
	}
	return signed(o, entry, key), nil
}

// errand is what a signing order comes to. The key to certify is the request's where there is one.
func errand(id order.ID, o order.Sign, issuer *x509.Certificate, public crypto.PublicKey) issue {
	return issue{
		order: id, ask: o.Ask, who: o.For, generation: o.Signer.Generation, spec: o.Spec,
		asker: o.Asker, rule: o.Rule, replaces: o.Replaces, issuer: issuer,
		template: func(serial *big.Int) (*x509.Certificate, error) {
			return cert.Template(o.Spec, issuer, public, serial, o.NotBefore)
		},
	}
}

// subjectKey gives the key to certify: nothing when the request has it, the key in the order, or one made here.
func (e *Embedded) subjectKey(id order.ID, o order.Sign) (cert.Key, crypto.PublicKey, error) {
	switch {
	case o.Spec.Request != "" && !o.Key.IsZero():
		return cert.Key{}, nil, order.Fail("bad-order", "cannot sign for %s: the order has a request and a key", o.For)
	case o.Spec.Request != "":
		return cert.Key{}, nil, nil
	case o.Key.IsZero():
		return e.outboxKey(id, o.KeyType)
	}
	private, err := cert.ParseKey(o.Key)
	if err != nil {
		return cert.Key{}, nil, order.Fail("bad-order", "cannot sign for %s: %v", o.For, err)
	}
	return o.Key, private.Public(), nil
}

// signedBefore answers from the journal, unless the key that was made or taken for the certificate is forgotten, or the
// certificate is already due for renewal: then who asked was away since, and wants one that lives.
func (e *Embedded) signedBefore(id order.ID, o order.Sign, before ledger.Entry, taken cert.Key) (order.Answer, bool, error) {
	if state, known, err := e.journal.Serial(before.Serial); err != nil {
		return order.Answer{}, false, err
	} else if known && state.State == ledger.Revoked {
		return order.Answer{}, false, order.Fail("revoked", "cannot answer %s with certificate %s: it is revoked: order a "+
			"certificate that replaces it", o.For, before.Serial)
	}
	certificate, err := cert.Parse(before.Certificate)
	if err != nil {
		return order.Answer{}, false, err
	}
	if o.NotBefore.After(cert.RenewAt(certificate)) {
		return order.Answer{}, false, nil
	}
	if o.Spec.Request != "" {
		return signed(o, before, cert.Key{}), true, nil
	}
	if !o.Key.IsZero() {
		if err := keysAgree(o.Key, certificate); err != nil {
			return order.Answer{}, false, order.Fail("key-mismatch", "cannot answer %s with certificate %s: %v: order a "+
				"certificate that replaces it", o.For, before.Serial, err)
		}
		return signed(o, before, o.Key), true, nil
	}
	if !taken.IsZero() && keysAgree(taken, certificate) == nil {
		return signed(o, before, taken), true, nil
	}
	key, public, err := e.madeKey(id)
	if err != nil || !cert.SameKey(certificate.PublicKey, public) {
		return order.Answer{}, false, err
	}
	return signed(o, before, key), true, nil
}

func signed(o order.Sign, entry ledger.Entry, key cert.Key) order.Answer {
	return order.Answer{
		Issued: cert.Issued{Certificate: entry.Certificate, Issuers: o.Signer.Chain(), Key: key},
		Serial: entry.Serial,
	}
}

// issue is one certificate to be made.
type issue struct {
	order      order.ID
	ask, who   string
	asker      order.Asker
	rule       string // of the policy that allows it
	replaces   string // the serial of the certificate before
	generation int
	spec       cert.Spec
	issuer     *x509.Certificate // nil for a self-signed one
	other      *x509.Certificate // the authority that is vouched for; nil for none
	key        crypto.Signer     // the issuer's; nil where that signs elsewhere
	fresh      bool              // the subject's key was made here, for this order
	taken      string            // the hash of the subject's key, where that is from the stock
	elsewhere  bool              // another program makes the certificate, by its own rules where they do no harm
	byHand     bool              // an operator does
	template   func(serial *big.Int) (*x509.Certificate, error)
	keep       func() error // what must be durable before the certificate is recorded; nil for nothing
}

// foreign reports whether subject and names are somebody else's bytes.
func (i issue) foreign() bool { return i.spec.Request != "" || i.other != nil }

// issue makes one certificate. The order of the steps is what makes it safe: after a crash the journal has either the
// certificate, or a serial number that nothing else will use.
func (e *Embedded) issue(work issue) (ledger.Entry, error) {
	trial, err := e.try(work)
	if err != nil {
		return ledger.Entry{}, refusal(work, err)
	}
	entry := ledger.Entry{
		Order: string(work.order), Ask: work.ask, For: work.who, Generation: work.generation,
		Relation: work.asker.Relation, App: work.asker.App, Unit: work.asker.Unit, Rule: work.rule, Before: work.replaces,
		Subject: trial.Subject.String(),
	}
	serial, err := e.reserve(entry)
	if err != nil {
		return ledger.Entry{}, err
	}
	entry.Serial = cert.SerialText(serial)
	certificate, err := e.build(work, serial)
	if err != nil {
		err = refusal(work, err)
		entry.Time, entry.Event, entry.Reason, entry.Code = e.now().UTC(), ledger.Refused, err.Error(), finalCode(err)
		return ledger.Entry{}, errors.Join(err, e.journal.Append(entry))
	}
	if work.keep != nil {
		if err := work.keep(); err != nil {
			return ledger.Entry{}, err
		}
	}
	entry.Time, entry.Event = e.now().UTC(), ledger.Issued
	entry.Subject = certificate.Subject.String()
	entry.Names = cert.NamesOf(certificate).List()
	entry.NotAfter = certificate.NotAfter.UTC()
	entry.Certificate = cert.Encode(certificate.Raw)
	return entry, e.journal.Append(entry)
}

// try tells, before a serial number is spent, whether the order can be met at all. What was refused before is linted
// too, so that an order repeated at each turn does not fill the journal.
func (e *Embedded) try(work issue) (*x509.Certificate, error) {
	serial := new(big.Int).Lsh(big.NewInt(1), 134)
	template, err := draft(work, serial)
	if err != nil {
		return nil, err
	}
	entries, err := e.journal.Order(string(work.order))
	if err != nil {
		return nil, order.FailureOf(err)
	}
	if !slices.ContainsFunc(entries, func(e ledger.Entry) bool { return e.Event == ledger.Refused }) {
		return template, nil
	}
	_, err = e.linter.lint(work, template)
	return template, err
}

// build lints the certificate as signed by a throw-away key, signs it, and reads it back: what is signed for good is,
// byte for byte, what was linted.
func (e *Embedded) build(work issue, serial *big.Int) (*x509.Certificate, error) {
	template, err := draft(work, serial)
	if err != nil {
		return nil, err
	}
	linted, err := e.linter.lint(work, template)
	if err != nil {
		return nil, err
	}
	issuer := work.issuer
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(e.random, template, issuer, template.PublicKey, work.key)
	if err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot read what was signed: %w", err)
	}
	if !bytes.Equal(certificate.RawTBSCertificate, linted.RawTBSCertificate) {
		return nil, errors.New("what was signed differs from what was checked")
	}
	if work.issuer == nil {
		issuer = certificate
	}
	if err := certificate.CheckSignatureFrom(issuer); err != nil {
		return nil, fmt.Errorf("cannot verify what was signed: %w", err)
	}
	return certificate, nil
}

// reserve draws a serial number of 136 bits and records it: one byte that differs between neighbouring authorities and
// keeps the number positive and of one length (RFC 5280, 4.1.2.2), then 128 random bits.
func (e *Embedded) reserve(entry ledger.Entry) (*big.Int, error) {
	const tries = 8 // a second one is needed only when the randomness is broken
	for range tries {
		number := make([]byte, 17)
		number[0] = 0x40 | byte(entry.Generation&0x3f)
		if _, err := io.ReadFull(e.random, number[1:]); err != nil {
			return nil, order.Fail("randomness", "cannot draw a serial number: %v: check the machine's random source", err)
		}
		serial := new(big.Int).SetBytes(number)
		entry.Serial = cert.SerialText(serial)
		_, used, err := e.journal.Serial(entry.Serial)
		if err != nil {
			return nil, err
		}
		if used {
			continue
		}
		entry.Time, entry.Event = e.now().UTC(), ledger.Reserved
		return serial, e.journal.Append(entry)
	}
	return nil, order.Fail("randomness", "cannot draw a serial number: %d in a row were used before: check the machine's "+
		"random source", tries)
}

// draft makes the template. An order of which none can be made is a bad one, unless time is against it.
func draft(work issue, serial *big.Int) (*x509.Certificate, error) {
	template, err := work.template(serial)
	switch {
	case err == nil:
		return template, nil
	case errors.Is(err, cert.ErrClock):
		return nil, order.Fail("clock", "%v: set the machine's clock", err)
	case errors.Is(err, cert.ErrIssuerExpired):
		return nil, order.Fail("authority-expired", "%v: create a new authority", err)
	}
	return nil, order.Fail("bad-order", "%v", err)
}

// refusal says for whom nothing was signed. Only the codes "bad-order" and "lint" mean that the same order will never be
// met; all else may pass.
func refusal(work issue, err error) error {
	var known *order.Failure
	if errors.As(err, &known) {
		return order.Fail(known.Code, "cannot sign for %s: %s", work.who, known.Message)
	}
	return order.Fail("signing", "cannot sign for %s: %v", work.who, err)
}

// finalCode is why the same order will never be met; empty where it may be.
func finalCode(err error) string {
	if failure := order.FailureOf(err); failure.Final() {
		return failure.Code
	}
	return ""
}

// remember records that an order was refused for good, unless that stands on record, so that who orders need not find out
// again at each turn. What another CA may have made of the order must first be found.
func (e *Embedded) remember(id order.ID, o order.Sign, err error) error {
	code := finalCode(err)
	if code == "" {
		return err
	}
	entries, unread := e.journal.Order(string(id))
	if unread != nil {
		return unread
	}
	now := e.now().UTC()
	if _, until, refused := ledger.RefusedFor(entries); refused && now.Before(until) ||
		len(entries) > 0 && entries[len(entries)-1].Event == ledger.Submitted {
		return err
	}
	entry := ledger.Entry{
		Time: now, Event: ledger.Refused, Order: string(id), Ask: o.Ask, For: o.For, Generation: o.Signer.Generation,
		Relation: o.Asker.Relation, App: o.Asker.App, Unit: o.Asker.Unit, Rule: o.Rule, Before: o.Replaces,
		Code: code, Reason: order.FailureOf(err).Message,
	}
	if unwritten := e.journal.Append(entry); unwritten != nil {
		return unwritten // else who orders would count on it
	}
	return err
}
