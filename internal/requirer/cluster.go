// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/kubefile"
)

// kubeControl is the interface on which kubernetes-control-plane tells its workers about the cluster.
const kubeControl = "kube-control"

// Cluster is what an operator says of the Kubernetes cluster that a machine belongs to.
type Cluster struct {
	Node     string         // the machine's name as a node, or nodeHostname or nodeFQDN
	Domain   string         // of the cluster's services; empty: what the relation kube-control says
	Services []netip.Prefix // of the cluster's services
	Balanced cert.Names     // where load balancers answer for the API server
	Server   string         // the API server's URL; empty: what the relation kube-control says
}

// What the option node-name may say instead of a name.
const (
	nodeHostname = "hostname"
	nodeFQDN     = "fqdn"
)

const (
	defaultDomain   = "cluster.local"
	defaultServices = "10.152.183.0/24" // Charmed Kubernetes'
)

func readClusterSettings(config *juju.Config) Cluster {
	cluster := Cluster{
		Node:   strings.ToLower(config.Text("node-name", nodeHostname)),
		Domain: strings.Trim(strings.ToLower(config.Text("dns-domain", "")), "."),
		Server: config.Text("kubernetes-server", ""),
	}
	if err := checkHostName(cluster.Node); err != nil {
		config.Refuse("node-name", "%v", err)
		cluster.Node = nodeHostname
	}
	if err := checkDomain(cluster.Domain); cluster.Domain != "" && err != nil {
		config.Refuse("dns-domain", "%v", err)
		cluster.Domain = ""
	}
	if fault := kubefile.ServerFault(cluster.Server); cluster.Server != "" && fault != "" {
		config.Refuse("kubernetes-server", "it %s; give one such as https://10.0.0.1:6443", fault)
		cluster.Server = ""
	}
	balanced, err := cert.ParseNames(config.Words("loadbalancer-ips"))
	if err != nil {
		config.Refuse("loadbalancer-ips", "%v", err)
	}
	cluster.Balanced = balanced
	for _, text := range strings.FieldsFunc(config.Text("service-cidr", defaultServices), func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.IsSingleIP() {
			config.Refuse("service-cidr", "%q is not a range of addresses such as %s", text, defaultServices)
			continue
		}
		cluster.Services = append(cluster.Services, prefix.Masked())
	}
	return cluster
}

func checkHostName(text string) error {
	names, err := cert.ParseNames([]string{text})
	if err == nil && (len(names.DNS) != 1 || strings.HasPrefix(text, "*")) {
		return fmt.Errorf("%q is not a host name", text)
	}
	return err
}

// checkDomain refuses a DNS domain below which the API server could have no name.
func checkDomain(domain string) error {
	return cmp.Or(checkHostName(domain), checkHostName("kubernetes.default.svc."+domain))
}

// readCluster completes what the operator says by what the cluster itself does on the relation kube-control: each of its
// units gives "api-endpoints", a JSON list of URLs, and "domain". What cannot be used is passed over and reported.
func (s *step) readCluster() {
	s.cluster = s.settings.Cluster
	servers, domains := map[string]bool{}, map[string]bool{}
	for _, relation := range s.snap.On(juju.Requires, kubeControl) {
		if relation.Broken {
			continue
		}
		for _, unit := range relation.UnitNames() {
			bag := relation.RemoteUnits[unit]
			var endpoints []string
			if text := bag["api-endpoints"]; text != "" && json.Unmarshal([]byte(text), &endpoints) != nil {
				s.report(juju.Waiting, "%s sends unreadable api-endpoints on %s", unit, relation.Key())
			}
			for _, endpoint := range endpoints {
				if fault := kubefile.ServerFault(endpoint); fault != "" {
					s.report(juju.Waiting, "%s sends an unusable API endpoint on %s: it %s", unit, relation.Key(), fault)
					continue
				}
				servers[strings.TrimSuffix(endpoint, "/")] = true
			}
			if domain := strings.Trim(strings.ToLower(bag["domain"]), "."); domain != "" {
				if err := checkDomain(domain); err == nil {
					domains[domain] = true
				}
			}
		}
	}
	s.cluster.Server = firstOf(s.cluster.Server, servers)
	s.cluster.Domain = firstOf(s.cluster.Domain, domains)
	if s.cluster.Domain == "" {
		s.cluster.Domain = defaultDomain
	}
}

// firstOf gives the preferred text, else the first in order: each turn must choose the same.
func firstOf(preferred string, others map[string]bool) string {
	if preferred != "" || len(others) == 0 {
		return preferred
	}
	texts := make([]string, 0, len(others))
	for text := range others {
		texts = append(texts, text)
	}
	return slices.Min(texts)
}

// names are those by which pods and load balancers reach the API server.
func (c Cluster) names() (cert.Names, error) {
	names, err := cert.ParseNames([]string{
		"kubernetes", "kubernetes." + c.Domain, "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + c.Domain,
	})
	if err != nil {
		return cert.Names{}, fmt.Errorf("the DNS domain cannot be used: %w; set the option dns-domain", err)
	}
	for _, services := range c.Services { // the service "kubernetes" has the first address of each range
		names = names.With(cert.Names{IPs: []string{services.Addr().Next().String()}})
	}
	return names.With(c.Balanced), nil
}

// node is the machine's name as a node of the cluster, by what the machine itself says of its names.
func (c Cluster) node(machine map[string]string) (string, error) {
	switch {
	case c.Node != nodeHostname && c.Node != nodeFQDN:
		return c.Node, nil
	case machine[c.Node] == "":
		return "", fmt.Errorf("waiting for the machine to say its %s; or set the option node-name", c.Node)
	}
	return strings.ToLower(machine[c.Node]), nil
}
