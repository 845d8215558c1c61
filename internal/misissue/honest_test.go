// SPDX-License-Identifier: AGPL-3.0-only

package misissue

import (
	"encoding/asn1"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/signet-charm/signet/internal/misissue/forge"
)

var (
	oidUnit         = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidUniqueID     = asn1.ObjectIdentifier{2, 5, 4, 45}
	oidMailOfPerson = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
)

// asker is one unit of an application that is related.
type asker struct {
	relation int
	app      string
	unit     string
	number   int
	pool     forge.Keys
	cache    map[string]*ask // requests with RSA keys, which take long to sign
}

func (a asker) address() string {
	return fmt.Sprintf("10.%d.%d.%d", a.relation%200, a.number/250, a.number%250+1)
}

func (a asker) host() string { return fmt.Sprintf("juju-%d-%d", a.relation, a.number) }

// first is the host of the application's first unit.
func (a asker) first() string { return fmt.Sprintf("juju-%d-0", a.relation) }

// legacy makes one request of the legacy dialect.
func (a asker) legacy(kind Kind, name string, names ...string) *ask {
	return &ask{relation: a.relation, app: a.app, unit: a.unit, legacy: true, kind: kind, commonName: name, names: names, honest: true}
}

// request makes one request of the CSR dialect.
func (a asker) request(kind Kind, d forge.Request) *ask {
	der := d.DER()
	return &ask{relation: a.relation, app: a.app, unit: a.unit, kind: kind, der: der, text: forge.PEM(der), honest: true}
}

// slow is request for a key that takes long to sign with: the same unit of the same application makes the same one in
// every round.
func (a asker) slow(name string, d forge.Request) *ask {
	key := fmt.Sprint(a.app, a.number, name)
	if a.cache[key] == nil {
		a.cache[key] = a.request(Server, d)
	}
	one := *a.cache[key]
	one.relation, one.unit = a.relation, a.unit
	return &one
}

// charm is what the charm behind an application asks for (protocol E).
func (a asker) charm(r *rand.Rand) []*ask {
	own := []string{a.address(), "127.0.0.1", a.host(), a.host() + ".lxd", "fd00::" + fmt.Sprint(a.number+1)}
	switch base := a.app; {
	case strings.HasPrefix(base, "kubernetes-control-plane"), base == "kubernetes-master":
		names := append(own, "kubernetes", "kubernetes.cluster.local", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local", "10.152.183.1", "api.example.com")
		if base == "kubernetes-control-planes" {
			names = own
		}
		asks := []*ask{a.legacy(Server, a.address(), names...)}
		if base != "kubernetes-control-planes" {
			asks = append(asks, a.legacy(Client, "system:kube-apiserver"))
		}
		return asks
	case strings.HasPrefix(base, "kubernetes-worker"):
		return []*ask{a.legacy(Server, a.address(), own...), a.legacy(Client, "system:kubelet")}
	case base == "keystone":
		return []*ask{
			a.legacy(Server, "keystone-internal.example.com", own...), a.legacy(Server, "keystone-public.example.com", a.address()),
			a.legacy(Application, "keystone.example.com", a.address(), a.host()+".lxd"),
		}
	case base == "k8s" || base == "k8s-worker" || base == "k8s-control-plane":
		return a.canonical()
	case base == "kafka" || base == "opensearch":
		return a.middleware(r)
	case base == "signet-node":
		return a.signet(r)
	}
	return []*ask{a.legacy(Server, a.address(), own...)}
}

// canonical is what Canonical Kubernetes asks for.
func (a asker) canonical() []*ask {
	node := a.host()
	kubelet := forge.Request{
		Subject: []forge.RDN{forge.CommonName("system:node:" + node), {forge.Text(oidUniqueID, "e4cb0a2e-9c4e-4c1c-8b3e-0d5e0f5b8b1a")}, forge.Organization("system:nodes")},
		Names:   append(forge.DNS(node, node+".lxd"), forge.Address(a.address()), forge.Address("127.0.0.1")), Key: a.pool["good-2048-a"][0],
	}
	asks := []*ask{a.slow("kubelet "+node, kubelet)}
	if a.app != "k8s-worker" {
		asks = append(asks, a.slow("apiserver "+node, forge.Request{
			Subject: []forge.RDN{forge.CommonName("kube-apiserver"), {forge.Text(oidUniqueID, "0f6d9c1e-7a65-43a7-9a55-6a4f7f1f0b11")}},
			Names: append(forge.DNS(node, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
				forge.Address("127.0.0.1"), forge.Address("::1"), forge.Address("10.152.183.1"), forge.Address(a.address())),
			Key: a.pool["good-2048-b"][0],
		}))
	}
	return asks
}

// middleware is what charms with the v4 library ask for.
func (a asker) middleware(r *rand.Rand) []*ask {
	d := forge.Request{
		Subject: []forge.RDN{
			forge.CommonName(fmt.Sprintf("%s-%d", a.app, a.number)), {forge.Text(oidUniqueID, "6b1f3f6a-31c2-4f0e-9a8e-000000000001")},
			forge.Organization(a.app), {forge.Text(oidUnit, "data")}, {forge.Typed(oidMailOfPerson, 22, []byte("ops@example.com"))},
		},
		Names: append([]forge.Name{forge.NameOf(kindID, []byte{0x2a, 3, 4, 5, 5}), forge.Address(a.address())},
			forge.DNS(fmt.Sprintf("%s-%d.%s-endpoints", a.app, a.number, a.app), a.host()+".lxd")...),
		Key: a.pool["good-2048-c"][0],
	}
	if a.app == "opensearch" { // nodes are each other's clients
		d.Usages = []asn1.ObjectIdentifier{oidServerAuth, oidClientAuth}
	}
	asks := []*ask{a.slow("server "+a.address(), d)}
	d.Key, d.Subject = pick(r, a.pool["p256"]...), []forge.RDN{forge.CommonName(a.host() + ".lxd")}
	asks = append(asks, a.request(Server, d))
	if r.IntN(4) == 0 { // one for the application, in its own databag
		whole := a
		whole.unit = ""
		d.Subject = []forge.RDN{forge.CommonName(a.app + ".example.com")}
		asks = append(asks, whole.request(Server, d))
	}
	return asks
}

// signet is what this program's other half asks for, in both dialects at once.
func (a asker) signet(r *rand.Rand) []*ask {
	node := "system:node:" + a.host()
	key := pick(r, a.pool["p256"]...)
	return []*ask{
		a.request(Server, forge.Request{
			Subject: []forge.RDN{forge.CommonName(a.address())}, Names: append(forge.DNS(a.host(), a.host()+".lxd"), forge.Address(a.address()), forge.Address("127.0.0.1")),
			Usages: []asn1.ObjectIdentifier{oidServerAuth}, Key: key,
		}),
		a.request(Client, forge.Request{Subject: []forge.RDN{forge.Organization("system:nodes"), forge.CommonName(node)}, Usages: []asn1.ObjectIdentifier{oidClientAuth}, Key: key}),
		a.legacy(Server, a.address(), a.address(), "127.0.0.1", a.host(), a.host()+".lxd"),
		a.legacy(Client, node),
	}
}
