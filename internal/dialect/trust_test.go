// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

func TestTrustedAreTheCAsOfAllAnswers(t *testing.T) {
	t.Parallel()
	one, two := newRoot(t, "one"), newRoot(t, "two")
	between := two.intermediate("between")
	of := func(a authority, members map[string]any) map[string]any {
		issued := a.issue("leaf", "leaf.example.com")
		answer := map[string]any{"certificate_signing_request": "x", "certificate": issued.Certificate, "ca": a.issuers[0],
			"chain": append([]string{issued.Certificate}, a.issuers...)}
		for name, value := range members {
			answer[name] = value
		}
		return answer
	}
	answers := func(items ...any) juju.Relation {
		text, err := json.Marshal(items)
		require.NoError(t, err)
		return juju.Relation{RemoteApplication: juju.Bag{"certificates": string(text)}}
	}
	legacy := func(texts ...string) juju.Relation {
		relation := juju.Relation{RemoteUnits: map[string]juju.Bag{}}
		for i, text := range texts {
			relation.RemoteUnits[string(rune('a'+i))+"/0"] = juju.Bag{"ca": text}
		}
		return relation
	}
	both := legacy(one.issuers[0])
	both.RemoteApplication = answers(of(two, nil)).RemoteApplication
	cases := map[string]struct {
		relation juju.Relation
		want     []string
	}{
		"nothing":                           {juju.Relation{}, nil},
		"legacy, the same from every unit":  {legacy(one.issuers[0], "text before\n"+one.issuers[0]), one.issuers},
		"legacy, two in one bundle":         {legacy(one.issuers[0] + two.issuers[0]), []string{one.issuers[0], two.issuers[0]}},
		"legacy, a leaf in a CA's place":    {legacy(one.issue("leaf").Certificate), nil},
		"legacy, damaged":                   {legacy("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", one.issuers[0]), one.issuers},
		"the roots, not those in between":   {answers(of(between, nil)), two.issuers},
		"a chain in any order":              {answers(of(between, map[string]any{"chain": []string{two.issuers[0], between.issuers[0]}})), two.issuers},
		"a chain that lacks its root":       {answers(of(between, map[string]any{"chain": []string{}})), between.issuers[:1]},
		"answers of two CAs":                {answers(of(one, nil), of(two, nil), of(two, nil)), []string{one.issuers[0], two.issuers[0]}},
		"a revoked answer tells nothing":    {answers(of(one, map[string]any{"revoked": true}), of(two, nil)), two.issuers},
		"what is unreadable harms no other": {answers(7, map[string]any{"ca": 5}, map[string]any{"revoked": "x", "ca": one.issuers[0]}, of(two, nil)), two.issuers},
		"no list":                           {juju.Relation{RemoteApplication: juju.Bag{"certificates": "{"}}, nil},
		"both dialects":                     {both, []string{one.issuers[0], two.issuers[0]}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := dialect.Trusted(test.relation)
			require.ElementsMatch(t, test.want, found)
			require.True(t, slices.IsSorted(found))
			for _, text := range found {
				_, err := cert.ParseCertificate(text)
				require.NoError(t, err)
			}
		})
	}
}
