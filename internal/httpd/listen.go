// SPDX-License-Identifier: AGPL-3.0-only

package httpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// The bounds on one stranger and on all of them together.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second // for reading a request, and for writing its answer
	idleTimeout    = 30 * time.Second
	stopTimeout    = time.Second // for answers under way when listening ends
	maxHeader      = 8 << 10
	maxConnections = 256
)

// listening is one address at which the server is reached.
type listening struct {
	asked    string // the address as Listen was told
	listener net.Listener
	server   *http.Server
	done     chan struct{} // closed when nothing is accepted any longer
}

// Listen serves at a TCP address, host:port, and no longer at the one before; at the same one it goes on. An empty
// address ends it. When the new address cannot be had, the old one remains, unless it had to make room.
func (s *Server) Listen(address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listening != nil && s.listening.asked == address && !s.listening.ended() {
		return nil
	}
	if address == "" {
		s.stop()
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) && s.listening.onPortOf(address) {
		s.stop() // 127.0.0.1:80 cannot be had beside 0.0.0.0:80
		listener, err = net.Listen("tcp", address)
	}
	if err != nil {
		if operation, ok := errors.AsType[*net.OpError](err); ok {
			err = operation.Err // without the address, which is named once
		}
		return fmt.Errorf("cannot listen at %q: %w: set an address host:port of this machine that no other program uses",
			address, err)
	}
	s.stop()
	s.start(address, listener)
	return nil
}

// Addr is where the server listens, with the port that the system chose for port 0; empty when it does not.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listening == nil || s.listening.ended() {
		return ""
	}
	return s.listening.listener.Addr().String()
}

// Close ends listening. Answers under way have a second.
func (s *Server) Close() error { return s.Listen("") }

func (s *Server) start(address string, listener net.Listener) {
	l := &listening{
		asked: address, listener: listener, done: make(chan struct{}),
		server: &http.Server{
			Handler:           s.Handler(),
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       requestTimeout,
			WriteTimeout:      requestTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		},
	}
	s.listening = l
	go func() {
		defer close(l.done)
		if err := l.server.Serve(limit(listener, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("cannot serve any longer", "address", address, "error", err)
		}
	}()
}

// stop ends listening and waits until it has ended.
func (s *Server) stop() {
	l := s.listening
	if l == nil {
		return
	}
	s.listening = nil
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if l.server.Shutdown(ctx) != nil { // the time is over
		_ = l.server.Close()
	}
	<-l.done
}

// ended reports whether listening ended by itself.
func (l *listening) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// onPortOf reports whether an address has this one's port.
func (l *listening) onPortOf(address string) bool {
	if l == nil {
		return false
	}
	_, mine, err := net.SplitHostPort(l.listener.Addr().String())
	_, other, otherErr := net.SplitHostPort(address)
	return err == nil && otherErr == nil && mine == other
}

// limited refuses connections beyond its slots. Those beyond are closed rather than left waiting: a verifier that is
// refused goes on at once, by another responder or without.
type limited struct {
	net.Listener
	slots chan struct{}
}

func limit(listener net.Listener, connections int) *limited {
	return &limited{Listener: listener, slots: make(chan struct{}, connections)}
}

// Accept gives the next connection that has a slot.
func (l *limited) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &slotted{Conn: connection, free: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			_ = connection.Close()
		}
	}
}

// slotted is a connection that holds a slot until it is closed.
type slotted struct {
	net.Conn
	free func()
}

func (s *slotted) Close() error {
	defer s.free()
	return s.Conn.Close()
}
