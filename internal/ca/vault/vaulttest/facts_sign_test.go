// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidNoCheck          = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
)

// isCA is the value of basic constraints of a CA.
var isCA = []byte{0x30, 0x03, 0x01, 0x01, 0xff}

// extension finds one of a certificate; nil for none.
func extension(of *x509.Certificate, id asn1.ObjectIdentifier) *pkix.Extension {
	for i := range of.Extensions {
		if of.Extensions[i].Id.Equal(id) {
			return &of.Extensions[i]
		}
	}
	return nil
}

// asking is a request with extensions.
func (b bench) asking(extensions ...pkix.Extension) string {
	return b.csr(&x509.CertificateRequest{Subject: pkix.Name{CommonName: "one"}, ExtraExtensions: extensions})
}

// signFacts are about sign-verbatim.
func signFacts() map[string]func(bench) {
	return map[string]func(bench){
		"what is signed comes with its serial number, its end and its CA": func(b bench) {
			root := b.rooted()
			data := b.ok(b.put("pki/sign-verbatim/signet", map[string]any{"csr": b.plain()}))
			made := b.certificate(data)
			require.Equal(b.t, pem(root), data["issuing_ca"])
			require.Equal(b.t, colons(made), data["serial_number"])
			require.Equal(b.t, made.NotAfter.Unix(), asInt(b, data["expiration"]))
			if b.age == old {
				require.NotContains(b.t, data, "ca_chain")
			} else {
				require.Equal(b.t, []any{pem(root)}, data["ca_chain"])
			}
			require.NoError(b.t, made.CheckSignatureFrom(root))
			require.LessOrEqual(b.t, len(made.SerialNumber.Bytes()), 20)
		},
		"extensions are copied byte for byte": func(b bench) {
			b.rooted()
			for _, given := range []pkix.Extension{
				{Id: oidSubjectAltName, Value: names(asn1.RawValue{Class: 2, Tag: 2, Bytes: []byte("A.example")}, asn1.RawValue{Class: 2, Tag: 8, Bytes: []byte{0x2a, 0x03}})},
				{Id: oidSubjectAltName, Critical: true, Value: names(asn1.RawValue{Class: 2, Tag: 7, Bytes: net.IPv4(192, 0, 2, 1).To4()})},
				{Id: oidNoCheck, Value: []byte{0x05, 0x00}},
				{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: []byte{0x04, 0x01, 0x07}},
			} {
				require.Equal(b.t, &given, extension(b.sign(map[string]any{"csr": b.asking(given)}), given.Id))
			}
		},
		"basic constraints of a request are dropped, and leaves have none": func(b bench) {
			b.rooted()
			got := b.put("pki/sign-verbatim/signet", map[string]any{"csr": b.asking(pkix.Extension{Id: oidBasicConstraints, Critical: true, Value: isCA})})
			require.Nil(b.t, extension(b.certificate(b.ok(got)), oidBasicConstraints))
			require.Nil(b.t, extension(b.sign(map[string]any{"csr": b.plain()}), oidBasicConstraints))
			require.Len(b.t, got.secret.Warnings, pick(b, 0, 1))
		},
		"key usages are what is asked for, and a request's own win": func(b bench) {
			b.rooted()
			usual := b.sign(map[string]any{"csr": b.plain()})
			require.Equal(b.t, &pkix.Extension{Id: oidKeyUsage, Critical: true, Value: []byte{0x03, 0x02, 0x03, 0xa8}}, extension(usual, oidKeyUsage))
			require.Nil(b.t, extension(usual, oidExtKeyUsage))
			asked := map[string]any{"csr": b.plain(), "key_usage": []string{"DigitalSignature", "Nonsense"}, "ext_key_usage": []string{"ServerAuth", "ClientAuth"}}
			made := b.sign(asked)
			require.Equal(b.t, x509.KeyUsageDigitalSignature, made.KeyUsage)
			require.Equal(b.t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, made.ExtKeyUsage)
			require.False(b.t, extension(made, oidExtKeyUsage).Critical)
			require.Nil(b.t, extension(b.sign(map[string]any{"csr": b.plain(), "key_usage": []string{}}), oidKeyUsage))
			emails, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 4}})
			require.NoError(b.t, err)
			asked["csr"] = b.asking(pkix.Extension{Id: oidExtKeyUsage, Value: emails}, pkix.Extension{Id: oidKeyUsage, Value: []byte{0x03, 0x02, 0x05, 0xa0}})
			own := b.sign(asked)
			require.Equal(b.t, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, own.ExtKeyUsage)
			require.Equal(b.t, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment, own.KeyUsage)
		},
		"a subject is encoded anew, in its order": func(b bench) {
			b.rooted()
			for given, want := range map[string]string{
				"OU=x,O=system:nodes,CN=system:node:one": "OU=x,O=system:nodes,CN=system:node:one",
				"O=a+O=b,CN=c":                           "O=a,O=b,CN=c",
			} {
				made := b.sign(map[string]any{"csr": b.csr(&x509.CertificateRequest{RawSubject: subject(b, given)}), "exclude_cn_from_sans": true})
				var got []string
				for _, name := range made.Subject.Names {
					got = append(got, map[string]string{"2.5.4.3": "CN", "2.5.4.10": "O", "2.5.4.11": "OU"}[name.Type.String()]+"="+name.Value.(string))
				}
				require.Equal(b.t, strings.Split(want, ","), got)
				var parts []attributesSET
				_, err := asn1.Unmarshal(made.RawSubject, &parts)
				require.NoError(b.t, err)
				require.Len(b.t, parts, 3)
				for _, part := range parts {
					require.Len(b.t, part, 1)
					require.Equal(b.t, asn1.TagPrintableString, part[0].Value.Tag)
				}
			}
			require.Equal(b.t, []byte{0x30, 0x00}, b.sign(map[string]any{"csr": b.plain()}).RawSubject)
		},
		"a common name must be a host's unless it is excluded": func(b bench) {
			b.rooted()
			csr := b.csr(&x509.CertificateRequest{Subject: pkix.Name{CommonName: "a..b"}})
			got := b.put("pki/sign-verbatim/signet", map[string]any{"csr": csr})
			require.Equal(b.t, http.StatusBadRequest, got.status)
			require.Contains(b.t, got.errors[0], "idna: ")
			made := b.sign(map[string]any{"csr": csr, "exclude_cn_from_sans": true})
			require.Equal(b.t, "a..b", made.Subject.CommonName)
			require.Nil(b.t, extension(made, oidSubjectAltName))
			for _, name := range []string{"system:node:one", "*.example.com", "with space"} {
				b.sign(map[string]any{"csr": b.csr(&x509.CertificateRequest{Subject: pkix.Name{CommonName: name}})})
			}
		},
		"a certificate begins 30 s before it is signed, and lasts as long as asked from then": func(b bench) {
			b.rooted()
			for _, ttl := range []any{"3600s", 3600, "3600", "1h"} {
				before := time.Now()
				made := b.sign(map[string]any{"csr": b.plain(), "ttl": ttl})
				b.lasts(time.Hour, made)
				require.WithinRange(b.t, made.NotBefore, before.Add(-31*time.Second), time.Now().Add(-30*time.Second))
			}
			usual := b.sign(map[string]any{"csr": b.plain()})
			b.lasts(768*time.Hour, usual)
		},
		"what a role allows cuts a life": func(b bench) {
			b.rooted()
			b.put("pki/roles/short", map[string]any{"allow_any_name": true, "ttl": "1m", "max_ttl": "2h"})
			for ttl, want := range map[string]time.Duration{"9h": 2 * time.Hour, "0s": time.Minute} {
				got := b.put("pki/sign-verbatim/short", map[string]any{"csr": b.plain(), "ttl": ttl})
				made := b.certificate(b.ok(got))
				b.lasts(want, made)
				if ttl == "9h" {
					require.Len(b.t, got.secret.Warnings, pick(b, 0, 1))
				}
			}
		},
		"certificates name the places that the mount was told": func(b bench) {
			b.rooted()
			require.Empty(b.t, b.sign(map[string]any{"csr": b.plain()}).CRLDistributionPoints)
			urls := map[string]any{"crl_distribution_points": "http://a.example/1.crl", "ocsp_servers": "http://a.example/ocsp", "issuing_certificates": "http://a.example/1.crt"}
			require.Equal(b.t, pick(b, http.StatusNoContent, http.StatusOK), b.put("pki/config/urls", urls).status)
			made := b.sign(map[string]any{"csr": b.plain()})
			require.Equal(b.t, []string{"http://a.example/1.crl"}, made.CRLDistributionPoints)
			require.Equal(b.t, []string{"http://a.example/ocsp"}, made.OCSPServer)
			require.Equal(b.t, []string{"http://a.example/1.crt"}, made.IssuingCertificateURL)
		},
		"a life beyond the CA's is refused": func(b bench) {
			root := b.rooted()
			got := b.put("pki/sign-verbatim/signet", map[string]any{"csr": b.plain(), "ttl": "50000h"})
			require.Equal(b.t, http.StatusBadRequest, got.status)
			require.Regexp(b.t, "^cannot satisfy request, as TTL would result in notAfter .* that is beyond the expiration of the CA certificate at "+
				root.NotAfter.Format(time.RFC3339)+"$", got.errors[0])
		},
		"a life that is none is an error of the server": func(b bench) {
			b.rooted()
			for _, ttl := range []any{"bogus", "-1h"} {
				require.GreaterOrEqual(b.t, b.put("pki/sign-verbatim/signet", map[string]any{"csr": b.plain(), "ttl": ttl}).status, 400, "%v", ttl)
			}
			require.Equal(b.t, http.StatusInternalServerError, b.put("pki/sign-verbatim/signet", map[string]any{"csr": b.plain(), "ttl": "bogus"}).status)
		},
		"an exact end is kept, or passed over": func(b bench) {
			b.rooted()
			end := time.Now().Add(100 * time.Hour).UTC().Truncate(time.Second)
			made := b.sign(map[string]any{"csr": b.plain(), "not_after": end.Format(time.RFC3339)})
			require.Equal(b.t, b.age != old, made.NotAfter.Equal(end))
		},
		"an unknown role is passed over, or refused": func(b bench) {
			b.rooted()
			got := b.put("pki/sign-verbatim/nobody", map[string]any{"csr": b.plain()})
			if b.age == old {
				b.ok(got)
			} else {
				b.refuses(got, http.StatusBadRequest, "unknown role: nobody")
			}
			b.ok(b.put("pki/sign-verbatim", map[string]any{"csr": b.plain()}))
		},
		"what is no request is refused": func(b bench) {
			b.rooted()
			b.refuses(b.put("pki/sign-verbatim/signet", map[string]any{"csr": ""}), http.StatusBadRequest, `"csr" is empty`)
			b.refuses(b.put("pki/sign-verbatim/signet", map[string]any{"csr": "x"}), http.StatusBadRequest, "csr contains no data")
			b.refuses(b.put("pki/sign-verbatim/signet", map[string]any{"csr": b.forged()}), http.StatusBadRequest, "request signature invalid")
		},
		"parameters that nobody knows are passed over": func(b bench) {
			b.rooted()
			b.sign(map[string]any{"csr": b.plain(), "not_before": "2020-01-01T00:00:00Z", "nonsense": 1})
		},
		"another name of a request is copied, or written anew where it is UTF-8": func(b bench) {
			b.rooted()
			host := asn1.RawValue{Class: 2, Tag: 2, Bytes: []byte("a.example")}
			upn := func(tag int) asn1.RawValue {
				id, err := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3})
				require.NoError(b.t, err)
				value, err := asn1.Marshal(asn1.RawValue{Tag: tag, Bytes: []byte("me")})
				require.NoError(b.t, err)
				outer, err := asn1.Marshal(asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: value})
				require.NoError(b.t, err)
				return asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: append(id, outer...)}
			}
			first := pkix.Extension{Id: oidSubjectAltName, Value: names(upn(asn1.TagUTF8String), host)}
			anew := pkix.Extension{Id: oidSubjectAltName, Value: names(host, upn(asn1.TagUTF8String))}
			require.Equal(b.t, pick(b, &first, &anew), extension(b.sign(map[string]any{"csr": b.asking(first)}), oidSubjectAltName))
			other := pkix.Extension{Id: oidSubjectAltName, Value: names(upn(asn1.TagIA5String), host)}
			require.Equal(b.t, pick(b, http.StatusOK, http.StatusBadRequest), b.put("pki/sign-verbatim/signet", map[string]any{"csr": b.asking(other)}).status)
		},
	}
}

