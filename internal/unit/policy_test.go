// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/policy"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/unit"
)

// clientRequest is a request for a client's certificate.
func clientRequest(t *testing.T, commonName string, organizations ...string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	usages, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 2}})
	require.NoError(t, err)
	return encodeRequest(t, &x509.CertificateRequest{
		Subject:         pkix.Name{CommonName: commonName, Organization: organizations},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: usages}},
	}, key)
}

// asks relates an application whose units make these requests.
func (w *world) asks(id int, app string, requests map[string][]string) {
	t := w.t.(*testing.T)
	relation := legacyRelation(id, map[string]juju.Bag{})
	relation.RemoteApp = app
	for unit, list := range requests {
		relation.RemoteUnits[unit] = requestBag(t, list...)
	}
	w.snap.Relations = append(slices.DeleteFunc(slices.Clone(w.snap.Relations), func(r juju.Relation) bool { return r.ID == id }), relation)
}

// answers are what a relation's requests have got: certificates, and errors as code and message.
func (w *world) answers(id int) (certificates map[string]*x509.Certificate, faults map[string]string) {
	certificates, faults = map[string]*x509.Certificate{}, map[string]string{}
	for _, relation := range w.snap.Relations {
		if relation.ID != id {
			continue
		}
		var granted []struct {
			Request     string `json:"certificate_signing_request"`
			Certificate string `json:"certificate"`
		}
		var refused []struct {
			Request string `json:"csr"`
			Error   struct {
				Code            int
				Reason, Message string
			}
		}
		for key, list := range map[string]any{"certificates": &granted, "request_errors": &refused} {
			if text := relation.OwnApp[key]; text != "" {
				require.NoError(w.t, json.Unmarshal([]byte(text), list))
			}
		}
		for _, entry := range granted {
			leaf, err := cert.Parse(entry.Certificate)
			require.NoError(w.t, err)
			certificates[entry.Request] = leaf
		}
		for _, entry := range refused {
			faults[entry.Request] = fmt.Sprintf("%d %s: %s", entry.Error.Code, entry.Error.Reason, entry.Error.Message)
		}
	}
	return certificates, faults
}

// A policy that becomes narrower stops nobody at once: who has a certificate keeps it, the operator reads what will not be
// renewed, and only when it has ended is the request told why there is no other.
func TestANarrowerPolicyTakesNothingAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	masters := clientRequest(t, "admin", "system:masters")
	w.snap.Config = map[string]any{"policy": "open"}
	w.asks(7, "ops-tool", map[string][]string{"ops-tool/0": {masters}})
	turn(t, w, noon)
	granted, _ := w.answers(7)
	require.Equal(t, []string{"system:masters"}, granted[masters].Subject.Organization)
	require.Contains(t, w.snap.Status.Message, "policy=open")

	w.snap.Config = map[string]any{}
	for _, later := range []time.Duration{time.Hour, 89 * 24 * time.Hour} { // before it is due, and after
		turn(t, w, noon.Add(later))
		kept, faults := w.answers(7)
		require.Equal(t, granted[masters].Raw, kept[masters].Raw)
		require.Empty(t, faults)
		require.Contains(t, w.snap.Status.Message, "identity-not-allowed", later)
		atRest(t, w, noon.Add(later))
	}
	turn(t, w, noon.Add(91*24*time.Hour))
	kept, faults := w.answers(7)
	require.Empty(t, kept)
	require.Contains(t, faults[masters], "102 identity-not-allowed: ")
	require.Contains(t, faults[masters], `to allow it run: juju config signet policy-rules=`)
	atRest(t, w, noon.Add(91*24*time.Hour))

	w.snap.Config = map[string]any{"policy-rules": `- {applications: [ops-tool], identities: ["system:masters"]}`}
	turn(t, w, noon.Add(92*24*time.Hour))
	again, faults := w.answers(7)
	require.Equal(t, []string{"system:masters"}, again[masters].Subject.Organization)
	require.Empty(t, faults)
}

func TestAPolicyThatOnlyReportsRefusesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Config = map[string]any{"policy-report-only": true}
	masters := clientRequest(t, "admin", "system:masters")
	w.asks(7, "ops-tool", map[string][]string{"ops-tool/0": {masters, goodRequest(t)}})
	turn(t, w, noon)
	granted, faults := w.answers(7)
	require.Len(t, granted, 2)
	require.Empty(t, faults)
	require.Equal(t, []string{"system:masters"}, granted[masters].Subject.Organization)
	require.Contains(t, w.snap.Status.Message, "policy-report-only: 1 would be refused: ops-tool/0: ")
	atRest(t, w, noon)

	w.snap.Relations[1].RemoteUnits["ops-tool/0"] = juju.Bag{"unit_name": "ops-tool_0", "intermediate_cert_requests": `{"Issuing CA": {"sans": []}}`}
	turn(t, w, noon)
	require.NotContains(t, w.snap.Relations[1].OwnUnit, "ops-tool_0.processed_intermediate_requests", "a CA is refused all the same")
	require.Contains(t, w.snap.Status.Message, "ca-not-allowed")
}

func TestOrganizationsComeWhenTheyAreAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	request := clientRequest(t, "app", "ops", "devs")
	w.asks(7, "web", map[string][]string{"web/0": {request}})
	turn(t, w, noon)
	first, _ := w.answers(7)
	require.Empty(t, first[request].Subject.Organization)
	require.Equal(t, "app", first[request].Subject.CommonName)
	atRest(t, w, noon)

	w.snap.Config = map[string]any{"policy-rules": `- {applications: [web], identities: [ops]}`}
	turn(t, w, noon.Add(time.Hour))
	second, _ := w.answers(7)
	require.Equal(t, []string{"ops"}, second[request].Subject.Organization)
	atRest(t, w, noon.Add(time.Hour))

	w.snap.Config = map[string]any{}
	turn(t, w, noon.Add(2*time.Hour))
	third, _ := w.answers(7)
	require.Equal(t, second[request].Raw, third[request].Raw, "it stays until its renewal")
}

// What cannot become a certificate is refused before anybody tries to make one.
func TestWhatWouldNameNobodyIsNotOrdered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	groups := clientRequest(t, "", "ops")
	w.asks(7, "web", map[string][]string{"web/0": {groups}})
	turn(t, w, noon)
	granted, faults := w.answers(7)
	require.Empty(t, granted)
	require.Contains(t, faults[groups], `102 name-not-allowed: nothing is left of the subject without the organization "ops"`)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	request := encodeRequest(t, &x509.CertificateRequest{DNSNames: []string{"ca.example.com"}}, key)
	w.snap.Config = map[string]any{"intermediate-applications": "vault"}
	w.asks(8, "vault", nil)
	w.snap.Relations[len(w.snap.Relations)-1].RemoteUnits["vault/0"] = juju.Bag{"certificate_signing_requests": jsonText(t, []any{
		map[string]any{"certificate_signing_request": request, "ca": true},
	})}
	turn(t, w, noon)
	_, faults = w.answers(8)
	require.Contains(t, faults[request], "102 name-not-allowed: the subject is empty", "a CA has to have one")
}

// Who is root on one worker must not become the node of another.
func TestANodesNameIsOneUnits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := clientRequest(t, "system:node:a", "system:nodes"), clientRequest(t, "system:node:a", "system:nodes")
	w.asks(7, "kubernetes-worker", map[string][]string{"kubernetes-worker/1": {first}})
	turn(t, w, noon)
	granted, _ := w.answers(7)
	require.Contains(t, granted, first)

	w.snap.Relations[1].RemoteUnits["kubernetes-worker/0"] = requestBag(t, second)
	turn(t, w, noon)
	granted, faults := w.answers(7)
	require.Contains(t, granted, first)
	require.NotContains(t, granted, second)
	require.Contains(t, faults[second], "the node of")
	atRest(t, w, noon)

	delete(w.snap.Relations[1].RemoteUnits, "kubernetes-worker/1")
	turn(t, w, noon)
	granted, faults = w.answers(7)
	require.Contains(t, granted, second)
	require.Empty(t, faults)
}

