// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"encoding/json"
	"encoding/pem"
	"maps"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// PublishUnit gives the complete content of this unit's own databag, where the legacy dialect is answered. Every unit
// of the application must publish the same there, for requirers merge them in any order (protocol A.5).
//
// What belongs to units that are gone is withdrawn (from a partial view nobody is), and so are the private keys of units
// that now speak the CSR dialect only. What a present unit was given stays, whatever becomes of its request. Keys of
// others are not touched.
func (m *Memory) PublishUnit(rel juju.Relation, pub Publication) juju.Bag {
	bag := maps.Clone(rel.OwnUnit)
	if bag == nil {
		bag = juju.Bag{}
	}
	served := servedUnits(rel, pub.Reading)
	for key := range rel.OwnUnit {
		if unit, answers := m.ownerOf(key); answers && !served.has(unit) && !rel.Partial {
			delete(bag, key)
		}
	}
	switch {
	case len(pub.Reading.Legacy) > 0:
		if pub.Common != nil {
			m.publishCommon(bag, *pub.Common)
		}
	case len(pub.Reading.CSR) > 0 && !rel.Partial: // nobody needs them, and one is a private key
		for _, key := range []string{keyCA, keyChain, keyClientCert, keyClientKey} {
			delete(bag, key)
		}
	}
	m.publishGrants(rel, bag, pub.Grants, served)
	return bag
}

// served are the units whose answers stay, by munged name.
type served struct {
	names   map[string]bool
	numbers map[string]bool // of units that do not say their name now: it may have been said before
}

func (s served) has(unit string) bool { return s.names[unit] || s.numbers[number(unit)] }

func servedUnits(rel juju.Relation, reading Reading) served {
	s := served{names: map[string]bool{}, numbers: map[string]bool{}}
	legacy, csr := setOf(reading.Legacy), setOf(reading.CSR)
	names, _ := legacyNames(rel)
	for unit, bag := range rel.RemoteUnits {
		if csr[unit] && !legacy[unit] {
			continue
		}
		s.names[Munge(unit)] = true
		name, valid := names[unit]
		if valid {
			s.names[name] = true
		}
		if !valid || bag[keyUnitName] == "" {
			s.numbers[number(Munge(unit))] = true
		}
	}
	return s
}

// LegacyAnswers picks from a provider's unit databag what it says in the legacy dialect: under "" what all requirers
// share, under a munged unit name what answers that unit.
func (m *Memory) LegacyAnswers(bag juju.Bag) map[string]juju.Bag {
	answers := map[string]juju.Bag{}
	for key, value := range bag {
		unit, answer := m.ownerOf(key)
		if !answer && key != keyCA && key != keyChain && key != keyClientCert && key != keyClientKey {
			continue
		}
		if answers[unit] == nil {
			answers[unit] = juju.Bag{}
		}
		answers[unit][key] = value
	}
	return answers
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, item := range list {
		set[item] = true
	}
	return set
}

// publishCommon writes what all legacy requirers need before they do anything (protocol A.6). A part that cannot be
// read is left as it is: requirers take this text as it comes.
func (m *Memory) publishCommon(bag juju.Bag, common Common) {
	if trust, ok := m.plainCertificates(common.Trust); ok && trust != "" {
		m.fileBundle(bag, keyCA, trust)
	}
	if chain, ok := m.plainCertificates(common.Chain); ok {
		if chain == "" {
			delete(bag, keyChain)
		} else {
			m.fileBundle(bag, keyChain, chain)
		}
	}
	if p, ok := m.plainPair(common.Client); ok && !m.same(pair{bag[keyClientCert], bag[keyClientKey]}, p) {
		bag[keyClientCert], bag[keyClientKey] = p.Cert, p.Key
	}
}

// fileBundle writes certificates, unless what stands there says the same.
func (m *Memory) fileBundle(bag juju.Bag, key, bundle string) {
	if standing, err := m.ParseCertificates(bag[key]); err != nil || cert.EncodeCertificates(standing...) != bundle {
		bag[key] = bundle
	}
}

