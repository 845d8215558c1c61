// SPDX-License-Identifier: AGPL-3.0-only

// Package cos decides what the Canonical Observability Stack is told of this application: where its metrics are, which alerts go by
// them, and a dashboard that shows them. It writes what the charm libraries cos_agent v0 (grafana_agent.v0.cos_agent) and
// prometheus_scrape v0 (prometheus_k8s.v0.prometheus_scrape) write, whose readers take nothing else. Where to look next:
// alerts/ and dashboards/ at the root, of which generated.go is made, and package metrics for what they speak of.
package cos

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"

	"github.com/signet-charm/signet/internal/juju"
)

// The interfaces, of which this charm is the provider: who is scraped provides.
const (
	agentInterface  = "cos_agent"
	scrapeInterface = "prometheus_scrape"
)

// charmName is what alerts and dashboards say which charm they are of.
const charmName = "signet"

// metricsPath is where package httpd serves metrics.
const metricsPath = "/metrics"

// Step decides the databags of all relations with the observability stack, given where this unit serves (address and port; empty
// for nowhere), and what an operator should know.
func Step(snap juju.Snapshot, listen string) (map[int]juju.OwnBags, []juju.Status) {
	bags := map[int]juju.OwnBags{}
	var reports []juju.Status
	at, err := netip.ParseAddrPort(listen)
	served := err == nil
	for _, relation := range snap.Relations {
		if relation.Broken || relation.Endpoint.Role != juju.Provides {
			continue
		}
		switch relation.Endpoint.Interface {
		case agentInterface:
			bags[relation.ID] = agentBags(snap, relation, at, served)
		case scrapeInterface:
			bags[relation.ID] = scrapeBags(snap, relation, at, served)
		default:
			continue
		}
		switch {
		case !served:
			reports = append(reports, juju.Status{Level: juju.Active, Message: fmt.Sprintf(
				"%s gets no metrics: set listen, for example to 0.0.0.0:8880", relation.RemoteApp)})
		case relation.Endpoint.Interface == scrapeInterface && at.Addr().IsLoopback():
			reports = append(reports, juju.Status{Level: juju.Active, Message: fmt.Sprintf(
				"%s cannot reach the metrics at %s: set listen to an address that it can reach", relation.RemoteApp, listen)})
		}
	}
	return bags, reports
}

// agentData is what stands under the key "config" of the unit's databag: CosAgentProviderUnitData of cos_agent v0. A
// subordinate is on each unit's machine, so all of it goes by unit.
type agentData struct {
	MetricsAlertRules json.RawMessage `json:"metrics_alert_rules"`
	LogAlertRules     struct{}        `json:"log_alert_rules"`
	Dashboards        []string        `json:"dashboards"` // JSON, in xz's format, in base64 (LZMABase64 of cosl)
	MetricsScrapeJobs []scrapeJob     `json:"metrics_scrape_jobs"`
	LogSlots          []string        `json:"log_slots"`
}

// scrapeJob is a <scrape_config> of Prometheus'.
type scrapeJob struct {
	MetricsPath   string         `json:"metrics_path"`
	StaticConfigs []staticConfig `json:"static_configs"`
}

type staticConfig struct {
	Targets []string `json:"targets"`
}

func jobs(target string) []scrapeJob {
	return []scrapeJob{{MetricsPath: metricsPath, StaticConfigs: []staticConfig{{Targets: []string{target}}}}}
}

// agentBags tells the subordinate of this machine.
func agentBags(snap juju.Snapshot, relation juju.Relation, at netip.AddrPort, served bool) juju.OwnBags {
	const key = "config" // CosAgentProviderUnitData.KEY
	if !served {
		return juju.OwnBags{Unit: with(relation.OwnUnit, juju.Bag{key: ""})}
	}
	target := "localhost:" + port(at) // as the library has it, where the address does not say otherwise
	if !at.Addr().IsUnspecified() {
		target = at.String()
	}
	return juju.OwnBags{Unit: with(relation.OwnUnit, juju.Bag{key: text(agentData{
		MetricsAlertRules: rulesFor(snap), Dashboards: []string{dashboard},
		MetricsScrapeJobs: jobs(target), LogSlots: []string{},
	})})}
}

// scrapeBags tells Prometheus: each unit its address, the leader the rest. "*" stands for the address of each unit
// (prometheus_scrape v0, "The wildcard host specification").
func scrapeBags(snap juju.Snapshot, relation juju.Relation, at netip.AddrPort, served bool) juju.OwnBags {
	unit := juju.Bag{"prometheus_scrape_unit_address": "", "prometheus_scrape_unit_name": ""}
	app := juju.Bag{"scrape_metadata": "", "scrape_jobs": "", "alert_rules": ""}
	if served {
		unit["prometheus_scrape_unit_address"] = address(snap.Addresses[relation.Endpoint.Name], at)
		unit["prometheus_scrape_unit_name"] = snap.Unit
		app["scrape_metadata"] = text(map[string]string{
			"model": snap.ModelName, "model_uuid": snap.ModelUUID, "application": snap.Application(), "unit": snap.Unit, "charm_name": charmName,
		})
		app["scrape_jobs"] = text(jobs("*:" + port(at)))
		app["alert_rules"] = string(rulesFor(snap))
	}
	bags := juju.OwnBags{Unit: with(relation.OwnUnit, unit)}
	if snap.Leader {
		bags.App = with(relation.OwnApp, app)
	}
	return bags
}

// address is where others reach this unit: at the one address that it serves at, or at any.
func address(own juju.Addresses, at netip.AddrPort) string {
	switch {
	case !at.Addr().IsUnspecified():
		return at.Addr().String()
	case len(own.Ingress) > 0:
		return own.Ingress[0]
	case len(own.Bind) > 0:
		return own.Bind[0]
	}
	return ""
}

func port(at netip.AddrPort) string { return strconv.Itoa(int(at.Port())) }

// with gives a databag with some keys changed; an empty value removes one. Others are Juju's.
func with(have, change juju.Bag) juju.Bag {
	bag := juju.Bag{}
	maps.Copy(bag, have)
	for key, value := range change {
		if value == "" {
			delete(bag, key)
		} else {
			bag[key] = value
		}
	}
	return bag
}

// rulesFor are the alerting rules of this application: each goes by its own metrics only (JujuTopology.label_matcher_dict of
// cosl, which the library puts into each expression, and into the labels of each alert).
func rulesFor(snap juju.Snapshot) json.RawMessage {
	model, uuid, app := snap.ModelName, snap.ModelUUID, snap.Application()
	matchers := fmt.Sprintf("juju_model=%q, juju_model_uuid=%q, juju_application=%q", model, uuid, app)
	return json.RawMessage(strings.NewReplacer(
		topology, inner(matchers), modelMark, inner(model), uuidMark, inner(uuid), shortMark, inner(uuid[:min(len(uuid), 8)]), appMark, inner(app),
	).Replace(rules))
}

// What stands in the rules for what only the unit knows.
const (
	topology  = "%%juju_topology%%"
	modelMark = "%%model%%"
	uuidMark  = "%%model_uuid%%"
	shortMark = "%%model_short%%"
	appMark   = "%%application%%"
)

// inner is a text as it stands between the quotes of JSON.
func inner(value string) string {
	quoted := text(value)
	return quoted[1 : len(quoted)-1]
}

// text is a value as JSON. All that are written here can be.
func text(value any) string {
	written, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(written)
}
