// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// keyTrusted is where a unit of signet's says in its own databag which CA certificates have come to its disk: SHA-256
// fingerprints in a JSON list. Neither dialect knows it, and providers that are not signet pass over it.
const keyTrusted = "trusted_ca_fingerprints"

// Acknowledge puts into a requirer's own databag which CA certificates it now trusts. What cannot be read is left out.
func Acknowledge(bag juju.Bag, certificates []string) {
	list := []string{}
	for _, text := range certificates {
		parsed, err := cert.ParseCertificates(text)
		if err != nil {
			continue
		}
		for _, c := range parsed {
			list = append(list, fingerprintOf(c.Raw))
		}
	}
	slices.Sort(list)
	set(bag, keyTrusted, slices.Compact(list))
}

// Acknowledged reports whether all requirers that are seen in a relation say that they trust a CA certificate. A
// requirer that never says so, as those of other charms, does not.
func Acknowledged(rel juju.Relation, certificate string) bool {
	parsed, err := cert.Parse(certificate)
	if err != nil || rel.Partial {
		return false
	}
	wanted := fingerprintOf(parsed.Raw)
	for _, bag := range rel.RemoteUnits {
		var list []string
		if json.Unmarshal([]byte(bag[keyTrusted]), &list) != nil || !slices.Contains(list, wanted) {
			return false
		}
	}
	return true
}

func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
