// SPDX-License-Identifier: AGPL-3.0-only

package cert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

// tlv writes one value of DER: its first byte, its length and its content.
func tlv(first byte, content ...[]byte) []byte {
	out, err := asn1.Marshal(asn1.RawValue{
		Class: int(first >> 6), IsCompound: first&0x20 != 0, Tag: int(first & 0x1f), Bytes: slices.Concat(content...),
	})
	if err != nil {
		panic(err)
	}
	return out
}

// Object identifiers, encoded.
var (
	commonName   = []byte{6, 3, 0x55, 4, 3}
	unitName     = []byte{6, 3, 0x55, 4, 11}
	altName      = []byte{6, 3, 0x55, 0x1d, 0x11}
	keyUsage     = []byte{6, 3, 0x55, 0x1d, 0x0f}
	extensionsOf = []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14}
	challenge    = []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 7}
)

func rdn(oid []byte, tag byte, text string) []byte { return tlv(0x30, oid, tlv(tag, []byte(text))) }

func nameOf(set ...[]byte) []byte { return tlv(0x30, tlv(0x31, set...)) }

func asksFor(extensions ...[]byte) []byte {
	return tlv(0x30, extensionsOf, tlv(0x31, tlv(0x30, extensions...)))
}

func altNames(names ...[]byte) []byte { return tlv(0x30, altName, tlv(4, tlv(0x30, names...))) }

// rawRequest signs a request with this subject and these attributes, whatever they are.
func rawRequest(t testing.TB, subject []byte, attributes ...[]byte) string {
	t.Helper()
	key := curveKey(t, elliptic.P256())
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	tbs := tlv(0x30, []byte{2, 1, 0}, subject, public, tlv(0xa0, attributes...))
	digest := sha256.Sum256(tbs)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	require.NoError(t, err)
	algorithm := tlv(0x30, []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2})
	der := tlv(0x30, tbs, algorithm, tlv(3, []byte{0}, signature))
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// Python's cryptography raises an error at the first of these in a databag, and so stops whoever reads that databag.
func TestParseRequestRefusesWhatOthersCannotRead(t *testing.T) {
	t.Parallel()
	plain := nameOf(rdn(commonName, 12, "a"))
	dns := tlv(0x82, []byte("a.example"))
	mail := tlv(0x30, challenge, tlv(0x31, tlv(12, []byte("x"))))
	for sentence, c := range map[string]struct {
		subject    []byte
		attributes [][]byte
		reason     string // empty when it is read
	}{
		"plain":                              {plain, [][]byte{asksFor(altNames(dns))}, ""},
		"without attributes":                 {plain, nil, ""},
		"a set in order":                     {nameOf(rdn(commonName, 12, "a"), rdn(unitName, 12, "a")), nil, ""},
		"two units in one set":               {nameOf(rdn(unitName, 12, "a"), rdn(unitName, 12, "b")), nil, ""},
		"each type of string":                {tlv(0x30, tlv(0x31, rdn(unitName, 19, "a:b")), tlv(0x31, rdn(unitName, 18, "1 2")), tlv(0x31, rdn(unitName, 22, "a@b")), tlv(0x31, rdn(unitName, 30, "\x00a"))), nil, ""},
		"two attributes in order":            {plain, [][]byte{mail, asksFor(altNames(dns))}, ""},
		"an other name":                      {plain, [][]byte{asksFor(altNames(tlv(0xa0, commonName, tlv(0xa0, tlv(12, []byte("x"))))))}, ""},
		"a directory name":                   {plain, [][]byte{asksFor(altNames(tlv(0xa4, plain)))}, ""},
		"a set out of order":                 {nameOf(rdn(unitName, 12, "a"), rdn(commonName, 12, "a")), nil, "not in the order of DER"},
		"the same attribute twice":           {nameOf(rdn(unitName, 12, "a"), rdn(unitName, 12, "a")), nil, "not in the order of DER"},
		"the same text in two types":         {nameOf(rdn(unitName, 12, "a"), rdn(unitName, 19, "a")), nil, "twice in one set"},
		"an empty set":                       {nameOf(), nil, "empty set"},
		"an empty value":                     {nameOf(rdn(commonName, 12, "")), nil, "2.5.4.3, whose value is empty"},
		"a TeletexString":                    {nameOf(rdn(commonName, 20, "caf\xe9")), nil, "TeletexString"},
		"a UniversalString":                  {nameOf(rdn(commonName, 28, "\x00\x00\x00a")), nil, "not text"},
		"a PrintableString with a wildcard":  {nameOf(rdn(commonName, 19, "*.a")), nil, "PrintableString"},
		"half a surrogate":                   {nameOf(rdn(commonName, 30, "\xd8\x00")), nil, "BMPString"},
		"an attribute with a third part":     {nameOf(tlv(0x30, commonName, tlv(12, []byte("a")), []byte{5, 0})), nil, "damaged attribute"},
		"attributes out of order":            {plain, [][]byte{asksFor(altNames(dns)), mail}, "not in the order of DER"},
		"an attribute without values":        {plain, [][]byte{tlv(0x30, challenge, tlv(0x31))}, "are none"},
		"an attribute without a set":         {plain, [][]byte{tlv(0x30, challenge, tlv(12, []byte("x")))}, "damaged"},
		"values out of order":                {plain, [][]byte{tlv(0x30, challenge, tlv(0x31, tlv(12, []byte("b")), tlv(12, []byte("a"))))}, "not in the order of DER"},
		"extensions in two values":           {plain, [][]byte{tlv(0x30, extensionsOf, tlv(0x31, tlv(0x30), tlv(0x30, altNames(dns))))}, "more than once"},
		"extensions in two attributes":       {plain, [][]byte{asksFor(tlv(0x30, keyUsage, tlv(4, []byte{3, 2, 7, 0x80}))), asksFor(altNames(dns))}, "more than once"},
		"an extension that is FALSE in full": {plain, [][]byte{asksFor(tlv(0x30, altName, []byte{1, 1, 0}, tlv(4, tlv(0x30, dns))))}, "not written in DER"},
		"a damaged key usage":                {plain, [][]byte{asksFor(tlv(0x30, keyUsage, tlv(4, []byte("xx"))))}, "2.5.29.15"},
		"something after the names":          {plain, [][]byte{asksFor(tlv(0x30, altName, tlv(4, tlv(0x30, dns), []byte{5, 0})))}, "not one sequence"},
		"an X.400 address":                   {plain, [][]byte{asksFor(altNames(dns, tlv(0xa3)))}, "(3)"},
		"an EDI party":                       {plain, [][]byte{asksFor(altNames(dns, tlv(0xa5)))}, "(5)"},
		"a name of an unknown kind":          {plain, [][]byte{asksFor(altNames(dns, tlv(0x8a, []byte("x"))))}, "kind 10"},
		"a DNS name in pieces":               {plain, [][]byte{asksFor(altNames(tlv(0xa2, dns)))}, "(2)"},
		"a damaged other name":               {plain, [][]byte{asksFor(altNames(tlv(0xa0, commonName, tlv(12, []byte("x")))))}, "other name"},
		"a damaged registered ID":            {plain, [][]byte{asksFor(altNames(tlv(0x88, []byte{0x80})))}, "registered ID"},
		"a directory name out of order":      {plain, [][]byte{asksFor(altNames(tlv(0xa4, nameOf(rdn(unitName, 12, "a"), rdn(commonName, 12, "a")))))}, "directory name"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			request, err := cert.ParseRequest(rawRequest(t, c.subject, c.attributes...))
			if c.reason == "" {
				require.NoError(t, err)
				require.NoError(t, cert.CheckRequest(request))
				return
			}
			var wrong *cert.RequestError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, cert.FaultMalformed, wrong.Fault)
			require.ErrorContains(t, err, c.reason)
			require.Less(t, len(err.Error()), 250)
		})
	}
}

