// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"strings"
)

// Fault says in which way a certificate signing request is no good; it is stable, so that callers branch on it.
type Fault string

// The faults of a request.
const (
	FaultMalformed Fault = "malformed"     // not one PEM block with a request (RFC 2986) in it
	FaultTooLarge  Fault = "too-large"     // longer than MaxRequest
	FaultSignature Fault = "bad-signature" // not signed with its own key: its sender may not have the key
	FaultWeakKey   Fault = "weak-key"      // a key too small or of a kind that is not certified
)

// MaxRequest is the length in bytes of the longest request that is read. An RSA-8192 request with a hundred names has
// less than 8 KiB.
const MaxRequest = 64 << 10

// RequestError says what is wrong with a request.
type RequestError struct {
	Fault  Fault
	Reason string // without the request's text
}

func (e *RequestError) Error() string { return "cannot use certificate request: " + e.Reason }

// ParseRequest reads a certificate signing request: PEM, exactly one block without headers, nothing but white space
// around it, lines ending in LF or CRLF; in it DER that not only Go reads. It is strict because the text will be echoed
// into a databag, and subject and names copied into a certificate, where the parsers of other charms meet them. The
// error is a *RequestError, malformed or too large; key, texts and signature are CheckRequest's matter.
func ParseRequest(text string) (*x509.CertificateRequest, error) {
	if len(text) > MaxRequest {
		return nil, &RequestError{FaultTooLarge, fmt.Sprintf("it has %d bytes, more than %d", len(text), MaxRequest)}
	}
	der, reason := requestBlock(text)
	if reason != "" {
		return nil, &RequestError{FaultMalformed, reason}
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, &RequestError{FaultMalformed, "its PEM block holds no request: " + shorten(err.Error())}
	}
	if request.Version != 0 { // RFC 2986, 4.1: v1(0); Python's cryptography refuses others, Go does not
		return nil, &RequestError{FaultMalformed, "its version is not 1"}
	}
	if reason := encodingFault(request); reason != "" {
		return nil, &RequestError{FaultMalformed, reason}
	}
	return request, nil
}

// requestBlock gives the DER of the only PEM block, or what is wrong.
func requestBlock(whole string) (der []byte, reason string) {
	text := strings.Trim(whole, " \t\r\n") // no other white space: PEM readers do not know it
	switch blocks := strings.Count(text, "-----BEGIN "); {
	case blocks == 0:
		return nil, "it holds no PEM block"
	case blocks > 1:
		return nil, fmt.Sprintf("it holds %d PEM blocks", blocks)
	case !strings.HasPrefix(text, "-----BEGIN "):
		return nil, "there is other text before the PEM block"
	}
	block, rest := pem.Decode([]byte(whole)) // which is what others will read: a carriage return alone is no line's end to them
	switch {
	case block == nil:
		return nil, "its PEM block is damaged"
	case block.Type != blockRequest && block.Type != "NEW "+blockRequest:
		return nil, "its PEM block is " + blockName(block.Type)
	case len(block.Headers) > 0:
		return nil, "its PEM block has headers"
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, "there is other text after the PEM block"
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if !strings.HasPrefix(line, "-----") && strings.IndexFunc(line, notBase64) >= 0 {
			return nil, "its PEM block has characters that are not base64"
		}
	}
	return block.Bytes, ""
}

func notBase64(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '+' && r != '/' && r != '='
}

// CheckRequest checks the request's public key (RSA of 2048 to 8192 bits with an odd exponent of at least 65537,
// P-256, P-384, P-521, Ed25519), that its text prints, and then its signature, in this order so that no time is spent on
// a monstrous key. The error is a *RequestError.
func CheckRequest(request *x509.CertificateRequest) error {
	if reason := weakness(request.PublicKey); reason != "" {
		return &RequestError{FaultWeakKey, reason}
	}
	if reason := contentFault(request); reason != "" {
		return &RequestError{FaultMalformed, reason}
	}
	if err := request.CheckSignature(); err != nil {
		return &RequestError{FaultSignature, "it is not signed with its own key: " + shorten(err.Error())}
	}
	return nil
}

// weakness says why a public key is not certified; empty when it is.
func weakness(key any) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		switch bits := key.N.BitLen(); {
		case bits < 2048:
			return fmt.Sprintf("its RSA key has %d bits, fewer than 2048", bits)
		case bits > 8192:
			return fmt.Sprintf("its RSA key has %d bits, more than 8192", bits)
		case key.E < 65537 || key.E%2 == 0:
			return fmt.Sprintf("its RSA key has the exponent %d, which is not an odd number of at least 65537", key.E)
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() && key.Curve != elliptic.P521() {
			return fmt.Sprintf("its EC key is on %s, not on P-256, P-384 or P-521", key.Curve.Params().Name)
		}
	case ed25519.PublicKey:
	default:
		return "its key is neither RSA nor EC nor Ed25519"
	}
	return ""
}

// RequestNames are the DNS names and IP addresses that a request asks for. The error is a *NameError for the first
// that cannot stand in a certificate, such as an address written as a DNS name.
func RequestNames(request *x509.CertificateRequest) (Names, error) {
	var names Names
	for _, name := range request.DNSNames {
		if _, err := netip.ParseAddr(name); err == nil {
			return Names{}, &NameError{name, "an IP address is written as a DNS name"}
		}
		name = strings.ToLower(name)
		if err := checkHostName(name); err != nil {
			return Names{}, err
		}
		names.DNS = append(names.DNS, name)
	}
	for _, ip := range request.IPAddresses {
		addr, ok := netip.AddrFromSlice(ip)
		if !ok {
			return Names{}, &NameError{ip.String(), "an IP address has 4 or 16 bytes"}
		}
		names.IPs = append(names.IPs, addr.Unmap().String())
	}
	return names.canonical(), nil
}
