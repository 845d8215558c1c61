// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"encoding/json"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/memo"
)

// Memory reads and writes one relation's databags as this package's functions of the same names do, and each text in them once,
// however often it does it. It is not safe for concurrent use.
type Memory struct {
	cert.Memory

	owners  memo.Of[string, owner]
	pairs   memo.Of[string, map[string]pair]
	issued  memo.Of[pair, issuedPair]
	keys    memo.Of[string, string] // private keys without any other text
	wishes  memo.Of[legacyText, legacyReading]
	items   memo.Of[string, csrReading]
	asks    memo.Of[string, readAsk]
	lists   memo.Of[string, ownList]
	entries memo.Of[string, *ownEntry] // nil for one to be left out
	made    memo.Of[entryText, map[string]json.RawMessage]
}

// Pass ends one pass over the relation: what was not needed in the last few is forgotten.
func (m *Memory) Pass() {
	m.Memory.Pass()
	m.owners.Pass()
	m.pairs.Pass()
	m.issued.Pass()
	m.keys.Pass()
	m.wishes.Pass()
	m.items.Pass()
	m.asks.Pass()
	m.lists.Pass()
	m.entries.Pass()
	m.made.Pass()
}

// Len is how many results are remembered.
func (m *Memory) Len() int {
	return m.Memory.Len() + m.owners.Len() + m.pairs.Len() + m.issued.Len() + m.keys.Len() + m.wishes.Len() + m.items.Len() + m.asks.Len() +
		m.lists.Len() + m.entries.Len() + m.made.Len()
}

// Read gives all that the remote side of a relation asks for, as Memory.Read does.
func Read(rel juju.Relation) Reading { return new(Memory).Read(rel) }

// NewIndex indexes the own databags of a relation.
func NewIndex(rel juju.Relation) *Index { return new(Memory).Index(rel) }

// PublishUnit gives the complete content of this unit's own databag, as Memory.PublishUnit does.
func PublishUnit(rel juju.Relation, pub Publication) juju.Bag {
	return new(Memory).PublishUnit(rel, pub)
}

// PublishApplication gives the complete content of the own application databag, as Memory.PublishApplication does.
func PublishApplication(rel juju.Relation, pub Publication) juju.Bag {
	return new(Memory).PublishApplication(rel, pub)
}

// Inventory gives all certificates that this side's databags publish in a relation, as Memory.Inventory does.
func Inventory(rel juju.Relation) []Held { return new(Memory).Inventory(rel) }

// LegacyAnswers picks from a provider's unit databag what it says in the legacy dialect, as Memory.LegacyAnswers does.
func LegacyAnswers(bag juju.Bag) map[string]juju.Bag { return new(Memory).LegacyAnswers(bag) }

// owner is what ownerOf gives.
type owner struct {
	unit    string
	answers bool
}

// issuedPair is a pair that was checked.
type issuedPair struct {
	issued cert.Issued
	good   bool
}

// legacyText is all of a unit databag that legacyWishes reads.
type legacyText struct{ commonName, sans, server, client, intermediate, application string }

func legacyTextOf(bag juju.Bag) legacyText {
	return legacyText{
		bag[keyCommonName], bag[keySANs], bag[requestKey(cert.Server)], bag[requestKey(cert.Client)],
		bag[requestKey(cert.Intermediate)], bag[requestKey(cert.Application)],
	}
}

// legacyReading is what legacyWishes gives.
type legacyReading struct {
	wishes   []wish
	refusals []refusal
}

// csrReading is a list of requests, taken apart.
type csrReading struct {
	items  []csrItem
	excess int
	err    error
}

// csrItem is what requestItem gives.
type csrItem struct {
	text string
	ca   bool
	err  error
}

// readAsk is what requestAsk gives.
type readAsk struct {
	ask Ask
	err error
}

// entryText is all that an entry of the CSR dialect follows from.
type entryText struct {
	request, certificate, issuers, ca string
	revoked                           bool
}

func (m *Memory) ownerOf(key string) (unit string, answers bool) {
	found := m.owners.Get(key, func() owner {
		unit, answers := ownerOf(key)
		return owner{unit, answers}
	})
	return found.unit, found.answers
}

func (m *Memory) decodePairs(text string) map[string]pair {
	return m.pairs.Get(text, func() map[string]pair { return decodePairs(text) })
}

func (m *Memory) plainKey(text string) string {
	return m.keys.Get(text, func() string { return plainKey(text) })
}

func (m *Memory) legacyWishes(bag juju.Bag) ([]wish, []refusal) {
	found := m.wishes.Get(legacyTextOf(bag), func() legacyReading {
		wishes, refusals := legacyWishes(bag)
		return legacyReading{wishes, refusals}
	})
	return found.wishes, found.refusals
}
