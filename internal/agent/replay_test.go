// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/host"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/wire"
)

// TestRecordedRequirersAreServed plays what real charms asked against whole turns, state after state, and checks what
// these charms check of an answer. The checks read the databags by themselves, not through package dialect.
func TestRecordedRequirersAreServed(t *testing.T) {
	t.Parallel()
	recordings, err := wire.All()
	require.NoError(t, err)
	for _, recording := range recordings {
		t.Run(recording.Name, func(t *testing.T) {
			t.Parallel()
			session, u := recordedUnit(t)
			asked := 0
			for _, state := range recording.States {
				session.show(state)
				takeTurns(t, u, session)
				for _, relation := range state.Relations {
					asked += checkAnswers(t, session, relation)
				}
			}
			require.NotZero(t, asked, "the recording asks for nothing")
		})
	}
}

// recorded is a Session whose remote side is a recording.
type recorded struct {
	snap    juju.Snapshot
	commits int
	fail    error // of the next commits
}

func (r *recorded) Snapshot(context.Context) (juju.Snapshot, error) { return r.snap.Clone(), nil }

func (r *recorded) Confirm(_ context.Context, snap juju.Snapshot, _ juju.Changes) error {
	return juju.Overtaken(snap, r.snap)
}

func (r *recorded) Commit(_ context.Context, changes juju.Changes) error {
	if r.fail != nil {
		return r.fail
	}
	r.commits++
	r.snap = juju.Apply(r.snap, changes)
	return nil
}

// show makes a state's remote sides what the unit sees; its own side stays as it left it.
func (r *recorded) show(state wire.State) {
	own := map[int]juju.Relation{}
	for _, relation := range r.snap.Relations {
		own[relation.ID] = relation
	}
	relations := []juju.Relation{own[peersID]}
	r.snap.Config = map[string]any{}
	for _, seen := range state.Relations {
		r.snap.Config["intermediate-applications"] = seen.Requirer.App // or no request for a CA would be answered
		relation := seen.ProviderSees("")
		relation.ID += peersID + 1
		relation.Endpoint = juju.Endpoint{Name: "asked", Interface: seen.Interface, Role: juju.Provides}
		relation.OwnUnit, relation.OwnApp = juju.Bag{}, juju.Bag{}
		if before, known := own[relation.ID]; known {
			relation.OwnUnit, relation.OwnApp = before.OwnUnit, before.OwnApp
		}
		relations = append(relations, relation)
	}
	r.snap.Relations = relations
}

const peersID = 1

func recordedUnit(t *testing.T) (*recorded, *agent.Unit) {
	folder, err := disk.Open(t.TempDir())
	require.NoError(t, err)
	session := &recorded{snap: juju.Snapshot{
		Endpoints: []juju.Endpoint{{Name: "certificates", Interface: dialect.Interface, Role: juju.Provides}},
		Unit:      "signet/0", ModelName: "recorded", ModelUUID: "uuid", JujuVersion: "3.6.25", Leader: true, CanSecrets: true,
		Relations: []juju.Relation{{
			ID: peersID, Endpoint: juju.Endpoint{Name: "peers", Role: juju.Peers}, RemoteApp: "signet",
			OwnUnit: juju.Bag{}, OwnApp: juju.Bag{},
		}},
	}}
	return session, &agent.Unit{
		Session:   session,
		Authority: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()}),
		Folder:    folder,
		Machine:   host.New(host.Config{Records: folder.Ran()}),
		Now:       time.Now,
		Log:       slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// takeTurns takes a turn that serves, and a second one that must find nothing to do.
func takeTurns(t *testing.T, u *agent.Unit, session *recorded) {
	outcome, err := u.Turn(t.Context())
	require.NoError(t, err)
	require.Equal(t, juju.Active, outcome.Status.Level, outcome.Status.Message)
	require.NotContains(t, outcome.Status.Message, "refused")
	before := session.commits
	_, err = u.Turn(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, session.commits, "a second turn commits nothing")
}

