// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// hostName is what Vault takes for a name of a host, and then for one more name of a CA.
var hostName = regexp.MustCompile(`^(\*\.)?(([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9])\.)*([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9\-]*[A-Za-z0-9])\.?$`)

// subject sets subject and names of a certificate by what is asked.
func (e *engine) subject(template *x509.Certificate, body map[string]any, name string) {
	if given := text(body, "common_name"); given != "" {
		name = given
	}
	template.Subject = pkix.Name{
		CommonName: name, Organization: distinct(texts(body["organization"])), OrganizationalUnit: distinct(texts(body["ou"])),
		Country: distinct(texts(body["country"])), Province: distinct(texts(body["province"])), Locality: distinct(texts(body["locality"])),
	}
	if body["exclude_cn_from_sans"] != true && hostName.MatchString(name) {
		template.DNSNames = []string{name}
	}
}

func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// newKey makes the key of a CA.
func (e *engine) newKey(body map[string]any) (crypto.Signer, error) {
	kind, bits := text(body, "key_type"), number(body["key_bits"])
	if kind == "" {
		kind = "rsa"
	}
	if bits == 0 && (kind == "rsa" || e.age == Old) {
		bits = rsaLeast
	}
	if kind == "rsa" {
		if !slices.Contains([]int{2048, 4096, 8192}, bits) && (bits != 3072 || e.age == Old) {
			return nil, fmt.Errorf("unsupported bit length for RSA key: %d", bits)
		}
		return rsa.GenerateKey(rand.Reader, bits)
	}
	if bits == 0 {
		bits = 256
	}
	curves := map[int]elliptic.Curve{224: elliptic.P224(), 256: elliptic.P256(), 384: elliptic.P384(), 521: elliptic.P521()}
	switch curve, known := curves[bits]; {
	case kind != "ec":
		return nil, fmt.Errorf("unknown key type: %s", kind)
	case !known:
		return nil, fmt.Errorf("unsupported bit length for EC key: %d", bits)
	default:
		return ecdsa.GenerateKey(curve, rand.Reader)
	}
}

// makeRoot makes a root. In the old age a mount that has a CA keeps it, which is no failure.
func (e *engine) makeRoot(mount string, body map[string]any) answer {
	if e.age == Old && len(e.keys) > 0 {
		return answer{warnings: []string{"Refusing to generate a root certificate over an existing root certificate. If you really want to destroy " +
			"the original root certificate, please issue a delete against " + mount + "/root."}}
	}
	key, err := e.newKey(body)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	template := e.template(key.Public())
	end, _, refused := e.wanted(template, nil, body)
	if refused != nil {
		return *refused
	}
	template.NotAfter = end
	e.subject(template, body, "")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	template.AuthorityKeyId, template.MaxPathLen = template.SubjectKeyId, -1
	if given, found := body["max_path_length"]; found {
		template.MaxPathLen = number(given)
	}
	template.MaxPathLenZero = template.MaxPathLen == 0
	if err := e.constrain(template, body); err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	made, err := e.create(template, template, key.Public(), key)
	if err != nil {
		return failure(http.StatusInternalServerError, err.Error())
	}
	one := e.adopt(made, nil, e.keep(key))
	one.name = text(body, "issuer_name")
	e.rebuild()
	data := e.describe(made, one)
	if e.age == New {
		data["issuer_id"], data["issuer_name"], data["key_id"], data["key_name"] = one.id, one.name, one.keyID, ""
	}
	return answer{data: data}
}

// keep keeps a key, which in the old age takes the place of another, and with it of its CA.
func (e *engine) keep(key crypto.Signer) string {
	if e.age == Old {
		e.keys, e.issuers = map[string]crypto.Signer{}, nil
	}
	id := rand.Text()
	e.keys[id] = key
	return id
}

// adopt takes a CA up. One with a key is the standard where there is none, or where that follows the latest.
func (e *engine) adopt(certificate *x509.Certificate, chain []*x509.Certificate, keyID string) *issuer {
	one := &issuer{id: rand.Text(), keyID: keyID, certificate: certificate, chain: chain}
	if e.age == Old {
		e.issuers, e.shown = nil, one
	}
	e.issuers = append(e.issuers, one)
	if keyID != "" && (e.standard == "" || e.follows) {
		e.standard = one.id
	}
	if (e.age == Old || keyID != "") && e.entry(serial(certificate, ":")) == nil {
		e.entries = append(e.entries, &entry{certificate: certificate, stored: true})
	}
	return one
}

