// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/unit"
)

// consumer is a node of its own, whose provider is whatever the test writes into relation data.
type consumer struct {
	*world

	t    *testing.T
	said []string // the status messages of the last turns
}

// newConsumer is a unit with options in pairs, related to a provider on relation 7.
func newConsumer(t *testing.T, options ...any) *consumer {
	c := &consumer{world: newWorld(t), t: t}
	c.snap.Unit = "node/0"
	c.snap.Config = map[string]any{"authority": "none"}
	for i := 0; i < len(options); i += 2 {
		c.snap.Config[options[i].(string)] = options[i+1]
	}
	c.snap.Relations = append(c.snap.Relations, provides(7, "ca"))
	c.survey()
	return c
}

func provides(id int, app string) juju.Relation {
	return juju.Relation{
		ID: id, Endpoint: juju.Endpoint{Name: "upstream", Interface: dialect.Interface, Role: juju.Requires}, RemoteApp: app,
		OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteUnits: map[string]juju.Bag{}, RemoteApplication: juju.Bag{},
	}
}

// turn takes turns until nothing changes, and gives the last plan.
func (c *consumer) turn(now time.Time) unit.Plan {
	c.t.Helper()
	c.said = nil
	for range 6 {
		plan := turn(c.t, c.world, now)
		c.survey()
		c.said = append(c.said, c.snap.Status.Message)
		if plan.Changes.Empty() {
			return plan
		}
	}
	require.FailNow(c.t, "the unit does not come to rest")
	return unit.Plan{}
}

func (c *consumer) relation(id int) *juju.Relation {
	for i := range c.snap.Relations {
		if c.snap.Relations[i].ID == id {
			return &c.snap.Relations[i]
		}
	}
	require.FailNow(c.t, "no such relation")
	return nil
}

// file reads a file of the certificates bundle; empty when it is not there.
func (c *consumer) file(name string) string {
	data, err := os.ReadFile(filepath.Join(c.folder.Root(), "files", "certificates", name))
	if err != nil {
		return ""
	}
	return string(data)
}

// stored are the CA certificates in the machine's trust store.
func (c *consumer) stored() []string {
	paths, err := filepath.Glob(filepath.Join(c.root, "usr/local/share/ca-certificates/*.crt"))
	require.NoError(c.t, err)
	var texts []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(c.t, err)
		texts = append(texts, string(data))
	}
	return texts
}

// scriptedCA signs what a test says.
type scriptedCA struct {
	t    *testing.T
	key  crypto.Signer
	cert *x509.Certificate
	root *x509.Certificate // who certified it; itself when nobody did
	next int64
}

func newScriptedCA(t *testing.T, name string, spoil ...func(*x509.Certificate)) *scriptedCA {
	return makeScriptedCA(t, name, nil, spoil...)
}

// below gives an intermediate CA.
func (ca *scriptedCA) below(name string) *scriptedCA { return makeScriptedCA(ca.t, name, ca) }

func makeScriptedCA(t *testing.T, name string, above *scriptedCA, spoil ...func(*x509.Certificate)) *scriptedCA {
	key, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	for _, change := range spoil {
		change(template)
	}
	parent, signer := template, key
	if above != nil {
		parent, signer = above.cert, above.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	ca := &scriptedCA{t: t, key: key, cert: made, root: made, next: 1}
	if above != nil {
		ca.root = above.root
	}
	return ca
}

// issue gives a certificate for a request's names, valid for thirty days from now, spoilt by whoever wants to.
func (ca *scriptedCA) issue(request string, now time.Time, spoil func(*x509.Certificate)) *x509.Certificate {
	parsed, err := cert.ParseRequest(request)
	require.NoError(ca.t, err)
	return ca.sign(parsed, parsed.PublicKey, now, spoil)
}

func (ca *scriptedCA) sign(request *x509.CertificateRequest, public any, now time.Time, spoil func(*x509.Certificate)) *x509.Certificate {
	ca.next++
	server, client := cert.RequestedUsages(request)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(ca.next), RawSubject: request.RawSubject, DNSNames: request.DNSNames, IPAddresses: request.IPAddresses,
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(30 * 24 * time.Hour),
	}
	for usage, wanted := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageServerAuth: server, x509.ExtKeyUsageClientAuth: client} {
		if wanted {
			template.ExtKeyUsage = append(template.ExtKeyUsage, usage)
		}
	}
	if spoil != nil {
		spoil(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, public, ca.key)
	require.NoError(ca.t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(ca.t, err)
	return made
}

// entry is one answer of the CSR dialect.
func (ca *scriptedCA) entry(request string, leaf *x509.Certificate) map[string]any {
	chain := []string{text(leaf), text(ca.cert)}
	if ca.root != ca.cert {
		chain = append(chain, text(ca.root))
	}
	return map[string]any{"certificate_signing_request": request, "certificate": text(leaf), "ca": text(ca.cert), "chain": chain}
}

// answers gives an application databag that answers the requests standing in the consumer's own databag.
func (ca *scriptedCA) answers(c *consumer, id int, now time.Time, spoil func(*x509.Certificate)) juju.Bag {
	var entries []map[string]any
	for _, request := range c.requests(id) {
		entries = append(entries, ca.entry(request, ca.issue(request, now, spoil)))
	}
	return juju.Bag{"certificates": encoded(c.t, entries)}
}

// requests are the signing requests in the consumer's own databag.
func (c *consumer) requests(id int) []string {
	var items []struct {
		Request string `json:"certificate_signing_request"`
	}
	decoded(c.t, c.relation(id).OwnUnit["certificate_signing_requests"], &items)
	var found []string
	for _, item := range items {
		found = append(found, item.Request)
	}
	return found
}

// legacyAnswers gives a unit databag as EasyRSA writes it, with text before each certificate, for what the consumer asks.
func (ca *scriptedCA) legacyAnswers(c *consumer, id int, now time.Time) map[string]juju.Bag {
	own := c.relation(id).OwnUnit
	name := dialect.Munge(c.snap.Unit)
	key, err := cert.P256.Generate(rand.Reader)
	require.NoError(ca.t, err)
	encodedKey, err := cert.EncodeKey(key)
	require.NoError(ca.t, err)
	sign := func(kind string) string {
		request, err := cert.ParseRequest(c.snap.Local["request."+kind])
		require.NoError(ca.t, err)
		return "Certificate:\n    Data:\n" + text(ca.sign(request, key.Public(), now, nil)) + "\n"
	}
	clients := map[string]any{}
	decoded(c.t, own["client_cert_requests"], &clients)
	answers := map[string]map[string]string{}
	for commonName := range clients {
		answers[commonName] = map[string]string{"cert": sign("client"), "key": encodedKey.Reveal()}
	}
	return map[string]juju.Bag{"ca/0": {
		"ca": text(ca.cert) + "\n", name + ".server.cert": sign("server"), name + ".server.key": encodedKey.Reveal(),
		name + ".processed_client_requests": encoded(c.t, answers),
	}}
}

// newlines gives a bag whose texts have the line ends of another system.
func newlines(t *testing.T, bag juju.Bag) juju.Bag {
	spoilt := maps.Clone(bag)
	for key, value := range spoilt {
		spoilt[key] = strings.ReplaceAll(value, `\n`, `\r\n`)
	}
	require.NotEqual(t, bag, spoilt)
	return spoilt
}

// serialOf is the serial number of the first certificate of a PEM text.
func serialOf(t *testing.T, pemText string) string {
	block, _ := pem.Decode([]byte(pemText))
	require.NotNil(t, block)
	c, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return cert.SerialText(c.SerialNumber)
}
