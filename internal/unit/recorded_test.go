// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/wire"
)

// TestRecordedAnswersEndAsFiles plays what real providers wrote to a unit of signet and looks at its disk. The recorded
// requirers' keys are not known, so the recorded certificates and keys are exchanged for others, made for this unit's
// requests; everything else of the databags, from the order of a chain to the text around a PEM block, is as recorded.
func TestRecordedAnswersEndAsFiles(t *testing.T) {
	t.Parallel()
	recordings, err := wire.All()
	require.NoError(t, err)
	for _, recording := range recordings {
		t.Run(recording.Name, func(t *testing.T) {
			t.Parallel()
			for _, relation := range recording.States[len(recording.States)-1].Relations {
				if relation.Interface != dialect.Interface {
					continue
				}
				for _, unit := range relation.Requirer.UnitNames() {
					replayToDisk(t, relation, unit)
				}
			}
		})
	}
}

func replayToDisk(t *testing.T, recorded wire.Relation, unit string) {
	asked := recorded.Requirer.Units[unit]
	w := newWorld(t)
	w.snap.Unit, w.snap.Leader, w.snap.Relations = unit, false, nil
	w.snap.Config = map[string]any{"authority": "none", "common-name": cmp.Or(asked["common_name"], "recorded.example.com")}
	clients := map[string]any{}
	_ = json.Unmarshal([]byte(asked["client_cert_requests"]), &clients)
	for name := range clients {
		w.snap.Config["client-common-name"] = name
	}
	seen := recorded.RequirerSees(unit)
	seen.Endpoint = juju.Endpoint{Name: "upstream", Interface: dialect.Interface, Role: juju.Requires}
	seen.OwnUnit, seen.OwnApp = juju.Bag{}, nil
	answers := seen
	seen.RemoteUnits, seen.RemoteApplication = nil, nil
	w.snap.Relations = []juju.Relation{seen}
	w.survey()
	turn(t, w, noon)
	w.survey()

	exchange := newExchange(t, recordedRequests(t, recorded, unit), w)
	exchange.learn(slices.AppendSeq([]juju.Bag{answers.RemoteApplication}, maps.Values(answers.RemoteUnits))...)
	w.snap.Relations[0].RemoteApplication = exchange.bag(answers.RemoteApplication)
	w.snap.Relations[0].RemoteUnits = map[string]juju.Bag{}
	for name, bag := range answers.RemoteUnits {
		w.snap.Relations[0].RemoteUnits[name] = exchange.bag(bag)
	}
	for range 3 {
		turn(t, w, noon)
		w.survey()
	}
	atRest(t, w, noon)
	require.Equal(t, len(exchange.made) > 0, w.snap.Local["bundle.certificates"] != "", w.snap.Status.Message)
	for name, made := range exchange.made {
		onDisk(t, filepath.Join(w.folder.Root(), "files", "certificates"), name, made)
	}
	if len(exchange.made) == 0 { // the provider had answered nothing for this unit
		return
	}
	stored, err := filepath.Glob(filepath.Join(w.root, "usr/local/share/ca-certificates", "*.crt"))
	require.NoError(t, err)
	require.NotEmpty(t, stored, "the machine trusts the CA")
}

// onDisk asserts that a certificate lies on disk with its key, and verifies with the CA certificates beside it.
func onDisk(t *testing.T, dir, name string, made *x509.Certificate) {
	loaded, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	require.NoError(t, err)
	require.Equal(t, made.Raw, loaded.Leaf.Raw)
	trust, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	require.NoError(t, err)
	require.NotContains(t, string(trust), "Certificate:", "no text but PEM")
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(trust))
	for _, der := range loaded.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		between.AddCert(c)
	}
	_, err = loaded.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	require.NoError(t, err)
}

// recordedRequests are the signing requests of a recorded unit, its own or its application's, not those for CAs.
func recordedRequests(t *testing.T, recorded wire.Relation, unit string) []string {
	var found []string
	for _, bag := range []juju.Bag{recorded.Requirer.Units[unit], recorded.Requirer.Bag} {
		var items []struct {
			Request string `json:"certificate_signing_request"`
			CA      bool   `json:"ca"`
		}
		if text := bag["certificate_signing_requests"]; text != "" {
			require.NoError(t, json.Unmarshal([]byte(text), &items))
		}
		for _, item := range items {
			if !item.CA {
				found = append(found, item.Request)
			}
		}
	}
	return found
}

// exchange takes the place of a provider's CA: each recorded CA certificate becomes one of its own, each leaf and key of
// this unit one for its present request.
type exchange struct {
	t        *testing.T
	w        *world
	requests map[string]string            // recorded request: this unit's
	cas      map[string]*x509.Certificate // by subject
	keys     map[string]crypto.Signer     // likewise
	legacy   crypto.Signer                // the provider made it
	made     map[string]*x509.Certificate // this unit's, by the name of its files
	serial   int64
}

func newExchange(t *testing.T, recorded []string, w *world) *exchange {
	key, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	e := &exchange{t: t, w: w, requests: map[string]string{}, cas: map[string]*x509.Certificate{}, keys: map[string]crypto.Signer{}, legacy: key,
		made: map[string]*x509.Certificate{}}
	for i, name := range []string{"server", "client"} {
		if i < len(recorded) {
			e.requests[recorded[i]] = strings.TrimSpace(w.snap.Local["request."+name])
		}
	}
	return e
}

var pemBlock = regexp.MustCompile(`(?s)-----BEGIN ([A-Z ]+)-----.*?-----END [A-Z ]+-----`)

