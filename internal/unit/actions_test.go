// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// busy is a CA with a requirer of each dialect and one that is refused: etcd as relation 7, web as relation 8.
func busy(t *testing.T) *world {
	w := newWorld(t)
	web := legacyRelation(8, map[string]juju.Bag{
		"web/0": askFor(t, newRequest(t, "web.example.com"), false), "web/1": askFor(t, newRequest(t, "kubernetes.default.svc"), false),
	})
	web.RemoteApp = "web"
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"}, "etcd/1": {"unit_name": "etcd_1", "common_name": "10.0.0.2"},
	}), web)
	turn(t, w, noon)
	w.survey()
	return w
}

// Actions that look change nothing, whoever asks, and tell in flat results what is there.
func TestActionsThatLook(t *testing.T) {
	t.Parallel()
	w := busy(t)
	for name, expect := range map[string][]string{
		"status":                                               {"certificates", "4", "refused", "1", "ca-generation", "1", "leader", "true", "rollover", "none under way", "expiring", "0"},
		"list-certificates":                                    {"count", "5"}, // one waits
		"list-certificates state=waiting":                      {"count", "1"},
		"list-certificates unit=etcd/1":                        {"count", "1"},
		"list-certificates name=10.0.0.2":                      {"count", "1"},
		"list-certificates application=web":                    {"count", "2"},
		"list-certificates relation=7":                         {"count", "3"},
		"expiring":                                             {"count", "0", "certificates", "none"},
		"expiring within=13w":                                  {"count", "4"},
		"list-requests":                                        {"count", "5"},
		"list-requests outcome=refused":                        {"count", "1"},
		"list-requests unit=web/0":                             {"count", "1"},
		"explain unit=web/1":                                   {"count", "1"},
		"get-issued-certificates":                              {"count", "4"},
		"policy-check application=web names=a":                 {"allowed", "true"},
		"policy-check unit=web/3 names=kubernetes.default.svc": {"allowed", "false"},
		"policy-check application=web names=x.example.com kind=client": {"allowed", "true"},
		"policy-check application=web names=Sub-CA kind=intermediate":  {"allowed", "false"},
		"get-outstanding-certificate-requests":                         {"count", "0"},
	} {
		before := w.snap
		words := strings.Fields(name)
		var params []string
		for _, pair := range words[1:] {
			key, value, _ := strings.Cut(pair, "=")
			params = append(params, key, value)
		}
		result := w.actTyped(noon, words[0], params...)
		require.Empty(t, result.Failure, name)
		for i := 0; i < len(expect); i += 2 {
			require.Equal(t, expect[i+1], result.Results[expect[i]], "%s: %s in %v", name, expect[i], result.Results)
		}
		for key, value := range result.Results {
			require.Regexp(t, `^[a-z][a-z0-9]*(-[a-z0-9]+)*$`, key)
			require.NotEmpty(t, value, "%s %s", name, key)
			require.NotContains(t, value, "PRIVATE KEY")
		}
		require.Equal(t, before, w.snap, "%s changes nothing", name)
	}
}

func TestWhatActionsTell(t *testing.T) {
	t.Parallel()
	w := busy(t)
	table := w.act(noon, "list-certificates").Results["certificates"]
	leaf := etcdLeaf(t, w)
	require.Contains(t, table, "UNIT")
	require.Regexp(t, `etcd/0 +7 +server +10\.0\.0\.1 +2027-02-21 +89d +valid +`+serialText(leaf), table)
	require.Regexp(t, `web/1 +8 +server +kubernetes\.default\.svc +- +- +waiting +-`, table)

	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(w.act(noon, "list-certificates", "format", "json", "unit", "etcd/0").Results["certificates"]), &rows))
	require.Len(t, rows, 1)
	require.Equal(t, serialText(leaf), rows[0]["serial"])
	require.Equal(t, []any{"10.0.0.1"}, rows[0]["names"])

	explained := w.act(noon, "explain", "unit", "web/1").Results["explanation"]
	require.Contains(t, explained, "refused (name-not-allowed)")
	require.Contains(t, explained, "to allow it run: juju config signet policy-rules=")
	require.Contains(t, w.act(noon, "explain", "unit", "etcd/0").Results["explanation"], "granted; it has certificate "+serialText(leaf)+" until 2027-02-21")
	require.Contains(t, w.act(noon, "explain", "unit", "etcd/9").Failure, "no request fits: run list-requests")
	require.Contains(t, w.act(noon, "list-requests", "outcome", "refused").Results["requests"], "web/1")

	var issued []map[string]any
	require.NoError(t, json.Unmarshal([]byte(w.act(noon, "get-issued-certificates").Results["certificates"]), &issued))
	for _, one := range issued {
		chain, _ := one["chain"].([]any)
		require.Len(t, chain, 2)
		require.Equal(t, false, one["revoked"])
	}
	ca := w.act(noon, "get-ca-certificate")
	require.Equal(t, strings.TrimSpace(w.authorities().Current.Certificate), ca.Results["ca-certificate"])
	require.Contains(t, w.act(noon, "policy-check", "application", "web", "request", newRequest(t, "kubernetes.default.svc")).Results["decision"], "refused (name-not-allowed)")
	for _, wrong := range [][]string{{}, {"application", "web"}, {"application", "web", "unit", "etcd/0", "names", "a"}} {
		require.NotEmpty(t, w.act(noon, "policy-check", wrong...).Failure, "%v", wrong)
	}
	require.Equal(t, "false", w.act(noon, "policy-check", "application", "web", "request", "no request").Results["allowed"])
	require.Contains(t, w.act(noon, "list-certificates", "serial", "zz").Failure, "is not a hexadecimal number")
	require.Contains(t, w.act(noon, "list-certificates", "state", "odd").Failure, "see juju actions signet")
	require.Contains(t, w.act(noon, "expiring", "within", "soon").Failure, "parameter within")
	fresh := newWorld(t)
	turn(t, fresh, noon)
	require.Contains(t, fresh.act(noon, "get-issued-certificates").Failure, "No certificates issued yet.")
}

