// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // names keys
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// early is how much before now what is signed begins.
const early = 30 * time.Second

// rsaLeast is the length in bits of the shortest RSA key that is signed.
const rsaLeast = 2048

// wasSet begins what Vault says where no CA can sign.
const wasSet = "could not fetch the CA certificate (was one set?): "

const isZeroPath = "Max path length of the signed certificate is zero. This certificate cannot be used to issue intermediate CA certificates."

// signer gives the issuer that is to sign and its key, or why there is none.
func (e *engine) signer(ref string) (*issuer, crypto.Signer, *answer) {
	one := e.issuer(ref)
	var missing answer
	switch {
	case one != nil && e.keys[one.keyID] != nil:
		return one, e.keys[one.keyID], nil
	case one != nil:
		missing = failure(http.StatusInternalServerError,
			wasSet+"unable to fetch corresponding key for issuer "+one.id+"; unable to use this issuer for signing")
	case e.age == Old && len(e.keys) > 0:
		missing = failure(http.StatusInternalServerError, "error fetching CA certificate: "+unreadable)
	case e.age == New:
		missing = failure(http.StatusInternalServerError, wasSet+unknownIssuer(ref))
	default:
		missing = failure(http.StatusInternalServerError, wasSet+noCA)
	}
	return nil, nil, &missing
}

// parseRequest reads a certificate request, or says what is wrong with it.
func parseRequest(given string) (*x509.CertificateRequest, string) {
	if given == "" {
		return nil, `"csr" is empty`
	}
	found, _ := pem.Decode([]byte(given))
	if found == nil {
		return nil, "csr contains no data"
	}
	request, err := x509.ParseCertificateRequest(found.Bytes)
	if err != nil {
		return nil, fmt.Sprintf("certificate request could not be parsed: %v", err)
	}
	if key, ok := request.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < rsaLeast {
		return nil, "RSA keys < 2048 bits are unsafe and not supported"
	}
	return request, ""
}

// checkNames says what is wrong with the names of a request.
func (e *engine) checkNames(request *x509.CertificateRequest, excluded bool) string {
	name := request.Subject.CommonName
	if !excluded && name != "" && !strings.Contains(name, "@") {
		if _, err := idna.New(idna.StrictDomainName(true), idna.VerifyDNSLength(true)).ToASCII(name); err != nil {
			return err.Error()
		}
	}
	if strings.Count(name, "@") > 1 && e.age == Old {
		return "common name " + name + " not allowed by this role"
	}
	for _, name := range request.DNSNames {
		if strings.Count(name, "@") > 1 {
			return "subject alternate name " + name + " not allowed by this role"
		}
	}
	for _, name := range request.EmailAddresses {
		if strings.Count(name, "@") > 1 {
			return "email address " + name + " not allowed by this role"
		}
	}
	return ""
}

// signVerbatim signs a request as it is. Of a role only its limits matter.
func (e *engine) signVerbatim(ref, roleName string, body map[string]any) answer {
	role, known := e.roles[roleName]
	if e.age == New && roleName != "" && !known {
		return refuse(http.StatusBadRequest, "unknown role: "+roleName)
	}
	if named := text(role, "issuer_ref"); e.age == New && ref == "" && named != "" {
		ref = named
	}
	one, key, missing := e.signer(ref)
	if missing != nil {
		return *missing
	}
	request, wrong := parseRequest(text(body, "csr"))
	if wrong == "" {
		wrong = e.checkNames(request, body["exclude_cn_from_sans"] == true)
	}
	if wrong != "" {
		return refuse(http.StatusBadRequest, wrong)
	}
	template := e.template(request.PublicKey)
	template.PublicKey = request.PublicKey
	var done answer
	if refused := e.end(template, one, role, body, &done); refused != nil {
		return *refused
	}
	if request.CheckSignature() != nil {
		return refuse(http.StatusBadRequest, "request signature invalid")
	}
	if refused := e.copyRequest(template, request, &done); refused != nil {
		return *refused
	}
	template.KeyUsage, template.ExtKeyUsage = usages(body), extUsages(body)
	made, refused := e.issue(template, one, key)
	if refused != nil {
		return *refused
	}
	noStore := role["no_store"] == true
	e.entries = append(e.entries, &entry{certificate: made, asked: true, stored: !noStore})
	done.data = e.describe(made, one)
	if chain := e.chain(one); len(chain) > 0 {
		done.data["ca_chain"] = pems(chain)
	}
	return done
}

