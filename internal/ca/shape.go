// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"hash"
	"strings"

	"github.com/zmap/zlint/v3/lint"
	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// A CA makes thousands of certificates that differ in whose they are, and are the same in all else: their shape. Half of the
// lints look at nothing but that. When they found nothing wrong with one certificate they would find nothing wrong with the
// next one of its shape, of which only the others are asked.

// shape is a hash of all of a certificate but the serial number, both times, the subject, the bits of the key, its
// identifier and the alternative names.
type shape [sha256.Size]byte

// shapeOf gives the shape of what is signed; false for what is not the usual (RFC 5280, 4.1), or says that it is its own
// issuer, which some lints tell by its signature.
func shapeOf(tbs []byte) (found shape, usual bool) {
	explicit := func(number uint8) tag.Tag { return tag.Tag(number).Constructed().ContextSpecific() }
	var fields, version, algorithm, issuer, validity, subject, info, keyAlgorithm, key, wrapped, extensions cryptobyte.String
	whole := cryptobyte.String(tbs)
	usual = whole.ReadASN1(&fields, tag.SEQUENCE) && whole.Empty() &&
		fields.ReadASN1Element(&version, explicit(0)) && fields.SkipASN1(tag.INTEGER) &&
		fields.ReadASN1Element(&algorithm, tag.SEQUENCE) && fields.ReadASN1Element(&issuer, tag.SEQUENCE) &&
		fields.ReadASN1(&validity, tag.SEQUENCE) && fields.ReadASN1Element(&subject, tag.SEQUENCE) &&
		fields.ReadASN1(&info, tag.SEQUENCE) && info.ReadASN1Element(&keyAlgorithm, tag.SEQUENCE) &&
		info.ReadASN1(&key, tag.BIT_STRING) && info.Empty() &&
		fields.ReadASN1(&wrapped, explicit(3)) && fields.Empty() &&
		wrapped.ReadASN1(&extensions, tag.SEQUENCE) && wrapped.Empty() && !bytes.Equal(subject, issuer)
	sum := sha256.New()
	for _, part := range [][]byte{version, algorithm, issuer, keyAlgorithm} {
		addPart(sum, part)
	}
	for usual && !extensions.Empty() {
		usual = addExtension(sum, &extensions)
	}
	sum.Sum(found[:0])
	return found, usual
}

// addExtension adds the next extension (RFC 5280, 4.2) to a hash; without its value where that is another one for each
// certificate.
func addExtension(sum hash.Hash, extensions *cryptobyte.String) (usual bool) {
	var element, fields, value cryptobyte.String
	var id asn1.ObjectIdentifier
	if !extensions.ReadASN1Element(&element, tag.SEQUENCE) {
		return false
	}
	whole := element
	if !whole.ReadASN1(&fields, tag.SEQUENCE) || !fields.ReadASN1ObjectIdentifier(&id) {
		return false
	}
	if !id.Equal(oidSubjectAltName) && !id.Equal(oidSubjectKeyID) {
		addPart(sum, element)
		return true
	}
	var critical cryptobyte.String
	if !fields.ReadOptionalASN1(&critical, nil, tag.BOOLEAN) || !fields.ReadASN1(&value, tag.OCTET_STRING) || !fields.Empty() {
		return false
	}
	addPart(sum, []byte(id.String()))
	addPart(sum, critical)
	return true
}

func addPart(sum hash.Hash, part []byte) {
	_, _ = sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) //nolint:gosec // of a certificate
	_, _ = sum.Write(part)
}

