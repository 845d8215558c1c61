// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"
)

var (
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidCountry          = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidLocality         = asn1.ObjectIdentifier{2, 5, 4, 7}
	oidProvince         = asn1.ObjectIdentifier{2, 5, 4, 8}
	oidUnit             = asn1.ObjectIdentifier{2, 5, 4, 11}
)

// Subject is how an authority is called. Only the common name is needed.
type Subject struct {
	CommonName    string
	Organizations []string
	Unit          string `json:",omitempty"` // organizational unit
	Country       string `json:",omitempty"` // two letters (ISO 3166)
	Province      string `json:",omitempty"`
	Locality      string `json:",omitempty"`
}

// AuthorityRequest is the template of a request for a CA certificate (RFC 2986).
func AuthorityRequest(subject Subject) (*x509.CertificateRequest, error) {
	if subject.CommonName == "" {
		return nil, errors.New("an authority needs a common name")
	}
	if subject.Country != "" && (len(subject.Country) != 2 || strings.ToUpper(subject.Country) != subject.Country) {
		return nil, fmt.Errorf("the country %q is not a code of two capital letters", shorten(subject.Country))
	}
	var sequence pkix.RDNSequence
	add := func(oid asn1.ObjectIdentifier, what, value string) error {
		if value == "" {
			return nil
		}
		sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: value}})
		return checkText(what, value)
	}
	err := errors.Join(add(oidCountry, "country", subject.Country), add(oidProvince, "province", subject.Province),
		add(oidLocality, "locality", subject.Locality))
	for _, organization := range subject.Organizations {
		err = errors.Join(err, add(oidOrganization, "organization", organization))
	}
	err = errors.Join(err, add(oidUnit, "organizational unit", subject.Unit), add(oidCommonName, "common name", subject.CommonName))
	if err != nil {
		return nil, err
	}
	name, err := asn1.Marshal(sequence)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the subject: %w", err)
	}
	constraints, err := asn1.Marshal(struct{ IsCA bool }{true})
	if err != nil {
		return nil, fmt.Errorf("cannot encode the basic constraints: %w", err)
	}
	return &x509.CertificateRequest{
		RawSubject:      name,
		ExtraExtensions: []pkix.Extension{{Id: oidBasicConstraints, Critical: true, Value: constraints}},
	}, nil
}

