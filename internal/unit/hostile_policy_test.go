// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"encoding/asn1"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/misissue/forge"
)

// What could be certified, but not for whoever asks, is refused by the policy, and harms nobody either.
func TestHostileWishesHarmNobody(t *testing.T) {
	t.Parallel()
	keys := forge.NewKeys()
	playHostile(t, hostileWishes(keys))
	playHostile(t, hostileIdentities(keys))
	playHostile(t, hostileNames(keys))
	playHostile(t, hostileLegacyWishes(t))
}

// wish is a good request after a change.
func wish(keys forge.Keys, code string, number int, change func(*forge.Request)) hostileRow {
	request := good(keys)
	change(&request)
	return hostileRow{code: code, number: number, request: forge.PEM(request.DER())}
}

// hostileWishes ask for keys, usages, extensions or a CA.
func hostileWishes(keys forge.Keys) map[string]hostileRow {
	weak := func(name string) hostileRow {
		return wish(keys, "weak-key", 999, func(r *forge.Request) { r.Key = keys[name][0] })
	}
	usage := func(usages ...asn1.ObjectIdentifier) hostileRow {
		return wish(keys, "usage-not-allowed", 999, func(r *forge.Request) { r.Usages = usages })
	}
	extension := func(id ...int) hostileRow {
		return wish(keys, "extension-not-allowed", 999, func(r *forge.Request) {
			r.Extensions = []forge.Extension{forge.ExtensionOf(id, true, []byte{0x30, 0})}
		})
	}
	authority := func(pathLength int) hostileRow {
		return wish(keys, "ca-not-allowed", 999, func(r *forge.Request) {
			r.Extensions = []forge.Extension{forge.BasicConstraints(true, pathLength)}
		})
	}
	asked := wish(keys, "ca-not-allowed", 999, func(r *forge.Request) { r.Names = nil })
	asked.bag = juju.Bag{"certificate_signing_requests": fmt.Sprintf(`[{"certificate_signing_request": %s, "ca": true}]`, quotedText(asked.request))}
	return map[string]hostileRow{
		"a key of a faulty chip":        weak("roca-2048"),
		"a modulus with a factor of 3":  weak("factor-3"),
		"a modulus with one of 751":     weak("factor-751"),
		"primes next to each other":     weak("close-2048"),
		"the RFC's RSA key":             weak("rfc9500-2048"),
		"the RFC's P-256 key":           weak("rfc9500-p256"),
		"Ed25519":                       weak("ed25519"),
		"P-521":                         weak("p521"),
		"any usage":                     usage(asn1.ObjectIdentifier{2, 5, 29, 37, 0}),
		"a usage for code":              usage(forge.OIDServerAuth, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}),
		"a usage for OCSP":              usage(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 9}),
		"a usage for smart cards":       usage(forge.OIDClientAuth, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 2}),
		"an unknown critical extension": extension(1, 3, 6, 1, 4, 1, 99999, 1),
		"name constraints":              extension(2, 5, 29, 30),
		"must-staple, critical":         extension(1, 3, 6, 1, 5, 5, 7, 1, 24),
		"a CA in its request":           authority(-1),
		"a CA with a path":              authority(3),
		"a CA in its item":              asked,
	}
}

