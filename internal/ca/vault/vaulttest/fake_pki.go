// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An engine is one mount of the PKI engine.
type engine struct {
	age  Age
	now  func() time.Time
	most time.Duration // that a certificate may last

	keys     map[string]crypto.Signer // by ID; in the old age at most one
	issuers  []*issuer                // in the old age at most the one that signs
	standard string                   // ID of the issuer that is meant where none is named
	follows  bool                     // the standard is the latest
	shown    *issuer                  // in the old age: what is read, of which the key may be gone
	entries  []*entry
	roles    map[string]map[string]any
	crl      map[string]any // how lists are made; nil while that was never said
	urls     map[string]any // that certificates name; nil for none
}

// An issuer is one CA.
type issuer struct {
	id, name, keyID string
	certificate     *x509.Certificate
	chain           []*x509.Certificate // in the old age: itself, then what was given with it; none for a root
	list            []byte              // what is revoked, signed
	number          int64               // of the list
}

// An entry is a certificate that an engine has.
type entry struct {
	certificate *x509.Certificate
	asked       bool // it was signed for a request
	stored      bool
	revoked     time.Time // zero for not
}

func newEngine(age Age, most time.Duration, now func() time.Time) *engine {
	return &engine{age: age, now: now, most: most, keys: map[string]crypto.Signer{}, roles: map[string]map[string]any{}}
}

// Certificates are all that were ever signed for a request at a mount, in order.
func (f *Fake) Certificates(mount string) []*x509.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*x509.Certificate
	if engine := f.engines[mount]; engine != nil {
		for _, entry := range engine.entries {
			if entry.asked {
				all = append(all, entry.certificate)
			}
		}
	}
	return all
}

// open reports whether a path needs no token.
func (e *engine) open(method, path string) bool {
	head, rest, _ := strings.Cut(path, "/")
	switch {
	case method == "LIST":
		return e.age == New && strings.TrimSuffix(path, "/") == "issuers"
	case method != http.MethodGet:
		return false
	case head == "issuer":
		_, form, found := strings.Cut(rest, "/")
		return e.age == New && found && slices.Contains([]string{"json", "pem", "der", "crl", "crl/pem", "crl/der"}, form)
	}
	return head == "cert" || slices.Contains([]string{"ca", "ca/pem", "ca_chain", "crl", "crl/pem"}, path)
}

// guarded reports whether a path needs the capability sudo.
func (*engine) guarded(method, path string) bool {
	return path == "root/sign-self-issued" || path == "root" && method == http.MethodDelete
}

// carry carries out a call of the engine's.
func (e *engine) carry(method, mount, path string, body map[string]any) answer {
	path = strings.TrimSuffix(path, "/")
	parts := strings.Split(path, "/")
	if parts[0] == "issuer" && e.age == New {
		return e.issuerCall(method, parts, body)
	}
	switch method {
	case http.MethodGet:
		return e.read(path, parts)
	case "LIST":
		return e.list(path)
	case http.MethodDelete:
		if path == "root" {
			e.issuers, e.keys, e.standard = nil, map[string]crypto.Signer{}, ""
			return answer{}
		}
	case http.MethodPut:
		switch {
		case parts[0] == "sign-verbatim" && len(parts) <= 2:
			return e.signVerbatim("", strings.Join(parts[1:], ""), body)
		case path == "root/sign-intermediate":
			return e.signIntermediate("", body)
		case path == "root/generate/internal", path == "issuers/generate/root/internal" && e.age == New:
			return e.makeRoot(mount, body)
		case path == "intermediate/generate/internal", path == "issuers/generate/intermediate/internal" && e.age == New:
			return e.makeRequest(body)
		case path == "intermediate/set-signed":
			return e.setSigned(body)
		case path == "revoke":
			return e.revoke(text(body, "serial_number"))
		case parts[0] == "roles" && len(parts) == 2:
			e.roles[parts[1]] = body
			if e.age == New {
				return answer{data: body}
			}
			return answer{}
		case path == "config/crl":
			e.crl = body
			if body["disable"] == true {
				e.rebuild()
			}
			return answer{}
		case path == "config/urls":
			e.urls = body
			if e.age == New {
				return answer{data: body}
			}
			return answer{}
		case path == "config/issuers" && e.age == New:
			if found := e.issuer(text(body, "default")); found != nil {
				e.standard = found.id
			}
			e.follows = body["default_follows_latest_issuer"] == true
			return e.read(path, parts)
		}
	}
	return failure(http.StatusNotFound, "unsupported path")
}

