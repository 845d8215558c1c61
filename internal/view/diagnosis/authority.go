// SPDX-License-Identifier: AGPL-3.0-only

package diagnosis

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/view"
)

// authorityChecks are about the CA.
func authorityChecks() []check {
	return []check{
		{"ca-expiry", checkAuthorityEnd},
		{"ca-shape", checkShape},
		{"rollover", checkRollover},
		{"crl", checkCRL},
		{"backup", checkBackup},
	}
}

// inVault reports whether Vault keeps the key of the CA in service.
func (f *Facts) inVault() bool {
	return strings.HasPrefix(f.View.Settings.Authority, "vault") || len(f.View.Authorities) > 0 && f.View.Authorities[0].Vault != ""
}

// signing gives the CA in service; false where there is none.
func (f *Facts) signing() (view.Authority, bool) {
	for _, one := range f.View.Authorities {
		if one.Role == "signing" && one.PEM != "" {
			return one, true
		}
	}
	return view.Authority{}, false
}

const noCA = "this unit has no CA"

func checkAuthorityEnd(f *Facts) result {
	one, found := f.signing()
	if !found {
		return fine(noCA)
	}
	rotate := "juju run " + f.application() + "/leader rotate-ca"
	const last, soon = 30 * day, 90 * day
	rolls := f.View.Rollover.Next
	switch life := one.NotAfter.Sub(one.NotBefore); {
	case f.Now.After(one.NotAfter):
		return fail(rotate, "CA %d expired at %s", one.Generation, moment(one.NotAfter))
	case one.NotAfter.Sub(f.Now) < min(last, life/20):
		return fail(rotate, "CA %d expires %s, and nothing that it signed outlives it", one.Generation, left(f.Now, one.NotAfter))
	case one.NotAfter.Sub(f.Now) < min(soon, life/10) && f.View.Rollover.Phase == string(provider.Steady):
		return warn(rotate, "CA %d expires %s, and no rollover is under way", one.Generation, left(f.Now, one.NotAfter))
	case !rolls.IsZero():
		return fine("CA %d is good until %s, and replaced by itself from %s on", one.Generation, date(one.NotAfter), date(rolls))
	}
	return fine("CA %d is good until %s", one.Generation, date(one.NotAfter))
}

