// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
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