// Requests are published with their answers, so that a unit can make another's as its own. That makes it no node: not while
// both ask, nor once the node has asked anew.
func TestACopiedRequestMakesNobodyANode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	request := func() string { return clientRequest(t, "system:node:a", "system:nodes") }
	node, renewed, forged := request(), request(), request()
	w.asks(7, "kubernetes-worker", map[string][]string{"kubernetes-worker/1": {node}})
	turn(t, w, noon)
	units := w.snap.Relations[1].RemoteUnits
	for what, bag := range []juju.Bag{requestBag(t, node), requestBag(t, node, forged)} {
		units["kubernetes-worker/0"] = bag
		turn(t, w, noon)
		granted, _ := w.answers(7)
		require.Contains(t, granted, node, what)
		require.NotContains(t, granted, forged, what)
		atRest(t, w, noon)
	}
	units["kubernetes-worker/1"] = requestBag(t, renewed)
	turn(t, w, noon)
	granted, faults := w.answers(7)
	require.Contains(t, granted, renewed)
	require.NotContains(t, granted, forged)
	require.Contains(t, faults[forged], "is that of unit kubernetes-worker/1")
	atRest(t, w, noon)

	// The name is free when its unit is gone.
	delete(units, "kubernetes-worker/1")
	units["kubernetes-worker/0"] = requestBag(t, forged)
	turn(t, w, noon)
	granted, _ = w.answers(7)
	require.Contains(t, granted, forged)
	w.snap.Relations = slices.DeleteFunc(slices.Clone(w.snap.Relations), func(r juju.Relation) bool { return r.ID == 7 })
	w.asks(8, "kubernetes-worker", map[string][]string{"kubernetes-worker/1": {node}})
	turn(t, w, noon)
	require.NotContains(t, w.snap.Relations[0].OwnApp, "nodes.7", "what is gone is forgotten")
	require.Contains(t, w.snap.Relations[0].OwnApp, "nodes.8")
	atRest(t, w, noon)

	// Who is refused leaves nothing behind.
	w.asks(9, "web", map[string][]string{"web/0": {forged}})
	turn(t, w, noon)
	require.NotContains(t, w.snap.Relations[0].OwnApp, "nodes.9")
}

func TestQuotasBoundWhatIsAskedNotWhatIsHad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	requests := []string{goodRequest(t), goodRequest(t), goodRequest(t)}
	w.snap.Config = map[string]any{"requests-per-unit": 2}
	w.asks(7, "web", map[string][]string{"web/0": requests, "web/1": {goodRequest(t)}})
	turn(t, w, noon)
	granted, faults := w.answers(7)
	require.Len(t, granted, 3)
	require.Contains(t, faults[requests[2]], "999 too-many: ")
	require.Contains(t, faults[requests[2]], "juju config signet requests-per-unit=4")

	w.snap.Config = map[string]any{"requests-per-unit": 1, "requests-per-relation": 1}
	late := goodRequest(t)
	w.snap.Relations[1].RemoteUnits["web/2"] = requestBag(t, late)
	turn(t, w, noon)
	kept, faults := w.answers(7)
	require.Len(t, kept, 3)
	for request, leaf := range granted {
		require.Equal(t, leaf.Raw, kept[request].Raw)
	}
	require.Contains(t, faults[late], "requests-per-relation")
	atRest(t, w, noon)
}

