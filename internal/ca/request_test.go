// SPDX-License-Identifier: AGPL-3.0-only

package ca_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
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
