// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"bytes"
	"crypto/x509"
	"maps"
	"slices"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// Trusted gives the CA certificates that a provider says to trust, sorted and without doubles, each PEM with one
// trailing newline: what its units publish as ca in the legacy dialect, and the roots, or what stands above all else, of
// each answer of the CSR dialect, whoever it answers. While a CA is replaced, both are among them. An answer that is revoked or unreadable tells nothing.
func Trusted(rel juju.Relation) []string {
	found := map[string]bool{}
	for _, bag := range rel.RemoteUnits {
		certificates, _ := cert.ParseCertificates(bag[keyCA])
		for _, c := range certificates {
			addCA(found, c)
		}
	}
	items, err := documentList(rel.RemoteApplication[keyCertificates], maxAnswers)
	if err != nil {
		return slices.Sorted(maps.Keys(found))
	}
	known := pool{}
	for _, item := range items {
		members, err := record(item)
		if err != nil {
			continue
		}
		revoked, err := boolean(members[memberRevoked])
		if err != nil || revoked {
			continue
		}
		texts, _ := strs(members[memberChain])
		if ca, err := str(members[memberCA]); err == nil {
			texts = append(texts, ca)
		}
		for _, top := range known.tops(texts) {
			addCA(found, top)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func addCA(found map[string]bool, c *x509.Certificate) {
	if c.BasicConstraintsValid && c.IsCA {
		found[cert.EncodeCertificates(c)] = true
	}
}

// pool has the certificates of texts that were read before: one CA's certificate comes with each of its answers.
type pool map[string][]*x509.Certificate

// tops gives the CA certificates among these texts whose issuer is not among them, or that issued themselves.
func (p pool) tops(texts []string) []*x509.Certificate {
	var all, found []*x509.Certificate
	for _, text := range texts {
		parsed, known := p[text]
		if !known {
			parsed, _ = cert.ParseCertificates(text)
			p[text] = parsed
		}
		all = append(all, parsed...)
	}
	for _, c := range all {
		above := func(other *x509.Certificate) bool {
			return bytes.Equal(other.RawSubject, c.RawIssuer) && !bytes.Equal(other.RawSubject, c.RawSubject)
		}
		if c.IsCA && !slices.ContainsFunc(all, above) {
			found = append(found, c)
		}
	}
	return found
}
