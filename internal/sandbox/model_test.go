// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// modelled is a model without a controller, as related makes it, and the relation in it.
func modelled(t *testing.T) (*Model, int) {
	t.Helper()
	m := newModel(Options{ModelName: "test", JujuVersion: "3.6.25", Clock: time.Now})
	return m, related(t, m)
}

func TestTheSameStoryGivesTheSameModel(t *testing.T) {
	t.Parallel()
	first, relation := modelled(t)
	second, _ := modelled(t)
	require.Equal(t, first.UUID(), second.UUID())
	require.Equal(t, first.UnitBag(relation, "ca/0"), second.UnitBag(relation, "ca/0"))
	one, err := first.ReserveSecretURIs("ca/0", 2)
	require.NoError(t, err)
	two, err := second.ReserveSecretURIs("ca/0", 2)
	require.NoError(t, err)
	require.Equal(t, one, two)
	require.NotEqual(t, one[0], one[1])
}

func TestIntegrateChecksBothSides(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ left, right, want string }{
		"an unknown application":     {"vault:certs", "etcd:certs", `application "vault" not found`},
		"an unknown endpoint":        {"ca:nothing", "etcd:certs", `endpoint "nothing"`},
		"the same relation again":    {"etcd:certs", "ca:certificates", "already exists"},
		"another interface":          {"web:db", "etcd:certs", "interfaces"},
		"two providers":              {"ca:certificates", "web:certificates", "a provides and a provides endpoint"},
		"a peer endpoint":            {"ca:peers", "etcd:certs", "peers"},
		"an application with itself": {"web:certificates", "web:client", "with itself"},
	}
	m, _ := modelled(t)
	require.NoError(t, m.Deploy("web", CharmMeta{Endpoints: []juju.Endpoint{
		{Name: "db", Interface: "mysql", Role: juju.Provides},
		{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides},
		{Name: "client", Interface: "tls-certificates", Role: juju.Requires},
	}}))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := m.Integrate(tt.left, tt.right)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestARelationGoesWithTheLastUnitInItsScope(t *testing.T) {
	t.Parallel()
	m, relation := modelled(t)
	require.NoError(t, m.Attend("etcd/0", true))
	require.NoError(t, m.RemoveRelation(relation))
	info, err := m.RelationOf("etcd/0", relation)
	require.NoError(t, err)
	require.Equal(t, Dying, info.Life)
	remote, err := m.RemoteUnits("etcd/0", relation)
	require.NoError(t, err)
	require.Empty(t, remote, "the units without a hook runner have left")
	_, err = m.ReadUnitBag("etcd/0", relation, "ca/0")
	require.NoError(t, err, "databags stay readable until the relation is gone")

	require.NoError(t, m.LeaveScope(relation, "etcd/0"))
	_, err = m.RelationOf("etcd/0", relation)
	require.ErrorContains(t, err, "permission denied")
	require.ErrorContains(t, m.RemoveRelation(relation), "not found")
}

func TestRemovingTheLeaderFreesLeadership(t *testing.T) {
	t.Parallel()
	m, relation := modelled(t)
	require.Equal(t, "ca/0", m.Leader("ca"))
	require.NoError(t, m.RemoveUnit("ca/0"))
	require.Empty(t, m.Leader("ca"))
	require.False(t, m.InScope(relation, "ca/0"))
	require.Equal(t, Dead, m.UnitLife("ca/0"))
	name, err := m.AddUnit("ca")
	require.NoError(t, err)
	require.Equal(t, "ca/2", name, "unit numbers are not used twice")
	require.NoError(t, m.Attend("ca/1", true))
	require.NoError(t, m.RemoveUnit("ca/1"))
	require.Equal(t, Dying, m.UnitLife("ca/1"))
	require.NoError(t, m.UnitGone("ca/1"))
	require.Equal(t, []string{"ca/2"}, m.Units("ca"))
}

