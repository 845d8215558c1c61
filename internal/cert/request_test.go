// SPDX-License-Identifier: AGPL-3.0-only

package cert_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

func curveKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

func requestText(t testing.TB, key crypto.Signer, wanted x509.CertificateRequest) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &wanted, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func TestParseRequest(t *testing.T) {
	t.Parallel()
	good := requestText(t, curveKey(t, elliptic.P256()), x509.CertificateRequest{Subject: pkix.Name{CommonName: "a"}})
	block, _ := pem.Decode([]byte(good))
	versioned := bytes.Replace(block.Bytes, []byte{2, 1, 0}, []byte{2, 1, 2}, 1) // INTEGER 0, the version, comes first
	oneLine := strings.ReplaceAll(strings.TrimSpace(good), "\n", "")
	oneLine = strings.Replace(strings.Replace(oneLine, "REQUEST-----", "REQUEST-----\n", 1), "-----END", "\n-----END", 1)
	inPEM := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for sentence, c := range map[string]struct {
		text   string
		fault  cert.Fault
		reason string
	}{
		"as encoders write it":        {text: good},
		"stripped":                    {text: strings.TrimSpace(good)},
		"with white space around":     {text: "\n \n" + good + "\r\n\r\n"},
		"with CRLF":                   {text: strings.ReplaceAll(good, "\n", "\r\n")},
		"in lines of another length":  {text: oneLine},
		"of the older name":           {text: inPEM("NEW CERTIFICATE REQUEST", block.Bytes)},
		"empty":                       {"", cert.FaultMalformed, "no PEM block"},
		"garbage":                     {"garbage", cert.FaultMalformed, "no PEM block"},
		"DER":                         {string(block.Bytes), cert.FaultMalformed, "no PEM block"},
		"two":                         {good + good, cert.FaultMalformed, "2 PEM blocks"},
		"one and half of another":     {good + good[:50], cert.FaultMalformed, "2 PEM blocks"},
		"text before":                 {"Certificate Request:\n" + good, cert.FaultMalformed, "other text before"},
		"text after":                  {good + "bye", cert.FaultMalformed, "other text after"},
		"cut short":                   {good[:len(good)/2], cert.FaultMalformed, "damaged"},
		"a certificate":               {inPEM("CERTIFICATE", block.Bytes), cert.FaultMalformed, `is a "CERTIFICATE"`},
		"a private key":               {inPEM("PRIVATE KEY", []byte("secret")), cert.FaultMalformed, `is a private key`},
		"with headers":                {strings.Replace(good, "-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n", 1), cert.FaultMalformed, "headers"},
		"with blanks inside":          {strings.Replace(good, "\nMI", "\n MI", 1), cert.FaultMalformed, "not base64"},
		"with NUL":                    {good + "\x00", cert.FaultMalformed, "other text after"},
		"no request inside":           {inPEM("CERTIFICATE REQUEST", []byte("garbage")), cert.FaultMalformed, "holds no request"},
		"something after the request": {inPEM("CERTIFICATE REQUEST", append(append([]byte{}, block.Bytes...), 0)), cert.FaultMalformed, "holds no request"},
		"of a version that is not":    {inPEM("CERTIFICATE REQUEST", versioned), cert.FaultMalformed, "version is not 1"},
		"longer than any":             {good + strings.Repeat("\n", cert.MaxRequest), cert.FaultTooLarge, "more than 65536"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			request, err := cert.ParseRequest(c.text)
			if c.fault == "" {
				require.NoError(t, err)
				require.Equal(t, "a", request.Subject.CommonName)
				require.NoError(t, cert.CheckRequest(request))
				return
			}
			var wrong *cert.RequestError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, c.fault, wrong.Fault)
			require.ErrorContains(t, err, c.reason)
			require.Less(t, len(err.Error()), 200)
		})
	}
}

func TestCheckRequestKeys(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	public := func(bits, exponent int) *x509.CertificateRequest {
		modulus := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		named := pkix.Name{Names: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "a"}}}
		return &x509.CertificateRequest{PublicKey: &rsa.PublicKey{N: modulus.SetBit(modulus, 0, 1), E: exponent}, Subject: named}
	}
	parsed := func(key crypto.Signer) *x509.CertificateRequest {
		request, err := cert.ParseRequest(requestText(t, key, x509.CertificateRequest{DNSNames: []string{"a.example.com"}}))
		require.NoError(t, err)
		return request
	}
	for sentence, c := range map[string]struct {
		request *x509.CertificateRequest
		fault   cert.Fault
		reason  string
	}{
		"RSA-2048":               {request: parsed(rsa2048)},
		"P-256":                  {request: parsed(curveKey(t, elliptic.P256()))},
		"P-384":                  {request: parsed(curveKey(t, elliptic.P384()))},
		"P-521":                  {request: parsed(curveKey(t, elliptic.P521()))},
		"Ed25519":                {request: parsed(edwards)},
		"P-224":                  {parsed(curveKey(t, elliptic.P224())), cert.FaultWeakKey, "P-224"},
		"RSA-1024":               {public(1024, 65537), cert.FaultWeakKey, "1024 bits, fewer than 2048"},
		"RSA-2047":               {public(2047, 65537), cert.FaultWeakKey, "2047 bits"},
		"RSA-16384":              {public(16384, 65537), cert.FaultWeakKey, "more than 8192"},
		"RSA with a small power": {public(2048, 3), cert.FaultWeakKey, "exponent 3"},
		"RSA with an even power": {public(2048, 65538), cert.FaultWeakKey, "exponent 65538"},
		"none that is known":     {&x509.CertificateRequest{}, cert.FaultWeakKey, "neither RSA nor EC nor Ed25519"},
		"RSA-8192, not signed":   {public(8192, 65537), cert.FaultSignature, "not signed with its own key"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			err := cert.CheckRequest(c.request)
			if c.fault == "" {
				require.NoError(t, err)
				return
			}
			var wrong *cert.RequestError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, c.fault, wrong.Fault)
			require.Contains(t, wrong.Reason, c.reason)
		})
	}
}

