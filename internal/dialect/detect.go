// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"maps"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// Read gives all that the remote side of a relation asks for. Only the content of each databag tells which dialect its
// writer speaks (protocol B.10), so the units of one application may speak different ones, or both at once. Reading
// never fails: an item that is no good becomes a Denial and harms no other.
func (m *Memory) Read(rel juju.Relation) Reading {
	reader := reader{rel: rel, memory: m, requests: map[string]int{}}
	names, impostors := legacyNames(rel)
	if speaksCSR(rel.RemoteApplication) {
		reader.reading.CSR = append(reader.reading.CSR, "")
		reader.csr("", rel.RemoteApplication)
	}
	shared := len(reader.reading.Asks)
	var application union
	if rel.Partial {
		application.keep(m, rel.OwnUnit)
	}
	for _, unit := range rel.UnitNames() {
		bag := rel.RemoteUnits[unit]
		if speaksCSR(bag) {
			reader.reading.CSR = append(reader.reading.CSR, unit)
			reader.csr(unit, bag)
		}
		if !speaksLegacy(bag) {
			continue
		}
		reader.reading.Legacy = append(reader.reading.Legacy, unit)
		if impostor, found := impostors[unit]; found {
			reader.deny(unit, impostor, "")
			continue
		}
		reader.legacy(unit, names[unit], bag, &application)
	}
	if ask, found := application.ask(rel); found {
		reader.reading.Asks = slices.Insert(reader.reading.Asks, shared, ask)
		reader.reading.Application = application.wishes
	}
	return reader.reading
}

// reader collects a Reading.
type reader struct {
	rel      juju.Relation
	memory   *Memory
	reading  Reading
	requests map[string]int // CSR dialect: index of the ask by its request's text

	authorities map[string]bool // CSR dialect: what is published as a CA's, by its request's text; nil until it is needed
}

func (r *reader) deny(unit string, why refusal, request string) {
	r.reading.Denials = append(r.reading.Denials, Denial{
		Relation: r.rel.ID, Unit: unit, Item: why.item, Request: request, Code: why.code, Reason: why.reason,
	})
}

// Spoken gives the dialects that the remote provider evidently speaks, by what it has published.
func Spoken(rel juju.Relation) []Dialect {
	var spoken []Dialect
	for _, bag := range rel.RemoteUnits {
		if answersLegacy(bag) {
			spoken = append(spoken, Legacy)
			break
		}
	}
	for _, key := range []string{keyCertificates, keyErrors, keyCapabilities} {
		if rel.RemoteApplication[key] != "" {
			return append(spoken, CSR)
		}
	}
	return spoken
}

func speaksCSR(bag juju.Bag) bool { return bag[keyRequests] != "" }

func speaksLegacy(bag juju.Bag) bool {
	if bag[keyUnitName] != "" || bag[keyCommonName] != "" {
		return true
	}
	for _, kind := range legacyKinds() {
		if bag[requestKey(kind)] != "" {
			return true
		}
	}
	return false
}

func answersLegacy(bag juju.Bag) bool {
	if bag[keyCA] != "" || bag[keyClientCert] != "" {
		return true
	}
	for key := range bag {
		if _, ours := ownerOf(key); ours {
			return true
		}
	}
	return false
}

// legacyNames gives, for each remote unit, the munged name under which its legacy answers are filed, and why a unit has
// none. A unit of another model goes by "remote-<hex>/<n>" or by an alias here and knows nothing of that name, so a unit
// may claim any name that ends in its own number: as all units of a relation belong to one application and differ in
// their numbers, no unit can claim another's answers.
func legacyNames(rel juju.Relation) (names map[string]string, impostors map[string]refusal) {
	names, impostors = map[string]string{}, map[string]refusal{}
	claims := map[string]int{}
	for _, unit := range rel.UnitNames() {
		name, err := claimedName(unit, rel.RemoteUnits[unit][keyUnitName])
		if err != nil {
			impostors[unit] = refusal{keyUnitName, WrongUnit, err.Error()}
			continue
		}
		names[unit] = name
		claims[name]++
	}
	for unit, name := range names { // Juju never shows two such units in one relation; a bug must not mix their keys
		if claims[name] > 1 && name != Munge(unit) {
			delete(names, unit)
			impostors[unit] = refusal{keyUnitName, WrongUnit, "another unit claims the same name"}
		}
	}
	return names, impostors
}

