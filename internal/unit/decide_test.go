// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/unit"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// turn decides until there is nothing left to order, and applies the changes, asserting on the way what Decide promises
// of every plan.
func turn(t require.TestingT, w *world, now time.Time) unit.Plan {
	var answers []order.Answer
	for range 8 {
		plan := w.memory.Decide(now, w.snap.Clone(), answers)
		require.Equal(t, unit.Decide(now, w.snap, answers), plan, "the same arguments give the same plan, whatever was decided before")
		if len(plan.Orders) == 0 {
			w.snap = juju.Apply(w.snap, plan.Changes)
			return plan
		}
		for _, wanted := range plan.Orders {
			require.NotContains(t, order.ByID(answers), wanted.ID(), "an answered order is not given again")
			answers = append(answers, w.carry(wanted))
		}
	}
	require.FailNow(t, "the turn does not come to rest")
	return unit.Plan{}
}

// atRest asserts that another turn changes nothing and orders nothing.
func atRest(t require.TestingT, w *world, now time.Time) {
	plan := w.memory.Decide(now, w.snap.Clone(), nil)
	require.Empty(t, plan.Orders)
	require.True(t, plan.Changes.Empty(), "still to change: %+v %v", plan.Changes, plan.Changes.Status)
}

func TestFirstLeaderMakesTheCA(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := turn(t, w, noon)
	atRest(t, w, noon)
	require.Equal(t, juju.Active, w.snap.Status.Level, w.snap.Status.Message)

	labels := []string{}
	for _, secret := range plan.Changes.Secrets {
		labels = append(labels, secret.Label)
		require.Equal(t, juju.OwnedByApplication, secret.Owner)
		for key := range secret.Content {
			require.GreaterOrEqual(t, len(key), 3, "Juju refuses shorter keys")
		}
	}
	require.ElementsMatch(t, []string{"ca-1", "seal"}, labels)
	for _, change := range plan.Changes.Relations {
		for key, value := range change.App {
			require.NotContains(t, value, "PRIVATE KEY", "%s: the CA's key is in a secret, never in relation data", key)
		}
	}
}

func TestNoAuthorityWhereItCannotBe(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change  func(*juju.Snapshot)
		level   juju.Level
		message string
	}{
		"a unit that does not lead waits": {
			func(s *juju.Snapshot) { s.Leader = false }, juju.Waiting, "waiting for the leader to create the CA",
		},
		"before the peer relation there is nowhere to write the CA down": {
			func(s *juju.Snapshot) { s.Relations = nil }, juju.Waiting, "waiting for the peer relation",
		},
		"a CA that has issued is never replaced by a second one": {
			func(s *juju.Snapshot) {
				s.Relations = append(s.Relations, legacyRelation(7, nil))
				s.Relations[1].OwnUnit = juju.Bag{"ca": "-----BEGIN CERTIFICATE-----"}
			}, juju.Blocked, "the CA is lost although certificates were issued: restore it from a backup; signet makes no second one by itself",
		},
		"a damaged record of the CA is not written over": {
			func(s *juju.Snapshot) { s.Relations[0].OwnApp = juju.Bag{"authority": "{"} },
			juju.Blocked, "the record of the CA in the peer relation is unreadable: restore it from a backup",
		},
		"an application that is no authority needs none": {
			func(s *juju.Snapshot) { s.Config = map[string]any{"authority": "none"} }, juju.Active, "idle: nothing is related",
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test.change(&w.snap)
			plan := turn(t, w, noon)
			require.Empty(t, plan.Changes.Secrets)
			require.Equal(t, juju.Status{Level: test.level, Message: test.message}, w.snap.Status)
			atRest(t, w, noon)
		})
	}
}

// A leader that was cut off between making the secret and writing the rest is taken up where it stopped.
func TestSecretOfAnUnfinishedTurnIsTakenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := turn(t, w, noon)
	made := plan.Changes.Secrets

	later := newWorld(t) // another unit, another disk
	for _, secret := range made {
		secret.URI = "secret:" + secret.Label
		later.snap.Secrets = append(later.snap.Secrets, secret)
	}
	turn(t, later, noon)
	atRest(t, later, noon)
	require.Equal(t, w.peers().OwnApp["authority"], later.peers().OwnApp["authority"])
}

