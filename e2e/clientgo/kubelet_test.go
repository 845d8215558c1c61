// SPDX-License-Identifier: AGPL-3.0-only

package clientgo_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"

	"github.com/signet-charm/signet/internal/kubefile"
)

func TestKubeletReadsTheDropIn(t *testing.T) {
	t.Parallel()
	decoded, err := kubeletConfiguration(kubefile.Kubelet{
		CertFile: "/a/server.crt", KeyFile: "/a/server.key", ClientCAFile: "/a: #b/ca.crt",
	}.Render())
	require.NoError(t, err)
	want := kubeletv1beta1.KubeletConfiguration{TLSCertFile: "/a/server.crt", TLSPrivateKeyFile: "/a/server.key"}
	want.Authentication.X509.ClientCAFile = "/a: #b/ca.crt"
	want.TypeMeta = decoded.TypeMeta
	require.Equal(t, want, *decoded, "and nothing else is set")
	require.Equal(t, "KubeletConfiguration", decoded.Kind)
	require.Equal(t, kubeletv1beta1.SchemeGroupVersion.String(), decoded.APIVersion)
}

func TestKubeletsDecoderRefuses(t *testing.T) {
	t.Parallel()
	rendered := kubefile.Kubelet{CertFile: "/a/server.crt", KeyFile: "/a/server.key", ClientCAFile: "/a/ca.crt"}.Render()
	for sentence, c := range map[string]struct{ old, written, problem string }{
		"a misspelt field":        {"tlsCertFile", "tlsCertificateFile", `unknown field "tlsCertificateFile"`},
		"a misspelt field within": {"clientCAFile", "clientCaFile", `unknown field "authentication.x509.clientCaFile"`},
		"a field twice":           {"tlsCertFile", "tlsCertFile: /b\ntlsCertFile", `"tlsCertFile" already set`},
		"another version":         {"v1beta1", "v1beta9", "no kind"},
		"another kind":            {"KubeletConfiguration", "KubeletConfig", "no kind"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			changed := strings.Replace(rendered, c.old, c.written, 1)
			require.NotEqual(t, rendered, changed)
			_, err := kubeletConfiguration(changed)
			require.ErrorContains(t, err, c.problem)
		})
	}
}