// Who does not lead is told where to ask, and shows what every unit sees.
func TestWhoDoesNotLeadTellsWhatItSees(t *testing.T) {
	t.Parallel()
	w := busy(t)
	w.snap.Leader = false
	for _, name := range []string{"list-certificates", "list-requests", "explain", "expiring", "renew", "get-issued-certificates"} {
		require.Contains(t, w.act(noon, name).Failure, "only the leader does this: juju run signet/leader "+name)
	}
	status := w.act(noon, "status")
	require.Equal(t, "false", status.Results["leader"])
	require.Contains(t, status.Results["note"], "juju run signet/leader status")
	require.Empty(t, w.act(noon, "get-ca-certificate").Failure)
	require.Empty(t, w.act(noon, "policy-check", "application", "web", "names", "a").Failure)
}

// Whatever writes can be tried first: the world stays byte for byte, and nobody outside is asked for anything that stays.
func TestADryRunChangesNothing(t *testing.T) {
	t.Parallel()
	w := busy(t)
	serial := serialText(etcdLeaf(t, w))
	for _, action := range []string{
		"rotate-ca", "rotate-private-key", "generate-root-ca", "get-csr", "renew all=true", "renew unit=etcd/0 at-once=true", "reissue-certificates",
		"revoke serial=" + serial, "checkpoint",
	} {
		words := strings.Fields(action)
		params := []string{"dry-run", "true"}
		for _, pair := range words[1:] {
			key, value, _ := strings.Cut(pair, "=")
			params = append(params, key, value)
		}
		before, lines := w.snap, journalLines(t, w)
		result := w.actTyped(noon.Add(time.Hour), words[0], params...)
		require.Empty(t, result.Failure, action)
		require.Equal(t, "dry run: nothing was changed", result.Results["result"], action)
		require.Equal(t, before, w.snap, action)
		require.Equal(t, lines, journalLines(t, w), action)
	}
	w.rotate(noon.Add(time.Hour), "start")
	for _, step := range []string{"pause", "resume", "advance", "abort"} {
		before := w.snap
		if step == "resume" {
			w.rotate(noon.Add(time.Hour), "pause")
			before = w.snap
		}
		require.Empty(t, w.actTyped(noon.Add(2*time.Hour), "rotate-ca", "step", step, "dry-run", "true").Failure)
		require.Equal(t, before, w.snap, step)
	}
}

// A renewal that an operator wants keeps keys, goes one unit after the other, and survives the leader that began it.
func TestAnOperatorRenews(t *testing.T) {
	t.Parallel()
	w := busy(t)
	first := w.snap.Relations[1].OwnUnit
	later := noon.Add(time.Hour)
	result := w.actTyped(later, "renew", "application", "etcd")
	require.Empty(t, result.Failure)
	require.Equal(t, "3", result.Results["count"], "the shared client certificate too")
	require.NotEqual(t, "0", result.Results["waiting"], "not both units at once")
	require.Contains(t, result.Results["note"], "at-once=true")
	changed := func(name string) bool { return w.snap.Relations[1].OwnUnit[name] != first[name] }
	require.NotEqual(t, changed("etcd_0.server.cert"), changed("etcd_1.server.cert"))

	w.snap.Unit, w.snap.State = "signet/1", nil // another leader
	at := later
	for range 6 {
		at = at.Add(11 * time.Minute)
		turn(t, w, at)
	}
	for _, name := range []string{"etcd_0.server", "etcd_1.server", "client"} {
		require.True(t, changed(name+".cert"), name)
		require.False(t, changed(name+".key"), name)
	}
	require.NotContains(t, w.peers().OwnApp, "renewals-wanted", "what is done is forgotten")
	second := w.snap.Relations[1].OwnUnit
	for range 3 {
		at = at.Add(time.Hour)
		turn(t, w, at)
	}
	require.Equal(t, second, w.snap.Relations[1].OwnUnit, "once is enough")

	result = w.actTyped(at, "renew", "unit", "etcd/0", "new-key", "true", "at-once", "true")
	require.Equal(t, "1", result.Results["renewed"])
	require.NotEqual(t, second["etcd_0.server.key"], w.snap.Relations[1].OwnUnit["etcd_0.server.key"])
	require.True(t, cert.KeyMatches(cert.NewKey(w.snap.Relations[1].OwnUnit["etcd_0.server.key"]), etcdLeaf(t, w)))
	web := w.snap.Relations[2].OwnApp["certificates"]
	require.Equal(t, "1", w.actTyped(at, "renew", "unit", "web/0").Results["renewed"], "a request's certificate too")
	require.NotEqual(t, web, w.snap.Relations[2].OwnApp["certificates"])
	require.Contains(t, w.actTyped(at, "renew").Failure, "say what to renew")
	require.Contains(t, w.actTyped(at, "renew", "all", "true", "unit", "etcd/0").Failure, "leave out what chooses some")
	require.Contains(t, w.actTyped(at, "renew", "unit", "etcd/9").Failure, "run list-certificates")
}

