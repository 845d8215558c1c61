// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

var (
	oidCommonName     = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidOrganization   = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidNoCheck        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
)

// ClockSlack is how far before its issuer's NotBefore a certificate may be ordered: it then begins with its issuer. A
// larger gap means a wrong clock.
const ClockSlack = time.Hour

// ErrClock is wrapped when a certificate should begin long before its issuer, which only a wrong clock can want.
var ErrClock = errors.New("the clock is behind the authority's certificate")

// ErrIssuerExpired is wrapped when nothing of the issuer's life is left.
var ErrIssuerExpired = errors.New("the authority's certificate has expired")

// Template turns a spec into what x509.CreateCertificate needs, and checks it. The key to certify is public, or the
// request's when the spec has one; it is found in the template's PublicKey. Validity begins at notBefore and lasts
// exactly spec.Life with both ends included (RFC 5280, 4.1.2.5), but never past the issuer's.
func Template(
	spec Spec, issuer *x509.Certificate, public crypto.PublicKey, serial *big.Int, notBefore time.Time,
) (*x509.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber:          serial,
		BasicConstraintsValid: true,
		AuthorityKeyId:        issuer.SubjectKeyId,
		PublicKey:             public,
		CRLDistributionPoints: spec.Points.CRL,
		OCSPServer:            spec.Points.OCSP,
		IssuingCertificateURL: spec.Points.Issuer,
	}
	var err error
	if spec.Request != "" {
		err = takeRequest(template, spec.Request, spec.Without)
	} else {
		err = takeNames(template, spec)
	}
	if err != nil {
		return nil, err
	}
	if err := setValidity(template, issuer, notBefore, spec.Life); err != nil {
		return nil, err
	}
	if reason := weakness(template.PublicKey); reason != "" {
		return nil, errors.New("cannot certify the key: " + reason)
	}
	if template.SubjectKeyId, err = KeyID(template.PublicKey); err != nil {
		return nil, err
	}
	if err := setUsages(template, spec, issuer); err != nil {
		return nil, err
	}
	template.SignatureAlgorithm, err = signatureAlgorithm(issuer.PublicKey)
	return template, err
}

// RootTemplate is the template of a self-signed authority: common name, organizations, path length and life are the
// spec's.
func RootTemplate(spec Spec, public crypto.PublicKey, serial *big.Int, notBefore time.Time) (*x509.Certificate, error) {
	if spec.CommonName == "" {
		return nil, errors.New("an authority needs a common name")
	}
	if spec.Names.Len() > 0 || spec.Request != "" {
		return nil, errors.New("an authority has neither names nor a request")
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		PublicKey:             public,
	}
	if err := takeNames(template, spec); err != nil {
		return nil, err
	}
	if err := setValidity(template, nil, notBefore, spec.Life); err != nil {
		return nil, err
	}
	if spec.PathLen < 0 {
		return nil, fmt.Errorf("a path length cannot be negative (%d)", spec.PathLen)
	}
	template.MaxPathLen, template.MaxPathLenZero = spec.PathLen, spec.PathLen == 0
	var err error
	if template.SubjectKeyId, err = KeyID(public); err != nil {
		return nil, err
	}
	template.AuthorityKeyId = template.SubjectKeyId
	template.SignatureAlgorithm, err = signatureAlgorithm(public)
	return template, err
}

// takeRequest copies subject, key and alternative names of a request byte for byte, but for organizations that the
// subject shall not have: string types and attributes such as x500UniqueIdentifier (2.5.4.45) or a registered ID would
// not survive Go's own types.
func takeRequest(template *x509.Certificate, text string, without []string) error {
	request, err := ParseRequest(text)
	if err != nil {
		return err
	}
	if err := CheckRequest(request); err != nil {
		return err
	}
	subject := request.RawSubject
	if len(without) > 0 {
		if subject, err = withoutOrganizations(subject, without); err != nil {
			return fmt.Errorf("cannot leave organizations out of the subject: %w", err)
		}
	}
	emptySubject := len(subject) <= 2 // an empty sequence
	hasNames := false
	for _, extension := range request.Extensions {
		if !extension.Id.Equal(oidSubjectAltName) {
			continue
		}
		if hasNames {
			return errors.New("a certificate request has two subject alternative name extensions")
		}
		hasNames = true
		// Critical exactly when there is no subject (RFC 5280, 4.2.1.6).
		template.ExtraExtensions = append(template.ExtraExtensions,
			pkix.Extension{Id: oidSubjectAltName, Critical: emptySubject, Value: extension.Value})
	}
	if emptySubject && !hasNames {
		return errors.New("a certificate request has neither a subject nor names")
	}
	template.RawSubject = subject
	template.Subject = request.Subject // for who reads the template; what is signed is RawSubject
	template.Subject.Organization = slices.DeleteFunc(slices.Clone(request.Subject.Organization),
		func(organization string) bool { return slices.Contains(without, organization) })
	template.PublicKey = request.PublicKey
	return nil
}

