// SPDX-License-Identifier: AGPL-3.0-only

// Package inspect tells what a file holds of certificates, requests and keys: PEM, DER, PKCS#12, a kubeconfig, or what Juju's
// tools print of relation data, in JSON or YAML, at whatever depth. It never gives any of a private key. Where to look next:
// Read, then thing.go for what is said of each.
package inspect

import (
	"bytes"
	"crypto/fips140"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/signet-charm/signet/internal/cert"
)

// The bounds on what is read.
const (
	MaxSize  = 16 << 20
	maxDepth = 32
	maxFound = 10_000
)

// Read tells what data holds, judged at a time. The password is for PKCS#12. The error is that nothing in it can be read.
func Read(data []byte, password cert.Key, now time.Time) ([]Thing, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("it is larger than %d MiB", MaxSize>>20)
	}
	r := &reader{now: now}
	text := strings.TrimSpace(string(data))
	switch {
	case text == "":
		return nil, errors.New("it is empty")
	case strings.HasPrefix(text, "-----BEGIN "):
		r.pem("", text)
	case text[0] == '{' || text[0] == '[':
		if err := r.document(text); err != nil {
			return nil, err
		}
	case len(data) > 1 && data[0] == 0x30 && data[1] >= 0x80: // a long SEQUENCE (X.690, 8.1.3.5 and 8.9), which is no text
		if err := r.der("", data, password); err != nil {
			return nil, err
		}
	default:
		if r.document(text) != nil || len(r.found) == 0 {
			r.pem("", text) // with text before it, as openssl writes
		}
	}
	if len(r.found) == 0 {
		return nil, errors.New("it holds no certificate, request, key or revocation list that can be read")
	}
	r.relate()
	return r.things(), nil
}

// Chain tells of certificates that somebody presents, the leaf first.
func Chain(chain []*x509.Certificate, now time.Time) []Thing {
	r := &reader{now: now}
	for i, c := range chain {
		r.certificate(fmt.Sprintf("certificate %d", i+1), c)
	}
	r.relate()
	return r.things()
}

// reader collects what is found.
type reader struct {
	now   time.Time
	found []*held
}

func (r *reader) things() []Thing {
	list := make([]Thing, len(r.found))
	for i, one := range r.found {
		list[i] = one.Thing
	}
	return list
}

func (r *reader) add(one *held) {
	if len(r.found) < maxFound {
		r.found = append(r.found, one)
	}
}

// pem reads all blocks of a text.
func (r *reader) pem(where, text string) {
	// A block begins a line (RFC 7468, 3); in what tools print, a name stands before it.
	text = strings.ReplaceAll(text, "-----BEGIN ", "\n-----BEGIN ")
	number, begun := 0, strings.Count(text, "-----BEGIN ")
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		number++
		at := where
		if begun > 1 || where == "" {
			at = strings.TrimSpace(fmt.Sprintf("%s block %d", where, number))
		}
		r.block(at, block)
	}
	if begun > number {
		r.add(&held{Thing: Thing{Where: where, Kind: "PEM", Faults: []string{fmt.Sprintf("%d of %d PEM blocks are damaged", begun-number, begun)}}})
	}
}

func (r *reader) block(where string, block *pem.Block) {
	damaged := func(kind string, err error) {
		r.add(&held{Thing: Thing{Where: where, Kind: kind, Faults: []string{"it cannot be read: " + brief(err.Error())}}})
	}
	switch {
	case block.Type == "CERTIFICATE" || block.Type == "TRUSTED CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			damaged("certificate", err)
			return
		}
		r.certificate(where, c)
	case strings.HasSuffix(block.Type, "CERTIFICATE REQUEST"):
		request, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			damaged("request", err)
			return
		}
		r.request(where, request, string(pem.EncodeToMemory(block)))
	case block.Type == "X509 CRL":
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			damaged("revocation list", err)
			return
		}
		r.list(where, list)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		r.key(where, block)
	default:
		r.add(&held{Thing: Thing{Where: where, Kind: brief(block.Type), Detail: "it is none of a certificate's"}})
	}
}

