// SPDX-License-Identifier: AGPL-3.0-only

package vault_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/ca/vault"
	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
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
}

func newBench(t testing.TB, server *vaulttest.Server) *bench {
	t.Helper()
	folder, err := disk.Open(t.TempDir())
	require.NoError(t, err)
	server.Mount("pki")
	credentials := server.AppRole("signet", setup.Policy())
	return &bench{t: t, folder: folder, vault: order.Vault{
		Place: order.Place{Mount: "pki"}, Addresses: []string{server.Address()}, CA: server.CA(),
		Roles: map[string]string{"": "signet"}, LoginMount: "approle",
		RoleID: cert.NewKey(credentials.RoleID), SecretID: cert.NewKey(credentials.SecretID),
	}}
}

func (b *bench) open() *vault.Carrier {
	return vault.New(vault.Config{Embedded: ca.New(ca.Config{Store: b.folder.Secrets(), Journal: b.folder.Journal()})})
}

// signer has Vault make a root.
func (b *bench) signer(carrier *vault.Carrier) order.Signer {
	answer := carrier.Carry(b.t.Context(), order.CreateAuthority{
		Generation: 1, CommonName: "test CA G1", KeyType: cert.P256, NotBefore: time.Now(), Life: 5 * 365 * 24 * time.Hour, Vault: &b.vault,
	})
	require.Nil(b.t, answer.Failure)
	return order.Signer{Authority: answer.Authority, Vault: &b.vault}
}

func TestVaultKeepsTheContract(t *testing.T) {
	t.Parallel()
	catest.Run(t, func(t *testing.T) catest.Bench {
		b := newBench(t, vaulttest.Start(t))
		carrier := b.open()
		return catest.Bench{
			Carrier: carrier, Signer: b.signer(carrier), Elsewhere: true, Reopen: func() catest.Carrier { return b.open() },
		}
	})
}
