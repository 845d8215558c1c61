// SPDX-License-Identifier: AGPL-3.0-only

package cert_test

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

func TestARequestSaysWhatItWants(t *testing.T) {
	t.Parallel()
	usages, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}, {1, 3, 6, 1, 5, 5, 7, 3, 3}})
	require.NoError(t, err)
	constraints, err := asn1.Marshal(struct{ IsCA bool }{true})
	require.NoError(t, err)
	uri, err := url.Parse("spiffe://model/web")
	require.NoError(t, err)
	text := requestText(t, curveKey(t, elliptic.P256()), x509.CertificateRequest{
		Subject: pkix.Name{Organization: []string{"ops", "devs"}, ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "one"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "two"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: "AT"},
		}},
		EmailAddresses: []string{"a@example.com"}, URIs: []*url.URL{uri}, DNSNames: []string{"a.example.com"},
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: usages},
			{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: constraints},
			{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: []byte{0x30, 0}},
			{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}},
		},
	})
	request, err := cert.ParseRequest(text)
	require.NoError(t, err)
	require.Equal(t, cert.Requested{
		CommonNames: []string{"one", "two"}, Organizations: []string{"ops", "devs"}, Attributes: 1,
		AltNames: true, Mails: []string{"a@example.com"}, URIs: []string{"spiffe://model/web"},
		ServerAuth: true, OtherUsages: []string{"1.3.6.1.5.5.7.3.3"}, Critical: []string{"2.5.29.30"}, IsCA: true,
	}, cert.ReadRequested(request))
}

// What programs on two sides read differently must be seen: a mapped address is an IPv4 one to Go, another to others.
func TestARequestsOddNamesAreSeen(t *testing.T) {
	t.Parallel()
	raw := func(class, tag int, compound bool, content []byte) asn1.RawValue {
		return asn1.RawValue{Class: class, Tag: tag, IsCompound: compound, Bytes: content}
	}
	upn, err := asn1.Marshal(struct {
		ID    asn1.ObjectIdentifier
		Value string `asn1:"tag:0,explicit,utf8"`
	}{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, "admin@example.com"})
	require.NoError(t, err)
	directory, err := asn1.Marshal(pkix.Name{CommonName: "system:masters"}.ToRDNSequence())
	require.NoError(t, err)
	var content asn1.RawValue
	_, err = asn1.Unmarshal(upn, &content)
	require.NoError(t, err)
	names, err := asn1.Marshal([]asn1.RawValue{
		raw(asn1.ClassContextSpecific, 0, true, content.Bytes),
		raw(asn1.ClassContextSpecific, 4, true, directory),
		raw(asn1.ClassContextSpecific, 7, false, net.ParseIP("10.0.0.1").To16()),
	})
	require.NoError(t, err)
	text := requestText(t, curveKey(t, elliptic.P256()), x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}}})
	request, err := cert.ParseRequest(text)
	require.NoError(t, err)
	require.Equal(t, cert.Requested{AltNames: true, OtherNames: []string{"other name", "directory name"}, Mapped: []string{"::ffff:10.0.0.1"}}, cert.ReadRequested(request))
}

// Beside the organizations that go, the subject stays byte for byte: string types, order and unknown attributes.
func TestOrganizationsAreLeftOutOfASubject(t *testing.T) {
	t.Parallel()
	type attribute = pkix.AttributeTypeAndValue
	organization := func(name string) attribute { return attribute{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: name} }
	commonName := attribute{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "app"}
	unique := attribute{Type: asn1.ObjectIdentifier{2, 5, 4, 45}, Value: "9f2c"}
	subject := func(sets ...pkix.RelativeDistinguishedNameSET) []byte {
		der, err := asn1.Marshal(pkix.RDNSequence(sets))
		require.NoError(t, err)
		return der
	}
	set := func(attributes ...attribute) pkix.RelativeDistinguishedNameSET { return attributes }
	issuer := newAuthority(t)
	for sentence, c := range map[string]struct{ asked, given []byte }{
		"one of its own set":         {subject(set(commonName), set(organization("devs")), set(unique)), subject(set(commonName), set(unique))},
		"one among others of a set":  {subject(set(commonName, organization("devs")), set(unique)), subject(set(commonName), set(unique))},
		"two, one of which may stay": {subject(set(organization("devs")), set(organization("ops")), set(commonName)), subject(set(organization("ops")), set(commonName))},
		"all that there is":          {subject(set(organization("devs"))), subject()},
		"none":                       {subject(set(commonName), set(unique)), subject(set(commonName), set(unique))},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			text := requestText(t, curveKey(t, elliptic.P256()), x509.CertificateRequest{RawSubject: c.asked, DNSNames: []string{"a.example.com"}})
			spec := cert.Spec{Kind: cert.Client, Request: text, ClientAuth: true, Life: time.Hour, Without: []string{"devs"}}
			template, err := cert.Template(spec, issuer, nil, big.NewInt(1), issuer.NotBefore)
			require.NoError(t, err)
			require.Equal(t, c.given, template.RawSubject)
			require.NotContains(t, template.Subject.Organization, "devs")
			for _, extension := range template.ExtraExtensions {
				require.Equal(t, len(c.given) == 2, extension.Critical, "RFC 5280, 4.2.1.6")
			}
		})
	}
}

func newAuthority(t *testing.T) *x509.Certificate {
	t.Helper()
	key := curveKey(t, elliptic.P256())
	template, err := cert.RootTemplate(cert.Spec{CommonName: "CA", PathLen: 2, Life: 24 * time.Hour}, key.Public(), big.NewInt(1), time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return parsed
}
