// SPDX-License-Identifier: AGPL-3.0-only

//go:build e2e

package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

func (c *kubernetes) shown(t *testing.T) {
	for _, kubeconfig := range []struct{ app, name, context string }{
		{"control-plane", "admin.kubeconfig", "kubernetes-admin@juju-e2e"},
		{"control-plane", "kubeconfig", "system:kube-apiserver@juju-e2e"},
		{"worker", "kubeconfig", "system:node:node1@juju-e2e"},
	} {
		c.sees(t, "current-context: "+kubeconfig.context, kubeconfig.app, kubeconfig.name, "config", "view", "--raw=false")
	}
}

// strangers shows certificates that the API server must not take, and reads in its log what it held against each:
// "Unauthorized" alone is said to a client without any certificate as well.
func (c *kubernetes) strangers(t *testing.T) {
	foreign := c.foreignCA(t)
	in := func(name string) string { return filepath.Join(foreign, name) }
	get := func(ca, certificate, key string) string {
		output, err := c.run("--server=https://"+c.api, "--certificate-authority="+ca, "--client-certificate="+certificate, "--client-key="+key, "get", "namespaces")
		require.Error(t, err)
		return output
	}
	why := regexp.MustCompile(`Unable to authenticate the request[^\n]*`)
	for _, stranger := range []struct{ name, certificate, key, reason string }{
		{"another CA's kubernetes-admin", in("client.crt"), in("client.key"), "x509: certificate signed by unknown authority"},
		{"another CA's system:node:node1", in("node.crt"), in("node.key"), "x509: certificate signed by unknown authority"},
		{"a server's", c.file("worker", "server.crt"), c.file("worker", "server.key"), "x509: certificate specifies an incompatible key usage"},
	} {
		before := len(c.logs["kube-apiserver"].String())
		output := get(c.file("worker", "ca.crt"), stranger.certificate, stranger.key)
		require.Contains(t, output, "Unauthorized", stranger.name)
		line := ""
		c.until("the API server says why", func() error {
			if line = why.FindString(c.logs["kube-apiserver"].String()[before:]); line == "" {
				return fmt.Errorf("it says nothing about %s", stranger.name)
			}
			return nil
		})
		t.Logf("$ kubectl get namespaces (%s)\n%s\nkube-apiserver: %s", stranger.name, output, line)
		require.Contains(t, line, stranger.reason, stranger.name)
	}
	output := get(in("ca.crt"), c.file("worker", "client.crt"), c.file("worker", "client.key"))
	t.Logf("$ kubectl get namespaces (trusting another CA)\n%s", output)
	require.Contains(t, output, "x509")
}

// foreignCA gives a folder with a CA of our CA's name, under another key, and an administrator's and a node's certificate
// of it.
func (c *kubernetes) foreignCA(t *testing.T) string {
	text, err := os.ReadFile(c.file("worker", "ca.crt"))
	require.NoError(t, err)
	ours, err := cert.Parse(string(text))
	require.NoError(t, err)
	dir := t.TempDir()
	authority := &x509.Certificate{RawSubject: ours.RawSubject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	var signer *ecdsa.PrivateKey
	write := func(name string, template *x509.Certificate) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		if signer == nil {
			signer = key
		}
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(7), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), signer)
		require.NoError(t, err)
		encoded, err := cert.EncodeKey(key)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".crt"), []byte(cert.Encode(der)), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".key"), []byte(encoded.Reveal()), 0o600))
	}
	write("ca", authority)
	for name, subject := range map[string]pkix.Name{
		"client": {CommonName: "kubernetes-admin", Organization: []string{"system:masters"}},
		"node":   {CommonName: "system:node:node1", Organization: []string{"system:nodes"}},
	} {
		write(name, &x509.Certificate{Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	return dir
}

// names has kubectl expect the names by which pods call the API server, and adds one to the running server.
func (c *kubernetes) names(t *testing.T) {
	for _, name := range []string{"kubernetes", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "10.0.0.1"} {
		c.sees(t, "ok", "control-plane", "admin.kubeconfig", "--tls-server-name="+name, "get", "--raw=/readyz")
	}
	_, port, err := net.SplitHostPort(c.api)
	require.NoError(t, err)
	call := []string{"--server=https://localhost:" + port, "get", "--raw=/readyz"}
	output, err := c.kubectl("control-plane", "admin.kubeconfig", call...)
	t.Logf("$ kubectl --server=https://localhost get --raw=/readyz, before\n%s", output)
	require.Error(t, err)
	require.Contains(t, output, "x509", "not before it is asked for")
	require.NoError(t, c.stage.model().SetConfig("control-plane", map[string]any{"extra_sans": "localhost"}))
	c.settle()
	c.until("the API server goes by localhost", func() error {
		if output, err := c.kubectl("control-plane", "admin.kubeconfig", call...); err != nil {
			return fmt.Errorf("%w: %s", err, output)
		}
		return nil
	})
	c.sees(t, "ok", "control-plane", "admin.kubeconfig", call...)
}

// members looks at etcd itself, behind the API server that has a connection to it already.
func (c *kubernetes) members(t *testing.T) {
	found := regexp.MustCompile(`advertise client URLs = https://(127\.0\.0\.1:\d+)`).FindStringSubmatch(c.logs["etcd"].String())
	require.Len(t, found, 2, "etcd says where it listens")
	before := c.serials(t)["etcd/server.crt"]
	require.NoError(t, c.stage.model().SetConfig("etcd", map[string]any{"extra_sans": "etcd.example.com"}))
	c.settle()
	after := c.serials(t)["etcd/server.crt"]
	require.NotEqual(t, before, after)
	serial, err := c.callEtcd(t, found[1], c.file("control-plane", "client.crt"), c.file("control-plane", "client.key"))
	require.NoError(t, err)
	require.Equal(t, after, serial)
	foreign := c.foreignCA(t)
	_, err = c.callEtcd(t, found[1], filepath.Join(foreign, "client.crt"), filepath.Join(foreign, "client.key"))
	t.Logf("etcd serves %s in place of %s; to a client of another CA it says: %v", after, before, err)
	require.ErrorContains(t, err, "remote error: tls: ")
	c.sees(t, "ok", "control-plane", "admin.kubeconfig", "get", "--raw=/readyz/etcd")
}

// callEtcd asks etcd for its health under the name that was added, and gives the serial of what it served. Under TLS 1.3 a
// client learns only from the first answer that it was refused.
func (c *kubernetes) callEtcd(t *testing.T, address, certificate, key string) (string, error) {
	t.Helper()
	shown, err := tls.LoadX509KeyPair(certificate, key)
	require.NoError(t, err)
	text, err := os.ReadFile(c.file("control-plane", "ca.crt"))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text))
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "etcd.example.com", Certificates: []tls.Certificate{shown}}}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	if _, err := conn.Write([]byte("GET /health HTTP/1.0\r\n\r\n")); err != nil {
		return "", err
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return "", err
	}
	secured, ok := conn.(*tls.Conn)
	require.True(t, ok)
	return cert.SerialText(secured.ConnectionState().PeerCertificates[0].SerialNumber), nil
}

func (c *kubernetes) openssl(t *testing.T) {
	for _, app := range []string{"control-plane", "worker", "etcd"} {
		require.NoError(t, opensslHandshake(t.Context(), filepath.Dir(c.file(app, "ca.crt"))))
	}
	foreign := c.foreignCA(t)
	mix := func(ca, client string) string {
		dir := t.TempDir()
		for name, from := range map[string]string{
			"server.crt": c.file("control-plane", "server.crt"), "server.key": c.file("control-plane", "server.key"),
			"client.crt": filepath.Join(client, "client.crt"), "client.key": filepath.Join(client, "client.key"),
			"ca.crt": filepath.Join(ca, "ca.crt"),
		} {
			require.NoError(t, os.Symlink(from, filepath.Join(dir, name)))
		}
		return dir
	}
	worker := filepath.Dir(c.file("worker", "ca.crt"))
	require.NoError(t, opensslHandshake(t.Context(), mix(worker, worker)), "the control plane's server and the worker's client")
	for name, spoilt := range map[string]struct{ dir, reason string }{
		"the client refuses the server": {mix(foreign, worker), `verify error:[^\n]*`},
		"the server refuses the client": {mix(worker, foreign), `[^:\n]* alert [^:\n]*`},
	} {
		err := opensslHandshake(t.Context(), spoilt.dir)
		require.Error(t, err, name)
		reason := regexp.MustCompile(spoilt.reason).FindString(err.Error())
		require.NotEmpty(t, reason, "%s: %v", name, err)
		t.Logf("%s: %s", name, reason)
	}
}
