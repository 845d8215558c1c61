// SPDX-License-Identifier: AGPL-3.0-only

package juju_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

func TestMovedNamesWhatAnotherUnitMayHaveWritten(t *testing.T) {
	t.Parallel()
	relation := func(s *juju.Snapshot) *juju.Relation { return &s.Relations[0] }
	for sentence, c := range map[string]struct {
		change func(*juju.Snapshot)
		want   string
	}{
		"nothing changes":                    {func(*juju.Snapshot) {}, ""},
		"leadership goes":                    {func(s *juju.Snapshot) { s.Leader = false }, "leadership"},
		"the application databag is written": {func(s *juju.Snapshot) { relation(s).OwnApp["chain"] = "other" }, "the application databag of relation certificates:7"},
		"a key of it goes":                   {func(s *juju.Snapshot) { delete(relation(s).OwnApp, "chain") }, "the application databag of relation certificates:7"},
		"the unit's databag is written":      {func(s *juju.Snapshot) { relation(s).OwnUnit["ca"] = "other" }, "the unit's databag of relation certificates:7"},
		"a relation is gone":                 {func(s *juju.Snapshot) { s.Relations = nil }, "relation certificates:7"},
		"a relation breaks":                  {func(s *juju.Snapshot) { relation(s).Broken = true }, "relation certificates:7"},
		"a secret has another content":       {func(s *juju.Snapshot) { s.Secrets[0].Content = map[string]string{"private-key": "other"} }, "secret ca-1"},
		"a secret is another one":            {func(s *juju.Snapshot) { s.Secrets[0].URI = "secret:b" }, "secret ca-1"},
		"a secret is gone":                   {func(s *juju.Snapshot) { s.Secrets = nil }, "secret ca-1"},
		"a secret is new":                    {func(s *juju.Snapshot) { s.Secrets = append(s.Secrets, juju.Secret{Label: "seal"}) }, "secret seal"},
		"the remote side asks":               {func(s *juju.Snapshot) { relation(s).RemoteUnits["web/0"] = juju.Bag{"common_name": "web"} }, ""},
		"a relation is new":                  {func(s *juju.Snapshot) { s.Relations = append(s.Relations, juju.Relation{ID: 8}) }, ""},
		"this unit's state and status": {func(s *juju.Snapshot) {
			s.State, s.Status = map[string]string{"a": "b"}, juju.Status{Level: juju.Active}
		}, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			before, after := scene(), scene()
			c.change(&after)
			require.Equal(t, c.want, juju.Moved(before, after))
		})
	}
}

// scene is a leader's snapshot, made anew for each caller.
func scene() juju.Snapshot {
	return juju.Snapshot{
		Leader: true,
		Relations: []juju.Relation{{
			ID: 7, Endpoint: juju.Endpoint{Name: "certificates"}, OwnApp: juju.Bag{"chain": "PEMs"}, OwnUnit: juju.Bag{"ca": "PEM"},
			RemoteUnits: map[string]juju.Bag{},
		}},
		Secrets: []juju.Secret{{Label: "ca-1", URI: "secret:a", Content: map[string]string{"private-key": "hidden"}}},
	}
}
