// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strconv"
	"strings"
)

// Tags of general names (RFC 5280, 4.2.1.6). x400Address [3] and ediPartyName [5] have no users, and programs that
// meet one refuse the whole certificate.
const (
	tagOtherName     = 0
	tagMail          = 1 // rfc822Name
	tagDNS           = 2
	tagDirectoryName = 4
	tagURI           = 6
	tagIP            = 7
	tagRegisteredID  = 8
)

// readAltNames takes subject alternative names apart, of the kinds and in the shapes that every parser reads. The
// reason follows the words "its subject alternative names".
func readAltNames(der []byte) (names []asn1.RawValue, reason string) {
	var sequence asn1.RawValue
	if err := unmarshal(der, &sequence); err != nil || !universal(sequence, asn1.TagSequence) {
		return nil, "are not one sequence"
	}
	names, err := elements(sequence.Bytes)
	if err != nil {
		return nil, "are damaged"
	}
	for _, name := range names {
		if name.Class != asn1.ClassContextSpecific || name.IsCompound != (name.Tag == tagOtherName || name.Tag == tagDirectoryName) {
			return nil, fmt.Sprintf("hold one of no kind that is known (%d)", name.Tag)
		}
		if reason := altNameFault(name); reason != "" {
			return nil, reason
		}
	}
	return names, ""
}

func altNameFault(name asn1.RawValue) string {
	switch name.Tag {
	case tagOtherName:
		_, explicit, err := typeAndValue(name.Bytes)
		if err != nil || explicit.Class != asn1.ClassContextSpecific || explicit.Tag != 0 || !explicit.IsCompound {
			return "hold a damaged other name"
		}
		if value, err := elements(explicit.Bytes); err != nil || len(value) != 1 {
			return "hold a damaged other name"
		}
	case tagMail, tagDNS, tagURI:
		if strings.ContainsFunc(string(name.Bytes), func(r rune) bool { return r >= 0x80 }) {
			return "hold one that is not ASCII"
		}
	case tagDirectoryName:
		if _, reason := readName(name.Bytes); reason != "" {
			return "hold a directory name that " + reason
		}
	case tagIP:
		if len(name.Bytes) != 4 && len(name.Bytes) != 16 {
			return fmt.Sprintf("hold an IP address of %d bytes, not of 4 or 16", len(name.Bytes))
		}
	case tagRegisteredID:
		if new(x509.OID).UnmarshalBinary(name.Bytes) != nil {
			return "hold a damaged registered ID"
		}
	default:
		return fmt.Sprintf("hold one of the kind %d, which is not certified", name.Tag)
	}
	return ""
}

// contentFault says what may not stand in a certificate although it can be read: text that deceives people and programs,
// or nothing at all.
func contentFault(request *x509.CertificateRequest) string {
	named := len(request.Subject.Names) > 0
	for _, attribute := range request.Subject.Names {
		if text, ok := attribute.Value.(string); ok {
			if err := checkPrints("subject attribute "+shorten(attribute.Type.String()), text); err != nil {
				return err.Error()
			}
		}
	}
	for _, extension := range request.Extensions {
		if !extension.Id.Equal(oidSubjectAltName) {
			continue
		}
		names, reason := readAltNames(extension.Value)
		if reason != "" {
			return "its subject alternative names " + reason
		}
		for _, name := range names {
			if reason := altTextFault(name); reason != "" {
				return "its subject alternative names " + reason
			}
		}
		named = named || len(names) > 0
	}
	if !named {
		return "it names nobody: it has neither a subject nor names"
	}
	return ""
}

func altTextFault(name asn1.RawValue) string {
	switch name.Tag {
	case tagMail, tagURI:
		text := string(name.Bytes)
		switch {
		case text == "":
			return "hold an empty one"
		case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }):
			return fmt.Sprintf("hold %s, which has a character that does not print", shorten(strconv.QuoteToASCII(text)))
		}
	case tagDirectoryName:
		sets, _ := readName(name.Bytes)
		for _, set := range sets {
			for _, attribute := range set {
				if err := checkPrints("attribute "+shorten(attribute.oid)+" of a directory name", attribute.text); err != nil {
					return "are no good: " + err.Error()
				}
			}
		}
	}
	return ""
}
