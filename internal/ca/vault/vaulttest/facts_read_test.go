// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	encoding "encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
)

const old = vaulttest.Old

// pem is a certificate as Vault writes it.
func pem(of *x509.Certificate) string {
	return strings.TrimSpace(string(encoding.EncodeToMemory(&encoding.Block{Type: "CERTIFICATE", Bytes: of.Raw})))
}

// colons is a serial number as Vault writes it.
func colons(of *x509.Certificate) string {
	return strings.ReplaceAll(fmt.Sprintf("% x", of.SerialNumber.Bytes()), " ", ":")
}

func asInt(b bench, value any) int64 {
	b.t.Helper()
	number, ok := value.(json.Number)
	require.True(b.t, ok, "%T", value)
	read, err := number.Int64()
	require.NoError(b.t, err)
	return read
}

// request reads a request for a certificate.
func (b bench) request(given any) *x509.CertificateRequest {
	b.t.Helper()
	text, ok := given.(string)
	require.True(b.t, ok)
	found, _ := encoding.Decode([]byte(text))
	require.NotNil(b.t, found)
	request, err := x509.ParseCertificateRequest(found.Bytes)
	require.NoError(b.t, err)
	return request
}

// crl reads the list of "pki".
func (b bench) crl() *x509.RevocationList {
	b.t.Helper()
	text, ok := b.ok(b.get("pki/cert/crl"))["certificate"].(string)
	require.True(b.t, ok)
	found, _ := encoding.Decode([]byte(text))
	require.NotNil(b.t, found)
	list, err := x509.ParseRevocationList(found.Bytes)
	require.NoError(b.t, err)
	return list
}

// forged is a request whose signature is wrong.
func (b bench) forged() string {
	b.t.Helper()
	found, _ := encoding.Decode([]byte(b.plain()))
	one, two := b.request(string(encoding.EncodeToMemory(found))), b.request(b.plain())
	der := []byte(strings.Replace(string(one.Raw), string(one.RawSubjectPublicKeyInfo), string(two.RawSubjectPublicKeyInfo), 1))
	return string(encoding.EncodeToMemory(&encoding.Block{Type: found.Type, Bytes: der}))
}

// names is the value of subject alternative names.
func names(all ...asn1.RawValue) []byte {
	der, err := asn1.Marshal(all)
	if err != nil {
		panic(err)
	}
	return der
}

// subject encodes a name with UTF8Strings: parts with commas, attributes of one part with "+".
func subject(b bench, text string) []byte {
	b.t.Helper()
	types := map[string]asn1.ObjectIdentifier{"CN": {2, 5, 4, 3}, "O": {2, 5, 4, 10}, "OU": {2, 5, 4, 11}}
	var name pkix.RDNSequence
	for _, part := range strings.Split(text, ",") {
		var set pkix.RelativeDistinguishedNameSET
		for _, attribute := range strings.Split(part, "+") {
			kind, value, _ := strings.Cut(attribute, "=")
			set = append(set, pkix.AttributeTypeAndValue{Type: types[kind], Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(value)}})
		}
		name = append(name, set)
	}
	der, err := asn1.Marshal(name)
	require.NoError(b.t, err)
	return der
}

// attributesSET are those of one part of a name.
type attributesSET []struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// lasts expects a certificate to last as long as asked, and the 30 s that it began before. The real Vault reads its clock
// twice, and may be in the next second by then.
func (b bench) lasts(want time.Duration, of *x509.Certificate) {
	b.t.Helper()
	slack := time.Duration(0)
	if _, isServer := b.Vault.(*vaulttest.Server); isServer {
		slack = time.Second
	}
	require.InDelta(b.t, want+30*time.Second, of.NotAfter.Sub(of.NotBefore), float64(slack))
}