func TestCheckRequestRefusesTextThatDoesNotPrint(t *testing.T) {
	t.Parallel()
	plain := nameOf(rdn(commonName, 12, "a"))
	for sentence, c := range map[string]struct {
		subject []byte
		name    []byte
		reason  string
	}{
		"a mail address":                  {plain, tlv(0x81, []byte("ops@a.example")), ""},
		"a URI":                           {plain, tlv(0x86, []byte("spiffe://cluster/ns/a")), ""},
		"a mail address of two lines":     {plain, tlv(0x81, []byte("a\nb@c")), `"a\nb@c"`},
		"an empty mail address":           {plain, tlv(0x81), "empty"},
		"an empty URI":                    {plain, tlv(0x86), "empty"},
		"a subject of two lines":          {nameOf(rdn(commonName, 12, "a\nb")), tlv(0x82, []byte("a")), "subject attribute 2.5.4.3"},
		"a directory name of two lines":   {plain, tlv(0xa4, nameOf(rdn(commonName, 12, "a\nb"))), "directory name"},
		"a subject with a bidi character": {nameOf(rdn(commonName, 12, "a\u202eb")), tlv(0x82, []byte("a")), "does not print"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			text := rawRequest(t, c.subject, asksFor(altNames(c.name)))
			request, err := cert.ParseRequest(text)
			require.NoError(t, err, "it can be echoed")
			spec := cert.Spec{Kind: cert.Server, Request: text, ServerAuth: true, Life: time.Hour}
			_, unsigned := cert.Template(spec, root(t, 1), nil, big.NewInt(7), noon)
			err = cert.CheckRequest(request)
			if c.reason == "" {
				require.NoError(t, err)
				require.NoError(t, unsigned)
				return
			}
			var wrong *cert.RequestError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, cert.FaultMalformed, wrong.Fault)
			require.Contains(t, wrong.Reason, c.reason)
			require.ErrorContains(t, unsigned, c.reason)
			require.NotContains(t, wrong.Reason, "\n")
		})
	}
}

func TestSameName(t *testing.T) {
	t.Parallel()
	name := nameOf(rdn(commonName, 12, "signet CA G1"))
	for sentence, c := range map[string]struct {
		other []byte
		same  bool
	}{
		"the same bytes":      {name, true},
		"another string type": {nameOf(rdn(commonName, 19, "signet CA G1")), true},
		"another case":        {nameOf(rdn(commonName, 12, "Signet ca g1")), true},
		"other white space":   {nameOf(rdn(commonName, 12, " signet  CA G1 ")), true},
		"another text":        {nameOf(rdn(commonName, 12, "signet CA G2")), false},
		"a space less":        {nameOf(rdn(commonName, 12, "signetCA G1")), false},
		"another attribute":   {nameOf(rdn(unitName, 12, "signet CA G1")), false},
		"one more":            {nameOf(rdn(commonName, 12, "signet CA G1"), rdn(unitName, 12, "a")), false},
		"none":                {tlv(0x30), false},
		"damaged":             {[]byte("damaged"), false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.same, cert.SameName(name, c.other))
			require.Equal(t, c.same, cert.SameName(c.other, name))
		})
	}
}
