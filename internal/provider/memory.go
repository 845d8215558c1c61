// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"time"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/memo"
	"github.com/signet-charm/signet/internal/order"
)

// Memory is what Step remembers of the worlds it saw, so that the next one costs what changed: what texts were read as, by
// relation. Whatever it remembers, Step gives the same. It is not safe for concurrent use.
type Memory struct {
	relations map[int]*relationMemory
}

// relationMemory is what is remembered of one relation.
type relationMemory struct {
	dialect.Memory

	shelves memo.Of[string, juju.Bag] // what values of the shelf hold; nil for one that is damaged
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

// pass ends one pass over the world.
func (m *Memory) pass(snap juju.Snapshot) {
	seen := map[int]bool{}
	for _, relation := range snap.Relations {
		seen[relation.ID] = true
	}
	for id, remembered := range m.relations {
		if !seen[id] {
			delete(m.relations, id)
			continue
		}
		remembered.Pass()
		remembered.shelves.Pass()
	}
}

// Step decides as Memory.Step does, from nothing but what it is given.
func Step(now time.Time, snap juju.Snapshot, settings Settings, answers []order.Answer) Decision {
	return new(Memory).Step(now, snap, settings, answers)
}
