// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// attribute is one part of a distinguished name, its text decoded.
type attribute struct{ oid, text string }

// readName reads a distinguished name (RFC 5280, 4.1.2.4) that every parser reads: each set has elements, in the order
// of DER, that differ in more than the type of their strings; each text is one that can be decoded, and not empty. The
// reason follows the words "its subject".
func readName(der []byte) (sets [][]attribute, reason string) {
	var name asn1.RawValue
	if err := unmarshal(der, &name); err != nil || !universal(name, asn1.TagSequence) {
		return nil, "is not one sequence"
	}
	rawSets, err := elements(name.Bytes)
	if err != nil {
		return nil, "is damaged"
	}
	for _, rawSet := range rawSets {
		members, err := elements(rawSet.Bytes)
		switch {
		case err != nil || !universal(rawSet, asn1.TagSet):
			return nil, "is damaged"
		case len(members) == 0:
			return nil, "has an empty set of attributes"
		case !ascending(members):
			return nil, "has a set of attributes that is not in the order of DER"
		}
		var set []attribute
		for _, member := range members {
			read, reason := readNameAttribute(member)
			if reason != "" {
				return nil, reason
			}
			if slices.Contains(set, read) {
				return nil, "has the same attribute twice in one set"
			}
			set = append(set, read)
		}
		sets = append(sets, set)
	}
	return sets, ""
}

func readNameAttribute(der asn1.RawValue) (attribute, string) {
	oid, value, err := typeAndValue(der.Bytes)
	if err != nil || !universal(der, asn1.TagSequence) {
		return attribute{}, "has a damaged attribute"
	}
	text, reason := decodeText(value)
	if reason == "" && text == "" {
		reason = "is empty"
	}
	if reason != "" {
		return attribute{}, fmt.Sprintf("has the attribute %s, whose value %s", shorten(oid.String()), reason)
	}
	return attribute{oid.String(), text}, ""
}

// decodeText decodes the string types that all parsers agree on. TeletexString is none of them: some take it for
// Latin-1, some for UTF-8, some refuse it.
func decodeText(value asn1.RawValue) (text, reason string) {
	if value.Class != asn1.ClassUniversal || value.IsCompound {
		return "", "is not text"
	}
	outside := func(allowed func(byte) bool) bool {
		return slices.ContainsFunc(value.Bytes, func(b byte) bool { return !allowed(b) })
	}
	text = string(value.Bytes)
	switch value.Tag {
	case asn1.TagUTF8String:
		if !utf8.ValidString(text) {
			return "", "is not valid UTF-8"
		}
	case asn1.TagPrintableString:
		if outside(isPrintableString) {
			return "", "has a character that is not allowed in a PrintableString"
		}
	case asn1.TagNumericString:
		if outside(func(b byte) bool { return b == ' ' || b >= '0' && b <= '9' }) {
			return "", "has a character that is not allowed in a NumericString"
		}
	case asn1.TagIA5String:
		if outside(func(b byte) bool { return b < 0x80 }) {
			return "", "has a character that is not allowed in an IA5String"
		}
	case asn1.TagBMPString:
		return decodeBMP(value.Bytes)
	case asn1.TagT61String:
		return "", "is a TeletexString"
	default:
		return "", fmt.Sprintf("has the type %d, which is not text", value.Tag)
	}
	return text, ""
}

// isPrintableString is X.680, 41.4. Go allows '*' and '&' as well.
func isPrintableString(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte(" '()+,-./:=?", b) >= 0
}

// decodeBMP decodes pairs of bytes; a BMPString has no surrogates.
func decodeBMP(content []byte) (text, reason string) {
	if len(content)%2 != 0 {
		return "", "has half a character"
	}
	var decoded strings.Builder
	for i := 0; i < len(content); i += 2 {
		r := rune(content[i])<<8 | rune(content[i+1])
		if utf16.IsSurrogate(r) {
			return "", "has a character that is not allowed in a BMPString"
		}
		decoded.WriteRune(r)
	}
	return decoded.String(), ""
}

// SameName compares two distinguished names in DER as RFC 5280, 7.1, does: string types, case, and how much white space
// there is do not count. Names that cannot be read are the same when their bytes are.
func SameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	setsA, reasonA := readName(a)
	setsB, reasonB := readName(b)
	return reasonA == "" && reasonB == "" && slices.EqualFunc(setsA, setsB, sameSet)
}

// sameSet compares two relative distinguished names; their order is that of their encoding, which does not count.
func sameSet(a, b []attribute) bool {
	left := slices.Clone(b)
	for _, one := range a {
		at := slices.IndexFunc(left, func(other attribute) bool {
			return one.oid == other.oid && strings.EqualFold(squeeze(one.text), squeeze(other.text))
		})
		if at < 0 {
			return false
		}
		left = slices.Delete(left, at, at+1)
	}
	return len(left) == 0
}

func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }
