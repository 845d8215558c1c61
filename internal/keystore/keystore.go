// SPDX-License-Identifier: AGPL-3.0-only

// Package keystore packs certificates, with their key or to be trusted, into the files that other programs want: PKCS#12
// (RFC 7292) and Java's key stores. It turns text into bytes; who writes them is somebody else. Where to look next: package
// takeover, which reads such files.
package keystore

import (
	"bytes"
	"crypto/fips140"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	jks "github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/signet-charm/signet/internal/cert"
)

// Content is what a file shall hold: a certificate with its key and what follows it, or certificates to be trusted.
type Content struct {
	Name  string              // what programs call the certificate by
	Key   cert.Key            // zero where all certificates are to be trusted
	Chain []*x509.Certificate // with a key: its certificate first
	Trust []*x509.Certificate // CAs to be trusted
}

// MinPassword is how short a password a Java key store can have: keytool takes no shorter one.
const MinPassword = 6

// errForbidden is about the mode in which Go refuses what FIPS 140 does not approve.
var errForbidden = errors.New("its encryption is not approved by FIPS 140, and GODEBUG=fips140=only forbids all other: export PEM instead")

// PKCS12 packs the content as OpenSSL 3 and Java 8u301 and later read it: AES-256-CBC and HMAC-SHA-256. Without a key it is
// a trust store, in which Java finds what to trust.
func PKCS12(content Content, password cert.Key) ([]byte, error) {
	if fips140.Enforced() {
		return nil, fmt.Errorf("cannot write PKCS#12: %w", errForbidden)
	}
	if content.Key.IsZero() {
		var entries []pkcs12.TrustStoreEntry
		for i, one := range all(content) {
			entries = append(entries, pkcs12.TrustStoreEntry{Cert: one, FriendlyName: alias(content, i)})
		}
		if len(entries) == 0 {
			return nil, errors.New("cannot write PKCS#12: there is no certificate")
		}
		return pkcs12.Modern2023.EncodeTrustStoreEntries(entries, password.Reveal())
	}
	key, err := keyOf(content)
	if err != nil {
		return nil, fmt.Errorf("cannot write PKCS#12: %w", err)
	}
	others := append(content.Chain[1:len(content.Chain):len(content.Chain)], missing(content)...)
	return pkcs12.Modern2023.Encode(key, content.Chain[0], others, password.Reveal())
}

// JKS packs the content as a Java key store of version 2.
func JKS(content Content, password cert.Key, now time.Time) ([]byte, error) {
	switch {
	case fips140.Enforced():
		return nil, fmt.Errorf("cannot write a Java key store: %w", errForbidden)
	case len(password.Reveal()) < MinPassword:
		return nil, fmt.Errorf("cannot write a Java key store: its password needs %d characters", MinPassword)
	}
	store, secret := jks.New(jks.WithOrderedAliases(), jks.WithMinPasswordLen(MinPassword)), []byte(password.Reveal())
	trusted := all(content)
	if !content.Key.IsZero() {
		key, err := keyOf(content)
		if err != nil {
			return nil, fmt.Errorf("cannot write a Java key store: %w", err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, errors.New("cannot write a Java key store: the key has no PKCS#8 form")
		}
		entry := jks.PrivateKeyEntry{CreationTime: now, PrivateKey: der}
		for _, one := range content.Chain {
			entry.CertificateChain = append(entry.CertificateChain, jks.Certificate{Type: "X509", Content: one.Raw})
		}
		if err := store.SetPrivateKeyEntry(content.Name, entry, secret); err != nil {
			return nil, fmt.Errorf("cannot write a Java key store: %w", err)
		}
		trusted = content.Trust
	}
	for i, one := range trusted {
		name := alias(content, i)
		if !content.Key.IsZero() {
			name = fmt.Sprintf("ca-%d", i+1)
		}
		if err := store.SetTrustedCertificateEntry(name, jks.TrustedCertificateEntry{
			CreationTime: now, Certificate: jks.Certificate{Type: "X509", Content: one.Raw},
		}); err != nil {
			return nil, fmt.Errorf("cannot write a Java key store: %w", err)
		}
	}
	var data bytes.Buffer
	if err := store.Store(&data, secret); err != nil {
		return nil, fmt.Errorf("cannot write a Java key store: %w", err)
	}
	return data.Bytes(), nil
}

// all are the certificates of a trust store, without doubles.
func all(content Content) []*x509.Certificate {
	if len(content.Chain) == 0 {
		return content.Trust
	}
	return append([]*x509.Certificate{content.Chain[0]}, content.Trust...)
}

// alias names the certificates of a trust store: the first by its name where it is no CA to be trusted.
func alias(content Content, i int) string {
	if len(content.Chain) > 0 {
		if i == 0 {
			return content.Name
		}
		i--
	}
	return fmt.Sprintf("ca-%d", i+1)
}

// missing are the certificates to be trusted that do not follow the leaf anyway.
func missing(content Content) []*x509.Certificate {
	var found []*x509.Certificate
	for _, one := range content.Trust {
		known := false
		for _, other := range content.Chain {
			known = known || one.Equal(other)
		}
		if !known {
			found = append(found, one)
		}
	}
	return found
}

// keyOf reads the key, which must be the certificate's.
func keyOf(content Content) (any, error) {
	if len(content.Chain) == 0 {
		return nil, errors.New("there is no certificate")
	}
	if !cert.KeyMatches(content.Key, content.Chain[0]) {
		return nil, errors.New("the private key is another certificate's")
	}
	return cert.ParseKey(content.Key)
}
