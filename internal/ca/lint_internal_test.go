// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"go/parser"
	"go/token"
	"math/big"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

// This test program holds all of zlint, so that what lints gives here is what it would give if the program held all of
// it. The program has the same if it imports each package that one of them is from: a package registers all that it has.
func TestEachLintIsOfAPackageThatIsImported(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "lint.go", nil, parser.ImportsOnly)
	require.NoError(t, err)
	var imported []string
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		imported = append(imported, path)
	}
	registry, err := lints()
	require.NoError(t, err)
	require.Greater(t, len(registry.CertificateLints().Lints()), 100, "zlint's lints are missing")
	require.Greater(t, len(lint.GlobalRegistry().Names()), 2*len(registry.Names()), "this is not all of zlint")
	for _, each := range registry.CertificateLints().Lints() {
		require.Contains(t, imported, reflect.TypeOf(each.Lint()).Elem().PkgPath(), "the program would lack %s", each.Name)
	}
}

func TestZlintsOwnVerdictIsGiven(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	trustDomain, err := url.Parse("spiffe://cluster/ns/a")
	require.NoError(t, err)
	for sentence, template := range map[string]x509.Certificate{
		"a common name is not among the names": {DNSNames: []string{"a.example"}, Subject: pkix.Name{CommonName: "b.example"}},
		"a label of a host is empty":           {DNSNames: []string{"a..example"}},
		"a name is too long":                   {Subject: pkix.Name{CommonName: strings.Repeat("a", 65)}},
		"a URI has no host in the DNS":         {URIs: []*url.URL{trustDomain}},
		"it ends before it begins":             {NotAfter: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			template.SerialNumber = big.NewInt(0).SetBytes(bytes.Repeat([]byte{0x5a}, 17))
			template.NotBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			if template.NotAfter.IsZero() {
				template.NotAfter = template.NotBefore.Add(time.Hour)
			}
			der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
			require.NoError(t, err)
			certificate, err := zx509.ParseCertificate(der)
			require.NoError(t, err)
			registry, err := lints()
			require.NoError(t, err)
			var want []string
			for name, result := range zlint.LintCertificateEx(certificate, registry).Results {
				if result.Status >= lint.Warn {
					want = append(want, strings.TrimSpace(name+" "+result.Details))
				}
			}
			slices.Sort(want)
			require.NotEmpty(t, want)

			faults, err := newLinter(rand.Reader).zlint(der, false, false)
			require.NoError(t, err)
			require.Equal(t, want, faults)
		})
	}
}

// A key signs nothing that was not judged, and nothing that was judged wrong.
func TestAGateSignsOnlyWhatWasJudged(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a"}, NotAfter: time.Now()}
	verdict, judged := errors.New("wrong"), []byte(nil)
	guarded := gate{key, func(tbs []byte) error {
		judged = tbs
		return verdict
	}}
	_, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), guarded)
	require.ErrorIs(t, err, verdict)
	verdict = nil
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), guarded)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	require.Equal(t, certificate.RawTBSCertificate, judged)
	_, err = guarded.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
	require.Error(t, err, "what a hash is of cannot be judged")

	assembled, err := assemble(judged, certificate.Signature)
	require.NoError(t, err)
	require.Equal(t, der, assembled)
	for cut := range judged {
		_, err := assemble(judged[:cut], certificate.Signature)
		require.Error(t, err)
	}
}
