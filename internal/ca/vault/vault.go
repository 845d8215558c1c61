// SPDX-License-Identifier: AGPL-3.0-only

// Package vault carries the orders of a CA whose key a Vault server keeps. Vault signs, stores what it signed and makes the
// revocation list; what may be signed is decided before, and private keys of certificates never come from Vault. What one
// Vault cannot do now is tried again later; no other CA takes its place. Where to look next: server.go for one server, login.go
// for its login, sign.go for certificates, authority.go for CAs, failure.go for what can go wrong, setup.go for what Vault has
// to grant, and package ca for what holds whoever signs.
package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/order"
)

// Config is what a carrier needs.
type Config struct {
	Embedded *ca.Embedded     // carries all orders that are not for Vault
	Now      func() time.Time // nil means time.Now
	Timeout  time.Duration    // of one call; 0 means 10 s
	// Jitter draws how long to wait before a server that failed is asked again, at most so long. Nil draws evenly.
	Jitter func(time.Duration) time.Duration
}

// Carrier is an agent.Authority. It carries the orders that name a Vault there, and all others with the embedded
// authority, so that one may take the place of the other. Safe for concurrent use.
type Carrier struct {
	*ca.Embedded

	config Config

	mu      sync.Mutex
	servers map[string]*server // by all that it takes to reach them
}

// New makes a carrier. It calls nobody yet.
func New(config Config) *Carrier {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	if config.Jitter == nil {
		config.Jitter = func(most time.Duration) time.Duration { return most/10 + rand.N(most) } //nolint:gosec // nobody gains by guessing it
	}
	return &Carrier{Embedded: config.Embedded, config: config, servers: map[string]*server{}}
}

// Carry carries out one order. An order that Vault cannot carry out now fails with a code that begins with "vault-", and the
// answer says when it is worth while to try again.
func (c *Carrier) Carry(ctx context.Context, o order.Order) order.Answer {
	answer := order.Answer{Order: o.ID(), State: order.Done}
	var err error
	var at *order.Vault
	switch o := o.(type) {
	case order.Sign:
		if at = o.Signer.Vault; at == nil {
			return c.Embedded.Carry(ctx, o)
		}
		if ctx.Err() != nil {
			return order.Answer{Order: o.ID(), State: order.Pending}
		}
		server, failure := c.server(*at)
		if failure != nil {
			err = failure
			break
		}
		answer = c.Embedded.SignElsewhere(ctx, o, authority{server, *at})
	case order.CreateAuthority:
		if at = o.Vault; at == nil {
			return c.Embedded.Carry(ctx, o)
		}
		err = c.with(*at, func(a authority) error { return a.create(ctx, o, &answer) })
	case order.RequestAuthority:
		if at = o.Vault; at == nil {
			return c.Embedded.Carry(ctx, o)
		}
		err = c.with(*at, func(a authority) error { return a.request(ctx, o, &answer) })
	case order.InstallAuthority:
		at = &o.Vault
		err = c.with(*at, func(a authority) error { return a.install(ctx, o, &answer) })
	case order.Consult:
		at = &o.Vault
		err = c.with(*at, func(a authority) error { return a.consult(ctx, &answer) })
	case order.Revoke:
		at = &o.Vault
		err = c.with(*at, func(a authority) error { return a.revoke(ctx, o, &answer) })
	case order.Unwrap:
		at = &o.Vault
		err = c.with(*at, func(a authority) error { return a.unwrap(ctx, o, &answer) })
	default:
		return c.Embedded.Carry(ctx, o)
	}
	if err != nil {
		answer = order.Answer{Order: o.ID(), State: order.Failed, Failure: order.FailureOf(err)}
	}
	if answer.Failure != nil {
		answer.Again = c.again(*at)
	}
	return answer
}

// abreast is how many signatures are made side by side: for each of them, the way to Vault and back takes its time.
const abreast = 16

// SignAll carries signing orders: those for Vault side by side, all others in batches. The answers are in the orders' order.
func (c *Carrier) SignAll(ctx context.Context, orders ...order.Sign) []order.Answer {
	answers := make([]order.Answer, len(orders))
	var here []order.Sign
	var places []int
	var group errgroup.Group
	group.SetLimit(abreast)
	for i, o := range orders {
		if o.Signer.Vault == nil {
			here, places = append(here, o), append(places, i)
			continue
		}
		group.Go(func() error {
			answers[i] = c.Carry(ctx, o)
			return nil
		})
	}
	for i, answer := range c.Embedded.SignAll(ctx, here...) {
		answers[places[i]] = answer
	}
	_ = group.Wait() // which has no error of its own
	return answers
}

func (c *Carrier) with(at order.Vault, do func(authority) error) error {
	server, err := c.server(at)
	if err != nil {
		return err
	}
	return do(authority{server, at})
}

// again is when the server that a place is on is asked again, after it failed; zero where nothing holds it back.
func (c *Carrier) again(at order.Vault) time.Time {
	server, err := c.server(at)
	if err != nil {
		return time.Time{}
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	return server.closed
}

// server gives the server that a place is on, under one login. Places of one server share it: one that is not reached is
// not reached for any of them.
func (c *Carrier) server(at order.Vault) (*server, error) {
	name, err := json.Marshal([]any{
		at.Addresses, at.CA, at.Namespace, at.LoginMount, at.RoleID.Reveal(), at.SecretID.Reveal(), at.Token.Reveal(),
	})
	if err != nil {
		return nil, order.Fail("vault-config", "%v", err)
	}
	sum := sha256.Sum256(name)
	key := hex.EncodeToString(sum[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, found := c.servers[key]; found {
		return known, nil
	}
	made, err := newServer(at, c.config)
	if err != nil {
		return nil, err
	}
	for other, old := range c.servers { // a login that was replaced is not used again, and its connections end
		if old.at.Namespace == at.Namespace && old.at.LoginMount == at.LoginMount {
			old.close()
			delete(c.servers, other)
		}
	}
	c.servers[key] = made
	return made, nil
}