// claimedName gives the munged name that a unit may go by, or why it may not.
func claimedName(unit, claim string) (string, error) {
	if own := Munge(unit); claim == "" || claim == unit || claim == own {
		return own, nil
	}
	munged := Munge(claim)
	if !isMungedUnit(munged) {
		return "", malformed("unit_name is %s, which is not a unit's name", quote(claim))
	}
	if number(munged) != number(Munge(unit)) {
		return "", malformed("unit_name is %s, which is the name of a unit with another number", quote(claim))
	}
	return munged, nil
}

// isMungedUnit reports whether a text is a munged unit name: an application name, "_" and a number, as Juju's names
// are made ("^[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*$" and no leading zeros).
func isMungedUnit(text string) bool {
	app, digits, found := strings.Cut(text, "_")
	if !found || digits == "" || len(digits) > 9 || strings.Trim(digits, "0123456789") != "" ||
		(len(digits) > 1 && digits[0] == '0') || len(app) > 253 {
		return false
	}
	for i, part := range strings.Split(app, "-") {
		hasLetter := strings.ContainsAny(part, "abcdefghijklmnopqrstuvwxyz")
		if !hasLetter || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789") != "" ||
			(i == 0 && part[0] >= '0' && part[0] <= '9') {
			return false
		}
	}
	return true
}

// number is what follows the "_" of a munged unit name.
func number(munged string) string {
	_, digits, _ := strings.Cut(munged, "_")
	return digits
}

// union is the one certificate that all units of an application share: everybody's names (protocol A.2).
type union struct {
	asked      bool   // by a unit that is seen
	commonName string // of the first unit by name
	dns, ips   map[string]bool
	wishes     []Wish
}

// keep takes in what is published for the application already. In a partial view the units that asked for it may not be
// shown, and who is shown must not take their names from them.
func (u *union) keep(m *Memory, own juju.Bag) {
	for _, key := range slices.Sorted(maps.Keys(own)) {
		if _, answers := m.ownerOf(key); !answers || !strings.HasSuffix(key, "."+answerSuffix(cert.Application)) {
			continue
		}
		shared, found := m.decodePairs(own[key])[appData]
		if !found {
			continue
		}
		if leaf, err := m.ParseCertificate(shared.Cert); err == nil {
			u.merge("", leaf.Subject.CommonName, m.NamesOf(leaf))
		}
	}
}

// add takes a unit's names in; false when the certificate would get too many.
func (u *union) add(unit, commonName string, names cert.Names) bool {
	if !u.merge(unit, commonName, names) {
		return false
	}
	u.asked = true
	return true
}

func (u *union) merge(unit, commonName string, names cert.Names) bool {
	if u.dns == nil {
		u.dns, u.ips = map[string]bool{}, map[string]bool{}
	}
	if fresh(u.dns, names.DNS)+fresh(u.ips, names.IPs)+len(u.dns)+len(u.ips) > maxNames {
		return false
	}
	for _, name := range names.DNS {
		u.dns[name] = true
	}
	for _, ip := range names.IPs {
		u.ips[ip] = true
	}
	if u.commonName == "" {
		u.commonName = commonName
	}
	u.wishes = append(u.wishes, Wish{Unit: unit, CommonName: commonName, Names: names})
	return true
}

func fresh(known map[string]bool, names []string) int {
	count := 0
	for _, name := range names {
		if !known[name] {
			count++
		}
	}
	return count
}

func (u *union) ask(rel juju.Relation) (Ask, bool) {
	if !u.asked {
		return Ask{}, false
	}
	return Ask{
		Relation: rel.ID, App: rel.RemoteApp, Dialect: Legacy, Kind: cert.Application, CommonName: u.commonName,
		Names: cert.Names{DNS: slices.Sorted(maps.Keys(u.dns)), IPs: slices.Sorted(maps.Keys(u.ips))},
	}, true
}

// The interfaces of charm metadata whose relation data this package reads and writes.
const (
	Interface         = "tls-certificates"
	TransferInterface = "certificate_transfer"
)