// hostileIdentities are clients that mean something to Kubernetes.
func hostileIdentities(keys forge.Keys) map[string]hostileRow {
	client := func(code string, sets ...forge.RDN) hostileRow {
		return wish(keys, code, map[string]int{"identity-not-allowed": 102, "name-not-allowed": 102}[code], func(r *forge.Request) {
			r.Subject, r.Names, r.Usages = sets, nil, []asn1.ObjectIdentifier{forge.OIDClientAuth}
		})
	}
	const refused = "identity-not-allowed"
	admin := forge.CommonName("admin")
	return map[string]hostileRow{
		"the masters":                   client(refused, forge.Organization("system:masters"), admin),
		"the masters in capitals":       client(refused, forge.Organization("System:Masters"), admin),
		"the masters after a space":     client(refused, forge.Organization(" system:masters"), admin),
		"the masters in a set":          client(refused, forge.RDN{forge.Text(forge.OIDCommonName, "admin"), forge.Text(forge.OIDOrganization, "system:masters")}),
		"the masters after a group":     client(refused, forge.Organization("Example"), forge.Organization("system:masters"), admin),
		"kubeadm's masters":             client(refused, forge.Organization("kubeadm:cluster-admins"), admin),
		"the nodes without a node":      client(refused, forge.Organization("system:nodes"), admin),
		"an API server":                 client(refused, forge.CommonName("system:kube-apiserver")),
		"a node":                        client(refused, forge.CommonName("system:node:juju-1"), forge.Organization("system:nodes")),
		"a kubelet in capitals":         client(refused, forge.CommonName("SYSTEM:kubelet")),
		"a proxy after a space":         client(refused, forge.CommonName(" system:kube-proxy")),
		"the name proxies trust":        client(refused, forge.CommonName("client")),
		"the front proxy":               client(refused, forge.CommonName("front-proxy-client")),
		"the aggregator":                client(refused, forge.CommonName("aggregator")),
		"two common names":              client("name-not-allowed", admin, forge.CommonName("b")),
		"two common names, one of many": client("name-not-allowed", forge.CommonName("system:kubelet"), admin),
	}
}

// hostileNames lead to others.
func hostileNames(keys forge.Keys) map[string]hostileRow {
	names := func(code string, number int, names ...forge.Name) hostileRow {
		return wish(keys, code, number, func(r *forge.Request) { r.Names = append(r.Names, names...) })
	}
	const badName, badAddress, badWildcard = "name-not-allowed", "ip-not-allowed", "wildcard-not-allowed"
	dns := func(name string) hostileRow { return names(badName, 102, forge.DNS(name)...) }
	address := func(text string) hostileRow { return names(badAddress, 101, forge.Address(text)) }
	other := func(kind int, content string) hostileRow {
		return names(badName, 102, forge.NameOf(kind, []byte(content)))
	}
	rows := map[string]hostileRow{
		"the API server":               dns("kubernetes"),
		"the API server in capitals":   dns("KUBERNETES.Default.svc"),
		"the API server in a cluster":  dns("kubernetes.default.svc.cluster.local"),
		"a number at the end":          dns("10.1"),
		"a hexadecimal number":         dns("0x7f000001"),
		"a foreign alphabet":           dns("xn--80ak6aa92e.com"),
		"a wildcard":                   names(badWildcard, 103, forge.DNS("*.example.com")...),
		"a wildcard for all of com":    names(badWildcard, 103, forge.DNS("*.com")...),
		"nobody's address":             address("0.0.0.0"),
		"nobody's address, version 6":  address("::"),
		"the metadata service":         address("169.254.169.254"),
		"a link's address":             address("fe80::1"),
		"everybody":                    address("255.255.255.255"),
		"a group":                      address("224.0.0.1"),
		"a group, version 6":           address("ff02::1"),
		"a mapped address":             address("::ffff:10.0.0.1"),
		"a mapped metadata service":    address("::ffff:169.254.169.254"),
		"a URI":                        other(forge.URI, "spiffe://cluster/ns/kube-system/sa/default"),
		"another name":                 other(forge.OtherName, "\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03\xa0\x0d\x0c\x0broot@ex.com"),
		"a directory name":             other(forge.Directory, string(forge.Subject([]forge.RDN{forge.Organization("system:masters")}))),
		"a hundred and one names":      names("too-large", 999, forge.DNS(manyNames(100)...)...),
		"an API server as common name": wish(keys, badName, 102, func(r *forge.Request) { r.Subject = []forge.RDN{forge.CommonName("kubernetes.default")} }),
		"an address as common name":    wish(keys, badAddress, 101, func(r *forge.Request) { r.Subject = []forge.RDN{forge.CommonName("169.254.169.254")} }),
		"a link's address and its interface as common name": wish(keys, badAddress, 101, func(r *forge.Request) {
			r.Subject = []forge.RDN{forge.CommonName("fe80::1%eth0")}
		}),
	}
	return rows
}

