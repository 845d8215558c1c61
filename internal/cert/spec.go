// SPDX-License-Identifier: AGPL-3.0-only

// Package cert holds X.509 values: what a certificate shall say (Spec), what was issued (Issued), by whom
// (Authority), under which names (Names), and Key, which never prints itself. Everything is a value; nothing here
// signs, reads a clock or makes randomness. Where to look next: profile.go for what makes a certificate of a Spec, then
// package order, which carries a Spec to a signer.
package cert

import (
	"math/big"
	"time"
)

// Kind is what a certificate is for. It decides usages and constraints.
type Kind string

// The kinds that tls-certificates relations ask for.
const (
	Server       Kind = "server"
	Client       Kind = "client"
	Application  Kind = "application"  // a server certificate shared by all units of an application
	Intermediate Kind = "intermediate" // a CA certificate
)

// Responder is the kind of the certificate with which OCSP responses are signed for a CA (RFC 6960, 4.2.2.2). Nobody
// asks for it in a relation.
const Responder Kind = "responder"

// KeyType names a key algorithm with its size, as the charm's options spell it.
type KeyType string

// The key types that signet makes.
const (
	P256    KeyType = "ecdsa-p256"
	P384    KeyType = "ecdsa-p384"
	RSA2048 KeyType = "rsa-2048"
	RSA3072 KeyType = "rsa-3072"
	RSA4096 KeyType = "rsa-4096"
)

// KeyTypes are all key types that signet makes, the default first.
func KeyTypes() []KeyType { return []KeyType{P256, P384, RSA2048, RSA3072, RSA4096} }

// KeyTypeNames are the key types as text, the default first.
func KeyTypeNames() []string {
	var names []string
	for _, t := range KeyTypes() {
		names = append(names, string(t))
	}
	return names
}

// MaxCommonName is the number of characters that a common name, or an organization, has at most (RFC 5280,
// ub-common-name and ub-organization-name).
const MaxCommonName = 64

// Spec is what a certificate shall say. With a Request, the subject, the public key and the subject alternative
// names are the request's, byte for byte but for the organizations named in Without; without one they come from the
// other fields and the signer makes the key.
type Spec struct {
	Kind          Kind
	CommonName    string   // at most MaxCommonName characters; empty means none
	Organizations []string // in order
	Names         Names
	Request       string       // PEM certificate signing request (RFC 2986); empty for none
	Without       []string     `json:",omitempty"` // organizations of the request that its subject shall not have
	ServerAuth    bool         // extended key usage serverAuth (RFC 5280, 4.2.1.12)
	ClientAuth    bool         // extended key usage clientAuth
	PathLen       int          // CA certificates only: how many CA certificates may follow (RFC 5280, 4.2.1.9)
	Constraints   *Constraints `json:",omitempty"` // CA certificates only: for which names it may issue; nil for all
	Life          time.Duration
	Points        Points `json:",omitzero"`
}

// Constraints are the names for which a CA may issue certificates (RFC 5280, 4.2.1.10): those within one of the domains
// or networks. Where there are none of a kind it may issue for no name of that kind.
type Constraints struct {
	Domains  []string
	Networks []string // CIDR
}

// Points are the URLs at which whoever verifies a certificate finds out more about its issuer: none by default, for a URL
// that cannot be reached does harm.
type Points struct {
	CRL    []string `json:",omitempty"` // revocation lists (RFC 5280, 4.2.1.13)
	OCSP   []string `json:",omitempty"` // responders (RFC 5280, 4.2.2.1)
	Issuer []string `json:",omitempty"` // the issuer's certificate
}

// Issued is one certificate with all that its owner needs to use it.
type Issued struct {
	Certificate string   // PEM, one block, one trailing newline
	Issuers     []string // PEM, the issuing CA's certificate first, its root last
	CA          string   // PEM, the issuing CA's certificate to be told as such where the first issuer is a cross-certificate
	Key         Key      // PKCS#8 PEM when the provider made it; zero when the owner holds it
}

// SerialText is a serial number as this program writes it everywhere: hexadecimal, lower case, no leading zeros.
func SerialText(serial *big.Int) string { return serial.Text(16) }

// Authority is the public half of a certificate authority.
type Authority struct {
	Generation  int      // counts the CAs of one application, from 1
	Certificate string   // PEM of the CA's own certificate
	Issuers     []string // PEM, the CA's issuer first, the root last; empty when the CA is a root
}

// Chain is the CA's certificate and its issuers: what follows a leaf.
func (a Authority) Chain() []string { return append([]string{a.Certificate}, a.Issuers...) }

// Root is the certificate to trust: the last of the chain.
func (a Authority) Root() string {
	chain := a.Chain()
	return chain[len(chain)-1]
}
