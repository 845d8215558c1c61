// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest_test

import (
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	noCA      = "backend must be configured with a CA certificate/key"
	noDefault = "no default issuer currently configured"
)

// authorityFacts are about the CA of a mount: reading, making and changing it.
func authorityFacts() map[string]func(bench) {
	return map[string]func(bench){
		"a mount without a CA has nothing to read, and says so in other ways at each path": func(b bench) {
			b.Mount("pki")
			for _, path := range []string{"pki/ca", "pki/ca/pem", "pki/ca_chain", "pki/crl", "pki/crl/pem"} {
				require.Equal(b.t, http.StatusNoContent, b.get(path).status, path)
			}
			absent := []string{"pki/cert/00-01"}
			if b.age == old {
				absent = append(absent, "pki/cert/ca", "pki/cert/crl")
			} else {
				b.refuses(b.get("pki/cert/ca"), http.StatusBadRequest, noDefault)
				b.refuses(b.get("pki/cert/crl"), http.StatusInternalServerError, once(noDefault))
				b.refuses(b.get("pki/issuer/default/json"), http.StatusInternalServerError, once(noDefault))
			}
			for _, path := range absent {
				got := b.get(path)
				require.Equal(b.t, http.StatusNotFound, got.status, path)
				require.Empty(b.t, got.errors)
			}
			b.refuses(b.get("pki/cert/ca_chain"), http.StatusBadRequest, pick(b, noCA, noDefault))
			got := b.list("pki/certs")
			require.Equal(b.t, http.StatusNotFound, got.status)
			require.Empty(b.t, got.errors)
		},
		"a mount without a CA signs nothing, with 500": func(b bench) {
			b.Mount("pki")
			missing := once("could not fetch the CA certificate (was one set?): " + pick(b, noCA, noDefault))
			b.put("pki/roles/signet", map[string]any{"allow_any_name": true})
			b.refuses(b.put("pki/sign-verbatim/signet", map[string]any{"csr": b.plain()}), http.StatusInternalServerError, missing)
			b.refuses(b.put("pki/root/sign-intermediate", map[string]any{"csr": b.plain()}), http.StatusInternalServerError, missing)
		},
		"a root is read without a token": func(b bench) {
			root := b.rooted()
			anybody := b.Client("")
			require.Equal(b.t, root.Raw, b.certificate(b.ok(b.as(anybody, "GET", "pki/cert/ca", nil))).Raw)
			chain := b.ok(b.as(anybody, "GET", "pki/cert/ca_chain", nil))["certificate"]
			if b.age == old {
				require.Empty(b.t, chain)
			} else {
				require.Equal(b.t, root.Raw, b.parse(chain).Raw)
			}
			require.Equal(b.t, pick(b, http.StatusNoContent, http.StatusOK), b.as(anybody, "GET", "pki/ca_chain", nil).status)
			require.Equal(b.t, root.Raw, b.as(anybody, "GET", "pki/ca", nil).bare)
			require.Equal(b.t, pem(root), string(b.as(anybody, "GET", "pki/ca/pem", nil).bare))
			require.Contains(b.t, b.ok(b.as(anybody, "GET", "pki/cert/crl", nil))["certificate"], "BEGIN X509 CRL")
			require.Equal(b.t, root.Raw, b.certificate(b.ok(b.as(b.Client("nonsense"), "GET", "pki/cert/ca", nil))).Raw)
		},
		"a root is what was asked for": func(b bench) {
			b.Mount("pki")
			data := b.ok(b.put("pki/root/generate/internal", map[string]any{
				"common_name": "Root", "organization": []string{"B, C", "A", "A"}, "key_type": "ec", "key_bits": 384, "ttl": "8760h", "max_path_length": 2,
				"exclude_cn_from_sans": true,
			}))
			root := b.certificate(data)
			require.Equal(b.t, data["certificate"], data["issuing_ca"])
			require.Equal(b.t, "O=A+O=B\\, C,CN=Root", strings.ReplaceAll(root.Subject.ToRDNSequence().String(), "CN=Root,O=A+O=B\\, C", "O=A+O=B\\, C,CN=Root"))
			require.Equal(b.t, []any{2, false}, []any{root.MaxPathLen, root.MaxPathLenZero})
			b.lasts(8760*time.Hour, root)
			require.Equal(b.t, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, root.KeyUsage)
			require.Equal(b.t, root.SubjectKeyId, root.AuthorityKeyId)
			require.Empty(b.t, root.DNSNames)
			require.Equal(b.t, pick(b, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384), root.SignatureAlgorithm)
			require.NoError(b.t, root.CheckSignatureFrom(root))
		},
		"a CA's common name becomes a host's name unless that is excluded": func(b bench) {
			b.Mount("pki")
			root := b.certificate(b.ok(b.put("pki/root/generate/internal", map[string]any{"common_name": "Root", "key_type": "ec", "key_bits": 256})))
			require.Equal(b.t, []string{"Root"}, root.DNSNames)
			require.Equal(b.t, -1, root.MaxPathLen)
			b.lasts(768*time.Hour, root)
		},
		"keys of a length that Vault does not make are refused": func(b bench) {
			b.Mount("pki")
			b.refuses(b.put("pki/root/generate/internal", map[string]any{"common_name": "Root", "key_type": "ec", "key_bits": 2048}),
				http.StatusBadRequest, "unsupported bit length for EC key: 2048")
		},
		"a root over another is refused with a warning, or is one more": func(b bench) {
			first := b.rooted()
			got := b.put("pki/root/generate/internal", map[string]any{"common_name": "Second", "key_type": "ec", "key_bits": 256})
			require.Equal(b.t, http.StatusOK, got.status)
			if b.age == old {
				require.Empty(b.t, got.secret.Data)
				require.Equal(b.t, []string{"Refusing to generate a root certificate over an existing root certificate. If you really want to destroy the " +
					"original root certificate, please issue a delete against pki/root."}, got.secret.Warnings)
			} else {
				require.NotEmpty(b.t, got.secret.Data["issuer_id"])
			}
			require.Equal(b.t, first.Raw, b.certificate(b.ok(b.get("pki/cert/ca"))).Raw)
		},
		"an intermediate shows the bundle that it was set with": func(b bench) {
			b.Mount("root")
			b.Mount("pki")
			root := b.parse(b.MakeRoot("root"))
			own := b.parse(b.MakeIntermediate("pki", "root"))
			require.Equal(b.t, own.Raw, b.certificate(b.ok(b.get("pki/cert/ca"))).Raw)
			chain, ok := b.ok(b.get("pki/cert/ca_chain"))["certificate"].(string)
			require.True(b.t, ok)
			require.Equal(b.t, pem(own)+"\n"+pem(root), chain)
			data := b.ok(b.put("pki/sign-verbatim", map[string]any{"csr": b.plain()}))
			require.Equal(b.t, []any{pem(own), pem(root)}, data["ca_chain"])
			require.Equal(b.t, pem(own), data["issuing_ca"])
		},
		"a mount whose request is not answered yet signs nothing, and still shows its old CA": func(b bench) {
			root := b.rooted()
			ask := map[string]any{"common_name": "Next", "key_type": "ec", "key_bits": 256}
			require.Contains(b.t, b.ok(b.put("pki/intermediate/generate/internal", ask))["csr"], "BEGIN CERTIFICATE REQUEST")
			require.Equal(b.t, root.Raw, b.certificate(b.ok(b.get("pki/cert/ca"))).Raw)
			signed := b.put("pki/sign-verbatim/signet", map[string]any{"csr": b.plain()})
			if b.age != old {
				b.ok(signed)
				return
			}
			pending := once("error fetching CA certificate: stored CA information not able to be parsed")
			b.refuses(signed, http.StatusInternalServerError, pending)
			b.refuses(b.get("pki/cert/ca_chain"), http.StatusInternalServerError, "stored CA information not able to be parsed")
		},
		"a request for a CA has basic constraints where that is asked for": func(b bench) {
			for _, with := range []bool{false, true} {
				mount := map[bool]string{false: "without", true: "with"}[with]
				b.Mount(mount)
				data := b.ok(b.put(mount+"/intermediate/generate/internal", map[string]any{
					"common_name": "CA", "key_type": "ec", "key_bits": 256, "add_basic_constraints": with, "exclude_cn_from_sans": true,
				}))
				request := b.request(data["csr"])
				require.NoError(b.t, request.CheckSignature())
				require.Equal(b.t, with, len(request.Extensions) == 1 && request.Extensions[0].Id.Equal(oidBasicConstraints))
			}
		},
		"what is set must be a CA of the key that was made, its issuers behind it": func(b bench) {
			b.Mount("root")
			b.Mount("pki")
			root := b.parse(b.MakeRoot("root"))
			set := func(bundle string) said {
				return b.put("pki/intermediate/set-signed", map[string]any{"certificate": bundle})
			}
			if b.age == old {
				b.refuses(set(pem(root)), http.StatusBadRequest, "could not find any existing entry with a private key")
			}
			b.refuses(set(""), http.StatusBadRequest, `no certificate provided in the "certificate" parameter`)
			csr := b.ok(b.put("pki/intermediate/generate/internal", map[string]any{"common_name": "CA", "key_type": "ec", "key_bits": 256}))["csr"]
			own := b.certificate(b.ok(b.put("root/root/sign-intermediate", map[string]any{"csr": csr, "common_name": "CA"})))
			if b.age == old {
				b.refuses(set("nothing"), http.StatusBadRequest, "no data found in PEM block")
				require.Equal(b.t, http.StatusInternalServerError, set(pem(root)).status)
				got := set(pem(root) + "\n" + pem(own))
				require.Contains(b.t, strings.Join(got.errors, ""), "verification of parsed bundle failed")
				require.Equal(b.t, http.StatusNoContent, set(pem(own)).status)
				require.Equal(b.t, pem(own), b.ok(b.get("pki/cert/ca_chain"))["certificate"])
				require.Equal(b.t, http.StatusNoContent, set(pem(own)+"\n"+pem(root)).status, "again, with the root")
				require.Equal(b.t, pem(own)+"\n"+pem(root), b.ok(b.get("pki/cert/ca_chain"))["certificate"])
				return
			}
			data := b.ok(set(pem(root) + "\n" + pem(own)))
			for issuer, key := range data["mapping"].(map[string]any) {
				if key == "" {
					b.refuses(b.put("pki/issuer/"+issuer+"/sign-verbatim", map[string]any{"csr": b.plain()}), http.StatusInternalServerError,
						once("could not fetch the CA certificate (was one set?): unable to fetch corresponding key for issuer "+issuer+"; unable to use this issuer for signing"))
				}
			}
			require.Len(b.t, data["imported_issuers"], 2)
			require.Equal(b.t, own.Raw, b.certificate(b.ok(b.get("pki/cert/ca"))).Raw)
			require.Len(b.t, b.ok(set(pem(own)))["existing_issuers"], 1)
		},
		"a deleted CA signs no more, and an old Vault goes on to show it": func(b bench) {
			root := b.rooted()
			require.Equal(b.t, http.StatusNoContent, b.as(b.Root(), "DELETE", "pki/root", nil).status)
			got := b.get("pki/cert/ca")
			if b.age == old {
				require.Equal(b.t, root.Raw, b.certificate(b.ok(got)).Raw)
				b.refuses(b.get("pki/cert/ca_chain"), http.StatusBadRequest, noCA)
			} else {
				b.refuses(got, http.StatusBadRequest, noDefault)
			}
			require.Equal(b.t, http.StatusInternalServerError, b.put("pki/sign-verbatim/signet", map[string]any{"csr": b.plain()}).status)
		},
		"keys are named by all of their information, or as RFC 5280 does": func(b bench) {
			root := b.rooted()
			for _, one := range []*x509.Certificate{root, b.sign(map[string]any{"csr": b.plain()})} {
				var info struct {
					Algorithm pkix.AlgorithmIdentifier
					Key       asn1.BitString
				}
				_, err := asn1.Unmarshal(one.RawSubjectPublicKeyInfo, &info)
				require.NoError(b.t, err)
				sum := sha1.Sum(pick(b, one.RawSubjectPublicKeyInfo, info.Key.Bytes))
				require.Equal(b.t, sum[:], one.SubjectKeyId)
				require.Equal(b.t, root.SubjectKeyId, one.AuthorityKeyId)
			}
		},
	}
}