// intermediateFacts are about signing CAs.
func intermediateFacts() map[string]func(bench) {
	return map[string]func(bench){
		"a CA is signed with the subject and extensions of its request, but for basic constraints": func(b bench) {
			root := b.rooted()
			private := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: []byte{0x04, 0x01, 0x07}}
			usage := pkix.Extension{Id: oidKeyUsage, Critical: true, Value: []byte{0x03, 0x02, 0x01, 0x86}}
			csr := b.asking(private, usage, pkix.Extension{Id: oidBasicConstraints, Critical: true, Value: []byte{0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x05}})
			got := b.put("pki/root/sign-intermediate", map[string]any{"csr": csr, "use_csr_values": true, "ttl": "8760h", "max_path_length": 0})
			made := b.certificate(b.ok(got))
			require.Equal(b.t, "CN=one", made.Subject.String())
			require.Equal(b.t, []any{true, 0, true}, []any{made.IsCA, made.MaxPathLen, made.MaxPathLenZero})
			require.True(b.t, extension(made, oidBasicConstraints).Critical)
			require.Equal(b.t, &private, extension(made, private.Id))
			require.Equal(b.t, &usage, extension(made, oidKeyUsage))
			b.lasts(8760*time.Hour, made)
			require.Contains(b.t, got.secret.Warnings, "Max path length of the signed certificate is zero. This certificate cannot be used to issue intermediate CA certificates.")
			require.NoError(b.t, made.CheckSignatureFrom(root))
			if b.age == old {
				require.NotContains(b.t, got.secret.Data, "ca_chain")
			} else {
				require.Equal(b.t, []any{pem(made), pem(root)}, got.secret.Data["ca_chain"])
			}
		},
		"a CA has one step less than its issuer, whose last step is none": func(b bench) {
			b.Mount("pki")
			b.ok(b.put("pki/root/generate/internal", map[string]any{"common_name": "The Root", "key_type": "ec", "key_bits": 256, "max_path_length": 1}))
			made := b.certificate(b.ok(b.put("pki/root/sign-intermediate", map[string]any{"csr": b.asking(), "use_csr_values": true})))
			require.Equal(b.t, []any{0, true}, []any{made.MaxPathLen, made.MaxPathLenZero})
			require.Equal(b.t, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, made.KeyUsage)
			b.Mount("last")
			b.ok(b.put("last/root/generate/internal", map[string]any{"common_name": "The Root", "key_type": "ec", "key_bits": 256, "max_path_length": 0}))
			b.refuses(b.put("last/root/sign-intermediate", map[string]any{"csr": b.asking(), "use_csr_values": true}), http.StatusBadRequest,
				"signing certificate has a max path length of zero, and cannot issue further CA certificates")
		},
		"permitted domains are set, and ranges of addresses by a new Vault only": func(b bench) {
			b.rooted()
			made := b.certificate(b.ok(b.put("pki/root/sign-intermediate", map[string]any{
				"csr": b.asking(), "use_csr_values": true, "permitted_dns_domains": "a.example,b.example", "permitted_ip_ranges": "192.0.2.0/24", "excluded_dns_domains": "c.example",
			})))
			require.Equal(b.t, []string{"a.example", "b.example"}, made.PermittedDNSDomains)
			require.True(b.t, made.PermittedDNSDomainsCritical)
			require.Len(b.t, made.PermittedIPRanges, pick(b, 0, 1))
			require.Len(b.t, made.ExcludedDNSDomains, pick(b, 0, 1))
		},
		"without the request's values only its common name is kept": func(b bench) {
			b.rooted()
			csr := b.csr(&x509.CertificateRequest{Subject: pkix.Name{CommonName: "alone", Organization: []string{"A"}}})
			made := b.certificate(b.ok(b.put("pki/root/sign-intermediate", map[string]any{"csr": csr})))
			require.Equal(b.t, "CN=alone", made.Subject.String())
			require.Equal(b.t, []string{"alone"}, made.DNSNames)
		},
		"a CA that would outlast its issuer is signed with a warning, or cut": func(b bench) {
			root := b.rooted()
			got := b.put("pki/root/sign-intermediate", map[string]any{"csr": b.asking(), "use_csr_values": true, "ttl": "60000h"})
			made := b.certificate(b.ok(got))
			require.Equal(b.t, b.age == old, made.NotAfter.After(root.NotAfter))
			if b.age == old {
				require.Contains(b.t, got.secret.Warnings[0], "The expiration time for the signed certificate is after the CA's expiration time.")
			} else {
				require.Equal(b.t, root.NotAfter, made.NotAfter)
			}
		},
		"name constraints of a CA bind what a new Vault signs": func(b bench) {
			b.Mount("pki")
			b.ok(b.put("pki/root/generate/internal", map[string]any{"common_name": "The Root", "key_type": "ec", "key_bits": 256, "permitted_dns_domains": "other.example"}))
			got := b.put("pki/sign-verbatim", map[string]any{"csr": b.plain(), "ttl": "1h"})
			require.Equal(b.t, pick(b, http.StatusOK, http.StatusInternalServerError), got.status)
		},
	}
}

