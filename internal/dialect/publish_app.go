// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// PublishApplication gives the complete content of the own application databag, where the CSR dialect is answered; nil
// when it cannot be read, because only the leader may write there.
//
// A request that stands in no databag any more loses its entry. An entry that still answers a request stays in its
// place, revoked or not, until a grant or a lasting denial takes it; a temporary denial does not. Each request is in
// one of certificates and request_errors at most (protocol B.4). Keys and members of others are not touched.
func (m *Memory) PublishApplication(rel juju.Relation, pub Publication) juju.Bag {
	if rel.OwnApp == nil {
		return nil
	}
	bag := maps.Clone(rel.OwnApp)
	requests := m.newRequestBook(pub)
	if entries := requests.entries(bag, rel.Partial); !m.standing(bag, entries) {
		setList(bag, keyCertificates, entries)
	}
	setList(bag, keyErrors, requests.errors())
	if pub.Capabilities == nil {
		delete(bag, keyCapabilities)
	} else {
		set(bag, keyCapabilities, pub.Capabilities)
	}
	return bag
}

// standing reports whether a list of certificates is what stands in a databag, so that it need not be written out.
func (m *Memory) standing(bag juju.Bag, list []map[string]json.RawMessage) bool {
	own := m.ownList(bag)
	return len(list) > 0 && own.whole && slices.EqualFunc(list, own.entries, func(members map[string]json.RawMessage, entry ownEntry) bool {
		return maps.EqualFunc(members, entry.members, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
	})
}

// setList writes a list. Absent and empty mean the same to every reader (protocol B.1).
func setList[T any](bag juju.Bag, key string, items []T) {
	switch {
	case len(items) > 0:
		set(bag, key, items)
	case strings.TrimSpace(bag[key]) != "[]":
		delete(bag, key)
	}
}

// requestBook holds what is known about each request of a relation.
type requestBook struct {
	memory   *Memory
	order    []string // requests that stand in a databag of the remote side, as they were read
	wanted   map[string]bool
	grants   map[string]Grant
	denials  map[string]Denial
	answered map[string]bool // requests that have an entry
}

func (m *Memory) newRequestBook(pub Publication) *requestBook {
	book := &requestBook{
		memory: m, wanted: map[string]bool{}, grants: map[string]Grant{}, denials: map[string]Denial{}, answered: map[string]bool{},
	}
	asked := map[string]bool{}
	for _, ask := range pub.Reading.Asks {
		if ask.Dialect == CSR {
			asked[ask.Request] = true
			book.want(ask.Request)
		}
	}
	for _, denial := range pub.Reading.Denials {
		book.want(denial.Request)
	}
	for _, denials := range [][]Denial{pub.Denials, pub.Reading.Denials} {
		for _, denial := range denials {
			if denial.Ask == "" && asked[denial.Request] {
				continue // one unit's bad item must not take the answer of another that asks the same properly
			}
			if _, known := book.denials[denial.Request]; !known && book.wanted[denial.Request] {
				book.denials[denial.Request] = denial
			}
		}
	}
	for _, grant := range pub.Grants {
		if grant.Ask.Dialect == CSR && book.wanted[grant.Ask.Request] {
			book.grants[grant.Ask.Request] = grant
		}
	}
	return book
}

func (b *requestBook) want(request string) {
	if request != "" && !b.wanted[request] {
		b.wanted[request] = true
		b.order = append(b.order, request)
	}
}

// entries gives the list of certificates: those that stand there first, in their order, then new ones. From a partial
// view a request that is not seen is still made, perhaps by a unit that is not shown.
func (b *requestBook) entries(bag juju.Bag, partial bool) []map[string]json.RawMessage {
	var list []map[string]json.RawMessage
	for _, entry := range b.memory.ownEntries(bag) {
		if b.answered[entry.request] || !b.wanted[entry.request] && !partial {
			continue
		}
		if members, keep := b.renewed(entry); keep {
			b.answered[entry.request] = true
			list = append(list, members)
		}
	}
	for _, request := range b.order {
		grant, granted := b.grants[request]
		if !granted || b.answered[request] {
			continue
		}
		if members, ok := b.memory.newEntry(request, grant); ok {
			b.answered[request] = true
			list = append(list, members)
		}
	}
	return list
}

// renewed gives what becomes of an entry that answers a request which is still made.
func (b *requestBook) renewed(entry ownEntry) (members map[string]json.RawMessage, keep bool) {
	if grant, granted := b.grants[entry.request]; granted {
		fresh, ok := b.memory.newEntry(entry.request, grant)
		if !ok {
			return entry.members, true
		}
		if leaf, err := b.memory.ParseCertificate(grant.Issued.Certificate); err == nil && leaf.Equal(entry.leaf) {
			noted := maps.Clone(fresh)
			for name, value := range entry.members { // what others noted about this certificate
				if _, ours := fresh[name]; !ours && name != memberRevoked {
					noted[name] = value
				}
			}
			return noted, true
		}
		return fresh, true
	}
	if denial, denied := b.denials[entry.request]; denied && !denial.Code.Temporary() {
		return nil, false
	}
	return entry.members, true
}

// newEntry makes an entry of four members, five when it is revoked (protocol B.3); false when the certificate cannot be
// published: unreadable, without an issuer, or for another key than the request's.
func (m *Memory) newEntry(request string, grant Grant) (map[string]json.RawMessage, bool) {
	issued := grant.Issued
	all := entryText{request, issued.Certificate, strings.Join(issued.Issuers, "\n"), issued.CA, grant.Revoked}
	made := m.made.Get(all, func() map[string]json.RawMessage { return m.makeEntry(request, grant) })
	return made, made != nil
}

func (m *Memory) makeEntry(request string, grant Grant) map[string]json.RawMessage {
	issued := grant.Issued
	parsed, err := m.ParseRequest(request)
	if err != nil {
		return nil
	}
	leaf, err := m.ParseCertificate(issued.Certificate)
	if err != nil || !cert.SameKey(leaf.PublicKey, parsed.PublicKey) {
		return nil
	}
	chain := []*x509.Certificate{leaf}
	for _, text := range issued.Issuers {
		issuers, err := m.ParseCertificates(text)
		if err != nil {
			return nil
		}
		chain = append(chain, issuers...)
	}
	if len(chain) < 2 {
		return nil
	}
	stripped := texts(chain)
	for i := range stripped {
		stripped[i] = strings.TrimSpace(stripped[i])
	}
	ca := stripped[1]
	if own, err := m.ParseCertificate(issued.CA); err == nil {
		ca = strings.TrimSpace(m.EncodeCertificate(own))
	}
	entry := map[string]json.RawMessage{
		memberCA:          json.RawMessage(encode(ca)),
		memberCertificate: json.RawMessage(encode(stripped[0])),
		memberChain:       json.RawMessage(encode(stripped)),
		memberRequest:     json.RawMessage(encode(request)),
	}
	if grant.Revoked { // never false or null: some requirers refuse these (protocol B.3)
		entry[memberRevoked] = json.RawMessage("true")
	}
	return entry
}

// errorEntry is an item of request_errors. The library and the interface's description call the request differently;
// both names are written (protocol B.4).
type errorEntry struct {
	Request      string      `json:"certificate_signing_request"`
	ShortRequest string      `json:"csr"`
	Error        errorDetail `json:"error"`
}

type errorDetail struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Name    string `json:"name"`
	Reason  string `json:"reason,omitempty"`
}

// errors gives the denials of requests that have no entry.
func (b *requestBook) errors() []errorEntry {
	var list []errorEntry
	for _, request := range b.order {
		denial, denied := b.denials[request]
		if !denied || b.answered[request] || b.memory.echo(request) == "" {
			continue
		}
		number, name := denial.Code.Wire()
		list = append(list, errorEntry{request, request, errorDetail{
			Code: number, Name: name, Message: denial.Advice(), Reason: string(denial.Code),
		}})
	}
	return list
}

// ownEntry is an entry of the list of certificates in the own databag.
type ownEntry struct {
	answer
	issued  cert.Issued                // what the answer gives
	members map[string]json.RawMessage // without those that are null: v2 and v3 requirers refuse some
	whole   bool                       // none is
}

// ownEntries reads the own list of certificates. Entries that are damaged, or whose certificate is for another key than
// their request's, are left out, so that they are not published any longer.
func (m *Memory) ownEntries(bag juju.Bag) []ownEntry { return m.ownList(bag).entries }

// ownList is the own list of certificates, read.
type ownList struct {
	entries []ownEntry
	whole   bool // nothing was left out
}

func (m *Memory) ownList(bag juju.Bag) ownList {
	text := bag[keyCertificates]
	if text == "" {
		return ownList{}
	}
	return m.lists.Get(text, func() ownList {
		var items []json.RawMessage
		list := ownList{whole: json.Unmarshal([]byte(text), &items) == nil} // what is no list has no entries
		for _, raw := range items {
			item := string(raw)
			entry := m.entries.Get(item, func() *ownEntry { return m.ownEntry(item) })
			list.whole = list.whole && entry != nil && entry.whole
			if entry != nil {
				list.entries = append(list.entries, *entry)
			}
		}
		return list
	})
}

// ownEntry reads one item of the own list; nil for one to be left out.
func (m *Memory) ownEntry(item string) *ownEntry {
	members := decodeObject(item)
	written := len(members)
	maps.DeleteFunc(members, func(_ string, raw json.RawMessage) bool { return kindOf(raw) == aNull })
	parsed, err := m.parseAnswer(members)
	if err != nil || len(parsed.chain) == 0 {
		return nil
	}
	request, err := m.ParseRequest(parsed.request)
	if err != nil || !parsed.fits(request) {
		return nil
	}
	return &ownEntry{parsed, parsed.issued(), members, len(members) == written}
}

// looseObjects gives the objects of a list that holds other things too.
func looseObjects(text string) []map[string]json.RawMessage {
	var items []json.RawMessage
	if json.Unmarshal([]byte(text), &items) != nil {
		return nil
	}
	var objects []map[string]json.RawMessage
	for _, item := range items {
		if members := decodeObject(string(item)); members != nil {
			objects = append(objects, members)
		}
	}
	return objects
}
