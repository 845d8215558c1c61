// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// etcd is a relation with the application etcd, whose units have these databags.
func etcd(units map[string]juju.Bag) juju.Relation {
	return juju.Relation{
		ID: 3, Endpoint: juju.Endpoint{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides},
		RemoteApp: "etcd", OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteApplication: juju.Bag{}, RemoteUnits: units,
	}
}

// brief is an ask in one line.
func brief(ask dialect.Ask) string {
	return fmt.Sprintf("%s %s %s %s %v", ask.Unit, ask.Name, ask.Kind, ask.CommonName, ask.Names.List())
}

func briefs(asks []dialect.Ask) []string {
	list := []string{}
	for _, ask := range asks {
		list = append(list, brief(ask))
	}
	return list
}

// refusals are denials in one line each: unit, item and code.
func refusals(denials []dialect.Denial) []string {
	list := []string{}
	for _, denial := range denials {
		list = append(list, fmt.Sprintf("%s %s %s", denial.Unit, denial.Item, denial.Code))
	}
	return list
}

func TestReadLegacyRequests(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		bag      juju.Bag
		asks     []string
		refusals []string
	}{
		"a unit that says only its name asks for nothing": {
			bag: juju.Bag{"unit_name": "etcd_0"},
		},
		"a top-level request, its names sorted and canonical": {
			bag:  juju.Bag{"unit_name": "etcd_0", "common_name": "10.0.0.1", "sans": `["B.example", "a.example", "10.0.0.1", "::FFFF:10.0.0.1", "a.example"]`},
			asks: []string{"etcd/0 etcd_0 server 10.0.0.1 [a.example b.example 10.0.0.1]"},
		},
		"no names where sans is absent":  {bag: juju.Bag{"common_name": "a"}, asks: []string{"etcd/0 etcd_0 server a []"}},
		"no names where sans is null":    {bag: juju.Bag{"common_name": "a", "sans": "null"}, asks: []string{"etcd/0 etcd_0 server a []"}},
		"no names where sans is empty":   {bag: juju.Bag{"common_name": "a", "sans": "[]"}, asks: []string{"etcd/0 etcd_0 server a []"}},
		"sans without a request is void": {bag: juju.Bag{"unit_name": "etcd_0", "sans": `["a"]`}},
		"each kind, in order": {
			bag: juju.Bag{
				"common_name":                "top",
				"cert_requests":              `{"z": {"sans": ["z"]}, "b": {}}`,
				"client_cert_requests":       `{"system:kube-apiserver": {"sans": null}}`,
				"intermediate_cert_requests": `{"ica": {"sans": []}}`,
			},
			asks: []string{
				"etcd/0 etcd_0 server top []", "etcd/0 etcd_0 server b []", "etcd/0 etcd_0 server z [z]",
				"etcd/0 etcd_0 client system:kube-apiserver []", "etcd/0 etcd_0 intermediate ica []",
			},
		},
		"the same server asked twice is one ask for all names": {
			bag:  juju.Bag{"common_name": "a", "sans": `["x"]`, "cert_requests": `{"a": {"sans": ["y"]}}`},
			asks: []string{"etcd/0 etcd_0 server a [x y]"},
		},
		"the same name as server and as client are two asks": {
			bag:  juju.Bag{"cert_requests": `{"a": {}}`, "client_cert_requests": `{"a": {}}`},
			asks: []string{"etcd/0 etcd_0 server a []", "etcd/0 etcd_0 client a []"},
		},
		"unknown members and unknown keys are passed over": {
			bag:  juju.Bag{"cert_requests": `{"a": {"sans": [], "colour": {"blue": 1}}}`, "colour": "{", "certificate_name": "x"},
			asks: []string{"etcd/0 etcd_0 server a []"},
		},
		"a value that is null or an empty list asks for nothing": {
			bag: juju.Bag{"cert_requests": "null", "client_cert_requests": "[]"},
		},
		"the list form of library v0 is refused": {
			bag:      juju.Bag{"cert_requests": `[{"common_name": "ca", "sans": []}]`, "client_cert_requests": `{"a": {}}`},
			asks:     []string{"etcd/0 etcd_0 client a []"},
			refusals: []string{"etcd/0 cert_requests malformed"},
		},
		"bad items are refused one by one": {
			bag: juju.Bag{
				"cert_requests": `{"": {}, " ": {}, " a": {}, "b": "no", "c": {"sans": "no"}, "d": {"sans": [1]}, "e": {"sans": ["fine"]},
					"f": null, "g": {"sans": ["bad_name"]}, "h": {"sans": ["a.*.b"]}, "i": {"sans": [], "sans": []}, "j": {"sans": {}},
					"k\u0000": {}, "l\ud800": {}, "m\n": {}, "n": {"sans": ["fe80::1%eth0"]}}`,
				"client_cert_requests": `{"a": {}}`,
			},
			asks: []string{"etcd/0 etcd_0 server e [fine]", "etcd/0 etcd_0 client a []"},
			refusals: []string{
				"etcd/0 cert_requests[] malformed",
				"etcd/0 cert_requests[ ] malformed",
				"etcd/0 cert_requests[ a] name-not-allowed",
				"etcd/0 cert_requests[b] malformed",
				"etcd/0 cert_requests[c] malformed",
				"etcd/0 cert_requests[d] malformed",
				"etcd/0 cert_requests[f] malformed",
				"etcd/0 cert_requests[g] name-not-allowed",
				"etcd/0 cert_requests[h] wildcard-not-allowed",
				"etcd/0 cert_requests[i] malformed",
				"etcd/0 cert_requests[j] malformed",
				`etcd/0 cert_requests["k\x00"] malformed`,
				"etcd/0 cert_requests[l\uFFFD] malformed",
				`etcd/0 cert_requests["m\n"] name-not-allowed`,
				"etcd/0 cert_requests[n] name-not-allowed",
			},
		},
		"a doubled common name is refused, its neighbours are not": {
			bag:      juju.Bag{"cert_requests": `{"a": {}, "b": {}, "a": {"sans": ["x"]}}`},
			asks:     []string{"etcd/0 etcd_0 server b []"},
			refusals: []string{"etcd/0 cert_requests[a] malformed"},
		},
		"a value that is not JSON is refused, other values are not": {
			bag: juju.Bag{
				"cert_requests": `{"a": {}`, "client_cert_requests": `{"a": {}} {}`, "intermediate_cert_requests": `"text"`,
				"common_name": "top", "sans": "10.0.0.1",
			},
			refusals: []string{
				"etcd/0 cert_requests malformed", "etcd/0 client_cert_requests malformed",
				"etcd/0 intermediate_cert_requests malformed", "etcd/0 common_name malformed",
			},
		},
		"a value that is too large or too deep is refused": {
			bag: juju.Bag{
				"cert_requests":        `{"a": {"sans": ["` + strings.Repeat("x", 4<<20) + `"]}}`,
				"client_cert_requests": `{"a": ` + strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 21),
				"common_name":          "top",
			},
			asks:     []string{"etcd/0 etcd_0 server top []"},
			refusals: []string{"etcd/0 cert_requests too-large", "etcd/0 client_cert_requests too-large"},
		},
		"a common name that is too long is refused by its beginning": {
			bag:      juju.Bag{"common_name": strings.Repeat("x", 300)},
			refusals: []string{"etcd/0 common_name name-not-allowed"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			reading := dialect.Read(etcd(map[string]juju.Bag{"etcd/0": c.bag}))
			require.Equal(t, append([]string{}, c.asks...), briefs(reading.Asks))
			require.Equal(t, append([]string{}, c.refusals...), refusals(reading.Denials))
			require.Equal(t, []string{"etcd/0"}, reading.Legacy)
			require.Empty(t, reading.CSR)
			for _, ask := range reading.Asks {
				require.Equal(t, dialect.Legacy, ask.Dialect)
				require.Equal(t, 3, ask.Relation)
				require.Equal(t, "etcd", ask.App)
			}
			for _, denial := range reading.Denials {
				require.Less(t, len(denial.Reason), 250)
				require.NotContains(t, denial.Reason, "\n")
			}
		})
	}
}

