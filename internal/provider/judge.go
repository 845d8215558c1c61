// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
)

// verdict says whether a certificate still serves its ask.
type verdict struct {
	keep    bool
	leaf    *x509.Certificate // nil where it is unreadable
	passing bool              // it fits, but its CA is being replaced
	due     bool              // it fits, but its renewal time has come, or its CA is being replaced
	urgent  bool              // it is due, and can wait no longer
	adopted bool              // another program issued it, before its CA was taken over
	held    bool              // it is revoked, and no other is issued for the same ask
	rekey   bool              // it is renewed under another key
	renew   time.Time         // when it will be due; zero for never
	reason  string            // why it is not kept
	serial  string            // hex; empty when there is no readable certificate
	key     cert.Key          // worth certifying again; zero when there is none
	kept    cert.KeyType      // that key's type
}

// judge reads as a checklist: the first thing wrong is the reason.
func (s *step) judge(issued cert.Issued, spec cert.Spec, ask dialect.Ask) verdict {
	if issued.Certificate == "" {
		return verdict{reason: "there is none yet"}
	}
	memory := s.memory.of(ask.Relation)
	leaf, err := memory.Parse(issued.Certificate)
	if err != nil {
		return verdict{reason: "the certificate is unreadable"}
	}
	result := verdict{leaf: leaf, serial: cert.SerialText(leaf.SerialNumber)}
	if ask.Dialect == dialect.Legacy {
		if !memory.KeyMatches(issued.Key, leaf) {
			result.reason = "the private key is not the certificate's"
			return result
		}
		result.key = issued.Key
		result.kept, _ = cert.KeyTypeOf(leaf.PublicKey) // of no type: a new key is made
	}
	by, retiring, ours := s.issuerOf(leaf)
	result.passing = retiring
	if retiring {
		by.outlives(leaf)
	}
	result.adopted = ours && leaf.NotBefore.Before(by.Adopted)
	revoked, isRevoked := s.revocationOf(by.generation(), result.serial)
	switch {
	case !ours && s.heldBefore(result.serial, ask):
		result.held, result.reason = true, "it is revoked"
	case !ours:
		result.reason = "another CA issued it"
	case isRevoked:
		result.key, result.reason = cert.Key{}, "it is revoked"
		result.held = holds(revoked.Reason, ask)
	case !s.says(by, leaf, spec, ask):
		result.reason = "other names or usages are asked for"
	case retiring && s.record.Paused && s.now.Before(renewAt(leaf, ask)):
		result.keep, result.renew = true, renewAt(leaf, ask)
	case retiring:
		result.due, result.reason = true, "its CA is being replaced"
		result.urgent = s.urgent(leaf)
	case s.early(leaf.NotBefore):
		result.reason = "it is not valid yet: the clock was ahead when it was issued"
	case s.wants(&result):
		result.due, result.reason = true, "an operator wants it renewed"
	case !s.renewable(leaf):
		result.keep = true
	case !s.now.Before(renewAt(leaf, ask)):
		result.due, result.reason = true, "its renewal is due"
		result.urgent, result.renew = s.urgent(leaf), renewAt(leaf, ask)
	default:
		result.keep, result.renew = true, renewAt(leaf, ask)
	}
	return result
}

// clockSlack is how far the clocks of machines may be apart without anybody drawing conclusions from it.
const clockSlack = time.Hour

// early reports whether something begins so late that a clock must have been ahead when it was made. Nobody takes it for
// valid before its time comes, which may be years.
func (s *step) early(begin time.Time) bool { return s.now.Before(begin.Add(-clockSlack)) }

// holds reports whether a revocation is for good, so that the same ask gets nothing else: because who asks may have
// nothing any more, or because the request's key, which the authority cannot change, is not to be trusted.
func holds(reason cert.Reason, ask dialect.Ask) bool {
	switch reason {
	case cert.CessationOfOperation, cert.PrivilegeWithdrawn, cert.AffiliationChanged:
		return true
	case cert.KeyCompromise, cert.CACompromise, cert.AACompromise:
		return ask.Dialect == dialect.CSR
	}
	return false
}

// urgent reports whether a tenth of its life, or less, is left to a certificate.
func (s *step) urgent(leaf *x509.Certificate) bool {
	return !s.now.Before(urgentAt(leaf))
}

func urgentAt(leaf *x509.Certificate) time.Time {
	return leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 10)
}

// says reports whether a certificate says what is asked for. What another program issued before this one took its CA over
// stays for its life, although it was made by other rules: the usages are not compared, nor is the name of the client
// certificate that all consumers share; common names need not be among the names, and clients need have none.
func (s *step) says(by authority, leaf *x509.Certificate, spec cert.Spec, ask dialect.Ask) bool {
	if !leaf.NotBefore.Before(by.Adopted) {
		return s.memory.of(ask.Relation).says(leaf, spec)
	}
	if isGlobalClient(ask) {
		spec.CommonName = leaf.Subject.CommonName
	}
	if names := cert.NamesOf(leaf); names.Equal(ask.Names) || spec.Kind == cert.Client && names.Len() == 0 {
		spec.Names = names
	}
	spec.ServerAuth = slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	spec.ClientAuth = slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	return s.memory.of(ask.Relation).says(leaf, spec)
}

// says reports whether the certificate says what the spec asks for. A request's subject, key and names were copied at
// issue; only what the authority decides is compared. The limits of a CA are not: all that it issued would go with it, so
// that other ones wait for the renewal, and note tells of them.
func (m *relationMemory) says(leaf *x509.Certificate, spec cert.Spec) bool {
	if leaf.IsCA != (spec.Kind == cert.Intermediate) {
		return false
	}
	if spec.Kind != cert.Intermediate && (slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) != spec.ServerAuth ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) != spec.ClientAuth) {
		return false
	}
	if spec.Request != "" {
		return m.hasOrganizations(leaf, spec)
	}
	return leaf.Subject.CommonName == spec.CommonName &&
		slices.Equal(leaf.Subject.Organization, spec.Organizations) &&
		m.NamesOf(leaf).Equal(spec.Names)
}

// hasOrganizations reports whether a certificate has the organizations that its request may have by now. Some that it may
// not have any more wait for the renewal.
func (m *relationMemory) hasOrganizations(leaf *x509.Certificate, spec cert.Spec) bool {
	request, err := m.ParseRequest(spec.Request)
	return err == nil && !slices.ContainsFunc(request.Subject.Organization, func(organization string) bool {
		return !slices.Contains(spec.Without, organization) && !slices.Contains(leaf.Subject.Organization, organization)
	})
}

// renewable reports whether a new certificate would live noticeably longer: near the CA's own end it would not, and
// signing it again and again would help nobody.
func (s *step) renewable(leaf *x509.Certificate) bool {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	return s.current.certificate.NotAfter.Sub(leaf.NotAfter) > life/20
}

// renewAt is when the authority renews by itself. In the legacy dialect nobody else does; in the CSR dialect the
// requirer sends a new request in time, and the authority steps in only when that did not happen.
func renewAt(leaf *x509.Certificate, ask dialect.Ask) time.Time {
	if ask.Dialect == dialect.CSR {
		life := leaf.NotAfter.Sub(leaf.NotBefore)
		return leaf.NotAfter.Add(-life / 20)
	}
	return cert.RenewAt(leaf)
}
