// SPDX-License-Identifier: AGPL-3.0-only

package cert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

// signed makes certificates in a line: each signed by the one before, the first by itself. The last is no CA's.
func signed(t testing.TB, names ...string) []*x509.Certificate {
	t.Helper()
	var line []*x509.Certificate
	var parentKey *ecdsa.PrivateKey
	for i, name := range names {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		wanted := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Unix(1_700_000_000, 0), NotAfter: time.Unix(1_800_000_000, 0),
			BasicConstraintsValid: true, IsCA: i < len(names)-1 || i == 0,
		}
		parent, signer := wanted, key
		if i > 0 {
			parent, signer = line[i-1], parentKey
		}
		der, err := x509.CreateCertificate(rand.Reader, wanted, parent, &key.PublicKey, signer)
		require.NoError(t, err)
		made, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		line, parentKey = append(line, made), key
	}
	return line
}

func namesOf(certificates []*x509.Certificate) string {
	var names []string
	for _, c := range certificates {
		names = append(names, c.Subject.CommonName)
	}
	return strings.Join(names, " ")
}

func TestParseCertificates(t *testing.T) {
	t.Parallel()
	line := signed(t, "root", "leaf")
	root, leaf := cert.EncodeCertificates(line[0]), cert.EncodeCertificates(line[1])
	damaged := strings.Replace(leaf, "-----\nMII", "-----\n!!!", 1)
	for sentence, c := range map[string]struct{ text, names, problem string }{
		"one":                              {leaf, "leaf", ""},
		"one without a newline at the end": {strings.TrimSpace(leaf), "leaf", ""},
		"two, in the text's order":         {leaf + root, "leaf root", ""},
		"with CRLF":                        {strings.ReplaceAll(leaf+root, "\n", "\r\n"), "leaf root", ""},
		"with openssl's text before each":  {"Certificate:\n    Data:\n" + leaf + "Certificate:\n" + root + "bye", "leaf root", ""},
		"none":                             {"", "", "no PEM block"},
		"text only":                        {"Certificate:", "", "no PEM block"},
		"a damaged block":                  {damaged, "", "1 of 1 PEM blocks are damaged"},
		"a damaged block among others":     {root + damaged + root, "", "1 of 3 PEM blocks are damaged"},
		"a block cut short":                {root + leaf[:100], "", "1 of 2 PEM blocks are damaged"},
		"a private key": {
			leaf + "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "", `PEM block 2 is a private key`,
		},
		"a block with no certificate in it": {"-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----\n", "", "cannot read certificate 1"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			found, err := cert.ParseCertificates(c.text)
			if c.problem != "" {
				require.ErrorContains(t, err, c.problem)
				require.NotContains(t, err.Error(), "c2VjcmV0")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.names, namesOf(found))
			only, err := cert.ParseCertificate(c.text)
			if len(found) == 1 {
				require.NoError(t, err)
				require.Equal(t, found[0], only)
			} else {
				require.ErrorContains(t, err, "holds 2 of them")
			}
		})
	}
}

func TestIssuersStandInOrder(t *testing.T) {
	t.Parallel()
	line := signed(t, "root", "upper", "lower", "leaf")
	root, upper, lower, leaf := line[0], line[1], line[2], line[3]
	for sentence, c := range map[string]struct {
		pool  []*x509.Certificate
		names string
	}{
		"the issuer first":   {[]*x509.Certificate{lower, upper, root}, "lower upper root"},
		"the root first":     {[]*x509.Certificate{root, upper, lower}, "lower upper root"},
		"in no order":        {[]*x509.Certificate{upper, root, lower}, "lower upper root"},
		"with the leaf":      {line, "lower upper root"},
		"without the root":   {[]*x509.Certificate{upper, lower}, "lower upper"},
		"with doubles":       {[]*x509.Certificate{lower, lower, leaf, leaf}, "lower"},
		"with a gap":         {[]*x509.Certificate{root, lower}, "lower"},
		"without the issuer": {[]*x509.Certificate{root, upper}, ""},
		"nobody":             {nil, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.names, namesOf(cert.Issuers(leaf, c.pool)))
		})
	}
}

func TestIssuersIgnoreWhatDidNotSign(t *testing.T) {
	t.Parallel()
	line := signed(t, "root", "issuing", "leaf")
	stranger := signed(t, "root", "issuing", "leaf")
	pool := slices.Concat(stranger, line)
	chain := cert.Issuers(line[2], pool)
	require.Equal(t, "issuing root", namesOf(chain))
	require.True(t, chain[0].Equal(line[1]) && chain[1].Equal(line[0]))
	require.Empty(t, cert.Issuers(line[2], stranger))
	require.Empty(t, cert.Issuers(line[0], pool), "a root has no issuer")
	require.True(t, cert.SelfSigned(line[0]))
	require.False(t, cert.SelfSigned(line[1]))
	require.False(t, cert.SelfSigned(signed(t, "x", "x")[1]), "its own issuer by name only")
}

func BenchmarkParseCertificates(b *testing.B) {
	text := cert.EncodeCertificates(signed(b, "root", "issuing", "leaf")...)
	for b.Loop() {
		if _, err := cert.ParseCertificates(text); err != nil {
			b.Fatal(fmt.Errorf("unexpected: %w", err))
		}
	}
}

// FuzzParseCertificates holds bundles to a round trip: what was read is written, and read again as the same.
func FuzzParseCertificates(f *testing.F) {
	line := signed(f, "root", "between", "leaf")
	whole := cert.EncodeCertificates(line...)
	f.Add(whole)
	f.Add("Certificate:\n    Data: as easy-rsa writes it\n" + strings.ReplaceAll(whole, "\n", "\r\n"))
	f.Add(whole[:len(whole)-40])
	f.Add("-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nZ2FyYmFnZQ==\n-----END PRIVATE KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, err := cert.ParseCertificates(text)
		if err != nil {
			require.Empty(t, found)
			require.Less(t, len(err.Error()), 300)
			return
		}
		require.NotEmpty(t, found)
		written := cert.EncodeCertificates(found...)
		again, err := cert.ParseCertificates(written)
		require.NoError(t, err)
		require.Equal(t, written, cert.EncodeCertificates(again...))
		for _, c := range cert.Issuers(found[0], found) {
			require.False(t, c.Equal(found[0]))
		}
		one, err := cert.ParseCertificate(text)
		require.Equal(t, len(found) == 1, err == nil)
		require.Equal(t, len(found) == 1, one != nil)
	})
}
