// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/wire"
)

// The scenes in which flows begin. Each is reached by turns that nothing disturbs.

func issued(p *play) {
	p.relateConsumers()
	p.settle()
}

// listening has revocation lists and OCSP responders.
func listening(p *play) {
	p.snap.Config = withOption(p.snap.Config, "listen", "10.0.0.1:8880")
	issued(p)
}

func rolloverBegun(p *play) {
	issued(p)
	p.rotate("start", func(r rolling) bool { return r.Next != nil })
}

func rolloverSigns(p *play) {
	rolloverBegun(p)
	p.rotate("advance", func(r rolling) bool { return r.Next == nil })
}

// rolloverOver has the last certificate of the old CA replaced.
func rolloverOver(p *play) {
	rolloverSigns(p)
	for range 3 {
		p.now = p.now.Add(time.Hour)
		p.settle()
	}
}

// leftByEasyRSA is what the EasyRSA charm leaves: its CA in leader settings and in its folder, and what it published.
func leftByEasyRSA(p *play) {
	from := filepath.Join("..", "..", "testdata", "wire", "easyrsa-takeover")
	var settings map[string]string
	require.NoError(p.t, readJSON(filepath.Join(from, "leader-settings.json"), &settings))
	require.NoError(p.t, unpack(filepath.Join(from, "pki.tar.gz"), filepath.Join(p.charm(), "EasyRSA")))
	recordings, err := wire.Load(from)
	require.NoError(p.t, err)
	p.snap.Leftovers = settings
	seen := recordings[0].States[0].Relations[0].ProviderSees("provider/0")
	seen.ID = legacyID
	p.snap.Relations = append(p.snap.Relations, seen)
}

// backUp writes a backup that the identity on the unit's machine opens.
func (p *play) backUp() {
	path := filepath.Join(p.machine(), "root", "identity")
	if _, err := os.Stat(path); err != nil {
		identity, err := age.GenerateX25519Identity()
		require.NoError(p.t, err)
		require.NoError(p.t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(p.t, os.WriteFile(path, []byte(identity.String()+"\n"), 0o600))
	}
	text, err := os.ReadFile(path)
	require.NoError(p.t, err)
	identity, err := age.ParseX25519Identity(strings.TrimSpace(string(text)))
	require.NoError(p.t, err)
	p.act(func(p *play) bool { return len(p.backups()) > 0 }, "backup", "recipients", identity.Recipient().String())
}

// backups are the names of the unit's backups.
func (p *play) backups() []string {
	files, err := filepath.Glob(filepath.Join(p.state(), backupsName, "*.age"))
	require.NoError(p.t, err)
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return files
}

// lost has a backup, and neither secrets nor a record of the CA any more.
func lost(p *play) {
	issued(p)
	p.backUp()
	p.snap.Secrets = nil
	p.relation(peersID).OwnApp = juju.Bag{}
	names, err := filepath.Glob(filepath.Join(p.state(), "secrets", "*"))
	require.NoError(p.t, err)
	for _, name := range names {
		require.NoError(p.t, os.Remove(name))
	}
	p.unit = nil
	p.settle()
}

// onNode is a consumer on a machine of its own.
func onNode(p *play) {
	p.snap.Unit = "node/0"
	p.snap.Endpoints = p.snap.Endpoints[1:]
	peers := p.relation(peersID)
	peers.RemoteApp, peers.Endpoint.Interface = "node", "signet_node_peers"
	p.snap.Config = map[string]any{
		"links": "server.key=/etc/app/tls.key", "reload": "restart:etcd=server.crt,server.key",
		"kubeconfig-merge": "/root/.kube/config", "kubernetes-server": "https://10.0.0.1:6443", "rotate-key-on-renewal": true,
	}
	p.issuers["now"] = newPretend(p, "a CA")
	p.react = (*play).answerRequests
}

// plainNode has a consumer's files and nothing that uses them.
func plainNode(p *play) {
	onNode(p)
	p.snap.Config = map[string]any{"rotate-key-on-renewal": true, "trust-store": false}
	p.relateProvider()
	p.settle()
}

func installedNode(p *play) {
	onNode(p)
	p.relateProvider()
	p.settle()
}

func (p *play) relateProvider() {
	p.relate(upstreamID, juju.Endpoint{Name: "upstream", Interface: tlsInterface, Role: juju.Requires}, "provider", map[string]juju.Bag{"provider/0": {}})
}

// pretend is a CA of somebody else's. It answers a request once and for all.
type pretend struct {
	certificate *x509.Certificate
	key         crypto.Signer
	answers     map[string]*x509.Certificate
}

func newPretend(p *play, name string) *pretend {
	key, err := cert.P256.Generate(rand.Reader)
	require.NoError(p.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: p.now.Add(-time.Hour), NotAfter: p.now.AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(p.t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(p.t, err)
	return &pretend{made, key, map[string]*x509.Certificate{}}
}

// answer certifies what a request asks for.
func (ca *pretend) answer(p *play, request string) *x509.Certificate {
	if known := ca.answers[request]; known != nil {
		return known
	}
	parsed, err := cert.ParseRequest(request)
	require.NoError(p.t, err)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	require.NoError(p.t, err)
	template := &x509.Certificate{
		SerialNumber: serial, RawSubject: parsed.RawSubject, DNSNames: parsed.DNSNames, IPAddresses: parsed.IPAddresses,
		NotBefore: p.now.Add(-time.Minute), NotAfter: p.now.Add(90 * 24 * time.Hour),
	}
	server, client := cert.RequestedUsages(parsed)
	if server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, parsed.PublicKey, ca.key)
	require.NoError(p.t, err)
	ca.answers[request], err = x509.ParseCertificate(der)
	require.NoError(p.t, err)
	return ca.answers[request]
}

// answerRequests has the provider answer all that the unit asks it for.
func (p *play) answerRequests() {
	related := false
	for _, relation := range p.snap.Relations {
		related = related || relation.ID == upstreamID
	}
	if !related {
		return
	}
	var asked []struct {
		Request string `json:"certificate_signing_request"`
	}
	relation := p.relation(upstreamID)
	if text := relation.OwnUnit["certificate_signing_requests"]; text != "" {
		require.NoError(p.t, json.Unmarshal([]byte(text), &asked))
	}
	ca := p.issuers["now"]
	var entries []map[string]any
	for _, one := range asked {
		leaf, top := certText(ca.answer(p, one.Request)), certText(ca.certificate)
		entries = append(entries, map[string]any{
			"certificate_signing_request": one.Request, "certificate": leaf, "ca": top, "chain": []string{leaf, top},
		})
	}
	text, err := json.Marshal(entries)
	require.NoError(p.t, err)
	relation.RemoteApplication = juju.Bag{"certificates": string(text)}
}

func certText(c *x509.Certificate) string { return strings.TrimSpace(cert.EncodeCertificates(c)) }

func requestText(der []byte) string {
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
}
