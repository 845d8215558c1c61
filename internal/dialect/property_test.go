// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// material is what random relations are made of: good and bad requests, and answers to them.
type material struct {
	ca       authority
	requests []string
	answers  map[string]cert.Issued
	issued   []cert.Issued
}

func newMaterial(t *testing.T) material {
	m := material{ca: newRoot(t, "root").intermediate("issuing"), answers: map[string]cert.Issued{}}
	for i := range 5 {
		request := newRequest(t, fmt.Sprintf("host-%d", i))
		m.requests = append(m.requests, request, request+"\n")
		m.answers[request], m.answers[request+"\n"] = m.ca.answer(request), m.ca.answer(request)
		m.issued = append(m.issued, m.ca.issue(fmt.Sprintf("host-%d", i)))
	}
	m.requests = append(m.requests, forged(t), "garbage", "")
	return m
}

func (m material) legacyValue() *rapid.Generator[string] {
	object := rapid.Custom(func(t *rapid.T) string {
		members := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			name := rapid.SampledFrom([]string{"host-0", "host-1", "host-2", "10.0.0.1", "", " a", "ca", `\u0000`, `\ud800`}).Draw(t, "name")
			details := rapid.SampledFrom([]string{
				`{"sans": ["x.example", "10.0.0.2"]}`, `{"sans": null}`, `{"sans": []}`, `{}`, `{"sans": ["*.b"]}`,
				`{"sans": [1]}`, `{"sans": ["a_b"]}`, `[]`, `null`, `"x"`,
			}).Draw(t, "details")
			return fmt.Sprintf(`"%s": %s`, name, details)
		}), 0, 4).Draw(t, "members")
		return "{" + strings.Join(members, ", ") + "}"
	})
	return rapid.OneOf(object, object, object, rapid.SampledFrom([]string{"", "[]", "[{}]", "null", "{", "1", `"x"`, "\xff", strings.Repeat("[", 30)}))
}

func (m material) csrValue() *rapid.Generator[string] {
	list := rapid.Custom(func(t *rapid.T) string {
		items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			request := rapid.SampledFrom(m.requests).Draw(t, "request")
			rest := rapid.SampledFrom([]string{``, `, "ca": false`, `, "ca": true`, `, "ca": null`, `, "ca": 1`, `, "x": {}`}).Draw(t, "rest")
			return fmt.Sprintf(`{"certificate_signing_request": %s%s}`, quoted(request), rest)
		}), 0, 4).Draw(t, "items")
		return "[" + strings.Join(items, ", ") + "]"
	})
	return rapid.OneOf(list, list, list, rapid.SampledFrom([]string{"", "{}", "null", "[", "[1]", "[[]]", `"x"`}))
}

func (m material) bag(unit string) *rapid.Generator[juju.Bag] {
	return rapid.Custom(func(t *rapid.T) juju.Bag {
		bag := juju.Bag{"ingress-address": "10.0.0.1"}
		put := func(key string, values *rapid.Generator[string]) {
			if value := values.Draw(t, key); value != "" && rapid.Bool().Draw(t, "with "+key) {
				bag[key] = value
			}
		}
		put("unit_name", rapid.SampledFrom([]string{unit, dialect.Munge(unit), "etcd/1", "kube_2", "../x/1"}))
		put("common_name", rapid.SampledFrom([]string{"host-0", "host-1", " ", strings.Repeat("x", 500)}))
		put("sans", rapid.SampledFrom([]string{`["a.example"]`, `[]`, `null`, `a.example`, `{}`}))
		put("cert_requests", m.legacyValue())
		put("client_cert_requests", m.legacyValue())
		put("application_cert_requests", m.legacyValue())
		put("intermediate_cert_requests", m.legacyValue())
		put("certificate_signing_requests", m.csrValue())
		return bag
	})
}

// relation is a random relation as the leading unit of the provider sees it, its own databags empty.
func (m material) relation() *rapid.Generator[juju.Relation] {
	return rapid.Custom(func(t *rapid.T) juju.Relation {
		rel := etcd(map[string]juju.Bag{})
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"etcd/0", "etcd/1", "etcd/2", "remote-0a/1", "remote-0a/2"}), 0, 4, rapid.ID[string])
		for _, unit := range names.Draw(t, "units") {
			rel.RemoteUnits[unit] = m.bag(unit).Draw(t, unit)
		}
		rel.RemoteApplication["certificate_signing_requests"] = m.csrValue().Draw(t, "application")
		rel.OwnUnit, rel.OwnApp = juju.Bag{"colour": "blue"}, juju.Bag{"colour": "blue"}
		return rel
	})
}

