// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"crypto/x509"
	"encoding/json"
	"unicode/utf8"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// Index is what this side's own databags publish in one relation, made for many look-ups: each value is decoded once,
// when it is first needed. It is not for concurrent use.
type Index struct {
	rel     juju.Relation
	memory  *Memory
	found   map[lookup]issuedPair
	answers map[string]ownEntry // CSR dialect, by request
}

// pair is a certificate with its key, as the legacy dialect writes them.
type pair struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

// Index indexes the own databags of a relation.
func (m *Memory) Index(rel juju.Relation) *Index {
	return &Index{rel: rel, memory: m, found: map[lookup]issuedPair{}}
}

// Published gives what the own databags already publish for an ask, wherever it may stand, if it can be used: readable,
// with the key that belongs to it, not revoked. Whether it is what the ask wants now is not looked at. In the CSR
// dialect only the leader can see it.
func (x *Index) Published(ask Ask) (cert.Issued, bool) {
	key := lookup{ask.Dialect, ask.Kind, ask.Unit, ask.Name, ask.CommonName, ask.Request}
	found, done := x.found[key]
	if !done {
		found.issued, found.good = x.lookUp(ask)
		x.found[key] = found
	}
	return found.issued, found.good
}

// lookup is all of an ask by which its certificate is found.
type lookup struct {
	dialect                         Dialect
	kind                            cert.Kind
	unit, name, commonName, request string
}

func (x *Index) lookUp(ask Ask) (cert.Issued, bool) {
	switch {
	case ask.Dialect == CSR:
		return x.answer(ask)
	case ask.Kind == cert.Application:
		for _, unit := range x.rel.UnitNames() {
			name, err := claimedName(unit, x.rel.RemoteUnits[unit][keyUnitName])
			if err != nil {
				continue
			}
			if issued, found := x.issued(x.decode(name + "." + answerSuffix(ask.Kind))[appData]); found {
				return issued, true
			}
		}
		return cert.Issued{}, false
	case ask.Kind == cert.Server:
		return x.server(ask)
	default:
		return x.issued(x.decode(ask.Name + "." + answerSuffix(ask.Kind))[ask.CommonName])
	}
}

// Client gives the global client certificate of the legacy dialect that the own unit databag publishes.
func (x *Index) Client() (cert.Issued, bool) {
	return x.issued(pair{x.rel.OwnUnit[keyClientCert], x.rel.OwnUnit[keyClientKey]})
}

// server looks in both places where a server certificate may stand: which one it is depends on the unit's top-level
// request, and that may have changed since. What stands at the top level does not tell what it was asked as, so the
// certificate must.
func (x *Index) server(ask Ask) (cert.Issued, bool) {
	if issued, found := x.issued(x.decode(ask.Name + "." + answerSuffix(ask.Kind))[ask.CommonName]); found {
		if x.rel.RemoteUnits[ask.Unit][keyCommonName] != ask.CommonName {
			return issued, true
		}
		if top, found := x.topLevel(ask); found {
			return top, true
		}
		return issued, true
	}
	return x.topLevel(ask)
}

func (x *Index) topLevel(ask Ask) (cert.Issued, bool) {
	bag := x.rel.OwnUnit
	issued, found := x.issued(pair{bag[ask.Name+"."+suffixServerCert], bag[ask.Name+"."+suffixServerKey]})
	if !found {
		return cert.Issued{}, false
	}
	leaf, err := x.memory.ParseCertificate(issued.Certificate)
	fits := err == nil && speaksFor(leaf, ask.CommonName)
	if !fits && x.rel.RemoteUnits[ask.Unit][keyCommonName] != ask.CommonName {
		return cert.Issued{}, false // another request's answer; that of the place's own is the one to be replaced
	}
	return issued, fits
}

// speaksFor reports whether a certificate was made for a common name. One that is too long to stand in a subject is
// left out there and stands among the alternative names, if it can stand there at all.
func speaksFor(leaf *x509.Certificate, commonName string) bool {
	if leaf.Subject.CommonName != "" {
		return leaf.Subject.CommonName == commonName
	}
	return utf8.RuneCountInString(commonName) > cert.MaxCommonName || leaf.VerifyHostname(commonName) == nil
}

// decode gives the pairs under a key; none when its value is not such an object.
func (x *Index) decode(key string) map[string]pair {
	return x.memory.decodePairs(x.rel.OwnUnit[key])
}

// decodePairs reads what stands in a databag of our own, leaving out what is no pair.
func decodePairs(text string) map[string]pair {
	pairs := map[string]pair{}
	for name, raw := range decodeObject(text) {
		var p pair
		if json.Unmarshal(raw, &p) == nil {
			pairs[name] = p
		}
	}
	return pairs
}

// decodeObject reads an object in a databag of our own; nothing when it is damaged, so that it is made anew.
func decodeObject(text string) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if text == "" || json.Unmarshal([]byte(text), &members) != nil {
		return nil
	}
	return members
}

// issued checks a pair. Its issuers are not looked for: the dialect says them once for all pairs, in ca and chain.
func (x *Index) issued(p pair) (cert.Issued, bool) {
	if p.Cert == "" || p.Key == "" {
		return cert.Issued{}, false
	}
	found := x.memory.issued.Get(p, func() issuedPair {
		leaf, err := x.memory.ParseCertificate(p.Cert)
		if err != nil {
			return issuedPair{}
		}
		key := cert.NewKey(x.memory.plainKey(p.Key))
		if !x.memory.KeyMatches(key, leaf) {
			return issuedPair{}
		}
		return issuedPair{cert.Issued{Certificate: x.memory.EncodeCertificate(leaf), Key: key}, true}
	})
	return found.issued, found.good
}

// Revoked gives what the own databags publish for an ask with the word to stop using it.
func (x *Index) Revoked(ask Ask) (cert.Issued, bool) {
	found, ok := x.entry(ask)
	if !ok || !found.revoked {
		return cert.Issued{}, false
	}
	return found.issued, true
}

// answer finds the entry of the CSR dialect for a request.
func (x *Index) answer(ask Ask) (cert.Issued, bool) {
	found, ok := x.entry(ask)
	if !ok || found.revoked {
		return cert.Issued{}, false
	}
	return found.issued, true
}

func (x *Index) entry(ask Ask) (ownEntry, bool) {
	if ask.Dialect != CSR {
		return ownEntry{}, false
	}
	if x.answers == nil {
		x.answers = map[string]ownEntry{}
		for _, entry := range x.memory.ownEntries(x.rel.OwnApp) {
			if _, doubled := x.answers[entry.request]; !doubled {
				x.answers[entry.request] = entry
			}
		}
	}
	found, ok := x.answers[ask.Request]
	if !ok {
		return ownEntry{}, false
	}
	request, err := x.memory.ParseRequest(ask.Request)
	return found, err == nil && found.fits(request)
}
