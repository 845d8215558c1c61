// SPDX-License-Identifier: AGPL-3.0-only

package cos

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

func unitOf(relations ...juju.Relation) juju.Snapshot {
	return juju.Snapshot{
		Unit: "ca/1", ModelName: "prod", ModelUUID: "9f1c6f0e-6f0c-4a8f-8a0f-1c2d3e4f5a6b", Leader: true, Relations: relations,
		Addresses: map[string]juju.Addresses{"metrics-endpoint": {Bind: []string{"10.0.0.1"}, Ingress: []string{"192.0.2.1"}}},
	}
}

func related(id int, name, iface string) juju.Relation {
	return juju.Relation{
		ID: id, Endpoint: juju.Endpoint{Name: name, Interface: iface, Role: juju.Provides}, RemoteApp: "cos-" + name,
		OwnUnit: juju.Bag{"ingress-address": "192.0.2.1"}, OwnApp: juju.Bag{},
	}
}

func agent() juju.Relation  { return related(1, "cos-agent", agentInterface) }
func scrape() juju.Relation { return related(2, "metrics-endpoint", scrapeInterface) }

// decided gives the databags that stand once a decision is committed.
func decided(t *testing.T, snap juju.Snapshot, listen string) juju.Snapshot {
	t.Helper()
	bags, _ := Step(snap, listen)
	after := juju.Apply(snap, juju.Diff(snap, juju.World{Bags: bags}))
	again, _ := Step(after, listen)
	require.True(t, juju.Diff(after, juju.World{Bags: again}).Empty(), "once it stands nothing changes")
	for _, relation := range after.Relations {
		require.Equal(t, "192.0.2.1", relation.OwnUnit["ingress-address"], "what Juju writes stays")
	}
	return after
}

// providerData is CosAgentProviderUnitData of cos_agent v0, with the fields that have no default as pointers.
type providerData struct {
	MetricsAlertRules *ruleFile       `json:"metrics_alert_rules"`
	LogAlertRules     *map[string]any `json:"log_alert_rules"`
	Dashboards        *[]string       `json:"dashboards"`
	MetricsScrapeJobs *[]scrapeJob    `json:"metrics_scrape_jobs"`
	LogSlots          *[]string       `json:"log_slots"`
}

func TestTheAgentOnTheMachineIsTold(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ listen, target string }{
		"everywhere":     {"0.0.0.0:8880", "localhost:8880"},
		"by IPv6":        {"[::]:8880", "localhost:8880"},
		"at one address": {"10.0.0.7:80", "10.0.0.7:80"},
		"here only":      {"127.0.0.1:8880", "127.0.0.1:8880"},
		"at one of IPv6": {"[2001:db8::1]:8880", "[2001:db8::1]:8880"},
	} {
		after := decided(t, unitOf(agent()), c.listen)
		require.Empty(t, after.Relations[0].OwnApp, "a subordinate reads databags of units")
		decoder := json.NewDecoder(strings.NewReader(after.Relations[0].OwnUnit["config"]))
		decoder.DisallowUnknownFields()
		var data providerData
		require.NoError(t, decoder.Decode(&data), sentence)
		require.Equal(t, []scrapeJob{{MetricsPath: "/metrics", StaticConfigs: []staticConfig{{Targets: []string{c.target}}}}}, *data.MetricsScrapeJobs, sentence)
		require.Len(t, *data.Dashboards, 1)
		require.JSONEq(t, shown(t), unpack(t, (*data.Dashboards)[0]))
		require.NotNil(t, data.LogAlertRules)
		require.NotNil(t, *data.LogSlots, "a list, not null")
		require.Len(t, data.MetricsAlertRules.Groups, 1)
	}
}

