// SPDX-License-Identifier: AGPL-3.0-only

package misissue

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/unit"
)

// memory is a store and a journal without a disk, for one worker.
type memory struct {
	blobs   map[string][]byte
	orders  map[string][]ledger.Entry
	serials map[string]ledger.Certificate
}

func (m *memory) Read(name string) ([]byte, error) {
	blob, found := m.blobs[name]
	if !found {
		return nil, fs.ErrNotExist
	}
	return blob, nil
}

func (m *memory) Write(name string, blob []byte) error {
	m.blobs[name] = slices.Clone(blob)
	return nil
}

func (m *memory) Remove(name string) error {
	delete(m.blobs, name)
	return nil
}

func (m *memory) Names(prefix string) ([]string, error) {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.blobs)), func(name string) bool { return !strings.HasPrefix(name, prefix) }), nil
}

func (m *memory) Append(entries ...ledger.Entry) error {
	for _, entry := range entries {
		m.orders[entry.Order] = append(m.orders[entry.Order], entry)
		if entry.Serial != "" {
			m.serials[entry.Serial] = ledger.Certificate{Entry: entry, State: entry.Event}
		}
	}
	return nil
}

func (m *memory) Order(id string) ([]ledger.Entry, error) { return m.orders[id], nil }

// Head is asked for by who signs checkpoints, which nobody orders here.
func (m *memory) Head() (lines int, sum string, err error) { return len(m.orders), "", nil }

func (m *memory) Serial(serial string) (ledger.Certificate, bool, error) {
	certificate, known := m.serials[serial]
	return certificate, known, nil
}

// world is a leader with a CA, whose relations are exchanged for others again and again.
type world struct {
	t         require.TestingT
	memory    *memory
	authority *ca.Embedded
	keys      map[string][]byte // of the CA
	first     juju.Snapshot     // after the CA was made, before anybody asked
	snap      juju.Snapshot
	issuer    []byte          // DER
	signed    map[string]bool // certificates (PEM) that were signed for somebody since the last look
	known     map[string]bool // certificates that were published at the last look
}

func newWorld(t require.TestingT) *world {
	w := &world{t: t, memory: &memory{blobs: map[string][]byte{}}}
	w.authority = ca.New(ca.Config{Store: w.memory, Journal: w.memory})
	w.snap = juju.Snapshot{
		Endpoints: []juju.Endpoint{{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides}},
		Unit:      "signet/0", ModelName: "test", ModelUUID: "uuid", JujuVersion: "3.6.25", Leader: true, CanSecrets: true,
		Relations: []juju.Relation{{
			ID: 1, Endpoint: juju.Endpoint{Name: "peers", Interface: "signet_peers", Role: juju.Peers}, RemoteApp: "signet",
			OwnUnit: juju.Bag{}, OwnApp: juju.Bag{},
		}},
		Local: map[string]string{},
	}
	w.forget()
	w.turn(noon)
	w.keys, w.first = maps.Clone(w.memory.blobs), w.snap
	var record struct {
		Current struct{ Certificate string }
	}
	require.NoError(t, json.Unmarshal([]byte(w.snap.Relations[0].OwnApp["authority"]), &record))
	w.issuer = block(t, record.Current.Certificate)
	return w
}

// forget begins a round: the same CA, and nobody related.
func (w *world) forget() {
	w.memory.orders, w.memory.serials = map[string][]ledger.Entry{}, map[string]ledger.Certificate{}
	w.signed, w.known = map[string]bool{}, map[string]bool{}
	if w.keys != nil {
		w.memory.blobs, w.snap = maps.Clone(w.keys), w.first
	}
}

// turn decides until there is nothing left to order, and applies the changes. It reports whether another turn shall follow
// at once.
func (w *world) turn(now time.Time) bool {
	var answers []order.Answer
	for range 8 {
		plan := unit.Decide(now, w.snap, answers)
		if len(plan.Orders) == 0 {
			w.snap = juju.Apply(w.snap, plan.Changes)
			return !plan.Wake.IsZero() && !plan.Wake.After(now)
		}
		for _, wanted := range plan.Orders {
			answers = append(answers, w.carry(wanted))
		}
	}
	require.FailNow(w.t, "the turn does not come to rest")
	return false
}

func (w *world) carry(wanted order.Order) order.Answer {
	if o, ok := wanted.(order.MakeSecret); ok {
		return order.Answer{Order: o.ID(), State: order.Done, Key: cert.NewKey(base64.StdEncoding.EncodeToString(make([]byte, 32)))}
	}
	answer := w.authority.Carry(context.Background(), wanted)
	if o, ok := wanted.(order.Sign); ok && answer.State == order.Done && o.Asker.App != "" {
		w.signed[answer.Issued.Certificate] = true
	}
	return answer
}

func block(t require.TestingT, text string) []byte {
	found, rest := pem.Decode([]byte(text))
	require.NotNil(t, found, text)
	require.Empty(t, strings.TrimSpace(string(rest)))
	return found.Bytes
}

