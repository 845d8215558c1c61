// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/policy"
)

// nodesPrefix begins the keys of the peer application bag that remember which unit goes by which node's name; a relation's
// number follows. What is asked and published does not tell: every unit of an application can read the others' requests
// where they are answered, and make them as its own.
const nodesPrefix = "nodes."

// nodeHolders are the units of one relation by the names of nodes that they go by, which no two share. The application as
// a whole is the empty unit.
type nodeHolders map[string]string

func nodesKey(relation int) string { return fmt.Sprintf("%s%d", nodesPrefix, relation) }

// writtenNodes are the holders that are written down for a relation.
func (s *step) writtenNodes(relation int) nodeHolders {
	var written nodeHolders
	_ = json.Unmarshal([]byte(s.peers.OwnApp[nodesKey(relation)]), &written) // unreadable: it is told by what is published
	return written
}

// holdersOf gives the holders of the names that are asked for in a relation: those written down while they ask or a
// certificate of the name is published, else as take does.
func (s *step) holdersOf(relation juju.Relation, published *dialect.Index, all, admitted []dialect.Ask) nodeHolders {
	written, holders := s.writtenNodes(relation.ID), nodeHolders{}
	for _, ask := range all {
		name, isNode := policy.NodeOf(ask.CommonName)
		if !isNode {
			continue
		}
		unit, known := written[name]
		_, seen := relation.RemoteUnits[unit]
		if known && (seen || unit == "" || relation.Partial) && (unit == ask.Unit || current(published, ask).Certificate != "") {
			holders[name] = unit
		}
	}
	holders.take(published, all, admitted)
	return holders
}

// saveNodes writes down who goes by the names that were given, and forgets relations that are gone. What is only asked for is
// not kept: who is refused could fill the databag.
func (s *step) saveNodes(relation int, holders nodeHolders, grants []dialect.Grant) {
	written, kept := s.writtenNodes(relation), nodeHolders{}
	for name, unit := range holders {
		if before, known := written[name]; known && before == unit {
			kept[name] = unit
		}
	}
	for _, grant := range grants {
		if name, isNode := policy.NodeOf(grant.Ask.CommonName); isNode {
			kept[name] = holders[name]
		}
	}
	text, err := json.Marshal(kept)
	if len(kept) == 0 {
		text = nil
	}
	if err == nil {
		s.keepOfRelation(nodesPrefix, relation, string(text))
	}
}

// keepOfRelation writes down in the peer application bag what is remembered of a relation, nothing where the text is empty,
// and forgets what was of relations that are gone.
func (s *step) keepOfRelation(prefix string, relation int, text string) {
	key := fmt.Sprintf("%s%d", prefix, relation)
	if s.peers.OwnApp[key] == text {
		return
	}
	s.notedOfRelations++
	bag := s.peerBag()
	for other := range s.peers.OwnApp {
		is := func(r juju.Relation) bool { return other == fmt.Sprintf("%s%d", prefix, r.ID) }
		if strings.HasPrefix(other, prefix) && !slices.ContainsFunc(s.snap.Relations, is) {
			delete(bag, other)
		}
	}
	if bag[key] = text; text == "" {
		delete(bag, key)
	}
}

// take gives each name that has no holder to the unit that has a certificate for it, also where its request is not answered
// any more, else to the first one that asks and may.
func (h nodeHolders) take(published *dialect.Index, all, admitted []dialect.Ask) {
	hold := func(ask dialect.Ask, holds func() bool) {
		name, isNode := policy.NodeOf(ask.CommonName)
		if _, known := h[name]; isNode && !known && holds() {
			h[name] = ask.Unit
		}
	}
	for _, ask := range all {
		hold(ask, func() bool { return current(published, ask).Certificate != "" })
	}
	for _, ask := range admitted {
		hold(ask, func() bool { return true })
	}
}

// other is another unit that goes by the node's name in an ask; empty for none.
func (h nodeHolders) other(ask dialect.Ask) string {
	name, isNode := policy.NodeOf(ask.CommonName)
	if holder, known := h[name]; isNode && known && holder != ask.Unit {
		if holder == "" {
			return "every unit of the application"
		}
		return holder
	}
	return ""
}
