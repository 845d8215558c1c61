// SPDX-License-Identifier: AGPL-3.0-only

package keystore_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	jks "github.com/pavlo-v-chernykh/keystore-go/v4"
	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/keystore"
)

// content is a certificate with its key and its CA.
func content(t *testing.T) keystore.Content {
	t.Helper()
	certify := func(name string, isCA bool, parent *x509.Certificate, signer crypto.Signer) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
			IsCA: isCA, BasicConstraintsValid: true,
		}
		if parent == nil {
			parent, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		require.NoError(t, err)
		parsed, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		return parsed, key
	}
	ca, signer := certify("the CA", true, nil, nil)
	leaf, key := certify("leaf", false, ca, signer)
	text, err := cert.EncodeKey(key)
	require.NoError(t, err)
	return keystore.Content{Name: "leaf", Key: text, Chain: []*x509.Certificate{leaf}, Trust: []*x509.Certificate{ca}}
}

func forbidden(t *testing.T) {
	t.Helper()
	if fips140.Enforced() {
		t.Skip("these formats are not approved by FIPS 140: TestFIPSRefuses")
	}
}

func TestPKCS12HoldsKeyAndChain(t *testing.T) {
	t.Parallel()
	forbidden(t)
	given := content(t)
	data, err := keystore.PKCS12(given, cert.NewKey("a password"))
	require.NoError(t, err)
	key, leaf, others, err := pkcs12.DecodeChain(data, "a password")
	require.NoError(t, err)
	require.True(t, leaf.Equal(given.Chain[0]))
	require.Len(t, others, 1)
	require.True(t, others[0].Equal(given.Trust[0]))
	private, ok := key.(*ecdsa.PrivateKey)
	require.True(t, ok)
	require.True(t, cert.SameKey(private.Public(), leaf.PublicKey))
	_, _, _, err = pkcs12.DecodeChain(data, "another one")
	require.Error(t, err)

	if openssl, err := exec.LookPath("openssl"); err == nil {
		path := filepath.Join(t.TempDir(), "leaf.p12")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		said, err := exec.CommandContext(t.Context(), openssl, "pkcs12", "-in", path, "-passin", "pass:a password", "-nodes").CombinedOutput()
		require.NoError(t, err, "%s", said)
		require.Contains(t, string(said), "BEGIN PRIVATE KEY")
	}
}

func TestAPKCS12WithoutAKeyIsATrustStore(t *testing.T) {
	t.Parallel()
	forbidden(t)
	given := content(t)
	given.Key = cert.Key{}
	data, err := keystore.PKCS12(given, cert.NewKey("changeit"))
	require.NoError(t, err)
	found, err := pkcs12.DecodeTrustStore(data, "changeit")
	require.NoError(t, err)
	require.Len(t, found, 2)
}

func TestJKSHoldsKeyAndTrust(t *testing.T) {
	t.Parallel()
	forbidden(t)
	given := content(t)
	data, err := keystore.JKS(given, cert.NewKey("changeit"), time.Now())
	require.NoError(t, err)
	store := jks.New()
	require.NoError(t, store.Load(bytes.NewReader(data), []byte("changeit")))
	entry, err := store.GetPrivateKeyEntry("leaf", []byte("changeit"))
	require.NoError(t, err)
	key, err := x509.ParsePKCS8PrivateKey(entry.PrivateKey)
	require.NoError(t, err)
	private, ok := key.(*ecdsa.PrivateKey)
	require.True(t, ok)
	require.True(t, cert.SameKey(private.Public(), given.Chain[0].PublicKey))
	require.True(t, store.IsTrustedCertificateEntry("ca-1"))
	require.Error(t, jks.New().Load(bytes.NewReader(data), []byte("another one")))

	given.Key = cert.Key{}
	data, err = keystore.JKS(given, cert.NewKey("changeit"), time.Now())
	require.NoError(t, err)
	trust := jks.New()
	require.NoError(t, trust.Load(bytes.NewReader(data), []byte("changeit")))
	require.ElementsMatch(t, []string{"leaf", "ca-1"}, trust.Aliases())
}

func TestWhatCannotBePacked(t *testing.T) {
	t.Parallel()
	forbidden(t)
	other := content(t)
	for sentence, change := range map[string]struct {
		change   func(*keystore.Content)
		password string
		want     string
	}{
		"a key of another certificate": {func(c *keystore.Content) { c.Key = other.Key }, "changeit", "the private key is another certificate's"},
		"a key without a certificate":  {func(c *keystore.Content) { c.Chain = nil }, "changeit", "there is no certificate"},
		"a short password":             {func(*keystore.Content) {}, "short", "its password needs 6 characters"},
	} {
		given := content(t)
		change.change(&given)
		_, err := keystore.JKS(given, cert.NewKey(change.password), time.Now())
		require.ErrorContains(t, err, change.want, sentence)
		require.NotContains(t, err.Error(), "PRIVATE", sentence)
		if change.password != "short" {
			_, err = keystore.PKCS12(given, cert.NewKey(change.password))
			require.ErrorContains(t, err, change.want, sentence)
		}
	}
}

func TestFIPSRefuses(t *testing.T) {
	t.Parallel()
	if !fips140.Enforced() {
		t.Skip("for GODEBUG=fips140=only")
	}
	_, err := keystore.PKCS12(keystore.Content{}, cert.NewKey("changeit"))
	require.ErrorContains(t, err, "export PEM instead")
	_, err = keystore.JKS(keystore.Content{}, cert.NewKey("changeit"), time.Now())
	require.ErrorContains(t, err, "export PEM instead")
}