// One unit's flood is signed after the first request of everybody else, and a turn ends although not all is signed.
func TestAFloodDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	turn(t, w, noon)
	w.survey()
	flood := map[string]juju.Bag{}
	for i := range 11 {
		flood[fmt.Sprintf("flood/%d", i)] = juju.Bag{"unit_name": fmt.Sprintf("flood_%d", i), "client_cert_requests": manyRequests(t, 100)}
	}
	last := legacyRelation(8, map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"}})
	first := legacyRelation(7, flood)
	first.RemoteApp = "flood"
	w.snap.Relations = append(w.snap.Relations, first, last)

	plan := unit.Decide(noon, w.snap, nil)
	var orders []order.Sign
	for _, o := range plan.Orders {
		if sign, ok := o.(order.Sign); ok && sign.Asker.App != "" {
			orders = append(orders, sign)
		}
	}
	require.Len(t, orders, provider.MaxSignatures)
	at := slices.IndexFunc(orders, func(o order.Sign) bool { return o.Asker.Unit == "etcd/0" })
	require.GreaterOrEqual(t, at, 0)
	require.Less(t, at, 2*11+3, "in the first round: two for each of 11 flooding units, two shared clients, and this one")
	require.Equal(t, noon, plan.Wake, "the rest follows at once")
	recorded := map[string]bool{}
	for _, entry := range plan.Entries {
		recorded[entry.Order] = true
	}
	require.Len(t, recorded, len(plan.Orders), "what is not ordered is not recorded either")
}

// Applications of other models get what the operator lists, for servers only.
func TestAnotherModelIsHeldToStrict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Config = map[string]any{"allowed-domains": "example.com", "allowed-networks": "10.0.0.0/8"}
	relation := legacyRelation(7, map[string]juju.Bag{
		"remote-4f3a/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1", "sans": `["etcd.example.com"]`},
		"remote-4f3a/1": {"unit_name": "etcd_1", "common_name": "192.168.0.1"},
	})
	relation.RemoteApp = "remote-4f3a"
	w.snap.Relations = append(w.snap.Relations, relation)
	turn(t, w, noon)
	bag := w.snap.Relations[1].OwnUnit
	leaf, err := cert.Parse(bag["etcd_0.server.cert"])
	require.NoError(t, err)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, leaf.ExtKeyUsage)
	require.NotContains(t, bag, "etcd_1.server.cert")
	require.NotContains(t, bag, "client.key", "its key would open etcd here")
	require.Contains(t, w.snap.Status.Message, "usage-not-allowed")
	atRest(t, w, noon)

	w.snap.Config["policy-rules"] = `- {applications: ["remote-*"], clients: true}`
	turn(t, w, noon)
	require.Contains(t, w.snap.Relations[1].OwnUnit, "client.key")
}

// A CA that an application may have is kept to the names that the operator lists.
func TestAnIntermediateIsConstrained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Config = map[string]any{"policy-rules": `- {applications: [vault], ca: {path-length: 0, domains: [example.com]}}`}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	request := encodeRequest(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "Issuing CA"}}, key)
	relation := legacyRelation(7, map[string]juju.Bag{"vault/0": {"certificate_signing_requests": jsonText(t, []any{
		map[string]any{"certificate_signing_request": request, "ca": true},
	})}})
	relation.RemoteApp = "vault"
	w.snap.Relations = append(w.snap.Relations, relation)
	turn(t, w, noon)
	granted, faults := w.answers(7)
	require.Empty(t, faults)
	ca := granted[request]
	require.NotNil(t, ca)
	require.True(t, ca.IsCA && ca.MaxPathLenZero)
	require.True(t, ca.PermittedDNSDomainsCritical)
	require.Equal(t, []string{"example.com"}, ca.PermittedDNSDomains)
	require.Len(t, ca.ExcludedIPRanges, 2, "no addresses are listed, so none are allowed")
	atRest(t, w, noon)
}

// A CA lives longer than any trial of a policy, so that one which is only reported limits it all the same.
func TestACAIsLimitedWhileThePolicyIsOnlyReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Config = map[string]any{
		"policy": "strict", "policy-report-only": true, "allowed-domains": "example.com", "intermediate-applications": "vault",
		"policy-rules": `- {applications: [vault], identities: ["Issuing CA"]}`,
	}
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"vault/0": {"unit_name": "vault_0", "intermediate_cert_requests": `{"Issuing CA": {"sans": []}}`},
	}))
	w.snap.Relations[1].RemoteApp = "vault"
	turn(t, w, noon)
	ca := intermediateOf(t, w)
	require.Equal(t, []string{"example.com"}, ca.PermittedDNSDomains)
	require.Len(t, ca.ExcludedIPRanges, 2)
	atRest(t, w, noon)
}

