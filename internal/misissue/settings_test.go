// SPDX-License-Identifier: AGPL-3.0-only

package misissue

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"
)

// drawn are settings, as the judge knows them and as the charm's options say them.
type drawn struct {
	Settings
	options   map[string]any
	isDefault bool
	noLegacy  bool
}

// drawSettings gives the defaults now and then, and else anything that an operator may set.
func drawSettings(r *rand.Rand) drawn {
	d := drawn{
		Settings: Settings{
			Policy: "kubernetes", PerUnit: 100, PerRelation: 20000, Life: 90 * 24 * time.Hour, AuthorityLife: 1825 * 24 * time.Hour,
		},
		options: map[string]any{},
	}
	if d.isDefault = r.IntN(4) == 0; d.isDefault {
		return d
	}
	d.Policy = []string{"kubernetes", "kubernetes", "kubernetes", "strict", "strict", "open"}[r.IntN(6)]
	if d.Policy != "kubernetes" || r.IntN(2) == 0 {
		d.options["policy"] = d.Policy
	}
	if d.ReportOnly = r.IntN(12) == 0; d.ReportOnly {
		d.options["policy-report-only"] = true
	}
	d.Domains = some(r, "example.com", "lxd", "cluster.local", "internal", "apps.example.net", "xn--p1ai")
	d.Networks = networks(some(r, "10.0.0.0/8", "192.168.0.0/16", "127.0.0.1/32", "fd00::/8", "169.254.0.0/16", "fe80::/64", "::1/128"))
	d.Authorities = some(r, "vault", "istio")
	d.StrictServerUsage = some(r, "etcd", "kubernetes-control-plane")
	for range r.IntN(6) {
		d.Rules = append(d.Rules, drawRule(r))
	}
	d.say()
	if r.IntN(5) == 0 {
		d.PerUnit = 1 + r.IntN(6)
		d.options["requests-per-unit"] = int64(d.PerUnit)
	}
	if r.IntN(8) == 0 {
		d.PerRelation = 5 + r.IntN(30)
		d.options["requests-per-relation"] = int64(d.PerRelation)
	}
	if d.noLegacy = r.IntN(16) == 0; d.noLegacy {
		d.options["legacy-dialect"] = false
	}
	if r.IntN(4) == 0 {
		d.Life = 24 * time.Hour
		d.options["certificate-validity"] = "24h"
	}
	return d
}

// say sets the options that are lists.
func (d *drawn) say() {
	words := map[string][]string{
		"allowed-domains": d.Domains, "allowed-networks": texted(d.Networks),
		"intermediate-applications": d.Authorities, "strict-server-usage": d.StrictServerUsage,
	}
	for option, list := range words {
		if len(list) > 0 {
			d.options[option] = strings.Join(list, " ")
		}
	}
	var rules []map[string]any
	for _, rule := range d.Rules {
		rules = append(rules, rule.written())
	}
	if len(rules) > 0 {
		d.options["policy-rules"] = encode(rules) // YAML has all of JSON
	}
}

// written is a rule as an operator writes it.
func (r Rule) written() map[string]any {
	all := map[string]any{"applications": r.Applications}
	lists := map[string][]string{
		"identities": r.Identities, "domains": r.Domains, "networks": texted(r.Networks), "uris": r.URIs, "keys": r.Keys,
	}
	for name, list := range lists {
		if len(list) > 0 {
			all[name] = list
		}
	}
	if r.Role != "" {
		all["role"] = r.Role
	}
	if r.Wildcards {
		all["wildcards"] = true
	}
	if r.Clients {
		all["clients"] = true
	}
	if r.CA != nil {
		below := map[string]any{"path-length": r.CA.PathLength}
		if len(r.CA.Domains) > 0 {
			below["domains"] = r.CA.Domains
		}
		if len(r.CA.Networks) > 0 {
			below["networks"] = texted(r.CA.Networks)
		}
		all["ca"] = below
	}
	return all
}

func drawRule(r *rand.Rand) Rule {
	rule := Rule{Applications: []string{pick(r, applications()...)}}
	if r.IntN(3) == 0 {
		rule.Applications = append(rule.Applications, pick(r, "*", "remote-*", "kube*", "etcd", "ops-*"))
	}
	for range 1 + r.IntN(2) {
		switch r.IntN(10) {
		case 0:
			rule.Role = pick(r, "control-plane", "node")
		case 1:
			rule.Identities = some(r, "system:masters", "system:backup:*", "client", "admin", "system:nodes", "kubeadm:cluster-admins", "Example*")
		case 2:
			rule.Domains = some(r, "example.com", "cluster.local", "kubernetes", "kubernetes.default.svc", "xn--80ak6aa92e.com", "example.org")
		case 3:
			rule.Networks = networks(some(r, "0.0.0.0/0", "169.254.0.0/16", "fe80::/10", "8.8.8.8/32"))
		case 4:
			rule.URIs = some(r, "spiffe://cluster/", "https://example.com/")
		case 5:
			rule.Wildcards = true
		case 6:
			rule.Clients = true
		case 7:
			rule.Keys = some(r, "ed25519", "ecdsa-p521")
		case 8:
			rule.CA = &Below{PathLength: r.IntN(2), Domains: some(r, "example.com", "cluster.local"), Networks: networks(some(r, "10.0.0.0/8", "fd00::/8"))}
		case 9:
			rule.Wildcards, rule.Domains = true, some(r, "example.com", "apps.example.net", "cluster.local")
		}
	}
	return rule
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// some gives a part of a list, often none of it.
func some(r *rand.Rand, from ...string) []string {
	var list []string
	if r.IntN(3) == 0 {
		return nil
	}
	for _, one := range from {
		if r.IntN(3) == 0 {
			list = append(list, one)
		}
	}
	return list
}

func networks(list []string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range list {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func texted(list []netip.Prefix) []string {
	var all []string
	for _, one := range list {
		all = append(all, one.String())
	}
	return all
}

// applications are who asks: real charms, whose names give some of them roles, and others that are called alike.
func applications() []string {
	return []string{
		"kubernetes-control-plane", "kubernetes-worker", "k8s", "k8s-worker", "etcd", "kubeapi-load-balancer", "keystone", "kafka",
		"opensearch", "signet-node", "kubernetes-control-plane-b", "kubernetes-worker-gpu", "kubernetes-master", "k8s-control-plane",
		"kubernetes-control-planes", "k8s-evil", "xkubernetes-worker", "vault", "istio", "traefik", "ops-tool", "remote-0a1b2c3d4e5f60718293a4b5c6d7e8f9",
		"remote-ffffffffffffffffffffffffffffffff", "web",
	}
}
