// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"math/big"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// maxTogether is how many certificates are made in one batch: what a crash can cost, and when a turn that was given up
// notices. A key that takes long to make counts for several. Of two batches, one works while the other waits for the disk.
const (
	maxTogether = 256
	longKey     = 16
	batches     = 2
)

// SignAll carries out signing orders, as Carry does each, and gives their answers in their order. It waits for the disk as
// often for a batch of them as for one: when the serial numbers are reserved, when the keys made for them are kept, and
// when the certificates are recorded. An order that fails harms no other; only what cannot be recorded fails a batch.
func (e *Embedded) SignAll(ctx context.Context, orders ...order.Sign) []order.Answer {
	if slices.ContainsFunc(orders, func(o order.Sign) bool { return o.Signer.Hand != nil }) { // a person is waited for, not a disk
		return e.signByHand(ctx, orders)
	}
	answers := make([]order.Answer, len(orders))
	var group errgroup.Group
	group.SetLimit(batches)
	for first := 0; first < len(orders); {
		next := first + batchSize(orders[first:])
		batch, of := orders[first:next], answers[first:next]
		group.Go(func() error {
			copy(of, e.signTogether(ctx, batch))
			return nil
		})
		first = next
	}
	_ = group.Wait() // which has no error of its own
	return answers
}

// signByHand carries out orders some of which are an operator's.
func (e *Embedded) signByHand(ctx context.Context, orders []order.Sign) []order.Answer {
	answers := make([]order.Answer, len(orders))
	for i, o := range orders {
		switch {
		case o.Signer.Hand == nil:
			answers[i] = e.SignAll(ctx, o)[0]
		case o.Signer.Hand.Certificate != "":
			answers[i] = e.SignElsewhere(ctx, o, byHand{o.Signer.Hand.Certificate})
		default:
			answers[i] = e.ask(ctx, o)
		}
	}
	return answers
}

func batchSize(orders []order.Sign) int {
	weight := 0
	for i, o := range orders {
		weight++
		if makesKey(o) && o.KeyType != cert.P256 && o.KeyType != cert.P384 {
			weight += longKey - 1
		}
		if i > 0 && weight > maxTogether {
			return i
		}
	}
	return len(orders)
}

// errand is a signing order on its way.
type errand struct {
	making

	id     order.ID
	order  order.Sign
	before []ledger.Entry // of the order
	key    cert.Key       // of the subject, where that is not the request's
	unkept bool           // the key was made now
	signer *signer
	answer order.Answer
}

// signTogether carries out one batch. Where nobody waits for the disk, it works on all cores.
func (e *Embedded) signTogether(ctx context.Context, orders []order.Sign) []order.Answer {
	answers, errands := make([]order.Answer, len(orders)), make([]*errand, len(orders))
	abreast(len(orders), func(i int) { errands[i] = &errand{id: orders[i].ID(), order: orders[i]} })
	leave, err := e.enterAll(ctx, errands)
	if err != nil {
		for i, one := range errands {
			answers[i] = order.Answer{Order: one.id, State: order.Pending}
		}
		return answers
	}
	defer leave()
	known := map[order.ID]*errand{} // the same order twice is carried once
	var distinct []*errand
	for i, one := range errands {
		if known[one.id] == nil {
			known[one.id] = one
			distinct = append(distinct, one)
		}
		errands[i] = known[one.id]
	}
	e.carryOut(distinct)
	for i, one := range errands {
		answers[i] = one.outcome()
	}
	return answers
}

// enterAll waits until nobody else carries any of the orders. All do so in one order, so that none waits for the other.
func (e *Embedded) enterAll(ctx context.Context, errands []*errand) (leave func(), err error) {
	var ids []order.ID
	for _, one := range errands {
		ids = append(ids, one.id)
	}
	slices.Sort(ids)
	var entered []func()
	leave = func() {
		for _, each := range entered {
			each()
		}
	}
	for _, id := range slices.Compact(ids) {
		one, err := e.enter(ctx, id)
		if err != nil {
			leave()
			return nil, err
		}
		entered = append(entered, one)
	}
	return leave, nil
}

// carryOut makes what the orders want, as far as it was not made before. After a crash each order's entries tell how far it
// came: a serial number without a certificate is never used again, and the key that it names is there or nobody had it.
func (e *Embedded) carryOut(errands []*errand) {
	e.recall(errands)
	var makings []*making
	var anew []*errand
	for _, one := range errands {
		if one.err == nil && one.answer.State == "" {
			one.signer, one.err = e.signer(one.order.Signer)
			anew, makings = append(anew, one), append(makings, &one.making)
		}
	}
	abreast(len(anew), func(i int) { e.begin(anew[i]) })
	e.reserve(makings...)
	e.keepKeys(anew)
	abreast(len(anew), func(i int) { e.build(makings[i]) })
	var refused []ledger.Entry
	for _, one := range anew {
		if one.err != nil && one.entry.Event != ledger.Refused {
			if entry, news := e.refusedForGood(one.id, one.order, one.before, one.err); news {
				refused = append(refused, entry)
			}
		}
	}
	e.record(refused, makings...)
}

