// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// grantAll answers every ask of a relation.
func grantAll(ca authority, rel juju.Relation) dialect.Publication {
	pub := dialect.Publication{Reading: dialect.Read(rel)}
	for _, ask := range pub.Reading.Asks {
		var issued cert.Issued
		switch {
		case ask.Dialect == dialect.CSR:
			issued = ca.answer(ask.Request)
		case ask.Kind == cert.Intermediate:
			issued = ca.issueCA(ask.CommonName)
		default:
			issued = ca.issue(ask.CommonName, ask.Names.List()...)
		}
		pub.Grants = append(pub.Grants, dialect.Grant{Ask: ask, Issued: issued})
	}
	return pub
}

func common(ca authority) *dialect.Common {
	return &dialect.Common{Trust: ca.issuers[len(ca.issuers)-1:], Client: ca.issue("global-client")}
}

func keysOf(bag juju.Bag) []string {
	keys := []string{}
	for key := range maps.Keys(bag) {
		keys = append(keys, key)
	}
	return keys
}

func TestPublishUnitPlaces(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root").intermediate("issuing")
	rel := etcd(map[string]juju.Bag{
		"etcd/0": {
			"unit_name": "etcd/0", "common_name": "top", "cert_requests": `{"top": {}, "more": {}}`,
			"client_cert_requests": `{"client": {"sans": null}}`, "intermediate_cert_requests": `{"ica": {}}`,
			"application_cert_requests": `{"app.example": {}}`,
		},
		"etcd/1": {"unit_name": "etcd_1", "application_cert_requests": `{"app.example": {}}`},
		"etcd/2": {"unit_name": "etcd_2"},
	})
	rel.OwnUnit = juju.Bag{"ingress-address": "10.0.0.9", "colour": "blue"}
	pub := grantAll(ca, rel)
	pub.Common = common(ca)
	pub.Common.Chain = ca.issuers
	bag := dialect.PublishUnit(rel, pub)
	require.ElementsMatch(t, []string{
		"ca", "chain", "client.cert", "client.key", "ingress-address", "colour",
		"etcd_0.server.cert", "etcd_0.server.key", "etcd_0.processed_requests", "etcd_0.processed_client_requests",
		"etcd_0.processed_intermediate_requests", "etcd_0.processed_application_requests", "etcd_1.processed_application_requests",
	}, keysOf(bag))
	require.Equal(t, ca.issuers[1], bag["ca"])
	require.Equal(t, ca.issuers[0]+ca.issuers[1], bag["chain"])
	require.Equal(t, bag["etcd_0.processed_application_requests"], bag["etcd_1.processed_application_requests"])
	more := decode[map[string]map[string]string](t, bag["etcd_0.processed_requests"])
	require.Len(t, more, 1, "the top-level request is answered only at the top level")
	require.Contains(t, more, "more")
	for key, value := range bag {
		if strings.HasSuffix(key, ".cert") || strings.HasSuffix(key, ".key") || key == "ca" || key == "chain" {
			require.True(t, strings.HasPrefix(value, "-----BEGIN ") && strings.HasSuffix(value, "-----\n") && !strings.HasSuffix(value, "\n\n"), key)
		}
	}

	published := withBags(rel, bag, juju.Bag{})
	for _, grant := range pub.Grants {
		issued, found := dialect.NewIndex(published).Published(grant.Ask)
		require.True(t, found, grant.Ask.ID())
		require.Equal(t, cert.Issued{Certificate: grant.Issued.Certificate, Key: grant.Issued.Key}, issued)
	}
	client, found := dialect.NewIndex(published).Client()
	require.True(t, found)
	require.Equal(t, cert.Issued{Certificate: pub.Common.Client.Certificate, Key: pub.Common.Client.Key}, client)

	pub.Common.Chain = nil
	require.NotContains(t, dialect.PublishUnit(published, pub), "chain", "a root has no chain")
}