// publication answers a random part of what is asked, and denies another.
func (m material) publication(t *rapid.T, rel juju.Relation) dialect.Publication {
	pub := dialect.Publication{Reading: dialect.Read(rel)}
	if rapid.Bool().Draw(t, "common") {
		pub.Common = &dialect.Common{Trust: m.ca.issuers[1:], Chain: m.ca.issuers, Client: m.issued[0]}
	}
	for i, ask := range pub.Reading.Asks {
		switch rapid.SampledFrom([]string{"grant", "deny", "wait"}).Draw(t, fmt.Sprint("what becomes of ", i)) {
		case "grant":
			issued := m.answers[ask.Request]
			if ask.Dialect == dialect.Legacy {
				issued = rapid.SampledFrom(m.issued).Draw(t, "issued")
			}
			pub.Grants = append(pub.Grants, dialect.Grant{Ask: ask, Issued: issued})
		case "deny":
			code := rapid.SampledFrom([]dialect.Code{dialect.BadName, dialect.NoAuthority, dialect.NotSigned}).Draw(t, "code")
			pub.Denials = append(pub.Denials, deny(ask, code))
		}
	}
	return pub
}

func TestPropertyReadIsTotalAndBounded(t *testing.T) {
	t.Parallel()
	m := newMaterial(t)
	rapid.Check(t, func(t *rapid.T) {
		rel := m.relation().Draw(t, "relation")
		reading := dialect.Read(rel)
		require.Equal(t, reading, dialect.Read(rel), "the same again")
		seen := map[dialect.AskID]bool{}
		names := map[string]string{}
		for _, ask := range reading.Asks {
			require.False(t, seen[ask.ID()], "each ask once: %s", ask.ID())
			seen[ask.ID()] = true
			if ask.Name != "" {
				require.Contains(t, []string{"", ask.Unit}, names[ask.Name], "one name, one unit")
				names[ask.Name] = ask.Unit
			}
		}
		requireBounded(t, reading.Denials)
	})
}

func requireBounded(t require.TestingT, denials []dialect.Denial) {
	for _, denial := range denials {
		require.NotEmpty(t, denial.Code)
		require.NotEmpty(t, denial.Reason)
		require.Less(t, len(denial.Reason), 300)
		require.Less(t, len(denial.Item), 300)
		require.True(t, utf8.ValidString(denial.String()))
		require.NotContains(t, denial.String(), "\n")
		require.NotContains(t, denial.String(), "PRIVATE KEY")
		if denial.Request != "" {
			_, err := cert.ParseRequest(denial.Request)
			require.NoError(t, err)
		}
	}
}

// TestPropertyNeighboursDoNotMatter: what one unit writes in its databag changes nothing of what another gets, apart
// from the certificate that they share, requests that they both make, and names that they both claim.
func TestPropertyNeighboursDoNotMatter(t *testing.T) {
	t.Parallel()
	m := newMaterial(t)
	rapid.Check(t, func(t *rapid.T) {
		rel := m.relation().Draw(t, "relation")
		delete(rel.RemoteUnits, "etcd/1")
		delete(rel.RemoteUnits, "remote-0a/1") // may both claim etcd_1 here, though not in Juju
		own := juju.Bag{"unit_name": "etcd_9", "common_name": "host-9", "client_cert_requests": `{"c": {"sans": null}}`}
		own["certificate_signing_requests"] = asking(newestRequest(m))["certificate_signing_requests"]
		rel.RemoteUnits["etcd/9"] = own
		var got []string
		for _, ask := range dialect.Read(rel).Asks {
			if ask.Unit == "etcd/9" {
				got = append(got, brief(ask))
			}
		}
		require.Equal(t, []string{"etcd/9  server neighbour []", "etcd/9 etcd_9 server host-9 []", "etcd/9 etcd_9 client c []"}, got)
	})
}

// newestRequest is a request that no random databag makes.
func newestRequest(m material) string { return newRequest(m.ca.t, "neighbour") }

