// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// Profile is what a machine is, as far as its certificates tell.
type Profile string

// The profiles. All but Generic ask for what the charms of Charmed Kubernetes ask for on such machines (protocol E).
const (
	Generic      Profile = "generic"
	ControlPlane Profile = "control-plane"
	Worker       Profile = "worker"
	Etcd         Profile = "etcd"
)

func profileNames() []string {
	return []string{string(Generic), string(ControlPlane), string(Worker), string(Etcd)}
}

// Users and groups that Kubernetes gives a meaning by their names in client certificates.
const (
	apiServerUser = "system:kube-apiserver" // may call kubelets in Charmed Kubernetes
	nodeUser      = "system:node:"          // followed by the node's name; the node authorizer's
	nodeGroup     = "system:nodes"
)

// items says what this unit wants: a server certificate under its names, a client certificate, and the further ones
// that the operator wants. An error says what is still missing to know it.
func (s *step) items(relation juju.Relation) ([]item, error) {
	server, err := s.server(relation)
	if err != nil {
		return nil, err
	}
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	items := []item{server, client}
	for _, further := range s.settings.Clients {
		items = append(items, clientItem(further))
	}
	seen := map[string]bool{}
	for _, i := range items[1:] {
		if seen[i.want.CommonName] {
			return nil, fmt.Errorf("two client certificates have the common name %q: providers cannot tell their answers apart; "+
				"change the options client-certificates or client-common-name", i.want.CommonName)
		}
		seen[i.want.CommonName] = true
	}
	return items, nil
}

func clientItem(client Client) item {
	return item{
		name: client.Name, organizations: client.Organizations,
		want: dialect.Want{Kind: cert.Client, CommonName: client.CommonName},
	}
}

// server is the server certificate: for the addresses at which others reach this unit, its own addresses and names, and
// those that the profile adds.
func (s *step) server(relation juju.Relation) (item, error) {
	ingress := s.snap.Addresses[relation.Endpoint.Name].Ingress
	commonName := s.settings.CommonName
	if commonName == "" {
		if len(ingress) == 0 {
			return item{}, fmt.Errorf("waiting for an ingress address on endpoint %s; or set the option common-name", relation.Endpoint.Name)
		}
		commonName = s.standingName(ingress)
	}
	names := s.settings.Names.With(usable(ingress)).
		With(usable([]string{commonName, "127.0.0.1", s.snap.Local["hostname"], s.snap.Local["fqdn"]}))
	for _, endpoint := range slices.Sorted(maps.Keys(s.snap.Addresses)) {
		names = names.With(usable(slices.DeleteFunc(slices.Clone(s.snap.Addresses[endpoint].Bind), isLocal)))
	}
	switch s.settings.Profile {
	case ControlPlane:
		cluster, err := s.cluster.names()
		if err != nil {
			return item{}, err
		}
		names = names.With(cluster)
	case Etcd:
		names = names.With(s.peerNames())
	case Generic, Worker:
	}
	return item{
		name: "server", alsoClient: s.settings.Profile == Etcd,
		want: dialect.Want{Kind: cert.Server, CommonName: commonName, Names: names},
	}, nil
}

// client is the certificate with which this machine calls others.
func (s *step) client() (item, error) {
	client := Client{Name: "client", CommonName: s.snap.Unit}
	switch s.settings.Profile {
	case ControlPlane:
		client.CommonName = apiServerUser
	case Worker:
		node, err := s.cluster.node(s.snap.Local)
		if err != nil && s.settings.ClientCommonName == "" {
			return item{}, err
		}
		client.CommonName, client.Organizations = nodeUser+node, []string{nodeGroup}
	case Generic, Etcd:
	}
	if s.settings.ClientCommonName != "" {
		client.CommonName = s.settings.ClientCommonName
	}
	for _, organization := range s.settings.Organizations {
		if !slices.Contains(client.Organizations, organization) {
			client.Organizations = append(client.Organizations, organization)
		}
	}
	if len([]rune(client.CommonName)) > cert.MaxCommonName {
		return item{}, fmt.Errorf("the client certificate's common name %q has more than %d characters: set the option node-name or client-common-name",
			client.CommonName, cert.MaxCommonName)
	}
	return clientItem(client), nil
}

// standingName gives the first of the names that fits into a common name (RFC 5280, ub-common-name), but the one that is
// asked for already while it is among them: their order may change. The unit's own name takes the place of none.
func (s *step) standingName(names []string) string {
	if request, err := cert.ParseRequest(s.snap.Local["request.server"]); err == nil && slices.Contains(names, request.Subject.CommonName) {
		return request.Subject.CommonName
	}
	for _, name := range names {
		if len([]rune(name)) <= cert.MaxCommonName {
			return name
		}
	}
	return s.snap.Unit
}

// peerNames are the addresses of the other units of this application: the members of an etcd cluster know each other by
// them. While not all units are shown, the names that are asked for already stay.
func (s *step) peerNames() cert.Names {
	var names cert.Names
	peers, _ := s.snap.Peers()
	for _, unit := range peers.UnitNames() {
		bag := peers.RemoteUnits[unit]
		names = names.With(usable([]string{bag["ingress-address"], bag["private-address"]}))
	}
	if request, err := cert.ParseRequest(s.snap.Local["request.server"]); err == nil && peers.Partial {
		if asked, err := cert.RequestNames(request); err == nil {
			names = names.With(asked)
		}
	}
	return names
}

// usable drops names that cannot stand in a certificate: a machine's own idea of its name is not the operator's fault.
func usable(candidates []string) cert.Names {
	var names cert.Names
	for _, candidate := range candidates {
		if parsed, err := cert.ParseNames([]string{candidate}); err == nil {
			names = names.With(parsed)
		}
	}
	return names
}

// isLocal reports whether an address means something on one link or host only.
func isLocal(text string) bool {
	address, err := netip.ParseAddr(text)
	return err == nil && (address.IsLinkLocalUnicast() || address.IsLoopback())
}
