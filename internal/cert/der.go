// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"reflect"
)

var (
	oidExtensionRequest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}     // RFC 2985, 5.4.2
	oidMicrosoftRequest = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 14} // the same before there was a standard
)

// encodingFault says why other parsers would stumble over a request that Go's reads; empty when they would not. Python's
// cryptography, with which most requirers read every request and certificate in a databag, insists on DER: one request
// that it cannot read stops all units of its application.
func encodingFault(request *x509.CertificateRequest) string {
	if _, reason := readName(request.RawSubject); reason != "" {
		return "its subject " + reason
	}
	var tbs asn1.RawValue
	if _, err := asn1.Unmarshal(request.RawTBSCertificateRequest, &tbs); err != nil {
		return shorten(err.Error())
	}
	fields, err := elements(tbs.Bytes)
	if err != nil || len(fields) != 4 { // version, subject, key, attributes (RFC 2986, 4.1)
		return "it does not have four parts"
	}
	attributes, err := elements(fields[3].Bytes)
	if err != nil {
		return "its attributes are damaged"
	}
	if !ascending(attributes) {
		return "its attributes are not in the order of DER"
	}
	asked := 0
	for _, attribute := range attributes {
		oid, values, err := readAttribute(attribute)
		if err != nil {
			return "it has an attribute that is damaged: " + shorten(err.Error())
		}
		if len(values) == 0 || !ascending(values) {
			return fmt.Sprintf("the values of its attribute %s are none, or not in the order of DER", shorten(oid.String()))
		}
		if !oid.Equal(oidExtensionRequest) && !oid.Equal(oidMicrosoftRequest) {
			continue
		}
		if asked++; asked > 1 || len(values) > 1 {
			return "it asks for extensions more than once"
		}
		if reason := extensionsFault(values[0]); reason != "" {
			return reason
		}
	}
	return ""
}

// readAttribute takes an attribute apart (RFC 2986, 4.1).
func readAttribute(der asn1.RawValue) (oid asn1.ObjectIdentifier, values []asn1.RawValue, err error) {
	oid, set, err := typeAndValue(der.Bytes)
	if err != nil {
		return nil, nil, err
	}
	if !universal(der, asn1.TagSequence) || !universal(set, asn1.TagSet) {
		return nil, nil, asn1.StructuralError{Msg: "it is not a sequence with a set"}
	}
	values, err = elements(set.Bytes)
	return oid, values, err
}

// typeAndValue reads the content of a sequence: an object identifier and one value of its choice.
func typeAndValue(content []byte) (oid asn1.ObjectIdentifier, value asn1.RawValue, err error) {
	parts, err := elements(content)
	if err != nil {
		return nil, asn1.RawValue{}, err
	}
	if len(parts) != 2 {
		return nil, asn1.RawValue{}, asn1.StructuralError{Msg: "it does not have two parts"}
	}
	err = unmarshal(parts[0].FullBytes, &oid)
	return oid, parts[1], err
}

// extensionsFault looks at the extensions that a request asks for (RFC 5280, 4.1).
func extensionsFault(der asn1.RawValue) string {
	if !universal(der, asn1.TagSequence) {
		return "the extensions it asks for are not a sequence"
	}
	extensions, err := elements(der.Bytes)
	if err != nil {
		return "the extensions it asks for are damaged"
	}
	for _, raw := range extensions {
		var extension struct {
			ID       asn1.ObjectIdentifier
			Critical bool `asn1:"optional"`
			Value    []byte
		}
		if !sameAgain(raw.FullBytes, &extension) {
			return "it asks for an extension that is not written in DER"
		}
		if reason := extensionFault(extension.ID, extension.Value); reason != "" {
			return reason
		}
	}
	return ""
}

// extensionFault looks into extensions that requests often have. Others can be read by name only, if at all.
func extensionFault(id asn1.ObjectIdentifier, value []byte) string {
	var what any
	switch id.String() {
	case oidSubjectAltName.String():
		if _, reason := readAltNames(value); reason != "" {
			return "its subject alternative names " + reason
		}
		return ""
	case "2.5.29.14": // subjectKeyIdentifier
		what = new([]byte)
	case "2.5.29.15": // keyUsage
		what = new(asn1.BitString)
	case "2.5.29.19": // basicConstraints
		what = new(struct {
			IsCA    bool `asn1:"optional"`
			PathLen int  `asn1:"optional,default:-1"`
		})
	case "2.5.29.37": // extKeyUsage
		what = new([]asn1.ObjectIdentifier)
	default:
		return ""
	}
	if !sameAgain(value, what) {
		return fmt.Sprintf("its extension %s is not written in DER", id)
	}
	return ""
}

// elements takes apart what stands inside of a sequence or set.
func elements(content []byte) ([]asn1.RawValue, error) {
	var list []asn1.RawValue
	for len(content) > 0 {
		var element asn1.RawValue
		rest, err := asn1.Unmarshal(content, &element)
		if err != nil {
			return nil, err
		}
		list, content = append(list, element), rest
	}
	return list, nil
}

// ascending reports whether the elements of a SET OF are in the order that DER wants (X.690, 11.6), none twice. No
// encoding is the beginning of another, so that padding the shorter one makes no difference.
func ascending(set []asn1.RawValue) bool {
	for i := 1; i < len(set); i++ {
		if bytes.Compare(set[i-1].FullBytes, set[i].FullBytes) >= 0 {
			return false
		}
	}
	return true
}

// universal reports whether a value is a sequence or a set.
func universal(value asn1.RawValue, tag int) bool {
	return value.Class == asn1.ClassUniversal && value.Tag == tag && value.IsCompound
}

// unmarshal reads one value and nothing after it.
func unmarshal(der []byte, value any) error {
	rest, err := asn1.Unmarshal(der, value)
	if err == nil && len(rest) > 0 {
		return asn1.SyntaxError{Msg: "there is something after the value"}
	}
	return err
}

// sameAgain reads a value into a pointer and reports whether writing it gives the same bytes, as DER demands.
func sameAgain(der []byte, value any) bool {
	if unmarshal(der, value) != nil {
		return false
	}
	again, err := asn1.Marshal(reflect.ValueOf(value).Elem().Interface())
	return err == nil && bytes.Equal(again, der)
}

// Extension is the value of a certificate's extension; nil where it has none.
func Extension(certificate *x509.Certificate, id asn1.ObjectIdentifier) []byte {
	for _, extension := range certificate.Extensions {
		if extension.Id.Equal(id) {
			return extension.Value
		}
	}
	return nil
}
