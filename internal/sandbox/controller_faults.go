// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"time"

	apiservererrors "github.com/juju/juju/apiserver/errors"
	"github.com/juju/rpcreflect"
)

// faults are what goes wrong with a controller now. The controller's lock guards them.
type faults struct {
	refuse   bool
	redirect *Controller
	status   int    // of HTTP, for every request; 0 for none
	location string // with it
	cables   map[*cable]struct{}
	silent   bool // new connections are
	portion  int  // of bytes at once; 0 for all
	pause    time.Duration
	tamper   func(Call) Fate
}

// DropConnections breaks every connection as a cut cable does, without a goodbye, and gives their number. Clients may
// connect again at once.
func (c *Controller) DropConnections() int {
	c.mu.Lock()
	sessions := slices.Collect(maps.Keys(c.sessions))
	c.mu.Unlock()
	for _, s := range sessions {
		s.cut()
	}
	return len(sessions)
}

// RefuseLogins has every login fail with "try again", as a controller that is overloaded does, until told otherwise.
// Connections that are logged in stay so.
func (c *Controller) RefuseLogins(refuse bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.refuse = refuse
}

// RedirectLogins has every login refused with the word that the model is now at another controller, as after a migration,
// until told otherwise with nil.
func (c *Controller) RedirectLogins(to *Controller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.redirect = to
}

// AnswerHTTP has every new connection answered with an HTTP status and no websocket, as by something that stands in front
// of the controller, until told otherwise with 0. The location may be empty.
func (c *Controller) AnswerHTTP(status int, location string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.status, c.faults.location = status, location
}

// answerHTTP reports whether it has answered a request in place of the controller.
func (c *Controller) answerHTTP(w http.ResponseWriter) bool {
	c.mu.Lock()
	status, location := c.faults.status, c.faults.location
	c.mu.Unlock()
	if status == 0 {
		return false
	}
	if location != "" {
		w.Header().Set("Location", location)
	}
	w.WriteHeader(status)
	return true
}

// Silence has every connection go silent for good, as when a firewall forgets it: both ends take it for established, and
// nothing arrives. New ones are silent from the beginning until told otherwise; with false, those that are silent stay so.
func (c *Controller) Silence(silent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.silent = silent
	for one := range c.faults.cables {
		if silent {
			one.mu.Lock()
			one.silent = true
			one.mu.Unlock()
		}
	}
}

// Slow has the controller write so many bytes at once with a pause after each portion, as over a bad line; 0 ends it.
func (c *Controller) Slow(portion int, pause time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.portion, c.faults.pause = portion, pause
}

func (c *Controller) pace() (portion int, pause time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults.portion, c.faults.pause
}

// lay has a connection run over a cable.
func (c *Controller) lay(conn net.Conn) *cable {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := &cable{Conn: conn, controller: c, silent: c.faults.silent}
	c.faults.cables[one] = struct{}{}
	return one
}

// Close is the end of a cable as well.
func (c *cable) Close() error {
	c.controller.mu.Lock()
	delete(c.controller.faults.cables, c)
	c.controller.mu.Unlock()
	return c.Conn.Close()
}

// Call is one call of a unit's.
type Call struct {
	Unit, Facade, Method string
}

// Fate is what becomes of a call.
type Fate int

// The fates of calls. Those of events are for the method Next of watchers.
const (
	Answered   Fate = iota // all is well
	Lost                   // the connection breaks before anything is done
	Unanswered             // it is done, and the connection breaks before the answer
	Stuck                  // nothing is done, and no answer comes; the connection stays
	Stopped                // the watcher has ended
	Missed                 // the event is never told
	Doubled                // the event is told twice
)

// Tamper decides the fate of every call after the login, until told otherwise with nil. It may wait: so may calls.
func (c *Controller) Tamper(with func(Call) Fate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.tamper = with
}

