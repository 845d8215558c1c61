// SPDX-License-Identifier: AGPL-3.0-only

package clientgo_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/order"
)

// TestInstalledFiles judges the folder that SIGNET_BUNDLE names: kubeconfig, kubelet.conf, ca.crt, and server and
// client, each .crt and .key, as signet laid them on a disk.
func TestInstalledFiles(t *testing.T) {
	t.Parallel()
	folder := os.Getenv("SIGNET_BUNDLE")
	if folder == "" {
		t.Skip("for files that signet has laid on a machine: set SIGNET_BUNDLE to their folder, as make e2e-kubernetes does")
	}
	judge(t, folder)
}

// What signet's disk lays, of an order as its consumer's side gives it, is judged each day.
func TestWhatTheDiskLays(t *testing.T) {
	t.Parallel()
	for name, embed := range map[string]bool{"by path": false, "embedded": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := newAuthority(t).lay(t)
			folder, err := disk.Open(t.TempDir())
			require.NoError(t, err)
			install := order.Install{Name: "certificates", Files: []order.File{
				{Name: "kubeconfig", Kubeconfig: &order.Kubeconfig{
					Cluster: "juju-model", User: "system:node:node1", Context: "system:node:node1@juju-model", Server: "https://127.0.0.1:6443",
					CA: "ca.crt", Certificate: "client.crt", Key: "client.key", Embed: embed,
				}},
				{Name: "kubelet.conf", Kubelet: &order.Kubelet{Certificate: "server.crt", Key: "server.key", ClientCA: "ca.crt"}},
			}}
			for _, file := range []string{"ca.crt", "server.crt", "client.crt"} {
				install.Files = append(install.Files, order.File{Name: file, Text: get(t, made, file)})
			}
			for _, file := range []string{"server.key", "client.key"} {
				install.Files = append(install.Files, order.File{Name: file, Key: cert.NewKey(get(t, made, file))})
			}
			require.Nil(t, folder.Carry(t.Context(), install).Failure)
			judge(t, filepath.Join(folder.Root(), "files", "certificates"))
		})
	}
}

// judge checks a folder: the kubeconfig and the drop-in are read strictly, and client.crt as the kubeconfig shows it and
// server.crt as the kubelet would serve it take each other in, both under ca.crt.
func judge(t *testing.T, folder string) {
	t.Helper()
	_, err := strict(get(t, folder, "kubeconfig"))
	require.NoError(t, err)
	config := load(t, filepath.Join(folder, "kubeconfig"))

	kubelet, err := kubeletConfiguration(get(t, folder, "kubelet.conf"))
	require.NoError(t, err)
	_, err = tls.LoadX509KeyPair(kubelet.TLSCertFile, kubelet.TLSPrivateKeyFile)
	require.NoError(t, err)
	for _, path := range []struct{ named, want string }{
		{kubelet.TLSCertFile, "server.crt"}, {kubelet.TLSPrivateKeyFile, "server.key"},
		{kubelet.Authentication.X509.ClientCAFile, "ca.crt"},
	} {
		named, err := os.ReadFile(path.named)
		require.NoError(t, err)
		if get(t, folder, path.want) != string(named) { // require would print both, and one of them is a key
			require.Fail(t, "the kubelet is told of another "+path.want)
		}
	}

	settings, err := rest.TLSConfigFor(config)
	require.NoError(t, err)
	shown, err := settings.GetClientCertificate(&tls.CertificateRequestInfo{})
	require.NoError(t, err)
	client, err := tls.LoadX509KeyPair(filepath.Join(folder, "client.crt"), filepath.Join(folder, "client.key"))
	require.NoError(t, err)
	require.Equal(t, client.Certificate, shown.Certificate, "the kubeconfig shows client.crt")
	require.True(t, settings.RootCAs.Equal(pool(t, filepath.Join(folder, "ca.crt"))), "the kubeconfig trusts ca.crt")

	started := serve(t, folder)
	config.Host = started.URL
	config.ServerName = serverName(t, folder)
	name, err := call(t, config, started.URL)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(client.Certificate[0])
	require.NoError(t, err)
	require.Equal(t, leaf.Subject.CommonName, name)

	untrusting := rest.CopyConfig(config)
	untrusting.CAFile, untrusting.CAData = "", []byte(newAuthority(t).text)
	_, err = call(t, untrusting, started.URL)
	require.ErrorContains(t, err, "x509: ", "another CA does not do")
}

// serverName is a name that the server's certificate has: the server of the test has another address than the machine.
func serverName(t *testing.T, folder string) string {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "server.crt"), filepath.Join(folder, "server.key"))
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	require.NoError(t, err)
	if len(leaf.DNSNames) > 0 {
		return leaf.DNSNames[0]
	}
	require.NotEmpty(t, leaf.IPAddresses, "the server's certificate has neither a DNS name nor an IP address")
	return leaf.IPAddresses[0].String()
}