func TestACrossModelConsumerIsSeenByItsAlias(t *testing.T) {
	t.Parallel()
	m, _ := modelled(t)
	require.NoError(t, m.Deploy("kube", CharmMeta{
		Endpoints: []juju.Endpoint{{Name: "certs", Interface: "tls-certificates", Role: juju.Requires}},
	}))
	_, err := m.AddUnit("kube")
	require.NoError(t, err)
	id, err := m.IntegrateCrossModel("ca:certificates", "kube:certs")
	require.NoError(t, err)
	require.NoError(t, m.Commit("kube/0", Commit{Relations: []BagChange{{RelationID: id, Unit: map[string]string{"unit_name": "kube_0"}}}}))

	seen, err := m.RelationOf("ca/0", id)
	require.NoError(t, err)
	require.Regexp(t, "^remote-[0-9a-f]{32}$", seen.RemoteApp)
	remote, err := m.RemoteUnits("ca/0", id)
	require.NoError(t, err)
	require.Equal(t, []string{seen.RemoteApp + "/0"}, remote)
	require.NotEqual(t, m.UUID(), seen.RemoteModel)
	bag, err := m.ReadUnitBag("ca/0", id, remote[0])
	require.NoError(t, err)
	require.Equal(t, "kube_0", bag["unit_name"])
	_, err = m.ReadUnitBag("ca/0", id, "kube/0")
	require.ErrorContains(t, err, "permission denied", "the offering side does not know the consumer's own name")
	units, apps, err := m.BagVersions("ca/0", id)
	require.NoError(t, err)
	require.Contains(t, units, remote[0])
	require.Contains(t, apps, seen.RemoteApp)

	own, err := m.RelationOf("kube/0", id)
	require.NoError(t, err)
	require.Equal(t, "ca", own.RemoteApp)
	remote, err = m.RemoteUnits("kube/0", id)
	require.NoError(t, err)
	require.Equal(t, []string{"ca/0", "ca/1"}, remote)
}

func TestCommitRefusesWhatAControllerCannotStore(t *testing.T) {
	t.Parallel()
	m, relation := modelled(t)
	bag := func(key, value string) Commit {
		return Commit{Relations: []BagChange{{RelationID: relation, Unit: map[string]string{key: value}}}}
	}
	state := func(values map[string]string) Commit { return Commit{State: &UnitState{Charm: values}} }
	many := map[string]string{}
	for i := range 40 {
		many[strings.Repeat("k", i+1)] = strings.Repeat("v", 60*1024)
	}
	tests := map[string]struct {
		commit Commit
		kind   error
	}{
		"a relation key that is empty":  {bag("", "x"), errors.NotValid},
		"a relation key with NUL":       {bag("a\x00b", "x"), errors.NotValid},
		"a databag beyond 16 MiB":       {bag("k", strings.Repeat("v", 16<<20)), errors.QuotaLimitExceeded},
		"a state key beyond 256 bytes":  {state(map[string]string{strings.Repeat("k", 257): "v"}), errors.QuotaLimitExceeded},
		"a state value beyond 64 KiB":   {state(map[string]string{"k": strings.Repeat("v", 64*1024+1)}), errors.QuotaLimitExceeded},
		"charm state beyond 2 MiB":      {state(many), errors.QuotaLimitExceeded},
		"a relation of somebody else's": {Commit{Relations: []BagChange{{RelationID: 99, Unit: map[string]string{"a": "b"}}}}, apiservererrors.ErrPerm},
		"a port range upside down":      {Commit{Open: []PortRange{{Protocol: "tcp", From: 9, To: 8}}}, errors.NotValid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := m.UnitBag(relation, "ca/0")
			err := m.Commit("ca/0", tt.commit)
			require.ErrorIs(t, err, tt.kind)
			require.Equal(t, before, m.UnitBag(relation, "ca/0"))
		})
	}
}