func date(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// checkShape looks at what a CA's certificate allows (RFC 5280, 4.2.1.9 and 4.2.1.12, 6.1.4).
func checkShape(f *Facts) result {
	var bad []string
	for _, one := range f.View.Authorities {
		ca, err := cert.Parse(one.PEM)
		if err != nil {
			continue
		}
		chain := []*x509.Certificate{ca}
		for _, text := range one.Chain {
			if above, err := cert.Parse(text); err == nil {
				chain = append(chain, above)
			}
		}
		if fault := shapeFault(chain); fault != "" {
			bad = append(bad, fmt.Sprintf("CA %d: %s", one.Generation, fault))
		}
	}
	switch {
	case len(f.View.Authorities) == 0:
		return fine(noCA)
	case len(bad) > 0:
		return fail("replace it: juju run "+f.application()+"/leader rotate-ca; one that another CA signed, have signed anew: get-csr", "a CA's certificate does not allow what it is for: %s", some(bad))
	}
	return fine("CA certificates allow what they are for")
}

func shapeFault(chain []*x509.Certificate) string {
	for i, c := range chain {
		limited := c.MaxPathLen > 0 || c.MaxPathLenZero
		switch {
		case !c.BasicConstraintsValid || !c.IsCA:
			return fmt.Sprintf("%s is no CA's certificate", c.Subject)
		case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
			return fmt.Sprintf("%s may not sign certificates", c.Subject)
		case limited && c.MaxPathLen < i:
			return fmt.Sprintf("%s allows %d CAs below it, and %d are there", c.Subject, c.MaxPathLen, i)
		case len(c.ExtKeyUsage) > 0 && !serves(c.ExtKeyUsage):
			return fmt.Sprintf("%s is limited to usages without serverAuth", c.Subject)
		case i > 0 && chain[i-1].CheckSignatureFrom(c) != nil:
			return fmt.Sprintf("%s did not sign %s", c.Subject, chain[i-1].Subject)
		}
	}
	if top := chain[len(chain)-1]; !cert.SelfSigned(top) {
		return fmt.Sprintf("its root is not known: who signed %s", top.Subject)
	}
	return ""
}

func serves(usages []x509.ExtKeyUsage) bool {
	for _, usage := range usages {
		if usage == x509.ExtKeyUsageAny || usage == x509.ExtKeyUsageServerAuth {
			return true
		}
	}
	return false
}

// How long each phase of a rollover may take before somebody should look.
const (
	certifyingFor = 2 * day
	preparingFor  = time.Hour
	trustingFor   = 14 * day
)

func checkRollover(f *Facts) result {
	if !f.fromAgent() {
		return unseen()
	}
	phase, since := provider.Phase(f.View.Rollover.Phase), f.phaseSince()
	long := func(most time.Duration) bool { return !since.IsZero() && f.Now.Sub(since) > most }
	leader := "juju run " + f.application() + "/leader "
	switch {
	case f.View.Rollover.Paused:
		return warn(leader+"rotate-ca step=resume", "the rollover of the CA is paused: %s", f.View.Rollover.Note)
	case phase == provider.Certifying && long(certifyingFor):
		return warn(leader+"get-csr, have it signed, and upload-signed-csr; or rotate-ca step=abort", "the next CA waits to be certified since %s", moment(since))
	case phase == provider.Preparing && long(preparingFor), phase == provider.Trusting && long(trustingFor):
		return warn(leader+"rotate-ca step=advance", "the rollover is stuck since %s: %s", moment(since), f.View.Rollover.Note)
	}
	for _, one := range f.View.Authorities {
		if one.Role == "retiring" && !one.Until.IsZero() && f.Now.Sub(one.Until) > day && !f.View.Rollover.Paused {
			return warn(leader+"rotate-ca step=advance", "CA %d should have been withdrawn at %s", one.Generation, moment(one.Until))
		}
	}
	if phase == "" || phase == provider.Steady {
		return fine("no rollover is under way")
	}
	return note("%s", f.View.Rollover.Note)
}

// phaseSince is when the next CA came into the role that it has, as far as this unit recorded it.
func (f *Facts) phaseSince() time.Time {
	var since time.Time
	for _, one := range f.View.Authorities {
		if one.Role != "requested" && one.Role != "next" && one.Role != "trusted" {
			continue
		}
		for _, entry := range f.Record.Entries {
			if entry.Event == ledger.Authority && entry.Generation == one.Generation && entry.After == one.Role {
				since = entry.Time
			}
		}
	}
	return since
}

func checkCRL(f *Facts) result {
	var bad, soon []string
	lists := 0
	for _, one := range f.View.Authorities {
		if one.CRL == nil {
			if one.Role == "signing" && one.Revoked > 0 && f.fromAgent() {
				soon = append(soon, fmt.Sprintf("CA %d has %d revoked certificates and no list", one.Generation, one.Revoked))
			}
			continue
		}
		lists++
		switch rest := one.CRL.NextUpdate.Sub(f.Now); {
		case rest < 0:
			bad = append(bad, fmt.Sprintf("that of CA %d is overdue since %s", one.Generation, moment(one.CRL.NextUpdate)))
		case !one.CRL.Signed:
			bad = append(bad, fmt.Sprintf("that of CA %d is not signed by it", one.Generation))
		case rest < one.CRL.NextUpdate.Sub(one.CRL.ThisUpdate)/4:
			soon = append(soon, fmt.Sprintf("that of CA %d is overdue %s", one.Generation, left(f.Now, one.CRL.NextUpdate)))
		}
	}
	fix := "the leader signs them: see juju status " + f.application() + ", then " + nextTurn(f)
	switch {
	case !f.fromAgent():
		return unseen()
	case len(bad) > 0:
		return fail(fix, "revocation lists: %s", some(bad))
	case len(soon) > 0:
		return warn(fix, "revocation lists: %s", some(soon))
	}
	return fine("%s fresh and signed", count(lists, "revocation list"))
}

// freshBackup is how old the last backup may be.
const freshBackup = 30 * day

func checkBackup(f *Facts) result {
	_, has := f.signing()
	fix := "juju run " + f.application() + "/leader backup recipients=age1…, then copy it away by the command that it prints"
	switch {
	case !has || f.fromAgent() && !f.View.Leader:
		return fine("the leader, where the CA is, has the backups made")
	case f.inVault():
		return fine("Vault keeps the CA's key, and its own backups")
	case f.Backups.Trouble != "":
		return warn(fix, "backups cannot be listed: %s", f.Backups.Trouble)
	case f.Backups.Number == 0 && f.Now.Sub(f.since()) < day:
		return note("the CA is new, and no backup of it lies here: %s", fix)
	case f.Backups.Number == 0:
		return warn(fix, "no backup of the CA lies on this unit")
	case f.Now.Sub(f.Backups.Newest) > freshBackup:
		return warn(fix, "the last backup is of %s", date(f.Backups.Newest))
	}
	return fine("the last backup is of %s", date(f.Backups.Newest))
}

// since is when the CA in service began.
func (f *Facts) since() time.Time {
	one, _ := f.signing()
	return one.NotBefore
}
