// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"encoding/asn1"
	"encoding/pem"
	"strings"
	"testing"

	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/misissue/forge"
)

// A signing request that is no good is refused before anybody asks whether it may be had.
func TestHostileRequestsHarmNobody(t *testing.T) {
	t.Parallel()
	keys := forge.NewKeys()
	playHostile(t, hostileLists(t))
	playHostile(t, hostileTexts(t, keys))
	playHostile(t, hostileKeys(keys))
	playHostile(t, hostileContents(keys))
}

// hostileLists are values of the key with all requests.
func hostileLists(t *testing.T) map[string]hostileRow {
	list := func(code, text string) hostileRow {
		return hostileRow{code: code, bag: juju.Bag{"certificate_signing_requests": text}}
	}
	const malformed, tooLarge = "malformed", "too-large"
	one, another := goodRequest(t), goodRequest(t)
	item := `{"certificate_signing_request": ` + quotedText(one) + `},`
	return map[string]hostileRow{
		"no JSON":                     list(malformed, "["),
		"an object":                   list(malformed, `{"certificate_signing_request": "x"}`),
		"no objects":                  list(malformed, `[7, null, "x"]`),
		"an item without a request":   list(malformed, `[{"ca": false}]`),
		"a request that is a number":  list(malformed, `[{"certificate_signing_request": 5}]`),
		"a request that is nothing":   list(malformed, `[{"certificate_signing_request": null}]`),
		"an empty request":            list(malformed, `[{"certificate_signing_request": ""}]`),
		"one member twice":            list(malformed, `[{"certificate_signing_request": "x", "certificate_signing_request": "y"}]`),
		"a bottomless list":           list(tooLarge, strings.Repeat("[", 1_000_000)),
		"two mebibytes":               list(tooLarge, `["`+strings.Repeat("x", 2<<20)+`"]`),
		"a request of 70 KiB":         list(tooLarge, `[{"certificate_signing_request": "`+strings.Repeat("x", 70<<10)+`"}]`),
		"a thousand and one requests": list("too-many", "["+strings.TrimSuffix(strings.Repeat(item, 1001), ",")+"]"),
		"no boolean": {code: malformed, number: 999, request: another, bag: juju.Bag{
			"certificate_signing_requests": `[{"certificate_signing_request": ` + quotedText(another) + `, "ca": "yes"}]`,
		}},
		"half of a character":          list(malformed, `[{"certificate_signing_request": "\ud800"}]`),
		"a NUL in the place of a text": list(malformed, `[{"certificate_signing_request": "\u0000"}]`),
	}
}

func quotedText(text string) string {
	return strings.TrimSuffix(strings.TrimPrefix(namesText(text), "["), "]")
}

// good is a request with which nothing is wrong.
func good(keys forge.Keys) forge.Request {
	return forge.Request{Subject: []forge.RDN{forge.CommonName("a.example.com")}, Names: forge.DNS("a.example.com"), Key: keys["p256"][0]}
}

