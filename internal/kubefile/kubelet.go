// SPDX-License-Identifier: AGPL-3.0-only

package kubefile

// Kubelet is what a kubelet is told of certificates, as absolute paths: the one it serves with, its key, and the CA
// whose clients it lets in.
type Kubelet struct{ CertFile, KeyFile, ClientCAFile string }

// Render is a drop-in for the folder of the kubelet's --config-dir, in a file that ends in .conf. The kubelet merges it
// into its own configuration as a JSON merge patch (RFC 7396), so it has the fields in question and nothing else; one
// whose path is empty is left out and keeps the value that it has.
func (k Kubelet) Render() string {
	root := mapping("apiVersion", text("kubelet.config.k8s.io/v1beta1"), "kind", text("KubeletConfiguration"))
	if k.CertFile != "" {
		root.Content = append(root.Content, text("tlsCertFile"), text(k.CertFile))
	}
	if k.KeyFile != "" {
		root.Content = append(root.Content, text("tlsPrivateKeyFile"), text(k.KeyFile))
	}
	if k.ClientCAFile != "" {
		x509 := mapping("clientCAFile", text(k.ClientCAFile))
		root.Content = append(root.Content, text("authentication"), mapping("x509", x509))
	}
	written, err := encode(root)
	if err != nil { // mappings of texts are always written
		return ""
	}
	return written
}
