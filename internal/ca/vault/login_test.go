// SPDX-License-Identifier: AGPL-3.0-only

package vault_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

const loginCall = "PUT auth/approle/login"

func countOf(calls []string, wanted string) int {
	return len(calls) - len(slices.DeleteFunc(slices.Clone(calls), func(call string) bool { return call == wanted }))
}

// another is the same order of somebody else.
func another(o order.Sign, who string) order.Sign {
	o.Ask = who
	return o
}

// One login serves until it ends, or is taken away; then there is another one, and nobody notices.
func TestALoginThatEndedIsDoneAgain(t *testing.T) {
	t.Parallel()
	fake := vaulttest.NewFake(t, vaulttest.Old)
	fake.TokenTTL(time.Hour)
	b := newBench(t, fake)
	fake.SetNow(b.clock)
	carrier := b.open()
	o := catest.ServerOrder(b.signer(carrier))
	b.done(carrier, o)
	require.Equal(t, 1, countOf(fake.Calls(), loginCall))

	b.later(2 * time.Hour)
	b.done(carrier, another(o, "after the token's end"))
	require.Equal(t, 2, countOf(fake.Calls(), loginCall))

	fake.RevokeTokens()
	b.done(carrier, another(o, "after it was revoked"))
	require.Equal(t, 3, countOf(fake.Calls(), loginCall))

	fake.Fail(func(_, path string) vaulttest.Fault {
		if signing(path) {
			return vaulttest.Fault{Status: 403, Body: `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`}
		}
		return vaulttest.Fault{}
	})
	b.fails(carrier, another(o, "denied"))
	require.Equal(t, 4, countOf(fake.Calls(), loginCall), "one login more, to see whether that helps, and no other")
}

// A secret-id that is good for nothing any more is said, once in a while; a new one is used at once.
func TestARotatedSecretID(t *testing.T) {
	t.Parallel()
	everyVault(t, func(t *testing.T, start func(testing.TB) vaulttest.Vault) {
		server := start(t)
		b := newBench(t, server)
		carrier := b.open()
		signer := b.signer(carrier)
		o := catest.ServerOrder(signer)
		bad := *signer.Vault
		bad.SecretID = cert.NewKey("11111111-2222-3333-4444-555555555555")
		o.Signer.Vault = &bad
		failure, again := b.fails(carrier, o)
		require.Equal(t, "vault-login", failure.Code)
		require.Contains(t, failure.Message, "juju update-secret")
		require.False(t, failure.Passes())
		require.True(t, again.After(b.clock()))

		good := *signer.Vault
		good.SecretID = cert.NewKey(server.NewSecretID("signet"))
		o.Signer.Vault = &good
		b.done(carrier, o)
	})
}

// A token that cannot log in again is kept alive, and its end is said.
func TestATokenIsKeptAlive(t *testing.T) {
	t.Parallel()
	fake := vaulttest.NewFake(t, vaulttest.New)
	fake.TokenTTL(time.Hour)
	b := newBench(t, fake)
	fake.SetNow(b.clock)
	b.later(0)
	token := fake.Login(vaulttest.Credentials{RoleID: b.vault.RoleID.Reveal(), SecretID: b.vault.SecretID.Reveal()})
	b.vault.RoleID, b.vault.SecretID, b.vault.Token = cert.Key{}, cert.Key{}, cert.NewKey(token)
	carrier := b.open()
	o := catest.ServerOrder(b.signer(carrier))
	consult := order.Consult{Vault: b.vault}
	began := b.clock()
	require.Equal(t, began.Add(30*time.Minute), b.done(carrier, consult).Consulted.Until)
	for range 5 {
		b.later(40 * time.Minute)
		require.Equal(t, b.clock().Add(30*time.Minute), b.done(carrier, consult).Consulted.Until)
	}
	require.Equal(t, 5, countOf(fake.Calls(), "PUT auth/token/renew-self"))
	b.done(carrier, o)
	b.done(b.open(), another(o, "after a restart"))

	b.later(2 * time.Hour)
	failure, _ := b.fails(carrier, another(o, "after its end"))
	require.Equal(t, "vault-login", failure.Code)
	require.Contains(t, failure.Message, "wrap a new one")
}

// What is wrapped is told once. Whoever comes second is told that somebody was first, and one that was swapped is not used.
func TestWrappingTokens(t *testing.T) {
	t.Parallel()
	everyVault(t, func(t *testing.T, start func(testing.TB) vaulttest.Vault) {
		server := start(t)
		b := newBench(t, server)
		carrier := b.open()
		unwrap := order.Unwrap{Vault: b.vault, SecretID: true, Wrapped: cert.NewKey(server.Wrap("auth/approle/role/signet/secret-id", nil))}
		b.vault.SecretID = b.done(carrier, unwrap).Key
		b.signer(carrier)
		failure, _ := b.fails(carrier, unwrap)
		require.Equal(t, "vault-unwrap", failure.Code)
		require.Contains(t, failure.Message, "somebody else did")
		require.NotContains(t, failure.Message, unwrap.Wrapped.Reveal())

		token := order.Unwrap{Vault: b.vault, Wrapped: cert.NewKey(server.Wrap("auth/token/create", map[string]any{"policies": []string{"signet"}}))}
		byToken := b.vault
		byToken.RoleID, byToken.SecretID, byToken.Token = cert.Key{}, cert.Key{}, b.done(carrier, token).Key
		b.done(carrier, order.Consult{Vault: byToken})

		swapped := unwrap
		swapped.Wrapped = cert.NewKey(server.Wrap("sys/wrapping/wrap", map[string]any{"secret_id": "of somebody else's role"}))
		failure, _ = b.fails(carrier, swapped)
		require.Contains(t, failure.Message, "find out who did that")
	})
}