// hostileLegacyWishes ask for the same in the legacy dialect.
func hostileLegacyWishes(t *testing.T) map[string]hostileRow {
	row := func(code, key, value string) hostileRow { return hostileRow{code: code, bag: juju.Bag{key: value}} }
	server := func(code, name string) hostileRow {
		return hostileRow{code: code, bag: juju.Bag{"common_name": "x", "sans": namesText("good.example.com", name)}}
	}
	clients := func(name string) hostileRow {
		return row("identity-not-allowed", "client_cert_requests", fmt.Sprintf(`{%q: {"sans": null}}`, name))
	}
	const badName, badAddress, badWildcard = "name-not-allowed", "ip-not-allowed", "wildcard-not-allowed"
	return map[string]hostileRow{
		"legacy: an API server's client":       clients("system:kube-apiserver"),
		"legacy: a node":                       clients("system:node:juju-1"),
		"legacy: the name that proxies trust":  clients("client"),
		"legacy: a server that is a client":    row("identity-not-allowed", "common_name", "system:kubelet"),
		"legacy: a CA":                         row("ca-not-allowed", "intermediate_cert_requests", `{"CA": {"sans": []}}`),
		"legacy: the API server":               server(badName, "kubernetes.default.svc"),
		"legacy: the API server with a dot":    server(badName, "kubernetes."),
		"legacy: the application's API server": row(badName, "application_cert_requests", `{"app.example.com": {"sans": ["kubernetes"]}}`).told("relation 7"),
		"legacy: a wildcard":                   server(badWildcard, "*.example.com"),
		"legacy: a number":                     server(badName, "010.0.0.1"),
		"legacy: a foreign alphabet":           server(badName, "xn--80ak6aa92e.com"),
		"legacy: the metadata service":         server(badAddress, "169.254.169.254"),
		"legacy: a mapped metadata service":    server(badAddress, "::ffff:169.254.169.254"),
		"legacy: nobody's address":             server(badAddress, "0.0.0.0"),
		"legacy: a common name of a link":      row(badAddress, "common_name", "fe80::1%eth0"),
		"legacy: a hundred and one names":      server("too-large", "x").with("sans", namesText(manyNames(101)...)),
		"legacy: a hundred and one requests":   row("too-many", "client_cert_requests", manyRequests(t, 101)),
	}
}

// told says whose the refusal is, where it is not the unit's.
func (r hostileRow) told(who string) hostileRow {
	r.who = who
	return r
}

// with exchanges one key of the bag.
func (r hostileRow) with(key, value string) hostileRow {
	r.bag[key] = value
	return r
}

// A request that is refused is not answered with what answers another one of the same unit, also when that is renewed.
func TestARefusedRequestTakesNoOthersAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{"etcd/0": {
		"unit_name": "etcd_0", "common_name": "10.0.0.1", "cert_requests": `{"169.254.169.254": {"sans": ["10.0.0.1"]}}`,
	}}))
	for _, later := range []time.Duration{0, time.Hour, 87 * 24 * time.Hour} {
		turn(t, w, noon.Add(later))
		atRest(t, w, noon.Add(later))
		require.Equal(t, "10.0.0.1", leafOf(t, w.snap.Relations[1].OwnUnit["etcd_0.server.cert"]).Subject.CommonName)
		require.NotContains(t, w.snap.Relations[1].OwnUnit, "etcd_0.processed_requests")
		require.Contains(t, w.snap.Status.Message, "1 refused: ")
	}
}

// A node's name stays its unit's while its certificate is published, also when the dialect in which it asked is off.
func TestANodesNameIsNotFreeWhileItsCertificateIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	late := clientRequest(t, "system:node:a", "system:nodes")
	relation := legacyRelation(7, map[string]juju.Bag{
		"kubernetes-worker/4": {"unit_name": "kubernetes-worker_4", "client_cert_requests": `{"system:node:a": {"sans": null}}`},
	})
	relation.RemoteApp = "kubernetes-worker"
	w.snap.Relations = append(w.snap.Relations, relation)
	turn(t, w, noon)
	require.Contains(t, w.snap.Relations[1].OwnUnit, "kubernetes-worker_4.processed_client_requests")

	w.snap.Config = map[string]any{"legacy-dialect": false}
	w.snap.Relations[1].RemoteUnits["kubernetes-worker/5"] = requestBag(t, late)
	turn(t, w, noon)
	atRest(t, w, noon)
	require.Contains(t, w.snap.Relations[1].OwnUnit, "kubernetes-worker_4.processed_client_requests")
	granted, faults := w.answers(7)
	require.Empty(t, granted)
	require.Contains(t, faults[late], "identity-not-allowed")
}
