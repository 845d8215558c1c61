// SPDX-License-Identifier: AGPL-3.0-only

package misissue

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

// draft is a certificate signing request, written down before it is encoded and signed. Unlike crypto/x509's template it
// can say anything.
type draft struct {
	version    int64
	subject    []rdn
	names      []generalName
	alwaysAlt  bool // the extension for alternative names stands there even without any
	critical   bool // and is critical
	usages     []asn1.ObjectIdentifier
	extensions []rawExtension
	key        *key
	forged     bool // signed by somebody else
}

type rawExtension struct {
	oid      asn1.ObjectIdentifier
	critical bool
	value    []byte
}

const (
	kindOther     = 0x20 | 0 // constructed
	kindX400      = 0x20 | 3
	kindDirectory = 0x20 | 4
)

// utf8Text makes an attribute of a UTF8String, as most libraries do.
func utf8Text(oid asn1.ObjectIdentifier, text string) attribute {
	return typed(oid, cbasn1.UTF8String, []byte(text))
}

func typed(oid asn1.ObjectIdentifier, tag cbasn1.Tag, content []byte) attribute {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	})
	return attribute{oid: oid, raw: b.BytesOrPanic()}
}

func commonName(text string) rdn   { return rdn{utf8Text(oidCommonName, text)} }
func organization(text string) rdn { return rdn{utf8Text(oidOrganization, text)} }

func dns(names ...string) []generalName {
	var list []generalName
	for _, name := range names {
		list = append(list, generalName{kindDNS, []byte(name)})
	}
	return list
}

// address makes a name of an address: 16 bytes for one that is mapped.
func address(text string) generalName {
	return generalName{kindIP, netip.MustParseAddr(text).WithZone("").AsSlice()}
}

// encodeName encodes a distinguished name; sets are put into the order of DER.
func encodeName(name []rdn) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, set := range name {
			sorted := slices.SortedFunc(slices.Values(set), func(a, b attribute) int { return bytes.Compare(a.raw, b.raw) })
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
				for _, one := range sorted {
					b.AddBytes(one.raw)
				}
			})
		}
	})
	return b.BytesOrPanic()
}

func encodeAltNames(names []generalName) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, name := range names {
			b.AddASN1(cbasn1.Tag(0x80|name.kind), func(b *cryptobyte.Builder) { b.AddBytes(name.content) })
		}
	})
	return b.BytesOrPanic()
}

func encodeUsages(usages []asn1.ObjectIdentifier) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, usage := range usages {
			b.AddASN1ObjectIdentifier(usage)
		}
	})
	return b.BytesOrPanic()
}

// constraints are basic constraints; a path length below zero is left out.
func constraints(isCA bool, pathLength int) rawExtension {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if isCA {
			b.AddASN1Boolean(true)
		}
		if pathLength >= 0 {
			b.AddASN1Int64(int64(pathLength))
		}
	})
	return rawExtension{oidConstraints, true, b.BytesOrPanic()}
}

// all are the extensions of the request.
func (d draft) all() []rawExtension {
	var list []rawExtension
	if len(d.names) > 0 || d.alwaysAlt {
		list = append(list, rawExtension{oidAltNames, d.critical, encodeAltNames(d.names)})
	}
	if len(d.usages) > 0 {
		list = append(list, rawExtension{oidExtKeyUsage, false, encodeUsages(d.usages)})
	}
	return append(list, d.extensions...)
}

var oidExtensionRequest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}

// der encodes and signs the request (RFC 2986).
func (d draft) der() []byte {
	var info cryptobyte.Builder
	info.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(d.version)
		b.AddBytes(encodeName(d.subject))
		b.AddBytes(d.key.info)
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			if list := d.all(); len(list) > 0 {
				addExtensionRequest(b, list)
			}
		})
	})
	signed := info.BytesOrPanic()
	message := signed
	if d.forged {
		message = append(bytes.Clone(signed), 0)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(signed)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(d.key.algorithm)
			if d.key.null {
				b.AddASN1NULL()
			}
		})
		b.AddASN1BitString(d.key.sign(message))
	})
	return b.BytesOrPanic()
}

func addExtensionRequest(b *cryptobyte.Builder, list []rawExtension) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidExtensionRequest)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, one := range list {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(one.oid)
						if one.critical {
							b.AddASN1Boolean(true)
						}
						b.AddASN1OctetString(one.value)
					})
				}
			})
		})
	})
}

// pem is the request as it stands in a databag.
func pemRequest(der []byte) string {
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
}