// der reads what is no text.
func (r *reader) der(where string, data []byte, password cert.Key) error {
	if c, err := x509.ParseCertificate(data); err == nil {
		r.certificate(where, c)
		return nil
	}
	if chain, err := x509.ParseCertificates(data); err == nil && len(chain) > 0 {
		for i, c := range chain {
			r.certificate(fmt.Sprintf("certificate %d", i+1), c)
		}
		return nil
	}
	if request, err := x509.ParseCertificateRequest(data); err == nil {
		r.request(where, request, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: data})))
		return nil
	}
	if list, err := x509.ParseRevocationList(data); err == nil {
		r.list(where, list)
		return nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(data); err == nil {
		r.privateKey(where, key)
		return nil
	}
	return r.pkcs12(data, password)
}

// pkcs12 reads a file of RFC 7292: a key with its certificates, or certificates to trust.
func (r *reader) pkcs12(data []byte, password cert.Key) error {
	if fips140.Enforced() {
		return errors.New("it may be PKCS#12, which FIPS 140 does not approve of: convert it to PEM")
	}
	if trusted, err := pkcs12.DecodeTrustStore(data, password.Reveal()); err == nil && len(trusted) > 0 {
		for i, c := range trusted {
			r.certificate(fmt.Sprintf("trusted certificate %d", i+1), c)
		}
		return nil
	}
	key, first, others, err := pkcs12.DecodeChain(data, password.Reveal())
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && password.IsZero():
		return errors.New("it is PKCS#12 under a password: give it with --password-file")
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return errors.New("it is PKCS#12, and the password is another one")
	case err != nil:
		return errors.New("it is neither a certificate, request, key or list in DER, nor PKCS#12")
	}
	for i, c := range append([]*x509.Certificate{first}, others...) {
		r.certificate(fmt.Sprintf("certificate %d", i+1), c)
	}
	r.privateKey("key", key)
	return nil
}

// document walks JSON or YAML: a kubeconfig, a databag, what juju show-unit prints.
func (r *reader) document(text string) error {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			return errors.New("it is neither JSON nor YAML")
		}
	}
	switch value.(type) {
	case map[string]any, []any:
		r.walk("", value, 0)
		return nil
	}
	return errors.New("it is neither an object nor a list")
}

func (r *reader) walk(where string, value any, depth int) {
	if depth > maxDepth || len(r.found) >= maxFound {
		return
	}
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			r.walk(strings.TrimPrefix(where+"."+key, "."), value[key], depth+1)
		}
	case []any:
		for i, one := range value {
			r.walk(fmt.Sprintf("%s[%s]", where, named(one, i)), one, depth+1)
		}
	case string:
		r.text(where, value, depth)
	}
}

// named tells an element of a list by its name, as those of kubeconfigs have one, or by its place.
func named(one any, place int) string {
	if object, is := one.(map[string]any); is {
		if name, is := object["name"].(string); is {
			return brief(name)
		}
	}
	return fmt.Sprint(place)
}

// text looks into one value: PEM, a document within the document, or base64 of either.
func (r *reader) text(where, value string, depth int) {
	trimmed := strings.TrimSpace(value)
	switch {
	case strings.Contains(trimmed, "-----BEGIN "):
		if trimmed[0] == '{' || trimmed[0] == '[' {
			var inner any
			if json.Unmarshal([]byte(trimmed), &inner) == nil {
				r.walk(where, inner, depth+1)
				return
			}
		}
		r.pem(where, trimmed)
	case strings.HasSuffix(where, "-data"): // of a kubeconfig
		if decoded, err := base64.StdEncoding.DecodeString(trimmed); err == nil && bytes.Contains(decoded, []byte("-----BEGIN ")) {
			r.pem(where, string(decoded))
		}
	}
}

// brief is as much of what others wrote as a message holds.
func brief(text string) string {
	const most = 100
	runes := []rune(strings.ToValidUTF8(text, ""))
	if len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(runes)
}
