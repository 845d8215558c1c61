// SPDX-License-Identifier: AGPL-3.0-only

package vault_test

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/ca/vault"
	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// setup is what an operator grants in these tests.
var setup = vault.Setup{
	Name: "signet", Mount: "pki", Role: "signet", LoginMount: "approle",
	Life: 400 * 24 * time.Hour, CALife: 10 * 365 * 24 * time.Hour, MayCreate: true, MayCertifyCAs: true,
}

// bench is a carrier with a disk, and a Vault to carry for.
type bench struct {
	t      testing.TB
	folder *disk.Folder
	vault  order.Vault

	mu  sync.Mutex
	now time.Time // zero for the real one
}

// newBench has an operator prepare a Vault, but for the CA.
func newBench(t testing.TB, server vaulttest.Vault) *bench {
	t.Helper()
	server.Mount("pki")
	_, err := server.Root().Logical().WriteWithContext(t.Context(), "pki/roles/signet", map[string]any{"max_ttl": "9600h", "allow_any_name": true})
	require.NoError(t, err)
	credentials := server.AppRole("signet", setup.Policy())
	return &bench{t: t, folder: newFolder(t), vault: order.Vault{
		Place: order.Place{Mount: "pki"}, Addresses: []string{server.Address()}, CA: server.CA(),
		Roles: map[string]string{"": "signet"}, LoginMount: "approle",
		RoleID: cert.NewKey(credentials.RoleID), SecretID: cert.NewKey(credentials.SecretID),
	}}
}

func newFolder(t testing.TB) *disk.Folder {
	t.Helper()
	folder, err := disk.Open(t.TempDir())
	require.NoError(t, err)
	return folder
}

// open opens the carrier. A server that failed is left alone for as long as it can be.
func (b *bench) open() *vault.Carrier {
	return vault.New(vault.Config{
		Embedded: ca.New(ca.Config{Store: b.folder.Secrets(), Journal: b.folder.Journal(), Now: b.clock}), Now: b.clock,
		Timeout: 5 * time.Second, Jitter: func(most time.Duration) time.Duration { return most },
	})
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now.IsZero() {
		return time.Now()
	}
	return b.now
}

func (b *bench) later(by time.Duration) {
	now := b.clock().Add(by)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = now
}

// signer has Vault make a root.
func (b *bench) signer(carrier *vault.Carrier) order.Signer {
	b.t.Helper()
	answer := b.done(carrier, b.rootOrder())
	at := b.vault
	at.Issuer = answer.Consulted.Issuer
	return order.Signer{Authority: answer.Authority, Vault: &at}
}

func (b *bench) rootOrder() order.CreateAuthority {
	return order.CreateAuthority{
		Generation: 1, CommonName: "test CA G1", KeyType: cert.P256, NotBefore: time.Now(), Life: 5 * 365 * 24 * time.Hour, Vault: &b.vault,
	}
}

func (b *bench) done(carrier catest.Carrier, o order.Order) order.Answer {
	b.t.Helper()
	answer := carrier.Carry(b.t.Context(), o)
	require.Nil(b.t, answer.Failure)
	require.Equal(b.t, order.Done, answer.State)
	return answer
}

// fails gives the failure of an order, and when it is worth while to try again.
func (b *bench) fails(carrier catest.Carrier, o order.Order) (*order.Failure, time.Time) {
	b.t.Helper()
	answer := carrier.Carry(b.t.Context(), o)
	require.Equal(b.t, order.Failed, answer.State)
	require.NotNil(b.t, answer.Failure)
	for _, secret := range []cert.Key{b.vault.RoleID, b.vault.SecretID, b.vault.Token} {
		if !secret.IsZero() {
			require.NotContains(b.t, answer.Failure.Message, secret.Reveal())
		}
	}
	return answer.Failure, answer.Again
}

// issues counts the certificates on record for an order.
func (b *bench) issues(id order.ID) int {
	entries, err := b.folder.Journal().Order(string(id))
	require.NoError(b.t, err)
	count := 0
	for _, entry := range entries {
		if entry.Event == ledger.Issued {
			count++
		}
	}
	return count
}

// everyVault runs a test on the fake in both its ages, and on a real one where there is one.
func everyVault(t *testing.T, test func(*testing.T, func(testing.TB) vaulttest.Vault)) {
	t.Helper()
	for _, age := range []vaulttest.Age{vaulttest.Old, vaulttest.New} {
		t.Run("like an "+age.String()+" one", func(t *testing.T) {
			t.Parallel()
			test(t, func(t testing.TB) vaulttest.Vault { return vaulttest.NewFake(t, age) })
		})
	}
	if os.Getenv("SIGNET_VAULT") == "" {
		return
	}
	t.Run("a real one", func(t *testing.T) {
		t.Parallel()
		test(t, func(t testing.TB) vaulttest.Vault { return vaulttest.Start(t) })
	})
}

func TestVaultKeepsTheContract(t *testing.T) {
	t.Parallel()
	everyVault(t, func(t *testing.T, start func(testing.TB) vaulttest.Vault) {
		catest.Run(t, func(t *testing.T) catest.Bench {
			b := newBench(t, start(t))
			carrier := b.open()
			return catest.Bench{
				Carrier: carrier, Signer: b.signer(carrier), Elsewhere: true, Reopen: func() catest.Carrier { return b.open() },
			}
		})
	})
}