// Two units must publish the same legacy data, because a consumer reads any of them.
func TestEveryUnitPublishesTheSame(t *testing.T) {
	t.Parallel()
	leader := newWorld(t)
	leader.snap.Relations = append(leader.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1", "sans": `["10.0.0.1"]`},
	}))
	turn(t, leader, noon)
	atRest(t, leader, noon)

	standby := newWorld(t)
	standby.snap.Unit, standby.snap.Leader = "signet/1", false
	standby.snap.Secrets = leader.snap.Secrets
	standby.snap.Relations[0].OwnApp = leader.peers().OwnApp
	standby.snap.Relations = append(standby.snap.Relations, legacyRelation(7, leader.snap.Relations[1].RemoteUnits))
	plan := turn(t, standby, noon)
	atRest(t, standby, noon)
	require.False(t, plan.Changes.NeedsLeadership())
	require.Equal(t, leader.snap.Relations[1].OwnUnit, standby.snap.Relations[1].OwnUnit)
	require.Contains(t, standby.snap.Relations[1].OwnUnit, "etcd_0.server.key")

	// It becomes the leader: same CA, nothing issued again.
	before := standby.snap.Relations[1].OwnUnit
	standby.snap.Leader = true
	turn(t, standby, noon.Add(time.Hour))
	require.Equal(t, before, standby.snap.Relations[1].OwnUnit)
}

func TestRenewalsComeInTimeAndKeepTheKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"},
	}))
	at := turn(t, w, noon).Wake
	first := w.snap.Relations[1].OwnUnit
	same := func(name string) bool { return w.snap.Relations[1].OwnUnit[name] == first[name] }
	turns := 0
	for ; same("client.cert") || same("etcd_0.server.cert"); turns++ { // the wake of each certificate is its own
		atRest(t, w, at.Add(-time.Second))
		require.True(t, at.After(noon.Add(50*24*time.Hour)) || same("client.cert") && same("etcd_0.server.cert"), "renewed at %s", at)
		at = turn(t, w, at).Wake
		require.Less(t, turns, 30, "turns are taken for what the status says, too, but not many")
	}
	renewed := w.snap.Relations[1].OwnUnit
	require.Equal(t, first["ca"], renewed["ca"])
	for _, name := range []string{"etcd_0.server", "client"} {
		require.NotEqual(t, first[name+".cert"], renewed[name+".cert"])
		require.Equal(t, first[name+".key"], renewed[name+".key"])
	}
}

func TestBadOptionLeavesTheLastGoodOneInForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Config = map[string]any{"certificate-validity": "30d", "legacy-dialect": true}
	turn(t, w, noon)
	w.snap.Config = map[string]any{"certificate-validity": "soon", "legacy-dialect": true}
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"},
	}))
	turn(t, w, noon)
	atRest(t, w, noon)
	require.Equal(t, juju.Blocked, w.snap.Status.Level)
	require.Contains(t, w.snap.Status.Message, `config certificate-validity: "soon" is not a duration`)
	leaf, err := cert.Parse(w.snap.Relations[1].OwnUnit["etcd_0.server.cert"])
	require.NoError(t, err)
	require.Equal(t, 30*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)+time.Second)
}

func TestModelWithoutSecretsKeepsToOneUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.CanSecrets = false
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"},
	}))
	turn(t, w, noon)
	require.Contains(t, w.snap.Relations[1].OwnUnit, "etcd_0.server.key")
	require.Empty(t, w.snap.Secrets)
	for key, value := range w.peers().OwnApp {
		require.NotContains(t, value, "PRIVATE", "nothing seals %s", key)
	}
	w.survey()
	atRest(t, w, noon)

	other := newWorld(t)
	other.snap.CanSecrets, other.snap.Unit = false, "signet/1"
	other.snap.Relations[0].OwnApp = w.peers().OwnApp
	other.snap.Relations = append(other.snap.Relations, legacyRelation(7, w.snap.Relations[1].RemoteUnits))
	turn(t, other, noon)
	require.Equal(t, juju.Blocked, other.snap.Status.Level)
	require.Contains(t, other.snap.Status.Message, "keep one unit, or upgrade to Juju 3")
}

func TestCACertificatesAreForNamedApplicationsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0", "intermediate_cert_requests": `{"Sub CA": {"sans": []}}`},
	}))
	turn(t, w, noon)
	require.NotContains(t, w.snap.Relations[1].OwnUnit, "etcd_0.processed_intermediate_requests")
	require.Contains(t, w.snap.Status.Message, "ca-not-allowed")

	w.snap.Config = map[string]any{"intermediate-applications": "etcd"}
	turn(t, w, noon)
	atRest(t, w, noon)
	var answers map[string]struct{ Cert string }
	require.NoError(t, json.Unmarshal([]byte(w.snap.Relations[1].OwnUnit["etcd_0.processed_intermediate_requests"]), &answers))
	sub, err := cert.Parse(answers["Sub CA"].Cert)
	require.NoError(t, err)
	require.True(t, sub.IsCA)
}

