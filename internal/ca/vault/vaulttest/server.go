// SPDX-License-Identifier: AGPL-3.0-only

// Package vaulttest runs a real Vault server for tests: the program that e2e/vault builds, which SIGNET_VAULT names. This
// file has the server as a process, unseals it and makes clients of it; setup.go is what an operator of Vault does before
// signet can use it.
package vaulttest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// patience is how long the server may take for one thing. It takes milliseconds; a busy machine makes it seconds.
const patience = time.Minute

// A Server is a Vault server on the loopback interface, which ends with the test.
type Server struct {
	t       testing.TB
	binary  string
	dir     string // holds the certificate, its key and the data
	address string // as a URL; the port is chosen at the first start and kept
	ca      []byte
	network *http.Transport // of all clients

	process *exec.Cmd // nil while there is none
	errors  *bytes.Buffer
	key     string // unseals it: the only share
	token   string // root's
}

// Start starts a server without data, inits it with one share and unseals it. Without SIGNET_VAULT the test is skipped.
func Start(t testing.TB) *Server {
	t.Helper()
	binary := os.Getenv("SIGNET_VAULT")
	if binary == "" {
		t.Skip("SIGNET_VAULT names no Vault server: make e2e-vault builds one and runs this test")
	}
	s := &Server{t: t, binary: binary, dir: t.TempDir(), address: "https://127.0.0.1:0"}
	s.writeCertificate()
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM(s.ca))
	s.network = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(s.end)
	s.run()
	answer, err := s.Client("").Sys().InitWithContext(s.context(), &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	require.NoError(t, err)
	s.key, s.token = answer.Keys[0], answer.RootToken
	s.Unseal()
	return s
}

// Address is the server's URL. It stays the same when the server is restarted.
func (s *Server) Address() string { return s.address }

// CA is the certificate, in PEM, that the server's own must be verified by.
func (s *Server) CA() string { return string(s.ca) }

// Root is a client that may do everything.
func (s *Server) Root() *api.Client { return s.Client(s.token) }

// Client makes a client with this token, or without one. It does not try again, and it goes by nothing that the
// environment says about Vault: a developer may have one.
func (s *Server) Client(token string) *api.Client {
	s.t.Helper()
	client, err := api.NewClient(&api.Config{
		Address: s.address,
		HttpClient: &http.Client{
			Transport:     s.network,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Timeout:          patience,
		DisableRedirects: true,
	})
	require.NoError(s.t, err)
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	client.SetWrappingLookupFunc(func(string, string) string { return "" })
	client.SetToken(token)
	return client
}

// Seal seals the server: it goes on running and refuses all but to be unsealed.
func (s *Server) Seal() {
	s.t.Helper()
	require.NoError(s.t, s.Root().Sys().SealWithContext(s.context()))
}

// Unseal unseals the server. When it returns, requests are served.
func (s *Server) Unseal() {
	s.t.Helper()
	status, err := s.Client("").Sys().UnsealWithContext(s.context(), s.key)
	require.NoError(s.t, err)
	require.False(s.t, status.Sealed)
}

// Kill kills the server, with no time to tidy up. Connections to it are refused until it is restarted.
func (s *Server) Kill() {
	s.t.Helper()
	require.NotNil(s.t, s.process, "the server does not run")
	require.NoError(s.t, s.process.Process.Kill())
	_ = s.process.Wait()             // says that it was killed
	s.network.CloseIdleConnections() // they lead nowhere, and the next request would take one
	s.process = nil
}

// Restart starts a killed server again, with the data and the port that it had, and unseals it.
func (s *Server) Restart() {
	s.t.Helper()
	s.run()
	s.Unseal()
}

// run starts the process and waits until it serves.
func (s *Server) run() {
	s.t.Helper()
	require.Nil(s.t, s.process, "the server runs already")
	args := []string{"-listen", strings.TrimPrefix(s.address, "https://"), "-dir", s.file("data"), "-tls-cert", s.file("server.crt"), "-tls-key", s.file("server.key")}
	process := exec.CommandContext(s.t.Context(), s.binary, args...) //nolint:gosec // who runs the tests names it
	s.errors = &bytes.Buffer{}
	process.Stderr = s.errors
	output, err := process.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, process.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		_ = process.Wait()
		require.FailNow(s.t, "the server ended before it served", "%s", s.errors)
	}
	s.process, s.address = process, strings.TrimSpace(line)
}

// end ends the process, and shows what it had to say when the test failed.
func (s *Server) end() {
	s.network.CloseIdleConnections()
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	}
	if s.t.Failed() && s.errors != nil {
		s.t.Logf("the Vault server said:\n%s", s.errors)
	}
}

// context bounds one request. It is the test's own, which ends with it.
func (s *Server) context() context.Context {
	ctx, stop := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(stop)
	return ctx
}

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

// write writes to a path of Vault's as root, and gives the answer's data.
func (s *Server) write(path string, data map[string]any) map[string]any {
	s.t.Helper()
	answer, err := s.Root().Logical().WriteWithContext(s.context(), path, data)
	require.NoError(s.t, err, "%s", path)
	if answer == nil {
		return nil
	}
	return answer.Data
}

// text is a text of an answer's data.
func (s *Server) text(data map[string]any, name string) string {
	s.t.Helper()
	text, ok := data[name].(string)
	require.True(s.t, ok, "no %s in what Vault answered", name)
	return text
}
