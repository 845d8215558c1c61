// SPDX-License-Identifier: AGPL-3.0-only

package order

import (
	"github.com/signet-charm/signet/internal/cert"
)

// MakeRequest asks for a certificate signing request (RFC 2986) under a private key that never leaves this unit.
type MakeRequest struct {
	Name          string    // which certificate of this unit: "server", "client"
	Kind          cert.Kind // asked for as extended key usage: Server serverAuth, Client clientAuth
	ClientAuth    bool      // a server's certificate that is a client's as well, as etcd uses it among its peers
	CommonName    string
	Organizations []string
	Names         cert.Names
	KeyType       cert.KeyType
	Replaces      string // serial (hex) of the certificate to be renewed; makes a new request under the same key
	NewKey        bool   // under a new key, made once for this order
}

// Install asks for a folder of files that appear together: all of them or, after a crash, the former ones.
type Install struct {
	Name    string // which bundle of this unit: "certificates", "received-ca"
	Dir     string // where; empty for the unit's own folder
	Files   []File // none removes the bundle
	Owner   string // user name or number that shall own the files; empty for the charm's own user
	Group   string // group name or number; empty for that of the charm's own user
	KeyMode uint32 // mode of the files with a key, 0600 when zero; all others have 0644
}

// File is one file of a bundle. Its content is the text, the key that MakeRequest made under KeyName, or what is
// rendered of other files of the bundle.
type File struct {
	Name       string // plain file name
	Text       string
	Key        cert.Key    `json:"-"` // secret content
	KeyName    string      // MakeRequest.Name whose private key is the content
	Keep       bool        // the content is what stands in the bundle under this name
	Kubeconfig *Kubeconfig `json:",omitempty"` // secret content where it embeds the key
	Kubelet    *Kubelet    `json:",omitempty"`
}

// Kubeconfig is what a kubeconfig says. Certificates and key are files of the bundle, by name.
type Kubeconfig struct {
	Cluster, User, Context string
	Server                 string // URL
	CA, Certificate, Key   string
	Embed                  bool // the files' content stands in the kubeconfig, not their paths
}

// Kubelet is what a drop-in for kubelet's configuration says. The values are files of the bundle, by name.
type Kubelet struct{ Certificate, Key, ClientCA string }

// Sums are the SHA-256 of files' content, in hexadecimal, by file name.
type Sums map[string]string

// Link asks for symbolic links from where programs look to files of an installed bundle. Links made for an earlier
// order that are not among these go. One that cannot be made harms no other; the failure names it.
type Link struct {
	Bundle    string
	Dir       string // where the bundle is, as in Install
	Links     []LinkAt
	Overwrite bool // whatever is at a path, but a folder, is replaced; else only what an earlier order put there
}

// LinkAt is one link: an absolute path, and the name of the file it leads to.
type LinkAt struct{ Path, File string }

// Merge asks for a kubeconfig's cluster, user and context to be in another file, beside what others put there. What an
// earlier order put into another file goes.
type Merge struct {
	Bundle     string
	Dir        string // where the bundle is, as in Install
	Path       string // of the file to merge into; empty for none
	Kubeconfig Kubeconfig
	Sums       Sums // of the files that are embedded
	Overwrite  bool // entries of these names are replaced even when somebody else made them
}

// Trust asks for CA certificates to lie where the machine's trust store is made from, one to a file, and for no others
// of this unit's.
type Trust struct {
	Unit         string
	Certificates []string // PEM, one each
}

// RefreshTrust asks for the machine's trust store to be made anew.
type RefreshTrust struct {
	For  ID     // the order of the files that lie there now
	Laid string // which laying of files it was: one that was put back has to be taken up again
}

// Reload asks for a service to take up new files.
type Reload struct {
	Service string // systemd's name for it
	Verb    string // systemctl's: "reload-or-restart", "reload", "restart"
	Files   Sums   // what it shall take up
}

// ID implements Order.
func (o MakeRequest) ID() ID { return hash("make-request", o) }

// ID implements Order. Keys enter by their hash, so that a new key is a new order.
func (o Install) ID() ID {
	type file struct {
		File

		KeyHash string
	}
	files := make([]file, len(o.Files))
	for i, f := range o.Files {
		files[i].File = f
		if !f.Key.IsZero() {
			files[i].KeyHash = keyHash(f.Key)
		}
	}
	return hash("install", []any{o.Name, o.Dir, files, o.Owner, o.Group, o.KeyMode})
}

// ID implements Order.
func (o Link) ID() ID { return hash("link", o) }

// ID implements Order.
func (o Merge) ID() ID { return hash("merge", o) }

// ID implements Order.
func (o Trust) ID() ID { return hash("trust", o) }

// ID implements Order.
func (o RefreshTrust) ID() ID { return hash("refresh-trust", o) }

// ID implements Order.
func (o Reload) ID() ID { return hash("reload", o) }

func (MakeRequest) order()  {}
func (Install) order()      {}
func (Link) order()         {}
func (Merge) order()        {}
func (Trust) order()        {}
func (RefreshTrust) order() {}
func (Reload) order()       {}