// revokeFacts are about what is stored, and taken back.
func revokeFacts() map[string]func(bench) {
	return map[string]func(bench){
		"certificates are listed with hyphens, or with colons": func(b bench) {
			root := b.rooted()
			made := b.sign(map[string]any{"csr": b.plain()})
			for _, one := range []*x509.Certificate{root, made} {
				require.Contains(b.t, b.ok(b.list("pki/certs"))["keys"], pick(b, strings.ReplaceAll(colons(one), ":", "-"), colons(one)))
			}
			for _, name := range []string{colons(made), strings.ReplaceAll(colons(made), ":", "-")} {
				require.Equal(b.t, made.Raw, b.certificate(b.ok(b.get("pki/cert/"+name))).Raw)
			}
		},
		"a certificate is revoked once, at the first time": func(b bench) {
			root := b.rooted()
			made := b.sign(map[string]any{"csr": b.plain()})
			require.EqualValues(b.t, 0, asInt(b, b.ok(b.get("pki/cert/" + colons(made)))["revocation_time"]))
			first := b.ok(b.put("pki/revoke", map[string]any{"serial_number": colons(made)}))
			again := b.ok(b.put("pki/revoke", map[string]any{"serial_number": strings.ToUpper(strings.ReplaceAll(colons(made), ":", "-"))}))
			require.Equal(b.t, first, again)
			require.Equal(b.t, first["revocation_time"], b.ok(b.get("pki/cert/" + colons(made)))["revocation_time"])
			list := b.crl()
			require.NoError(b.t, list.CheckSignatureFrom(root))
			require.Len(b.t, list.RevokedCertificateEntries, 1)
			require.Equal(b.t, made.SerialNumber, list.RevokedCertificateEntries[0].SerialNumber)
			require.Empty(b.t, list.RevokedCertificateEntries[0].Extensions)
		},
		"what was not signed here, and the CA, cannot be revoked": func(b bench) {
			root := b.rooted()
			revoke := func(serial string) said { return b.put("pki/revoke", map[string]any{"serial_number": serial}) }
			b.refuses(revoke("0a:1b"), http.StatusBadRequest, pick(b, "certificate with serial 0a:1b not found", "certificate with serial 0a:1b not found."))
			b.refuses(revoke(""), http.StatusBadRequest, "The serial number must be provided")
			require.Equal(b.t, http.StatusBadRequest, revoke(colons(root)).status)
		},
		"a list has no number in an old Vault, and ends after three days": func(b bench) {
			b.rooted()
			first := b.crl()
			require.Equal(b.t, b.age == old, first.Number == nil)
			require.InDelta(b.t, 72*time.Hour, first.NextUpdate.Sub(first.ThisUpdate), float64(time.Second))
			require.Empty(b.t, first.RevokedCertificateEntries)
		},
		"a list is made anew on demand, and lasts as was said": func(b bench) {
			b.rooted()
			if b.age == old {
				require.Equal(b.t, http.StatusNotFound, b.get("pki/config/crl").status)
			}
			require.Less(b.t, b.put("pki/config/crl", map[string]any{"expiry": "24h"}).status, 300)
			if b.age == old {
				require.InDelta(b.t, 72*time.Hour, b.crl().NextUpdate.Sub(b.crl().ThisUpdate), float64(time.Second))
			}
			require.Equal(b.t, true, b.ok(b.get("pki/crl/rotate"))["success"])
			require.InDelta(b.t, 24*time.Hour, b.crl().NextUpdate.Sub(b.crl().ThisUpdate), float64(time.Second))
		},
		"what a role does not store is signed, and cannot be read or revoked": func(b bench) {
			b.rooted()
			b.put("pki/roles/fleeting", map[string]any{"allow_any_name": true, "no_store": true})
			made := b.certificate(b.ok(b.put("pki/sign-verbatim/fleeting", map[string]any{"csr": b.plain()})))
			require.Equal(b.t, http.StatusNotFound, b.get("pki/cert/"+colons(made)).status)
			require.Equal(b.t, http.StatusBadRequest, b.put("pki/revoke", map[string]any{"serial_number": colons(made)}).status)
		},
	}
}
