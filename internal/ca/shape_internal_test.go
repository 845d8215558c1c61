// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3/lint"
)

// signing is a CA of the test, whose certificates are of any shape.
type signing struct {
	t      *testing.T
	key    *ecdsa.PrivateKey
	parent *x509.Certificate
}

func (s signing) make(template x509.Certificate, public crypto.PublicKey) (der, tbs []byte) {
	s.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &template, s.parent, public, s.key)
	require.NoError(s.t, err)
	var parts struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	_, err = asn1.Unmarshal(der, &parts)
	require.NoError(s.t, err)
	return der, parts.TBS.FullBytes
}

func newSigning(t *testing.T) signing {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return signing{t, key, &x509.Certificate{
		Subject: pkix.Name{CommonName: " the CA", Country: []string{"xx"}}, SubjectKeyId: []byte{1, 2, 3},
	}}
}

func rawExtension(t *testing.T, id asn1.ObjectIdentifier, critical bool, value any) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(value)
	require.NoError(t, err)
	return pkix.Extension{Id: id, Critical: critical, Value: der}
}

// fixed are all that a shape has, right and wrong.
func fixed(t *testing.T) map[string]func(*x509.Certificate) {
	t.Helper()
	extra := func(extensions ...pkix.Extension) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, extensions...) }
	}
	type policy struct {
		ID         asn1.ObjectIdentifier
		Qualifiers []struct {
			ID   asn1.ObjectIdentifier
			Text struct{ Text string }
		} `asn1:"optional"`
	}
	strange := policy{ID: asn1.ObjectIdentifier{1, 2, 3}}
	strange.Qualifiers = append(strange.Qualifiers, struct {
		ID   asn1.ObjectIdentifier
		Text struct{ Text string }
	}{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 2}, struct{ Text string }{"a\x07" + strings.Repeat("b", 300)}})
	return map[string]func(*x509.Certificate){
		"a server": func(c *x509.Certificate) {
			c.KeyUsage, c.ExtKeyUsage, c.BasicConstraintsValid = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, true
		},
		"points": func(c *x509.Certificate) {
			c.CRLDistributionPoints, c.IssuingCertificateURL = []string{"http://ca.example/crl"}, []string{"http://ca.example/ca"}
		},
		"a CA": func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.MaxPathLen, c.KeyUsage = true, true, 1, x509.KeyUsageCertSign
			c.PermittedDNSDomains, c.PermittedURIDomains = []string{"a.example"}, []string{"b.example"}
		},
		"usages that contradict": func(c *x509.Certificate) {
			c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageCertSign|x509.KeyUsageKeyEncipherment, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageAny}
		},
		"a bare one":         func(*x509.Certificate) {},
		"policies":           extra(rawExtension(t, asn1.ObjectIdentifier{2, 5, 29, 32}, false, []policy{strange, strange})),
		"names of an issuer": extra(rawExtension(t, asn1.ObjectIdentifier{2, 5, 29, 18}, true, []asn1.RawValue{{Class: 2, Tag: 2, Bytes: []byte("*.a\x00 ")}, {Class: 2, Tag: 6, Bytes: []byte("x")}})),
		"usages not critical": extra(rawExtension(t, asn1.ObjectIdentifier{2, 5, 29, 15}, false, asn1.BitString{Bytes: []byte{0x04}, BitLength: 8}),
			rawExtension(t, asn1.ObjectIdentifier{2, 5, 29, 37}, true, []asn1.ObjectIdentifier{{2, 5, 29, 37, 0}})),
		"what is empty": extra(rawExtension(t, asn1.ObjectIdentifier{2, 5, 29, 36}, false, []int{}), rawExtension(t, asn1.ObjectIdentifier{2, 5, 29, 30}, false, []int{}),
			rawExtension(t, asn1.ObjectIdentifier{2, 5, 29, 33}, false, []int{}), rawExtension(t, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 11}, true, []int{})),
	}
}