// issuer finds the issuer that a name, an ID or nothing stands for; nil where there is none. In the old age there is one.
func (e *engine) issuer(ref string) *issuer {
	if e.age == Old {
		if len(e.issuers) == 0 {
			return nil
		}
		return e.issuers[0]
	}
	if ref == "" || ref == "default" {
		ref = e.standard
	}
	at := slices.IndexFunc(e.issuers, func(one *issuer) bool { return one.id == ref || one.name != "" && one.name == ref })
	if at < 0 {
		return nil
	}
	return e.issuers[at]
}

// visible is the CA that is read at a mount, which in the old age stays when it can sign no more.
func (e *engine) visible() *issuer {
	if e.age == Old {
		return e.shown
	}
	return e.issuer("")
}

// chain is a CA and all above it that the engine knows.
func (e *engine) chain(of *issuer) []*x509.Certificate {
	if e.age == Old {
		return of.chain
	}
	chain := []*x509.Certificate{of.certificate}
	for last := of.certificate; len(chain) <= len(e.issuers); last = chain[len(chain)-1] {
		at := slices.IndexFunc(e.issuers, func(one *issuer) bool {
			return !slices.Contains(chain, one.certificate) && last.CheckSignatureFrom(one.certificate) == nil
		})
		if at < 0 {
			break
		}
		chain = append(chain, e.issuers[at].certificate)
	}
	return chain
}

const (
	noCA       = "backend must be configured with a CA certificate/key"
	noDefault  = "no default issuer currently configured"
	unreadable = "stored CA information not able to be parsed"
)

// read answers what is asked of an engine.
func (e *engine) read(path string, parts []string) answer {
	seen := e.visible()
	switch {
	case path == "ca", path == "ca/pem", path == "ca_chain", path == "crl", path == "crl/pem":
		return e.bare(path, seen)
	case path == "cert/ca_chain":
		switch {
		case e.age == Old && len(e.issuers) == 0 && len(e.keys) > 0:
			return refuse(http.StatusInternalServerError, unreadable)
		case e.age == Old && len(e.issuers) == 0:
			return refuse(http.StatusBadRequest, noCA)
		case seen == nil:
			return refuse(http.StatusBadRequest, noDefault)
		}
		return answer{data: map[string]any{"certificate": strings.Join(pems(e.chain(seen)), "\n"), "revocation_time": 0}}
	case path == "cert/ca", path == "cert/crl":
		switch {
		case seen == nil && e.age == Old:
			return absent()
		case seen == nil && path == "cert/crl":
			return failure(http.StatusInternalServerError, noDefault)
		case seen == nil:
			return refuse(http.StatusBadRequest, noDefault)
		case path == "cert/crl":
			return answer{data: map[string]any{"certificate": block("X509 CRL", seen.list), "revocation_time": 0}}
		}
		return answer{data: map[string]any{"certificate": block("CERTIFICATE", seen.certificate.Raw), "revocation_time": 0}}
	case parts[0] == "cert" && len(parts) == 2:
		found := e.entry(parts[1])
		if found == nil {
			return absent()
		}
		data := map[string]any{"certificate": block("CERTIFICATE", found.certificate.Raw), "revocation_time": 0}
		if !found.revoked.IsZero() {
			data["revocation_time"] = found.revoked.Unix()
		}
		return answer{data: data}
	case path == "crl/rotate":
		if e.issuer("") == nil {
			return failure(http.StatusInternalServerError, "error encountered during CRL building: could not fetch the CA certificate: "+noCA)
		}
		e.rebuild()
		return answer{data: map[string]any{"success": true}}
	case parts[0] == "roles" && len(parts) == 2 && e.roles[parts[1]] != nil:
		return answer{data: e.roles[parts[1]]}
	case parts[0] == "roles" && len(parts) == 2, path == "config/crl" && e.crl == nil:
		return absent()
	case path == "config/crl":
		return answer{data: e.crl}
	case path == "config/issuers" && e.age == New:
		return answer{data: map[string]any{"default": e.standard, "default_follows_latest_issuer": e.follows}}
	}
	return failure(http.StatusNotFound, "unsupported path")
}

