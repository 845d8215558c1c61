// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

const (
	keyVersion = "version"

	transferV0 = "0"
	transferV1 = "1"
)

// PublishTransfer gives what a provider of certificate_transfer says: the certificates to trust, sorted and without
// doubles, and nothing that stood there before, so that a retired CA goes. In version 1 the leader says it in the
// application databag, always; in version 0 every unit says it in its own, unless the requirer speaks version 1
// (protocol C.2). Texts that are not certificates are left out.
func PublishTransfer(rel juju.Relation, certificates []string) juju.OwnBags {
	sorted := []string{}
	for _, text := range certificates {
		parsed, err := cert.ParseCertificates(text)
		if err != nil {
			continue
		}
		for _, c := range parsed {
			sorted = append(sorted, strings.TrimSpace(cert.EncodeCertificates(c)))
		}
	}
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)

	var bags juju.OwnBags
	if rel.OwnApp != nil {
		bags.App = maps.Clone(rel.OwnApp)
		set(bags.App, keyCertificates, sorted)
		bags.App[keyVersion] = transferV1
	}
	bags.Unit = maps.Clone(rel.OwnUnit)
	if bags.Unit == nil {
		bags.Unit = juju.Bag{}
	}
	if len(sorted) == 0 || strings.Trim(rel.RemoteApplication[keyVersion], `" `) == transferV1 {
		for _, key := range []string{keyCA, memberCertificate, keyChain, keyVersion} {
			delete(bags.Unit, key)
		}
		return bags
	}
	// Values are JSON although version 0 had plain PEM: the readers of both versions take this form.
	set(bags.Unit, keyCA, sorted[0])
	set(bags.Unit, memberCertificate, sorted[0])
	set(bags.Unit, keyChain, sorted)
	bags.Unit[keyVersion] = transferV0
	return bags
}

// ReadTransfer gives the certificates that a provider of certificate_transfer says are to be trusted, sorted and
// without doubles, each PEM with one trailing newline. Version 1 in the application databag is what counts when it is
// there and readable; else version 0 in the unit databags, whose values are plain PEM or JSON.
func ReadTransfer(rel juju.Relation) ([]string, []Denial) {
	reader := transferReader{rel: rel, found: map[string]bool{}}
	if !reader.application() {
		for _, unit := range rel.UnitNames() {
			reader.unit(unit, rel.RemoteUnits[unit])
		}
	}
	return slices.Sorted(maps.Keys(reader.found)), reader.denials
}

// TransferVersion gives the own application databag of a requirer of certificate_transfer, which says that it speaks
// version 1; nil when this unit does not lead and so cannot write it.
func TransferVersion(rel juju.Relation) juju.Bag {
	if rel.OwnApp == nil {
		return nil
	}
	bag := maps.Clone(rel.OwnApp)
	bag[keyVersion] = transferV1
	return bag
}

type transferReader struct {
	rel     juju.Relation
	found   map[string]bool
	denials []Denial
}

func (r *transferReader) deny(unit, item string, err error) {
	why := refuse(item, err)
	r.denials = append(r.denials, Denial{
		Relation: r.rel.ID, Unit: unit, Item: why.item, Code: why.code, Reason: why.reason,
	})
}

// application reads version 1; false when it is not there or not readable at all.
func (r *transferReader) application() bool {
	value := r.rel.RemoteApplication[keyCertificates]
	if value == "" {
		return false
	}
	items, err := documentList(value, maxValue)
	if err != nil {
		r.deny("", keyCertificates, err)
		return false
	}
	r.items("", keyCertificates, items, func(*x509.Certificate) bool { return true })
	return true
}

// unit reads version 0. A provider may put its own server's certificate beside its CA's; only CAs are to be trusted.
func (r *transferReader) unit(unit string, bag juju.Bag) {
	for _, key := range []string{keyCA, memberCertificate} {
		if bag[key] == "" {
			continue
		}
		text, err := plainOrJSON(bag[key])
		if err == nil {
			err = r.add(text, isAuthority)
		}
		if err != nil {
			r.deny(unit, key, err)
		}
	}
	if bag[keyChain] == "" {
		return
	}
	if !strings.HasPrefix(strings.TrimSpace(bag[keyChain]), "[") { // old providers: one bundle
		if text, err := plainOrJSON(bag[keyChain]); err != nil {
			r.deny(unit, keyChain, err)
		} else if err := r.add(text, isAuthority); err != nil {
			r.deny(unit, keyChain, err)
		}
		return
	}
	items, err := documentList(bag[keyChain], maxValue)
	if err != nil {
		r.deny(unit, keyChain, err)
		return
	}
	r.items(unit, keyChain, items, isAuthority)
}

func (r *transferReader) items(unit, key string, items []json.RawMessage, wanted func(*x509.Certificate) bool) {
	for i, item := range items[:min(len(items), maxRequests)] {
		text, err := str(item)
		if err == nil {
			err = r.add(text, wanted)
		}
		if err != nil {
			r.deny(unit, fmt.Sprintf("%s[%d]", key, i), err)
		}
	}
	if excess := len(items) - maxRequests; excess > 0 {
		r.deny(unit, key, &misfit{TooMany, fmt.Sprintf("%d certificates are beyond the %d that are read", excess, maxRequests)})
	}
}

func (r *transferReader) add(text string, wanted func(*x509.Certificate) bool) error {
	certificates, err := cert.ParseCertificates(text)
	if err != nil {
		return err
	}
	for _, c := range certificates {
		if wanted(c) {
			r.found[cert.EncodeCertificates(c)] = true
		}
	}
	return nil
}

// isAuthority reports whether trusting this certificate can mean anything: it is a CA's or its own issuer.
func isAuthority(c *x509.Certificate) bool {
	return c.IsCA || string(c.RawSubject) == string(c.RawIssuer)
}

// plainOrJSON gives a text that may be written as it is or as a JSON string.
func plainOrJSON(value string) (string, error) {
	if !strings.HasPrefix(strings.TrimSpace(value), `"`) {
		if len(value) > maxValue {
			_, err := document(value, maxValue)
			return "", err
		}
		return value, nil
	}
	raw, err := document(value, maxValue)
	if err != nil {
		return "", err
	}
	return str(raw)
}
