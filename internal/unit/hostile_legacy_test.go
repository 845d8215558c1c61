// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/signet-charm/signet/internal/juju"
)

// What the legacy dialect carries is refused before anybody asks whether it may be had.
func TestHostileLegacyDataHarmsNobody(t *testing.T) {
	t.Parallel()
	playHostile(t, hostileDocuments(t))
	playHostile(t, hostileLegacyNames())
	playHostile(t, hostileUnitNames())
}

// hostileDocuments are values that are not what they should be.
func hostileDocuments(t *testing.T) map[string]hostileRow {
	clients := func(text string) hostileRow {
		return hostileRow{code: "malformed", bag: juju.Bag{"client_cert_requests": text}}
	}
	large := func(bag juju.Bag) hostileRow { return hostileRow{code: "too-large", bag: bag} }
	return map[string]hostileRow{
		"no JSON":                            clients("{"),
		"JSON of another type":               clients(`"text"`),
		"more after the JSON":                clients(`{} {}`),
		"the same key twice":                 clients(`{"a": {"sans": []}, "a": {"sans": ["b.example.com"]}}`),
		"the same member twice":              clients(`{"a": {"sans": [], "sans": ["b.example.com"]}}`),
		"the list form of a retired library": clients(`[{"common_name": "ca", "sans": []}]`),
		"a byte order mark":                  clients("\ufeff" + `{"a": {"sans": []}}`),
		"a comment":                          clients(`{"a": {"sans": []}} // a`),
		"a comma at the end":                 clients(`{"a": {"sans": []},}`),
		"quotes of another language":         clients(`{'a': {'sans': []}}`),
		"a number that is none":              clients(`{"a": {"sans": NaN}}`),
		"no UTF-8":                           clients("{\"a\xff\": {\"sans\": []}}"),
		"half of a character":                clients(`{"\ud800": {"sans": []}}`),
		"a NUL in a common name":             clients(`{"good.example.com\u0000.evil.example.org": {"sans": []}}`),
		"an empty common name":               clients(`{"": {"sans": []}}`),
		"a common name of white space":       clients(`{"  ": {"sans": []}}`),
		"a list in the place of details":     clients(`{"a": []}`),
		"a number beyond all numbers":        clients(`{"a": {"sans": 1e999}}`),
		"names that are text":                clients(`{"a": {"sans": "b.example.com"}}`),
		"names that are an object":           clients(`{"a": {"sans": {"b": 1}}}`),
		"a name that is nothing":             clients(`{"a": {"sans": [null]}}`),
		"a name that is a list":              clients(`{"a": {"sans": [["b.example.com"]]}}`),
		"a NUL in a name":                    clients(`{"a": {"sans": ["good.example.com\u0000"]}}`),
		"a common name with a NUL":           {code: "malformed", bag: juju.Bag{"common_name": "a\x00b"}},
		"top-level names that are an object": {code: "malformed", bag: juju.Bag{"common_name": "a", "sans": "{}"}},
		"a long common name without names":   {code: "malformed", bag: juju.Bag{"common_name": strings.Repeat("n_", 40)}},
		"a bottomless list":                  large(juju.Bag{"sans": strings.Repeat("[", 100_000), "common_name": "x"}),
		"a bottomless object":                large(juju.Bag{"client_cert_requests": strings.Repeat(`{"a":`, 100_000)}),
		"seventeen levels":                   large(juju.Bag{"client_cert_requests": `{"a":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + "}"}),
		"a key of four mebibytes":            large(juju.Bag{"cert_requests": `{"` + strings.Repeat("x", 4<<20) + `": {"sans": []}}`}),
		"sixteen mebibytes":                  large(juju.Bag{"application_cert_requests": `{"a": {"sans": ["` + strings.Repeat("x", 16<<20) + `"]}}`}),
		"a hundred thousand keys":            large(juju.Bag{"cert_requests": manyRequests(t, 100_000)}),
		"a thousand and one names":           large(juju.Bag{"cert_requests": `{"a": {"sans": ` + namesText(manyNames(1001)...) + `}}`}),
		"ten thousand requests":              {code: "too-many", bag: juju.Bag{"client_cert_requests": manyRequests(t, 10_000)}},
	}
}

func manyNames(count int) []string {
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("h%d.example.com", i)
	}
	return names
}

func namesText(list ...string) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // of strings
	}
	return string(text)
}

// hostileLegacyNames are names that cannot stand in any certificate.
func hostileLegacyNames() map[string]hostileRow {
	named := func(code, name string) hostileRow {
		return hostileRow{code: code, bag: juju.Bag{"common_name": "x", "sans": namesText("good.example.com", name)}}
	}
	const badName, badWildcard = "name-not-allowed", "wildcard-not-allowed"
	return map[string]hostileRow{
		"a path":                        named(badName, "/etc/passwd"),
		"a URL":                         named(badName, "https://example.com"),
		"an address with a zone":        named(badName, "fe80::1%eth0"),
		"an address in brackets":        named(badName, "[::1]"),
		"an address with a mask":        named(badName, "10.0.0.0/8"),
		"an empty label":                named(badName, "a..example.com"),
		"a label at the start":          named(badName, ".example.com"),
		"two dots at the end":           named(badName, "example.com.."),
		"a label of 64 characters":      named(badName, strings.Repeat("a", 64)+".example.com"),
		"a name of 254 characters":      named(badName, strings.Repeat("abcdefghi.", 25)+"abcd"),
		"a hyphen first":                named(badName, "-a.example.com"),
		"an underscore":                 named(badName, "a_b.example.com"),
		"white space":                   named(badName, "a b.example.com"),
		"a new line":                    named(badName, "a\nb.example.com"),
		"letters of another script":     named(badName, "kubern\u0435tes"),
		"wide letters":                  named(badName, "\uff4bubernetes"),
		"text that turns around":        named(badName, "a\u202emoc.elpmaxe"),
		"an invisible letter":           named(badName, "kubernetes\u200b"),
		"a name of OpenSSL's grammar":   named(badName, "a,DNS:kubernetes"),
		"a shell's command":             named(badName, "$(reboot)"),
		"a star":                        named(badWildcard, "*"),
		"two stars":                     named(badWildcard, "*.*.example.com"),
		"a star among letters":          named(badWildcard, "a*.example.com"),
		"a star in the middle":          named(badWildcard, "a.*.example.com"),
		"a star before letters":         named(badWildcard, "*a.example.com"),
		"a common name with a new line": {code: badName, bag: juju.Bag{"common_name": "a\nb"}},
		"a common name after a space":   {code: badName, bag: juju.Bag{"common_name": " system:kube-apiserver"}},
		"a common name of 254 bytes":    {code: badName, bag: juju.Bag{"common_name": strings.Repeat("n", 254)}},
		"a common name that turns":      {code: badName, bag: juju.Bag{"client_cert_requests": `{"a\u202eb": {"sans": []}}`}},
		"a space of another kind":       {code: badName, bag: juju.Bag{"client_cert_requests": `{"system:node:a\u00a0b": {"sans": []}}`}},
	}
}

// hostileUnitNames claim to be somebody else.
func hostileUnitNames() map[string]hostileRow {
	claims := func(name string) hostileRow {
		return hostileRow{code: "unit-name-mismatch", bag: juju.Bag{"unit_name": name, "common_name": "stolen.example.com"}}
	}
	return map[string]hostileRow{
		"a name that is a path":           claims("../../etc/shadow"),
		"another unit's name":             claims("etcd_1"),
		"another unit's name, not munged": claims("etcd/1"),
		"a name with a leading zero":      claims("etcd_01"),
		"a name with a dot":               claims("etcd_1.server.cert"),
		"a name with a key after it":      claims("etcd_0.processed_requests"),
		"a name in capitals":              claims("ETCD_0"),
		"a name below zero":               claims("etcd_-1"),
		"a name without a number":         claims("etcd_"),
		"a name of digits":                claims("0_0"),
		"the key of the CA":               claims("ca"),
		"the key of the shared client":    claims("client"),
		"the keys of the shared client":   claims("client.key"),
		"a name with a new line":          claims("etcd_0\nca"),
		"a name of a mebibyte":            claims(strings.Repeat("e", 1<<20) + "_0"),
	}
}