// bare answers without JSON: with nothing where there is nothing.
func (e *engine) bare(path string, seen *issuer) answer {
	found := answer{kind: "application/pkix-cert"}
	if strings.HasPrefix(path, "crl") {
		found.kind = "application/pkix-crl"
	}
	if seen == nil {
		return found
	}
	switch path {
	case "ca":
		found.bare = seen.certificate.Raw
	case "ca/pem":
		found.bare = []byte(block("CERTIFICATE", seen.certificate.Raw))
	case "ca_chain":
		found.bare = []byte(strings.Join(pems(e.chain(seen)), "\n"))
	case "crl":
		found.bare = seen.list
	case "crl/pem":
		found.bare = []byte(block("X509 CRL", seen.list))
	}
	return found
}

// list answers what there is.
func (e *engine) list(path string) answer {
	keys, info := []string{}, map[string]any{}
	switch {
	case path == "certs":
		for _, entry := range e.entries {
			if entry.stored {
				keys = append(keys, serial(entry.certificate, map[Age]string{Old: "-", New: ":"}[e.age]))
			}
		}
	case path == "roles":
		for name := range e.roles {
			keys = append(keys, name)
		}
	case path == "issuers" && e.age == New:
		for _, one := range e.issuers {
			keys = append(keys, one.id)
			info[one.id] = map[string]any{
				"issuer_name": one.name, "is_default": one.id == e.standard, "serial_number": serial(one.certificate, ":"), "key_id": one.keyID,
			}
		}
	default:
		return failure(http.StatusNotFound, "unsupported path")
	}
	if len(keys) == 0 {
		return absent()
	}
	slices.Sort(keys)
	data := map[string]any{"keys": keys}
	if len(info) > 0 {
		data["key_info"] = info
	}
	return answer{data: data}
}

// issuerCall carries out what is asked of one issuer.
func (e *engine) issuerCall(method string, parts []string, body map[string]any) answer {
	if len(parts) < 2 {
		return failure(http.StatusNotFound, "unsupported path")
	}
	what := strings.Join(parts[2:], "/")
	one := e.issuer(parts[1])
	switch {
	case method == http.MethodPut && len(parts) > 2 && parts[2] == "sign-verbatim" && len(parts) <= 4:
		return e.signVerbatim(parts[1], strings.Join(parts[3:], ""), body)
	case method == http.MethodPut && what == "sign-intermediate":
		return e.signIntermediate(parts[1], body)
	case one == nil:
		return failure(http.StatusInternalServerError, unknownIssuer(parts[1]))
	case method != http.MethodGet:
		return failure(http.StatusNotFound, "unsupported path")
	}
	data := map[string]any{
		"certificate": block("CERTIFICATE", one.certificate.Raw), "ca_chain": pems(e.chain(one)), "issuer_id": one.id, "issuer_name": one.name,
	}
	switch what {
	case "":
		data["key_id"], data["leaf_not_after_behavior"], data["usage"] = one.keyID, "err", "crl-signing,issuing-certificates,ocsp-signing,read-only"
	case "json":
	case "crl":
		data = map[string]any{"crl": block("X509 CRL", one.list)}
	case "pem":
		return answer{kind: "application/pem-certificate-chain", bare: []byte(block("CERTIFICATE", one.certificate.Raw))}
	case "crl/pem":
		return answer{kind: "application/x-pem-file", bare: []byte(block("X509 CRL", one.list))}
	case "der":
		return answer{kind: "application/pkix-cert", bare: one.certificate.Raw}
	case "crl/der":
		return answer{kind: "application/pkix-crl", bare: one.list}
	default:
		return failure(http.StatusNotFound, "unsupported path")
	}
	return answer{data: data}
}

// unknownIssuer is how Vault says that nothing is called so.
func unknownIssuer(ref string) string {
	if ref == "" || ref == "default" {
		return noDefault
	}
	return "unable to find PKI issuer for reference: " + ref
}

