// SPDX-License-Identifier: AGPL-3.0-only

package misissue

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidSubjectKeyID   = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage       = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidAltNames       = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidConstraints    = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidNameLimits     = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidExtKeyUsage    = asn1.ObjectIdentifier{2, 5, 29, 37}
)

func extension(extensions []pkix.Extension, oid asn1.ObjectIdentifier) []byte {
	for _, one := range extensions {
		if one.Id.Equal(oid) {
			return one.Value
		}
	}
	return nil
}

// judgeProfile compares a certificate with RFC 5280 and with what was asked.
func (h *hearing) judgeProfile() {
	c := h.cert
	h.expect(c.Version == 3, "the version is %d", c.Version)
	h.judgeSerial()
	h.expect(bytes.Equal(c.RawIssuer, h.issuer.RawSubject), "the issuer is not the authority's subject")
	if err := c.CheckSignatureFrom(h.issuer); err != nil {
		h.breach("x509", "the authority did not sign it: %v", err)
	}
	life := h.settings.Life
	if c.IsCA {
		life = h.settings.AuthorityLife
	}
	end := c.NotBefore.Add(life - time.Second) // both ends are included (RFC 5280, 4.1.2.5)
	if end.After(h.issuer.NotAfter) {
		end = h.issuer.NotAfter
	}
	h.expect(c.NotAfter.Equal(end), "it ends at %s, not at %s", c.NotAfter, end)
	h.expect(!c.NotBefore.Before(h.issuer.NotBefore), "it begins before the authority does")
	h.expect(!c.NotAfter.After(h.issuer.NotAfter), "it outlives the authority")
	h.expect(!c.NotBefore.After(h.issue.At) && h.issue.At.Sub(c.NotBefore) <= 5*time.Minute, "it begins at %s", c.NotBefore)
	h.judgeExtensions()
	h.judgeUsages()
	h.judgeText()
	if h.request != nil {
		h.judgeCopies()
	} else {
		h.judgeLegacy()
	}
}

// judgeSerial holds a serial number to RFC 5280, 4.1.2.2, and to being used once.
func (h *hearing) judgeSerial() {
	serial := h.cert.SerialNumber
	h.expect(serial.Sign() > 0 && serial.BitLen() >= 64 && serial.BitLen() < 160, "the serial number %x is not positive, of 64 to 159 bits", serial)
	if serial.BitLen() > 160 {
		return
	}
	var key [20]byte
	serial.FillBytes(key[:])
	h.expect(!h.judge.serials[key], "the serial number %x was used before", serial)
	h.judge.serials[key] = true
}

// judgeExtensions allows the extensions of the profile only, once each, critical where RFC 5280 wants them to be.
func (h *hearing) judgeExtensions() {
	critical := map[string]bool{
		oidSubjectKeyID.String(): false, oidKeyUsage.String(): true, oidConstraints.String(): true,
		oidAuthorityKeyID.String(): false, oidAltNames.String(): len(h.subject) == 0,
	}
	if h.cert.IsCA {
		critical[oidNameLimits.String()] = true
	} else {
		critical[oidExtKeyUsage.String()] = false
	}
	seen := map[string]bool{}
	for _, one := range h.cert.Extensions {
		id := one.Id.String()
		want, known := critical[id]
		h.expect(known, "the extension %s is not of the profile", id)
		h.expect(!known || one.Critical == want, "the extension %s is critical: %t", id, one.Critical)
		h.expect(!seen[id], "the extension %s stands there twice", id)
		seen[id] = true
	}
	for _, oid := range []asn1.ObjectIdentifier{oidSubjectKeyID, oidKeyUsage, oidConstraints, oidAuthorityKeyID} {
		h.expect(seen[oid.String()], "the extension %s is missing", oid)
	}
	h.expect(h.cert.IsCA || seen[oidExtKeyUsage.String()], "it is good for everything: no extended key usage")
	h.expect(len(h.subject) > 0 || len(h.names) > 0, "it names nobody")

	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(h.cert.RawSubjectPublicKeyInfo, &info); err != nil {
		h.breach("x509", "its key is unreadable: %v", err)
	}
	sum := sha256.Sum256(info.Key.Bytes) // RFC 7093, 2, method 1
	h.expect(bytes.Equal(h.cert.SubjectKeyId, sum[:20]), "the subject key identifier is not the key's")
	h.expect(len(h.issuer.SubjectKeyId) > 0 && bytes.Equal(h.cert.AuthorityKeyId, h.issuer.SubjectKeyId),
		"the authority key identifier is not the authority's")
}

// judgeUsages holds usages and basic constraints to the kind that was asked for.
func (h *hearing) judgeUsages() {
	c := h.cert
	h.expect(c.BasicConstraintsValid && c.IsCA == (h.issue.Kind == Authority), "the basic constraints say CA: %t", c.IsCA)
	h.expect(len(c.UnknownExtKeyUsage) == 0, "it has unknown extended key usages")
	if c.IsCA {
		h.expect(c.KeyUsage == x509.KeyUsageCertSign|x509.KeyUsageCRLSign, "a CA's key usage is %b", c.KeyUsage)
		h.expect(len(c.ExtKeyUsage) == 0, "a CA certificate has extended key usages")
		return
	}
	server, client := h.usages()
	var want []x509.ExtKeyUsage
	if server {
		want = append(want, x509.ExtKeyUsageServerAuth)
	}
	if client {
		want = append(want, x509.ExtKeyUsageClientAuth)
	}
	h.expect(slices.Equal(c.ExtKeyUsage, want), "the extended key usages are %v, not %v", c.ExtKeyUsage, want)
	usage := x509.KeyUsageDigitalSignature
	if _, isRSA := c.PublicKey.(*rsa.PublicKey); isRSA && server {
		usage |= x509.KeyUsageKeyEncipherment
	}
	h.expect(c.KeyUsage == usage, "the key usage is %b, not %b", c.KeyUsage, usage)
}