// hostileTexts are texts in the place of a request. Other parsers must never see them, so they are not echoed.
func hostileTexts(t *testing.T, keys forge.Keys) map[string]hostileRow {
	malformed := func(text string) hostileRow { return hostileRow{code: "malformed", request: text} }
	block := func(kind string, der []byte) string {
		return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	der := good(keys).DER()
	text := forge.PEM(der)
	second := good(keys)
	second.Version = 1
	return map[string]hostileRow{
		"junk":                        malformed(block("CERTIFICATE REQUEST", []byte{0, 0, 0})),
		"no PEM":                      malformed("x"),
		"half a request":              malformed(text[:len(text)/2]),
		"two requests":                malformed(text + "\n" + text),
		"a request in a request":      malformed("-----BEGIN CERTIFICATE REQUEST-----\n" + text),
		"text before":                 malformed("Certificate Request:\n" + text),
		"text after":                  malformed(text + "\nx"),
		"a byte order mark":           malformed("\ufeff" + text),
		"headers":                     malformed(strings.Replace(text, "-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n", 1)),
		"letters of no alphabet":      malformed(strings.Replace(text, "\nMI", "\n M*I", 1)),
		"a certificate":               malformed(block("CERTIFICATE", der)),
		"a private key":               malformed(block("PRIVATE KEY", der)),
		"something after the DER":     malformed(block("CERTIFICATE REQUEST", append(der[:len(der):len(der)], 0))),
		"a length that is not DER's":  malformed(block("CERTIFICATE REQUEST", append([]byte{0x30, 0x84, 0, 0}, der[2:]...))),
		"the second version":          malformed(forge.PEM(second.DER())),
		"a point off its curve":       malformed(forge.PEM(keyed(keys, "off-curve").DER())),
		"a request signed by another": {code: "bad-signature", number: 999, request: forgedRequest(t)},
	}
}

func keyed(keys forge.Keys, name string) forge.Request {
	request := good(keys)
	request.Key = keys[name][0]
	return request
}

// hostileKeys are too weak, too long to compute with, or of kinds that nobody certifies.
func hostileKeys(keys forge.Keys) map[string]hostileRow {
	rows := map[string]hostileRow{}
	for name, key := range map[string]string{
		"RSA-512": "short-512", "RSA-1024": "short-1024", "RSA-2047": "short-2047", "RSA-8193": "long-8193", "RSA-16384": "long-16384",
		"the exponent 1": "exponent-1", "the exponent 3": "exponent-3", "an even exponent": "exponent-even", "P-224": "p224", "X25519": "x25519",
	} {
		rows[name] = hostileRow{code: "weak-key", number: 999, request: forge.PEM(keyed(keys, key).DER())}
	}
	return rows
}

// hostileContents are requests whose subject, names or extensions cannot be certified for anybody.
func hostileContents(keys forge.Keys) map[string]hostileRow {
	change := func(code string, number int, change func(*forge.Request)) hostileRow {
		request := good(keys)
		change(&request)
		return hostileRow{code: code, number: number, request: forge.PEM(request.DER())}
	}
	subject := func(code string, number int, sets ...forge.RDN) hostileRow {
		return change(code, number, func(r *forge.Request) { r.Subject = sets })
	}
	names := func(code string, number int, names ...forge.Name) hostileRow {
		return change(code, number, func(r *forge.Request) { r.Names = names })
	}
	extension := func(id asn1.ObjectIdentifier, value ...byte) hostileRow {
		return change("malformed", 0, func(r *forge.Request) { r.Extensions = []forge.Extension{forge.ExtensionOf(id, false, value)} })
	}
	const malformed, badName, badWildcard = "malformed", "name-not-allowed", "wildcard-not-allowed"
	typed := func(tag byte, content string) forge.RDN {
		return forge.RDN{forge.Typed(forge.OIDCommonName, cbasn1.Tag(tag), []byte(content))}
	}
	return map[string]hostileRow{
		"a NUL in the common name":                     subject(malformed, 999, forge.CommonName("good.example.com\x00.evil.example.org")),
		"a new line in the common name":                subject(malformed, 999, forge.CommonName("a\nb")),
		"a common name that turns around":              subject(malformed, 999, forge.CommonName("a\u202eb")),
		"an empty common name":                         subject(malformed, 0, forge.CommonName("")),
		"a common name that is no UTF-8":               subject(malformed, 0, typed(12, "a\xff")),
		"a TeletexString":                              subject(malformed, 0, typed(20, "admin")),
		"a number for a common name":                   subject(malformed, 0, typed(2, "\x05")),
		"half a BMPString":                             subject(malformed, 0, typed(30, "a")),
		"a star in a PrintableString":                  subject(malformed, 0, typed(19, "*.example.com")),
		"the same attribute twice in a set":            subject(malformed, 0, forge.RDN{forge.Text(forge.OIDCommonName, "a"), forge.Text(forge.OIDCommonName, "a")}),
		"an empty set":                                 subject(malformed, 0, forge.RDN{}),
		"neither subject nor names":                    change(malformed, 999, func(r *forge.Request) { r.Subject, r.Names = nil, nil }),
		"an address as a DNS name":                     names(badName, 102, forge.DNS("10.0.0.1")...),
		"an address with a zone":                       names(badName, 102, forge.DNS("fe80::1%eth0")...),
		"an address of five bytes":                     names(malformed, 0, forge.NameOf(forge.IP, []byte("12345"))),
		"a network as an address":                      names(malformed, 0, forge.NameOf(forge.IP, []byte("\x0a\x00\x00\x00\xff\x00\x00\x00"))),
		"a dot at the end":                             names(badName, 102, forge.DNS("a.example.com.")...),
		"an empty label":                               names(badName, 102, forge.DNS("a..example.com")...),
		"an empty name":                                names(badName, 102, forge.DNS("")...),
		"a NUL in a name":                              names(badName, 102, forge.DNS("good.example.com\x00")...),
		"a name that is no ASCII":                      names(malformed, 0, forge.DNS("kubern\u0435tes")...),
		"an underscore":                                names(badName, 102, forge.DNS("a_b.example.com")...),
		"a label of 64 characters":                     names(badName, 102, forge.DNS(strings.Repeat("a", 64)+".example.com")...),
		"fifty names of 253 characters and one of 254": names(badName, 102, append(forge.DNS(longNames(50)...), forge.DNS(strings.Repeat("abcdefghi.", 25)+"abcd")...)...),
		"a star":                     names(badWildcard, 103, forge.DNS("*")...),
		"two stars":                  names(badWildcard, 103, forge.DNS("*.*.example.com")...),
		"a star among letters":       names(badWildcard, 103, forge.DNS("a*.example.com")...),
		"an X.400 address":           names(malformed, 0, forge.NameOf(forge.Constructed|3, []byte{0x30, 0})),
		"a damaged other name":       names(malformed, 0, forge.NameOf(forge.OtherName, []byte{5, 0})),
		"an empty URI":               names(malformed, 999, forge.NameOf(forge.URI, nil)),
		"a URI with a new line":      names(malformed, 0, forge.NameOf(forge.URI, []byte("spiffe://a\n"))),
		"a thousand and one names":   names("too-large", 999, forge.DNS(manyNames(1001)...)...),
		"names that are no sequence": extension(forge.OIDAltNames, 4, 0),
		"an extension twice": change(malformed, 0, func(r *forge.Request) {
			r.Extensions = []forge.Extension{forge.ExtensionOf(forge.OIDAltNames, false, forge.AltNames(forge.DNS("kubernetes")))}
		}),
		"basic constraints that are none": extension(forge.OIDBasicConstraints, 0x30, 3, 1, 1, 1),
		"usages that are none":            extension(forge.OIDExtKeyUsage, 5, 0),
	}
}

func longNames(count int) []string {
	names := make([]string, count)
	for i := range names {
		names[i] = strings.Repeat("abcdefghi.", 24) + "abcdefgh" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "com"
	}
	return names
}
