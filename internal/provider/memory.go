// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/memo"
	"github.com/signet-charm/signet/internal/order"
)

// Memory is what Step remembers of the worlds it saw, so that the next one costs what changed: what texts were read as, which
// certificates fit what is asked for, and which relations are at rest. Whatever it remembers, Step gives the same. It is not safe
// for concurrent use.
type Memory struct {
	relations  map[int]*relationMemory
	ground     ground
	lists      memo.Of[string, *x509.RevocationList]
	signatures memo.Of[signedList, bool]
	revoked    memo.Of[string, []cert.Revocation]
}

// signedList is a revocation list, and the certificate of the CA that may have signed it.
type signedList struct{ text, certificate string }

// relationMemory is what is remembered of one relation.
type relationMemory struct {
	dialect.Memory

	shelves memo.Of[string, juju.Bag] // what values of the shelf hold; nil for one that is damaged
	fits    memo.Of[askKey, fit]
	rest    *rest // nil where it is not known to be at rest
	rested  int   // for how many passes it has been
}

// ground is what all decisions about certificates stand on, besides the relation itself and the time.
type ground struct {
	Settings Settings
	Record   string // the CAs, as they would be written down
	Revoked  map[string]string
	Unit     string
	Leader   bool
	Secrets  bool
	Sealed   bool
	Signing  bool
	Ready    bool
}

// of gives what is remembered of a relation.
func (m *Memory) of(relation int) *relationMemory {
	if m.relations == nil {
		m.relations = map[int]*relationMemory{}
	}
	if m.relations[relation] == nil {
		m.relations[relation] = &relationMemory{}
	}
	return m.relations[relation]
}

// stand forgets what was decided on other ground.
func (m *Memory) stand(on ground) {
	if reflect.DeepEqual(m.ground, on) {
		return
	}
	m.ground = on
	for _, remembered := range m.relations {
		remembered.fits, remembered.rest = memo.Of[askKey, fit]{}, nil
	}
}

// groundNow is what this turn's decisions stand on.
func (s *step) groundNow(ready bool) ground {
	written, _ := json.Marshal(s.record) // has a text
	revoked := map[string]string{}
	for generation := range s.revoked {
		key := revokedKey(generation)
		revoked[key] = s.peers.OwnApp[key]
	}
	return ground{
		Settings: s.settings, Record: string(written), Revoked: revoked, Unit: s.snap.Unit, Leader: s.snap.Leader,
		Secrets: s.snap.CanSecrets, Sealed: s.sealed, Signing: s.signing, Ready: ready,
	}
}

// While more than so many results are remembered in all, what was read of relations that have been at rest for so many passes is
// forgotten, of those first that have been for longest: a result takes two kilobytes, and working them out anew, when a relation
// stirs, less than a millisecond for each of its units.
const (
	restful     = 1
	manyResults = 20_000
)

// pass ends one pass over the world.
func (m *Memory) pass(snap juju.Snapshot) {
	seen := map[int]bool{}
	for _, relation := range snap.Relations {
		seen[relation.ID] = true
	}
	m.lists.Pass()
	m.signatures.Pass()
	m.revoked.Pass()
	results := 0
	for id, remembered := range m.relations {
		if !seen[id] {
			delete(m.relations, id)
		} else {
			results += remembered.Len()
		}
	}
	if results <= manyResults {
		return
	}
	for _, id := range slices.SortedFunc(maps.Keys(m.relations), func(a, b int) int { return m.relations[b].rested - m.relations[a].rested }) {
		remembered := m.relations[id]
		if results <= manyResults || remembered.rested < restful {
			return
		}
		results -= remembered.Len()
		m.relations[id] = &relationMemory{rest: remembered.rest, rested: remembered.rested}
	}
}

// Pass ends one pass over the relation: what was not needed in the last few is forgotten.
func (m *relationMemory) Pass() {
	m.Memory.Pass()
	m.shelves.Pass()
	m.fits.Pass()
}

// Len is how many results are remembered.
func (m *relationMemory) Len() int { return m.Memory.Len() + m.shelves.Len() + m.fits.Len() }

// Step decides as Memory.Step does, from nothing but what it is given.
func Step(now time.Time, snap juju.Snapshot, settings Settings, answers []order.Answer) Decision {
	return new(Memory).Step(now, snap, settings, answers)
}

// askKey tells asks apart that are not the same in every respect. Lists of names are told apart by where they lie: those of a
// databag that did not change are the same ones.
type askKey struct {
	unit, name, commonName, request string
	dialect                         dialect.Dialect
	kind                            cert.Kind
	dns, ips                        *string
	dnsNames, ipNames               int
}

func keyOf(ask dialect.Ask) askKey {
	key := askKey{
		unit: ask.Unit, name: ask.Name, commonName: ask.CommonName, request: ask.Request, dialect: ask.Dialect, kind: ask.Kind,
		dnsNames: len(ask.Names.DNS), ipNames: len(ask.Names.IPs),
	}
	if key.dnsNames > 0 {
		key.dns = &ask.Names.DNS[0]
	}
	if key.ipNames > 0 {
		key.ips = &ask.Names.IPs[0]
	}
	return key
}