func TestPrometheusIsTold(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ listen, address, target string }{
		"everywhere":     {"0.0.0.0:8880", "192.0.2.1", "*:8880"},
		"at one address": {"10.0.0.7:80", "10.0.0.7", "*:80"},
	} {
		relation := decided(t, unitOf(scrape()), c.listen).Relations[0]
		require.Equal(t, c.address, relation.OwnUnit["prometheus_scrape_unit_address"], sentence)
		require.Equal(t, "ca/1", relation.OwnUnit["prometheus_scrape_unit_name"])
		require.JSONEq(t, `{"model": "prod", "model_uuid": "9f1c6f0e-6f0c-4a8f-8a0f-1c2d3e4f5a6b", "application": "ca", "unit": "ca/1", "charm_name": "signet"}`,
			relation.OwnApp["scrape_metadata"])
		require.JSONEq(t, `[{"metrics_path": "/metrics", "static_configs": [{"targets": ["`+c.target+`"]}]}]`, relation.OwnApp["scrape_jobs"])
		var told ruleFile
		require.NoError(t, json.Unmarshal([]byte(relation.OwnApp["alert_rules"]), &told))
	}

	follower := unitOf(scrape())
	follower.Leader, follower.Relations[0].OwnApp = false, nil
	bags, _ := Step(follower, "0.0.0.0:8880")
	require.Nil(t, bags[2].App, "only the leader writes for the application")
	require.Equal(t, "ca/1", bags[2].Unit["prometheus_scrape_unit_name"])

	bound := unitOf(scrape())
	bound.Addresses = map[string]juju.Addresses{"metrics-endpoint": {Bind: []string{"10.0.0.1"}}}
	require.Equal(t, "10.0.0.1", decided(t, bound, "0.0.0.0:8880").Relations[0].OwnUnit["prometheus_scrape_unit_address"])
}

func TestEachAlertIsOfThisApplicationOnly(t *testing.T) {
	t.Parallel()
	snap := unitOf(agent())
	var told ruleFile
	require.NoError(t, json.Unmarshal(rulesFor(snap), &told))
	require.Equal(t, "prod_9f1c6f0e_ca_signet_alerts", told.Groups[0].Name)
	of := readRules(t).Groups[0].Rules
	require.Len(t, told.Groups[0].Rules, len(of))
	mine := `juju_model="prod", juju_model_uuid="9f1c6f0e-6f0c-4a8f-8a0f-1c2d3e4f5a6b", juju_application="ca"`
	for i, one := range told.Groups[0].Rules {
		require.Equal(t, strings.ReplaceAll(of[i].Expr, topology, mine), one.Expr)
		require.Equal(t, strings.Count(one.Expr, "{"), strings.Count(one.Expr, "{"+mine), "%s: each selector is of this application", one.Alert)
		require.Equal(t, "ca", one.Labels["juju_application"])
		require.Equal(t, "signet", one.Labels["juju_charm"])
		require.NotEmpty(t, one.Labels["severity"])
		require.NotContains(t, one.Expr, "%%")
	}
	snap.ModelName = `x"} or vector(1) #`
	require.True(t, json.Valid(rulesFor(snap)), "no name breaks out of its place")
	require.NoError(t, json.Unmarshal(rulesFor(snap), &told))
	require.Regexp(t, `juju_model="x\\"\} or vector\(1\) #", juju_model_uuid=`, told.Groups[0].Rules[0].Expr)
}

func TestWhereNothingIsServedNothingIsTold(t *testing.T) {
	t.Parallel()
	served := decided(t, unitOf(agent(), scrape()), "0.0.0.0:8880")
	after := decided(t, served, "")
	for _, relation := range after.Relations {
		require.Equal(t, juju.Bag{"ingress-address": "192.0.2.1"}, relation.OwnUnit)
		require.Empty(t, relation.OwnApp)
	}
	for sentence, c := range map[string]struct {
		relations []juju.Relation
		listen    string
		want      []string
	}{
		"nobody asks":                       {nil, "", nil},
		"all is well":                       {[]juju.Relation{agent(), scrape()}, "0.0.0.0:8880", nil},
		"the agent reaches what is here":    {[]juju.Relation{agent()}, "127.0.0.1:8880", nil},
		"nothing is served":                 {[]juju.Relation{agent()}, "", []string{"cos-cos-agent gets no metrics: set listen, for example to 0.0.0.0:8880"}},
		"Prometheus cannot reach localhost": {[]juju.Relation{scrape()}, "127.0.0.1:8880", []string{"cos-metrics-endpoint cannot reach the metrics at 127.0.0.1:8880: set listen to an address that it can reach"}},
	} {
		_, reports := Step(unitOf(c.relations...), c.listen)
		var got []string
		for _, report := range reports {
			require.Equal(t, juju.Active, report.Level, "a CA that is not watched does its work")
			got = append(got, report.Message)
		}
		require.Equal(t, c.want, got, sentence)
	}
}

func TestOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	broken, other, required := agent(), related(3, "certificates", "tls-certificates"), agent()
	broken.Broken, required.Endpoint.Role = true, juju.Requires
	bags, reports := Step(unitOf(broken, other, required), "0.0.0.0:8880")
	require.Empty(t, bags)
	require.Empty(t, reports)
}