// recall answers from the journal what was carried out before, and finds the keys that were made.
func (e *Embedded) recall(errands []*errand) {
	var made []string
	for _, one := range errands {
		if one.before, one.err = e.journal.Order(string(one.id)); one.err == nil && makesKey(one.order) {
			made = append(made, madeFor(one.before))
		}
	}
	keys, err := e.stock.find(made...)
	abreast(len(errands), func(i int) {
		one := errands[i]
		if one.err = cmp.Or(one.err, err); one.err != nil || len(one.before) == 0 {
			return
		}
		if makesKey(one.order) {
			one.key = ofType(keys[madeFor(one.before)], one.order.KeyType)
		}
		answer, usable, err := e.signedBefore(one.id, one.order, one.before, one.key)
		if one.err = err; usable && err == nil {
			one.answer, one.answer.State = answer, order.Done
		}
	})
}

// madeFor is the hash of the key that was made for an order, whose entries these are; empty when none was.
func madeFor(entries []ledger.Entry) string {
	for _, entry := range slices.Backward(entries) {
		if entry.Event != ledger.Ordered && entry.Detail != "" {
			return entry.Detail
		}
	}
	return ""
}

// begin finds out what is to be made, with a key that is made now unless there is one.
func (e *Embedded) begin(one *errand) {
	if one.err != nil {
		return
	}
	o := one.order
	var public crypto.PublicKey
	hash := ""
	switch {
	case !makesKey(o):
		one.key, public, one.err = subjectKey(o)
	case one.key.IsZero():
		one.key, public, hash, one.err = makeKey(o.KeyType, e.random)
		one.unkept = true
	default:
		public, hash, one.err = publicOf(one.key)
	}
	if one.err != nil {
		return
	}
	one.issue = issueOf(one.id, o, one.signer.certificate, public)
	one.fresh, one.taken, one.issue.key = makesKey(o), hash, one.signer.key
	e.prepare(&one.making, one.before)
}

// keepKeys keeps the keys that were made. Their hashes are on record before, so that none is left that nothing names.
func (e *Embedded) keepKeys(errands []*errand) {
	var made []*errand
	var keys []cert.Key
	for _, one := range errands {
		if one.err == nil && one.unkept {
			made, keys = append(made, one), append(keys, one.key)
		}
	}
	if len(keys) == 0 {
		return
	}
	if err := e.stock.keep(keys, made[0].taken); err != nil {
		for _, one := range made {
			one.err = err
		}
	}
}

// outcome is what is told of an order in the end.
func (o *errand) outcome() order.Answer {
	if o.err != nil {
		return order.Answer{Order: o.id, State: order.Failed, Failure: order.FailureOf(o.err)}
	}
	if o.answer.State == "" {
		o.answer = answerOf(o.order, o.entry, o.key)
	}
	o.answer.Order, o.answer.State = o.id, order.Done
	return o.answer
}

// abreast does something for each of so many, on all cores.
func abreast(count int, do func(int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), count) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < count; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	group.Wait()
}

// issueOf is what a signing order comes to. The key to certify is the request's where there is one.
func issueOf(id order.ID, o order.Sign, issuer *x509.Certificate, public crypto.PublicKey) issue {
	return issue{
		order: id, ask: o.Ask, who: o.For, generation: o.Signer.Generation, spec: o.Spec,
		asker: o.Asker, rule: o.Rule, replaces: o.Replaces, issuer: issuer,
		template: func(serial *big.Int) (*x509.Certificate, error) {
			return cert.Template(o.Spec, issuer, public, serial, o.NotBefore)
		},
	}
}

// subjectKey gives the key to certify: nothing when the request has it, else the key in the order.
func subjectKey(o order.Sign) (cert.Key, crypto.PublicKey, error) {
	switch {
	case o.Spec.Request != "" && !o.Key.IsZero():
		return cert.Key{}, nil, order.Fail("bad-order", "cannot sign for %s: the order has a request and a key", o.For)
	case o.Spec.Request != "":
		return cert.Key{}, nil, nil
	}
	private, err := cert.ParseKey(o.Key)
	if err != nil {
		return cert.Key{}, nil, order.Fail("bad-order", "cannot sign for %s: %v", o.For, err)
	}
	return o.Key, private.Public(), nil
}

// signedBefore answers from an order's entries in the journal, unless there is no certificate, the key that was made or taken for the certificate is forgotten, or the
// certificate is already due for renewal: then who asked was away since, and wants one that lives.
func (e *Embedded) signedBefore(id order.ID, o order.Sign, entries []ledger.Entry, taken cert.Key) (order.Answer, bool, error) {
	before, found := issued(entries)
	if !found {
		return order.Answer{}, false, nil
	}
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
		return answerOf(o, before, cert.Key{}), true, nil
	}
	if !o.Key.IsZero() {
		if err := keysAgree(o.Key, certificate); err != nil {
			return order.Answer{}, false, order.Fail("key-mismatch", "cannot answer %s with certificate %s: %v: order a "+
				"certificate that replaces it", o.For, before.Serial, err)
		}
		return answerOf(o, before, o.Key), true, nil
	}
	if !taken.IsZero() && keysAgree(taken, certificate) == nil {
		return answerOf(o, before, taken), true, nil
	}
	key, public, err := e.madeKey(id)
	if err != nil || !cert.SameKey(certificate.PublicKey, public) {
		return order.Answer{}, false, err
	}
	return answerOf(o, before, key), true, nil
}

func answerOf(o order.Sign, entry ledger.Entry, key cert.Key) order.Answer {
	return order.Answer{
		Issued: cert.Issued{Certificate: entry.Certificate, Issuers: o.Signer.Chain(), Key: key},
		Serial: entry.Serial,
	}
}