// CrossTemplate is the template of a certificate by which one authority vouches for another: subject, key and key
// identifier are the other's, so that what the other signs verifies below the issuer too. It lasts as long as both do.
func CrossTemplate(subject, issuer *x509.Certificate, serial *big.Int, notBefore time.Time) (*x509.Certificate, error) {
	if !CanCross(issuer) {
		return nil, errors.New("the authority may not have authorities below it")
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		RawSubject:            subject.RawSubject,
		Subject:               subject.Subject,
		PublicKey:             subject.PublicKey,
		SubjectKeyId:          subject.SubjectKeyId,
		AuthorityKeyId:        issuer.SubjectKeyId,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            CrossPathLen(subject, issuer),
		MaxPathLenZero:        CrossPathLen(subject, issuer) == 0,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if err := setValidity(template, issuer, notBefore, subject.NotAfter.Sub(notBefore.UTC().Truncate(time.Second))+time.Second); err != nil {
		return nil, err
	}
	var err error
	template.SignatureAlgorithm, err = signatureAlgorithm(issuer.PublicKey)
	return template, err
}

// CrossPathLen is the path length of a cross-certificate: as long as the subject's own path length, and shorter than the issuer's; -1 where neither has any.
func CrossPathLen(subject, issuer *x509.Certificate) int {
	length := -1
	if subject.MaxPathLen > 0 || subject.MaxPathLenZero {
		length = subject.MaxPathLen
	}
	if (issuer.MaxPathLen > 0 || issuer.MaxPathLenZero) && (length < 0 || length >= issuer.MaxPathLen) {
		length = issuer.MaxPathLen - 1
	}
	return length
}

// CanCross reports whether an authority may have another one below it, by its own path length and those of the
// authorities above it, which are in order (RFC 5280, 4.2.1.9).
func CanCross(issuer *x509.Certificate, above ...*x509.Certificate) bool {
	for i, c := range append([]*x509.Certificate{issuer}, above...) {
		if (c.MaxPathLen > 0 || c.MaxPathLenZero) && c.MaxPathLen < i+1 {
			return false
		}
	}
	return true
}

// IssuedBy reports whether an authority issued a certificate, by name and key identifier (RFC 5280, 4.2.1.1), which is
// cheap. Where the identifiers are not there, the signature tells.
func IssuedBy(leaf, issuer *x509.Certificate) bool {
	if !bytes.Equal(leaf.RawIssuer, issuer.RawSubject) {
		return false
	}
	if len(leaf.AuthorityKeyId) == 0 || len(issuer.SubjectKeyId) == 0 {
		return leaf.CheckSignatureFrom(issuer) == nil
	}
	return bytes.Equal(leaf.AuthorityKeyId, issuer.SubjectKeyId)
}

// CheckAuthority says why a certificate cannot become that of an authority with this key: it is for another key, no
// CA's, over or not begun, or those above it do not allow it or do not link. The certificates above it are in order.
func CheckAuthority(certificate *x509.Certificate, above []*x509.Certificate, public crypto.PublicKey, now time.Time) error {
	switch {
	case !SameKey(certificate.PublicKey, public):
		return errors.New("it is for another key than the request's")
	case !certificate.BasicConstraintsValid || !certificate.IsCA:
		return errors.New("it is not a CA certificate: have the request signed as a CA's")
	case certificate.KeyUsage != 0 && certificate.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("it may not sign certificates (key usage keyCertSign is missing)")
	case certificate.KeyUsage != 0 && certificate.KeyUsage&x509.KeyUsageCRLSign == 0:
		return errors.New("it may not sign revocation lists (key usage cRLSign is missing)")
	case now.Before(certificate.NotBefore.Add(-ClockSlack)):
		return fmt.Errorf("it begins at %s only", certificate.NotBefore.UTC().Format(time.RFC3339))
	case now.After(certificate.NotAfter):
		return fmt.Errorf("it expired at %s", certificate.NotAfter.UTC().Format(time.RFC3339))
	case len(certificate.SubjectKeyId) == 0:
		return errors.New("it has no subject key identifier (RFC 5280, 4.2.1.2)")
	}
	for i, issuer := range above {
		name := shorten(issuer.Subject.String())
		switch {
		case !issuer.BasicConstraintsValid && issuer.Version == 3 || issuer.BasicConstraintsValid && !issuer.IsCA:
			return fmt.Errorf("its chain has %q, which is no CA", name)
		case now.After(issuer.NotAfter):
			return fmt.Errorf("its chain has %q, which expired at %s", name, issuer.NotAfter.UTC().Format(time.RFC3339))
		case issuer.BasicConstraintsValid && (issuer.MaxPathLen > 0 || issuer.MaxPathLenZero) && issuer.MaxPathLen < i+1:
			// All between this one and the leaf count, ours included (RFC 5280, 6.1.4).
			return fmt.Errorf("%q allows %d CAs below it, and %d are there: have it signed higher up, or raise the path length",
				name, issuer.MaxPathLen, i+1)
		}
	}
	return nil
}

// Permits says which name the constraints of authorities forbid (RFC 5280, 4.2.1.10): the first that lies in an excluded
// subtree, or outside of the permitted ones of its kind. The error is a *NameError.
func Permits(authorities []*x509.Certificate, names Names) error {
	for _, authority := range authorities {
		var allowed, excluded []ipRange
		for _, subtree := range authority.PermittedIPRanges {
			allowed = append(allowed, ipRange{subtree.IP, subtree.Mask})
		}
		for _, subtree := range authority.ExcludedIPRanges {
			excluded = append(excluded, ipRange{subtree.IP, subtree.Mask})
		}
		whose := fmt.Sprintf("the name constraints of %q do not allow it", shorten(authority.Subject.String()))
		for _, name := range names.DNS {
			if !permitted(name, authority.PermittedDNSDomains, authority.ExcludedDNSDomains, insideDomain) ||
				slices.ContainsFunc(authority.ExcludedDNSDomains, func(domain string) bool { return standsFor(name, domain) }) {
				return &NameError{name, whose}
			}
		}
		for _, text := range names.IPs {
			ip, err := netip.ParseAddr(text)
			if err != nil || !permitted(ip, allowed, excluded, insideRange) {
				return &NameError{text, whose}
			}
		}
	}
	return nil
}

func permitted[N, S any](name N, allowed, excluded []S, inside func(N, S) bool) bool {
	for _, subtree := range excluded {
		if inside(name, subtree) {
			return false
		}
	}
	for _, subtree := range allowed {
		if inside(name, subtree) {
			return true
		}
	}
	return len(allowed) == 0
}

// insideDomain reports whether a DNS name is a constraint's or below it. A wildcard is below what follows its asterisk.
func insideDomain(name, domain string) bool {
	name, domain = strings.ToLower(name), strings.ToLower(domain)
	if below, only := strings.CutPrefix(domain, "."); only {
		return strings.HasSuffix(name, "."+below)
	}
	return domain == "" || name == domain || strings.HasSuffix(name, "."+domain)
}

// standsFor reports whether a wildcard stands for a domain, among others.
func standsFor(name, domain string) bool {
	parent, wildcard := strings.CutPrefix(strings.ToLower(name), "*.")
	_, rest, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(domain, ".")), ".")
	return wildcard && rest == parent
}

// ipRange is an address and a mask, 4 or 16 bytes each; masks of constraints need not be prefixes.
type ipRange struct{ ip, mask []byte }

func insideRange(ip netip.Addr, subtree ipRange) bool {
	bytes := ip.Unmap().AsSlice()
	if len(bytes) != len(subtree.ip) || len(bytes) != len(subtree.mask) {
		return false
	}
	for i := range bytes {
		if bytes[i]&subtree.mask[i] != subtree.ip[i]&subtree.mask[i] {
			return false
		}
	}
	return true
}
