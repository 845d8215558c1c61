// SPDX-License-Identifier: AGPL-3.0-only

package cert

import "crypto"

// KeyFault says why a public key is not certified; empty where it may be.
func KeyFault(key crypto.PublicKey) string { return weakness(key) }
