// SPDX-License-Identifier: AGPL-3.0-only

package doctor_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/doctor"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/view"
	"github.com/signet-charm/signet/internal/view/diagnosis"
)

// authority signs for a test.
type authority struct {
	t   *testing.T
	ca  *x509.Certificate
	key *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	require.NoError(t, err)
	a.ca, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return a
}

// issue gives a server's certificate, with its key as PEM.
func (a *authority) issue(serial int64, key crypto.Signer) (*x509.Certificate, cert.Key) {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "app"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(50 * time.Minute), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.ca, key.Public(), a.key)
	require.NoError(a.t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	text, err := cert.EncodeKey(key)
	require.NoError(a.t, err)
	return leaf, text
}

// serve answers TLS handshakes with a certificate until the test ends, and gives the address.
func serve(t *testing.T, leaf *x509.Certificate, key crypto.Signer) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if secured, ok := conn.(*tls.Conn); ok {
				_ = secured.HandshakeContext(context.Background())
			}
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// install lays a certificate with its key as a turn does.
func install(t *testing.T, folder *disk.Folder, a *authority, leaf *x509.Certificate, key cert.Key) {
	t.Helper()
	answer := folder.Carry(t.Context(), order.Install{Name: "certificates", Files: []order.File{
		{Name: "server.crt", Text: cert.Encode(leaf.Raw)}, {Name: "server.key", Key: key}, {Name: "ca.crt", Text: cert.Encode(a.ca.Raw)},
	}})
	require.Equal(t, order.Done, answer.State, answer.Failure)
}

// What is published is held against what is served by a real server, which took its files up, or did not.
func TestWhatIsServedIsHeldAgainstWhatWasLaid(t *testing.T) {
	t.Parallel()
	a, stranger, key := newAuthority(t), newAuthority(t), newKey(t)
	laid, text := a.issue(7, key)
	old, _ := a.issue(6, key)
	foreign, _ := stranger.issue(7, key)
	root := filepath.Join(t.TempDir(), "state")
	folder, err := disk.Open(root)
	require.NoError(t, err)
	install(t, folder, a, laid, text)
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for sentence, c := range map[string]struct {
		address  string
		severity diagnosis.Severity
		finding  string
	}{
		"it serves what was laid":        {serve(t, laid, key), diagnosis.OK, "serve what they should: 1"},
		"it serves what was laid before": {serve(t, old, key), diagnosis.Warning, "serves 6, and"},
		"it serves a stranger's":         {serve(t, foreign, key), diagnosis.Error, "is not as it should be"},
		"nobody serves":                  {closed.Addr().String(), diagnosis.Error, "refused"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			facts := doctor.Gather(t.Context(), doctor.Place{Unit: "app/0", State: root, Dial: []string{c.address}}, view.View{}, agent.ErrNoAgent, time.Now)
			for _, one := range diagnosis.Examine(facts) {
				if one.ID == "served" {
					require.Equal(t, c.severity, one.Severity, one.Finding)
					require.Contains(t, one.Finding, c.finding)
					return
				}
			}
			require.Fail(t, "the check is gone")
		})
	}
}

// A server that wants a client's certificate shows its own all the same.
func TestAHandshakeNeedsNoCertificate(t *testing.T) {
	t.Parallel()
	a, key := newAuthority(t), newKey(t)
	leaf, _ := a.issue(7, key)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert,
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if secured, ok := conn.(*tls.Conn); ok {
			_ = secured.HandshakeContext(context.Background())
		}
		_ = conn.Close()
	}()
	chain, err := doctor.Handshake(t.Context(), listener.Addr().String())
	require.NoError(t, err)
	require.Len(t, chain, 1)
	require.True(t, chain[0].Equal(leaf))
}

// Facts are about keys, and hold none.
func TestFactsHoldNoKey(t *testing.T) {
	t.Parallel()
	a, key := newAuthority(t), newKey(t)
	laid, text := a.issue(7, key)
	root := filepath.Join(t.TempDir(), "state")
	folder, err := disk.Open(root)
	require.NoError(t, err)
	install(t, folder, a, laid, text)
	facts := doctor.Gather(t.Context(), doctor.Place{Unit: "app/0", State: root}, view.View{}, errors.New("it is new"), time.Now)
	require.Len(t, facts.Certificate, 1)
	require.Equal(t, disk.KeyFits, facts.Certificate[0].Key)
	require.Empty(t, facts.Certificate[0].OpenSSL)
	require.True(t, facts.Agent.Answers)
	require.NotContains(t, facts.Certificate[0].PEM+facts.Certificate[0].CA, "PRIVATE KEY")
}
