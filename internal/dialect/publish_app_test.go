// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

type entry = map[string]any

func entriesOf(t *testing.T, bag juju.Bag) []entry { return decode[[]entry](t, bag["certificates"]) }

func requestsOf(t *testing.T, bag juju.Bag) []string {
	list := []string{}
	for _, e := range entriesOf(t, bag) {
		list = append(list, e["certificate_signing_request"].(string))
	}
	return list
}

func errorsOf(t *testing.T, bag juju.Bag) []entry { return decode[[]entry](t, bag["request_errors"]) }

func deny(ask dialect.Ask, code dialect.Code) dialect.Denial {
	return dialect.Denial{Relation: ask.Relation, Unit: ask.Unit, Ask: ask.ID(), Request: ask.Request, Code: code, Reason: "it is so"}
}

func TestPublishApplicationEntry(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root").intermediate("issuing")
	request := newRequest(t, "a") + "\n"
	rel := etcd(map[string]juju.Bag{"etcd/0": asking(request)})
	rel.OwnApp = juju.Bag{"colour": "blue"}
	pub := grantAll(ca, rel)
	bag := dialect.PublishApplication(rel, pub)
	require.ElementsMatch(t, []string{"colour", "certificates"}, keysOf(bag))
	leaf := strings.TrimSpace(pub.Grants[0].Issued.Certificate)
	issuing, root := strings.TrimSpace(ca.issuers[0]), strings.TrimSpace(ca.issuers[1])
	require.Equal(t, []entry{{
		"certificate_signing_request": request, // byte for byte
		"certificate":                 leaf, "ca": issuing, "chain": []any{leaf, issuing, root},
	}}, entriesOf(t, bag))
	require.NotContains(t, bag["certificates"], "null")

	issued, found := dialect.NewIndex(withBags(rel, nil, bag)).Published(pub.Grants[0].Ask)
	require.True(t, found)
	require.Equal(t, pub.Grants[0].Issued, issued)
	require.Equal(t, bag, dialect.PublishApplication(withBags(rel, nil, bag), pub))
}

func TestPublishApplicationWithoutLeadership(t *testing.T) {
	t.Parallel()
	rel := etcd(map[string]juju.Bag{"etcd/0": asking(newRequest(t, "a"))})
	rel.OwnApp = nil
	require.Nil(t, dialect.PublishApplication(rel, grantAll(newRoot(t, "root"), rel)))
}

func TestPublishApplicationOrderAndStrays(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root")
	a, b, c, d := newRequest(t, "a"), newRequest(t, "b"), newRequest(t, "c"), newRequest(t, "d")
	rel := etcd(map[string]juju.Bag{"etcd/5": asking(b), "etcd/7": asking(c)})
	rel.OwnApp = dialect.PublishApplication(rel, grantAll(ca, rel))
	require.Equal(t, []string{b, c}, requestsOf(t, rel.OwnApp))

	rel.RemoteUnits = map[string]juju.Bag{"etcd/1": asking(d, a), "etcd/7": asking(c), "etcd/9": asking(b)}
	rel.OwnApp = dialect.PublishApplication(rel, grantAll(ca, rel))
	require.Equal(t, []string{b, c, d, a}, requestsOf(t, rel.OwnApp), "what stands there keeps its place")

	delete(rel.RemoteUnits, "etcd/7")
	bag := dialect.PublishApplication(rel, dialect.Publication{Reading: dialect.Read(rel)})
	require.Equal(t, []string{b, d, a}, requestsOf(t, bag), "a stray goes, the others stay even if not granted again")

	rel.RemoteUnits = map[string]juju.Bag{}
	require.Empty(t, dialect.PublishApplication(rel, dialect.Publication{Reading: dialect.Read(rel)}))
}

// edit changes the first entry of a bag.
func edit(t *testing.T, bag juju.Bag, change func(entry)) juju.Bag {
	t.Helper()
	entries := entriesOf(t, bag)
	change(entries[0])
	text, err := json.Marshal(entries)
	require.NoError(t, err)
	return juju.Bag{"certificates": string(text)}
}

