// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

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
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

// authority is a CA for tests: it signs what it is told to.
type authority struct {
	t       testing.TB
	key     *ecdsa.PrivateKey
	leaf    *x509.Certificate
	issuers []string // its own certificate first, the root last
}

var notBefore = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func newRoot(t testing.TB, name string) authority {
	t.Helper()
	a := authority{t: t, key: newKey(t)}
	a.leaf = a.sign(template(name, true), &a.key.PublicKey, nil)
	a.issuers = []string{cert.EncodeCertificates(a.leaf)}
	return a
}

// intermediate is a CA below this one.
func (a authority) intermediate(name string) authority {
	below := authority{t: a.t, key: newKey(a.t)}
	below.leaf = a.sign(template(name, true), &below.key.PublicKey, a.leaf)
	below.issuers = append([]string{cert.EncodeCertificates(below.leaf)}, a.issuers...)
	return below
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func template(name string, ca bool) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	usage := x509.KeyUsageDigitalSignature
	if ca {
		usage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: notBefore, NotAfter: notBefore.AddDate(1, 0, 0),
		BasicConstraintsValid: true, IsCA: ca, KeyUsage: usage,
	}
}

func (a authority) sign(wanted *x509.Certificate, public crypto.PublicKey, parent *x509.Certificate) *x509.Certificate {
	a.t.Helper()
	if parent == nil {
		parent = wanted
	}
	der, err := x509.CreateCertificate(rand.Reader, wanted, parent, public, a.key)
	require.NoError(a.t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	return made
}

// issue makes a certificate with its key.
func (a authority) issue(commonName string, names ...string) cert.Issued {
	a.t.Helper()
	key := newKey(a.t)
	wanted := template(commonName, false)
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			wanted.IPAddresses = append(wanted.IPAddresses, ip)
		} else {
			wanted.DNSNames = append(wanted.DNSNames, name)
		}
	}
	text, err := cert.EncodeKey(key)
	require.NoError(a.t, err)
	leaf := a.sign(wanted, &key.PublicKey, a.leaf)
	return cert.Issued{Certificate: cert.EncodeCertificates(leaf), Issuers: a.issuers, Key: text}
}

// issueCA makes a CA certificate with its key.
func (a authority) issueCA(commonName string) cert.Issued {
	a.t.Helper()
	below := a.intermediate(commonName)
	text, err := cert.EncodeKey(below.key)
	require.NoError(a.t, err)
	return cert.Issued{Certificate: below.issuers[0], Issuers: a.issuers, Key: text}
}

// answer signs a request.
func (a authority) answer(request string) cert.Issued {
	a.t.Helper()
	parsed, err := cert.ParseRequest(request)
	require.NoError(a.t, err)
	wanted := template(parsed.Subject.CommonName, false)
	wanted.DNSNames = parsed.DNSNames
	leaf := a.sign(wanted, parsed.PublicKey, a.leaf)
	return cert.Issued{Certificate: cert.EncodeCertificates(leaf), Issuers: a.issuers}
}

// newRequest makes a certificate signing request, stripped as the libraries write it.
func newRequest(t testing.TB, commonName string, names ...string) string {
	t.Helper()
	return requestWith(t, newKey(t), &x509.CertificateRequest{Subject: pkix.Name{CommonName: commonName}, DNSNames: names})
}

func requestWith(t testing.TB, key crypto.Signer, wanted *x509.CertificateRequest) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, wanted, key)
	require.NoError(t, err)
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
}

// forged is a request whose signature is another one's.
func forged(t testing.TB) string {
	t.Helper()
	block, _ := pem.Decode([]byte(newRequest(t, "forged")))
	other, _ := pem.Decode([]byte(newRequest(t, "forged")))
	signature := 64 // the last bytes of both lie within the signature
	copy(block.Bytes[len(block.Bytes)-signature:], other.Bytes[len(other.Bytes)-signature:])
	return strings.TrimSpace(string(pem.EncodeToMemory(block)))
}
