// SPDX-License-Identifier: AGPL-3.0-only

package takeover

import (
	"crypto/fips140"
	"encoding/pem"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

// NeedsOldWays skips what is about weak keys, SHA-1 and keys under passphrases where only what FIPS 140 approves may be
// used.
func NeedsOldWays(t testing.TB) {
	t.Helper()
	if fips140.Enforced() {
		t.Skip("what other programs wrote is not approved by FIPS 140: see TestWhatFIPSForbidsIsRefused")
	}
}

func TestWhatFIPSForbidsIsRefused(t *testing.T) {
	t.Parallel()
	if !fips140.Enforced() {
		t.Skip("only in FIPS 140-3 mode is this refused: make fips runs it, with GODEBUG=fips140=only")
	}
	var m material
	require.ErrorIs(t, m.addPKCS12([]byte{0x30}, cert.Key{}), errForbidden)
	for _, block := range []*pem.Block{
		{Type: "ENCRYPTED PRIVATE KEY"}, {Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}},
	} {
		_, err := openKey(block, cert.NewKey("open sesame"))
		require.ErrorIs(t, err, errForbidden)
	}
	require.ErrorContains(t, errForbidden, "openssl pkey")
}
