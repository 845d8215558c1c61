// SPDX-License-Identifier: AGPL-3.0-only

package clientgo_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/kubefile"
)

// operators is a kubeconfig that kubectl wrote, and somebody commented.
const operators = `apiVersion: v1
clusters:
- cluster:
    insecure-skip-tls-verify: true
    server: https://lab:6443
  name: lab
contexts:
# The lab.
- context:
    cluster: lab
    user: root
  name: lab
current-context: ""
kind: Config
users:
- name: root
  user:
    token: secret
`

const operatorsJSON = `{"apiVersion": "v1", "kind": "Config", "current-context": "", "contexts": [], "clusters": null,
  "users": [{"name": "root", "user": {"token": "secret"}}]}`

func TestClientGoLoads(t *testing.T) {
	t.Parallel()
	folder := newAuthority(t).lay(t)
	started := serve(t, folder)
	for sentence, c := range map[string]struct {
		kubeconfig kubefile.Kubeconfig
		existing   string
		users      int
	}{
		"one by path":                   {byPath(folder), "", 1},
		"one embedded":                  {embedded(t, folder), "", 1},
		"one merged into an operator's": {byPath(folder), operators, 2},
		"one embedded and merged":       {embedded(t, folder), operators, 2},
		"one merged into JSON":          {byPath(folder), operatorsJSON, 2},
		"one embedded into JSON":        {embedded(t, folder), operatorsJSON, 2},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			k := c.kubeconfig
			k.Server = started.URL
			merged, err := kubefile.Merge(c.existing, k)
			require.NoError(t, err)
			decoded, err := strict(merged)
			require.NoError(t, err)
			require.Len(t, decoded.AuthInfos, c.users)
			require.Equal(t, k.Context, decoded.CurrentContext)

			config := load(t, put(t, t.TempDir(), "kubeconfig", merged))
			require.Equal(t, started.URL, config.Host)
			name, err := call(t, config, started.URL)
			require.NoError(t, err)
			require.Equal(t, "admin", name)

			left, err := kubefile.Remove(merged, k.Names(), k.Sum())
			require.NoError(t, err)
			if c.existing == "" {
				require.Empty(t, left)
				return
			}
			remaining, err := strict(left)
			require.NoError(t, err)
			before, err := strict(c.existing)
			require.NoError(t, err)
			require.Equal(t, before.AuthInfos, remaining.AuthInfos)
			require.Len(t, remaining.Clusters, len(before.Clusters))
			require.Empty(t, remaining.CurrentContext)
		})
	}
}

// Names that YAML 1.1 takes for a boolean or a number arrive as texts.
func TestClientGoReadsNamesAsTexts(t *testing.T) {
	t.Parallel()
	folder := newAuthority(t).lay(t)
	for _, name := range []string{"yes", "n", "1:20", "1_000", "0777", "1e3", "null", "~", "<<", "=", "2026-03-01", "a: b", "#", "ü"} {
		k := byPath(folder)
		k.Cluster, k.User, k.Context = name, name, name
		file := write(t, k)
		load(t, file)
		rendered, err := k.Render()
		require.NoError(t, err)
		decoded, err := strict(rendered)
		require.NoError(t, err)
		require.Equal(t, name, decoded.CurrentContext)
		require.Equal(t, name, decoded.AuthInfos[0].Name)
		require.Equal(t, name, decoded.Contexts[0].Context.Cluster)
	}
}

func TestStrictDecoderRefuses(t *testing.T) {
	t.Parallel()
	rendered, err := byPath("/certificates").Render()
	require.NoError(t, err)
	_, err = strict(rendered)
	require.NoError(t, err)
	for sentence, c := range map[string]struct{ old, written, problem string }{
		"a misspelt field":   {"client-key:", "client-keys:", "client-keys"},
		"a field twice":      {"current-context:", "kind: Config\ncurrent-context:", "kind"},
		"a field of another": {"server:", "user: x\n      server:", "user"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			changed := strings.Replace(rendered, c.old, c.written, 1)
			require.NotEqual(t, rendered, changed)
			_, err := strict(changed)
			require.ErrorContains(t, err, c.problem)
		})
	}
}

// client-go loads whatever fits its own key; only the server's CA decides who gets in.
func TestHandshakeRefuses(t *testing.T) {
	t.Parallel()
	ours, stranger := newAuthority(t), newAuthority(t)
	require.Equal(t, ours.certificate.RawSubject, stranger.certificate.RawSubject)
	folder := ours.lay(t)
	started := serve(t, folder)
	for sentence, c := range map[string]struct {
		issuer, trusted authority
		usage           x509.ExtKeyUsage
		problem         string
	}{
		"nobody who is ours":                     {ours, ours, x509.ExtKeyUsageClientAuth, ""},
		"a server's certificate as a client's":   {ours, ours, x509.ExtKeyUsageServerAuth, "remote error: tls: "},
		"a client of another CA of the name":     {stranger, ours, x509.ExtKeyUsageClientAuth, "remote error: tls: "},
		"a server of another CA than is trusted": {ours, stranger, x509.ExtKeyUsageClientAuth, "x509: "},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			k := byPath(folder)
			k.Server = started.URL
			certificate, key := c.issuer.issue(t, c.usage)
			k.CA = kubefile.File{Data: c.trusted.text}
			k.Certificate, k.Key = kubefile.File{Data: certificate}, kubefile.File{Data: key}
			name, err := call(t, load(t, write(t, k)), started.URL)
			if c.problem == "" {
				require.NoError(t, err)
				require.Equal(t, "admin", name)
				return
			}
			require.ErrorContains(t, err, c.problem)
		})
	}
}

// A client's certificate does not do for a server either.
func TestClientRefusesAServerWithAClientsCertificate(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	folder := ca.lay(t)
	certificate, key := ca.issue(t, x509.ExtKeyUsageClientAuth)
	put(t, folder, "server.crt", certificate)
	put(t, folder, "server.key", key)
	started := serve(t, folder)
	k := byPath(folder)
	k.Server = started.URL
	_, err := call(t, load(t, write(t, k)), started.URL)
	require.ErrorContains(t, err, "incompatible key usage")
}