// usages are what was asked for.
func (h *hearing) usages() (server, client bool) {
	if h.request == nil {
		switch h.issue.Kind {
		case Client, Shared:
			return false, true
		default:
			client = len(h.settings.StrictServerUsage) == 0 || slices.Contains(h.settings.StrictServerUsage, h.issue.Application)
			return true, client && (!h.enforced() || !h.issue.CrossModel || h.allowed.Clients)
		}
	}
	asked, _ := h.askedUsages()
	server = slices.ContainsFunc(asked, oidServerAuth.Equal)
	client = slices.ContainsFunc(asked, oidClientAuth.Equal)
	return server || !client, client
}

var (
	oidServerAuth = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	oidClientAuth = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
)

// askedUsages are the extended key usages that a request names; false when they cannot be read.
func (h *hearing) askedUsages() ([]asn1.ObjectIdentifier, bool) {
	der := extension(h.request.Extensions, oidExtKeyUsage)
	if der == nil {
		return nil, true
	}
	var asked []asn1.ObjectIdentifier
	rest, err := asn1.Unmarshal(der, &asked)
	return asked, err == nil && len(rest) == 0
}

// judgeText keeps out what deceives a reader.
func (h *hearing) judgeText() {
	for _, set := range h.subject {
		for _, one := range set {
			h.expect(utf8.ValidString(one.text) && printable(one.text), "the subject's %s is %q", one.oid, one.text)
		}
	}
	for _, name := range h.names {
		text := string(name.content)
		switch name.kind {
		case kindDNS:
			h.expect(isHostName(strings.TrimPrefix(strings.ToLower(text), "*.")), "%q is no host name", text)
		case kindMail, kindURI:
			h.expect(printable(text) && utf8.ValidString(text), "an alternative name is %q", text)
		case kindIP:
			h.expect(len(text) == 4 || len(text) == 16, "an address has %d bytes", len(text))
		}
	}
}

// judgeCopies compares a certificate with its request: what is not the authority's to decide is the request's, byte for byte.
func (h *hearing) judgeCopies() {
	h.expect(bytes.Equal(h.cert.RawSubjectPublicKeyInfo, h.request.RawSubjectPublicKeyInfo), "it certifies another key than the request's")
	if err := h.request.CheckSignature(); err != nil {
		h.breach("x509", "the request is not signed with its own key: %v", err)
	}
	h.expect(bytes.Equal(extension(h.cert.Extensions, oidAltNames), extension(h.request.Extensions, oidAltNames)),
		"the alternative names are not the request's")
	want, err := h.expectedSubject()
	h.expect(err == nil && bytes.Equal(h.cert.RawSubject, want), "the subject is %q, which the request's does not give", h.cert.Subject)
}

// expectedSubject is the request's subject without the organisations that may not stay.
func (h *hearing) expectedSubject() ([]byte, error) {
	name, err := readName(h.request.RawSubject)
	if err != nil || !h.forClients() || !h.enforced() {
		return h.request.RawSubject, err
	}
	var out cryptobyte.Builder
	out.AddASN1(cbasn1.SEQUENCE, func(sequence *cryptobyte.Builder) {
		for _, set := range name {
			kept := slices.DeleteFunc(slices.Clone(set), func(one attribute) bool {
				return one.oid.Equal(oidOrganization) && !reservedOrganization(one.text) && !matches(h.allowed.Identities, one.text)
			})
			if len(kept) == 0 {
				continue
			}
			sequence.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
				for _, one := range kept {
					b.AddBytes(one.raw)
				}
			})
		}
	})
	return out.Bytes()
}

// judgeLegacy compares a certificate with what was asked for by name.
func (h *hearing) judgeLegacy() {
	want := map[string]bool{}
	add := func(text string) {
		text = canonical(text)
		want[text] = text != ""
	}
	for _, name := range h.issue.Names {
		add(name)
	}
	commonName := h.issue.CommonName
	if addr, err := netip.ParseAddr(commonName); addr.Zone() == "" && h.issue.Kind != Client && h.issue.Kind != Shared && (err == nil || isHost(commonName)) {
		add(commonName)
	}
	if h.issue.Kind == Authority {
		clear(want)
	}
	if utf8.RuneCountInString(commonName) > 64 { // RFC 5280, ub-common-name
		commonName = ""
	}
	got := texts(h.subject, oidCommonName)
	h.expect(strings.Join(got, "") == commonName && len(h.subject) == len(got), "the subject is %q, the name asked for %q", h.cert.Subject, commonName)
	for _, name := range h.names {
		text := name.String()
		h.expect(name.kind == kindDNS || name.kind == kindIP, "an alternative name is of the kind %d", name.kind)
		h.expect(want[text], "the alternative name %q was not asked for", text)
		delete(want, text)
	}
	for text, wanted := range want {
		h.expect(!wanted, "the alternative name %q is missing", text)
	}
}

// canonical is a name of the legacy dialect as it stands in a certificate.
func canonical(text string) string {
	text = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(text)), ".")
	if addr, err := netip.ParseAddr(text); err == nil {
		text = addr.Unmap().String()
	}
	return text
}
