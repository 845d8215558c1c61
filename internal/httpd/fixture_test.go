// SPDX-License-Identifier: AGPL-3.0-only

package httpd_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/httpd"
)

// noon is when most tests take place, and half a minute.
var noon = time.Date(2026, 5, 4, 12, 0, 30, 0, time.UTC)

func atNoon() time.Time { return noon }

// authority is a CA of a test.
type authority struct {
	t           testing.TB
	now         time.Time
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(t testing.TB, keys cert.KeyType, name string, now time.Time) *authority {
	t.Helper()
	a := &authority{t: t, now: now}
	a.certificate, a.key = a.make(keys, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: now.AddDate(10, 0, 0),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	return a
}

// make issues a certificate with a new key; the first is the CA's own.
func (a *authority) make(keys cert.KeyType, template *x509.Certificate) (*x509.Certificate, crypto.Signer) {
	a.t.Helper()
	key, err := keys.Generate(rand.Reader)
	require.NoError(a.t, err)
	issuer, signer := a.certificate, a.key
	if issuer == nil {
		issuer, signer = template, key
	}
	template.NotBefore = a.now.Add(-time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	require.NoError(a.t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	return made, key
}

// leaf issues a certificate with a serial number.
func (a *authority) leaf(serial int64) *x509.Certificate {
	a.t.Helper()
	made, _ := a.make(cert.P256, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "leaf"}, NotAfter: a.now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature,
	})
	return made
}

// responder issues the certificate of a delegated responder (RFC 6960, 4.2.2.2).
func (a *authority) responder(keys cert.KeyType, notAfter time.Time, usages ...x509.ExtKeyUsage) (string, cert.Key) {
	a.t.Helper()
	made, key := a.make(keys, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "responder"}, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: usages,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: asn1.NullBytes}},
	})
	return cert.Encode(made.Raw), secret(a.t, key)
}

// list is a CRL of a day that begins now. Its number is not looked at.
func (a *authority) list(revoked ...x509.RevocationListEntry) string {
	a.t.Helper()
	return a.listOf(&x509.RevocationList{
		ThisUpdate: a.now, NextUpdate: a.now.AddDate(0, 0, 1), RevokedCertificateEntries: revoked,
	})
}

func (a *authority) listOf(template *x509.RevocationList) string {
	a.t.Helper()
	template.Number = big.NewInt(1)
	der, err := x509.CreateRevocationList(rand.Reader, template, a.certificate, a.key)
	require.NoError(a.t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

// revoked is an entry of a list, as of an hour ago.
func (a *authority) revoked(serial int64, reason cert.Reason) x509.RevocationListEntry {
	return x509.RevocationListEntry{
		SerialNumber: big.NewInt(serial), RevocationTime: a.now.Add(-time.Hour).Truncate(time.Second), ReasonCode: reason.Code(),
	}
}

// shown is what is served of this CA when its own key signs, with serial 66 revoked.
func (a *authority) shown(generation int) httpd.Authority {
	a.t.Helper()
	return httpd.Authority{
		Generation: generation, Certificate: a.text(), ResponderKey: secret(a.t, a.key),
		CRL: a.list(a.revoked(66, cert.KeyCompromise)),
	}
}

func (a *authority) text() string { return cert.Encode(a.certificate.Raw) }

func secret(t testing.TB, key crypto.Signer) cert.Key {
	t.Helper()
	encoded, err := cert.EncodeKey(key)
	require.NoError(t, err)
	return encoded
}

// serving is a server at noon that shows these.
func serving(t testing.TB, authorities ...httpd.Authority) *httpd.Server {
	t.Helper()
	server := httpd.New(quiet(), atNoon)
	server.Show(httpd.View{Authorities: authorities})
	return server
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// ask makes one request. Headers are pairs of name and value.
func ask(server *httpd.Server, method, path string, body []byte, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, io.Reader(bytes.NewReader(body)))
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	server.Handler().ServeHTTP(answer, request)
	return answer
}

func get(server *httpd.Server, path string, headers ...string) *httptest.ResponseRecorder {
	return ask(server, http.MethodGet, path, nil, headers...)
}
