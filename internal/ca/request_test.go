// SPDX-License-Identifier: AGPL-3.0-only

package ca_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// requestOrder is an order to sign a request of a new key.
func requestOrder(t *testing.T, signer order.Signer, kind cert.Kind, wanted x509.CertificateRequest) order.Sign {
	t.Helper()
	key, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &wanted, key)
	require.NoError(t, err)
	o := catest.ServerOrder(signer)
	o.KeyType = ""
	o.Spec = cert.Spec{
		Kind: kind, ServerAuth: kind == cert.Server, Life: time.Hour,
		Request: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})),
	}
	return o
}

func TestARequestMayNameASPIFFEID(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	id := &url.URL{Scheme: "spiffe", Host: "cluster", Path: "/ns/kube-system/sa/default"}
	o := requestOrder(t, memory.create(t, cert.P256), cert.Server, x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "node"}, URIs: []*url.URL{id},
	})
	leaf := parse(t, done(t, memory.open(), o).Issued.Certificate)
	require.Equal(t, []*url.URL{id}, leaf.URIs)
}

// The tls_certificates libraries write a charm's mail address into the subject alone.
func TestARequestMayNameAMailAddressInItsSubject(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	mail := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "ops@example.com"}
	o := requestOrder(t, memory.create(t, cert.P256), cert.Server, x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "node", ExtraNames: []pkix.AttributeTypeAndValue{mail}}, DNSNames: []string{"node"},
	})
	leaf := parse(t, done(t, memory.open(), o).Issued.Certificate)
	require.Contains(t, leaf.Subject.Names, mail)
	require.Empty(t, leaf.EmailAddresses)
}

func TestTheAuthoritysOwnNameIsRefusedInEachDisguise(t *testing.T) {
	t.Parallel()
	text := func(oid asn1.ObjectIdentifier, tag int, value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}}
	}
	organization, commonName := asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4, 3}
	for sentence, c := range map[string]struct {
		tag                      int
		organization, commonName string
		refused                  bool
	}{
		"as it is":              {asn1.TagPrintableString, "Example", "signet CA G1", true},
		"in another type":       {asn1.TagUTF8String, "Example", "signet CA G1", true},
		"in another case":       {asn1.TagPrintableString, "EXAMPLE", "Signet ca g1", true},
		"with more white space": {asn1.TagPrintableString, "Example ", "signet  CA G1", true},
		"of another authority":  {asn1.TagPrintableString, "Example", "signet CA G2", false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			memory := newMemory()
			o := requestOrder(t, memory.create(t, cert.P256), cert.Intermediate, x509.CertificateRequest{Subject: pkix.Name{
				ExtraNames: []pkix.AttributeTypeAndValue{
					text(organization, c.tag, c.organization), text(commonName, c.tag, c.commonName),
				},
			}})
			answer := memory.open().Carry(t.Context(), o)
			if !c.refused {
				require.Nil(t, answer.Failure)
				return
			}
			require.NotNil(t, answer.Failure)
			require.Equal(t, "lint", answer.Failure.Code)
			require.Contains(t, answer.Failure.Message, "the subject is the authority's own")
		})
	}
}

// The codes "bad-order" and "lint" are taken for good: what is wrong with the authority or the machine has others.
func TestARefusalThatMayPassHasACodeOfItsOwn(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	o := catest.ServerOrder(memory.create(t, cert.P256))
	damaged := o
	damaged.Signer.Certificate = "garbage"
	require.Equal(t, "bad-authority", failure(t, memory.open(), damaged).Code)
	leaf := o
	leaf.Signer.Certificate = done(t, memory.open(), o).Issued.Certificate
	require.Equal(t, "bad-authority", failure(t, memory.open(), leaf).Code)
	bad := o
	bad.Ask, bad.Spec.CommonName = "bad", "a\nb"
	require.Equal(t, "bad-order", failure(t, memory.open(), bad).Code)
}