func TestPublishApplicationStandingEntries(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root")
	for sentence, c := range map[string]struct {
		change    func(entry)
		published bool // is found before anything else happens
		kept      bool // stays without a grant
		temporary bool // stays when denied for a time
	}{
		"a good one":                  {func(entry) {}, true, true, true},
		"one with an unknown member":  {func(e entry) { e["colour"] = "blue" }, true, true, true},
		"a revoked one":               {func(e entry) { e["revoked"] = true }, false, true, true},
		"one with null members":       {func(e entry) { e["revoked"], e["recommended_expiry_notification_time"] = nil, nil }, true, true, true},
		"one with garbage inside":     {func(e entry) { e["ca"] = "garbage" }, false, false, false},
		"one without a chain":         {func(e entry) { delete(e, "chain") }, false, false, false},
		"one with a damaged chain":    {func(e entry) { e["chain"] = []any{"garbage"} }, false, false, false},
		"one for another key":         {func(e entry) { e["certificate"] = ca.issue("x").Certificate }, false, false, false},
		"one whose revoked is a text": {func(e entry) { e["revoked"] = "no" }, false, false, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			rel := etcd(map[string]juju.Bag{"etcd/0": asking(newRequest(t, "a"), newRequest(t, "b"))})
			pub := grantAll(ca, rel)
			rel.OwnApp = edit(t, dialect.PublishApplication(rel, pub), c.change)
			first, second := pub.Grants[0].Ask, pub.Grants[1].Ask
			_, found := dialect.NewIndex(rel).Published(first)
			require.Equal(t, c.published, found)
			_, found = dialect.NewIndex(rel).Published(second)
			require.True(t, found, "its neighbour is found in any case")

			pending := dialect.Publication{Reading: pub.Reading}
			require.Equal(t, c.kept, len(requestsOf(t, dialect.PublishApplication(rel, pending))) == 2)

			for _, code := range []dialect.Code{dialect.NoAuthority, dialect.NotSigned} {
				denied := dialect.Publication{Reading: pub.Reading, Denials: []dialect.Denial{deny(first, code)}}
				bag := dialect.PublishApplication(rel, denied)
				require.Equal(t, c.temporary, len(requestsOf(t, bag)) == 2)
				require.Equal(t, c.temporary, bag["request_errors"] == "", "in one of both at most")
				require.NotContains(t, bag["certificates"], "null")
			}
			for _, code := range []dialect.Code{dialect.CANotAllowed, dialect.Unsignable} {
				refused := dialect.Publication{Reading: pub.Reading, Denials: []dialect.Denial{deny(first, code)}}
				bag := dialect.PublishApplication(rel, refused)
				require.Equal(t, []string{second.Request}, requestsOf(t, bag))
				require.Len(t, errorsOf(t, bag), 1)
			}

			granted := dialect.PublishApplication(rel, pub)
			again := etcd(rel.RemoteUnits)
			again.OwnApp = granted
			issued, found := dialect.NewIndex(again).Published(first)
			require.True(t, found, "a grant takes its place")
			require.Equal(t, pub.Grants[0].Issued, issued)
			if sentence == "one with an unknown member" {
				require.Equal(t, "blue", entriesOf(t, granted)[0]["colour"])
				pub.Grants[0].Issued = ca.answer(first.Request)
				require.NotContains(t, entriesOf(t, dialect.PublishApplication(rel, pub))[0], "colour", "it was said of the old certificate")
			}
			require.Equal(t, granted, dialect.PublishApplication(again, grantsFrom(again, pub)))
		})
	}
}

func grantsFrom(rel juju.Relation, pub dialect.Publication) dialect.Publication {
	next := published(rel)
	next.Reading = pub.Reading
	return next
}

func TestPublishApplicationErrors(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root")
	for code, want := range map[dialect.Code]struct {
		number float64
		name   string
	}{
		dialect.BadIP:        {101, "IP_NOT_ALLOWED"},
		dialect.BadName:      {102, "DOMAIN_NOT_ALLOWED"},
		dialect.BadWildcard:  {103, "WILDCARD_NOT_ALLOWED"},
		dialect.NoAuthority:  {201, "SERVER_NOT_AVAILABLE"},
		dialect.CANotAllowed: {999, "OTHER"},
		dialect.NotSigned:    {999, "OTHER"},
		dialect.Unsignable:   {999, "OTHER"},
	} {
		t.Run(string(code), func(t *testing.T) {
			t.Parallel()
			request := newRequest(t, "a")
			rel := etcd(map[string]juju.Bag{"etcd/0": asking(request)})
			ask := dialect.Read(rel).Asks[0]
			pub := dialect.Publication{Reading: dialect.Read(rel), Denials: []dialect.Denial{deny(ask, code)}}
			bag := dialect.PublishApplication(rel, pub)
			require.Equal(t, []entry{{
				"csr": request, "certificate_signing_request": request,
				"error": entry{"code": want.number, "name": want.name, "message": "it is so", "reason": string(code)},
			}}, errorsOf(t, bag))
			require.NotContains(t, bag, "certificates")

			offers, denials := dialect.Offers(juju.Relation{ID: 8, RemoteApplication: bag}, "etcd/0", []dialect.Want{{Kind: cert.Server, Request: request}})
			require.Empty(t, offers)
			require.Len(t, denials, 1, "the requirer side reads it")
			require.Equal(t, code, denials[0].Code)
			require.Equal(t, request, denials[0].Request)
			require.Equal(t, "the provider says: it is so", denials[0].Reason)

			pub.Grants = grantAll(ca, rel).Grants
			granted := dialect.PublishApplication(withBags(rel, nil, bag), pub)
			require.NotContains(t, granted, "request_errors", "a grant ends the error")
			require.Len(t, requestsOf(t, granted), 1)
		})
	}
}

