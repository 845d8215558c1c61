// SPDX-License-Identifier: AGPL-3.0-only

package hooktool

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// Request and Response are the wire's, exported as net/rpc wants a server's to be.
type (
	Request  request
	Response response
)

// Jujuc is a scripted unit agent: it answers by command line, "relation-get -r 3 - web/0", else by command, and keeps
// what it was asked. A command that it has no answer for is one that this Juju does not have.
type Jujuc struct {
	mu      sync.Mutex
	answers map[string]answer
	asked   []Request
	look    func(Request) // while a command runs
}

type answer struct {
	stdout string
	stderr string // makes it exit with code 1
	stdin  bool   // wants to read its standard input
}

// Main is the hook tools' one method.
func (j *Jujuc) Main(req Request, resp *Response) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = append(j.asked, req)
	if j.look != nil {
		j.look(req)
	}
	found, known := j.answers[strings.Join(append([]string{req.CommandName}, withoutFormat(req.Args)...), " ")]
	if !known {
		found, known = j.answers[req.CommandName]
	}
	switch {
	case !known:
		return errors.New("bad request: unknown command: " + req.CommandName)
	case found.stdin && !req.StdinSet:
		return errors.New("hook tool requires stdin, none supplied")
	case found.stderr != "":
		*resp = Response{Code: 1, Stderr: []byte("ERROR " + found.stderr + "\n")}
		return nil
	}
	*resp = Response{Stdout: []byte(found.stdout + "\n")}
	return nil
}

func withoutFormat(args []string) []string {
	if len(args) > 1 && args[0] == "--format" {
		return args[2:]
	}
	return args
}

// commands are the command lines asked for, without --format json.
func (j *Jujuc) commands() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var lines []string
	for _, req := range j.asked {
		lines = append(lines, strings.Join(append([]string{req.CommandName}, withoutFormat(req.Args)...), " "))
	}
	return lines
}

// fakeAgent serves a scripted agent at a socket of its own and gives the environment of its hook.
func fakeAgent(t *testing.T, answers map[string]answer) (*Jujuc, Environment) {
	t.Helper()
	listener := listen(t)
	return serveFake(t, listener, answers), Environment{
		Network: "unix", Address: listener.Addr().String(), ContextID: "signet/0-start-1", CharmDir: t.TempDir(), TempDir: t.TempDir(),
		Unit: "signet/0", ModelName: "prod", ModelUUID: "uuid", JujuVersion: "3.6.25", Hook: "start",
		Endpoints: []juju.Endpoint{
			{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides},
			{Name: "peers", Interface: "signet-peers", Role: juju.Peers},
		},
	}
}

func serveFake(t *testing.T, listener net.Listener, answers map[string]answer) *Jujuc {
	t.Helper()
	agent := &Jujuc{answers: answers}
	server := rpc.NewServer()
	require.NoError(t, server.Register(agent))
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go server.ServeConn(conn)
		}
	}()
	return agent
}

// listen listens on a socket of the test's own.
func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	return listener
}

func open(t *testing.T, env Environment) *Session {
	t.Helper()
	session, err := Open(env)
	require.NoError(t, err)
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// quietModel answers for a leader with nothing but two empty relations.
func quietModel() map[string]answer {
	return map[string]answer{
		"is-leader":                             {stdout: "true"},
		"config-get":                            {stdout: "{}"},
		"relation-ids certificates":             {stdout: `["certificates:3"]`},
		"relation-ids peers":                    {stdout: `["peers:0"]`},
		"relation-list -r certificates:3 --app": {stdout: `"web"`},
		"relation-list":                         {stdout: "[]"},
		"relation-get":                          {stdout: "{}"},
		"relation-set":                          {stdin: true},
		"network-get":                           {stderr: `no network config found for binding "certificates"`},
		"status-get":                            {stdout: `{"message":"","status":"active","status-data":{}}`},
		"status-set":                            {},
		"state-get":                             {stdout: "null"},
		"state-set":                             {stdin: true},
		"state-delete":                          {},
		"secret-ids":                            {stdout: "null"},
		"secret-add":                            {stdout: "secret:9m4e2mr0ui3e8a215n4g"},
		"secret-set":                            {},
		"juju-log":                              {},
	}
}

// with gives the quiet model with other answers.
func with(changes map[string]answer) map[string]answer {
	answers := quietModel()
	for command, a := range changes {
		answers[command] = a
	}
	return answers
}

// tlsListener listens on loopback as an agent in another container does: its certificate names the application.
func tlsListener(t *testing.T, name string) (listener net.Listener, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	listener, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12,
	})
	require.NoError(t, err)
	caFile = filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return listener, caFile
}
