// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	encoding "encoding/pem"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
)

// A bench is one Vault to try a fact on, with nothing mounted.
type bench struct {
	vaulttest.Vault

	t   *testing.T
	age vaulttest.Age
}

// said is what Vault answered: a status, and errors or a secret. Where it said nothing there is none.
type said struct {
	status int
	errors []string
	secret *api.Secret
	bare   []byte // what was no JSON
}

// facts are what is known of Vault, each a sentence.
func facts() map[string]func(bench) {
	all := map[string]func(bench){}
	for _, some := range []map[string]func(bench){accessFacts(), authorityFacts(), signFacts(), intermediateFacts(), revokeFacts(), loginFacts(), newFacts()} {
		maps.Copy(all, some)
	}
	return all
}

// TestFacts holds the fakes to what is known of Vault, and what is known to the real one, where there is one.
func TestFacts(t *testing.T) {
	t.Parallel()
	for sentence, fact := range facts() {
		for _, age := range []vaulttest.Age{vaulttest.Old, vaulttest.New} {
			t.Run("fake, "+age.String()+": "+sentence, func(t *testing.T) {
				t.Parallel()
				fact(bench{vaulttest.NewFake(t, age), t, age})
			})
		}
		if os.Getenv("SIGNET_VAULT") != "" {
			t.Run("real: "+sentence, func(t *testing.T) {
				t.Parallel()
				fact(bench{vaulttest.Start(t), t, vaulttest.Old})
			})
		}
	}
}

// pick gives what holds in the age of the bench.
func pick[T any](b bench, before, now T) T {
	if b.age == vaulttest.Old {
		return before
	}
	return now
}

// put, get and list call as the operator.
func (b bench) put(path string, body map[string]any) said { return b.as(b.Root(), "PUT", path, body) }
func (b bench) get(path string) said                      { return b.as(b.Root(), "GET", path, nil) }
func (b bench) list(path string) said                     { return b.as(b.Root(), "LIST", path, nil) }

// as calls with a client.
func (b bench) as(client *api.Client, method, path string, body map[string]any) said {
	b.t.Helper()
	request := client.NewRequest(method, "/v1/"+path)
	if method == "LIST" {
		request.Method = http.MethodGet
		request.Params.Set("list", "true")
	}
	if body != nil {
		require.NoError(b.t, request.SetJSONBody(body))
	}
	response, err := client.RawRequestWithContext(b.t.Context(), request) //nolint:staticcheck // the bare status is what is asked for
	var refused *api.ResponseError
	if errors.As(err, &refused) {
		return said{status: refused.StatusCode, errors: refused.Errors}
	}
	require.NoError(b.t, err, "%s", path)
	defer response.Body.Close()
	if response.StatusCode == http.StatusNoContent {
		return said{status: response.StatusCode}
	}
	if response.Header.Get("Content-Type") != "application/json" {
		bare, err := io.ReadAll(response.Body)
		require.NoError(b.t, err)
		return said{status: response.StatusCode, bare: bare}
	}
	secret, err := api.ParseSecret(response.Body)
	require.NoError(b.t, err, "%s", path)
	return said{status: response.StatusCode, secret: secret}
}

// refuses expects an error of a status, worded exactly so.
func (b bench) refuses(got said, status int, message string) {
	b.t.Helper()
	require.Equal(b.t, said{status: status, errors: []string{message}}, got)
}

// ok expects an answer with data, and gives it.
func (b bench) ok(got said) map[string]any {
	b.t.Helper()
	require.Equal(b.t, http.StatusOK, got.status, "%v", got.errors)
	require.NotNil(b.t, got.secret)
	return got.secret.Data
}

// once is how Vault words what it did not expect.
func once(message string) string { return "1 error occurred:\n\t* " + message + "\n\n" }

// certificate reads the certificate of an answer.
func (b bench) certificate(data map[string]any) *x509.Certificate {
	b.t.Helper()
	return b.parse(data["certificate"])
}

func (b bench) parse(given any) *x509.Certificate {
	b.t.Helper()
	text, ok := given.(string)
	require.True(b.t, ok, "%v", given)
	found, rest := encoding.Decode([]byte(text))
	require.NotNil(b.t, found, "%s", text)
	require.Empty(b.t, rest)
	parsed, err := x509.ParseCertificate(found.Bytes)
	require.NoError(b.t, err)
	return parsed
}

// csr makes a request with a new key.
func (b bench) csr(template *x509.CertificateRequest) string {
	b.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b.t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	require.NoError(b.t, err)
	return string(encoding.EncodeToMemory(&encoding.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// plain is a request for a host.
func (b bench) plain() string {
	return b.csr(&x509.CertificateRequest{DNSNames: []string{"a.example"}})
}

// rooted mounts "pki" with a root, and "pki/roles/signet".
func (b bench) rooted() *x509.Certificate {
	b.t.Helper()
	b.Mount("pki")
	root := b.MakeRoot("pki")
	require.Equal(b.t, pick(b, http.StatusNoContent, http.StatusOK), b.put("pki/roles/signet", map[string]any{"allow_any_name": true}).status)
	return b.parse(root)
}

// sign has "pki" sign a request, and gives the certificate.
func (b bench) sign(body map[string]any) *x509.Certificate {
	b.t.Helper()
	return b.certificate(b.ok(b.put("pki/sign-verbatim/signet", body)))
}
