// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest_test

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
)

// readOnly lets a role read the CA of "pki" through the API, and nothing else.
const readOnly = `path "pki/cert/ca" { capabilities = ["read"] }`

// statusOf is the HTTP status that Vault refused with.
func statusOf(t *testing.T, err error) int {
	t.Helper()
	var refused *api.ResponseError
	require.ErrorAs(t, err, &refused)
	return refused.StatusCode
}

func TestVaultSealsAndUnseals(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	server.Mount("pki")
	server.Seal()
	_, err := server.Root().Logical().ReadWithContext(t.Context(), "pki/cert/ca")
	require.Equal(t, http.StatusServiceUnavailable, statusOf(t, err))
	server.Unseal()
	_, err = server.Root().Logical().ReadWithContext(t.Context(), "pki/roles/none")
	require.NoError(t, err)
}

func TestVaultIsKilledAndComesBackAsItWas(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	credentials := server.Prepare("pki", false, readOnly)
	address := server.Address()
	before, err := server.Root().Logical().ReadWithContext(t.Context(), "pki/cert/ca")
	require.NoError(t, err)
	server.Kill()
	_, err = server.Root().Logical().ReadWithContext(t.Context(), "pki/cert/ca")
	require.Error(t, err)
	server.Restart()
	require.Equal(t, address, server.Address())
	after, err := server.Client(server.Login(credentials)).Logical().ReadWithContext(t.Context(), "pki/cert/ca")
	require.NoError(t, err)
	require.Equal(t, before.Data["certificate"], after.Data["certificate"])
}

func TestVaultHoldsARoleToItsPolicy(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	client := server.Client(server.Login(server.Prepare("pki", true, readOnly)))
	answer, err := client.Logical().ReadWithContext(t.Context(), "pki/cert/ca")
	require.NoError(t, err)
	require.Contains(t, answer.Data["certificate"], "BEGIN CERTIFICATE")
	_, err = client.Logical().WriteWithContext(t.Context(), "pki/revoke", map[string]any{"serial_number": "00"})
	require.Equal(t, http.StatusForbidden, statusOf(t, err))
}

func TestVaultTellsWhatIsWrappedOnce(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	credentials := server.AppRole("signet", readOnly)
	wrapping := server.Wrap("auth/approle/role/signet/secret-id", nil)
	answer, err := server.Client("").Logical().UnwrapWithContext(t.Context(), wrapping)
	require.NoError(t, err)
	secretID, ok := answer.Data["secret_id"].(string)
	require.True(t, ok)
	require.NotEmpty(t, server.Login(vaulttest.Credentials{RoleID: credentials.RoleID, SecretID: secretID}))
	_, err = server.Client("").Logical().UnwrapWithContext(t.Context(), wrapping)
	require.Equal(t, http.StatusBadRequest, statusOf(t, err))
}

func TestVaultIsReachedBelowItsCAOnly(t *testing.T) {
	t.Parallel()
	server, other := vaulttest.Start(t), vaulttest.Start(t)
	stranger := other.Client("")
	require.NoError(t, stranger.SetAddress(server.Address()))
	_, err := stranger.Sys().HealthWithContext(t.Context())
	require.ErrorContains(t, err, "certificate signed by unknown authority")
}
