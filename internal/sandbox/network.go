// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Network is a network in memory: a controller that listens there (Options.Network) and who dials there need no sockets, so
// that all of them can live in the virtual time of testing/synctest. The zero value is ready to use. All methods are
// safe for concurrent use.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*memoryListener
	lastPort  int
	dials     []Dialling
}

// Dialling is one attempt to connect, whatever became of it.
type Dialling struct {
	At      time.Time
	Address string
}

// Listen listens on an address; port 0 stands for one that is free.
func (n *Network) Listen(address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	if addr.Port == 0 {
		n.lastPort++
		addr.Port = 1024 + n.lastPort
	}
	if n.listeners[addr.String()] != nil {
		return nil, fmt.Errorf("cannot listen: %w", syscall.EADDRINUSE)
	}
	if n.listeners == nil {
		n.listeners = map[string]*memoryListener{}
	}
	l := &memoryListener{network: n, addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[addr.String()] = l
	return l, nil
}

// Dial connects to who listens on an address. Its error is that of a port on which nobody does.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.dials = append(n.dials, Dialling{time.Now(), address})
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	if l == nil {
		return nil, refused
	}
	ours, theirs := newPipe(l.addr)
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: network, Err: context.Cause(ctx)}
	}
}

// Dials are all attempts to connect, in order.
func (n *Network) Dials() []Dialling {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.dials)
}

type memoryListener struct {
	network *Network
	addr    *net.TCPAddr
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, l.addr.String())
		l.network.mu.Unlock()
		close(l.closed)
	})
	return nil
}

func (l *memoryListener) Addr() net.Addr { return l.addr }

// stream is one direction of a connection in memory. What is written stays until it is read, as in a socket's buffers.
type stream struct {
	mu       sync.Mutex
	changed  *sync.Cond
	buffer   []byte
	ended    bool // by the writer
	broken   bool // by the reader
	deadline time.Time
	alarm    *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.broken:
			return 0, net.ErrClosed
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(s.buffer) > 0:
			count := copy(p, s.buffer)
			s.buffer = s.buffer[count:]
			return count, nil
		case s.ended:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.broken {
		return 0, syscall.EPIPE
	}
	s.buffer = append(s.buffer, p...)
	s.changed.Broadcast()
	return len(p), nil
}

func (s *stream) end(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.broken = true, s.broken || broken
	if s.alarm != nil {
		s.alarm.Stop()
	}
	s.changed.Broadcast()
}

func (s *stream) until(deadline time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alarm != nil {
		s.alarm.Stop()
	}
	if s.deadline = deadline; !deadline.IsZero() && !s.ended {
		s.alarm = time.AfterFunc(time.Until(deadline), s.changed.Broadcast)
	}
	s.changed.Broadcast()
}

// pipe is one end of a connection in memory.
type pipe struct {
	in, out *stream
	addr    net.Addr
}

func newPipe(addr net.Addr) (ours, theirs net.Conn) {
	there, back := newStream(), newStream()
	return &pipe{back, there, addr}, &pipe{there, back, addr}
}

func (p *pipe) Read(b []byte) (int, error)         { return p.in.read(b) }
func (p *pipe) Write(b []byte) (int, error)        { return p.out.write(b) }
func (p *pipe) LocalAddr() net.Addr                { return p.addr }
func (p *pipe) RemoteAddr() net.Addr               { return p.addr }
func (p *pipe) SetReadDeadline(at time.Time) error { p.in.until(at); return nil }

// SetWriteDeadline does nothing: writing never waits.
func (p *pipe) SetWriteDeadline(time.Time) error     { return nil }
func (p *pipe) SetDeadline(deadline time.Time) error { return p.SetReadDeadline(deadline) }

func (p *pipe) Close() error {
	p.in.end(true)
	p.out.end(false)
	return nil
}

// cable is what a connection to the controller runs over, where faults happen that its ends do not report.
type cable struct {
	net.Conn

	controller *Controller

	mu        sync.Mutex
	silent    bool
	queue     []byte // written and not yet on the line
	trickling bool
}

// Read goes on for ever on a silent cable, taking what comes for itself.
func (c *cable) Read(p []byte) (int, error) {
	for {
		count, err := c.Conn.Read(p)
		if err != nil || !c.isSilent() {
			return count, err
		}
	}
}

// Write says that all was written, though on a silent cable nothing arrives, and on a slow one not yet.
func (c *cable) Write(p []byte) (int, error) {
	portion, _ := c.controller.pace()
	c.mu.Lock()
	switch {
	case c.silent:
		c.mu.Unlock()
		return len(p), nil
	case portion == 0 && !c.trickling:
		c.mu.Unlock()
		return c.Conn.Write(p)
	}
	defer c.mu.Unlock()
	c.queue = append(c.queue, p...)
	if !c.trickling {
		c.trickling = true
		c.controller.serving.Go(c.trickle)
	}
	return len(p), nil
}

// trickle writes what is queued, as fast as the line is.
func (c *cable) trickle() {
	for {
		portion, pause := c.controller.pace()
		c.mu.Lock()
		if portion == 0 {
			portion, pause = len(c.queue), 0
		}
		next := c.queue[:min(portion, len(c.queue))]
		c.queue = c.queue[len(next):]
		c.trickling = len(next) > 0
		c.mu.Unlock()
		if len(next) == 0 {
			return
		}
		if _, err := c.Conn.Write(next); err != nil {
			return // whoever writes next finds out as well
		}
		time.Sleep(pause)
	}
}

func (c *cable) isSilent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.silent
}

// cables is a listener whose connections run over cables.
type cables struct {
	net.Listener

	controller *Controller
}

func (l cables) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.controller.lay(conn), nil
}