func TestStateIsReplacedAsAWhole(t *testing.T) {
	t.Parallel()
	m, _ := modelled(t)
	for _, charm := range []map[string]string{{"a": "1", "b": "2"}, {"c": "3"}} {
		require.NoError(t, m.Commit("ca/0", Commit{State: &UnitState{Charm: charm}}))
	}
	uniter := "yaml"
	require.NoError(t, m.Commit("ca/0", Commit{State: &UnitState{Uniter: &uniter}}))
	state, err := m.State("ca/0")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"c": "3"}, state.Charm)
	require.Equal(t, "yaml", *state.Uniter)
}

func TestAnUnchangedCommitWakesNobody(t *testing.T) {
	t.Parallel()
	m, relation := modelled(t)
	change := Commit{Relations: []BagChange{{RelationID: relation, Unit: map[string]string{"a": "b"}}}}
	require.NoError(t, m.Commit("ca/0", change))
	quiet := m.Changed()
	before, _, err := m.BagVersions("etcd/0", relation)
	require.NoError(t, err)
	require.NoError(t, m.Commit("ca/0", change))
	after, _, err := m.BagVersions("etcd/0", relation)
	require.NoError(t, err)
	require.Equal(t, before, after)
	select {
	case <-quiet:
		require.FailNow(t, "a commit that changes nothing was announced")
	default:
	}
}

func TestSecretsFollowJujusRules(t *testing.T) {
	t.Parallel()
	encode := base64.StdEncoding.EncodeToString
	good := map[string]string{"key": encode([]byte("x"))}
	label := func(s string) *string { return &s }
	tests := map[string]struct {
		unit string
		arg  SecretUpsert
		want string
	}{
		"a key of two characters":          {"ca/0", SecretUpsert{Owner: "ca", Content: map[string]string{"ab": "YQ=="}}, `key "ab" not valid`},
		"a key with an underscore":         {"ca/0", SecretUpsert{Owner: "ca", Content: map[string]string{"a_key": "YQ=="}}, "not valid"},
		"a key in upper case":              {"ca/0", SecretUpsert{Owner: "ca", Content: map[string]string{"Key": "YQ=="}}, "not valid"},
		"a value that is not base64":       {"ca/0", SecretUpsert{Owner: "ca", Content: map[string]string{"key": "in clear"}}, "not base64"},
		"no content":                       {"ca/0", SecretUpsert{Owner: "ca"}, "empty secret value"},
		"content beyond a megabyte":        {"ca/0", SecretUpsert{Owner: "ca", Content: map[string]string{"key": encode(make([]byte, 800_000))}}, "too large"},
		"a follower's for the application": {"ca/1", SecretUpsert{Owner: "ca", Content: good}, "is not leader"},
		"another application's":            {"ca/0", SecretUpsert{Owner: "etcd", Content: good}, "permission denied"},
		"a label that is taken":            {"ca/0", SecretUpsert{Owner: "ca", Label: label("taken"), Content: good}, `secret with label "taken" already exists`},
		"the application's label, by a unit": {
			"ca/1", SecretUpsert{Owner: "ca/1", Label: label("taken"), Content: good}, "already exists",
		},
		"a URI that another reserved": {"ca/0", SecretUpsert{URI: "reserved", Owner: "ca/0", Content: good}, "has reserved it"},
	}
	m, _ := modelled(t)
	require.NoError(t, m.CreateSecret("ca/0", SecretUpsert{Owner: "ca", Label: label("taken"), Content: good}))
	reserved, err := m.ReserveSecretURIs("ca/1", 1)
	require.NoError(t, err)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.arg.URI != "" {
				tt.arg.URI = reserved[0]
			}
			err := m.CreateSecret(tt.unit, tt.arg)
			require.ErrorContains(t, err, tt.want)
			for value := range maps.Values(tt.arg.Content) {
				require.NotContains(t, err.Error(), value, "errors never show content")
			}
		})
	}
	require.Len(t, m.Secrets("ca"), 1)
}

