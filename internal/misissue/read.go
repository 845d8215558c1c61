// SPDX-License-Identifier: AGPL-3.0-only

package misissue

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidOrganization = asn1.ObjectIdentifier{2, 5, 4, 10}
)

// rdn is one relative distinguished name: a set of attributes.
type rdn []attribute

// attribute is one attribute of a name.
type attribute struct {
	oid  asn1.ObjectIdentifier
	text string
	raw  []byte // the whole attribute in DER
}

var errDER = errors.New("it is no DER")

// readName takes a distinguished name apart.
func readName(der []byte) ([]rdn, error) {
	input := cryptobyte.String(der)
	var sequence cryptobyte.String
	if !input.ReadASN1(&sequence, cbasn1.SEQUENCE) || !input.Empty() {
		return nil, errDER
	}
	var name []rdn
	for !sequence.Empty() {
		var set cryptobyte.String
		if !sequence.ReadASN1(&set, cbasn1.SET) || set.Empty() {
			return nil, errDER
		}
		var one rdn
		for !set.Empty() {
			var raw, content, value cryptobyte.String
			var found attribute
			var tag cbasn1.Tag
			if !set.ReadASN1Element(&raw, cbasn1.SEQUENCE) {
				return nil, errDER
			}
			found.raw = raw
			if !raw.ReadASN1(&content, cbasn1.SEQUENCE) || !content.ReadASN1ObjectIdentifier(&found.oid) ||
				!content.ReadAnyASN1(&value, &tag) || !content.Empty() {
				return nil, errDER
			}
			found.text = decode(tag, value)
			one = append(one, found)
		}
		name = append(name, one)
	}
	return name, nil
}

// decode gives a string as a reader would see it.
func decode(tag cbasn1.Tag, content []byte) string {
	const bmpString = cbasn1.Tag(30)
	if tag != bmpString {
		return string(content)
	}
	var units []uint16
	for i := 0; i+1 < len(content); i += 2 {
		units = append(units, uint16(content[i])<<8|uint16(content[i+1]))
	}
	return string(utf16.Decode(units))
}

// texts gives all values of an attribute, wherever in the name they stand.
func texts(name []rdn, oid asn1.ObjectIdentifier) []string {
	var found []string
	for _, set := range name {
		for _, one := range set {
			if one.oid.Equal(oid) {
				found = append(found, one.text)
			}
		}
	}
	return found
}

// generalName is one subject alternative name.
type generalName struct {
	kind    int // the tag's number (RFC 5280, 4.2.1.6)
	content []byte
}

func (n generalName) String() string {
	if addr, ok := netip.AddrFromSlice(n.content); n.kind == kindIP && ok {
		return addr.String()
	}
	return string(n.content)
}

// Kinds of general names.
const (
	kindMail = 1
	kindDNS  = 2
	kindURI  = 6
	kindIP   = 7
	kindID   = 8 // registeredID
)

// readAltNames takes the subject alternative names apart.
func readAltNames(c *x509.Certificate) ([]generalName, error) {
	der := extension(c.Extensions, oidAltNames)
	if der == nil {
		return nil, nil
	}
	input := cryptobyte.String(der)
	var sequence cryptobyte.String
	if !input.ReadASN1(&sequence, cbasn1.SEQUENCE) || !input.Empty() {
		return nil, errDER
	}
	var names []generalName
	for !sequence.Empty() {
		var content cryptobyte.String
		var tag cbasn1.Tag
		if !sequence.ReadAnyASN1(&content, &tag) {
			return nil, errDER
		}
		names = append(names, generalName{int(tag & 0x1f), content})
	}
	return names, nil
}

// printable reports whether a text has nothing but what a reader sees: no control, no mark that turns the direction.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.Is(unicode.Zs, r) && r != ' ' })
}
