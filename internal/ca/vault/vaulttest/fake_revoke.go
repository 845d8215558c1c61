// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"
)

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