func TestReadSilentRelation(t *testing.T) {
	t.Parallel()
	for sentence, rel := range map[string]juju.Relation{
		"a relation of which nothing is known yet": {ID: 1},
		"units with nothing but Juju's own keys":   etcd(map[string]juju.Bag{"etcd/0": {"ingress-address": "10.0.0.1"}, "etcd/1": nil}),
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, dialect.Reading{}, dialect.Read(rel))
			require.Empty(t, dialect.PublishUnit(rel, dialect.Publication{}))
			require.Empty(t, dialect.PublishApplication(rel, dialect.Publication{}))
		})
	}
}

func TestReadLegacyTooMany(t *testing.T) {
	t.Parallel()
	requests := map[string]any{}
	for i := range 10000 {
		requests[fmt.Sprintf("host-%05d", i)] = map[string]any{}
	}
	text, err := json.Marshal(requests)
	require.NoError(t, err)
	reading := dialect.Read(etcd(map[string]juju.Bag{
		"etcd/0": {"common_name": "top", "cert_requests": string(text), "client_cert_requests": `{"a": {}, "b": {}}`},
		"etcd/1": {"common_name": "other"},
	}))
	require.Len(t, reading.Asks, 1001)
	require.Equal(t, "etcd/0 etcd_0 server host-00998 []", brief(reading.Asks[999]))
	require.Equal(t, "etcd/1 etcd_1 server other []", brief(reading.Asks[1000]))
	require.Equal(t, []string{"etcd/0 cert_requests too-many"}, refusals(reading.Denials))
	require.Contains(t, reading.Denials[0].Reason, "9003 requests")
}

