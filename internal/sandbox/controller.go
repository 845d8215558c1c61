// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"context"
	"crypto/fips140"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/juju/juju/rpc"
	"github.com/juju/juju/rpc/jsoncodec"
	"github.com/juju/version/v2"
)

// Options configures a sandbox; the zero value is ready to use.
type Options struct {
	ModelName   string           // "sandbox" when empty
	JujuVersion string           // "3.6.25" when empty
	LateScopes  bool             // units enter relations when their agents do (EnterScope, a Runner), not at once
	NoSecrets   bool             // a model from before Juju 3.0: no SecretsManager facade
	Clock       func() time.Time // time.Now when nil
	Dir         string           // Juju's data folder, for agents/unit-…/agent.conf; a temporary one when empty
	Network     *Network         // where the controller listens; a loopback port when nil

	// Facades are the versions to serve of the facades of which controllers in use have several: "Uniter" 18 to 20 and
	// "SecretsManager" 1 to 4. What is not named has the newest, as of Juju 3.6. Each is served in this one version only.
	Facades map[string]int
}

// Controller serves one Model to unit agents: Juju's API over TLS websockets on a loopback port, and an agent.conf for
// each unit. All methods are safe for concurrent use.
type Controller struct {
	model     *Model
	uuid      string
	dir       string
	temporary bool // dir is ours to remove
	facades   map[string]int
	network   *Network // nil for sockets

	serving sync.WaitGroup // one for each connection and each listener

	mu          sync.Mutex
	addr        string // "127.0.0.1:<port>"; the same until the controller moves
	listener    net.Listener
	server      *http.Server
	identity    *identity
	sessions    map[*session]struct{}
	credentials map[string]*credential // by unit name
	faults      faults
	closed      bool
}

// Start starts a controller with an empty model. Close it after use.
func Start(opts Options) (*Controller, error) {
	if opts.ModelName == "" {
		opts.ModelName = "sandbox"
	}
	if opts.JujuVersion == "" {
		opts.JujuVersion = "3.6.25"
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if _, err := version.Parse(opts.JujuVersion); err != nil {
		return nil, fmt.Errorf("cannot start sandbox: %w", err)
	}
	facades, err := facadeVersions(opts.Facades)
	if err != nil {
		return nil, fmt.Errorf("cannot start sandbox: %w", err)
	}
	id, err := newIdentity()
	if err != nil {
		return nil, fmt.Errorf("cannot start sandbox: %w", err)
	}
	c := &Controller{
		facades:     facades,
		model:       newModel(opts),
		uuid:        uuidOf("controller of " + opts.ModelName),
		dir:         opts.Dir,
		addr:        "127.0.0.1:0",
		identity:    id,
		sessions:    map[*session]struct{}{},
		credentials: map[string]*credential{},
		network:     opts.Network,
		faults:      faults{cables: map[*cable]struct{}{}},
	}
	if c.dir == "" {
		c.temporary = true
		if c.dir, err = os.MkdirTemp("", "signet-sandbox-"); err != nil {
			return nil, fmt.Errorf("cannot start sandbox: %w", err)
		}
	}
	c.model.added = c.enrol
	c.model.removed = c.dismiss
	if err := c.Reopen(); err != nil {
		return nil, fmt.Errorf("cannot start sandbox: %w", errors.Join(err, c.Close()))
	}
	return c, nil
}

// Model is the model served.
func (c *Controller) Model() *Model { return c.model }

// UUID is the controller's UUID.
func (c *Controller) UUID() string { return c.uuid }

// Dir is Juju's data folder: agent.conf files are below it, in agents/unit-<application>-<number>.
func (c *Controller) Dir() string { return c.dir }

// Addr is the address served, "127.0.0.1:<port>".
func (c *Controller) Addr() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addr
}

// CACert is the certificate of the controller's authority, in PEM.
func (c *Controller) CACert() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity.caPEM
}

// Close ends all connections and the listener and waits for what served them. A temporary folder goes.
func (c *Controller) Close() error {
	c.mu.Lock()
	already := c.closed
	c.closed = true
	c.mu.Unlock()
	if already {
		return nil
	}
	err := c.CloseListener()
	c.DropConnections()
	c.serving.Wait()
	c.model.stopAlarm()
	if c.temporary {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	return err
}

// serve answers on a listener until it is closed.
func (c *Controller) serve(listener net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /model/{uuid}/api", func(w http.ResponseWriter, r *http.Request) {
		if !c.answerHTTP(w) {
			c.upgrade(w, r)
		}
	})
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // failed handshakes are what fault tests are about
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	c.listener, c.server = listener, server
	secured := tls.NewListener(cables{listener, c}, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return &c.identity.certificate, nil
		},
	})
	c.serving.Go(func() {
		// It ends with the listener; there is nobody to tell how.
		_ = server.Serve(secured)
	})
}

// upgrade turns a request into a websocket and serves the API on it until it breaks.
func (c *Controller) upgrade(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("uuid") != c.model.uuid {
		http.Error(w, "unknown model", http.StatusNotFound)
		return
	}
	upgrader := websocket.Upgrader{}
	var ws *websocket.Conn
	var err error
	// A websocket begins with a SHA-1 that protects nothing (RFC 6455, 4.2.2 and 10.8).
	fips140.WithoutEnforcement(func() { ws, err = upgrader.Upgrade(w, r, nil) })
	if err != nil {
		return // the upgrader has answered
	}
	s := newSession(c, ws.NetConn())
	if !c.admit(s) {
		_ = ws.Close()
		return
	}
	defer c.serving.Done()
	defer c.forget(s)
	conn := rpc.NewConn(jsoncodec.NewWebsocket(ws), nil)
	s.conn = conn
	conn.ServeRoot(&gate{session: s}, nil, transformError)
	conn.Start(context.Background())
	<-conn.Dead()
	// Ends the watchers and waits for calls under way. Its error is why the connection broke, which is the client's
	// affair.
	_ = conn.Close()
}

// admit takes a session into account, unless the controller is closing.
func (c *Controller) admit(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.listener == nil {
		return false
	}
	c.sessions[s] = struct{}{}
	c.serving.Add(1)
	return true
}

func (c *Controller) forget(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, s)
}
