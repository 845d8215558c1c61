// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// hostileRow is what one unit writes that nobody should, and why it is refused.
type hostileRow struct {
	code    string
	number  int      // in request_errors; 0 where no request can be echoed there
	bag     juju.Bag // what the unit writes
	request string   // the signing request that is refused, which is all that the unit writes where there is no bag
	who     string   // whose it is, when it is not the unit's
}

// One unit writes what nobody should. Its neighbours are served in the same turn, in both dialects, as is what it asks
// for beside it, and it is told why, as the operator is.
func playHostile(t *testing.T, rows map[string]hostileRow) {
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			own, other, far := goodRequest(t), goodRequest(t), goodRequest(t)
			w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
				"etcd/0": hostileBag(t, row, own),
				"etcd/1": {"unit_name": "etcd_1", "common_name": "10.0.0.2", "client_cert_requests": `{"backup": {"sans": null}}`},
				"etcd/2": requestBag(t, other),
			}), legacyRelation(8, map[string]juju.Bag{
				"kubernetes-worker/0": {"unit_name": "kubernetes-worker_0", "client_cert_requests": `{"system:kubelet": {"sans": null}}`},
				"kubernetes-worker/1": requestBag(t, far),
			}))
			w.snap.Relations[2].RemoteApp = "kubernetes-worker"
			turn(t, w, noon)
			atRest(t, w, noon)

			granted, faults := w.answers(7)
			served(t, w, granted, other)
			bag := w.snap.Relations[1].OwnUnit
			require.Equal(t, "10.0.0.2", leafOf(t, bag["etcd_1.server.cert"]).Subject.CommonName)
			require.Contains(t, bag["etcd_1.processed_client_requests"], `"backup"`)
			if _, inList := row.bag["certificate_signing_requests"]; inList {
				require.Contains(t, bag["etcd_0.processed_client_requests"], `"own"`)
			} else {
				served(t, w, granted, own)
			}
			distant, _ := w.answers(8)
			served(t, w, distant, far)
			require.Contains(t, w.snap.Relations[2].OwnUnit["kubernetes-worker_0.processed_client_requests"], `"system:kubelet"`)
			requireRefused(t, w, row, granted, faults)
		})
	}
}

// hostileBag is the hostile unit's databag. In the other dialect, or beside the hostile request, it asks for something
// that is good.
func hostileBag(t *testing.T, row hostileRow, own string) juju.Bag {
	if row.bag == nil {
		return requestBag(t, row.request, own)
	}
	bag := maps.Clone(row.bag)
	bag["ingress-address"] = "10.0.0.1"
	if _, inList := bag["certificate_signing_requests"]; inList {
		bag["client_cert_requests"] = `{"own": {"sans": []}}`
	} else {
		bag["certificate_signing_requests"] = requestBag(t, own)["certificate_signing_requests"]
	}
	return bag
}

// served asserts that a signing request has a certificate of its own key.
func served(t *testing.T, w *world, granted map[string]*x509.Certificate, request string) {
	require.Contains(t, granted, request, w.snap.Status.Message)
	parsed, err := cert.ParseRequest(request)
	require.NoError(t, err)
	require.True(t, cert.SameKey(parsed.PublicKey, granted[request].PublicKey))
}

func leafOf(t *testing.T, text string) *x509.Certificate {
	leaf, err := cert.Parse(text)
	require.NoError(t, err)
	return leaf
}

// ownKeys are the keys that may stand in a unit databag of the hostile relation.
var ownKeys = regexp.MustCompile(`^(ca|client\.cert|client\.key|etcd_[01]\.(server\.(cert|key)|processed_(client_|application_|intermediate_)?requests))$`)

// requireRefused asserts that the refusal says why, and that nothing hostile stands in what is shown and published.
func requireRefused(t *testing.T, w *world, row hostileRow, granted map[string]*x509.Certificate, faults map[string]string) {
	message := w.snap.Status.Message
	require.Contains(t, message, "refused: "+cmp.Or(row.who, "etcd/0")+": ")
	require.Contains(t, message, " ("+row.code+")")
	require.Less(t, len(message), 900, "hostile text does not fill the status")
	if row.number > 0 {
		require.Len(t, faults, 1)
		require.NotContains(t, granted, row.request)
		require.True(t, strings.HasPrefix(faults[row.request], fmt.Sprintf("%d %s: ", row.number, row.code)), "%s", faults[row.request])
		require.Less(t, len(faults[row.request]), 900)
	} else {
		require.Empty(t, faults)
	}
	for _, text := range append(slices.Collect(maps.Values(faults)), message) {
		require.False(t, strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", text)
	}
	for key := range w.snap.Relations[1].OwnUnit {
		require.Regexp(t, ownKeys, key)
	}
	for key := range w.snap.Relations[1].OwnApp {
		require.Contains(t, []string{"certificates", "request_errors", "capabilities"}, key)
	}
}

// What the dialect can say it says: the reason of a refusal stands beside the other certificates.
func TestRefusedRequestsAreToldWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	weak := weakRequest(t)
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{"etcd/0": requestBag(t, weak, goodRequest(t))}))
	turn(t, w, noon)
	var told []struct {
		CSR     string `json:"csr"`
		Request string `json:"certificate_signing_request"`
		Error   struct {
			Code          int
			Name, Message string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(w.snap.Relations[1].OwnApp["request_errors"]), &told))
	require.Len(t, told, 1)
	require.Equal(t, weak, told[0].CSR)
	require.Equal(t, weak, told[0].Request)
	require.Equal(t, 999, told[0].Error.Code)
	require.Equal(t, "OTHER", told[0].Error.Name)
	require.Contains(t, told[0].Error.Message, "1024 bits")
}

func requestBag(t *testing.T, requests ...string) juju.Bag {
	var list []map[string]any
	for _, request := range requests {
		list = append(list, map[string]any{"certificate_signing_request": request, "ca": false})
	}
	text, err := json.Marshal(list)
	require.NoError(t, err)
	return juju.Bag{"certificate_signing_requests": string(text)}
}

func manyRequests(t *testing.T, count int) string {
	requests := map[string]any{}
	for i := range count {
		requests[fmt.Sprintf("client-%d", i)] = map[string]any{"sans": nil}
	}
	text, err := json.Marshal(requests)
	require.NoError(t, err)
	return string(text)
}

func goodRequest(t *testing.T) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return pemRequest(t, key)
}

func weakRequest(t *testing.T) (text string) {
	fips140.WithoutEnforcement(func() { // whoever asks may do what this program may not
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		require.NoError(t, err)
		text = pemRequest(t, key)
	})
	return text
}

// forgedRequest changes one bit of a request's signature.
func forgedRequest(t *testing.T) string {
	block, _ := pem.Decode([]byte(goodRequest(t)))
	block.Bytes[len(block.Bytes)-1] ^= 1
	return strings.TrimSpace(string(pem.EncodeToMemory(block)))
}

func namedRequest(t *testing.T, commonName string) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return encodeRequest(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: commonName}}, key)
}

func pemRequest(t *testing.T, key any) string {
	return encodeRequest(t, &x509.CertificateRequest{DNSNames: []string{"a.example.com"}}, key)
}

func encodeRequest(t *testing.T, template *x509.CertificateRequest, key any) string {
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	require.NoError(t, err)
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
}
