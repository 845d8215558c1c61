// SPDX-License-Identifier: AGPL-3.0-only

// Package ca carries out signing orders with a key of its own: the embedded certificate authority. One order gives one
// certificate, however often it is carried and wherever a crash falls, because the serial number is recorded before
// anything is signed and the certificate before anybody sees it. Where to look next: issue.go, the pipeline that every
// certificate passes, sign.go, which takes orders through it in batches, then lint.go for what it must satisfy, authority.go for what concerns authorities themselves, and
// package catest, the suite that any carrier of signing orders passes.
package ca

import (
	"context"
	"crypto/rand"
	"io"
	"sync"
	"time"

	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// Store keeps secret blobs by name. Names are of letters, digits, dots and hyphens. Safe for concurrent use.
type Store interface {
	// Read gives a blob; the error is fs.ErrNotExist when there is none.
	Read(name string) ([]byte, error)
	// Write makes a blob durable before it returns: after a crash there is the old blob or the new one.
	Write(name string, blob []byte) error
	// Remove forgets a blob. That there is none is no error.
	Remove(name string) error
	// Names lists the blobs whose names begin so, sorted.
	Names(prefix string) ([]string, error)
}

// Journal is the record of what the authority did. Safe for concurrent use.
type Journal interface {
	// Append makes entries durable before it returns, all of them or none. It refuses entries that would use a serial
	// number for two things.
	Append(entries ...ledger.Entry) error
	// Order gives the entries of one order, in the order in which they were appended.
	Order(id string) ([]ledger.Entry, error)
	// Serial tells what is known of a serial number (hex).
	Serial(serial string) (ledger.Certificate, bool, error)
	// Head tells how many lines the record has, and the SHA-256 of them all (hex).
	Head() (lines int, sum string, err error)
}

// Config is what an embedded authority needs.
type Config struct {
	Store   Store
	Journal Journal
	Rand    io.Reader // of serial numbers, safe for concurrent use; nil means crypto/rand
	// Now is the clock by which entries of the journal are dated: that of whoever orders, for it compares them with its
	// own. Nil means time.Now.
	Now func() time.Time
}

// Embedded is a certificate authority that keeps its keys in a store of this unit. It is an agent.Carrier for all of
// package order's authority.go and for order.Sign. Safe for concurrent use: different orders are carried side by side.
type Embedded struct {
	store   Store
	journal Journal
	random  io.Reader
	now     func() time.Time
	linter  *linter
	stock   *stock

	mu      sync.Mutex
	running map[order.ID]chan struct{} // closed when the order has been carried
	signers map[string]*signer         // by certificate PEM
}

// New makes an embedded authority. It reads nothing yet.
func New(config Config) *Embedded {
	if config.Rand == nil {
		config.Rand = rand.Reader
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Embedded{
		store:   config.Store,
		journal: config.Journal,
		random:  config.Rand,
		now:     config.Now,
		linter:  newLinter(config.Rand),
		stock:   newStock(config.Store, config.Rand, config.Now),
		running: map[order.ID]chan struct{}{},
		signers: map[string]*signer{},
	}
}

// Carry carries out one order. The same order at the same time is carried once. An order of another kind fails with
// the code "not-carried"; an order that its context ends before anything was done is pending.
func (e *Embedded) Carry(ctx context.Context, o order.Order) order.Answer {
	if sign, ok := o.(order.Sign); ok {
		return e.SignAll(ctx, sign)[0]
	}
	id := o.ID()
	leave, err := e.enter(ctx, id)
	if err != nil {
		return order.Answer{Order: id, State: order.Pending}
	}
	defer leave()
	answer := order.Answer{State: order.Done}
	switch o := o.(type) {
	case order.CreateAuthority:
		answer, err = e.create(id, o)
	case order.RequestAuthority:
		answer, err = e.request(id, o)
	case order.FetchKey:
		answer.Key, err = e.fetchKey(o)
	case order.KeepKey:
		_, err = e.signer(o.Signer) // which adopts the key that comes with it
	case order.CrossSign:
		answer, err = e.cross(id, o)
	case order.SignCRL:
		answer.CRL, err = e.list(o)
	case order.SignRecord:
		answer.Checkpoint, err = e.checkpoint(id, o)
	default:
		err = order.Fail("not-carried", "cannot carry out %T: the embedded authority only creates authorities, keeps their keys and signs", o)
	}
	if err != nil {
		return order.Answer{Order: id, State: order.Failed, Failure: order.FailureOf(err)}
	}
	if answer.Order = id; answer.State == "" {
		answer.State = order.Done
	}
	return answer
}

// enter waits until nobody else carries the order.
func (e *Embedded) enter(ctx context.Context, id order.ID) (leave func(), err error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e.mu.Lock()
		other, busy := e.running[id]
		if !busy {
			done := make(chan struct{})
			e.running[id] = done
			e.mu.Unlock()
			return func() {
				e.mu.Lock()
				delete(e.running, id)
				e.mu.Unlock()
				close(done)
			}, nil
		}
		e.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
		}
	}
}
