// SPDX-License-Identifier: AGPL-3.0-only

package ca_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// A rehearsal is shown what would be issued, and nobody can use it: the CA's key signs nothing, though the order brings it.
func TestARehearsalSignsNothingWithTheCAsKey(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	standIn := ca.NewStandIn()
	made := standIn.Carry(now, order.CreateAuthority{Generation: 1, CommonName: "CA", KeyType: cert.P256, NotBefore: now, Life: 1000 * time.Hour})
	require.Equal(t, order.Done, made.State, made.Failure)
	authority, err := cert.Parse(made.Authority.Certificate)
	require.NoError(t, err)
	require.True(t, cert.SelfSigned(authority), "what reads it checks that")
	require.True(t, cert.KeyMatches(made.Key, authority))
	signer := order.Signer{Authority: made.Authority, Key: made.Key}
	wanted := order.Sign{
		Ask: "a", Spec: cert.Spec{Kind: cert.Server, CommonName: "app", Names: cert.Names{DNS: []string{"app"}}, ServerAuth: true, Life: 100 * time.Hour},
		KeyType: cert.P256, Signer: signer, NotBefore: now,
	}
	first, second := standIn.Carry(now, wanted), standIn.Carry(now, wanted)
	require.Equal(t, order.Done, first.State, first.Failure)
	leaf, err := cert.Parse(first.Issued.Certificate)
	require.NoError(t, err)
	require.True(t, cert.IssuedBy(leaf, authority), "it says who issued it")
	require.Error(t, leaf.CheckSignatureFrom(authority), "and does not verify")
	require.True(t, cert.KeyMatches(first.Issued.Key, leaf))
	require.Equal(t, now.Add(100*time.Hour-time.Second), leaf.NotAfter)
	require.NotEqual(t, first.Serial, second.Serial)

	kept := wanted
	kept.Key = first.Issued.Key
	require.Equal(t, first.Issued.Key.Reveal(), standIn.Carry(now, kept).Issued.Key.Reveal(), "a renewal keeps the key")

	list := standIn.Carry(now, order.SignCRL{Signer: signer, Number: 4, Update: now, Life: time.Hour, Revoked: []cert.Revocation{{Serial: "af", Time: now, Reason: cert.Superseded}}})
	read := cert.ParseCRL(list.CRL)
	require.NotNil(t, read)
	require.Len(t, read.RevokedCertificateEntries, 1)
	require.Error(t, read.CheckSignatureFrom(authority))

	other := standIn.Carry(now, order.CreateAuthority{Generation: 2, CommonName: "CA 2", KeyType: cert.P384, NotBefore: now, Life: 900 * time.Hour})
	cross := standIn.Carry(now, order.CrossSign{Signer: signer, Generation: 2, Certificate: other.Authority.Certificate, NotBefore: now})
	require.Equal(t, order.Done, cross.State, cross.Failure)

	for _, elsewhere := range []order.Order{order.Revoke{}, order.ReadAuthority{}, order.CreateAuthority{Vault: &order.Vault{}}, order.Sign{}} {
		require.Equal(t, order.Failed, standIn.Carry(now, elsewhere).State, "%T", elsewhere)
	}
}

func TestLintsJudgeWhatOthersMade(t *testing.T) {
	t.Parallel()
	now := time.Now()
	request := func(key crypto.Signer, template *x509.CertificateRequest) string {
		der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
		require.NoError(t, err)
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	}
	key, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	found, err := ca.JudgeRequest(request(key, &x509.CertificateRequest{DNSNames: []string{"app.example.com"}}), false, now)
	require.NoError(t, err)
	require.Empty(t, found)
	found, err = ca.JudgeRequest(request(key, &x509.CertificateRequest{DNSNames: []string{"app..example.com"}}), false, now)
	require.NoError(t, err)
	require.NotEmpty(t, found)
	found, err = ca.JudgeRequest("nonsense", false, now)
	require.NoError(t, err)
	require.Contains(t, found[0], "no PEM block")
}
