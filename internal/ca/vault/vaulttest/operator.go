// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// patience is how long the server may take for one thing. It takes milliseconds; a busy machine makes it seconds.
const patience = time.Minute

// Vault is a Vault of either kind, for tests that run on both.
type Vault interface {
	Address() string
	CA() string // of the server's certificate, in PEM
	Client(token string) *api.Client
	Root() *api.Client // may do everything

	Mount(mount string)
	MakeRoot(mount string) string
	MakeIntermediate(mount, root string) string
	AppRole(name, policy string) Credentials
	NewSecretID(name string) string
	Login(Credentials) string
	Wrap(path string, data map[string]any) string
	Seal()
	Unseal()
}

// An operator does to a Vault, over its API, what has to be done before signet can use it.
type operator struct {
	t       testing.TB
	address string // as a URL
	ca      []byte
	network *http.Transport // of all clients
	token   string          // root's
}

// newOperator makes one whose clients trust this CA, in PEM, and no other.
func newOperator(t testing.TB, ca []byte) operator {
	t.Helper()
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM(ca))
	trust := &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
	return operator{t: t, ca: ca, network: &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}}
}

// Address is the server's URL. It stays the same when the server is restarted.
func (o *operator) Address() string { return o.address }

// CA is the certificate, in PEM, that the server's own must be verified by.
func (o *operator) CA() string { return string(o.ca) }

// Root is a client that may do everything.
func (o *operator) Root() *api.Client { return o.Client(o.token) }

// Client makes a client with this token, or without one. It does not try again, and it goes by nothing that the
// environment says about Vault: a developer may have one.
func (o *operator) Client(token string) *api.Client {
	o.t.Helper()
	client, err := api.NewClient(&api.Config{
		Address: o.address,
		HttpClient: &http.Client{
			Transport:     o.network,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Timeout:          patience,
		DisableRedirects: true,
	})
	require.NoError(o.t, err)
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	client.SetWrappingLookupFunc(func(string, string) string { return "" })
	client.SetToken(token)
	return client
}

// context bounds one request. It is the test's own, which ends with it.
func (o *operator) context() context.Context {
	ctx, stop := context.WithTimeout(o.t.Context(), patience)
	o.t.Cleanup(stop)
	return ctx
}

// write writes to a path of Vault's as root, and gives the answer's data.
func (o *operator) write(path string, data map[string]any) map[string]any {
	o.t.Helper()
	answer, err := o.Root().Logical().WriteWithContext(o.context(), path, data)
	require.NoError(o.t, err, "%s", path)
	if answer == nil {
		return nil
	}
	return answer.Data
}

// text is a text of an answer's data.
func (o *operator) text(data map[string]any, name string) string {
	o.t.Helper()
	text, ok := data[name].(string)
	require.True(o.t, ok, "no %s in what Vault answered", name)
	return text
}
