// SPDX-License-Identifier: AGPL-3.0-only

package vault_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/ca/vault"
	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

func parse(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	parsed, err := cert.Parse(text)
	require.NoError(t, err)
	return parsed
}

func serials(t *testing.T, list string) []string {
	t.Helper()
	parsed := cert.ParseCRL(list)
	require.NotNil(t, parsed)
	var found []string
	for _, entry := range parsed.RevokedCertificateEntries {
		found = append(found, cert.SerialText(entry.SerialNumber))
	}
	return found
}

// A mount without a CA has none. One that is made is what a mount has, and none is made in its place unless it may have
// several.
func TestARootIsMadeOnce(t *testing.T) {
	t.Parallel()
	everyVault(t, func(t *testing.T, start func(testing.TB) vaulttest.Vault) {
		b := newBench(t, start(t))
		carrier := b.open()
		consult := order.Consult{Vault: b.vault}
		require.Empty(t, b.done(carrier, consult).Authority)
		made := b.done(carrier, b.rootOrder())
		root := parse(t, made.Authority.Certificate)
		require.Equal(t, "CN=test CA G1", root.Subject.String())
		require.Empty(t, root.DNSNames)
		require.Equal(t, 2, root.MaxPathLen)
		require.WithinDuration(t, time.Now().Add(b.rootOrder().Life), root.NotAfter, time.Hour)
		seen := b.done(carrier, consult)
		require.Equal(t, made.Authority.Certificate, seen.Authority.Certificate)
		require.Equal(t, made.Consulted.Issuer, seen.Consulted.Issuer)
		require.NotEmpty(t, seen.Consulted.CRL)

		next := b.rootOrder()
		next.Generation, next.CommonName = 2, "test CA G2"
		answer := carrier.Carry(t.Context(), next)
		if made.Consulted.Issuer == "" {
			require.Equal(t, "vault-taken", answer.Failure.Code)
			require.Contains(t, answer.Failure.Message, "set vault-mount")
			require.Equal(t, made.Authority.Certificate, b.done(carrier, consult).Authority.Certificate)
			return
		}
		require.Nil(t, answer.Failure)
		for _, at := range []struct{ issuer, certificate string }{
			{made.Consulted.Issuer, made.Authority.Certificate}, {answer.Consulted.Issuer, answer.Authority.Certificate},
		} {
			place := b.vault
			place.Issuer = at.issuer
			require.Equal(t, at.certificate, b.done(carrier, order.Consult{Vault: place}).Authority.Certificate)
			authority := cert.Authority{Certificate: at.certificate}
			o := another(catest.ServerOrder(order.Signer{Authority: authority, Vault: &place}), at.issuer)
			catest.Judge(t, b.done(carrier, o).Issued)
		}
	})
}

// Another CA certifies a request of Vault's, and what it gives is set back: alone or with all that is above it.
func TestAnIntermediateIsSetBack(t *testing.T) {
	t.Parallel()
	everyVault(t, func(t *testing.T, start func(testing.TB) vaulttest.Vault) {
		b := newBench(t, start(t))
		carrier := b.open()
		above := b.done(carrier, order.CreateAuthority{
			Generation: 1, CommonName: "above", KeyType: cert.P384, NotBefore: time.Now().Add(-time.Hour), Life: 10 * 365 * 24 * time.Hour,
		})
		asked := b.done(carrier, order.RequestAuthority{
			Generation: 2, KeyType: cert.P256, Subject: cert.Subject{CommonName: "test CA", Organizations: []string{"Example, Inc."}}, Vault: &b.vault,
		})
		require.True(t, asked.Key.IsZero(), "it stays in Vault")
		certified := b.done(carrier, order.Sign{
			For: "test", Ask: "test", Signer: order.Signer{Authority: above.Authority, Key: above.Key}, NotBefore: time.Now().Add(-time.Minute),
			Spec: cert.Spec{Kind: cert.Intermediate, Request: asked.Request, PathLen: 1, Life: 4 * 365 * 24 * time.Hour},
		})
		install := order.InstallAuthority{Vault: b.vault, Generation: 2, Certificate: certified.Issued.Certificate, Issuers: certified.Issued.Issuers}
		set := b.done(carrier, install)
		require.Equal(t, certified.Issued.Certificate, set.Authority.Certificate)
		require.Equal(t, []string{above.Authority.Certificate}, set.Authority.Issuers)
		require.Equal(t, set.Authority, b.done(b.open(), install).Authority, "again")
		at := b.vault
		at.Issuer = set.Consulted.Issuer
		signer := order.Signer{Authority: set.Authority, Vault: &at}
		catest.Judge(t, b.done(carrier, catest.ServerOrder(signer)).Issued)

		// A CA below it, for an application that may have one, with names that it may issue for.
		request, _ := caRequest(t)
		below := another(catest.ServerOrder(signer), "below")
		below.KeyType = ""
		below.Spec = cert.Spec{
			Kind: cert.Intermediate, Request: request, Life: 365 * 24 * time.Hour,
			Constraints: &cert.Constraints{Domains: []string{"example.com"}, Networks: []string{"10.0.0.0/8"}},
		}
		answer := carrier.Carry(t.Context(), below)
		if set.Consulted.Issuer == "" { // which knows no constraints of addresses
			require.Equal(t, order.Failed, answer.State)
			require.Contains(t, answer.Failure.Message, "name constraints")
			below.Spec.Constraints = nil
			answer = carrier.Carry(t.Context(), below)
		}
		require.Nil(t, answer.Failure)
		made := parse(t, answer.Issued.Certificate)
		require.True(t, made.IsCA)
		require.True(t, made.MaxPathLenZero)
	})
}

