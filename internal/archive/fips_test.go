// SPDX-License-Identifier: AGPL-3.0-only

package archive

import (
	"crypto/fips140"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

// NeedsAge skips what encrypts or decrypts where only what FIPS 140 approves may be used.
func NeedsAge(t testing.TB) {
	t.Helper()
	if fips140.Enforced() {
		t.Skip("age's X25519, ChaCha20-Poly1305 and scrypt are not approved by FIPS 140: see TestWithoutAgeBackupsAreRefused")
	}
}

func TestWithoutAgeBackupsAreRefused(t *testing.T) {
	t.Parallel()
	if !fips140.Enforced() {
		t.Skip("only in FIPS 140-3 mode is this refused: make fips runs it, with GODEBUG=fips140=only")
	}
	_, err := Write(t.TempDir(), simple(), Locks{Passphrase: cert.NewKey("open sesame")})
	require.ErrorContains(t, err, errForbidden.Error())
	_, err = Write(t.TempDir(), simple(), Locks{Recipients: []string{"age1"}})
	require.ErrorContains(t, err, errForbidden.Error())
	_, err = Read("any", Opener{Passphrase: cert.NewKey("open sesame")})
	require.ErrorContains(t, err, errForbidden.Error())
	require.ErrorContains(t, err, "run signet with fips140=on")
}