// free are all that a shape leaves out, right and wrong.
func free(t *testing.T) map[string]func(*x509.Certificate) {
	t.Helper()
	subject := func(name pkix.Name) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject = name }
	}
	names := func(values ...asn1.RawValue) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = append([]pkix.Extension{rawExtension(t, oidSubjectAltName, false, values)}, c.ExtraExtensions...)
		}
	}
	name := func(kind int, text string) asn1.RawValue {
		return asn1.RawValue{Class: 2, Tag: kind, Bytes: []byte(text)}
	}
	long := strings.Repeat("a", 200)
	good := names(name(2, "a.example"))
	alone := func(changes ...func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for _, change := range changes {
				change(c)
			}
		}
	}
	return map[string]func(*x509.Certificate){
		"a plain one":           alone(good, subject(pkix.Name{CommonName: "a.example", Organization: []string{"o"}})),
		"long attributes":       alone(good, subject(pkix.Name{CommonName: long, SerialNumber: long, Organization: []string{long}, OrganizationalUnit: []string{long}, Locality: []string{long}, Province: []string{long}, StreetAddress: []string{long}, PostalCode: []string{long}})),
		"spaces and entities":   alone(good, subject(pkix.Name{CommonName: " &lt; ", Country: []string{"xx"}, Organization: []string{"a\x01", "\ufffd"}})),
		"an empty one":          alone(good, subject(pkix.Name{})),
		"names of hosts":        names(name(2, "*"), name(2, ".a"), name(2, "a..b"), name(2, "a_b.a_b.example"), name(2, "xn--\x00"), name(2, long), name(2, "-a-.example"), name(2, "a.*.example"), name(2, "a b"), name(2, "a.example"), name(2, "a.example"), name(2, "\xff")),
		"names of others":       names(name(1, "nobody"), name(6, "relative/ä"), name(6, "http://"), name(6, "spiffe://cluster/ns"), name(7, string(net.IPv4(10, 0, 0, 1).To4()))),
		"no names":              names(),
		"a number that is long": alone(good, func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 158) }),
		"times":                 alone(good, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = c.NotBefore.AddDate(40, 0, 0), c.NotBefore }),
		"another identifier":    alone(good, func(c *x509.Certificate) { c.SubjectKeyId = []byte{9, 9, 9, 9, 9} }),
	}
}

// Whatever differs among certificates of one shape, the lints that are said to see only the shape say the same of all of them.
// Another version of zlint may have other lints, and these may look at more.
func TestLintsOfTheShapeSeeNothingElse(t *testing.T) {
	t.Parallel()
	ca := newSigning(t)
	registry, err := lints()
	require.NoError(t, err)
	all, listed := registry.CertificateLints().Lints(), 0
	for _, each := range all {
		if ofShape(each.Name) {
			listed++
		}
	}
	require.Equal(t, 74, listed, "lints have other names than ofShape knows")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	small, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), append(make([]byte, 31), 7)) // a key that everybody guesses
	require.NoError(t, err)
	wrong, differ := map[string]bool{}, map[string]bool{}
	for kind, public := range map[string]crypto.PublicKey{"ECDSA": ca.key.Public(), "RSA": rsaKey.Public(), "another ECDSA": small.Public()} {
		for of, fix := range fixed(t) {
			shapes := map[shape]bool{}
			said := map[string]lint.LintStatus{}
			for with, change := range free(t) {
				template := x509.Certificate{SerialNumber: big.NewInt(0x5a5a5a5a), NotBefore: noonThen(), NotAfter: noonThen().Add(time.Hour), SubjectKeyId: []byte{1}}
				fix(&template)
				change(&template)
				der, tbs := ca.make(template, public)
				found, usual := shapeOf(tbs)
				require.True(t, usual, "%s, %s", of, with)
				shapes[found] = true
				certificate, err := zx509.ParseCertificate(der)
				if err != nil {
					continue // nothing is signed that zlint cannot read
				}
				for _, each := range all {
					status := each.Execute(certificate, registry.GetConfiguration()).Status
					before, known := said[each.Name]
					said[each.Name] = status
					if status >= lint.Warn && ofShape(each.Name) {
						wrong[each.Name] = true
					}
					if known && before != status && status != lint.NE && before != lint.NE {
						differ[each.Name] = true
						require.False(t, ofShape(each.Name), "%s looks at more than the shape: %s, %s, %s", each.Name, kind, of, with)
					}
				}
			}
			require.Len(t, shapes, 1, "%s, %s", kind, of)
		}
	}
	require.Greater(t, len(wrong), 20, "too few of the lints of the shape found anything: %v", wrong)
	require.Greater(t, len(differ), 30, "too few of the other lints saw a difference: %v", differ)
}