// What an operator wants of a certificate goes with it.
func TestAWishGoesWithItsCertificate(t *testing.T) {
	t.Parallel()
	w := busy(t)
	require.NotEqual(t, "0", w.actTyped(noon.Add(time.Hour), "renew", "application", "etcd").Results["waiting"])
	require.NotEmpty(t, w.peers().OwnApp["renewals-wanted"])
	w.snap.Relations[1].RemoteUnits = map[string]juju.Bag{"etcd/2": {"unit_name": "etcd_2"}}
	for hours := range 3 {
		turn(t, w, noon.Add(time.Duration(2+hours)*time.Hour)) // the client certificate that all share has its turn
	}
	require.Empty(t, w.peers().OwnApp["renewals-wanted"])
}

// The names that other charms have for a rollover cut nothing here.
func TestThePeersNamesForARollover(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"rotate-private-key", "generate-root-ca"} {
		w := busy(t)
		before := etcdLeaf(t, w)
		result := w.act(noon.Add(time.Hour), name)
		require.Empty(t, result.Failure)
		require.Contains(t, result.Results["result"], "the next CA was made")
		require.Equal(t, w.authorities().Next.Certificate, result.Results["output"])
		require.Contains(t, result.Results["rollover"], "CA 2 is to be trusted")
		require.Equal(t, before, etcdLeaf(t, w))
		require.Contains(t, w.act(noon.Add(time.Hour), name).Failure, "a rollover to CA 2 is under way")
	}
	w := busy(t)
	require.Equal(t, "4", w.act(noon.Add(time.Hour), "reissue-certificates").Results["count"])
}

// The last sound options follow leadership, and a unit that comes later has them.
func TestTheLastGoodOptionsAreTheApplications(t *testing.T) {
	t.Parallel()
	leader := newWorld(t)
	leader.snap.Config = map[string]any{"certificate-validity": "30d"}
	turn(t, leader, noon)
	atRest(t, leader, noon)

	late := newWorld(t) // it was added after the slip, and has no unit state
	late.snap.Unit, late.snap.Secrets = "signet/1", leader.snap.Secrets
	late.snap.Relations[0].OwnApp = leader.peers().OwnApp
	late.snap.Config = map[string]any{"certificate-validity": "soon"}
	late.snap.Relations = append(late.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"},
	}))
	for restart := range 2 {
		turn(t, late, noon.Add(time.Duration(restart)*time.Hour))
		require.Equal(t, juju.Blocked, late.snap.Status.Level)
		leaf := etcdLeaf(t, late)
		require.Equal(t, 30*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)+time.Second, fmt.Sprint(late.snap.Config))
	}
	require.Equal(t, leader.peers().OwnApp["config"], late.peers().OwnApp["config"], "a slip is not written down")
}

// What the status says changes seldom, and in time: nothing is due a second before a wake.
func TestTheStatusChangesAtThresholds(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	var said []string
	for at := noon; at.Before(noon.AddDate(0, 0, 50)); {
		at = turn(t, w, at).Wake
		atRest(t, w, at.Add(-time.Second))
		if message := w.snap.Status.Message; len(said) == 0 || said[len(said)-1] != message {
			said = append(said, message)
		}
	}
	require.Regexp(t, `^2 certificates, next renewal in [78]w, CA 9y$`, said[0])
	require.Regexp(t, `^2 certificates, next renewal in (\d|1\d)d, CA 9y$`, said[len(said)-1])
	require.Less(t, len(said), 20, "%q", said)
}

// Juju is told the version of the program once, and again when another one runs.
func TestTheVersionIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, version := range []string{"1.0", "1.1"} {
		w.snap.Local = map[string]string{juju.VersionKey: version}
		require.Equal(t, version, turn(t, w, noon).Changes.Version)
		atRest(t, w, noon)
	}
}
