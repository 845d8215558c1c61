// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

// The scripted consumers of the embedded Juju write just what the charms of their names write into relation data, and
// wait for what these wait for. They are how the demonstration and the stories show that a real charm would be served.

const (
	certificatesEndpoint = "certificates"
	tlsInterface         = "tls-certificates"
)

// legacyConsumer is a charm that speaks the legacy dialect through the ops or the reactive interface library.
type legacyConsumer struct {
	extraNames func(hook *sandbox.HookContext) []string // SANs besides the unit's own address and names
	client     string                                   // common name of the client certificate; empty for none
	caFirst    bool                                     // sends no request before the CA is there, as kubernetes-worker
}

// meta is the part of the charm's metadata that the model needs.
func (legacyConsumer) meta(app string) sandbox.CharmMeta {
	return sandbox.CharmMeta{Name: app, Endpoints: []juju.Endpoint{
		{Name: certificatesEndpoint, Interface: tlsInterface, Role: juju.Requires},
		{Name: "cluster", Interface: app, Role: juju.Peers},
	}}
}

// Hook writes unit_name once a relation is there, and asks as soon as the charm would. Like the libraries it writes
// the same again in every hook; Juju drops what does not change.
func (c legacyConsumer) Hook(_ context.Context, hook *sandbox.HookContext) error {
	for _, relation := range relationIDs(hook, certificatesEndpoint) {
		if strings.HasSuffix(hook.Info().Name, "-broken") && relation == keyOf(hook) {
			continue
		}
		settings := map[string]string{"unit_name": munged(hook.Unit())}
		if !c.caFirst || legacyReady(hook, relation) {
			if err := c.request(hook, settings); err != nil {
				return err
			}
		}
		if err := relationSet(hook, relation, settings); err != nil {
			return err
		}
	}
	return nil
}

func (c legacyConsumer) request(hook *sandbox.HookContext, settings map[string]string) error {
	address, err := ingressAddress(hook)
	if err != nil {
		return err
	}
	names := []string{address, "127.0.0.1", "juju-" + dashed(hook.Unit())}
	if c.extraNames != nil {
		names = append(names, c.extraNames(hook)...)
	}
	slices.Sort(names)
	sans, err := json.Marshal(slices.Compact(names))
	if err != nil {
		return err
	}
	settings["common_name"] = address
	settings["sans"] = string(sans)
	settings["certificate_name"] = munged(hook.Unit())
	if c.client != "" {
		settings["client_cert_requests"] = fmt.Sprintf(`{%q: {"sans": null}}`, c.client)
	}
	return nil
}

// legacyReady tells whether the ops library would call the relation ready: ca, client.cert and client.key are there.
func legacyReady(hook *sandbox.HookContext, relation string) bool {
	merged := map[string]string{}
	for _, settings := range slices.Backward(eachRemote(hook, relation)) { // the first unit's value of a key wins
		maps.Copy(merged, settings)
	}
	return merged["ca"] != "" && merged["client.cert"] != "" && merged["client.key"] != ""
}