// A signature that fails refuses one ask and none of the others.
func TestFailedSignatureHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refuse = func(o order.Sign) bool { return o.Spec.CommonName == "10.0.0.1" }
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"},
		"etcd/1": {"unit_name": "etcd_1", "common_name": "10.0.0.2"},
	}))
	turn(t, w, noon)
	require.NotContains(t, w.snap.Relations[1].OwnUnit, "etcd_0.server.cert")
	require.Contains(t, w.snap.Relations[1].OwnUnit, "etcd_1.server.cert")
	require.Contains(t, w.snap.Status.Message, "etcd/0: server certificate \"10.0.0.1\": refused by the test (not-signed)")
}

// Whatever stands in relation data, Decide gives a plan, the same each time, that comes to rest.
func TestDecideIsTotalDeterministicAndIdempotent(t *testing.T) {
	t.Parallel()
	keys := []string{
		"unit_name", "common_name", "sans", "cert_requests", "client_cert_requests", "application_cert_requests",
		"intermediate_cert_requests", "certificate_signing_requests", "certificates", "ca", "version", "chain",
	}
	request := newWorld(t).carry(order.MakeRequest{
		Name: "x", Kind: cert.Server, CommonName: "x.example.com", KeyType: cert.P256,
	}).Request
	values := []string{
		"", "x", "etcd_0", "etcd/0", "../../etc/x", "10.0.0.1", "[]", "{}", "null", `["a.example.com"]`, `{"a.b": {"sans": null}}`,
		`{"a.b": {"sans": ["10.0.0.1", 7]}, "c": {"sans": []}}`, `[{"certificate_signing_request": "junk"}]`,
		fmt.Sprintf(`[{"certificate_signing_request": %q, "ca": false}]`, request), strings.Repeat("[", 40),
	}
	bags := rapid.MapOfN(rapid.SampledFrom(keys), rapid.SampledFrom(values), 0, 5)
	config := rapid.MapOfN(rapid.SampledFrom([]string{"authority", "ca-validity", "legacy-dialect", "extra_sans", "common-name", "listen", "maintenance-window"}),
		rapid.SampledFrom([]any{"none", "", "1d", "embedded", "intermediate", "0.0.0.0:80", true, int64(7), "a b", "*"}), 0, 3)
	actions := rapid.SampledFrom([]string{"", "get-csr", "rotate-ca", "revoke", "upload-signed-csr", "restore", "get-root-ca"})
	params := rapid.MapOfN(rapid.SampledFrom([]string{"step", "force", "unit", "serial", "reason", "pem", "name", "common-name"}),
		rapid.SampledFrom([]any{"advance", "abort", "pause", "resume", true, "etcd/0", "01", "superseded", "x", int64(3)}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.snap.Leader = rapid.Bool().Draw(t, "leader")
		w.snap.CanSecrets = rapid.Bool().Draw(t, "secrets")
		w.snap.Config = config.Draw(t, "config")
		for i, endpoint := range []juju.Endpoint{
			{Name: "certificates", Interface: dialect.Interface, Role: juju.Provides},
			{Name: "client", Interface: dialect.Interface, Role: juju.Provides},
			{Name: "send-ca-cert", Interface: dialect.TransferInterface, Role: juju.Provides},
			{Name: "upstream", Interface: dialect.Interface, Role: juju.Requires},
			{Name: "receive-ca-cert", Interface: dialect.TransferInterface, Role: juju.Requires},
		} {
			relation := legacyRelation(10+i, map[string]juju.Bag{
				"etcd/0": bags.Draw(t, endpoint.Name+" unit 0"), "etcd/1": bags.Draw(t, endpoint.Name+" unit 1"),
			})
			relation.Endpoint = endpoint
			relation.RemoteApplication = bags.Draw(t, endpoint.Name+" application")
			relation.OwnUnit = bags.Draw(t, endpoint.Name+" own unit")
			w.snap.Relations = append(w.snap.Relations, relation)
		}
		turn(t, w, noon)
		for range 3 {
			if action := actions.Draw(t, "action"); action != "" {
				w.snap.Action = &juju.Action{Name: action, Params: params.Draw(t, "parameters")}
				require.NotNil(t, turn(t, w, noon).Result)
				w.snap.Action = nil
			}
		}
		for range 2 { // what a turn has laid on disk shows in the next: the request, then its certificate's bundle
			w.survey()
			turn(t, w, noon)
		}
		w.survey()
		atRest(t, w, noon)
	})
}
