// SPDX-License-Identifier: AGPL-3.0-only

package clientgo_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"
)

// load reads a kubeconfig as kubectl and the kubelet do, up to where they would connect.
func load(t *testing.T, file string) *rest.Config {
	t.Helper()
	loaded, err := clientcmd.LoadFromFile(file)
	require.NoError(t, err)
	require.NoError(t, clientcmd.ConfirmUsable(*loaded, ""))
	config, err := clientcmd.NewDefaultClientConfig(*loaded, &clientcmd.ConfigOverrides{}).ClientConfig()
	require.NoError(t, err)
	require.False(t, config.Insecure)
	settings, err := rest.TLSConfigFor(config)
	require.NoError(t, err)
	require.NotNil(t, settings.RootCAs)
	require.False(t, settings.InsecureSkipVerify)
	shown, err := settings.GetClientCertificate(&tls.CertificateRequestInfo{})
	require.NoError(t, err)
	require.NotEmpty(t, shown.Certificate)
	return config
}

// strict decodes a kubeconfig and refuses fields that are unknown or there twice, which kubectl passes over.
func strict(text string) (decoded clientcmdapiv1.Config, err error) {
	err = yaml.UnmarshalStrict([]byte(text), &decoded)
	return decoded, err
}

// kubeletConfiguration decodes a kubelet's configuration strictly, with the codec that the kubelet has for it.
func kubeletConfiguration(text string) (*kubeletv1beta1.KubeletConfiguration, error) {
	scheme := runtime.NewScheme()
	if err := kubeletv1beta1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	decoded := &kubeletv1beta1.KubeletConfiguration{}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	_, _, err := decoder.Decode([]byte(text), nil, decoded)
	return decoded, err
}

// serve starts a server with the server's certificate of a folder, which lets in clients of the folder's CA only and
// answers with the name in their certificate.
func serve(t *testing.T, folder string) *httptest.Server {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "server.crt"), filepath.Join(folder, "server.key"))
	require.NoError(t, err)
	clients := x509.NewCertPool()
	require.True(t, clients.AppendCertsFromPEM([]byte(get(t, folder, "ca.crt"))))
	started := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	started.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what tests want
	started.TLS = &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS12,
	}
	started.StartTLS()
	t.Cleanup(started.Close)
	return started
}

// call makes a request with client-go's own client, and gives the name that the server saw.
func call(t *testing.T, config *rest.Config, url string) (name string, err error) {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// pool holds the CA certificates of a file.
func pool(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	certificates := x509.NewCertPool()
	require.True(t, certificates.AppendCertsFromPEM(text))
	return certificates
}