// learn makes the CAs of databags: who signed a CA is told by its own certificate only.
func (e *exchange) learn(bags ...juju.Bag) {
	for _, bag := range bags {
		for _, value := range bag {
			for _, block := range pemBlock.FindAllString(strings.ReplaceAll(value, `\n`, "\n"), -1) {
				if c, err := cert.Parse(block); err == nil && c.IsCA {
					e.ca(c)
				}
			}
		}
	}
}

// bag exchanges all that a databag holds; the CSR dialect's answers to other units' requests stay as recorded.
func (e *exchange) bag(recorded juju.Bag) juju.Bag {
	bag := maps.Clone(recorded)
	for key, value := range bag {
		var items []map[string]any
		var pairs map[string]any
		switch {
		case key == "certificates" && json.Unmarshal([]byte(value), &items) == nil:
			for _, item := range items {
				e.answer(item)
			}
			bag[key] = encoded(e.t, items)
		case json.Unmarshal([]byte(value), &pairs) == nil:
			bag[key] = encoded(e.t, e.deep(key, pairs))
		default:
			bag[key] = e.legacyText(key, value)
		}
	}
	return bag
}

// deep exchanges the texts in an object of pairs.
func (e *exchange) deep(key string, value any) any {
	switch value := value.(type) {
	case string:
		return e.legacyText(key, value)
	case map[string]any:
		for name := range value {
			value[name] = e.deep(key, value[name])
		}
	}
	return value
}

// answer exchanges one answer of the CSR dialect.
func (e *exchange) answer(item map[string]any) {
	request, ours := e.requests[item["certificate_signing_request"].(string)]
	if !ours {
		return
	}
	item["certificate_signing_request"] = request
	exchangeText := func(text string) string {
		return pemBlock.ReplaceAllStringFunc(text, func(block string) string { return e.certificate(block, request, "") })
	}
	item["certificate"] = exchangeText(item["certificate"].(string))
	item["ca"] = exchangeText(item["ca"].(string))
	if chain, ok := item["chain"].([]any); ok {
		for i := range chain {
			chain[i] = exchangeText(chain[i].(string))
		}
	}
}

func (e *exchange) legacyText(key, text string) string {
	return pemBlock.ReplaceAllStringFunc(text, func(block string) string {
		if strings.Contains(block, "PRIVATE KEY") {
			encodedKey, err := cert.EncodeKey(e.legacy)
			require.NoError(e.t, err)
			return strings.TrimSpace(encodedKey.Reveal())
		}
		return e.certificate(block, "", key)
	})
}

// certificate exchanges one certificate: a CA's for one of the same subject, a leaf for one that this unit's request, or
// the place in the databag, asks for.
func (e *exchange) certificate(block, request, place string) string {
	recorded, err := cert.Parse(block)
	require.NoError(e.t, err)
	if recorded.IsCA {
		return text(e.ca(recorded))
	}
	template := &x509.Certificate{
		SerialNumber: e.next(), Subject: recorded.Subject, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(90 * 24 * time.Hour),
		DNSNames: recorded.DNSNames, IPAddresses: recorded.IPAddresses, ExtKeyUsage: recorded.ExtKeyUsage,
	}
	public, name := e.legacy.Public(), ""
	switch own := dialect.Munge(e.w.snap.Unit); {
	case request != "" && request == strings.TrimSpace(e.w.snap.Local["request.server"]), strings.HasPrefix(place, own+".server"):
		name = "server"
	case request != "", strings.HasPrefix(place, own+".processed_client_requests"):
		name = "client"
	}
	if e.made[name] != nil { // a chain repeats the leaf
		return text(e.made[name])
	}
	if name != "" {
		own, err := cert.ParseRequest(e.w.snap.Local["request."+name])
		require.NoError(e.t, err)
		template.Subject, template.DNSNames, template.IPAddresses = own.Subject, own.DNSNames, own.IPAddresses
		if request != "" {
			public = own.PublicKey
		}
		if name == "client" {
			template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}
	}
	issuer := e.named(recorded.RawIssuer, recorded.RawIssuer)
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, e.keys[string(recorded.RawIssuer)])
	require.NoError(e.t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(e.t, err)
	if name != "" {
		e.made[name] = made
	}
	return text(made)
}

// ca gives the CA that takes the place of a recorded one, itself signed as that was.
func (e *exchange) ca(recorded *x509.Certificate) *x509.Certificate {
	return e.named(recorded.RawSubject, recorded.RawIssuer)
}

// named gives the CA of a name (DER), made at its first mention.
func (e *exchange) named(subject, by []byte) *x509.Certificate {
	if made, known := e.cas[string(subject)]; known {
		return made
	}
	key, err := cert.P256.Generate(rand.Reader)
	require.NoError(e.t, err)
	e.keys[string(subject)] = key
	template := &x509.Certificate{
		SerialNumber: e.next(), RawSubject: subject, NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	parent, signer := template, key
	if !bytes.Equal(subject, by) {
		parent, signer = e.named(by, by), e.keys[string(by)]
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(e.t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(e.t, err)
	e.cas[string(subject)] = made
	return made
}

func (e *exchange) next() *big.Int {
	e.serial++
	return big.NewInt(e.serial)
}

func text(c *x509.Certificate) string {
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
}

func encoded(t *testing.T, value any) string {
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return string(text)
}

func decoded(t *testing.T, text string, into any) {
	if text != "" {
		require.NoError(t, json.Unmarshal([]byte(text), into))
	}
}
