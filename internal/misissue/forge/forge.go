// SPDX-License-Identifier: AGPL-3.0-only

// Package forge makes certificate signing requests that crypto/x509 would not: of any names, extensions and keys, encoded
// by hand. It is for tests only. Where to look next: keys.go for the keys.
package forge

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Request is a certificate signing request (RFC 2986) before it is encoded and signed.
type Request struct {
	Version       int64
	Subject       []RDN
	Names         []Name
	AlwaysNames   bool // the extension for alternative names stands there even without any
	CriticalNames bool
	Usages        []asn1.ObjectIdentifier
	Extensions    []Extension // further ones
	Key           *Key
	Forged        bool // signed by somebody else
}

// RDN is one relative distinguished name: a set of attributes.
type RDN []Attribute

// Attribute is one attribute of a name, in DER.
type Attribute []byte

// Name is one subject alternative name.
type Name struct {
	Kind    int // the tag's number (RFC 5280, 4.2.1.6), with Constructed where it has parts
	Content []byte
}

// NameOf makes a name of any kind.
func NameOf(kind int, content []byte) Name { return Name{kind, content} }

// Kinds of names.
const (
	Constructed = 0x20
	OtherName   = Constructed
	Mail        = 1
	DNSName     = 2
	Directory   = Constructed | 4
	URI         = 6
	IP          = 7
	ID          = 8 // registeredID
)

// Extension is one extension that is asked for.
type Extension struct {
	ID       asn1.ObjectIdentifier
	Critical bool
	Value    []byte
}

// ExtensionOf makes any extension.
func ExtensionOf(id asn1.ObjectIdentifier, critical bool, value []byte) Extension {
	return Extension{id, critical, value}
}

// Object identifiers.
var (
	OIDCommonName       = asn1.ObjectIdentifier{2, 5, 4, 3}
	OIDOrganization     = asn1.ObjectIdentifier{2, 5, 4, 10}
	OIDAltNames         = asn1.ObjectIdentifier{2, 5, 29, 17}
	OIDBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	OIDExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	OIDServerAuth       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	OIDClientAuth       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}

	oidExtensionRequest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}
)

// Text makes an attribute of a UTF8String, as most libraries do.
func Text(id asn1.ObjectIdentifier, text string) Attribute {
	return Typed(id, cbasn1.UTF8String, []byte(text))
}

// Typed makes an attribute of any type.
func Typed(id asn1.ObjectIdentifier, tag cbasn1.Tag, content []byte) Attribute {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	})
	return b.BytesOrPanic()
}

// CommonName makes a set of one common name.
func CommonName(text string) RDN { return RDN{Text(OIDCommonName, text)} }

// Organization makes a set of one organisation.
func Organization(text string) RDN { return RDN{Text(OIDOrganization, text)} }

// DNS makes DNS names.
func DNS(names ...string) []Name {
	var list []Name
	for _, name := range names {
		list = append(list, Name{DNSName, []byte(name)})
	}
	return list
}

// Address makes a name of an address: of 16 bytes for one that is mapped.
func Address(text string) Name {
	return Name{IP, netip.MustParseAddr(text).WithZone("").AsSlice()}
}

// Subject encodes a distinguished name; sets are put into the order of DER.
func Subject(name []RDN) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, set := range name {
			sorted := slices.SortedFunc(slices.Values(set), func(a, b Attribute) int { return bytes.Compare(a, b) })
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
				for _, one := range sorted {
					b.AddBytes(one)
				}
			})
		}
	})
	return b.BytesOrPanic()
}

// AltNames encodes subject alternative names.
func AltNames(names []Name) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, name := range names {
			b.AddASN1(cbasn1.Tag(0x80|name.Kind), func(b *cryptobyte.Builder) { b.AddBytes(name.Content) })
		}
	})
	return b.BytesOrPanic()
}

// Usages encodes extended key usages.
func Usages(usages []asn1.ObjectIdentifier) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, usage := range usages {
			b.AddASN1ObjectIdentifier(usage)
		}
	})
	return b.BytesOrPanic()
}

// BasicConstraints are basic constraints; a path length below zero is left out.
func BasicConstraints(isCA bool, pathLength int) Extension {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if isCA {
			b.AddASN1Boolean(true)
		}
		if pathLength >= 0 {
			b.AddASN1Int64(int64(pathLength))
		}
	})
	return Extension{OIDBasicConstraints, true, b.BytesOrPanic()}
}

// All are all extensions that the request asks for.
func (r Request) All() []Extension {
	var list []Extension
	if len(r.Names) > 0 || r.AlwaysNames {
		list = append(list, Extension{OIDAltNames, r.CriticalNames, AltNames(r.Names)})
	}
	if len(r.Usages) > 0 {
		list = append(list, Extension{OIDExtKeyUsage, false, Usages(r.Usages)})
	}
	return append(list, r.Extensions...)
}

// DER encodes and signs the request.
func (r Request) DER() []byte {
	var info cryptobyte.Builder
	info.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(r.Version)
		b.AddBytes(Subject(r.Subject))
		b.AddBytes(r.Key.Info)
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			if list := r.All(); len(list) > 0 {
				addExtensionRequest(b, list)
			}
		})
	})
	signed := info.BytesOrPanic()
	message := signed
	if r.Forged {
		message = append(bytes.Clone(signed), 0)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(signed)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(r.Key.algorithm)
			if r.Key.null {
				b.AddASN1NULL()
			}
		})
		b.AddASN1BitString(r.Key.sign(message))
	})
	return b.BytesOrPanic()
}

func addExtensionRequest(b *cryptobyte.Builder, list []Extension) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidExtensionRequest)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, one := range list {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(one.ID)
						if one.Critical {
							b.AddASN1Boolean(true)
						}
						b.AddASN1OctetString(one.Value)
					})
				}
			})
		})
	})
}

// PEM is a request as it stands in a databag.
func PEM(der []byte) string {
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
}