func TestCheckRequestSignedByAnother(t *testing.T) {
	t.Parallel()
	text := requestText(t, curveKey(t, elliptic.P256()), x509.CertificateRequest{Subject: pkix.Name{CommonName: "a"}})
	block, _ := pem.Decode([]byte(text))
	at := strings.Index(string(block.Bytes), "a0Y") // the subject's one letter, followed by the key's SEQUENCE
	require.Positive(t, at)
	block.Bytes[at] = 'b'
	request, err := cert.ParseRequest(string(pem.EncodeToMemory(block)))
	require.NoError(t, err)
	require.Equal(t, "b", request.Subject.CommonName)
	var wrong *cert.RequestError
	require.ErrorAs(t, cert.CheckRequest(request), &wrong)
	require.Equal(t, cert.FaultSignature, wrong.Fault)
}

func TestRequestNames(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		wanted  x509.CertificateRequest
		names   []string
		problem string
	}{
		"none": {x509.CertificateRequest{}, []string{}, ""},
		"names and addresses, canonical": {
			x509.CertificateRequest{
				DNSNames:    []string{"B.example", "*.a.example", "b.example"},
				IPAddresses: []net.IP{net.ParseIP("::ffff:10.0.0.1"), net.ParseIP("FD00::1"), net.ParseIP("10.0.0.1")},
			},
			[]string{"*.a.example", "b.example", "10.0.0.1", "fd00::1"}, "",
		},
		"an address as a name":  {x509.CertificateRequest{DNSNames: []string{"10.0.0.1"}}, nil, "an IP address is written as a DNS name"},
		"a name that is none":   {x509.CertificateRequest{DNSNames: []string{"a_b"}}, nil, "only letters"},
		"a wildcard in between": {x509.CertificateRequest{DNSNames: []string{"a.*.b"}}, nil, "only letters"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			request, err := cert.ParseRequest(requestText(t, curveKey(t, elliptic.P256()), c.wanted))
			require.NoError(t, err)
			names, err := cert.RequestNames(request)
			if c.problem != "" {
				var wrong *cert.NameError
				require.ErrorAs(t, err, &wrong)
				require.Contains(t, wrong.Reason, c.problem)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.names, append([]string{}, names.List()...))
		})
	}
}

// FuzzParseRequest compares with Go's own reader: what is accepted here is what that reads, with a signature that it
// verifies, and is read again from what is published of it. Much of what Go reads is refused.
func FuzzParseRequest(f *testing.F) {
	key := curveKey(f, elliptic.P256())
	good := requestText(f, key, x509.CertificateRequest{Subject: pkix.Name{CommonName: "a"}, DNSNames: []string{"a"}})
	f.Add(good)
	f.Add(requestText(f, key, x509.CertificateRequest{EmailAddresses: []string{"ops@example.com"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}}))
	f.Add(strings.ReplaceAll(good, "\n", "\r\n"))
	f.Add(strings.Replace(good, "M", "N", 1))
	f.Add("-----BEGIN CERTIFICATE REQUEST-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE REQUEST-----")
	f.Fuzz(func(t *testing.T, text string) {
		request, err := cert.ParseRequest(text)
		if err != nil {
			var wrong *cert.RequestError
			require.ErrorAs(t, err, &wrong)
			require.Less(t, len(err.Error()), 300)
			return
		}
		block, rest := pem.Decode([]byte(text))
		require.Equal(t, request.Raw, block.Bytes)
		require.Empty(t, strings.TrimSpace(string(rest)))
		_, _ = cert.RequestNames(request)
		theirs, err := x509.ParseCertificateRequest(block.Bytes)
		require.NoError(t, err)
		if cert.CheckRequest(request) == nil {
			require.NoError(t, theirs.CheckSignature())
		}
		again, err := cert.ParseRequest(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: block.Bytes})))
		require.NoError(t, err)
		require.Equal(t, request.Raw, again.Raw)
	})
}
