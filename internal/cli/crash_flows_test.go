// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// flow is something that a unit does in one turn or more.
type flow struct {
	before func(*play) // sets the scene, undisturbed
	steps  func(*play) // what happens then
}

const (
	legacyID   = 7
	requestsID = 8
	upstreamID = 9
)

// flows are all that is disturbed, by what they are.
func flows() map[string]flow {
	month := func(p *play) { p.now = p.now.AddDate(0, 0, 61) } // two thirds of a certificate's life
	return map[string]flow{
		"first certificates": {before: func(*play) {}, steps: func(p *play) { p.relateConsumers(); p.settle() }},
		"more certificates": {before: issued, steps: func(p *play) {
			p.relation(legacyID).RemoteUnits = map[string]juju.Bag{"etcd/0": etcdBag("etcd_0", "10.0.0.1"), "etcd/1": etcdBag("etcd_1", "10.0.0.2")}
			p.moreRequests()
			p.settle()
		}},
		"renewal":           {before: issued, steps: func(p *play) { month(p); p.settle() }},
		"rollover, begun":   {before: issued, steps: func(p *play) { p.rotate("start", func(r rolling) bool { return r.Next != nil }) }},
		"rollover, signing": {before: rolloverBegun, steps: func(p *play) { p.rotate("advance", func(r rolling) bool { return r.Next == nil }) }},
		"rollover, over the certificates": {before: rolloverSigns, steps: func(p *play) {
			for range 3 {
				p.now = p.now.Add(time.Hour)
				p.settle()
			}
		}},
		"rollover, ended": {before: rolloverOver, steps: func(p *play) { p.now = p.now.AddDate(0, 0, 91); p.settle() }},
		"revocation": {before: listening, steps: func(p *play) {
			serial := serialOf(p.t, p.relation(legacyID).OwnUnit["etcd_0.server.cert"])
			p.act(func(p *play) bool { return strings.Contains(p.relation(peersID).OwnApp["revoked.1"], serial) },
				"revoke", "serial", serial, "reason", "keyCompromise")
			p.settle()
		}},
		"takeover": {before: leftByEasyRSA, steps: func(p *play) { p.settle() }},
		"backup":   {before: issued, steps: func(p *play) { p.backUp(); p.settle() }},
		"restore": {before: lost, steps: func(p *play) {
			p.act(func(p *play) bool { return p.relation(peersID).OwnApp["authority"] != "" },
				"restore", "name", p.backups()[0], "identity-path", "/root/identity")
			p.settle()
		}},
		"a consumer's first certificates": {before: onNode, steps: func(p *play) { p.relateProvider(); p.settle() }},
		"a consumer's swap": {before: installedNode, steps: func(p *play) {
			p.issuers["now"] = newPretend(p, "another CA")
			p.snap.Config = withOption(p.snap.Config, "extra_sans", "new.example.com")
			p.settle()
		}},
		"a consumer's new keys": {before: plainNode, steps: func(p *play) { month(p); p.settle() }},
	}
}

func withOption(config map[string]any, name string, value any) map[string]any {
	changed := map[string]any{name: value}
	for known, standing := range config {
		if known != name {
			changed[known] = standing
		}
	}
	return changed
}

func etcdBag(name, address string) juju.Bag {
	return juju.Bag{
		"unit_name": name, "common_name": address, "sans": `["etcd.example.com"]`,
		"client_cert_requests": `{"` + name + `-client": {"sans": []}}`,
	}
}

func (p *play) relate(id int, endpoint juju.Endpoint, app string, units map[string]juju.Bag) {
	p.snap.Relations = append(slices.Clone(p.snap.Relations), juju.Relation{
		ID: id, Endpoint: endpoint, RemoteApp: app, RemoteUnits: units,
		OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteApplication: juju.Bag{},
	})
}

// relateConsumers brings consumers of both dialects.
func (p *play) relateConsumers() {
	endpoint := juju.Endpoint{Name: "certificates", Interface: tlsInterface, Role: juju.Provides}
	p.relate(legacyID, endpoint, "etcd", map[string]juju.Bag{"etcd/0": etcdBag("etcd_0", "10.0.0.1")})
	p.relate(requestsID, endpoint, "web", map[string]juju.Bag{"web/0": requestsBag(p, "a.example.com")})
}

// moreRequests brings another unit that asks in the CSR dialect.
func (p *play) moreRequests() {
	relation := p.relation(requestsID)
	relation.RemoteUnits = map[string]juju.Bag{"web/0": relation.RemoteUnits["web/0"], "web/1": requestsBag(p, "b.example.com")}
}

// requestsBag asks in the CSR dialect.
func requestsBag(p *play, names ...string) juju.Bag {
	var list []map[string]any
	for _, name := range names {
		key, err := cert.P256.Generate(rand.Reader)
		require.NoError(p.t, err)
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}}, key)
		require.NoError(p.t, err)
		list = append(list, map[string]any{"certificate_signing_request": requestText(der), "ca": false})
	}
	text, err := json.Marshal(list)
	require.NoError(p.t, err)
	return juju.Bag{"certificate_signing_requests": string(text)}
}

// rolling is what the peer relation says of a rollover.
type rolling struct {
	Current  struct{ Generation int }
	Next     *struct{ Generation int }
	Retiring []struct{ Generation int }
}

func (p *play) rotate(step string, done func(rolling) bool) {
	p.act(func(p *play) bool { return done(p.rolling()) }, "rotate-ca", "step", step)
	p.settle()
}

func (p *play) rolling() (found rolling) {
	require.NoError(p.t, json.Unmarshal([]byte(p.relation(peersID).OwnApp["authority"]), &found))
	return found
}
