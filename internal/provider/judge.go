// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
)

// verdict says whether a certificate still serves its ask.
type verdict struct {
	keep   bool
	due    bool         // it fits, but its renewal time has come
	renew  time.Time    // when it will be due; zero for never
	reason string       // why it is not kept
	serial string       // hex; empty when there is no readable certificate
	key    cert.Key     // worth certifying again; zero when there is none
	kept   cert.KeyType // that key's type
}

// judge reads as a checklist: the first thing wrong is the reason.
func (s *step) judge(issued cert.Issued, spec cert.Spec, ask dialect.Ask) verdict {
	if issued.Certificate == "" {
		return verdict{reason: "there is none yet"}
	}
	leaf, err := cert.Parse(issued.Certificate)
	if err != nil {
		return verdict{reason: "the certificate is unreadable"}
	}
	result := verdict{serial: cert.SerialText(leaf.SerialNumber)}
	if ask.Dialect == dialect.Legacy {
		if !cert.KeyMatches(issued.Key, leaf) {
			result.reason = "the private key is not the certificate's"
			return result
		}
		result.key = issued.Key
		result.kept, _ = cert.KeyTypeOf(leaf.PublicKey) // of no type: a new key is made
	}
	switch {
	case !issuedBy(leaf, s.issuer):
		result.reason = "another CA issued it"
	case !says(leaf, spec):
		result.reason = "other names or usages are asked for"
	case !s.renewable(leaf):
		result.keep = true
	case !s.now.Before(renewAt(leaf, ask)):
		result.due, result.reason = true, "its renewal is due"
	default:
		result.keep, result.renew = true, renewAt(leaf, ask)
	}
	return result
}

// issuedBy compares by name and key identifier (RFC 5280, 4.2.1.1), which is cheap; signatures were verified at issue.
func issuedBy(leaf, issuer *x509.Certificate) bool {
	return bytes.Equal(leaf.RawIssuer, issuer.RawSubject) && bytes.Equal(leaf.AuthorityKeyId, issuer.SubjectKeyId)
}

// says reports whether the certificate says what the spec asks for. A request's subject, key and names were copied at
// issue; only what the authority decides is compared.
func says(leaf *x509.Certificate, spec cert.Spec) bool {
	if leaf.IsCA != (spec.Kind == cert.Intermediate) {
		return false
	}
	if spec.Kind != cert.Intermediate && (slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) != spec.ServerAuth ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) != spec.ClientAuth) {
		return false
	}
	return spec.Request != "" ||
		leaf.Subject.CommonName == spec.CommonName &&
			slices.Equal(leaf.Subject.Organization, spec.Organizations) &&
			cert.NamesOf(leaf).Equal(spec.Names)
}

// renewable reports whether a new certificate would live noticeably longer: near the CA's own end it would not, and
// signing it again and again would help nobody.
func (s *step) renewable(leaf *x509.Certificate) bool {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	return s.issuer.NotAfter.Sub(leaf.NotAfter) > life/20
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