// newFacts are about issuers, which an old Vault does not have.
func newFacts() map[string]func(bench) {
	return map[string]func(bench){
		"issuers are listed and read without a token, or are no path": func(b bench) {
			root := b.rooted()
			anybody := b.Client("")
			if b.age == old {
				b.refuses(b.list("pki/issuers"), http.StatusNotFound, once("unsupported path"))
				b.refuses(b.get("pki/issuer/default/json"), http.StatusNotFound, once("unsupported path"))
				b.refuses(b.get("pki/config/issuers"), http.StatusNotFound, once("unsupported path"))
				return
			}
			keys, ok := b.ok(b.as(anybody, "LIST", "pki/issuers", nil))["keys"].([]any)
			require.True(b.t, ok)
			require.Len(b.t, keys, 1)
			data := b.ok(b.as(anybody, "GET", "pki/issuer/default/json", nil))
			require.Equal(b.t, keys[0], data["issuer_id"])
			require.Equal(b.t, root.Raw, b.certificate(data).Raw)
			require.Equal(b.t, []any{pem(root)}, data["ca_chain"])
			require.Contains(b.t, b.ok(b.as(anybody, "GET", "pki/issuer/default/crl", nil))["crl"], "BEGIN X509 CRL")
			require.Equal(b.t, http.StatusForbidden, b.as(anybody, "GET", "pki/issuer/default", nil).status)
			require.Equal(b.t, data["issuer_id"], b.ok(b.get("pki/config/issuers"))["default"])
		},
		"a list that a new Vault makes by itself is made on demand too": func(b bench) {
			b.rooted()
			made := b.sign(map[string]any{"csr": b.plain()})
			b.put("pki/config/crl", map[string]any{"auto_rebuild": true, "expiry": "72h"})
			b.ok(b.put("pki/revoke", map[string]any{"serial_number": colons(made)}))
			require.Len(b.t, b.crl().RevokedCertificateEntries, pick(b, 1, 0))
			b.ok(b.get("pki/crl/rotate"))
			require.Len(b.t, b.crl().RevokedCertificateEntries, 1)
		},
		"each issuer signs by its name, and the default stays": func(b bench) {
			if b.age == old {
				return
			}
			first := b.rooted()
			second := b.ok(b.put("pki/root/generate/internal", map[string]any{"common_name": "Second CA", "key_type": "ec", "issuer_name": "second", "ttl": "8760h"}))
			for ref, ca := range map[string]*x509.Certificate{"default": first, "second": b.certificate(second), second["issuer_id"].(string): b.certificate(second)} {
				made := b.certificate(b.ok(b.put("pki/issuer/"+ref+"/sign-verbatim/signet", map[string]any{"csr": b.plain()})))
				require.NoError(b.t, made.CheckSignatureFrom(ca))
				below := b.certificate(b.ok(b.put("pki/issuer/"+ref+"/sign-intermediate", map[string]any{"csr": b.plain(), "common_name": "Below"})))
				require.NoError(b.t, below.CheckSignatureFrom(ca))
			}
			require.NoError(b.t, b.sign(map[string]any{"csr": b.plain()}).CheckSignatureFrom(first))
			b.ok(b.put("pki/config/issuers", map[string]any{"default": "second"}))
			require.NoError(b.t, b.sign(map[string]any{"csr": b.plain()}).CheckSignatureFrom(b.certificate(second)))
		},
	}
}
