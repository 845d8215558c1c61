// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
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
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// One unit writes what nobody should. Its neighbours are served in the same turn, in both dialects, and the operator
// reads why in the status.
func TestHostileNeighbourHarmsNobody(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		bag  juju.Bag
		code string // in the status
	}{
		"no JSON":                               {juju.Bag{"cert_requests": "{"}, "malformed"},
		"JSON of another type":                  {juju.Bag{"cert_requests": `"text"`}, "malformed"},
		"more after the JSON":                   {juju.Bag{"client_cert_requests": `{} {}`}, "malformed"},
		"the same key twice":                    {juju.Bag{"client_cert_requests": `{"a": {"sans": []}, "a": {"sans": ["b.example.com"]}}`}, "malformed"},
		"the list form of a retired library":    {juju.Bag{"cert_requests": `[{"common_name": "ca", "sans": []}]`}, "malformed"},
		"names that are none":                   {juju.Bag{"common_name": "x", "sans": `["good.example.com", "/etc/passwd"]`}, "name-not-allowed"},
		"an address with a zone":                {juju.Bag{"common_name": "x", "sans": `["fe80::1%eth0"]`}, "not-allowed"},
		"a bottomless list":                     {juju.Bag{"sans": strings.Repeat("[", 100_000), "common_name": "x"}, "too-large"},
		"four mebibytes":                        {juju.Bag{"cert_requests": `{"` + strings.Repeat("x", 4<<20) + `": {"sans": []}}`}, "too-large"},
		"a name that is a path":                 {juju.Bag{"unit_name": "../../etc/shadow"}, "unit-name-mismatch"},
		"another unit's name":                   {juju.Bag{"unit_name": "etcd_1", "common_name": "stolen"}, "unit-name-mismatch"},
		"a key of the answer as name":           {juju.Bag{"unit_name": "ca", "common_name": "x"}, "unit-name-mismatch"},
		"no UTF-8":                              {juju.Bag{"cert_requests": "{\"a\xff\": {\"sans\": []}}"}, "malformed"},
		"a common name with control characters": {juju.Bag{"common_name": "a\x00b"}, "malformed"},
		"ten thousand requests":                 {juju.Bag{"client_cert_requests": manyRequests(t, 10_000)}, "too-many"},
		"requests that are junk":                {requestBag(t, "junk", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"), "malformed"},
		"a request that is a number":            {juju.Bag{"certificate_signing_requests": `[7, null, {"certificate_signing_request": 5}]`}, "malformed"},
		"a request with a weak key":             {requestBag(t, weakRequest(t)), "weak-key"},
		"a request signed by another":           {requestBag(t, forgedRequest(t)), "bad-signature"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test.bag["ingress-address"] = "10.0.0.1"
			w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
				"etcd/0": test.bag,
				"etcd/1": {"unit_name": "etcd_1", "common_name": "10.0.0.2"},
				"etcd/2": requestBag(t, goodRequest(t)),
			}))
			turn(t, w, noon)
			atRest(t, w, noon)
			relation := w.snap.Relations[1]
			require.Contains(t, relation.OwnUnit, "etcd_1.server.cert")
			require.NotContains(t, relation.OwnUnit["etcd_1.server.cert"], "stolen")
			require.Contains(t, relation.OwnApp["certificates"], "BEGIN CERTIFICATE REQUEST")
			require.Contains(t, w.snap.Status.Message, "refused: etcd/0: ")
			require.Contains(t, w.snap.Status.Message, test.code)
			require.Less(t, len(w.snap.Status.Message), 600, "hostile text does not fill the status")
			for key := range relation.OwnUnit {
				require.NotContains(t, key, "..")
			}
		})
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
