// SPDX-License-Identifier: AGPL-3.0-only

package cert_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func generate(t *testing.T, keyType cert.KeyType) crypto.Signer {
	t.Helper()
	key, err := keyType.Generate(rand.Reader)
	require.NoError(t, err)
	return key
}

// root is an authority's own template with ten years to live.
func root(t *testing.T, pathLen int) *x509.Certificate {
	t.Helper()
	template, err := cert.RootTemplate(cert.Spec{CommonName: "CA", PathLen: pathLen, Life: 3650 * 24 * time.Hour},
		generate(t, cert.P256).Public(), big.NewInt(1), noon)
	require.NoError(t, err)
	return template
}

func serverSpec() cert.Spec {
	return cert.Spec{
		Kind: cert.Server, CommonName: "a.example", Names: cert.Names{DNS: []string{"a.example"}}, ServerAuth: true, Life: 24 * time.Hour,
	}
}

func TestTemplateValidity(t *testing.T) {
	t.Parallel()
	issuer := root(t, 1)
	public := generate(t, cert.P256).Public()
	cases := map[string]struct {
		begin, wantBegin, wantEnd time.Time
		life                      time.Duration
		fails                     error
	}{
		"lasts exactly its life, both ends included": {begin: noon, life: time.Hour, wantBegin: noon, wantEnd: noon.Add(time.Hour - time.Second)},
		"one second begins and ends at once":         {begin: noon, life: time.Second, wantBegin: noon, wantEnd: noon},
		"parts of seconds are dropped":               {begin: noon.Add(999 * time.Millisecond), life: 1500 * time.Millisecond, wantBegin: noon, wantEnd: noon},
		"ends with its issuer":                       {begin: noon, life: 1 << 60, wantBegin: noon, wantEnd: issuer.NotAfter},
		"begins with its issuer":                     {begin: noon.Add(-cert.ClockSlack), life: time.Hour, wantBegin: noon, wantEnd: noon.Add(time.Hour - time.Second)},
		"a clock far behind is refused":              {begin: noon.Add(-cert.ClockSlack - time.Minute), life: time.Hour, fails: cert.ErrClock},
		"an expired issuer is refused":               {begin: issuer.NotAfter.Add(time.Second), life: time.Hour, fails: cert.ErrIssuerExpired},
		"its issuer's last second is one":            {begin: issuer.NotAfter, life: time.Hour, wantBegin: issuer.NotAfter, wantEnd: issuer.NotAfter},
	}
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			spec := serverSpec()
			spec.Life = c.life
			template, err := cert.Template(spec, issuer, public, big.NewInt(7), c.begin)
			if c.fails != nil {
				require.ErrorIs(t, err, c.fails)
				_, later := cert.Template(spec, issuer, public, big.NewInt(7), c.begin.Add(time.Second))
				if errors.Is(later, c.fails) {
					require.EqualError(t, later, err.Error(), "the same text at each turn")
				}
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.wantBegin, template.NotBefore)
			require.Equal(t, c.wantEnd, template.NotAfter)
		})
	}
}

func TestTemplateKeepsOrganizationsInOrder(t *testing.T) {
	t.Parallel()
	spec := serverSpec()
	spec.Organizations = []string{"z", "system:nodes", "a"}
	template, err := cert.Template(spec, root(t, 1), generate(t, cert.P256).Public(), big.NewInt(7), noon)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: template.RawSubject}, generate(t, cert.P256))
	require.NoError(t, err)
	parsed, err := x509.ParseCertificateRequest(der)
	require.NoError(t, err)
	require.Equal(t, spec.Organizations, parsed.Subject.Organization)
	require.Equal(t, "a.example", parsed.Subject.CommonName)
}

func TestTemplateRefusesARequestWithoutAnyName(t *testing.T) {
	t.Parallel()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, generate(t, cert.P256))
	require.NoError(t, err)
	request := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	spec := cert.Spec{Kind: cert.Server, Request: request, ServerAuth: true, Life: time.Hour}
	_, err = cert.Template(spec, root(t, 1), nil, big.NewInt(7), noon)
	require.ErrorContains(t, err, "neither a subject nor names")
}

func TestTemplateMarksNamesCriticalWithoutASubject(t *testing.T) {
	t.Parallel()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"a.example"}}, generate(t, cert.P256))
	require.NoError(t, err)
	request := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	spec := cert.Spec{Kind: cert.Server, Request: request, ServerAuth: true, Life: time.Hour}
	template, err := cert.Template(spec, root(t, 1), nil, big.NewInt(7), noon)
	require.NoError(t, err)
	require.True(t, template.ExtraExtensions[0].Critical)
	spec.Kind = cert.Intermediate
	_, err = cert.Template(spec, root(t, 1), nil, big.NewInt(7), noon)
	require.ErrorContains(t, err, "an authority needs a subject")
}

func TestRenewAt(t *testing.T) {
	t.Parallel()
	const life = 90 * 24 * time.Hour
	seen := map[time.Time]bool{}
	for serial := range 200 {
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(serial)), NotBefore: noon, NotAfter: noon.Add(life - time.Second)}
		at := cert.RenewAt(c)
		require.Equal(t, at, cert.RenewAt(c), "the same after a crash")
		require.False(t, at.After(noon.Add(life/3*2)))
		require.False(t, at.Before(noon.Add(life/3*2-life/20-time.Second)))
		seen[at] = true
	}
	require.Greater(t, len(seen), 190, "spread")
	require.Equal(t, noon, cert.RenewAt(&x509.Certificate{NotBefore: noon, NotAfter: noon.Add(-time.Hour)}))
	require.True(t, cert.RenewAt(&x509.Certificate{NotBefore: noon, NotAfter: noon.AddDate(7000, 0, 0)}).After(noon.AddDate(100, 0, 0)))
}

func TestKeysAreReadInEachForm(t *testing.T) {
	t.Parallel()
	ec, rsaKey := generate(t, cert.P384), generate(t, cert.RSA2048)
	encoded, err := cert.EncodeKey(ec)
	require.NoError(t, err)
	pkcs1, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	require.NoError(t, err)
	for sentence, text := range map[string]string{
		"PKCS#8":                 encoded.Reveal(),
		"after an EC PARAMETERS": "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n" + encoded.Reveal(),
		"RSA":                    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs1})),
	} {
		private, err := cert.ParseKey(cert.NewKey(text))
		require.NoError(t, err, sentence)
		public, err := cert.PublicKeyOf(text)
		require.NoError(t, err, sentence)
		require.True(t, cert.SameKey(private.Public(), public), sentence)
	}
	require.False(t, cert.SameKey(ec.Public(), rsaKey.Public()))
	require.False(t, cert.SameKey(nil, rsaKey.Public()))
	for _, text := range []string{"", "hunter2", "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n"} {
		_, err := cert.ParseKey(cert.NewKey(text))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), "aHVu")
	}
}

func TestKeyTypeOf(t *testing.T) {
	t.Parallel()
	for _, keyType := range []cert.KeyType{cert.P256, cert.P384, cert.RSA2048} {
		found, err := cert.KeyTypeOf(generate(t, keyType).Public())
		require.NoError(t, err)
		require.Equal(t, keyType, found)
	}
	_, err := cert.KeyTypeOf("no key")
	require.ErrorContains(t, err, "not one that signet makes")
	_, err = cert.KeyType("rsa-512").Generate(rand.Reader)
	require.ErrorContains(t, err, `"rsa-512" is not a key type`)
}
