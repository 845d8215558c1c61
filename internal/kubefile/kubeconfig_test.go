// SPDX-License-Identifier: AGPL-3.0-only

package kubefile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/signet-charm/signet/internal/kubefile"
)

// What stands in the PEM blocks does not matter here; e2e/clientgo uses real ones.
const (
	certificatePEM = "-----BEGIN CERTIFICATE-----\nY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"
	keyPEM         = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
)

// byPath is what signet writes on a node.
func byPath() kubefile.Kubeconfig {
	return kubefile.Kubeconfig{
		Cluster: "signet", User: "admin", Context: "admin@signet", Server: "https://10.0.0.1:6443",
		CA:          kubefile.File{Path: "/var/lib/signet/files/certificates/ca.crt"},
		Certificate: kubefile.File{Path: "/var/lib/signet/files/certificates/client.crt"},
		Key:         kubefile.File{Path: "/var/lib/signet/files/certificates/client.key"},
	}
}

func embedded() kubefile.Kubeconfig {
	k := byPath()
	k.CA, k.Certificate = kubefile.File{Data: certificatePEM}, kubefile.File{Data: certificatePEM}
	k.Key = kubefile.File{Data: keyPEM}
	return k
}

const byPathText = `apiVersion: v1
kind: Config
clusters:
  - name: signet
    cluster:
      server: https://10.0.0.1:6443
      certificate-authority: /var/lib/signet/files/certificates/ca.crt
users:
  - name: admin
    user:
      client-certificate: /var/lib/signet/files/certificates/client.crt
      client-key: /var/lib/signet/files/certificates/client.key
contexts:
  - name: admin@signet
    context:
      cluster: signet
      user: admin
current-context: admin@signet
`

const embeddedText = `apiVersion: v1
kind: Config
clusters:
  - name: signet
    cluster:
      server: https://10.0.0.1:6443
      certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClkyVnlkR2xtYVdOaGRHVT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=
users:
  - name: admin
    user:
      client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClkyVnlkR2xtYVdOaGRHVT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=
      client-key-data: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCmMyVmpjbVYwCi0tLS0tRU5EIFBSSVZBVEUgS0VZLS0tLS0K
contexts:
  - name: admin@signet
    context:
      cluster: signet
      user: admin
current-context: admin@signet
`

func TestRender(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		kubeconfig kubefile.Kubeconfig
		want       string
	}{
		"files by their paths": {byPath(), byPathText},
		"files embedded":       {embedded(), embeddedText},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			rendered, err := c.kubeconfig.Render()
			require.NoError(t, err)
			require.Equal(t, c.want, rendered)
			require.True(t, kubefile.Holds(rendered, c.kubeconfig))
		})
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		change  func(*kubefile.Kubeconfig)
		problem string
	}{
		"no cluster's name":             {func(k *kubefile.Kubeconfig) { k.Cluster = "" }, "the cluster's name is empty"},
		"no user's name":                {func(k *kubefile.Kubeconfig) { k.User = "" }, "the user's name is empty"},
		"no context's name":             {func(k *kubefile.Kubeconfig) { k.Context = "" }, "the context's name is empty"},
		"a name of two lines":           {func(k *kubefile.Kubeconfig) { k.User = "a\nb" }, "does not print"},
		"a name that is not UTF-8":      {func(k *kubefile.Kubeconfig) { k.User = "a\xff" }, "does not print"},
		"no server":                     {func(k *kubefile.Kubeconfig) { k.Server = "" }, "the server is not a URL"},
		"a server without a scheme":     {func(k *kubefile.Kubeconfig) { k.Server = "10.0.0.1:6443" }, "the server is not a URL"},
		"a server without TLS":          {func(k *kubefile.Kubeconfig) { k.Server = "http://10.0.0.1:6443" }, "form https://host:port"},
		"a server without a host":       {func(k *kubefile.Kubeconfig) { k.Server = "https://:6443" }, "form https://host:port"},
		"a server that is opaque":       {func(k *kubefile.Kubeconfig) { k.Server = "https:host" }, "form https://host:port"},
		"a server with a user":          {func(k *kubefile.Kubeconfig) { k.Server = "https://root:c2VjcmV0@host" }, "has a user"},
		"a server with a query":         {func(k *kubefile.Kubeconfig) { k.Server = "https://host/?x=c2VjcmV0" }, "has a query"},
		"a server with an empty query":  {func(k *kubefile.Kubeconfig) { k.Server = "https://host/?" }, "has a query"},
		"a server with a fragment":      {func(k *kubefile.Kubeconfig) { k.Server = "https://host#x" }, "a fragment"},
		"a server with half a port":     {func(k *kubefile.Kubeconfig) { k.Server = "https://host:" }, "no port"},
		"a server with too large port":  {func(k *kubefile.Kubeconfig) { k.Server = "https://host:65536" }, "impossible port"},
		"a server with port 0":          {func(k *kubefile.Kubeconfig) { k.Server = "https://host:0" }, "impossible port"},
		"a server with a control":       {func(k *kubefile.Kubeconfig) { k.Server = "https://ho\x00st" }, "the server is not a URL"},
		"no CA":                         {func(k *kubefile.Kubeconfig) { k.CA = kubefile.File{} }, "the CA certificate has neither"},
		"no certificate":                {func(k *kubefile.Kubeconfig) { k.Certificate = kubefile.File{} }, "the certificate has neither"},
		"no key":                        {func(k *kubefile.Kubeconfig) { k.Key = kubefile.File{} }, "the key has neither"},
		"a relative path":               {func(k *kubefile.Kubeconfig) { k.CA.Path = "ca.crt" }, "the CA certificate has a path that is not absolute"},
		"a path of two lines":           {func(k *kubefile.Kubeconfig) { k.Key.Path = "/a\nb" }, "does not print"},
		"a path and data":               {func(k *kubefile.Kubeconfig) { k.Key.Data = keyPEM }, "the key has both"},
		"a key for a certificate":       {func(k *kubefile.Kubeconfig) { k.Certificate = kubefile.File{Data: keyPEM} }, "of another kind"},
		"a key for a CA":                {func(k *kubefile.Kubeconfig) { k.CA = kubefile.File{Data: keyPEM} }, "of another kind"},
		"a certificate for a key":       {func(k *kubefile.Kubeconfig) { k.Key = kubefile.File{Data: certificatePEM} }, "of another kind"},
		"a key that is no PEM":          {func(k *kubefile.Kubeconfig) { k.Key = kubefile.File{Data: "c2VjcmV0"} }, "missing, damaged"},
		"a certificate that is damaged": {func(k *kubefile.Kubeconfig) { k.Certificate = kubefile.File{Data: certificatePEM[:40]} }, "missing, damaged"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			k := byPath()
			c.change(&k)
			rendered, err := k.Render()
			require.ErrorContains(t, err, "cannot render kubeconfig: ")
			require.ErrorContains(t, err, c.problem)
			require.NotContains(t, err.Error(), "c2VjcmV0")
			require.Empty(t, rendered)
			_, err = kubefile.Merge("", k)
			require.ErrorContains(t, err, c.problem)
			require.False(t, kubefile.Holds(byPathText, k))
		})
	}
}

