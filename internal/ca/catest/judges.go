// SPDX-License-Identifier: AGPL-3.0-only

package catest

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

// Judge asks all who know about certificates whether this one is good now, below its own root: Go, openssl and gnutls'
// certtool; the latter two only where they are installed. With a key, a TLS handshake is made as well.
func Judge(t *testing.T, issued cert.Issued) {
	t.Helper()
	leaf := parse(t, issued.Certificate)
	root := issued.Issuers[len(issued.Issuers)-1]
	between := strings.Join(issued.Issuers[:len(issued.Issuers)-1], "")
	for _, usage := range leaf.ExtKeyUsage {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: pool(t, root), Intermediates: pool(t, between), KeyUsages: []x509.ExtKeyUsage{usage},
		})
		require.NoError(t, err)
	}
	opensslJudge(t, leaf, issued.Certificate, between, root)
	certtoolJudge(t, issued.Certificate, between, root)
	if !issued.Key.IsZero() && slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		handshake(t, leaf, issued, root)
	}
}

// Disbelieve asks the same whether they refuse a server's certificate that was made against the rules of its issuers.
func Disbelieve(t *testing.T, issued cert.Issued) {
	t.Helper()
	leaf := parse(t, issued.Certificate)
	root := issued.Issuers[len(issued.Issuers)-1]
	between := strings.Join(issued.Issuers[:len(issued.Issuers)-1], "")
	_, err := leaf.Verify(x509.VerifyOptions{Roots: pool(t, root), Intermediates: pool(t, between)})
	require.Error(t, err)
	folder := t.TempDir()
	for name, content := range map[string]string{"leaf": issued.Certificate, "between": between, "root": root} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	for program, arguments := range map[string][]string{
		"openssl":  {"verify", "-x509_strict", "-CAfile", "root", "-untrusted", "between", "leaf"},
		"certtool": {"--verify", "--load-ca-certificate", "root"},
	} {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Logf("%s is not installed: its opinion is not asked", program)
			continue
		}
		command := exec.Command(path, arguments...)
		command.Dir, command.Stdin = folder, strings.NewReader(issued.Certificate+between)
		output, err := command.CombinedOutput()
		require.Error(t, err, "%s believes it: %s", program, output)
	}
}

func pool(t *testing.T, text string) *x509.CertPool {
	t.Helper()
	found := x509.NewCertPool()
	if text != "" {
		require.True(t, found.AppendCertsFromPEM([]byte(text)))
	}
	return found
}

func opensslJudge(t *testing.T, leaf *x509.Certificate, text, between, root string) {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("openssl is not installed: its opinion is not asked")
		return
	}
	folder := t.TempDir()
	for name, content := range map[string]string{"leaf": text, "between": between, "root": root} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	arguments := []string{"verify", "-x509_strict", "-CAfile", "root"}
	if between != "" {
		arguments = append(arguments, "-untrusted", "between")
	}
	purposes := map[x509.ExtKeyUsage]string{
		x509.ExtKeyUsageServerAuth: "sslserver", x509.ExtKeyUsageClientAuth: "sslclient", x509.ExtKeyUsageOCSPSigning: "ocsphelper",
	}
	for _, usage := range leaf.ExtKeyUsage {
		require.NotEmpty(t, purposes[usage], "openssl has no purpose for the usage %v", usage)
		run(t, folder, "", program, append(arguments, "-purpose", purposes[usage], "leaf")...)
	}
	if len(leaf.ExtKeyUsage) == 0 {
		run(t, folder, "", program, append(arguments, "-purpose", "crlsign", "leaf")...)
	}
}

func certtoolJudge(t *testing.T, text, between, root string) {
	t.Helper()
	program, err := exec.LookPath("certtool")
	if err != nil {
		t.Log("certtool is not installed: its opinion is not asked")
		return
	}
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "root"), []byte(root), 0o600))
	run(t, folder, text+between, program, "--verify", "--load-ca-certificate", "root")
}

func run(t *testing.T, folder, input, program string, arguments ...string) {
	t.Helper()
	command := exec.Command(program, arguments...)
	command.Dir, command.Stdin = folder, strings.NewReader(input)
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// handshake serves and calls once, over each of the certificate's names.
func handshake(t *testing.T, leaf *x509.Certificate, issued cert.Issued, root string) {
	t.Helper()
	chain := issued.Certificate + strings.Join(issued.Issuers[:len(issued.Issuers)-1], "")
	pair, err := tls.X509KeyPair([]byte(chain), []byte(issued.Key.Reveal()))
	require.NoError(t, err)
	for _, name := range cert.NamesOf(leaf).List() {
		near, far := net.Pipe()
		server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
		client := tls.Client(near, &tls.Config{RootCAs: pool(t, root), ServerName: name, MinVersion: tls.VersionTLS12})
		served := make(chan error, 1)
		go func() { served <- server.Handshake() }()
		require.NoError(t, client.Handshake(), name)
		require.NoError(t, <-served)
		require.NoError(t, near.Close())
		require.NoError(t, far.Close())
	}
}