func TestPublishApplicationItemErrors(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root")
	good, bad := newRequest(t, "good"), forged(t)
	rel := etcd(map[string]juju.Bag{
		"etcd/0": asking(bad, "garbage", "-----BEGIN CERTIFICATE REQUEST-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE REQUEST-----"),
		"etcd/1": {"certificate_signing_requests": `[{"certificate_signing_request": ` + quoted(good) + `, "ca": "yes"}]`},
		"etcd/2": asking(good),
	})
	pub := grantAll(ca, rel)
	pub.Denials = pub.Reading.Denials
	bag := dialect.PublishApplication(rel, pub)
	require.Equal(t, []string{good}, requestsOf(t, bag), "another unit's bad item takes nothing from who asks properly")
	require.Len(t, errorsOf(t, bag), 1)
	require.Equal(t, bad, errorsOf(t, bag)[0]["csr"])
	require.NotContains(t, bag["request_errors"], "garbage")
	require.NotContains(t, bag["request_errors"], "Z2FyYmFnZQ==", "what others cannot parse is never published")

	pub.Grants = nil
	again := dialect.PublishApplication(withBags(rel, nil, bag), pub)
	require.Equal(t, bag, again)
	fresh := dialect.PublishApplication(rel, pub)
	require.Len(t, errorsOf(t, fresh), 1, "nor is it said to be wrong while it is pending")
}

func TestPublishApplicationRefusesBadGrants(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root")
	rel := etcd(map[string]juju.Bag{"etcd/0": asking(newRequest(t, "a"))})
	good := grantAll(ca, rel).Grants[0]
	for sentence, spoil := range map[string]func(*dialect.Grant){
		"for another key":      func(g *dialect.Grant) { g.Issued.Certificate = ca.issue("a").Certificate },
		"without an issuer":    func(g *dialect.Grant) { g.Issued.Issuers = nil },
		"with garbage":         func(g *dialect.Grant) { g.Issued.Certificate = "garbage" },
		"with garbage above":   func(g *dialect.Grant) { g.Issued.Issuers = []string{"garbage"} },
		"for a request unseen": func(g *dialect.Grant) { g.Ask.Request = newRequest(t, "b") },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			grant := good
			spoil(&grant)
			pub := dialect.Publication{Reading: dialect.Read(rel), Grants: []dialect.Grant{grant}}
			require.Empty(t, dialect.PublishApplication(rel, pub))
		})
	}
}

func TestPublishApplicationCapabilities(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	rel := etcd(nil)
	rel.OwnApp = juju.Bag{"colour": "blue"}
	pub := dialect.Publication{Capabilities: &dialect.Capabilities{IPSANs: &yes, CACertificates: &no, ProviderType: "signet"}}
	bag := dialect.PublishApplication(rel, pub)
	require.Equal(t, juju.Bag{
		"colour":       "blue",
		"capabilities": `{"provider_type":"signet","supports_ca_certificates":false,"supports_ip_sans":true}`,
	}, bag)

	rel.OwnApp = juju.Bag{"capabilities": `{"provider_type": "signet", "supports_ca_certificates": false, "supports_ip_sans": true}`}
	require.Equal(t, rel.OwnApp, dialect.PublishApplication(rel, pub), "the same, written otherwise, stays")

	require.Empty(t, dialect.PublishApplication(rel, dialect.Publication{}))
}

func TestPublishApplicationDamagedOwnBag(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root")
	for _, damaged := range []string{"{", "{}", "null", `"text"`, "[1, null, [], {}]", "[]"} {
		rel := etcd(map[string]juju.Bag{"etcd/0": asking(newRequest(t, "a"))})
		rel.OwnApp = juju.Bag{"certificates": damaged, "request_errors": damaged}
		bag := dialect.PublishApplication(rel, grantAll(ca, rel))
		require.Len(t, requestsOf(t, bag), 1, damaged)
		require.Contains(t, []string{"", "[]"}, bag["request_errors"])
	}
}