// takeNames builds subject and alternative names from a spec without a request.
func takeNames(template *x509.Certificate, spec Spec) error {
	if spec.CommonName == "" && spec.Names.Len() == 0 {
		return errors.New("a certificate needs a common name or other names")
	}
	if err := checkText("common name", spec.CommonName); err != nil {
		return err
	}
	for _, organization := range spec.Organizations {
		if organization == "" {
			return errors.New("an organization is empty")
		}
		if err := checkText("organization", organization); err != nil {
			return err
		}
	}
	for _, name := range spec.Names.DNS {
		if err := checkHostName(name); err != nil {
			return err
		}
	}
	for _, text := range spec.Names.IPs {
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" {
			return &NameError{text, "not an IP address"}
		}
		template.IPAddresses = append(template.IPAddresses, ip.Unmap().AsSlice())
	}
	template.DNSNames = spec.Names.DNS
	template.Subject = pkix.Name{CommonName: spec.CommonName, Organization: spec.Organizations}
	var err error
	template.RawSubject, err = encodeSubject(spec)
	return err
}

// encodeSubject writes each organization as a relative distinguished name of its own, in order, and the common name
// last. pkix.Name would put all organizations into one set, which has no order and which few programs read.
func encodeSubject(spec Spec) ([]byte, error) {
	var sequence pkix.RDNSequence
	for _, organization := range spec.Organizations {
		sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: oidOrganization, Value: organization}})
	}
	if spec.CommonName != "" {
		sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: oidCommonName, Value: spec.CommonName}})
	}
	der, err := asn1.Marshal(sequence)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the subject: %w", err)
	}
	return der, nil
}

// checkText checks an attribute of a subject.
func checkText(what, text string) error {
	if utf8.RuneCountInString(text) > MaxCommonName {
		return fmt.Errorf("the %s %q has more than %d characters", what, shorten(text), MaxCommonName)
	}
	return checkPrints(what, text)
}

// checkPrints keeps out of a subject what deceives people and programs that read it as text.
func checkPrints(what, text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("the %s is not valid UTF-8", what)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("the %s %q has a character that does not print", what, shorten(text))
	}
	return nil
}

// setValidity sets both ends of a validity, which are both included in it. A nil issuer is the certificate itself.
func setValidity(template, issuer *x509.Certificate, notBefore time.Time, life time.Duration) error {
	if life < time.Second {
		return fmt.Errorf("a certificate cannot live for %s", life)
	}
	begin := notBefore.UTC().Truncate(time.Second)
	if issuer != nil && begin.Before(issuer.NotBefore) {
		if issuer.NotBefore.Sub(begin) > ClockSlack {
			// Without the time of day: the text is published, and a new text at each turn would run remote hooks.
			return fmt.Errorf("cannot begin before the authority does at %s: %w",
				issuer.NotBefore.UTC().Format(time.RFC3339), ErrClock)
		}
		begin = issuer.NotBefore.UTC()
	}
	end := begin.Add(life.Truncate(time.Second) - time.Second)
	if issuer != nil && end.After(issuer.NotAfter) {
		end = issuer.NotAfter.UTC()
	}
	if end.Before(begin) {
		return fmt.Errorf("cannot begin after the authority ended at %s: %w", end.Format(time.RFC3339), ErrIssuerExpired)
	}
	if begin.Year() < 1950 || end.Year() > 9999 { // what UTCTime and GeneralizedTime can say (RFC 5280, 4.1.2.5)
		return fmt.Errorf("cannot write a validity from %s to %s", begin.Format(time.RFC3339), end.Format(time.RFC3339))
	}
	template.NotBefore, template.NotAfter = begin, end
	return nil
}

