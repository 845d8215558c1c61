// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// fakeUnit is the outside world of a unit in memory. Its zero value is a unit of which nothing is asked.
type fakeUnit struct {
	mu        sync.Mutex
	snap      juju.Snapshot
	fail      error   // of the next snapshots
	failing   []error // of the next commits, one each
	recording error   // of what lies on the disk
	turns     int
	committed []juju.Changes
	events    []string // in order: what was done to the outside world
	locked    bool
}

func (f *fakeUnit) unit() *agent.Unit {
	return &agent.Unit{
		Session: f, Authority: fakeAuthority{f}, Folder: f, Machine: f, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func (f *fakeUnit) View(look func(*ledger.Ledger)) error {
	look(&ledger.Ledger{})
	return nil
}

func (f *fakeUnit) note(event string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, event)
}

func (f *fakeUnit) Snapshot(context.Context) (juju.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turns++
	f.events = append(f.events, "snapshot")
	if !f.locked {
		panic("a turn without the lock")
	}
	return f.snap.Clone(), f.fail
}

func (f *fakeUnit) Confirm(ctx context.Context, snap juju.Snapshot, _ juju.Changes) error {
	later, err := f.Snapshot(ctx)
	if err != nil {
		return err
	}
	return juju.Overtaken(snap, later)
}

func (f *fakeUnit) Commit(_ context.Context, changes juju.Changes) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, "commit")
	if len(f.failing) > 0 {
		err := f.failing[0]
		f.failing = f.failing[1:]
		if err != nil {
			return err
		}
	}
	f.committed = append(f.committed, changes)
	f.snap = juju.Apply(f.snap, changes)
	return nil
}

func (f *fakeUnit) Lock(context.Context) (func() error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked {
		panic("two turns at once")
	}
	f.locked = true
	return func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.locked = false
		return nil
	}, nil
}

func (f *fakeUnit) Survey() (map[string]string, error) { return nil, f.recording }

func (f *fakeUnit) Append(...ledger.Entry) error {
	f.note("record")
	return nil
}

func (f *fakeUnit) Carry(_ context.Context, o order.Order) order.Answer {
	f.note("carry")
	return order.Answer{Order: o.ID(), State: order.Failed, Failure: &order.Failure{Code: "test", Message: "not here"}}
}

func (f *fakeUnit) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.turns
}

func (f *fakeUnit) setFailure(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

type fakeAuthority struct{ *fakeUnit }

func (fakeAuthority) Authorities() (map[string]string, error) { return nil, nil }

func (f fakeAuthority) SignAll(ctx context.Context, orders ...order.Sign) (answers []order.Answer) {
	for _, o := range orders {
		answers = append(answers, f.Carry(ctx, o))
	}
	return answers
}

func (f fakeAuthority) Prune(time.Time) error {
	f.note("prune")
	return nil
}

// pipes is a net.Listener without a network: each connection is a net.Pipe.
type pipes struct {
	conns    chan net.Conn
	failures chan error
	once     sync.Once
	done     chan struct{}
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn), failures: make(chan error), done: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case err := <-p.failures:
		return nil, err
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}