// template is what all certificates have that begin now.
func (e *engine) template(public crypto.PublicKey) *x509.Certificate {
	number := make([]byte, 20)
	_, _ = rand.Read(number) // never fails
	number[0] = number[0]&0x7f | 0x40
	return &x509.Certificate{SerialNumber: new(big.Int).SetBytes(number), NotBefore: e.now().Add(-early), SubjectKeyId: e.keyID(public)}
}

// keyID names a key: by all of its SubjectPublicKeyInfo in the old age, and as RFC 5280 does (4.2.1.2, method 1) in the new.
func (e *engine) keyID(public crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err) // it was parsed here
	}
	if e.age == New {
		var info struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}
		if _, err := asn1.Unmarshal(der, &info); err != nil {
			panic(err)
		}
		der = info.Key.Bytes
	}
	sum := sha1.Sum(der) //nolint:gosec // names keys
	return sum[:]
}

// end sets when a certificate ends: no later than role and mount let it. One that would outlast its CA is refused.
func (e *engine) end(template *x509.Certificate, one *issuer, role, body map[string]any, done *answer) *answer {
	notAfter, cut, refused := e.wanted(template, role, body)
	if refused != nil {
		return refused
	}
	if cut != "" && e.age == New {
		done.warnings = append(done.warnings, cut)
	}
	template.NotAfter = notAfter
	if template.NotAfter.After(one.certificate.NotAfter) {
		late := refuse(http.StatusBadRequest, fmt.Sprintf("cannot satisfy request, as TTL would result in notAfter %s that is beyond the expiration of the CA certificate at %s",
			template.NotAfter.Format(time.RFC3339Nano), one.certificate.NotAfter.Format(time.RFC3339Nano)))
		return &late
	}
	return nil
}

// wanted is when a certificate is to end, and how Vault says that this is earlier than asked.
func (e *engine) wanted(template *x509.Certificate, role, body map[string]any) (time.Time, string, *answer) {
	exact := text(body, "not_after")
	if e.age == New && exact != "" {
		if body["ttl"] != nil {
			both := refuse(http.StatusBadRequest, "Either ttl or not_after should be provided. Both should not be provided in the same request.")
			return time.Time{}, "", &both
		}
		end, err := time.Parse(time.RFC3339, exact)
		if err != nil {
			bad := refuse(http.StatusBadRequest, err.Error())
			return time.Time{}, "", &bad
		}
		return end, "", nil
	}
	now := template.NotBefore.Add(early)
	life, err := duration(body["ttl"])
	if err != nil || life < 0 {
		bad := failure(http.StatusInternalServerError, fmt.Sprintf("error converting input %v for field %q", body["ttl"], "ttl"))
		return time.Time{}, "", &bad
	}
	if life == 0 {
		life, _ = duration(role["ttl"])
	}
	if life == 0 {
		life = min(monthLong, e.most)
	}
	most, _ := duration(role["max_ttl"])
	if most == 0 {
		most = e.most
	}
	if life > most {
		return now.Add(most), fmt.Sprintf("TTL %q is longer than permitted maxTTL %q, so maxTTL is being used", life, most), nil
	}
	return now.Add(life), "", nil
}

var (
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
)

// copyRequest takes subject and extensions of a request over, but for basic constraints.
func (e *engine) copyRequest(template *x509.Certificate, request *x509.CertificateRequest, done *answer) *answer {
	template.Subject = request.Subject
	template.Subject.ExtraNames = request.Subject.Names
	for _, extension := range request.Extensions {
		switch {
		case extension.Id.Equal(oidBasicConstraints):
			if e.age == New {
				done.warnings = append(done.warnings, "specified CSR contained a Basic Constraints extension that was ignored during issuance")
			}
		case extension.Id.Equal(oidSubjectAltName) && e.age == New:
			again, err := rebuildNames(extension, request)
			if err != nil {
				bad := refuse(http.StatusBadRequest, err.Error())
				return &bad
			}
			template.ExtraExtensions = append(template.ExtraExtensions, again)
		default:
			template.ExtraExtensions = append(template.ExtraExtensions, extension)
		}
	}
	return nil
}