// makeRequest makes a key and a request for another CA.
func (e *engine) makeRequest(body map[string]any) answer {
	key, err := e.newKey(body)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	var named x509.Certificate
	e.subject(&named, body, "")
	request := &x509.CertificateRequest{Subject: named.Subject, DNSNames: named.DNSNames}
	if body["add_basic_constraints"] == true {
		request.ExtraExtensions = []pkix.Extension{{Id: oidBasicConstraints, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}}}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		return failure(http.StatusInternalServerError, err.Error())
	}
	data := map[string]any{"csr": block("CERTIFICATE REQUEST", der)}
	id := e.keep(key)
	if e.age == New {
		data["key_id"] = id
	}
	return answer{data: data}
}

// setSigned takes up what another CA signed for a key that was made here.
func (e *engine) setSigned(body map[string]any) answer {
	given := text(body, "certificate")
	if given == "" {
		return refuse(http.StatusBadRequest, `no certificate provided in the "certificate" parameter`)
	}
	if e.age == New && len(given) < 75 {
		return refuse(http.StatusBadRequest, "provided data for import was too short; perhaps a path was passed to the API rather than the contents of a PEM file")
	}
	var bundle []*x509.Certificate
	for rest := []byte(strings.TrimSpace(given)); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var found *pem.Block
		if found, rest = pem.Decode(rest); found == nil {
			return refuse(http.StatusBadRequest, "no data found in PEM block")
		}
		one, err := x509.ParseCertificate(found.Bytes)
		if err != nil {
			return refuse(http.StatusBadRequest, err.Error())
		}
		bundle = append(bundle, one)
	}
	if e.age == New {
		return e.importIssuers(bundle)
	}
	var keyID string
	for keyID = range e.keys {
	}
	own := bundle[0]
	switch {
	case keyID == "":
		return refuse(http.StatusBadRequest, "could not find any existing entry with a private key")
	case !own.IsCA:
		return refuse(http.StatusBadRequest, "the given certificate is not marked for CA use and cannot be used with this backend")
	}
	for i, one := range bundle[1:] {
		if err := bundle[i].CheckSignatureFrom(one); err != nil {
			return refuse(http.StatusBadRequest, fmt.Sprintf("verification of parsed bundle failed: certificate %d of certificate chain ca trust path is incorrect (%q/%q)",
				i+1, bundle[i].Subject.CommonName, one.Subject.CommonName))
		}
	}
	if e.keyFor(own) == "" {
		return failure(http.StatusInternalServerError, "verification of parsed bundle failed: public key of certificate does not match private key")
	}
	e.adopt(own, bundle, keyID)
	e.rebuild()
	return answer{}
}

// keyFor finds the key of a certificate; empty for none.
func (e *engine) keyFor(certificate *x509.Certificate) string {
	for id, key := range e.keys {
		if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); ok && public.Equal(certificate.PublicKey) {
			return id
		}
	}
	return ""
}

// importIssuers takes up all of a bundle, in any order; those that have no key here can sign nothing.
func (e *engine) importIssuers(bundle []*x509.Certificate) answer {
	imported, existing, mapping := []string{}, []string{}, map[string]any{}
	for _, certificate := range bundle {
		if !certificate.IsCA {
			return refuse(http.StatusBadRequest, "Error parsing issuer: the given certificate is not marked for CA use and cannot be used with this backend")
		}
		at := slices.IndexFunc(e.issuers, func(one *issuer) bool { return one.certificate.Equal(certificate) })
		if at >= 0 {
			existing = append(existing, e.issuers[at].id)
			mapping[e.issuers[at].id] = e.issuers[at].keyID
			continue
		}
		one := e.adopt(certificate, nil, e.keyFor(certificate))
		imported = append(imported, one.id)
		mapping[one.id] = one.keyID
	}
	e.rebuild()
	return answer{data: map[string]any{
		"imported_issuers": imported, "existing_issuers": existing, "imported_keys": []string{}, "existing_keys": []string{}, "mapping": mapping,
	}}
}

// usages reads which uses of a key are asked for. Names that are none are passed over.
func usages(body map[string]any) x509.KeyUsage {
	given, asked := body["key_usage"]
	if !asked {
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement | x509.KeyUsageKeyEncipherment
	}
	names := map[string]x509.KeyUsage{
		"digitalsignature": x509.KeyUsageDigitalSignature, "contentcommitment": x509.KeyUsageContentCommitment,
		"keyencipherment": x509.KeyUsageKeyEncipherment, "dataencipherment": x509.KeyUsageDataEncipherment,
		"keyagreement": x509.KeyUsageKeyAgreement, "certsign": x509.KeyUsageCertSign, "crlsign": x509.KeyUsageCRLSign,
		"encipheronly": x509.KeyUsageEncipherOnly, "decipheronly": x509.KeyUsageDecipherOnly,
	}
	var all x509.KeyUsage
	for _, name := range texts(given) {
		all |= names[strings.ToLower(strings.TrimSpace(name))]
	}
	return all
}

