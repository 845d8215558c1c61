// SPDX-License-Identifier: AGPL-3.0-only

package diagnosis

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/view"
)

// issuedChecks are about what this application issued for others, and certificates in general.
func issuedChecks() []check {
	return []check{
		{"issued-expiry", checkIssuedExpiry},
		{"issued-renewal", checkIssuedRenewal},
		{"issued-chain", checkIssuedChain},
		{"orphans", checkOrphans},
		{"weak-keys", checkWeakKeys},
		{"weak-signatures", checkWeakSignatures},
		{"duplicate-serials", checkSerials},
		{"legacy-keys", checkLegacyKeys},
	}
}

// issued gives the certificates that this application has issued for others.
func (f *Facts) issued() []view.Certificate {
	return slices.DeleteFunc(slices.Clone(f.View.Certificates), func(one view.Certificate) bool { return one.Role != view.Issued || one.Serial == "" })
}

// called is what a certificate is called in a finding.
func called(one view.Certificate) string {
	name := one.CommonName
	if name == "" && len(one.Names) > 0 {
		name = one.Names[0]
	}
	return strings.TrimSpace(cmp.Or(one.Unit, one.Application) + " " + name)
}

func checkIssuedExpiry(f *Facts) result {
	var over, soon []string
	list := f.issued()
	for _, one := range list {
		switch {
		case one.Orphaned:
		case one.State == view.Expired:
			over = append(over, called(one)+" at "+moment(one.NotAfter))
		case one.State == view.Expiring:
			soon = append(soon, called(one)+" "+left(f.Now, one.NotAfter))
		}
	}
	fix := "see why they are not renewed: signet requests list, and signet certs list"
	switch {
	case len(over) > 0:
		return fail(fix, "%s issued here expired: %s", count(len(over), "certificate"), some(over))
	case len(soon) > 0:
		return warn(fix, "%s issued here will expire: %s", count(len(soon), "certificate"), some(soon))
	}
	return fine("%s issued here within their time", count(len(list), "certificate"))
}

func checkIssuedRenewal(f *Facts) result {
	if !f.fromAgent() {
		return unseen()
	}
	var late []string
	for _, one := range f.issued() {
		due := one.RenewAt
		if one.PutOff.After(due) {
			due = one.PutOff
		}
		if !one.Orphaned && one.State != view.Held && one.State != view.Revoked && overdue(f.Now, due, one.NotBefore, one.NotAfter) {
			late = append(late, called(one)+", due "+left(f.Now, due))
		}
	}
	if len(late) > 0 {
		return warn("see signet status; raise renewals-per-hour, or widen maintenance-window", "%s late: %s", count(len(late), "renewal"), some(late))
	}
	return fine("no renewal of what was issued is overdue")
}

// mostVerified bounds how many certificates are verified at once.
const mostVerified = 2000

func checkIssuedChain(f *Facts) result {
	var roots, between strings.Builder
	for _, one := range f.View.Authorities {
		if one.Root || len(one.Chain) == 0 {
			roots.WriteString(one.PEM)
		}
		between.WriteString(one.PEM)
		for i, above := range one.Chain {
			if i == len(one.Chain)-1 {
				roots.WriteString(above)
			}
			between.WriteString(above)
		}
	}
	var bad []string
	list := f.issued()
	for _, one := range list[:min(len(list), mostVerified)] {
		leaf, err := cert.Parse(one.PEM)
		if err != nil || one.Generation == 0 || one.Orphaned || f.Now.After(leaf.NotAfter) {
			continue
		}
		if err := verify(f.Now, leaf, between.String(), roots.String()); err != nil {
			bad = append(bad, fmt.Sprintf("%s: %v", called(one), err))
		}
	}
	switch {
	case len(f.View.Authorities) == 0:
		return fine("this unit knows no CA")
	case len(bad) > 0:
		return fail("have them issued again: signet revoke --serial SERIAL --reason superseded", "certificates do not verify with the CAs that are published: %s", some(bad))
	}
	return fine("what was issued verifies with the CAs that are published")
}

