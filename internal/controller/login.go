// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"crypto/fips140"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/juju/juju/api"
	"github.com/juju/juju/rpc/jsoncodec"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"

	"github.com/signet-charm/signet/internal/juju"
)

// The patience of one login; Juju's own agents use the same kind of values.
const (
	dialLimit    = 10 * time.Second       // TCP, TLS and websocket, to any of the addresses
	loginLimit   = time.Minute            // a controller that limits the rate of logins makes them wait
	addressPause = 200 * time.Millisecond // before the next address is tried as well
)

// identity is what agent.conf says about the unit and its controller.
type identity struct {
	unit        names.UnitTag
	info        api.Info
	oldPassword string // good until the unit agent's rotation has reached the controller
	version     string // the unit agent's, "3.6.25"; empty when not recorded
}

// login connects as the unit that agent.conf is of. A password that is refused may just be rotated by the unit agent,
// so the old one gets a try, as in Juju's own agents.
func login(ctx context.Context, config Config) (api.Connection, identity, error) {
	who, err := readAgentConf(config.AgentConf, config.Unit)
	if err != nil {
		return nil, identity{}, err
	}
	conn, err := openAPI(ctx, who.info, config)
	if code(err) == params.CodeUnauthorized && who.oldPassword != "" && who.oldPassword != who.info.Password {
		info := who.info
		info.Password = who.oldPassword
		conn, err = openAPI(ctx, info, config)
	}
	if err != nil {
		return nil, identity{}, explain(err, config.AgentConf, who)
	}
	return conn, who, nil
}

// readAgentConf reads and checks agent.conf. No error repeats any of its content: the file holds the unit's password.
func readAgentConf(path, unit string) (identity, error) {
	data, err := readPrivate(path)
	if err != nil {
		return identity{}, err
	}
	conf, err := parseAgentConf(data)
	if err != nil {
		return identity{}, fmt.Errorf("cannot use %s: %w; the unit agent (jujud) rewrites the file when it starts", path, err)
	}
	tag, ok := conf.tag.(names.UnitTag)
	if !ok {
		return identity{}, fmt.Errorf("cannot use %s: it belongs to %q, not to a unit; name the unit's own agent.conf", path, conf.tag)
	}
	if unit != "" && tag.Id() != unit {
		return identity{}, fmt.Errorf("cannot use %s: it belongs to unit %q, not to %q; name the unit's own agent.conf", path, tag.Id(), unit)
	}
	info := conf.info()
	if len(info.Addrs) == 0 {
		return identity{}, fmt.Errorf("cannot use %s: it names no controller address; the unit agent (jujud) adds them when it starts", path)
	}
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(info.CACert)) {
		return identity{}, fmt.Errorf("cannot use %s: it holds no CA certificate to verify the controller with; the unit agent (jujud) writes it", path)
	}
	for _, address := range info.Addrs {
		if scheme, _, found := strings.Cut(address, "://"); found && scheme != "wss" {
			return identity{}, fmt.Errorf("cannot use %s: controller address %q is not of TLS", path, address)
		}
	}
	who := identity{unit: tag, info: info, oldPassword: conf.OldPassword}
	if who.info.Password == "" {
		who.info.Password = who.oldPassword
	}
	if who.info.Password == "" {
		return identity{}, fmt.Errorf("cannot use %s: it holds no password; the unit agent (jujud) writes it", path)
	}
	if conf.Version.Major != 0 {
		who.version = conf.Version.String()
	}
	return who, nil
}