// extUsages reads the extended ones.
func extUsages(body map[string]any) []x509.ExtKeyUsage {
	names := map[string]x509.ExtKeyUsage{
		"any": x509.ExtKeyUsageAny, "serverauth": x509.ExtKeyUsageServerAuth, "clientauth": x509.ExtKeyUsageClientAuth,
		"codesigning": x509.ExtKeyUsageCodeSigning, "emailprotection": x509.ExtKeyUsageEmailProtection,
		"timestamping": x509.ExtKeyUsageTimeStamping, "ocspsigning": x509.ExtKeyUsageOCSPSigning,
	}
	var all []x509.ExtKeyUsage
	for _, name := range texts(body["ext_key_usage"]) {
		if usage, known := names[strings.ToLower(strings.TrimSpace(name))]; known {
			all = append(all, usage)
		}
	}
	slices.Sort(all)
	return all
}

// signIntermediate signs the request of a CA.
func (e *engine) signIntermediate(ref string, body map[string]any) answer {
	one, key, missing := e.signer(ref)
	if missing != nil {
		return *missing
	}
	request, wrong := parseRequest(text(body, "csr"))
	if wrong != "" {
		return refuse(http.StatusBadRequest, wrong)
	}
	if request.CheckSignature() != nil {
		return refuse(http.StatusBadRequest, "request signature invalid")
	}
	above := one.certificate
	if above.MaxPathLenZero {
		return refuse(http.StatusBadRequest, "signing certificate has a max path length of zero, and cannot issue further CA certificates")
	}
	template := e.template(request.PublicKey)
	template.PublicKey = request.PublicKey
	var done answer
	end, _, refused := e.wanted(template, nil, body)
	if refused != nil {
		return *refused
	}
	template.NotAfter = end
	if end.After(above.NotAfter) {
		if e.age == Old {
			done.warnings = append(done.warnings, "The expiration time for the signed certificate is after the CA's expiration time. If the new certificate is not treated as a root, "+
				"validation paths with the certificate past the issuing CA's expiration time will fail.")
		} else {
			template.NotAfter = above.NotAfter
		}
	}
	if body["use_csr_values"] == true {
		if refused := e.copyRequest(template, request, &done); refused != nil {
			return *refused
		}
	} else {
		e.subject(template, body, request.Subject.CommonName)
	}
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	template.MaxPathLen = max(above.MaxPathLen-1, -1)
	if given, found := body["max_path_length"]; found {
		template.MaxPathLen = number(given)
	}
	template.MaxPathLenZero = template.MaxPathLen == 0
	if err := e.constrain(template, body); err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	made, refused := e.issue(template, one, key)
	if refused != nil {
		return *refused
	}
	e.entries = append(e.entries, &entry{certificate: made, asked: true, stored: true})
	done.data = e.describe(made, one)
	chain := e.chain(one)
	if e.age == New {
		chain = append([]*x509.Certificate{made}, chain...)
	}
	if len(chain) > 0 {
		done.data["ca_chain"] = pems(chain)
	}
	if template.MaxPathLenZero {
		done.warnings = append(done.warnings, isZeroPath)
	}
	return done
}

// constrain sets the name constraints that are asked for beside a request. The old age knows permitted domains, and passes
// over the rest.
func (e *engine) constrain(template *x509.Certificate, body map[string]any) error {
	template.PermittedDNSDomains = texts(body["permitted_dns_domains"])
	if e.age == New {
		template.ExcludedDNSDomains = texts(body["excluded_dns_domains"])
		for name, ranges := range map[string]*[]*net.IPNet{"permitted_ip_ranges": &template.PermittedIPRanges, "excluded_ip_ranges": &template.ExcludedIPRanges} {
			for _, one := range texts(body[name]) {
				_, network, err := net.ParseCIDR(one)
				if err != nil {
					return fmt.Errorf("invalid %s value %q: %w", name, one, err)
				}
				*ranges = append(*ranges, network)
			}
		}
	}
	template.PermittedDNSDomainsCritical = true
	return nil
}
