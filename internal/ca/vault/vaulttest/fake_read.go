// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest

import (
	"net/http"
	"slices"
	"strings"
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