func TestReadLegacyTooManyNames(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 1001 {
		names = append(names, fmt.Sprintf("host-%d", i))
	}
	text, err := json.Marshal(map[string]any{"a": map[string]any{"sans": names}, "b": map[string]any{"sans": names[:1000]}})
	require.NoError(t, err)
	reading := dialect.Read(etcd(map[string]juju.Bag{"etcd/0": {"cert_requests": string(text)}}))
	require.Len(t, reading.Asks, 1)
	require.Equal(t, []string{"etcd/0 cert_requests[a] too-large"}, refusals(reading.Denials))
}

func TestReadUnitNames(t *testing.T) {
	t.Parallel()
	const remote = "remote-0f1e2d3c4b5a69788796a5b4c3d2e1f0/7"
	for sentence, c := range map[string]struct{ unit, claim, name string }{
		"no claim":                          {"etcd/0", "", "etcd_0"},
		"the own name":                      {"etcd/0", "etcd/0", "etcd_0"},
		"the own name munged":               {"etcd/0", "etcd_0", "etcd_0"},
		"an application with hyphens":       {"kube-api-lb/12", "kube-api-lb_12", "kube-api-lb_12"},
		"another unit's name":               {"etcd/0", "etcd/1", ""},
		"another application's number":      {"etcd/0", "vault_1", ""},
		"behind an alias of its offer":      {"saas-etcd/0", "etcd_0", "etcd_0"},
		"a path":                            {"etcd/0", "../../etcd/0", ""},
		"a key of everybody's":              {"etcd/0", "ca", ""},
		"NUL":                               {"etcd/0", "etcd_0\x00", ""},
		"cross-model, no claim":             {remote, "", "remote-0f1e2d3c4b5a69788796a5b4c3d2e1f0_7"},
		"cross-model, Juju's name":          {remote, remote, "remote-0f1e2d3c4b5a69788796a5b4c3d2e1f0_7"},
		"cross-model, its own name":         {remote, "etcd/7", "etcd_7"},
		"cross-model, its own name munged":  {remote, "kube-worker_7", "kube-worker_7"},
		"cross-model, another number":       {remote, "etcd/8", ""},
		"cross-model, number by its digits": {remote, "etcd_07", ""},
		"cross-model, number at the end":    {remote, "etcd_1_7", ""},
		"cross-model, a path":               {remote, "../etcd/7", ""},
		"cross-model, a dot":                {remote, "etcd.server_7", ""},
		"cross-model, no number":            {remote, "etcd", ""},
		"cross-model, no application":       {remote, "_7", ""},
		"cross-model, upper case":           {remote, "Etcd/7", ""},
		"cross-model, a hyphen too many":    {remote, "etcd-/7", ""},
		"cross-model, digits for a word":    {remote, "etcd-2/7", ""},
		"cross-model, beginning with digit": {remote, "2etcd/7", ""},
		"cross-model, a huge number":        {remote, "etcd/70000000000", ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			rel := etcd(map[string]juju.Bag{
				c.unit:   {"unit_name": c.claim, "common_name": "a"},
				"etcd/9": {"common_name": "neighbour"},
			})
			reading := dialect.Read(rel)
			require.Contains(t, briefs(reading.Asks), "etcd/9 etcd_9 server neighbour []")
			require.Contains(t, reading.Legacy, c.unit)
			if c.name == "" {
				require.Len(t, reading.Asks, 1)
				require.Equal(t, []string{c.unit + " unit_name unit-name-mismatch"}, refusals(reading.Denials))
				return
			}
			require.Empty(t, reading.Denials)
			require.Contains(t, briefs(reading.Asks), fmt.Sprintf("%s %s server a []", c.unit, c.name))
		})
	}
}