func caRequest(t *testing.T) (request string, key cert.Key) {
	t.Helper()
	folder := newFolder(t)
	answer := ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()}).Carry(t.Context(), order.RequestAuthority{
		Generation: 1, KeyType: cert.P256, Subject: cert.Subject{CommonName: "a CA below"},
	})
	require.Nil(t, answer.Failure)
	return answer.Request, answer.Key
}

// What is revoked is on Vault's list; what Vault does not know, or has ended, is passed over. A list is made anew before it
// ends.
func TestRevocationIsVaults(t *testing.T) {
	t.Parallel()
	everyVault(t, func(t *testing.T, start func(testing.TB) vaulttest.Vault) {
		b := newBench(t, start(t))
		carrier := b.open()
		signer := b.signer(carrier)
		gone, kept := b.done(carrier, catest.ServerOrder(signer)), b.done(carrier, another(catest.ServerOrder(signer), "kept"))
		revoke := order.Revoke{Vault: *signer.Vault, Serials: []string{gone.Serial, "4242424242424242424242"}}
		for range 2 {
			require.Equal(t, []string{gone.Serial}, serials(t, b.done(carrier, revoke).Consulted.CRL))
		}
		require.Equal(t, []string{gone.Serial}, serials(t, b.done(carrier, order.Consult{Vault: *signer.Vault}).Consulted.CRL))
		require.NotEqual(t, gone.Serial, kept.Serial)
	})
	fake := vaulttest.NewFake(t, vaulttest.Old)
	b := newBench(t, fake)
	carrier := b.open()
	signer := b.signer(carrier)
	b.done(carrier, order.Consult{Vault: *signer.Vault})
	require.Zero(t, countOf(fake.Calls(), "GET pki/crl/rotate"))
	b.later(40 * time.Hour) // of 72
	fake.SetNow(b.clock)
	b.done(carrier, order.Consult{Vault: *signer.Vault})
	b.done(carrier, order.Consult{Vault: *signer.Vault})
	require.Equal(t, 1, countOf(fake.Calls(), "GET pki/crl/rotate"))
}

// A request that Vault would sign with more than it may have is not shown to it.
func TestWhatVaultWouldCopyIsNotShownToIt(t *testing.T) {
	t.Parallel()
	fake := vaulttest.NewFake(t, vaulttest.New)
	b := newBench(t, fake)
	carrier := b.open()
	o := catest.ServerOrder(b.signer(carrier))
	o.KeyType = ""
	o.Spec = cert.Spec{Kind: cert.Server, ServerAuth: true, Life: time.Hour}
	o.Spec.Request, _ = catest.Request(t, true)
	failure, _ := b.fails(carrier, o)
	require.True(t, failure.Final())
	require.Contains(t, failure.Message, "make a request without it")
	require.NotContains(t, strings.Join(fake.Calls(), "\n"), "sign-verbatim")
	b.fails(carrier, o)
	entries, err := b.folder.Journal().Order(string(o.ID()))
	require.NoError(t, err)
	require.Len(t, entries, 1, "it is not recorded again and again")
	require.Equal(t, ledger.Refused, entries[0].Event)
}

// What an operator is told to grant is enough for all that these tests do, and the steps that grant it can be done twice.
func TestSetupIsEnough(t *testing.T) {
	t.Parallel()
	everyVault(t, func(t *testing.T, start func(testing.TB) vaulttest.Vault) {
		server := start(t)
		at := order.Vault{Addresses: []string{server.Address()}, CA: server.CA(), Token: cert.NewKey(server.Root().Token())}
		b := &bench{t: t, folder: newFolder(t), vault: order.Vault{
			Place: order.Place{Mount: "pki"}, Addresses: at.Addresses, CA: at.CA, Roles: map[string]string{"": "signet"}, LoginMount: "approle",
		}}
		for range 2 {
			var done []string
			roleID, secretID, err := setup.Apply(t.Context(), vault.Config{}, at, func(step vault.Step) { done = append(done, step.Path) })
			require.NoError(t, err)
			require.Len(t, done, len(setup.Steps()))
			b.vault.RoleID, b.vault.SecretID = roleID, secretID
			carrier := b.open()
			if b.done(carrier, order.Consult{Vault: b.vault}).Authority.Certificate == "" {
				b.signer(carrier)
			}
		}
		narrow := setup
		narrow.MayCreate, narrow.Mount, narrow.Name = false, "narrow", "narrow"
		roleID, secretID, err := narrow.Apply(t.Context(), vault.Config{}, at, func(vault.Step) {})
		require.NoError(t, err)
		b.vault.Mount, b.vault.RoleID, b.vault.SecretID = "narrow", roleID, secretID
		failure, _ := b.fails(b.open(), b.rootOrder())
		require.Equal(t, "vault-denied", failure.Code)
		server.MakeRoot("narrow")
		require.NotEmpty(t, b.done(b.open(), order.Consult{Vault: b.vault}).Authority.Certificate)
	})
}

func TestThePolicyHasNoKeyAndNoOtherSecret(t *testing.T) {
	t.Parallel()
	text := setup.Policy()
	for _, never := range []string{"issue/", "exported", "sudo", "*\" {\n  capabilities = [\"update", "sys/", "auth/", "delete"} {
		require.NotContains(t, text, never)
	}
	narrow := setup
	narrow.MayCreate, narrow.MayCertifyCAs = false, false
	for _, path := range []string{"generate", "set-signed", "sign-intermediate"} {
		require.Contains(t, text, path)
		require.NotContains(t, narrow.Policy(), path)
	}
	require.True(t, slices.ContainsFunc(setup.Steps(), func(step vault.Step) bool { return strings.Contains(step.Command, text) }))
}
