// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// makersPrefix begins the keys of the peer application bag that remember who made which request first; a relation's number
// follows, the value lists requests by unit. Requests are published with their answers, so that every unit of an application
// can make another's as its own, and nothing else tells whose the certificate is.
const makersPrefix = "makers."

// makers are the units that made the requests of one relation first, by requestPrint. The application as a whole is the
// empty unit.
type makers map[string]string

func makersKey(relation int) string { return fmt.Sprintf("%s%d", makersPrefix, relation) }

// requestPrint names a request where its text is too long.
func requestPrint(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// writtenMakers are the makers that are written down for a relation.
func (s *step) writtenMakers(relation int) makers {
	var written map[string][]string
	_ = json.Unmarshal([]byte(s.peers.OwnApp[makersKey(relation)]), &written) // unreadable: who makes them now did
	known := makers{}
	for unit, prints := range written {
		for _, print := range prints {
			known[print] = unit
		}
	}
	return known
}

// of is the unit whose request an ask is: the one that made it first, whoever makes it now.
func (m makers) of(ask dialect.Ask) string {
	if unit, known := m[requestPrint(ask.Request)]; known && ask.Dialect == dialect.CSR {
		return unit
	}
	return ask.Unit
}

// attribute has each request that several units make be the ask of the one that made it first.
func (m makers) attribute(asks []dialect.Ask) {
	for i, ask := range asks {
		if unit := m.of(ask); slices.Contains(ask.Makers, unit) {
			asks[i].Unit = unit
		}
	}
}

// saveMakers writes down who made the requests that are answered, while they are.
func (s *step) saveMakers(relation juju.Relation, known makers, grants []dialect.Grant) {
	kept := makers{}
	if relation.Partial { // who is not shown still asks
		kept = known
	}
	for _, grant := range grants {
		if grant.Ask.Dialect == dialect.CSR {
			kept[requestPrint(grant.Ask.Request)] = known.of(grant.Ask)
		}
	}
	byUnit := map[string][]string{}
	for print, unit := range kept {
		byUnit[unit] = append(byUnit[unit], print)
	}
	for _, prints := range byUnit {
		slices.Sort(prints)
	}
	var text []byte
	if len(byUnit) > 0 {
		text, _ = json.Marshal(byUnit) // of texts, which have one
	}
	s.keepOfRelation(makersPrefix, relation.ID, string(text))
}

// forsaken revokes what was issued to units that are gone, although a sibling goes on asking with their requests, whose keys
// it cannot have.
func (s *step) forsaken(relation juju.Relation, published *dialect.Index, known makers, asks []dialect.Ask) {
	if !s.settings.RevokeOnDeparture || relation.Partial {
		return
	}
	for _, ask := range asks {
		unit := known.of(ask)
		if _, seen := relation.RemoteUnits[unit]; seen || unit == "" || ask.Dialect != dialect.CSR {
			continue
		}
		leaf, err := s.memory.of(relation.ID).Parse(current(published, ask).Certificate)
		if err != nil {
			continue
		}
		if by, _, ours := s.issuerOf(leaf); ours {
			s.revoke(by.Generation, revocation(leaf, cert.CessationOfOperation))
		}
	}
}