func checkOrphans(f *Facts) result {
	if !f.fromAgent() {
		return unseen()
	}
	var orphans []string
	for _, one := range f.issued() {
		if one.Orphaned {
			orphans = append(orphans, one.Relation+" "+called(one))
		}
	}
	if len(orphans) > 0 {
		return warn("they go when their unit does; where it is gone, see juju status for units in error", "%s published for nobody: %s",
			count(len(orphans), "certificate"), some(orphans))
	}
	return fine("each certificate that is published is asked for")
}

// everything gives all certificates that are known, the CAs' as well, by what they are called.
func (f *Facts) everything(see func(name string, isCA bool, c *x509.Certificate)) {
	for _, one := range f.View.Authorities {
		if c, err := cert.Parse(one.PEM); err == nil {
			see(fmt.Sprintf("CA %d", one.Generation), true, c)
		}
		for _, above := range one.Chain {
			if c, err := cert.Parse(above); err == nil {
				see("the CA "+c.Subject.String(), true, c)
			}
		}
	}
	for _, one := range f.View.Certificates {
		if c, err := cert.Parse(one.PEM); err == nil {
			see(called(one), false, c)
		}
	}
}

func checkWeakKeys(f *Facts) result {
	var weak []string
	worst := OK
	f.everything(func(name string, isCA bool, c *x509.Certificate) {
		why := cert.KnownWeakness(c.PublicKey)
		if public, isRSA := c.PublicKey.(*rsa.PublicKey); isRSA && public.N.BitLen() < 2048 {
			why = fmt.Sprintf("RSA of %d bits", public.N.BitLen())
		}
		if why == "" {
			return
		}
		weak = append(weak, name+": "+why)
		if worst = Error; !isCA && len(weak) == 1 {
			worst = Warning
		}
	})
	fix := "have them issued with other keys; for a CA, juju run " + f.application() + "/leader rotate-ca"
	switch {
	case worst == Error:
		return fail(fix, "weak keys: %s", some(weak))
	case len(weak) > 0:
		return warn(fix, "weak keys: %s", some(weak))
	}
	return fine("no weak key is known")
}

func checkWeakSignatures(f *Facts) result {
	var weak []string
	f.everything(func(name string, _ bool, c *x509.Certificate) {
		if !cert.SelfSigned(c) && !strongSignature(c.SignatureAlgorithm) { // nobody verifies a root's
			weak = append(weak, name+": "+c.SignatureAlgorithm.String())
		}
	})
	if len(weak) > 0 {
		return fail("have them issued again; programs of today refuse such signatures", "signatures by broken hashes: %s", some(weak))
	}
	return fine("no signature is by a broken hash")
}

func strongSignature(algorithm x509.SignatureAlgorithm) bool {
	switch algorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return false
	}
	return true
}

// checkSerials finds two certificates of one issuer under one number (RFC 5280, 4.1.2.2).
func checkSerials(f *Facts) result {
	first, twice := map[string]view.Certificate{}, []string{}
	for _, one := range f.View.Certificates {
		if one.Serial == "" {
			continue
		}
		key := one.Issuer + "\n" + one.Serial
		before, known := first[key]
		switch {
		case !known:
			first[key] = one
		case before.SHA256 != one.SHA256:
			twice = append(twice, fmt.Sprintf("%s of %s and %s", one.Serial, called(before), called(one)))
		}
	}
	if len(twice) > 0 {
		return fail("have one of each issued again: signet revoke --serial SERIAL", "serial numbers stand for two certificates: %s", some(twice))
	}
	return fine("no serial number stands for two certificates")
}

func checkLegacyKeys(f *Facts) result {
	if !f.fromAgent() {
		return unseen()
	}
	apps := map[string]bool{}
	var names []string
	for _, one := range f.issued() {
		if one.Dialect == "legacy" && !apps[one.Application] {
			apps[one.Application] = true
			names = append(names, one.Application)
		}
	}
	slices.Sort(names)
	keys := f.View.Record.LegacyKeys
	switch {
	case keys > 0 && !f.View.Settings.Legacy:
		return warn("see signet status for what keeps them", "legacy-dialect is off, and %s still in the controller's database, of %s", lie(keys), some(names))
	case keys > 0:
		return note("%s in the controller's database, because %s cannot ask in another way", lie(keys), some(names))
	}
	return fine("no private key lies in the controller's database")
}

func lie(keys int) string {
	if keys == 1 {
		return "1 private key lies"
	}
	return fmt.Sprintf("%d private keys lie", keys)
}
