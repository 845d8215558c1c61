// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"crypto/x509"
	"maps"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/juju"
)

// Held is one certificate that this side's databags publish, whoever asks for it now.
type Held struct {
	Dialect Dialect
	Place   string // where it stands, for people and to tell two apart: "etcd_0.server.cert"
	Unit    string // the munged unit that it answers; empty for an application's, and in the CSR dialect
	Leaf    *x509.Certificate
	Revoked bool // CSR dialect: said to be revoked
}

// Inventory gives all certificates that this side's databags publish in a relation, in a fixed order. What cannot be
// read is left out. In the CSR dialect only the leader sees any.
func (m *Memory) Inventory(rel juju.Relation) []Held {
	var all []Held
	add := func(held Held, text string) {
		if leaf, err := m.ParseCertificate(text); err == nil {
			held.Leaf = leaf
			all = append(all, held)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(rel.OwnUnit)) {
		unit, answers := m.ownerOf(key)
		switch {
		case key == keyClientCert, answers && strings.HasSuffix(key, "."+suffixServerCert):
			add(Held{Dialect: Legacy, Place: key, Unit: unit}, rel.OwnUnit[key])
		case answers && !strings.HasSuffix(key, "."+suffixServerKey):
			pairs := m.decodePairs(rel.OwnUnit[key])
			for _, name := range slices.Sorted(maps.Keys(pairs)) {
				add(Held{Dialect: Legacy, Place: named(key, name), Unit: unit}, pairs[name].Cert)
			}
		}
	}
	for _, entry := range m.ownEntries(rel.OwnApp) {
		all = append(all, Held{
			Dialect: CSR, Place: "request " + fingerprint(entry.request)[:12], Leaf: entry.leaf, Revoked: entry.revoked,
		})
	}
	return all
}