// ask is one certificate that somebody wants, and what becomes of it.
type ask struct {
	relation   int
	app        string
	unit       string // empty for the application's own databag
	legacy     bool
	kind       Kind
	commonName string
	names      []string
	der        []byte // of the request; what stands in the databag may be something else
	text       string // as it stands there
	honest     bool   // a real charm asks so

	issued []byte // DER; nil where it was refused
	kept   bool   // it was issued before
	code   string // why it was refused, where the dialect says so
}

func (a *ask) String() string {
	return fmt.Sprintf("relation %d, %q of %s, %s: %s", a.relation, a.unit, a.app, a.kind, a.what())
}

// what is asked for, in short.
func (a *ask) what() string {
	if a.legacy {
		return fmt.Sprintf("%q with %q", a.commonName, a.names)
	}
	request, err := x509.ParseCertificateRequest(a.der)
	if err != nil {
		return fmt.Sprintf("%v: %q", err, a.text)
	}
	return fmt.Sprintf("%q with %q %v (%x)", request.Subject, request.DNSNames, request.IPAddresses, a.der)
}

// relate makes relations of what is asked, as charms write it into databags.
func relate(asks []*ask) []juju.Relation {
	byID := map[int]*juju.Relation{}
	bags := map[string]*writer{}
	for _, a := range asks {
		relation, known := byID[a.relation]
		if !known {
			relation = &juju.Relation{
				ID: a.relation, Endpoint: juju.Endpoint{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides},
				RemoteApp: a.app, RemoteUnits: map[string]juju.Bag{}, RemoteApplication: juju.Bag{}, OwnUnit: juju.Bag{}, OwnApp: juju.Bag{},
			}
			byID[a.relation] = relation
		}
		key := fmt.Sprint(a.relation, " ", a.unit)
		if bags[key] == nil {
			bags[key] = &writer{relation: relation, unit: a.unit}
		}
		bags[key].asks = append(bags[key].asks, a)
	}
	for _, one := range bags {
		one.write()
	}
	var relations []juju.Relation
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		relations = append(relations, *byID[id])
	}
	return relations
}

// writer writes one databag.
type writer struct {
	relation *juju.Relation
	unit     string
	asks     []*ask
}

func (w *writer) write() {
	bag := juju.Bag{"ingress-address": "10.0.0.1"}
	requests := map[string]map[string]any{}
	var list []map[string]any
	for _, a := range w.asks {
		switch {
		case !a.legacy:
			list = append(list, map[string]any{"certificate_signing_request": a.text, "ca": a.kind == Authority})
		case a.kind == Server && bag["common_name"] == "":
			bag["common_name"], bag["sans"] = a.commonName, encode(a.names)
		default:
			key := map[Kind]string{Server: "cert_requests", Client: "client_cert_requests", Application: "application_cert_requests", Authority: "intermediate_cert_requests"}[a.kind]
			if requests[key] == nil {
				requests[key] = map[string]any{}
			}
			requests[key][a.commonName] = map[string]any{"sans": a.names}
		}
		if a.legacy {
			bag["unit_name"] = strings.ReplaceAll(w.unit, "/", "_")
		}
	}
	for key, all := range requests {
		bag[key] = encode(all)
	}
	if list != nil {
		bag["certificate_signing_requests"] = encode(list)
	}
	if w.unit == "" {
		w.relation.RemoteApplication = bag
	} else {
		w.relation.RemoteUnits[w.unit] = bag
	}
}

func encode(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // of strings and booleans
	}
	return string(text)
}

// pair is a certificate of the legacy dialect.
type pair struct{ Cert, Key string }

// collect reads from the databags what each ask has got. What answers nobody is a breach.
func (w *world) collect(asks []*ask) (shared []*ask, breaches []string) {
	byRequest := map[string]*ask{}
	legacy := map[string]*ask{}
	for _, a := range asks {
		a.issued, a.kept, a.code = nil, false, ""
		if a.legacy {
			legacy[fmt.Sprint(a.relation, a.unit, a.kind, a.commonName)] = a
		} else {
			key := fmt.Sprint(a.relation, a.text)
			if _, copied := byRequest[key]; !copied { // the first one's, who has its key
				byRequest[key] = a
			}
		}
	}
	stray := func(format string, args ...any) { breaches = append(breaches, fmt.Sprintf(format, args...)) }
	for _, relation := range w.snap.Relations[1:] {
		for key, value := range relation.OwnApp {
			switch key {
			case "certificates":
				w.collectGranted(relation.ID, value, byRequest, stray)
			case "request_errors":
				w.collectRefused(relation.ID, value, byRequest, stray)
			case "capabilities":
			default:
				stray("relation %d has the key %q", relation.ID, key)
			}
		}
		shared = append(shared, w.collectLegacy(relation, legacy, stray)...)
	}
	for text := range w.signed {
		stray("signed for somebody and not published: %s", text)
	}
	w.signed, w.known = map[string]bool{}, map[string]bool{}
	for _, a := range slices.Concat(asks, shared) {
		if a.issued != nil {
			w.known[string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.issued}))] = true
		}
	}
	return shared, breaches
}