// publishGrants files each legacy grant in its place. Values that hold several are decoded and encoded once.
func (m *Memory) publishGrants(rel juju.Relation, bag juju.Bag, grants []Grant, served served) {
	values := map[string]map[string]json.RawMessage{}
	value := func(key string) map[string]json.RawMessage {
		if values[key] == nil {
			values[key] = decodeObject(bag[key])
			if values[key] == nil {
				values[key] = map[string]json.RawMessage{}
			}
		}
		return values[key]
	}
	publish := func(key, name string, p pair) { // a pair among others, unless it stands there
		if standing, found := m.decodePairs(bag[key])[name]; !found || !m.same(standing, p) {
			value(key)[name] = json.RawMessage(encode(p))
		}
	}
	for _, grant := range grants {
		ask := grant.Ask
		p, ok := m.plainPair(grant.Issued)
		if ask.Dialect != Legacy || !ok {
			continue
		}
		switch {
		case ask.Kind == cert.Application:
			for _, name := range m.sharers(rel) {
				publish(name+"."+answerSuffix(ask.Kind), appData, p)
			}
		case !served.names[ask.Name]:
		case ask.Kind == cert.Server && rel.RemoteUnits[ask.Unit][keyCommonName] == ask.CommonName:
			certificate, private := ask.Name+"."+suffixServerCert, ask.Name+"."+suffixServerKey
			if !m.same(pair{bag[certificate], bag[private]}, p) {
				bag[certificate], bag[private] = p.Cert, p.Key
			}
			if key := ask.Name + "." + answerSuffix(ask.Kind); bag[key] != "" { // it stands only there (protocol A.3)
				delete(value(key), ask.CommonName)
			}
		default:
			publish(ask.Name+"."+answerSuffix(ask.Kind), ask.CommonName, p)
		}
	}
	for key, members := range values {
		if len(members) == 0 {
			delete(bag, key)
			continue
		}
		set(bag, key, members)
	}
}

// same reports whether a text that stands in a databag says what a plain pair does. Then it stays, byte for byte: EasyRSA
// writes a description before each certificate, and a consumer that sees another text restarts what uses it.
func (m *Memory) same(p, plain pair) bool {
	if p.Cert == plain.Cert && p.Key == plain.Key {
		return true
	}
	leaf, err := m.ParseCertificate(p.Cert)
	return err == nil && m.EncodeCertificate(leaf) == plain.Cert && m.plainKey(p.Key) == plain.Key
}

// sharers are the munged names of the units that ask for the application's certificate.
func (m *Memory) sharers(rel juju.Relation) []string {
	names, _ := legacyNames(rel)
	var sharing []string
	for unit, name := range names {
		key := requestKey(cert.Application)
		if rel.RemoteUnits[unit][key] == "" {
			continue
		}
		wishes, _ := m.legacyWishes(juju.Bag{key: rel.RemoteUnits[unit][key]})
		if len(wishes) > 0 {
			sharing = append(sharing, name)
		}
	}
	slices.Sort(sharing)
	return sharing
}

// plainPair gives a certificate and its key as the legacy dialect writes them: PEM without other text, each ending in
// one newline (protocol A.3); false when either cannot be read.
func (m *Memory) plainPair(issued cert.Issued) (pair, bool) {
	leaf, err := m.ParseCertificate(issued.Certificate)
	if err != nil || issued.Key.IsZero() {
		return pair{}, false
	}
	key := m.plainKey(issued.Key.Reveal())
	return pair{m.EncodeCertificate(leaf), key}, key != ""
}

// plainCertificates joins certificates into one bundle, without doubles.
func (m *Memory) plainCertificates(list []string) (string, bool) {
	var bundle strings.Builder
	seen := map[string]bool{}
	for _, text := range list {
		certificates, err := m.ParseCertificates(text)
		if err != nil {
			return "", false
		}
		for _, text := range texts(certificates) {
			if !seen[text] {
				seen[text] = true
				bundle.WriteString(text)
			}
		}
	}
	return bundle.String(), true
}

// plainKey gives the first private key of a PEM text without any other text; empty when there is none.
func plainKey(text string) string {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") && len(block.Headers) == 0 {
			return string(pem.EncodeToMemory(block))
		}
	}
	return ""
}