// tampered gives a method with what may become of its calls.
func (s *session) tampered(facade, method string, m rpcreflect.MethodCaller) rpcreflect.MethodCaller {
	return &caller{
		params: m.ParamsType(), result: m.ResultType(),
		call: func(ctx context.Context, id string, arg reflect.Value) (reflect.Value, error) {
			if event, again := s.again(id); again && method == "Next" {
				return event, nil
			}
			s.controller.mu.Lock()
			tamper := s.controller.faults.tamper
			s.controller.mu.Unlock()
			if tamper == nil {
				return m.Call(ctx, id, arg)
			}
			return s.meet(tamper(Call{s.loggedIn(), facade, method}), id, func() (reflect.Value, error) { return m.Call(ctx, id, arg) })
		},
	}
}

// meet has a call meet its fate.
func (s *session) meet(fate Fate, id string, do func() (reflect.Value, error)) (reflect.Value, error) {
	switch fate {
	case Lost:
		s.cut()
		return reflect.Value{}, apiservererrors.ErrTryAgain
	case Stuck:
		<-s.ended
		return reflect.Value{}, apiservererrors.ErrTryAgain
	case Stopped:
		s.unregister(id)
		return reflect.Value{}, apiservererrors.ErrStoppedWatcher
	case Missed:
		if result, err := do(); err != nil {
			return result, err
		}
	}
	result, err := do()
	switch {
	case fate == Unanswered:
		s.cut()
	case fate == Doubled && err == nil:
		s.mu.Lock()
		s.doubled[id] = result
		s.mu.Unlock()
	}
	return result, err
}

// again gives a watcher's event that is to be told once more.
func (s *session) again(id string) (reflect.Value, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	event, found := s.doubled[id]
	delete(s.doubled, id)
	return event, found
}

// CloseListener stops accepting connections: the port refuses them. Connections that exist stay.
func (c *Controller) CloseListener() error {
	c.mu.Lock()
	server := c.server
	c.listener, c.server = nil, nil
	c.mu.Unlock()
	if server == nil {
		return nil
	}
	// Websockets are hijacked, so this closes the listener and connections in their handshake only.
	if err := server.Close(); err != nil {
		return fmt.Errorf("cannot close listener: %w", err)
	}
	return nil
}

// Reopen accepts connections again, on the address of before.
func (c *Controller) Reopen() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.New("cannot listen: the controller is closed")
	}
	if c.listener != nil {
		return nil
	}
	listener, err := c.listen()
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	c.addr = listener.Addr().String()
	c.serve(listener)
	return nil
}

func (c *Controller) listen() (net.Listener, error) {
	if c.network != nil {
		return c.network.Listen(c.addr)
	}
	return net.Listen("tcp", c.addr)
}

// Move restarts the controller at another address: its port is closed, all connections break, and a new port is opened. Who
// knows only the old one cannot connect any more; agent.conf files show the new one after RewriteAgentConfs.
func (c *Controller) Move() error {
	if err := c.CloseListener(); err != nil {
		return err
	}
	c.DropConnections()
	c.mu.Lock()
	c.addr = "127.0.0.1:0"
	c.mu.Unlock()
	return c.Reopen()
}

// RenewCertificate gives the controller a new certificate by the authority that it has.
func (c *Controller) RenewCertificate() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, err := c.identity.renewed()
	if err != nil {
		return fmt.Errorf("cannot renew certificate: %w", err)
	}
	c.identity = next
	return nil
}

// SwapCertificate gives the controller a new authority and a certificate by it. Who trusts only the old one cannot
// connect any more; agent.conf files show the new one after RewriteAgentConfs.
func (c *Controller) SwapCertificate() error {
	next, err := newIdentity()
	if err != nil {
		return fmt.Errorf("cannot swap certificate: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identity = next
	return nil
}

// Sessions is the number of connections that are logged in as a unit.
func (c *Controller) Sessions(unit string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := 0
	for s := range c.sessions {
		if s.loggedIn() == unit {
			count++
		}
	}
	return count
}