// kubernetesControlPlane asks as the charm of this name does: many names, and a client certificate for kubelets.
func kubernetesControlPlane() legacyConsumer {
	return legacyConsumer{client: "system:kube-apiserver", extraNames: func(*sandbox.HookContext) []string {
		return []string{"kubernetes", "kubernetes.cluster.local", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local", "10.152.183.1"}
	}}
}

func kubernetesWorker() legacyConsumer {
	return legacyConsumer{client: "system:kubelet", caFirst: true}
}

// etcd asks for its peers' addresses too, so that its names change whenever a unit joins.
func etcd() legacyConsumer {
	return legacyConsumer{extraNames: func(hook *sandbox.HookContext) []string {
		var names []string
		for _, relation := range relationIDs(hook, "cluster") {
			for _, settings := range eachRemote(hook, relation) {
				if address := settings["ingress-address"]; address != "" {
					names = append(names, address)
				}
			}
		}
		return names
	}}
}

// requestConsumer is a charm that uses the v4 library: a key of its own for each unit and a signing request.
type requestConsumer struct {
	mu       sync.Mutex
	keys     map[string]*rsa.PrivateKey // by unit; they never leave it
	requests map[string]string
}

func newRequestConsumer() *requestConsumer {
	return &requestConsumer{keys: map[string]*rsa.PrivateKey{}, requests: map[string]string{}}
}

func (*requestConsumer) meta(app string) sandbox.CharmMeta {
	return sandbox.CharmMeta{Name: app, Endpoints: []juju.Endpoint{
		{Name: certificatesEndpoint, Interface: tlsInterface, Role: juju.Requires},
	}}
}

func (c *requestConsumer) Hook(_ context.Context, hook *sandbox.HookContext) error {
	if hook.Info().Name != certificatesEndpoint+"-relation-created" {
		return nil
	}
	request, err := c.request(hook)
	if err != nil {
		return err
	}
	list, err := json.Marshal([]map[string]any{{"certificate_signing_request": request, "ca": false}})
	if err != nil {
		return err
	}
	return relationSet(hook, keyOf(hook), map[string]string{"certificate_signing_requests": string(list)})
}

// request makes a unit's signing request as the library does: the subject has an x500UniqueIdentifier (2.5.4.45), so
// that each request's text is new.
func (c *requestConsumer) request(hook *sandbox.HookContext) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	unit := hook.Unit()
	if request := c.requests[unit]; request != "" {
		return request, nil
	}
	address, err := ingressAddress(hook)
	if err != nil {
		return "", err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	name := dashed(unit)
	template := &x509.CertificateRequest{
		Subject: pkix.Name{
			CommonName: name,
			ExtraNames: []pkix.AttributeTypeAndValue{
				{Type: asn1.ObjectIdentifier{2, 5, 4, 45}, Value: rand.Text()},
			},
		},
		DNSNames:    []string{name, name + ".svc.cluster.local"},
		IPAddresses: []net.IP{net.ParseIP(address)},
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
	c.keys[unit], c.requests[unit] = key, text
	return text, nil
}

// Below, the hook tools as a charm's library uses them.

// keyOf is the key of the relation that a hook is about: "certificates:3".
func keyOf(hook *sandbox.HookContext) string {
	endpoint, _, _ := strings.Cut(hook.Info().Name, "-relation-")
	return fmt.Sprintf("%s:%d", endpoint, hook.Info().RelationID)
}

func munged(unit string) string { return strings.ReplaceAll(unit, "/", "_") }

func dashed(unit string) string { return strings.ReplaceAll(unit, "/", "-") }

func relationSet(hook *sandbox.HookContext, relation string, settings map[string]string) error {
	text, err := json.Marshal(settings) // JSON is YAML, which the tool reads
	if err != nil {
		return err
	}
	_, err = hook.Tool("relation-set", []string{"-r", relation, "--file", "-"}, text)
	return err
}

func relationIDs(hook *sandbox.HookContext, endpoint string) []string {
	var ids []string
	_ = toolJSON(hook, &ids, "relation-ids", endpoint)
	return ids
}

// eachRemote gives the settings of every remote unit, in the order of their names.
func eachRemote(hook *sandbox.HookContext, relation string) []map[string]string {
	var units []string
	_ = toolJSON(hook, &units, "relation-list", "-r", relation)
	slices.Sort(units)
	var all []map[string]string
	for _, unit := range units {
		var settings map[string]string
		if toolJSON(hook, &settings, "relation-get", "-r", relation, "-", unit) == nil {
			all = append(all, settings)
		}
	}
	return all
}

func ingressAddress(hook *sandbox.HookContext) (string, error) {
	var info struct {
		Ingress []string `json:"ingress-addresses"`
	}
	if err := toolJSON(hook, &info, "network-get", certificatesEndpoint); err != nil {
		return "", err
	}
	if len(info.Ingress) == 0 {
		return "", fmt.Errorf("unit %s has no ingress address", hook.Unit())
	}
	return info.Ingress[0], nil
}

func toolJSON(hook *sandbox.HookContext, into any, command string, args ...string) error {
	output, err := hook.Tool(command, append([]string{"--format", "json"}, args...), nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(output, into)
}
