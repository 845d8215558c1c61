// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// actRevoke revokes certificates by serial number, name, unit or relation.
func (s *step) actRevoke(params *juju.Config) {
	reason, err := cert.ParseReason(params.Text("reason", ""))
	chosen, fault := selected(params)
	switch {
	case err != nil:
		s.fail("%v", err)
		return
	case fault != nil:
		s.fail("%v", fault)
		return
	case s.current.slot == nil:
		s.fail("there is no CA yet")
		return
	case chosen.everything():
		s.fail("say what to revoke: serial=, name=, unit=, application= or relation=")
		return
	}
	var lines []string
	published := false
	for _, found := range s.published(func(r juju.Relation, held dialect.Held) bool { return s.fits(chosen, r, held) }) {
		published = true
		one := cert.SerialText(found.leaf.SerialNumber)
		line := fmt.Sprintf("%s %s", one, found.leaf.Subject)
		if params.Flag("dry-run", false) || s.revoke(found.generation, revocation(found.leaf, reason)) {
			lines = append(lines, line)
		}
	}
	if !published && chosen.serial != "" && chosen.onlySerial() && !params.Flag("dry-run", false) &&
		s.revokeUnknown(cert.Revocation{Serial: chosen.serial, Reason: reason}) {
		lines = append(lines, chosen.serial+" (not published any more)")
	}
	if len(lines) == 0 {
		s.fail("no certificate that is published and not revoked fits: run list-certificates")
		return
	}
	results := map[string]string{"revoked": strings.Join(lines, "\n"), "count": strconv.Itoa(len(lines))}
	if s.byHand() {
		results["note"] = "who asks is told, but nothing here signs lists for this CA: revoke them there, too"
	}
	s.succeed(results)
}

// revocation is what is noted of a certificate to be revoked.
func revocation(leaf *x509.Certificate, reason cert.Reason) cert.Revocation {
	one := cert.Revocation{Serial: cert.SerialText(leaf.SerialNumber), Reason: reason, Ends: leaf.NotAfter.UTC()}
	if reason == cert.KeyCompromise {
		one.Key, _ = cert.KeyHash(leaf.PublicKey) // what has no hash is nobody's key that could be asked for again
	}
	return one
}

// revokeUnknown revokes a serial number that is not published: replaced since, or issued by a leader that is gone. Whichever
// of the CAs it was, its certificate must not be trusted.
func (s *step) revokeUnknown(one cert.Revocation) bool {
	fresh := false
	for _, member := range s.members() {
		fresh = s.revoke(member.Generation, one) || fresh
	}
	return fresh
}

// issued is a certificate that is published, and whose it is.
type issued struct {
	generation int
	leaf       *x509.Certificate
}

// published gives the certificates of CAs on record that are published and wanted, without doubles.
func (s *step) published(wanted func(juju.Relation, dialect.Held) bool) []issued {
	var all []issued
	for _, relation := range s.snap.On(juju.Provides, dialect.Interface) {
		for _, held := range s.memory.of(relation.ID).Inventory(s.withShelved(relation)) {
			by, _, ours := s.issuerOf(held.Leaf)
			doubled := slices.ContainsFunc(all, func(i issued) bool { return i.leaf.Equal(held.Leaf) })
			if ours && !doubled && wanted(relation, held) {
				all = append(all, issued{by.Generation, held.Leaf})
			}
		}
	}
	return all
}

// belongs reports whether a certificate answers a unit, by Juju's name or the one that it goes by in its own model. One that
// answers another's request, which the unit makes as its own, does not.
func (s *step) belongs(relation juju.Relation, held dialect.Held, unit string) bool {
	if held.Dialect == dialect.Legacy {
		return held.Unit == dialect.Munge(unit)
	}
	known := s.writtenMakers(relation.ID)
	memory := s.memory.of(relation.ID)
	for _, ask := range memory.Read(relation).Asks {
		if ask.Dialect == dialect.CSR && known.of(ask) == unit {
			current := current(memory.Index(relation), ask)
			if leaf, err := memory.Parse(current.Certificate); err == nil && leaf.Equal(held.Leaf) {
				return true
			}
		}
	}
	return false
}

func anything(juju.Relation, dialect.Held) bool { return true }
