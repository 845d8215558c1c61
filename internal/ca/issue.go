// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"bytes"
	"cmp"
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

// making is one certificate on its way: what is to be made, and how far it has come. One that failed is passed over by all
// later steps.
type making struct {
	issue
	draft       *x509.Certificate // all that will be signed, but for the serial number
	entry       ledger.Entry      // what is recorded next; with the serial number from its reservation on
	certificate *x509.Certificate // once it is made
	err         error
}

// issue makes one certificate. The order of the steps is what makes it safe: after a crash the journal has either the
// certificate, or a serial number that nothing else will use. A batch of them goes the same way: see sign.go.
func (e *Embedded) issue(work issue) (ledger.Entry, error) {
	one := &making{issue: work}
	entries, err := e.journal.Order(string(work.order))
	if err != nil {
		return ledger.Entry{}, err
	}
	e.prepare(one, entries)
	e.reserve(one)
	e.build(one)
	if one.err == nil && work.keep != nil {
		one.err = work.keep()
		if one.err != nil {
			return ledger.Entry{}, one.err
		}
	}
	e.record(nil, one)
	return one.entry, one.err
}

// prepare tells, before a serial number is spent, whether the order can be met at all. What was refused before is linted
// too, so that an order repeated at each turn does not fill the journal.
func (e *Embedded) prepare(one *making, entries []ledger.Entry) {
	work := one.issue
	one.draft, one.err = draft(work, new(big.Int).Lsh(big.NewInt(1), 134))
	if one.err == nil && slices.ContainsFunc(entries, func(e ledger.Entry) bool { return e.Event == ledger.Refused }) {
		_, one.err = e.linter.lint(work, one.draft)
	}
	if one.err != nil {
		one.err = refusal(work, one.err)
		return
	}
	one.entry = ledger.Entry{
		Order: string(work.order), Ask: work.ask, For: work.who, Generation: work.generation,
		Relation: work.asker.Relation, App: work.asker.App, Unit: work.asker.Unit, Rule: work.rule, Before: work.replaces,
		Subject: one.draft.Subject.String(), Detail: work.taken,
	}
}

// build lints what is to be signed, signs it, and reads it back: the key signs nothing but what was linted, byte for byte.
// What comes of it is to be recorded.
func (e *Embedded) build(one *making) {
	if one.err != nil {
		return
	}
	certificate, err := e.signed(one.issue, one.draft)
	one.entry.Time = e.now().UTC()
	if err != nil {
		one.err = refusal(one.issue, err)
		one.entry.Event, one.entry.Reason, one.entry.Code = ledger.Refused, one.err.Error(), finalCode(one.err)
		return
	}
	one.certificate, one.entry.Event = certificate, ledger.Issued
	one.entry.Subject = certificate.Subject.String()
	one.entry.Names = cert.NamesOf(certificate).List()
	one.entry.NotAfter = certificate.NotAfter.UTC()
	one.entry.Certificate = cert.Encode(certificate.Raw)
}

// signed makes the certificate of a template. That its signature is good by the public half of the key is verified by
// x509.CreateCertificate, and that this is the issuer's here.
func (e *Embedded) signed(work issue, template *x509.Certificate) (*x509.Certificate, error) {
	issuer := work.issuer
	if issuer == nil {
		issuer = template
	}
	if !cert.SameKey(work.key.Public(), issuer.PublicKey) {
		return nil, errors.New("cannot sign: the key is not the authority's")
	}
	var linted *x509.Certificate
	key := gate{work.key, func(tbs []byte) (err error) {
		linted, err = e.linter.judge(work, issuer, tbs)
		return err
	}}
	der, err := x509.CreateCertificate(e.random, template, issuer, template.PublicKey, key)
	var known *order.Failure
	switch {
	case err != nil && linted == nil && !errors.As(err, &known):
		return nil, order.Fail("lint", "cannot build the certificate: %v", err)
	case err != nil:
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot read what was signed: %w", err)
	}
	if linted == nil || !bytes.Equal(certificate.RawTBSCertificate, linted.RawTBSCertificate) {
		return nil, errors.New("what was signed differs from what was checked")
	}
	return certificate, nil
}

// record makes what came of them durable, and of other orders that nothing will, all at once: nobody is told before. When
// that fails, none has an outcome: the journal tells what came of it.
func (e *Embedded) record(others []ledger.Entry, all ...*making) {
	entries := others
	for _, one := range all {
		if one.entry.Event == ledger.Issued || one.entry.Event == ledger.Refused {
			entries = append(entries, one.entry)
		}
	}
	if err := e.append(entries); err != nil {
		for _, one := range all {
			if one.err == nil || one.entry.Event == ledger.Refused || finalCode(one.err) != "" { // else who orders would count on it
				one.err = err
			}
		}
	}
}

// reserve draws serial numbers and records them, all at once.
func (e *Embedded) reserve(all ...*making) {
	drawn := map[string]bool{}
	var entries []ledger.Entry
	for _, one := range all {
		if one.err != nil {
			continue
		}
		var serial *big.Int
		if serial, one.err = e.draw(one.generation, drawn); one.err != nil {
			continue
		}
		one.draft.SerialNumber, one.entry.Serial = serial, cert.SerialText(serial)
		drawn[one.entry.Serial] = true
		one.entry.Time, one.entry.Event = e.now().UTC(), ledger.Reserved
		entries = append(entries, one.entry)
	}
	if err := e.append(entries); err != nil {
		for _, one := range all {
			one.err = cmp.Or(one.err, err)
		}
	}
}

// append records entries, if there are any.
func (e *Embedded) append(entries []ledger.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	return e.journal.Append(entries...)
}

// draw draws a serial number of 136 bits that was never used: one byte that differs between neighbouring authorities and
// keeps the number positive and of one length (RFC 5280, 4.1.2.2), then 128 random bits.
func (e *Embedded) draw(generation int, drawn map[string]bool) (*big.Int, error) {
	const tries = 8 // a second one is needed only when the randomness is broken
	for range tries {
		number := make([]byte, 17)
		number[0] = 0x40 | byte(generation&0x3f)
		if _, err := io.ReadFull(e.random, number[1:]); err != nil {
			return nil, order.Fail("randomness", "cannot draw a serial number: %v: check the machine's random source", err)
		}
		serial := new(big.Int).SetBytes(number)
		text := cert.SerialText(serial)
		_, used, err := e.journal.Serial(text)
		if err != nil {
			return nil, err
		}
		if !used && !drawn[text] {
			return serial, nil
		}
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

// refusedForGood is what to record of a signing order that will never be met, unless that stands on record among its
// entries, so that who orders need not find out again at each turn. What another CA may have made of the order must first be
// found.
func (e *Embedded) refusedForGood(id order.ID, o order.Sign, entries []ledger.Entry, err error) (ledger.Entry, bool) {
	code, now := finalCode(err), e.now().UTC()
	if code == "" {
		return ledger.Entry{}, false
	}
	if _, until, refused := ledger.RefusedFor(entries); refused && now.Before(until) ||
		len(entries) > 0 && entries[len(entries)-1].Event == ledger.Submitted {
		return ledger.Entry{}, false
	}
	return ledger.Entry{
		Time: now, Event: ledger.Refused, Order: string(id), Ask: o.Ask, For: o.For, Generation: o.Signer.Generation,
		Relation: o.Asker.Relation, App: o.Asker.App, Unit: o.Asker.Unit, Rule: o.Rule, Before: o.Replaces,
		Code: code, Reason: order.FailureOf(err).Message,
	}, true
}