// checkAnswers gives how many answers it checked.
func checkAnswers(t *testing.T, session *recorded, asked wire.Relation) int {
	var own juju.Relation
	for _, relation := range session.snap.Relations {
		if relation.ID == asked.ID+peersID+1 {
			own = relation
		}
	}
	if asked.Interface == "certificate_transfer" {
		return checkTransfer(t, asked, own)
	}
	checked := checkRequests(t, asked, own.OwnApp)
	for _, unit := range asked.Requirer.UnitNames() {
		checked += checkLegacy(t, unit, asked.Requirer.Units[unit], own.OwnUnit)
	}
	return checked
}

// answer is a certificate as a legacy consumer finds it.
type answer struct{ Cert, Key string }

var legacyKeys = []string{
	"unit_name", "common_name", "cert_requests", "client_cert_requests", "application_cert_requests", "intermediate_cert_requests",
}

// checkLegacy checks what the ops library and the charms on it look for: readiness, then each answer at its place.
func checkLegacy(t *testing.T, unit string, asked, published juju.Bag) int {
	if !slices.ContainsFunc(legacyKeys, func(key string) bool { return asked[key] != "" }) {
		return 0
	}
	name := unit
	if asked["unit_name"] != "" {
		name = asked["unit_name"] // Juju's name of a unit in another model is not its own
	}
	name = strings.ReplaceAll(name, "/", "_")
	for _, key := range []string{"ca", "client.cert", "client.key"} {
		require.Contains(t, published, key, "the ops library is not ready without it")
	}
	checkPair(t, published, answer{published["client.cert"], published["client.key"]}, "global-client", nil, x509.ExtKeyUsageClientAuth)
	checked := 1
	if commonName := asked["common_name"]; commonName != "" {
		pair := answer{published[name+".server.cert"], published[name+".server.key"]}
		var sans []string
		if text := asked["sans"]; text != "" {
			require.NoError(t, json.Unmarshal([]byte(text), &sans))
		}
		checkPair(t, published, pair, commonName, sans, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
		checked++
	}
	for _, kind := range []struct {
		request, response string
		usages            []x509.ExtKeyUsage
	}{
		{"cert_requests", "processed_requests", []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}},
		{"client_cert_requests", "processed_client_requests", []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		{"application_cert_requests", "processed_application_requests", []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		{"intermediate_cert_requests", "processed_intermediate_requests", nil},
	} {
		if asked[kind.request] == "" {
			continue
		}
		var requests map[string]struct{ Sans []string }
		require.NoError(t, json.Unmarshal([]byte(asked[kind.request]), &requests))
		var answers map[string]answer
		if text := published[name+"."+kind.response]; text != "" {
			require.NoError(t, json.Unmarshal([]byte(text), &answers))
		}
		for commonName, request := range requests {
			place := commonName
			if kind.request == "application_cert_requests" {
				place = "app_data"
			}
			if kind.request == "cert_requests" && commonName == asked["common_name"] {
				require.NotContains(t, answers, commonName, "it is answered in %s.server.cert only", name)
				continue
			}
			if kind.usages == nil {
				request.Sans = nil // a CA certificate has no host names
			}
			require.Contains(t, answers, place, "%s", kind.request)
			checkPair(t, published, answers[place], commonName, request.Sans, kind.usages...)
			checked++
		}
	}
	return checked
}

// checkPair checks one certificate with its key, in the files that a consumer writes of them.
func checkPair(t *testing.T, published juju.Bag, pair answer, commonName string, sans []string, usages ...x509.ExtKeyUsage) {
	require.True(t, strings.HasPrefix(pair.Cert, "-----BEGIN CERTIFICATE-----\n"), "pure PEM, no text before it")
	require.True(t, strings.HasSuffix(pair.Cert, "-----END CERTIFICATE-----\n"))
	leaf, err := cert.Parse(pair.Cert)
	require.NoError(t, err)
	require.Equal(t, commonName, leaf.Subject.CommonName)
	require.True(t, cert.KeyMatches(cert.NewKey(pair.Key), leaf), "the key is the certificate's")
	if usages == nil {
		require.True(t, leaf.IsCA)
		usages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	}
	for _, usage := range usages {
		verify(t, leaf, published["ca"], published["chain"], usage)
	}
	for _, name := range sans {
		require.NoError(t, leaf.VerifyHostname(name))
	}
}

func verify(t *testing.T, leaf *x509.Certificate, trust, chain string, usage x509.ExtKeyUsage) {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(trust)))
	intermediates.AppendCertsFromPEM([]byte(chain))
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{usage}})
	require.NoError(t, err)
}

