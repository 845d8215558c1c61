// SPDX-License-Identifier: AGPL-3.0-only

// Package controller is a unit's session with its Juju controller over Juju's own API: one long TLS websocket, logged
// in as the unit with what its agent.conf holds, made anew whenever it breaks. It only stands beside the real unit
// agent: it reads, it commits what a hook could commit, and it watches; entering and leaving relations and claiming
// leadership stay the unit agent's. Where to look next: login.go for who is trusted, snapshot.go and commit.go for the
// two halves of a turn, watch.go for what wakes the agent.
package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/signet-charm/signet/internal/juju"
)

// Config says who connects, and how.
type Config struct {
	AgentConf string            // path of the unit's agent.conf; read again at each connect
	Unit      string            // "signet/0", which agent.conf must be of; empty for whichever unit it is of
	Endpoints []juju.Endpoint   // the charm's own, whose addresses a snapshot shows
	Log       *slog.Logger      // nil for silence
	Random    func(int64) int64 // uniform in [0, n), for the back-off; nil for math/rand/v2

	// Dial connects to an address; nil for a net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// settled is how long a connection must live for the failures before it to be forgotten: a controller that takes logins
// and drops them at once is backed off from as well.
const settled = time.Minute

// connection is one logged-in connection. Snapshot, Confirm and Commit are those of Conn.
type connection interface {
	Snapshot(context.Context) (juju.Snapshot, error)
	Confirm(context.Context, juju.Snapshot, juju.Changes) error
	Commit(context.Context, juju.Changes) error
	// Serve watches and calls notify: once when all watchers stand, then after each change. It returns why the
	// connection or one of its watchers ended, and nil only when the context did; the connection is closed then.
	Serve(ctx context.Context, notify func()) error
}

// errConnecting is why there is no connection before the first attempt has ended.
var errConnecting = errors.New("still connecting")

// errClosed is why there is no connection after Close.
var errClosed = errors.New("closed")

// Conn is a session that mends itself: it connects, serves, and after a failure connects again, waiting longer each
// time. It holds one connection at most, because Juju 4 shows a unit as lost when a second one of it closes.
type Conn struct {
	config  Config
	connect func(context.Context) (connection, error)
	changed chan struct{} // capacity 1: any number of changes is one "look again"
	tried   chan struct{} // closed when the first attempt to connect has ended
	ended   chan struct{} // closed when run has returned
	cancel  context.CancelFunc

	mu      sync.Mutex
	current connection // nil while there is none
	failure error      // why there is none
}

// Start gives a Conn at once and connects behind the caller's back. Nothing ends its attempts but Close, because all
// that can be wrong (no controller yet, agent.conf not yet written, a password just rotated) may come right.
func Start(config Config) *Conn {
	config = withDefaults(config)
	return start(config, func(ctx context.Context) (connection, error) { return open(ctx, config) })
}

// start is Start over any maker of connections.
func start(config Config, connect func(context.Context) (connection, error)) *Conn {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Conn{
		config: config, connect: connect, cancel: cancel, failure: errConnecting,
		changed: make(chan struct{}, 1), tried: make(chan struct{}), ended: make(chan struct{}),
	}
	go c.run(ctx)
	return c
}

func withDefaults(config Config) Config {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Random == nil {
		config.Random = rand.Int64N
	}
	if config.Dial == nil {
		config.Dial = (&net.Dialer{}).DialContext
	}
	return config
}

// Close ends the connection and all attempts to make one. It may be called more than once.
func (c *Conn) Close() {
	c.cancel()
	<-c.ended
}

// Tried gives a channel that is closed when the first attempt to connect has ended, well or not.
func (c *Conn) Tried() <-chan struct{} { return c.tried }

// Watch gives the channel that gets a value when the unit should look again: after each connect, and whenever one of
// its relations, their units or databags, its config, addresses, leadership or secrets changed. Changes that come
// faster than they are received are one. All callers share the channel, and it is never closed.
func (c *Conn) Watch() <-chan struct{} { return c.changed }

// Err tells why there is no connection just now; nil while there is one. It names the next step.
func (c *Conn) Err() error {
	_, err := c.connection()
	return err
}

// Snapshot reads what the controller shows the unit; Local stays empty. What it has read before, and what tells that it is
// unchanged, it does not read again, and what may have changed untold at least every ten minutes. While there is no
// connection, or when it breaks, the error is a juju.ErrUnreachable that also tells why.
func (c *Conn) Snapshot(ctx context.Context) (juju.Snapshot, error) {
	current, err := c.connection()
	if err != nil {
		return juju.Snapshot{}, unreachable("read the unit's snapshot", err)
	}
	return current.Snapshot(ctx)
}

// Confirm reads at the controller whether what another unit may have written since the snapshot, and what the changes would
// be written over, is still as it was: else it is a juju.ErrMoved.
func (c *Conn) Confirm(ctx context.Context, snap juju.Snapshot, changes juju.Changes) error {
	current, err := c.connection()
	if err != nil {
		return unreachable("read the model again", err)
	}
	return current.Confirm(ctx, snap, changes)
}

// Commit makes the changes: secrets, then databags and unit state in one transaction in which leadership is checked
// again (juju.ErrNotLeader), then the status. After a juju.ErrUnreachable it is unknown whether they were made.
func (c *Conn) Commit(ctx context.Context, changes juju.Changes) error {
	if changes.Empty() {
		return nil
	}
	current, err := c.connection()
	if err != nil {
		return unreachable("commit changes", err)
	}
	return current.Commit(ctx, changes)
}

// run connects and serves until the context ends.
func (c *Conn) run(ctx context.Context) {
	defer close(c.ended) // last
	defer c.set(nil, errClosed)
	for failures := 0; ; failures++ {
		began := time.Now()
		err := c.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= settled {
			failures = 0
		}
		wait := fullJitter(failures, c.config.Random)
		c.config.Log.Warn("no connection to the controller", "cause", err, "retry", wait)
		if !sleep(ctx, wait) {
			return
		}
	}
}

// serve makes one connection and keeps it until it breaks or the context ends.
func (c *Conn) serve(ctx context.Context) error {
	made, err := c.connect(ctx)
	if err == nil {
		c.set(made, nil)
		c.config.Log.Info("connected to the controller")
		err = made.Serve(ctx, c.notify)
	}
	c.set(nil, err)
	return err
}

// set records the connection, or why there is none.
func (c *Conn) set(current connection, failure error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.failure = current, failure
	select {
	case <-c.tried:
	default:
		close(c.tried)
	}
}

func (c *Conn) connection() (connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current, c.failure
}

func (c *Conn) notify() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// unreachable makes any reason for having no connection a juju.ErrUnreachable.
func unreachable(doing string, err error) error {
	if errors.Is(err, juju.ErrUnreachable) {
		return fmt.Errorf("cannot %s: %w", doing, err)
	}
	return fmt.Errorf("cannot %s: %w: %w", doing, juju.ErrUnreachable, err)
}