func TestReadCrossModelUnitsCannotCollide(t *testing.T) {
	t.Parallel()
	// All claim the same name, one of them rightly by its number. The last two cannot stand in one relation in Juju; even
	// so neither gets the other's answers.
	rel := etcd(map[string]juju.Bag{
		"remote-0a/0": {"unit_name": "etcd/1", "common_name": "a"},
		"remote-0a/1": {"unit_name": "etcd/1", "common_name": "b"},
		"remote-0a/2": {"unit_name": "etcd_1", "common_name": "c"},
	})
	require.Equal(t, []string{"remote-0a/1 etcd_1 server b []"}, briefs(dialect.Read(rel).Asks))

	rel.RemoteUnits["remote-0b/1"] = juju.Bag{"unit_name": "etcd/1", "common_name": "d"}
	reading := dialect.Read(rel)
	require.Empty(t, reading.Asks)
	require.Len(t, reading.Denials, 4)
	for _, denial := range reading.Denials {
		require.Equal(t, dialect.WrongUnit, denial.Code)
	}
}

func TestReadApplicationCertificate(t *testing.T) {
	t.Parallel()
	reading := dialect.Read(etcd(map[string]juju.Bag{
		"etcd/0": {"application_cert_requests": `{"bad name": {"sans": ["never"]}}`},
		"etcd/1": {"application_cert_requests": `{"b.example": {"sans": ["10.0.0.2", "x"]}, "c.example": {}}`},
		"etcd/2": {"application_cert_requests": `{"a.example": {"sans": ["x", "10.0.0.1"]}}`, "common_name": "own"},
	}))
	require.Equal(t, []string{
		"  application b.example [a.example b.example c.example x 10.0.0.1 10.0.0.2]",
		"etcd/2 etcd_2 server own []",
	}, briefs(reading.Asks))
	require.Equal(t, []string{"etcd/0 application_cert_requests[bad name] name-not-allowed"}, refusals(reading.Denials))
	require.Equal(t, cert.Application, reading.Asks[0].Kind)
}

func TestReadApplicationCertificateFromAPartialView(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root")
	rel := etcd(map[string]juju.Bag{
		"etcd/0": {"application_cert_requests": `{"a.example": {"sans": ["10.0.0.1"]}}`},
		"etcd/1": {"application_cert_requests": `{"b.example": {"sans": ["10.0.0.2"]}}`},
	})
	whole := dialect.Read(rel)
	issued := ca.issue("a.example", whole.Asks[0].Names.List()...)
	rel.OwnUnit = dialect.PublishUnit(rel, dialect.Publication{
		Reading: whole, Grants: []dialect.Grant{{Ask: whole.Asks[0], Issued: issued}},
	})

	delete(rel.RemoteUnits, "etcd/0")
	require.Equal(t, []string{"  application b.example [b.example 10.0.0.2]"}, briefs(dialect.Read(rel).Asks), "etcd/0 is gone")
	rel.Partial = true
	require.Equal(t, whole.Asks, dialect.Read(rel).Asks, "etcd/0 is not shown")
	rel.RemoteUnits["etcd/2"] = juju.Bag{"application_cert_requests": `{"c.example": {}}`}
	require.Equal(t, []string{"  application a.example [a.example b.example c.example 10.0.0.1 10.0.0.2]"},
		briefs(dialect.Read(rel).Asks), "a new unit adds its names")
	rel.RemoteUnits = map[string]juju.Bag{"etcd/3": {"unit_name": "etcd_3"}}
	require.Empty(t, dialect.Read(rel).Asks, "nobody who is shown asks")
}

func TestReadApplicationCertificateHasALimit(t *testing.T) {
	t.Parallel()
	units := map[string]juju.Bag{}
	for i := range 1003 {
		units[fmt.Sprintf("etcd/%04d", i)] = juju.Bag{"application_cert_requests": fmt.Sprintf(`{"host-%d": {}}`, i)}
	}
	reading := dialect.Read(etcd(units))
	require.Len(t, reading.Asks, 1)
	require.Equal(t, 1000, reading.Asks[0].Names.Len())
	require.Equal(t, []string{
		"etcd/1000 application_cert_requests[host-1000] too-large",
		"etcd/1001 application_cert_requests[host-1001] too-large",
		"etcd/1002 application_cert_requests[host-1002] too-large",
	}, refusals(reading.Denials))
}
