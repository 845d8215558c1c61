// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
)

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
	c.refuse = refuse
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
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	c.addr = listener.Addr().String()
	c.serve(listener)
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