// A CA keeps its limits until its renewal, because all that it issued would go with it, and gets those of the policy then.
func TestACAGetsOtherLimitsAtItsRenewal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Config = map[string]any{"intermediate-applications": "vault"}
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"vault/0": {"unit_name": "vault_0", "intermediate_cert_requests": `{"Issuing CA": {"sans": []}}`},
	}))
	w.snap.Relations[1].RemoteApp = "vault"
	turn(t, w, noon)
	wide := intermediateOf(t, w)
	require.Empty(t, wide.PermittedDNSDomains)
	require.NotContains(t, w.snap.Status.Message, "other limits")

	w.snap.Config["policy-rules"] = `- {applications: [vault], ca: {path-length: 0, domains: [example.com]}}`
	turn(t, w, noon.Add(time.Hour))
	require.Equal(t, wide.Raw, intermediateOf(t, w).Raw)
	require.Contains(t, w.snap.Status.Message, "1 CA certificate of others with other limits than the policy gives now")
	require.Contains(t, w.snap.Status.Message, "revoke serial="+cert.SerialText(wide.SerialNumber))
	atRest(t, w, noon.Add(time.Hour))

	due := cert.RenewAt(wide)
	turn(t, w, due)
	narrow := intermediateOf(t, w)
	require.Equal(t, []string{"example.com"}, narrow.PermittedDNSDomains)
	require.True(t, cert.SameKey(wide.PublicKey, narrow.PublicKey))
	require.NotContains(t, w.snap.Status.Message, "other limits")
	atRest(t, w, due)
}

// intermediateOf is the CA certificate that vault/0 has in the legacy dialect.
func intermediateOf(t *testing.T, w *world) *x509.Certificate {
	t.Helper()
	var answers map[string]struct{ Cert string }
	require.NoError(t, json.Unmarshal([]byte(w.snap.Relations[1].OwnUnit["vault_0.processed_intermediate_requests"]), &answers))
	require.Len(t, answers, 1)
	return leafOf(t, answers["Issuing CA"].Cert)
}

func jsonText(t *testing.T, value any) string {
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return string(text)
}

// Who asks for something new all the time is signed for no more within the hour, while its neighbours and renewals are.
func TestAUnitThatWasGivenVeryMuchWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	turn(t, w, noon)
	w.survey()
	w.snap.Local[provider.FloodKey+"7 web/0"] = "500"
	flood, other := goodRequest(t), goodRequest(t)
	w.asks(7, "web", map[string][]string{"web/0": {flood}, "web/1": {other}})
	plan := unit.Decide(noon, w.snap, nil)
	var units []string
	for _, o := range plan.Orders {
		if sign, ok := o.(order.Sign); ok {
			units = append(units, sign.Asker.Unit)
		}
	}
	require.Equal(t, []string{"web/1"}, units)
	w.snap = juju.Apply(w.snap, plan.Changes)
	_, faults := w.answers(7)
	require.Contains(t, faults[flood], "999 too-many: 500 certificates or more were issued to it within an hour")
	require.False(t, plan.Wake.After(noon.Add(time.Hour)), "it is looked at again by itself")
}