// revoke puts a certificate on the list of the CA that signed it.
func (e *engine) revoke(asked string) answer {
	if asked == "" {
		return refuse(http.StatusBadRequest, "The serial number must be provided")
	}
	asked = strings.ReplaceAll(strings.ToLower(asked), "-", ":")
	if e.age == Old && len(e.issuers) == 0 {
		return refuse(http.StatusBadRequest, "could not fetch the CA certificate: "+noCA)
	}
	for _, one := range e.issuers {
		switch {
		case serial(one.certificate, ":") != asked || one.keyID == "":
		case e.age == New && one.certificate.CheckSignatureFrom(one.certificate) == nil:
			return refuse(http.StatusBadRequest, fmt.Sprintf("adding issuer (id: %v) to its own CRL is not allowed", one.id))
		case e.age == Old:
			return refuse(http.StatusBadRequest, "adding CA to CRL is not allowed")
		}
	}
	found := e.entry(asked)
	switch now := e.now(); {
	case found == nil && e.age == New:
		return refuse(http.StatusBadRequest, fmt.Sprintf("certificate with serial %s not found.", asked))
	case found == nil:
		return refuse(http.StatusBadRequest, fmt.Sprintf("certificate with serial %s not found", asked))
	case found.revoked.IsZero() && found.certificate.NotAfter.Before(now.Add(2*time.Second)):
		if e.age == Old {
			return answer{}
		}
		return answer{warnings: []string{fmt.Sprintf("certificate with serial %s already expired; refusing to add to CRL", asked)}}
	case found.revoked.IsZero():
		found.revoked = now
	}
	if e.crl["disable"] != true && (e.age == Old || e.crl["auto_rebuild"] != true) {
		e.rebuild()
	}
	data := map[string]any{"revocation_time": found.revoked.Unix(), "revocation_time_rfc3339": found.revoked.UTC().Format(time.RFC3339Nano)}
	if e.age == New {
		data["state"] = "revoked"
	}
	return answer{data: data}
}

// entry finds what is stored under a serial number; nil for nothing.
func (e *engine) entry(asked string) *entry {
	asked = strings.ReplaceAll(strings.ToLower(asked), "-", ":")
	at := slices.IndexFunc(e.entries, func(one *entry) bool { return one.stored && serial(one.certificate, ":") == asked })
	if at < 0 {
		return nil
	}
	return e.entries[at]
}

// rebuild makes the lists of all CAs anew.
func (e *engine) rebuild() {
	for _, one := range e.issuers {
		key := e.keys[one.keyID]
		if key == nil {
			continue
		}
		now, life := e.now(), 72*time.Hour
		if given, err := duration(e.crl["expiry"]); err == nil && given > 0 {
			life = given
		}
		var old []pkix.RevokedCertificate
		var list []x509.RevocationListEntry
		for _, entry := range e.entries {
			of := e.age == Old || bytes.Equal(entry.certificate.RawIssuer, one.certificate.RawSubject) &&
				bytes.Equal(entry.certificate.AuthorityKeyId, one.certificate.SubjectKeyId)
			if entry.revoked.IsZero() || !of || e.crl["disable"] == true {
				continue
			}
			at := entry.revoked.UTC()
			old = append(old, pkix.RevokedCertificate{SerialNumber: entry.certificate.SerialNumber, RevocationTime: at})
			list = append(list, x509.RevocationListEntry{SerialNumber: entry.certificate.SerialNumber, RevocationTime: at})
		}
		var err error
		if e.age == Old { // a list without a number, which nothing else in Go makes
			one.list, err = one.certificate.CreateCRL(rand.Reader, key, old, now, now.Add(life)) //nolint:staticcheck // the old Vault uses it too
		} else {
			one.number++
			one.list, err = x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
				Number: big.NewInt(one.number), ThisUpdate: now, NextUpdate: now.Add(life), RevokedCertificateEntries: list,
			}, one.certificate, key)
		}
		if err != nil {
			panic(err) // it is a CA that was made here
		}
	}
}

// serial is a serial number as Vault writes it: "0a:1b".
func serial(of *x509.Certificate, between string) string {
	return strings.ReplaceAll(fmt.Sprintf("% x", of.SerialNumber.Bytes()), " ", between)
}

// block is PEM as Vault gives it: without a line end behind it.
func block(kind string, der []byte) string {
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

func pems(certificates []*x509.Certificate) []string {
	all := []string{}
	for _, one := range certificates {
		all = append(all, block("CERTIFICATE", one.Raw))
	}
	return all
}