func noonThen() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) }

// What is not left out makes another shape, and what is not the usual has none.
func TestAShapeHasAllElse(t *testing.T) {
	t.Parallel()
	ca := newSigning(t)
	shapes := map[shape]string{}
	for of, fix := range fixed(t) {
		template := x509.Certificate{SerialNumber: big.NewInt(0x5a5a5a5a), NotBefore: noonThen(), NotAfter: noonThen().Add(time.Hour), DNSNames: []string{"a.example"}, Subject: pkix.Name{CommonName: "a"}}
		fix(&template)
		_, tbs := ca.make(template, ca.key.Public())
		found, usual := shapeOf(tbs)
		require.True(t, usual, of)
		require.Empty(t, shapes[found], of)
		shapes[found] = of
	}
	own := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: noonThen(), Subject: ca.parent.Subject, DNSNames: []string{"a.example"}}
	_, tbs := ca.make(own, ca.key.Public())
	_, usual := shapeOf(tbs)
	require.False(t, usual, "its own issuer")
	for cut := range tbs {
		_, usual := shapeOf(tbs[:cut])
		require.False(t, usual)
	}
	own.Subject, own.DNSNames = pkix.Name{CommonName: "b"}, nil
	own.AuthorityKeyId = nil
	bare := signing{t, ca.key, &x509.Certificate{Subject: pkix.Name{CommonName: "the CA"}}}
	_, tbs = bare.make(own, ca.key.Public())
	_, usual = shapeOf(tbs)
	require.False(t, usual, "no extensions")
}

// The lints that are left out find a fault in the first certificate of a shape, and then in each one: only a shape with which
// nothing was wrong is remembered.
func TestAShapeIsRememberedWhenNothingIsWrong(t *testing.T) {
	t.Parallel()
	ca := newSigning(t)
	ca.parent.Subject = pkix.Name{CommonName: "the CA"}
	judge := newLinter(rand.Reader)
	template := x509.Certificate{
		SerialNumber: new(big.Int).Lsh(big.NewInt(1), 134), NotBefore: noonThen(), NotAfter: noonThen().Add(time.Hour), SubjectKeyId: []byte{1},
		Subject: pkix.Name{CommonName: "a.example"}, DNSNames: []string{"a.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	for range 3 {
		der, _ := ca.make(template, ca.key.Public())
		faults, err := judge.zlint(der, false, false)
		require.NoError(t, err)
		require.Contains(t, strings.Join(faults, " "), "e_ext_key_usage_cert_sign_without_ca")
		require.Empty(t, judge.rests)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	for range 3 {
		der, _ := ca.make(template, ca.key.Public())
		faults, err := judge.zlint(der, false, false)
		require.NoError(t, err)
		require.Empty(t, faults)
		require.Len(t, judge.rests, 1)
	}
	template.Subject.CommonName = strings.Repeat("a", 65)
	der, _ := ca.make(template, ca.key.Public())
	faults, err := judge.zlint(der, false, false)
	require.NoError(t, err)
	require.Contains(t, strings.Join(faults, " "), "e_subject_common_name_max_length", "what differs is judged each time")
}