// setUsages sets what the kind allows: basic constraints, key usage and extended key usage.
func setUsages(template *x509.Certificate, spec Spec, issuer *x509.Certificate) error {
	switch spec.Kind {
	case Server, Application:
		if spec.ServerAuth {
			template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}
		if spec.ClientAuth {
			template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
		}
		if len(template.ExtKeyUsage) == 0 {
			return fmt.Errorf("a %s certificate needs a usage: serverAuth, clientAuth or both", spec.Kind)
		}
	case Client:
		if spec.ServerAuth {
			return errors.New("a client certificate cannot have the usage serverAuth")
		}
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case Responder:
		// Nobody asks whether a responder is revoked: its life is short instead (RFC 6960, 4.2.2.2.1).
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oidNoCheck, Value: asn1.NullBytes})
	case Intermediate:
		return setAuthority(template, spec, issuer)
	default:
		return fmt.Errorf("%q is not a kind of certificate", shorten(string(spec.Kind)))
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	// Only servers decipher keys (RFC 5280, 4.2.1.12), and no ECDSA key can (RFC 8813, section 3).
	if _, ok := template.PublicKey.(*rsa.PublicKey); ok && slices.Contains(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	return nil
}

// setAuthority makes the template a CA's, below the issuer (RFC 5280, 4.2.1.9).
func setAuthority(template *x509.Certificate, spec Spec, issuer *x509.Certificate) error {
	limited := issuer.MaxPathLen > 0 || issuer.MaxPathLenZero
	switch {
	case spec.PathLen < 0:
		return fmt.Errorf("a path length cannot be negative (%d)", spec.PathLen)
	case limited && spec.PathLen >= issuer.MaxPathLen:
		return fmt.Errorf("the authority may have %d authorities below it: one with %d more below it is too many",
			issuer.MaxPathLen, spec.PathLen)
	case len(template.RawSubject) <= 2: // an empty sequence
		return errors.New("an authority needs a subject") // RFC 5280, 4.1.2.6
	}
	template.IsCA = true
	template.MaxPathLen, template.MaxPathLenZero = spec.PathLen, spec.PathLen == 0
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return constrain(template, spec.Constraints)
}

// constrain says for which names a CA may issue. To exclude all names of a kind, the empty domain and the whole range of
// addresses stand for all of them (RFC 5280, 4.2.1.10).
func constrain(template *x509.Certificate, constraints *Constraints) error {
	if constraints == nil {
		return nil
	}
	template.PermittedDNSDomainsCritical = true
	template.PermittedDNSDomains = constraints.Domains
	if len(constraints.Domains) == 0 {
		template.ExcludedDNSDomains = []string{""}
	}
	permitted := &template.PermittedIPRanges
	networks := constraints.Networks
	if len(networks) == 0 {
		permitted, networks = &template.ExcludedIPRanges, []string{"0.0.0.0/0", "::/0"}
	}
	for _, text := range networks {
		_, network, err := net.ParseCIDR(text)
		if err != nil {
			return fmt.Errorf("%q is not a network", shorten(text))
		}
		*permitted = append(*permitted, network)
	}
	return nil
}

// HasLimits reports whether a CA's certificate has the path length and the name constraints of a spec.
func HasLimits(certificate *x509.Certificate, spec Spec) bool {
	wanted := &x509.Certificate{}
	if err := constrain(wanted, spec.Constraints); err != nil {
		return false
	}
	return certificate.MaxPathLen == spec.PathLen &&
		slices.Equal(certificate.PermittedDNSDomains, wanted.PermittedDNSDomains) &&
		slices.Equal(certificate.ExcludedDNSDomains, wanted.ExcludedDNSDomains) &&
		slices.Equal(written(certificate.PermittedIPRanges), written(wanted.PermittedIPRanges)) &&
		slices.Equal(written(certificate.ExcludedIPRanges), written(wanted.ExcludedIPRanges))
}

func written[T fmt.Stringer](values []T) []string {
	list := make([]string, len(values))
	for i, value := range values {
		list[i] = value.String()
	}
	return list
}

// signatureAlgorithm fits the hash to the issuer's key: a hash weaker than the key would waste it.
func signatureAlgorithm(issuer crypto.PublicKey) (x509.SignatureAlgorithm, error) {
	switch keyType, err := KeyTypeOf(issuer); {
	case err != nil:
		return 0, err
	case keyType == P256:
		return x509.ECDSAWithSHA256, nil
	case keyType == P384:
		return x509.ECDSAWithSHA384, nil
	default:
		return x509.SHA256WithRSA, nil
	}
}