func TestPropertyPublishIsIdempotent(t *testing.T) {
	t.Parallel()
	m := newMaterial(t)
	rapid.Check(t, func(t *rapid.T) {
		rel := m.relation().Draw(t, "relation")
		pub := m.publication(t, rel)
		first := withBags(rel, dialect.PublishUnit(rel, pub), dialect.PublishApplication(rel, pub))
		require.Equal(t, first.OwnUnit, dialect.PublishUnit(first, pub))
		require.Equal(t, first.OwnApp, dialect.PublishApplication(first, pub))
		requireLawful(t, first)

		// The world moves on: other units, other requests, other decisions. Still lawful, still stable.
		next := m.relation().Draw(t, "later")
		next.OwnUnit, next.OwnApp = first.OwnUnit, first.OwnApp
		later := m.publication(t, next)
		second := withBags(next, dialect.PublishUnit(next, later), dialect.PublishApplication(next, later))
		require.Equal(t, second.OwnUnit, dialect.PublishUnit(second, later))
		require.Equal(t, second.OwnApp, dialect.PublishApplication(second, later))
		requireLawful(t, second)
	})
}

// requireLawful checks what must hold of own databags whatever was asked and decided.
func requireLawful(t require.TestingT, rel juju.Relation) {
	require.Equal(t, "blue", rel.OwnUnit["colour"])
	require.Equal(t, "blue", rel.OwnApp["colour"])
	for _, value := range rel.OwnUnit {
		require.NotEmpty(t, value)
	}
	asked := map[string]bool{}
	reading := dialect.Read(rel)
	for _, ask := range reading.Asks {
		asked[ask.Request] = true
	}
	for _, denial := range reading.Denials {
		asked[denial.Request] = true
	}
	var answered []string
	if text := rel.OwnApp["certificates"]; text != "" {
		for _, e := range mustDecode[[]entry](t, text) {
			answered = append(answered, e["certificate_signing_request"].(string))
			for _, member := range []string{"ca", "certificate"} {
				_, err := cert.ParseCertificate(e[member].(string))
				require.NoError(t, err)
			}
			require.Equal(t, e["certificate"], e["chain"].([]any)[0])
			require.Equal(t, e["ca"], e["chain"].([]any)[1])
		}
	}
	if text := rel.OwnApp["request_errors"]; text != "" {
		for _, e := range mustDecode[[]entry](t, text) {
			require.Equal(t, e["csr"], e["certificate_signing_request"])
			answered = append(answered, e["csr"].(string))
		}
	}
	for _, request := range answered {
		require.True(t, asked[request], "no stray stays")
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(answered))), len(answered), "a certificate or an error, and one of it")
}

func TestPropertyRequestIsIdempotentAndRead(t *testing.T) {
	t.Parallel()
	m := newMaterial(t)
	want := rapid.Custom(func(t *rapid.T) dialect.Want {
		return dialect.Want{
			Kind:       rapid.SampledFrom([]cert.Kind{cert.Server, cert.Client, cert.Intermediate}).Draw(t, "kind"),
			CommonName: rapid.SampledFrom([]string{"host-0", "host-1", "host-2"}).Draw(t, "name"),
			Names:      cert.Names{DNS: []string{"a.example"}},
			Request:    rapid.SampledFrom([]string{"", m.requests[0], m.requests[2]}).Draw(t, "request"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		rel := upstream(nil, nil)
		rel.OwnUnit = m.bag("kube/0").Draw(t, "own")
		standing := maps.Clone(rel.OwnUnit)
		wants := rapid.SliceOfN(want, 0, 4).Draw(t, "wants")
		bag := dialect.Request(rel, "kube/0", wants, dialect.Legacy, dialect.CSR)
		require.Equal(t, standing, rel.OwnUnit, "the snapshot is not changed")
		rel.OwnUnit = bag
		require.Equal(t, bag, dialect.Request(rel, "kube/0", wants, dialect.Legacy, dialect.CSR))

		found := map[string]bool{}
		for _, ask := range dialect.Read(etcd(map[string]juju.Bag{"kube/0": bag})).Asks {
			found[string(ask.Kind)+ask.CommonName] = true
			found[ask.Request] = true
		}
		for _, w := range wants {
			require.True(t, found[string(w.Kind)+w.CommonName], "%s %s", w.Kind, w.CommonName)
			require.True(t, w.Request == "" || found[strings.TrimSpace(w.Request)])
		}
	})
}
