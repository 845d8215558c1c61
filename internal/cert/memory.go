// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"crypto/x509"
	"slices"

	"github.com/signet-charm/signet/internal/memo"
)

// Memory reads texts as this package's functions of the same names do, and each of them once. What it gives is shared: nobody may
// change it. It is not safe for concurrent use.
type Memory struct {
	certificates memo.Of[string, read[[]*x509.Certificate]]
	requests     memo.Of[string, read[*x509.CertificateRequest]]
	checks       memo.Of[*x509.CertificateRequest, error]
	matches      memo.Of[match, bool]
	texts        memo.Of[*x509.Certificate, string]
	names        memo.Of[*x509.Certificate, Names]
}

// read is what came of reading a text.
type read[T any] struct {
	value T
	err   error
}

// match asks whether a private key is a certificate's.
type match struct {
	key         string
	certificate *x509.Certificate
}

// Pass ends one pass over the world: what was not needed in the last few is forgotten.
func (m *Memory) Pass() {
	m.certificates.Pass()
	m.requests.Pass()
	m.checks.Pass()
	m.matches.Pass()
	m.texts.Pass()
	m.names.Pass()
}

// Len is how many results are remembered.
func (m *Memory) Len() int {
	return m.certificates.Len() + m.requests.Len() + m.checks.Len() + m.matches.Len() + m.texts.Len() + m.names.Len()
}

// ParseCertificates is the function of the same name.
func (m *Memory) ParseCertificates(text string) ([]*x509.Certificate, error) {
	found := m.certificates.Get(text, func() read[[]*x509.Certificate] {
		certificates, err := ParseCertificates(text)
		return read[[]*x509.Certificate]{slices.Clip(certificates), err}
	})
	return found.value, found.err
}

// ParseCertificate is the function of the same name.
func (m *Memory) ParseCertificate(text string) (*x509.Certificate, error) {
	found, err := m.ParseCertificates(text)
	if err != nil || len(found) != 1 {
		return ParseCertificate(text) // which says why not
	}
	return found[0], nil
}

// Parse is the function of the same name.
func (m *Memory) Parse(text string) (*x509.Certificate, error) {
	if text == "" {
		return Parse(text)
	}
	found, err := m.ParseCertificates(text)
	if err != nil {
		return Parse(text) // which looks at the first block only
	}
	return found[0], nil
}

// ParseRequest is the function of the same name.
func (m *Memory) ParseRequest(text string) (*x509.CertificateRequest, error) {
	found := m.requests.Get(text, func() read[*x509.CertificateRequest] {
		request, err := ParseRequest(text)
		return read[*x509.CertificateRequest]{request, err}
	})
	return found.value, found.err
}

// CheckRequest is the function of the same name.
func (m *Memory) CheckRequest(request *x509.CertificateRequest) error {
	return m.checks.Get(request, func() error { return CheckRequest(request) })
}

// KeyMatches is the function of the same name.
func (m *Memory) KeyMatches(key Key, c *x509.Certificate) bool {
	return m.matches.Get(match{key.Reveal(), c}, func() bool { return KeyMatches(key, c) })
}

// EncodeCertificate is EncodeCertificates of one.
func (m *Memory) EncodeCertificate(c *x509.Certificate) string {
	return m.texts.Get(c, func() string { return EncodeCertificates(c) })
}

// NamesOf is the function of the same name.
func (m *Memory) NamesOf(c *x509.Certificate) Names {
	return m.names.Get(c, func() Names { return NamesOf(c) })
}