// checkRequests checks what the libraries v1 to v4 look for in the provider's application databag.
func checkRequests(t *testing.T, asked wire.Relation, published juju.Bag) int {
	requests := map[string]bool{} // text: is a CA asked for
	for _, bag := range append(slices.Collect(maps.Values(asked.Requirer.Units)), asked.Requirer.Bag) {
		var list []struct {
			Request string `json:"certificate_signing_request"`
			CA      bool   `json:"ca"`
		}
		if text := bag["certificate_signing_requests"]; text != "" {
			require.NoError(t, json.Unmarshal([]byte(text), &list))
		}
		for _, request := range list {
			requests[request.Request] = request.CA
		}
	}
	var entries []map[string]any
	if text := published["certificates"]; text != "" {
		require.NotContains(t, text, "null", "the schema of v2 and v3 refuses null members")
		require.NoError(t, json.Unmarshal([]byte(text), &entries))
	}
	require.Len(t, entries, len(requests), "one entry for each request, and no other")
	for _, entry := range entries {
		text, _ := entry["certificate_signing_request"].(string)
		isCA, known := requests[text]
		require.True(t, known, "v1 to v3 find their answer by the exact text")
		checkEntry(t, entry, text, isCA)
	}
	return len(entries)
}

func checkEntry(t *testing.T, entry map[string]any, text string, isCA bool) {
	leaf, err := cert.Parse(entry["certificate"].(string))
	require.NoError(t, err)
	block, _ := pem.Decode([]byte(text))
	request, err := x509.ParseCertificateRequest(block.Bytes)
	require.NoError(t, err)
	require.Equal(t, request.RawSubjectPublicKeyInfo, leaf.RawSubjectPublicKeyInfo)
	require.Equal(t, request.RawSubject, leaf.RawSubject, "string types and the unique identifier survive")
	require.Equal(t, isCA, leaf.IsCA)
	require.Equal(t, subjectAltName(request.Extensions), subjectAltName(leaf.Extensions))

	var chain []*x509.Certificate
	for _, element := range entry["chain"].([]any) {
		c, err := cert.Parse(element.(string))
		require.NoError(t, err)
		chain = append(chain, c)
	}
	require.Equal(t, leaf.Raw, chain[0].Raw, "the leaf is first")
	for i, c := range chain[:len(chain)-1] {
		require.NoError(t, c.CheckSignatureFrom(chain[i+1]))
	}
	require.NoError(t, chain[len(chain)-1].CheckSignatureFrom(chain[len(chain)-1]), "the root is last")
	issuer, err := cert.Parse(entry["ca"].(string))
	require.NoError(t, err)
	require.Equal(t, chain[1].Raw, issuer.Raw)
	require.NotContains(t, entry, "revoked")
}

func checkTransfer(t *testing.T, asked wire.Relation, own juju.Relation) int {
	if asked.Requirer.Bag["version"] == "1" {
		var certificates []string
		require.NoError(t, json.Unmarshal([]byte(own.OwnApp["certificates"]), &certificates))
		require.Equal(t, "1", own.OwnApp["version"])
		require.NotEmpty(t, certificates)
		return len(certificates)
	}
	var ca string
	require.NoError(t, json.Unmarshal([]byte(own.OwnUnit["ca"]), &ca), "both readers of version 0 take a JSON string")
	_, err := cert.Parse(ca)
	require.NoError(t, err)
	var chain []string
	require.NoError(t, json.Unmarshal([]byte(own.OwnUnit["chain"]), &chain))
	require.NotEmpty(t, chain)
	return 1
}

// subjectAltName gives the extension's bytes (RFC 5280, 4.2.1.6).
func subjectAltName(extensions []pkix.Extension) []byte {
	for _, extension := range extensions {
		if extension.Id.String() == "2.5.29.17" {
			return bytes.Clone(extension.Value)
		}
	}
	return nil
}
