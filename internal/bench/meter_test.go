// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/juju"
)

// meter counts what one unit does to the outside world. The zero value is ready; it is safe for concurrent use.
type meter struct {
	turns, commits atomic.Int64
	sent, received atomic.Int64 // bytes on the wire, TLS included
	written, syncs atomic.Int64 // bytes on the disk, and how often it was waited for
	looks          atomic.Int64 // at the model: one or two a turn
}

// system is the operating system's, counted. Without the disk's time Sync does nothing: what is left is the work.
func (m *meter) system(waits bool) disk.System {
	return func(op disk.Op) error {
		switch op.Kind {
		case disk.Append, disk.Create:
			m.written.Add(int64(len(op.Data)))
		case disk.Sync:
			m.syncs.Add(1)
			if !waits {
				return nil
			}
		}
		return disk.Perform(op)
	}
}

// dial connects as a net.Dialer does.
func (m *meter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return meteredConn{conn, m}, nil
}

type meteredConn struct {
	net.Conn

	meter *meter
}

func (c meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.meter.received.Add(int64(n))
	return n, err
}

func (c meteredConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.meter.sent.Add(int64(n))
	return n, err
}

// meteredSession counts looks and commits.
type meteredSession struct {
	agent.Session

	meter *meter
}

func (s meteredSession) Snapshot(ctx context.Context) (juju.Snapshot, error) {
	s.meter.looks.Add(1)
	return s.Session.Snapshot(ctx)
}

func (s meteredSession) Confirm(ctx context.Context, snap juju.Snapshot, changes juju.Changes) error {
	s.meter.looks.Add(1)
	return s.Session.Confirm(ctx, snap, changes)
}

func (s meteredSession) Commit(ctx context.Context, changes juju.Changes) error {
	s.meter.commits.Add(1)
	return s.Session.Commit(ctx, changes)
}

// meteredFolder counts turns: each begins by taking the lock.
type meteredFolder struct {
	agent.Folder

	meter *meter
}

func (f meteredFolder) Lock(ctx context.Context) (func() error, error) {
	f.meter.turns.Add(1)
	return f.Folder.Lock(ctx)
}