func (w *world) collectGranted(relation int, value string, byRequest map[string]*ask, stray func(string, ...any)) {
	var list []struct {
		Request     string `json:"certificate_signing_request"`
		Certificate string
		CA          string
		Chain       []string
		Revoked     bool
	}
	require.NoError(w.t, json.Unmarshal([]byte(value), &list))
	for _, entry := range list {
		a := byRequest[fmt.Sprint(relation, entry.Request)]
		if a == nil || a.issued != nil || entry.Revoked || len(entry.Chain) != 2 {
			stray("relation %d has an entry that answers nobody: %v", relation, entry)
			continue
		}
		a.issued = block(w.t, entry.Certificate)
		require.Equal(w.t, w.issuer, block(w.t, entry.CA))
		require.Equal(w.t, a.issued, block(w.t, entry.Chain[0]))
		require.Equal(w.t, w.issuer, block(w.t, entry.Chain[1]))
		a.kept = w.seen(entry.Certificate, stray)
	}
}

// seen crosses a published certificate off those that were signed, or were known before.
func (w *world) seen(text string, stray func(string, ...any)) (known bool) {
	text = strings.TrimSpace(text) + "\n"
	if known = w.known[text]; !w.signed[text] && !known {
		stray("published, and never signed, or published twice: %s", text)
	}
	delete(w.signed, text)
	delete(w.known, text)
	return known
}

func (w *world) collectRefused(relation int, value string, byRequest map[string]*ask, stray func(string, ...any)) {
	var list []struct {
		CSR     string `json:"csr"`
		Request string `json:"certificate_signing_request"`
		Error   struct {
			Code                  int
			Name, Message, Reason string
		}
	}
	require.NoError(w.t, json.Unmarshal([]byte(value), &list))
	for _, entry := range list {
		a := byRequest[fmt.Sprint(relation, entry.Request)]
		number := map[string]int{"ip-not-allowed": 101, "name-not-allowed": 102, "identity-not-allowed": 102, "wildcard-not-allowed": 103, "no-authority": 201}[entry.Error.Reason]
		if number == 0 {
			number = 999
		}
		if a == nil || a.issued != nil || a.code != "" || entry.CSR != entry.Request || entry.Error.Code != number || entry.Error.Message == "" ||
			len(entry.Error.Message) > 1500 {
			stray("relation %d has an error that answers nobody, or not so: %v", relation, entry)
			continue
		}
		a.code = entry.Error.Reason
	}
}

func (w *world) collectLegacy(relation juju.Relation, legacy map[string]*ask, stray func(string, ...any)) (shared []*ask) {
	grant := func(a *ask, one pair, again bool) {
		if a == nil || a.issued != nil && !again {
			stray("relation %d has a certificate that answers nobody: %s", relation.ID, one.Cert)
			return
		}
		der := block(w.t, one.Cert)
		if a.issued == nil {
			a.kept = w.seen(one.Cert, stray)
		} else if string(a.issued) != string(der) {
			stray("relation %d has two certificates for one: %s", relation.ID, one.Cert)
		}
		a.issued = der
		if leaf, err := cert.Parse(one.Cert); err != nil || !cert.KeyMatches(cert.NewKey(one.Key), leaf) {
			stray("relation %d has a key that is not the certificate's: %s", relation.ID, one.Cert)
		}
	}
	bag := relation.OwnUnit
	if bag["client.cert"] != "" {
		client := &ask{relation: relation.ID, app: relation.RemoteApp, legacy: true, kind: Shared, commonName: "global-client"}
		shared = append(shared, client)
		grant(client, pair{bag["client.cert"], bag["client.key"]}, false)
	}
	var whole *ask // one certificate for all units
	for key, value := range bag {
		munged, suffix, _ := strings.Cut(key, ".")
		unit := strings.Replace(munged, "_", "/", 1)
		asked := relation.RemoteUnits[unit]
		find := func(kind Kind, name string) *ask { return legacy[fmt.Sprint(relation.ID, unit, kind, name)] }
		kinds := map[string]Kind{"processed_requests": Server, "processed_client_requests": Client, "processed_intermediate_requests": Authority}
		switch kind, byName := kinds[suffix]; {
		case key == "ca":
			require.Equal(w.t, w.issuer, block(w.t, value))
		case key == "client.cert", key == "client.key", key == "ingress-address":
		case asked == nil:
			stray("relation %d has the key %q", relation.ID, key)
		case suffix == "server.cert":
			grant(find(Server, asked["common_name"]), pair{value, bag[munged+".server.key"]}, false)
		case suffix == "server.key":
			if bag[munged+".server.cert"] == "" {
				stray("relation %d has the key %q alone", relation.ID, key)
			}
		case byName, suffix == "processed_application_requests":
			var pairs map[string]pair
			require.NoError(w.t, json.Unmarshal([]byte(value), &pairs))
			for name, one := range pairs {
				if byName {
					grant(find(kind, name), one, false)
					continue
				}
				if whole == nil {
					whole = &ask{relation: relation.ID, app: relation.RemoteApp, legacy: true, kind: Application}
				}
				grant(whole, one, true)
			}
		default:
			stray("relation %d has the key %q", relation.ID, key)
		}
	}
	if whole != nil {
		shared = append(shared, whole)
	}
	return shared
}