// Kubernetes reads YAML 1.1, in which more words than true and false are booleans and 1:20 is a number.
func TestRenderQuotesWhatWouldBeNoText(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"yes", "on", "n", "null", "~", "1", "0777", "1_000", "1:20", "2026-03-01", "1e3", "<<", "a: b", "#a", "- a", "'", `"`, "ü"} {
		k := byPath()
		k.User, k.Certificate.Path = name, "/tmp/"+name
		rendered, err := k.Render()
		require.NoError(t, err)
		var read struct {
			Users []struct {
				Name string            `yaml:"name"`
				User map[string]string `yaml:"user"`
			} `yaml:"users"`
		}
		require.NoError(t, yaml.Unmarshal([]byte(rendered), &read))
		require.Equal(t, name, read.Users[0].Name)
		require.Equal(t, "/tmp/"+name, read.Users[0].User["client-certificate"])
		require.True(t, kubefile.Holds(rendered, k), name)
	}
	k := byPath()
	k.User = "yes"
	rendered, err := k.Render()
	require.NoError(t, err)
	require.Contains(t, rendered, `name: "yes"`)
}

func TestEmbeddedFilesDoNotPrint(t *testing.T) {
	t.Parallel()
	k := embedded()
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(format, k), "c2VjcmV0")
		require.NotContains(t, fmt.Sprintf(format, &k.Key), "c2VjcmV0")
	}
	require.Equal(t, "[embedded]", k.Key.String())
	require.Equal(t, "/var/lib/signet/files/certificates/ca.crt", byPath().CA.String())
	require.Equal(t, "[no file]", kubefile.File{}.String())
}

func TestSumTellsKubeconfigsApart(t *testing.T) {
	t.Parallel()
	first, again := byPath().Sum(), byPath().Sum()
	require.Equal(t, first, again)
	require.Regexp(t, `^[0-9a-f]{64}\.[0-9a-f]{64}\.[0-9a-f]{64}$`, byPath().Sum())
	seen := map[string]bool{byPath().Sum(): true, embedded().Sum(): true}
	for _, change := range []func(*kubefile.Kubeconfig){
		func(k *kubefile.Kubeconfig) { k.Cluster += "x" },
		func(k *kubefile.Kubeconfig) { k.User += "x" },
		func(k *kubefile.Kubeconfig) { k.Context += "x" },
		func(k *kubefile.Kubeconfig) { k.Server += "1" },
		func(k *kubefile.Kubeconfig) { k.CA.Path += "x" },
		func(k *kubefile.Kubeconfig) { k.Certificate.Path += "x" },
		func(k *kubefile.Kubeconfig) { k.Key.Path += "x" },
	} {
		k := byPath()
		change(&k)
		require.False(t, seen[k.Sum()])
		seen[k.Sum()] = true
	}
}

func TestKubelet(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		kubelet kubefile.Kubelet
		want    []string
	}{
		"all three": {
			kubefile.Kubelet{CertFile: "/a/server.crt", KeyFile: "/a/server.key", ClientCAFile: "/a/ca.crt"},
			[]string{"tlsCertFile: /a/server.crt", "tlsPrivateKeyFile: /a/server.key", "authentication:", "  x509:", "    clientCAFile: /a/ca.crt"},
		},
		"the CA only": {kubefile.Kubelet{ClientCAFile: "/a/ca.crt"}, []string{"authentication:", "  x509:", "    clientCAFile: /a/ca.crt"}},
		"the certificate only": {
			kubefile.Kubelet{CertFile: "/a: #b/server.crt", KeyFile: "/a/server.key"},
			[]string{"tlsCertFile: '/a: #b/server.crt'", "tlsPrivateKeyFile: /a/server.key"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			want := append([]string{"apiVersion: kubelet.config.k8s.io/v1beta1", "kind: KubeletConfiguration"}, c.want...)
			require.Equal(t, strings.Join(want, "\n")+"\n", c.kubelet.Render())
		})
	}
}