func TestPublishUnitBootstrap(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root")
	request := newRequest(t, "a")
	shared := []string{"ca", "client.cert", "client.key"}
	for sentence, c := range map[string]struct {
		units   map[string]juju.Bag
		own     juju.Bag
		without bool // no Common in the publication
		keys    []string
	}{
		"before any request, as soon as a unit says its name": {units: map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0"}}, keys: shared},
		"not for units that say nothing yet":                  {units: map[string]juju.Bag{"etcd/0": {}}, keys: []string{}},
		"not for requirers of the CSR dialect":                {units: map[string]juju.Bag{"etcd/0": asking(request)}, keys: []string{}},
		"for a relation that speaks both":                     {units: map[string]juju.Bag{"etcd/0": asking(request), "etcd/1": {"unit_name": "etcd_1"}}, keys: shared},
		"kept while there is nothing new to say":              {units: map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0"}}, own: juju.Bag{"ca": "x"}, without: true, keys: []string{"ca"}},
		"withdrawn when all speak the CSR dialect": {
			units: map[string]juju.Bag{"etcd/0": asking(request)}, own: juju.Bag{"ca": "x", "chain": "x", "client.cert": "x", "client.key": "x", "other": "y"},
			keys: []string{"other"},
		},
		"kept when nobody is there": {units: map[string]juju.Bag{}, own: juju.Bag{"ca": "x", "etcd_0.server.key": "x"}, keys: []string{"ca"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			rel := etcd(c.units)
			rel.OwnUnit = c.own
			pub := dialect.Publication{Reading: dialect.Read(rel), Common: common(ca)}
			if c.without {
				pub.Common = nil
			}
			require.ElementsMatch(t, c.keys, keysOf(dialect.PublishUnit(rel, pub)))
		})
	}
}

func TestPublishUnitWithdrawal(t *testing.T) {
	t.Parallel()
	answers := func(unit string) juju.Bag {
		bag := juju.Bag{}
		for _, suffix := range []string{
			"server.cert", "server.key", "processed_requests", "processed_client_requests", "processed_application_requests",
			"processed_intermediate_requests",
		} {
			bag[unit+"."+suffix] = "{}"
		}
		return bag
	}
	request := newRequest(t, "a")
	for sentence, c := range map[string]struct {
		units map[string]juju.Bag
		filed string
		kept  bool
	}{
		"of a unit that is gone": {units: map[string]juju.Bag{"etcd/1": {"unit_name": "etcd_1"}}, filed: "etcd_0"},
		"of the last unit":       {units: map[string]juju.Bag{}, filed: "etcd_0"},
		"of a unit that now speaks the CSR dialect only": {
			units: map[string]juju.Bag{"etcd/0": asking(request)}, filed: "etcd_0",
		},
		"not of a unit that now speaks both": {
			units: map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "certificate_signing_requests": "[]"}}, filed: "etcd_0", kept: true,
		},
		"not of a present unit that asks for nothing":   {units: map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0"}}, filed: "etcd_0", kept: true},
		"not of a present unit that says nothing":       {units: map[string]juju.Bag{"etcd/0": {}}, filed: "etcd_0", kept: true},
		"not of a present unit whose request is broken": {units: map[string]juju.Bag{"etcd/0": {"cert_requests": "{"}}, filed: "etcd_0", kept: true},
		"not of a present unit that lies":               {units: map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_1"}}, filed: "etcd_0", kept: true},
		"not of a cross-model unit":                     {units: map[string]juju.Bag{"remote-0a/0": {"unit_name": "etcd/0"}}, filed: "etcd_0", kept: true},
		"not of a cross-model unit that forgot its name": {
			units: map[string]juju.Bag{"remote-0a/0": {"common_name": "a"}}, filed: "etcd_0", kept: true,
		},
		"not of a cross-model unit that now lies": {
			units: map[string]juju.Bag{"remote-0a/0": {"unit_name": "etcd/1"}}, filed: "etcd_0", kept: true,
		},
		"of a cross-model unit that now goes by another name": {
			units: map[string]juju.Bag{"remote-0a/0": {"unit_name": "kube/0"}}, filed: "etcd_0",
		},
		"of a cross-model unit that is gone": {
			units: map[string]juju.Bag{"remote-0a/1": {"unit_name": "etcd/1"}}, filed: "etcd_0",
		},
		"of a cross-model unit that now speaks the CSR dialect only": {
			units: map[string]juju.Bag{"remote-0a/0": asking(request)}, filed: "etcd_0",
		},
		"of a claimed unit that never was": {
			units: map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_1"}}, filed: "etcd_1",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			rel := etcd(c.units)
			rel.OwnUnit = answers(c.filed)
			foreign := juju.Bag{"etcd_0.colour": "blue", "etcd_0.server.cert.bak": "x", "ETCD_0.server.cert": "x", "server.cert": "x", "x.y": "z"}
			maps.Copy(rel.OwnUnit, foreign)
			bag := dialect.PublishUnit(rel, dialect.Publication{Reading: dialect.Read(rel)})
			want := maps.Clone(foreign)
			if c.kept {
				maps.Copy(want, answers(c.filed))
			}
			require.Equal(t, want, bag)
		})
	}
}

func TestPublishUnitKeepsWhatIsGranted(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root")
	rel := etcd(map[string]juju.Bag{"etcd/0": {"common_name": "a", "cert_requests": `{"b": {}}`}})
	rel.OwnUnit = dialect.PublishUnit(rel, grantAll(ca, rel))

	// b moves to the top level and c joins it below, not granted yet; what a and b have stays in use.
	rel.RemoteUnits["etcd/0"] = juju.Bag{"common_name": "b", "cert_requests": `{"a": {}, "c": {}}`}
	index := dialect.NewIndex(rel)
	for _, ask := range dialect.Read(rel).Asks {
		_, found := index.Published(ask)
		require.Equal(t, ask.CommonName != "c", found, ask.CommonName)
	}
	pub := published(rel)
	bag := dialect.PublishUnit(rel, pub)
	again := withBags(rel, bag, nil)
	require.Equal(t, pub.Grants, published(again).Grants, "each is found in its new place")
	require.NotContains(t, decode[map[string]any](t, bag["etcd_0.processed_requests"]), "b")

	// A CN that nobody asks for any more keeps its answer as long as its unit is there.
	rel = withBags(rel, bag, nil)
	rel.RemoteUnits["etcd/0"] = juju.Bag{"common_name": "b"}
	bag = dialect.PublishUnit(rel, published(rel))
	require.Contains(t, decode[map[string]any](t, bag["etcd_0.processed_requests"]), "a")
}

func TestPublishUnitWritesOnlyChanges(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root")
	rel := etcd(map[string]juju.Bag{"etcd/0": {"client_cert_requests": `{"b": {}, "a": {}}`}})
	pub := grantAll(ca, rel)
	const key = "etcd_0.processed_client_requests"
	bag := dialect.PublishUnit(rel, pub)

	spaced, err := json.MarshalIndent(decode[any](t, bag[key]), "", "  ")
	require.NoError(t, err)
	rel.OwnUnit = juju.Bag{key: string(spaced)}
	require.Equal(t, string(spaced), dialect.PublishUnit(rel, pub)[key], "the same, written otherwise, stays")

	rel.OwnUnit = juju.Bag{key: "{broken"}
	require.Equal(t, bag[key], dialect.PublishUnit(rel, pub)[key], "a damaged value is written anew")
	require.NotContains(t, rel.OwnUnit[key], "cert", "the snapshot is not changed")
}

func TestPublishUnitRefusesBadGrants(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root")
	rel := etcd(map[string]juju.Bag{"etcd/0": {"common_name": "a"}})
	good := grantAll(ca, rel).Grants[0]
	for sentence, spoil := range map[string]func(*dialect.Grant){
		"without a key":                func(g *dialect.Grant) { g.Issued.Key = cert.Key{} },
		"with garbage for a key":       func(g *dialect.Grant) { g.Issued.Key = cert.NewKey("garbage") },
		"with garbage for certificate": func(g *dialect.Grant) { g.Issued.Certificate = "garbage" },
		"for a unit that is not there": func(g *dialect.Grant) { g.Ask.Unit, g.Ask.Name = "etcd/1", "etcd_1" },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			grant := good
			spoil(&grant)
			pub := dialect.Publication{Reading: dialect.Read(rel), Grants: []dialect.Grant{grant}}
			require.Empty(t, dialect.PublishUnit(rel, pub))
		})
	}
}