// ofShape reports whether a lint of zlint's looks at nothing but the shape, by its name: at extensions other than subject
// key identifier and alternative names, at the issuer, the version and the kind of the key. Lints that are not named here, so
// those that another version of zlint may have, are asked about each certificate.
func ofShape(name string) bool {
	_, name, _ = strings.Cut(name, "_") // e, w or n, for how bad it is
	switch name {
	case "basic_constr_invalid_der", "basic_constraints_not_critical", "path_len_constraint_improperly_included",
		"path_len_constraint_zero_or_less",
		"cert_extensions_version_not_3", "ext_duplicate_extension", "empty_sct_list", "precert_with_sct_list",
		"distribution_point_incomplete", "distribution_point_missing_ldap_or_uri", "ext_crl_distribution_marked_critical",
		"ext_freshest_crl_marked_critical",
		"ext_aia_access_location_missing", "ext_aia_marked_critical", "subject_info_access_marked_critical",
		"ext_subject_directory_attr_critical",
		"ext_authority_key_identifier_critical",
		"ecdsa_allowed_ku", "ecdsa_ee_invalid_ku", "rsa_allowed_ku_ca", "rsa_allowed_ku_ee", "rsa_allowed_ku_no_encipherment_ca",
		"spki_rsa_encryption_parameter_not_null",
		"eku_critical_improperly", "key_usage_and_extended_key_usage_inconsistent", "ext_key_usage_cert_sign_without_ca",
		"ext_key_usage_not_critical", "ext_key_usage_without_bits", "incorrect_ku_encoding", "key_usage_incorrect_length",
		"superfluous_ku_encoding",
		"ext_cert_policy_contains_noticeref", "ext_cert_policy_disallowed_any_policy_qualifier", "ext_cert_policy_duplicate",
		"ext_cert_policy_explicit_text_ia5_string", "ext_cert_policy_explicit_text_includes_control",
		"ext_cert_policy_explicit_text_not_nfc", "ext_cert_policy_explicit_text_not_utf8", "ext_cert_policy_explicit_text_too_long",
		"ext_policy_constraints_empty", "ext_policy_constraints_not_critical", "ext_policy_map_any_policy",
		"ext_policy_map_not_critical", "ext_policy_map_not_in_cert_policy", "inhibit_any_policy_not_critical",
		"name_constraint_empty", "name_constraint_maximum_not_absent", "name_constraint_minimum_non_zero", "name_constraint_not_fqdn",
		"name_constraint_on_edi_party_name", "name_constraint_on_registered_id", "name_constraint_on_x400",
		"ext_name_constraints_not_critical", "ext_name_constraints_not_in_ca",
		"issuer_dn_country_not_printable_string", "issuer_field_empty", "issuer_dn_leading_whitespace",
		"issuer_dn_trailing_whitespace", "multiple_issuer_rdn",
		"ext_ian_critical", "ext_ian_dns_not_ia5_string", "ext_ian_empty_name", "ext_ian_no_entries", "ext_ian_rfc822_format_invalid",
		"ext_ian_space_dns_name", "ext_ian_uri_format_invalid", "ext_ian_uri_host_not_fqdn_or_ip", "ext_ian_uri_not_ia5",
		"ext_ian_uri_relative", "ian_bare_wildcard", "ian_dns_name_includes_null_char", "ian_dns_name_starts_with_period",
		"ian_iana_pub_suffix_empty", "ian_wildcard_not_first":
		return true
	}
	return false
}

// rest is what is judged alike but for what differs from certificate to certificate of a shape.
type rest struct {
	shape          shape
	foreign, fresh bool // for which other findings, or lints, count
}

// left gives the lints that must be asked about each certificate of a shape; nil where all must.
func (l *linter) left(of rest) []*lint.CertificateLint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rests[of]
}

// leave notes what lints found of a certificate with which nothing is wrong. Those of its shape need not be asked again, but
// for who was not in effect at its time.
func (l *linter) leave(of rest, asked []*lint.CertificateLint, found []lint.LintStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rests[of] != nil || len(l.rests) >= maxShapes {
		return
	}
	var more []*lint.CertificateLint
	for i, each := range asked {
		if !ofShape(each.Name) || found[i] == lint.NE {
			more = append(more, each)
		}
	}
	l.rests[of] = more
}
