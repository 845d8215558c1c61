// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"crypto"
	"crypto/x509"
)

// KeyMatches reports whether a private key is the certificate's.
func KeyMatches(key Key, c *x509.Certificate) bool {
	private, err := ParseKey(key)
	if err != nil {
		return false
	}
	public, ok := private.Public().(interface{ Equal(x crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}
