// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
	"time"
)

// RequestTemplate is the template of a request (RFC 2986) for a certificate as a spec wants it, for a key that was made here.
// It says all that the certificate shall say, usages and constraints too, so that whoever signs may copy all of it.
func RequestTemplate(spec Spec, public crypto.PublicKey) (*x509.CertificateRequest, error) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of no request
	issuer := &x509.Certificate{PublicKey: public, NotBefore: begin, NotAfter: begin.AddDate(1000, 0, 0), MaxPathLen: -1}
	spec.Life = time.Hour
	template, err := Template(spec, issuer, public, big.NewInt(1), begin)
	if err != nil {
		return nil, err
	}
	request := &x509.CertificateRequest{
		RawSubject: template.RawSubject, DNSNames: template.DNSNames, IPAddresses: template.IPAddresses,
		ExtraExtensions: template.ExtraExtensions,
	}
	constraints := struct {
		IsCA    bool `asn1:"optional"`
		PathLen int  `asn1:"optional,default:-1"`
	}{template.IsCA, -1}
	if template.IsCA {
		constraints.PathLen = template.MaxPathLen
	}
	var usages []asn1.ObjectIdentifier
	for _, usage := range template.ExtKeyUsage {
		switch usage {
		case x509.ExtKeyUsageServerAuth:
			usages = append(usages, oidServerAuth)
		case x509.ExtKeyUsageClientAuth:
			usages = append(usages, oidClientAuth)
		}
	}
	add := func(oid asn1.ObjectIdentifier, critical bool, value any) {
		var der []byte
		if der, err = asn1.Marshal(value); err == nil {
			request.ExtraExtensions = append(request.ExtraExtensions, pkix.Extension{Id: oid, Critical: critical, Value: der})
		}
	}
	if add(oidBasicConstraints, true, constraints); err == nil {
		add(oidKeyUsage, true, usageBits(template.KeyUsage))
	}
	if len(usages) > 0 && err == nil {
		add(oidExtKeyUsage, false, usages)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot encode what is asked for: %w", err)
	}
	return request, nil
}

// usageBits is a key usage as it is encoded: the first bit is the highest (RFC 5280, 4.2.1.3).
func usageBits(usage x509.KeyUsage) asn1.BitString {
	value := uint16(usage) //nolint:gosec // nine bits are defined
	octets := binary.LittleEndian.AppendUint16(nil, value)
	for i, octet := range octets {
		octets[i] = bits.Reverse8(octet)
	}
	return asn1.BitString{Bytes: octets[:(bits.Len16(value)+7)/8], BitLength: bits.Len16(value)}
}
