// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
)

// Requests are published with their answers, so that a unit can make a sibling's as its own. Whose certificate it is, is
// remembered: it is not revoked with the copier's, and is with its owner.
func TestACopiedRequestStaysItsMakers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Config = map[string]any{"revoke-on-departure": true}
	victims, copiers := goodRequest(t), goodRequest(t)
	w.asks(7, "web", map[string][]string{"web/1": {victims}})
	turn(t, w, noon)
	units := w.snap.Relations[1].RemoteUnits
	units["web/0"] = requestBag(t, victims, copiers)
	turn(t, w, noon)
	atRest(t, w, noon)
	granted, _ := w.answers(7)
	require.Len(t, granted, 2)
	serial := func(request string) string { return serialText(granted[request]) }

	result := w.wouldRevoke("web/0")
	require.Contains(t, result.Results["revoked"], serial(copiers))
	require.NotContains(t, result.Results["revoked"], serial(victims))
	result = w.wouldRevoke("web/1")
	require.Contains(t, result.Results["revoked"], serial(victims))
	require.NotContains(t, result.Results["revoked"], serial(copiers))

	delete(units, "web/1")
	turn(t, w, noon.Add(time.Hour))
	atRest(t, w, noon.Add(time.Hour))
	require.Contains(t, w.peers().OwnApp["revoked.1"], serial(victims), "its owner is gone")
	require.NotContains(t, w.peers().OwnApp["revoked.1"], serial(copiers))
	var list []csrEntry
	decoded(t, w.snap.Relations[1].OwnApp["certificates"], &list)
	for _, entry := range list {
		require.Equal(t, granted[victims].Equal(parsed(t, entry.Certificate)), entry.Revoked, "who goes on asking is told to stop")
	}

	delete(units, "web/0")
	turn(t, w, noon.Add(2*time.Hour))
	require.NotContains(t, w.peers().OwnApp, "makers.7", "what nobody asks for is forgotten")
}

// A unit that goes on asking with what its sibling asked for before it made a new request has not become its maker.
func TestAnAbandonedRequestIsNobodyElses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := goodRequest(t), goodRequest(t)
	w.asks(7, "web", map[string][]string{"web/1": {first}})
	turn(t, w, noon)
	units := w.snap.Relations[1].RemoteUnits
	units["web/1"], units["web/0"] = requestBag(t, second), requestBag(t, first)
	turn(t, w, noon)
	require.Contains(t, w.wouldRevoke("web/0").Failure, "no certificate")
	require.Equal(t, "2", w.wouldRevoke("web/1").Results["count"])
}

// What is issued anew for a request counts as its maker's, on record and against quotas.
func TestACopiedRequestIsRenewedForItsMaker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	request := goodRequest(t)
	w.asks(7, "web", map[string][]string{"web/1": {request}})
	turn(t, w, noon)
	w.snap.Relations[1].RemoteUnits["web/0"] = requestBag(t, request)
	turn(t, w, noon.Add(88*24*time.Hour))
	var issued []string
	require.NoError(t, w.folder.View(func(l *ledger.Ledger) {
		for _, entry := range l.Entries() {
			if entry.Event == ledger.Issued && entry.App == "web" {
				issued = append(issued, entry.Unit)
			}
		}
	}))
	require.Equal(t, []string{"web/1", "web/1"}, issued)
}

// A unit that makes its sibling's request for a CA as one for a server does not take the CA from it.
func TestACopierSpoilsNoCA(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	request := encodeRequest(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "Issuing CA"}, DNSNames: []string{"a.example.com"}}, key)
	w.snap.Config = map[string]any{"intermediate-applications": "vault"}
	w.asks(7, "vault", nil)
	w.snap.Relations[1].RemoteUnits["vault/1"] = askFor(t, request, true)
	turn(t, w, noon)
	granted, _ := w.answers(7)
	require.True(t, granted[request].IsCA)
	for _, copier := range []string{"vault/0", "vault/2"} {
		w.snap.Relations[1].RemoteUnits[copier] = askFor(t, request, false)
		turn(t, w, noon.Add(time.Hour))
		atRest(t, w, noon.Add(time.Hour))
		kept, faults := w.answers(7)
		require.Equal(t, granted[request].Raw, kept[request].Raw)
		require.Empty(t, faults)
		require.Contains(t, w.snap.Status.Message, "1 refused: "+copier+": certificate_signing_requests[0]: the same request is made for the certificate of a CA")
		delete(w.snap.Relations[1].RemoteUnits, copier)
	}
	// Nor does anybody get a CA by making a server's request as one for a CA.
	server := goodRequest(t)
	w.snap.Relations[1].RemoteUnits["vault/1"] = askFor(t, server, false)
	turn(t, w, noon.Add(time.Hour))
	w.snap.Relations[1].RemoteUnits["vault/0"] = askFor(t, server, true)
	turn(t, w, noon.Add(time.Hour))
	granted, _ = w.answers(7)
	require.False(t, granted[server].IsCA)
}

// wouldRevoke says what the action revoke would do to a unit's certificates.
func (w *world) wouldRevoke(unit string) juju.Result {
	w.snap.Action = &juju.Action{Name: "revoke", Params: map[string]any{"unit": unit, "dry-run": true}}
	defer func() { w.snap.Action = nil }()
	plan := turn(w.t, w, noon)
	require.NotNil(w.t, plan.Result)
	return *plan.Result
}