func TestAGrantLivesAsLongAsItsRelation(t *testing.T) {
	t.Parallel()
	m, relation := modelled(t)
	require.NoError(t, m.CreateSecret("ca/0", SecretUpsert{Owner: "ca", Content: map[string]string{"key": "YQ=="}}))
	uri := m.Secrets("ca")[0].URI
	_, err := m.SecretContent("etcd/0", SecretQuery{URI: uri})
	require.ErrorContains(t, err, "permission denied")
	info, err := m.RelationOf("ca/0", relation)
	require.NoError(t, err)
	grant := SecretGrant{URI: uri, Subject: "etcd", Relation: info.Key, Role: "view"}
	require.ErrorContains(t, m.GrantSecret("ca/1", grant), "is not leader")
	require.NoError(t, m.GrantSecret("ca/0", grant))
	content, err := m.SecretContent("etcd/0", SecretQuery{URI: uri, Label: "mine"})
	require.NoError(t, err)
	require.Equal(t, "YQ==", content["key"])
	_, err = m.SecretContent("etcd/0", SecretQuery{Label: "mine"})
	require.NoError(t, err, "the label given when reading finds it")

	require.NoError(t, m.RemoveRelation(relation))
	_, err = m.SecretContent("etcd/0", SecretQuery{URI: uri})
	require.ErrorContains(t, err, "permission denied")
}

func TestAUnitsSecretsGoWithIt(t *testing.T) {
	t.Parallel()
	m, _ := modelled(t)
	require.NoError(t, m.CreateSecret("ca/1", SecretUpsert{Owner: "ca/1", Content: map[string]string{"key": "YQ=="}}))
	require.Len(t, m.Secrets("ca/1"), 1)
	require.NoError(t, m.RemoveUnit("ca/1"))
	require.Empty(t, m.Secrets("ca/1"))
}

func TestConfigIsTyped(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		options map[string]any
		want    string
	}{
		"an unknown option":         {map[string]any{"nothing": 1}, `option "nothing" not found`},
		"a word for a number":       {map[string]any{"days": "many"}, `option "days" expected int`},
		"a number for a text":       {map[string]any{"key-type": 1}, `option "key-type" expected string`},
		"a good one and a bad one":  {map[string]any{"strict": true, "days": false}, "expected int"},
		"a type by the charm's say": {map[string]any{"note": 1}, "expected string"},
	}
	m, _ := modelled(t)
	before, err := m.Config("ca")
	require.NoError(t, err)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, m.SetConfig("ca", tt.options), tt.want)
			after, err := m.Config("ca")
			require.NoError(t, err)
			require.Equal(t, before, after)
		})
	}
	require.NoError(t, m.SetConfig("ca", map[string]any{"days": 60, "note": "hello"}))
	set, err := m.Config("ca")
	require.NoError(t, err)
	require.Equal(t, int64(60), set["days"])
	require.NoError(t, m.SetConfig("ca", map[string]any{"days": nil, "note": nil}))
	reset, err := m.Config("ca")
	require.NoError(t, err)
	require.Equal(t, before, reset)
}

func TestNewAddressesReachTheDatabags(t *testing.T) {
	t.Parallel()
	m, relation := modelled(t)
	require.NoError(t, m.SetAddresses("ca/0", juju.Addresses{
		Bind: []string{"192.0.2.7"}, Ingress: []string{"198.51.100.7"}, Egress: []string{"198.51.100.7/32"},
	}))
	bag := m.UnitBag(relation, "ca/0")
	require.Equal(t, "198.51.100.7", bag["ingress-address"])
	require.Equal(t, []string{"egress-subnets", "ingress-address", "private-address"}, slices.Sorted(maps.Keys(bag)))
	require.Error(t, m.SetAddresses("ca/0", juju.Addresses{}))
}
