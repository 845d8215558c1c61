// SPDX-License-Identifier: AGPL-3.0-only

// Package kubefile writes the files by which Kubernetes' programs find certificates: a kubeconfig, alone or merged into
// one that an operator keeps, and a drop-in for the kubelet's own configuration. Text comes in and text goes out; who
// reads and writes the files is somebody else. It speaks of Kubernetes' formats only (Config of v1, KubeletConfiguration
// of kubelet.config.k8s.io/v1beta1) and links none of its libraries; e2e/clientgo has them judge the output.
//
// Look next at Merge for what is kept of an operator's file, and at read for what such a file may be.
package kubefile

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// The nouns of a kubeconfig's entries: each is the key of an entry's content, and with an s that of their list.
const (
	nounCluster = "cluster"
	nounUser    = "user"
	nounContext = "context"
)

// Kubeconfig is a kubeconfig with one cluster, one user and one context.
type Kubeconfig struct {
	Cluster, User, Context string // names
	Server                 string // URL, https://host:port
	CA, Certificate, Key   File
}

// File is a file that a kubeconfig refers to: by absolute path, or embedded as data when Path is empty. Data is PEM
// text. It prints without its data, which may be a private key.
type File struct {
	Path string
	Data string
}

// String is the path, or says that the file is embedded.
func (f File) String() string {
	switch {
	case f.Path != "":
		return f.Path
	case f.Data != "":
		return "[embedded]"
	}
	return "[no file]"
}

// GoString hides the data from %#v.
func (f File) GoString() string { return f.String() }

// Names are what the three entries of a kubeconfig are called.
type Names struct{ Cluster, User, Context string }

// Names gives the names of the entries, which are all that Remove needs to find them.
func (k Kubeconfig) Names() Names {
	return Names{Cluster: k.Cluster, User: k.User, Context: k.Context}
}

// Render is the kubeconfig as YAML (apiVersion v1, kind Config), the same bytes each time, with the context as
// current-context. No error holds anything of an embedded file or of the server's URL, which may hold a password.
func (k Kubeconfig) Render() (string, error) {
	if fault := k.fault(); fault != "" {
		return "", errors.New("cannot render kubeconfig: " + fault)
	}
	return encode(k.root())
}

// root is the whole kubeconfig as a YAML mapping.
func (k Kubeconfig) root() *yaml.Node {
	root := mapping("apiVersion", text("v1"), "kind", text("Config"))
	for _, e := range k.entries() {
		root.Content = append(root.Content, text(e.noun+"s"), sequence(e.node))
	}
	root.Content = append(root.Content, text("current-context"), text(k.Context))
	return root
}

// entry is an element of one of a kubeconfig's lists.
type entry struct {
	noun, name string
	node       *yaml.Node
}

// entries are the three entries that say what k says, in the order in which they are written.
func (k Kubeconfig) entries() []entry {
	cluster := mapping("server", text(k.Server))
	cluster.Content = append(cluster.Content, k.CA.field("certificate-authority")...)
	user := mapping()
	user.Content = append(user.Content, k.Certificate.field("client-certificate")...)
	user.Content = append(user.Content, k.Key.field("client-key")...)
	context := mapping("cluster", text(k.Cluster), "user", text(k.User))
	return []entry{
		{nounCluster, k.Cluster, mapping("name", text(k.Cluster), nounCluster, cluster)},
		{nounUser, k.User, mapping("name", text(k.User), nounUser, user)},
		{nounContext, k.Context, mapping("name", text(k.Context), nounContext, context)},
	}
}

// field is the file's key and value: the path, or under the key with "-data" the text in base64.
func (f File) field(key string) []*yaml.Node {
	if f.Path != "" {
		return []*yaml.Node{text(key), text(f.Path)}
	}
	return []*yaml.Node{text(key + "-data"), text(base64.StdEncoding.EncodeToString([]byte(f.Data)))}
}

// fault says why k cannot be a kubeconfig; it is empty when it can.
func (k Kubeconfig) fault() string {
	for _, named := range []struct{ what, name string }{
		{nounCluster, k.Cluster}, {nounUser, k.User}, {nounContext, k.Context},
	} {
		if !Prints(named.name) {
			return "the " + named.what + "'s name is empty or has a character that does not print"
		}
	}
	if fault := ServerFault(k.Server); fault != "" {
		return "the server " + fault
	}
	for _, file := range []struct {
		what, block string
		file        File
	}{
		{"CA certificate", "CERTIFICATE", k.CA}, {"certificate", "CERTIFICATE", k.Certificate}, {"key", "PRIVATE KEY", k.Key},
	} {
		if fault := file.file.fault(file.block); fault != "" {
			return "the " + file.what + " " + fault
		}
	}
	return ""
}

// fault says why a file cannot be referred to. That the first PEM block is of the right kind keeps a private key out of
// the place of a certificate, which is shown to everybody.
func (f File) fault(block string) string {
	switch {
	case f.Path == "" && f.Data == "":
		return "has neither a path nor data"
	case f.Path != "" && f.Data != "":
		return "has both a path and data"
	case f.Path != "" && (!path.IsAbs(f.Path) || !Prints(f.Path)):
		return "has a path that is not absolute or has a character that does not print"
	case f.Path != "":
		return ""
	}
	first, _ := pem.Decode([]byte(f.Data))
	if first == nil || first.Type != block && !(block == "PRIVATE KEY" && strings.HasSuffix(first.Type, " "+block)) {
		return "has data whose first PEM block is missing, damaged or of another kind"
	}
	return ""
}

// ServerFault says why a URL cannot be a cluster's server. Credentials in it would go wherever the kubeconfig goes, and
// client-go drops a query and a fragment without a word.
func ServerFault(server string) string {
	parsed, err := url.Parse(server)
	switch {
	case err != nil || !Prints(server):
		return "is not a URL"
	case parsed.Scheme != "https" || parsed.Hostname() == "":
		return "is not a URL of the form https://host:port"
	case parsed.User != nil:
		return "has a user in its URL"
	case strings.ContainsAny(server, "?#"):
		return "has a query or a fragment in its URL"
	case strings.HasSuffix(parsed.Host, ":"):
		return "has a colon but no port in its URL"
	}
	if port := parsed.Port(); port != "" {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return "has an impossible port in its URL"
		}
	}
	return ""
}

// Prints reports whether a text is not empty and can be written on one line as it is.
func Prints(value string) bool {
	return value != "" && utf8.ValidString(value) && !strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) })
}
