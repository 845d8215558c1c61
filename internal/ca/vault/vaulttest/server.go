// SPDX-License-Identifier: AGPL-3.0-only

// Package vaulttest has Vault for tests, twice: a real server, the program that e2e/vault builds, which SIGNET_VAULT names,
// and a fake in the test's own process, which fails as a test wants it to. A suite of facts holds the fake to what the real
// one does. This file has the real server as a process; operator.go is what whoever runs either does before signet can use
// it, and fake.go begins the fake.
package vaulttest

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// A Server is a Vault server on the loopback interface, which ends with the test.
type Server struct {
	operator

	binary string
	dir    string // holds the certificate, its key and the data

	process *exec.Cmd // nil while there is none
	errors  *bytes.Buffer
	key     string // unseals it: the only share
}

// Start starts a server without data, inits it with one share and unseals it. Without SIGNET_VAULT the test is skipped.
func Start(t testing.TB) *Server {
	t.Helper()
	binary := os.Getenv("SIGNET_VAULT")
	if binary == "" {
		t.Skip("SIGNET_VAULT names no Vault server: make e2e-vault builds one and runs this test")
	}
	ca, certificate, key := makeCertificate(t)
	s := &Server{operator: newOperator(t, ca), binary: binary, dir: t.TempDir()}
	s.address = "https://127.0.0.1:0"
	require.NoError(t, os.WriteFile(s.file("server.crt"), certificate, 0o600))
	require.NoError(t, os.WriteFile(s.file("server.key"), key, 0o600))
	t.Cleanup(s.end)
	s.run()
	answer, err := s.Client("").Sys().InitWithContext(s.context(), &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	require.NoError(t, err)
	s.key, s.token = answer.Keys[0], answer.RootToken
	s.Unseal()
	return s
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

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }
