// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is not the unit's own is never removed.
func TestOwnFilesAreToldByTheirNames(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0123456789abcdef", 2)
	for name, own := range map[string]bool{
		".certificates-" + sum + "-1":           true,
		".certificates-" + sum + "-1234":        true,
		".certificates-" + sum + "-":            false,
		".certificates-" + sum:                  false,
		".certificates-" + sum + "-1x":          false,
		".certificates-" + sum + "-1-1":         false,
		".certificates-" + sum + "0-1":          false,
		".certificates-" + sum[1:] + "-1":       false,
		".certificates-" + sum[1:] + "g" + "-1": false,
		".certificates-" + sum[1:] + "A" + "-1": false,
		"certificates-" + sum + "-1":            false,
		".other-" + sum + "-1":                  false,
	} {
		require.Equal(t, own, isGeneration("certificates", name), name)
	}
	for name, own := range map[string]bool{
		"signet-0-" + sum[:16] + ".crt":                    true,
		".signet-0-" + sum[:16] + ".crt" + temporarySuffix: true,
		"signet-0-" + sum[:16] + ".pem":                    false,
		"signet-0-" + sum[:16]:                             false,
		"signet-0-" + sum[:15] + ".crt":                    false,
		"signet-0-" + sum[:17] + ".crt":                    false,
		"signet-0-" + sum[:15] + "g.crt":                   false,
		"signet-1-" + sum[:16] + ".crt":                    false,
		"company-root.crt":                                 false,
	} {
		require.Equal(t, own, ownFile(name, "signet-0-"), name)
	}
}