// Only applications that use their server certificates as clients among themselves get ones that are good for both, where
// the operator says who these are; the client certificate that all units of a relation share is another in each.
func TestServersAreClientsOnlyWhereTheyMustBe(t *testing.T) {
	t.Parallel()
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for option, webs := range map[string][]x509.ExtKeyUsage{"": both, "etcd ovn-central": {x509.ExtKeyUsageServerAuth}} {
		w := newWorld(t)
		w.snap.Config = map[string]any{"strict-server-usage": option}
		etcd := legacyRelation(7, map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"}})
		web := legacyRelation(8, map[string]juju.Bag{"web/0": {"unit_name": "web_0", "common_name": "10.0.0.2"}})
		web.RemoteApp = "web"
		w.snap.Relations = append(w.snap.Relations, etcd, web)
		turn(t, w, noon)
		for id, expected := range map[int][]x509.ExtKeyUsage{1: both, 2: webs} {
			bag := w.snap.Relations[id].OwnUnit
			leaf, err := cert.Parse(bag[map[int]string{1: "etcd_0", 2: "web_0"}[id]+".server.cert"])
			require.NoError(t, err)
			require.Equal(t, expected, leaf.ExtKeyUsage, "strict-server-usage=%q", option)
			shared, err := cert.Parse(bag["client.cert"])
			require.NoError(t, err)
			require.Equal(t, "global-client", shared.Subject.CommonName)
			require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, shared.ExtKeyUsage)
		}
		require.NotEqual(t, w.snap.Relations[1].OwnUnit["client.key"], w.snap.Relations[2].OwnUnit["client.key"])
		atRest(t, w, noon)
	}
}

// What one unit may not have in the certificate that all units of its application share keeps the others from nothing.
func TestOneUnitsNamesCostTheOthersNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	relation := legacyRelation(7, map[string]juju.Bag{
		"ha/0": {"unit_name": "ha_0", "application_cert_requests": `{"app.example.com": {"sans": ["*.example.com"]}}`},
		"ha/1": {"unit_name": "ha_1", "application_cert_requests": `{"app.example.com": {"sans": ["one.example.com"]}}`},
	})
	relation.RemoteApp = "ha"
	w.snap.Relations = append(w.snap.Relations, relation)
	turn(t, w, noon)
	atRest(t, w, noon)
	shared := func() cert.Names {
		var pairs map[string]struct{ Cert string }
		require.NoError(t, json.Unmarshal([]byte(w.snap.Relations[1].OwnUnit["ha_1.processed_application_requests"]), &pairs))
		leaf, err := cert.Parse(pairs["app_data"].Cert)
		require.NoError(t, err)
		return cert.NamesOf(leaf)
	}
	require.Equal(t, []string{"app.example.com", "one.example.com"}, shared().DNS)
	require.Contains(t, w.snap.Status.Message, "refused: ha/0: ")
	require.Contains(t, w.snap.Status.Message, "wildcard-not-allowed")

	// A rule lets it in, and when the rule goes, nothing is taken away.
	w.snap.Config = map[string]any{"policy-rules": "- {applications: [ha], wildcards: true}"}
	turn(t, w, noon)
	require.Equal(t, []string{"*.example.com", "app.example.com", "one.example.com"}, shared().DNS)
	w.snap.Config = map[string]any{}
	turn(t, w, noon)
	require.Equal(t, []string{"*.example.com", "app.example.com", "one.example.com"}, shared().DNS)
	atRest(t, w, noon)
}

// A refusal reaches whoever asked by the code that the policy gave it, whose name is the dialect's too.
func TestThePolicysCodesAreTheDialects(t *testing.T) {
	t.Parallel()
	request := goodRequest(t)
	for _, code := range policy.Codes() {
		relation := juju.Relation{ID: 7, RemoteApp: "web", OwnApp: juju.Bag{}, RemoteUnits: map[string]juju.Bag{"web/0": requestBag(t, request)}}
		reading := dialect.Read(relation)
		require.Len(t, reading.Asks, 1)
		bag := dialect.PublishApplication(relation, dialect.Publication{Reading: reading, Denials: []dialect.Denial{
			{Relation: 7, Unit: "web/0", Ask: reading.Asks[0].ID(), Request: request, Code: dialect.Code(code), Reason: "it is so"},
		}})
		_, denials := dialect.Offers(juju.Relation{ID: 7, RemoteApp: "signet", RemoteApplication: bag}, "web/0", []dialect.Want{{Kind: cert.Server, Request: request}})
		require.Len(t, denials, 1, code)
		require.Equal(t, dialect.Code(code), denials[0].Code)
	}
}
