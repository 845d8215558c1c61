// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"crypto/x509"
	"encoding/asn1"
	"net/netip"
	"slices"
)

// Requested is what a certificate signing request says beside its key, DNS names and addresses, for whoever decides
// whether it may have that. Text is as it stands in the request.
type Requested struct {
	CommonNames   []string // in order; programs disagree on which one counts when there are several
	Organizations []string // in order, of all relative distinguished names
	Attributes    int      // of the subject, besides these
	AltNames      bool     // it has subject alternative names, of whatever kind
	Mails         []string // subject alternative names of the kinds that Names has not
	URIs          []string
	OtherNames    []string // the kinds of those whose meaning nobody checks: "other name", "directory name"
	Mapped        []string // IPv4 addresses written as IPv6 ones (RFC 4291, 2.5.5.2)
	ServerAuth    bool     // extended key usages
	ClientAuth    bool
	OtherUsages   []string // object identifiers of further ones
	Critical      []string // object identifiers of critical extensions that no profile knows
	IsCA          bool     // basic constraints say so
}

// ReadRequested reads what a request asks for. The request has passed ParseRequest, so that everything can be read.
func ReadRequested(request *x509.CertificateRequest) Requested {
	var r Requested
	sets, _ := readName(request.RawSubject)
	for _, set := range sets {
		for _, attribute := range set {
			switch attribute.oid {
			case oidCommonName.String():
				r.CommonNames = append(r.CommonNames, attribute.text)
			case oidOrganization.String():
				r.Organizations = append(r.Organizations, attribute.text)
			default:
				r.Attributes++
			}
		}
	}
	for _, extension := range request.Extensions {
		switch id := extension.Id.String(); id {
		case oidSubjectAltName.String():
			r.AltNames = true
			r.readNames(extension.Value)
		case oidExtKeyUsage.String():
			r.readUsages(extension.Value)
		case oidBasicConstraints.String():
			var constraints struct {
				IsCA    bool `asn1:"optional"`
				PathLen int  `asn1:"optional,default:-1"`
			}
			r.IsCA = r.IsCA || unmarshal(extension.Value, &constraints) == nil && constraints.IsCA
		case oidKeyUsage.String():
		default:
			if extension.Critical {
				r.Critical = append(r.Critical, id)
			}
		}
	}
	return r
}

func (r *Requested) readNames(der []byte) {
	names, _ := readAltNames(der)
	for _, name := range names {
		switch name.Tag {
		case tagMail:
			r.Mails = append(r.Mails, string(name.Bytes))
		case tagURI:
			r.URIs = append(r.URIs, string(name.Bytes))
		case tagOtherName:
			r.OtherNames = append(r.OtherNames, "other name")
		case tagDirectoryName:
			r.OtherNames = append(r.OtherNames, "directory name")
		case tagIP:
			if addr, ok := netip.AddrFromSlice(name.Bytes); ok && addr.Is4In6() {
				r.Mapped = append(r.Mapped, addr.String())
			}
		}
	}
}

func (r *Requested) readUsages(der []byte) {
	var usages []asn1.ObjectIdentifier
	_ = unmarshal(der, &usages) // ParseRequest refused what is not DER
	for _, usage := range usages {
		switch {
		case usage.Equal(oidServerAuth):
			r.ServerAuth = true
		case usage.Equal(oidClientAuth):
			r.ClientAuth = true
		default:
			r.OtherUsages = append(r.OtherUsages, usage.String())
		}
	}
}

// withoutOrganizations gives a subject without some of its organizations, and everything else byte for byte. A set of
// which nothing is left goes.
func withoutOrganizations(subject []byte, unwanted []string) ([]byte, error) {
	var sequence asn1.RawValue
	if err := unmarshal(subject, &sequence); err != nil {
		return nil, err
	}
	sets, err := elements(sequence.Bytes)
	if err != nil {
		return nil, err
	}
	var kept []asn1.RawValue
	for _, set := range sets {
		members, err := elements(set.Bytes)
		if err != nil {
			return nil, err
		}
		left := slices.DeleteFunc(slices.Clone(members), func(member asn1.RawValue) bool {
			read, reason := readNameAttribute(member)
			return reason == "" && read.oid == oidOrganization.String() && slices.Contains(unwanted, read.text)
		})
		switch {
		case len(left) == len(members):
			kept = append(kept, set)
		case len(left) > 0:
			kept = append(kept, wrapped(asn1.TagSet, left))
		}
	}
	return asn1.Marshal(wrapped(asn1.TagSequence, kept))
}

// wrapped puts encoded values into a sequence or set, in their order.
func wrapped(tag int, values []asn1.RawValue) asn1.RawValue {
	outer := asn1.RawValue{Class: asn1.ClassUniversal, Tag: tag, IsCompound: true}
	for _, value := range values {
		outer.Bytes = append(outer.Bytes, value.FullBytes...)
	}
	if der, err := asn1.Marshal(outer); err == nil {
		outer.FullBytes = der
	}
	return outer
}
