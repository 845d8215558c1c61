// SPDX-License-Identifier: AGPL-3.0-only

package clientgo_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/kubefile"
)

// server is what kubeconfigs name before a test has a server of its own.
const server = "https://10.0.0.1:6443"

// authority is a CA.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	text        string
}

// newAuthority makes a CA. All have the same name, so that only signatures tell one from another.
func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	wanted := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signet"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, wanted, wanted, key.Public(), key)
	require.NoError(t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{certificate: made, key: key, text: encode("CERTIFICATE", der)}
}

// issue signs a certificate for this machine, of a user who may do everything, and gives it with its key.
func (a authority) issue(t *testing.T, usage x509.ExtKeyUsage) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	wanted := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, wanted, a.certificate, private.Public(), a.key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}

func encode(block string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der}))
}

// lay writes a folder as signet does: a CA, and a server's and a client's certificate.
func (a authority) lay(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	put(t, folder, "ca.crt", a.text)
	for name, usage := range map[string]x509.ExtKeyUsage{"server": x509.ExtKeyUsageServerAuth, "client": x509.ExtKeyUsageClientAuth} {
		certificate, key := a.issue(t, usage)
		put(t, folder, name+".crt", certificate)
		put(t, folder, name+".key", key)
	}
	return folder
}

func put(t *testing.T, folder, name, text string) string {
	t.Helper()
	file := filepath.Join(folder, name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func get(t *testing.T, folder, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	require.NoError(t, err)
	return string(text)
}

// byPath is a kubeconfig that refers to the files of a folder.
func byPath(folder string) kubefile.Kubeconfig {
	return kubefile.Kubeconfig{
		Cluster: "signet", User: "admin", Context: "admin@signet", Server: server,
		CA:          kubefile.File{Path: filepath.Join(folder, "ca.crt")},
		Certificate: kubefile.File{Path: filepath.Join(folder, "client.crt")},
		Key:         kubefile.File{Path: filepath.Join(folder, "client.key")},
	}
}

// embedded is a kubeconfig that contains the files of a folder.
func embedded(t *testing.T, folder string) kubefile.Kubeconfig {
	t.Helper()
	k := byPath(folder)
	k.CA = kubefile.File{Data: get(t, folder, "ca.crt")}
	k.Certificate = kubefile.File{Data: get(t, folder, "client.crt")}
	k.Key = kubefile.File{Data: get(t, folder, "client.key")}
	return k
}

// write lays a kubeconfig into a folder of its own.
func write(t *testing.T, k kubefile.Kubeconfig) string {
	t.Helper()
	rendered, err := k.Render()
	require.NoError(t, err)
	return put(t, t.TempDir(), "kubeconfig", rendered)
}