// issue signs a certificate.
func (e *engine) issue(template *x509.Certificate, one *issuer, key crypto.Signer) (*x509.Certificate, *answer) {
	template.AuthorityKeyId = one.certificate.SubjectKeyId
	made, err := e.create(template, one.certificate, template.PublicKey, key)
	if err == nil && e.age == New {
		err = verify(made, one.certificate, e.now())
	}
	if err != nil {
		bad := failure(http.StatusInternalServerError, err.Error())
		return nil, &bad
	}
	return made, nil
}

func (e *engine) create(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	template.IssuingCertificateURL, template.OCSPServer = texts(e.urls["issuing_certificates"]), texts(e.urls["ocsp_servers"])
	template.CRLDistributionPoints = texts(e.urls["crl_distribution_points"])
	if e.age == Old { // SHA-256 for keys of all sizes
		switch key.(type) {
		case *rsa.PrivateKey:
			template.SignatureAlgorithm = x509.SHA256WithRSA
		case *ecdsa.PrivateKey:
			template.SignatureAlgorithm = x509.ECDSAWithSHA256
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("unable to create certificate: %w", err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("unable to parse created certificate: %w", err)
	}
	return made, nil
}

// verify holds a certificate to its issuer's constraints.
func verify(made, issuer *x509.Certificate, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AddCert(issuer)
	_, err := made.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// describe is what is told of every certificate that was made.
func (e *engine) describe(made *x509.Certificate, one *issuer) map[string]any {
	data := map[string]any{
		"certificate": block("CERTIFICATE", made.Raw), "issuing_ca": block("CERTIFICATE", one.certificate.Raw),
		"serial_number": serial(made, ":"), "expiration": made.NotAfter.Unix(),
	}
	if e.age == New {
		data["authority_key_id"] = strings.ReplaceAll(fmt.Sprintf("% x", made.AuthorityKeyId), " ", ":")
	}
	return data
}

// rebuildNames is what the new age does to names of a request: kept as they are, unless another name is among them. Then
// they are written anew, without what Go does not know, and that name has to be a UTF8String.
func rebuildNames(extension pkix.Extension, request *x509.CertificateRequest) (pkix.Extension, error) {
	var all, others []asn1.RawValue
	if _, err := asn1.Unmarshal(extension.Value, &all); err != nil {
		return extension, err
	}
	for _, one := range all {
		if one.Class != asn1.ClassContextSpecific || one.Tag != 0 {
			continue
		}
		var id asn1.ObjectIdentifier
		var value, inner asn1.RawValue
		rest, err := asn1.Unmarshal(one.Bytes, &id)
		if err == nil {
			_, err = asn1.Unmarshal(rest, &value)
		}
		if err == nil {
			_, err = asn1.Unmarshal(value.Bytes, &inner)
		}
		if err != nil || inner.Tag != asn1.TagUTF8String {
			return extension, fmt.Errorf("unable to parse other SAN %v: it is no UTF8String", id)
		}
		others = append(others, one)
	}
	if len(others) == 0 {
		return extension, nil
	}
	var names []asn1.RawValue
	add := func(tag int, value []byte) {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: value})
	}
	for _, name := range request.DNSNames {
		add(2, []byte(name))
	}
	for _, name := range request.EmailAddresses {
		add(1, []byte(name))
	}
	for _, address := range request.IPAddresses {
		if short := address.To4(); short != nil {
			address = short
		}
		add(7, address)
	}
	for _, uri := range request.URIs {
		add(6, []byte(uri.String()))
	}
	value, err := asn1.Marshal(append(names, others...))
	return pkix.Extension{Id: oidSubjectAltName, Value: bytes.Clone(value)}, err
}
