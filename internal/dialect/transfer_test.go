// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// trusting is a certificate_transfer relation.
func trusting(own, remote juju.Bag, units map[string]juju.Bag) juju.Relation {
	return juju.Relation{
		ID: 2, Endpoint: juju.Endpoint{Interface: "certificate_transfer"}, RemoteApp: "other",
		OwnUnit: juju.Bag{"colour": "blue"}, OwnApp: own, RemoteApplication: remote, RemoteUnits: units,
	}
}

func asJSON(value any) string {
	text, _ := json.Marshal(value)
	return string(text)
}

func TestPublishTransfer(t *testing.T) {
	t.Parallel()
	a, b := newRoot(t, "a").issuers[0], newRoot(t, "b").issuers[0]
	certificates := []string{b, "garbage", a + b, "Certificate:\n" + a}
	plain := []string{strings.TrimSpace(a), strings.TrimSpace(b)}
	slices.Sort(plain)
	v1 := juju.Bag{"certificates": asJSON(plain), "version": "1", "kept": "x"}
	v0 := juju.Bag{"ca": asJSON(plain[0]), "certificate": asJSON(plain[0]), "chain": asJSON(plain), "version": "0", "colour": "blue"}
	none := juju.Bag{"colour": "blue"}
	for sentence, c := range map[string]struct {
		own, remote juju.Bag
		list        []string
		want        juju.OwnBags
	}{
		"the leader, for version 1":            {juju.Bag{"kept": "x"}, juju.Bag{"version": "1"}, certificates, juju.OwnBags{App: v1, Unit: none}},
		"the leader, for a quoted version 1":   {juju.Bag{"kept": "x"}, juju.Bag{"version": `"1"`}, certificates, juju.OwnBags{App: v1, Unit: none}},
		"the leader, for version 0":            {juju.Bag{"kept": "x"}, juju.Bag{"version": "0"}, certificates, juju.OwnBags{App: v1, Unit: v0}},
		"the leader, for who says no version":  {juju.Bag{"kept": "x"}, juju.Bag{}, certificates, juju.OwnBags{App: v1, Unit: v0}},
		"another unit, for version 1":          {nil, juju.Bag{"version": "1"}, certificates, juju.OwnBags{Unit: none}},
		"another unit, for version 0":          {nil, juju.Bag{"version": "0"}, certificates, juju.OwnBags{Unit: v0}},
		"nothing to trust":                     {juju.Bag{}, juju.Bag{}, nil, juju.OwnBags{App: juju.Bag{"certificates": "[]", "version": "1"}, Unit: none}},
		"nothing that can be read is no trust": {juju.Bag{}, juju.Bag{}, []string{"garbage"}, juju.OwnBags{App: juju.Bag{"certificates": "[]", "version": "1"}, Unit: none}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			rel := trusting(c.own, c.remote, nil)
			bags := dialect.PublishTransfer(rel, c.list)
			require.Equal(t, c.want, bags)
			rel.OwnUnit, rel.OwnApp = bags.Unit, bags.App
			require.Equal(t, bags, dialect.PublishTransfer(rel, c.list))

			fewer := dialect.PublishTransfer(rel, nil)
			require.Equal(t, none, fewer.Unit, "a retired CA goes")
			if fewer.App != nil {
				require.Equal(t, "[]", fewer.App["certificates"])
			}
		})
	}
}

func TestReadTransfer(t *testing.T) {
	t.Parallel()
	ca, other := newRoot(t, "a"), newRoot(t, "b")
	a, b, leaf := ca.issuers[0], other.issuers[0], ca.issue("server").Certificate
	both := []string{a, b}
	slices.Sort(both)
	for sentence, c := range map[string]struct {
		remote juju.Bag
		units  map[string]juju.Bag
		want   []string
		denied []string
	}{
		"nothing":                             {},
		"version 1":                           {remote: juju.Bag{"certificates": asJSON([]string{b, a, a}), "version": "1"}, want: both},
		"version 1, bundles and text":         {remote: juju.Bag{"certificates": asJSON([]string{"text\n" + b + a})}, want: both},
		"version 1, a server's own":           {remote: juju.Bag{"certificates": asJSON([]string{leaf})}, want: []string{leaf}},
		"version 1 counts, not version 0":     {remote: juju.Bag{"certificates": "[]"}, units: map[string]juju.Bag{"other/0": {"ca": a}}},
		"version 0 where version 1 is broken": {remote: juju.Bag{"certificates": "{"}, units: map[string]juju.Bag{"other/0": {"ca": a}}, want: []string{a}, denied: []string{" certificates malformed"}},
		"version 1 with bad items":            {remote: juju.Bag{"certificates": asJSON([]any{1, "garbage", a, nil})}, want: []string{a}, denied: []string{" certificates[0] malformed", " certificates[1] malformed", " certificates[3] malformed"}},
		"version 0, plain":                    {units: map[string]juju.Bag{"other/0": {"ca": a, "certificate": leaf, "chain": asJSON([]string{leaf, b})}}, want: both},
		"version 0, JSON":                     {units: map[string]juju.Bag{"other/0": {"ca": asJSON(a), "certificate": asJSON(a), "chain": asJSON([]string{b})}}, want: both},
		"version 0, a chain in one text":      {units: map[string]juju.Bag{"other/0": {"chain": a + b}}, want: both},
		"version 0, several units":            {units: map[string]juju.Bag{"other/0": {"ca": a}, "other/1": {"ca": b}, "other/2": {}}, want: both},
		"version 0, one unit broken": {
			units: map[string]juju.Bag{"other/0": {"ca": "garbage", "certificate": `"`, "chain": "[1]"}, "other/1": {"ca": b, "chain": "[["}}, want: []string{b},
			denied: []string{"other/0 ca malformed", "other/0 certificate malformed", "other/0 chain[0] malformed", "other/1 chain malformed"},
		},
		"a value that is too large": {
			remote: juju.Bag{"certificates": "[" + strings.Repeat(" ", 4<<20) + "]"}, units: map[string]juju.Bag{"other/0": {"ca": strings.Repeat("x", 4<<20)}},
			denied: []string{" certificates too-large", "other/0 ca too-large"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			got, denials := dialect.ReadTransfer(trusting(nil, c.remote, c.units))
			require.Equal(t, c.want, got)
			require.Equal(t, append([]string{}, c.denied...), refusals(denials))
		})
	}
}

func TestReadTransferHasALimit(t *testing.T) {
	t.Parallel()
	items := slices.Repeat([]string{"x"}, 5000)
	got, denials := dialect.ReadTransfer(trusting(nil, juju.Bag{"certificates": asJSON(items)}, nil))
	require.Empty(t, got)
	require.Len(t, denials, 1001)
	require.Equal(t, dialect.TooMany, denials[1000].Code)
}

func TestTransferVersion(t *testing.T) {
	t.Parallel()
	require.Nil(t, dialect.TransferVersion(trusting(nil, nil, nil)), "only the leader may say it")
	require.Equal(t, juju.Bag{"version": "1", "x": "y"}, dialect.TransferVersion(trusting(juju.Bag{"x": "y", "version": "0"}, nil, nil)))
}

// The round trip through both versions is part of the replay; this one is through OpenSSL's text.
func TestTransferDropsDescriptions(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "a")
	bags := dialect.PublishTransfer(trusting(juju.Bag{}, nil, nil), []string{"Certificate:\n    Data:\n" + root.issuers[0]})
	require.Equal(t, asJSON([]string{strings.TrimSpace(cert.EncodeCertificates(root.leaf))}), bags.App["certificates"])
}
