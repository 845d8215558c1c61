// SPDX-License-Identifier: AGPL-3.0-only

package cert_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signet-charm/signet/internal/cert"
)

// root makes a CA as a change of the template wants it, valid for a year from now.
func caOf(t require.TestingT, change func(*x509.Certificate)) (*x509.Certificate, cert.Key) {
	private, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: -1, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	key, err := cert.EncodeKey(private)
	require.NoError(t, err)
	return made, key
}

func TestCheckAuthority(t *testing.T) {
	t.Parallel()
	limited := func(n int) *x509.Certificate {
		ca, _ := caOf(t, func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = n, n == 0 })
		return ca
	}
	for sentence, c := range map[string]struct {
		change func(*x509.Certificate)
		above  []*x509.Certificate
		want   string
	}{
		"a root":                     {},
		"below one that allows it":   {above: []*x509.Certificate{limited(1)}},
		"below one that allows none": {above: []*x509.Certificate{limited(0)}, want: "allows 0 CAs below it, and 1 are there"},
		"too deep":                   {above: []*x509.Certificate{limited(5), limited(1)}, want: "allows 1 CAs below it, and 2 are there"},
		"no CA": {
			change: func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }, want: "it is not a CA certificate",
		},
		"expired":                {change: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, want: "it expired at"},
		"not begun":              {change: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(48 * time.Hour) }, want: "it begins at"},
		"may not sign":           {change: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }, want: "keyCertSign is missing"},
		"may not sign lists":     {change: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }, want: "cRLSign is missing"},
		"says nothing of usages": {change: func(c *x509.Certificate) { c.KeyUsage = 0 }},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			ca, _ := caOf(t, c.change)
			err := cert.CheckAuthority(ca, c.above, ca.PublicKey, time.Now())
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
	ca, _ := caOf(t, nil)
	other, _ := caOf(t, nil)
	require.ErrorContains(t, cert.CheckAuthority(ca, nil, other.PublicKey, time.Now()), "another key")
}

// What Permits allows is what Go's verifier allows.
func TestPermitsAgreesWithTheVerifier(t *testing.T) {
	t.Parallel()
	domains := rapid.SliceOfN(rapid.SampledFrom([]string{"example.com", ".example.com", "b.example.com", "org", "example.org"}), 0, 2)
	ranges := rapid.SliceOfN(rapid.SampledFrom([]string{"10.0.0.0/8", "10.1.0.0/16", "fd00::/8", "192.168.1.0/24"}), 0, 2)
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
		"example.com", "a.example.com", "a.b.example.com", "badexample.com", "example.org", "*.example.com", "host",
	}), 0, 3, rapid.ID[string])
	ips := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"10.0.0.1", "10.1.2.3", "192.168.1.7", "fd00::1", "8.8.8.8"}), 0, 2, rapid.ID[string])
	rapid.Check(t, func(t *rapid.T) {
		var permitted, excluded []*net.IPNet
		for _, text := range ranges.Draw(t, "permitted ranges") {
			_, subnet, _ := net.ParseCIDR(text)
			permitted = append(permitted, subnet)
		}
		for _, text := range ranges.Draw(t, "excluded ranges") {
			_, subnet, _ := net.ParseCIDR(text)
			excluded = append(excluded, subnet)
		}
		ca, key := caOf(t, func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.ExcludedDNSDomains = domains.Draw(t, "permitted"), domains.Draw(t, "excluded")
			c.PermittedIPRanges, c.ExcludedIPRanges, c.PermittedDNSDomainsCritical = permitted, excluded, true
		})
		asked := cert.Names{DNS: names.Draw(t, "names"), IPs: ips.Draw(t, "addresses")}
		private, err := cert.ParseKey(key)
		require.NoError(t, err)
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, DNSNames: asked.DNS,
		}
		for _, text := range asked.IPs {
			leaf.IPAddresses = append(leaf.IPAddresses, netip.MustParseAddr(text).AsSlice())
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, private.Public(), private)
		require.NoError(t, err)
		signed, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		pool := x509.NewCertPool()
		pool.AddCert(ca)
		_, verified := signed.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		allowed := cert.Permits([]*x509.Certificate{ca}, asked)
		require.Equal(t, verified == nil, allowed == nil, "the verifier says %v, Permits %v", verified, allowed)
	})
}

func TestReasons(t *testing.T) {
	t.Parallel()
	for _, reason := range []cert.Reason{cert.KeyCompromise, cert.Superseded, cert.AACompromise, cert.Unspecified} {
		parsed, err := cert.ParseReason(string(reason))
		require.NoError(t, err)
		require.Equal(t, reason, parsed)
		require.Equal(t, reason, cert.ReasonOf(reason.Code()))
	}
	parsed, err := cert.ParseReason("KEYCOMPROMISE")
	require.NoError(t, err)
	require.Equal(t, cert.KeyCompromise, parsed)
	require.Equal(t, cert.Unspecified, cert.ReasonOf(6), "certificateHold")
	_, err = cert.ParseReason("certificateHold")
	require.ErrorContains(t, err, "is no reason to revoke")
}