// readPrivate reads a file that only its owner may read. What it checks and what it reads are one open file.
func readPrivate(path string) ([]byte, error) {
	file, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("cannot read %s: there is no such file; is this the unit's machine, and has its agent been installed?", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("cannot read %s: permission denied; run as root, who owns it", path)
	case err != nil:
		return nil, fmt.Errorf("cannot read agent.conf: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read agent.conf: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot read %s: not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("cannot use %s: mode %04o lets others at the unit's password; chmod 0600 it", path, mode)
	}
	data, err := io.ReadAll(io.LimitReader(file, 4<<20))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return data, nil
}

// openAPI makes one attempt to log in at the addresses of info, and gives up when the context ends.
func openAPI(ctx context.Context, info api.Info, config Config) (api.Connection, error) {
	sockets := &sockets{ctx: ctx, connect: config.Dial}
	conn, err := api.Open(&info, api.DialOpts{
		DialAddressInterval: addressPause,
		DialTimeout:         dialLimit,
		Timeout:             loginLimit,
		DialWebsocket:       sockets.dial,
	})
	sockets.keep()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return severable{conn, sockets}, nil
}

// severable is a connection that can be ended without a word to the other side.
type severable struct {
	api.Connection

	sockets *sockets
}

// Sever ends the connection below the protocol. Close says goodbye and waits for an answer, which a network that is gone
// does not give.
func (s severable) Sever() { s.sockets.sever() }

// sockets dials for the library, which takes no context: when ours ends before keep is called, so does what was dialled.
type sockets struct {
	ctx     context.Context //nolint:containedctx // handed through a callback
	connect func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex
	dialed []net.Conn
	stops  []func() bool
}

// dial connects to one address. No proxy and no redirect is followed: agent.conf names the controller's own addresses. The
// library would fall back to the machine's own trust store, which may trust somebody in between.
func (s *sockets) dial(ctx context.Context, url string, config *tls.Config, address string) (jsoncodec.JSONConn, error) {
	if config.RootCAs == nil || config.InsecureSkipVerify {
		return nil, errors.New("only the CA of agent.conf is trusted")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	secured, err := s.secure(ctx, config, address)
	if err != nil {
		return nil, err
	}
	dialer := websocket.Dialer{
		HandshakeTimeout: dialLimit,
		NetDialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return secured, nil
		},
	}
	var socket *websocket.Conn
	var response *http.Response
	// A websocket begins with a SHA-1 that tells it from other protocols and protects nothing (RFC 6455, 4.2.2 and 10.8).
	fips140.WithoutEnforcement(func() { socket, response, err = dialer.DialContext(ctx, url, nil) }) //nolint:bodyclose // it is, below
	if err != nil {
		_ = secured.Close()
		if response != nil {
			_ = response.Body.Close()
			return nil, fmt.Errorf("HTTP status %s: %w", response.Status, err)
		}
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialed = append(s.dialed, below(socket))
	s.stops = append(s.stops, context.AfterFunc(s.ctx, func() { _ = below(socket).Close() }))
	return jsoncodec.NewWebsocketConn(socket), nil
}

// below is what TLS runs over. Closing TLS itself would say goodbye.
func below(socket *websocket.Conn) net.Conn {
	if secured, ok := socket.NetConn().(*tls.Conn); ok {
		return secured.NetConn()
	}
	return socket.NetConn()
}

func (s *sockets) sever() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.dialed {
		_ = conn.Close()
	}
}

// secure opens a TLS connection to a controller. All that are in use speak TLS 1.3. What FIPS 140 forbids is not in it where
// that is enforced, unlike in a websocket's own handshake.
func (s *sockets) secure(ctx context.Context, config *tls.Config, address string) (net.Conn, error) {
	config = config.Clone()
	config.MinVersion = tls.VersionTLS13
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	conn, err := s.connect(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// keep parts the sockets from the context: from now on whoever has the connection closes it.
func (s *sockets) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stop := range s.stops {
		stop()
	}
}

// explain says what a failed login means and what to do next. Only what waiting can mend is a juju.ErrUnreachable.
func explain(err error, path string, who identity) error {
	at := strings.Join(who.info.Addrs, ", ")
	var (
		redirect    *api.RedirectError
		certificate *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &certificate):
		return fmt.Errorf("cannot trust the controller at %s: its certificate does not match the CA in %s: %w; "+
			"if the controller's CA was not replaced on purpose, something stands in between", at, path, certificate.Err)
	case errors.As(err, &redirect):
		return fmt.Errorf("cannot log in at %s as %s: %w: the model moved to another controller; the unit agent (jujud) writes its addresses to %s",
			at, who.unit.Id(), juju.ErrUnreachable, path)
	case !answered(err):
		return fmt.Errorf("cannot reach the controller at %s: %w: %w; check that it runs and that this machine can reach it",
			at, juju.ErrUnreachable, err)
	}
	switch code(err) {
	case params.CodeUnauthorized, params.CodeNoCreds:
		return fmt.Errorf("cannot log in at %s as %s: the controller refuses the password in %s: %w; "+
			"check that the unit still exists and that its agent (jujud) runs, which renews the password", at, who.unit.Id(), path, err)
	case params.CodeNotFound, params.CodeModelNotFound, params.CodeDead, params.CodeNotProvisioned:
		return fmt.Errorf("cannot log in at %s as %s: %w; the unit or its model was removed", at, who.unit.Id(), err)
	}
	return fmt.Errorf("cannot log in at %s as %s: %w: %w; it will be tried again", at, who.unit.Id(), juju.ErrUnreachable, err)
}