func TestPublishedRefusesWhatCannotBeUsed(t *testing.T) {
	t.Parallel()
	ca := newRoot(t, "root")
	rel := etcd(map[string]juju.Bag{"etcd/0": {"common_name": "a", "client_cert_requests": `{"c": {}}`}})
	asks := dialect.Read(rel).Asks
	good, other := ca.issue("a"), ca.issue("c")
	pair := func(certificate, key string) string {
		text, _ := json.Marshal(map[string]map[string]string{"c": {"cert": certificate, "key": key}})
		return string(text)
	}
	for sentence, bag := range map[string]juju.Bag{
		"nothing":            {},
		"no key":             {"etcd_0.server.cert": good.Certificate},
		"another key":        {"etcd_0.server.cert": good.Certificate, "etcd_0.server.key": other.Key.Reveal()},
		"garbage":            {"etcd_0.server.cert": "garbage", "etcd_0.server.key": good.Key.Reveal()},
		"another's answer":   {"etcd_0.server.cert": other.Certificate, "etcd_0.server.key": other.Key.Reveal()},
		"a damaged object":   {"etcd_0.processed_client_requests": "{"},
		"a list":             {"etcd_0.processed_client_requests": "[]"},
		"no object inside":   {"etcd_0.processed_client_requests": `{"c": "text"}`},
		"no text inside":     {"etcd_0.processed_client_requests": `{"c": {"cert": 1, "key": 2}}`},
		"another key inside": {"etcd_0.processed_client_requests": pair(other.Certificate, good.Key.Reveal())},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			for _, ask := range asks {
				_, found := dialect.NewIndex(withBags(rel, bag, nil)).Published(ask)
				require.False(t, found)
			}
		})
	}
}
