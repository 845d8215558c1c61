// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// SealedPrefix begins the keys of the peer application bag whose values hold private keys: who carries a commit out
// seals them. "sealed.<relation ID>" holds what all requirers of a relation share, "sealed.<relation ID>.<unit>" what
// answers one of them, each a JSON object of databag keys.
const SealedPrefix = "sealed."

// absentKey is where the leader's unit state notes since when relations on the shelf are not shown.
const absentKey = "absent"

// absence is how long a relation must not be shown before what the shelf holds for it goes. Juju does not show a unit
// the relations that it has not entered yet, and shows those that it leaves for good like those that end.
const absence = 24 * time.Hour

// shelf holds what the leader publishes in the legacy dialect: by relation, the keys of the peer application bag. The units of
// the application share it through the peer relation: every unit must publish the same, and a new leader must find what the old
// one issued.
type shelf map[int][]string

func (s *step) readShelf() {
	peers, _ := s.snap.Peers()
	s.shelf = shelf{}
	for key := range peers.OwnApp {
		if id, sealed := shelvedRelation(key); sealed {
			s.shelf[id] = append(s.shelf[id], key)
		}
	}
}

// shelved is what the shelf holds for a relation; false when something of it cannot be read, which must not be taken for gone.
func (s *step) shelved(relation int) (juju.Bag, bool) {
	all, whole := juju.Bag{}, true
	for _, key := range s.shelf[relation] {
		answers := s.memory.of(relation).openShelf(s.peers.OwnApp[key])
		maps.Copy(all, answers)
		whole = whole && answers != nil
	}
	return all, whole
}

// openShelf reads a value of the shelf; nil for one that is damaged.
func (m *relationMemory) openShelf(text string) juju.Bag {
	return m.shelves.Get(text, func() juju.Bag {
		answers := juju.Bag{}
		if json.Unmarshal([]byte(text), &answers) != nil {
			return nil
		}
		if answers == nil { // null
			answers = juju.Bag{}
		}
		return answers
	})
}

// shelvedRelation gives the relation that a key of the peer bag is about.
func shelvedRelation(key string) (id int, sealed bool) {
	rest, sealed := strings.CutPrefix(key, SealedPrefix)
	number, _, _ := strings.Cut(rest, ".")
	id, err := strconv.Atoi(number)
	return id, sealed && err == nil
}

// withShelved gives a relation with what the shelf holds in its own unit bag, as if this unit had published it itself.
func (s *step) withShelved(relation juju.Relation) juju.Relation {
	if shelved, _ := s.shelved(relation.ID); len(shelved) > 0 {
		bag := maps.Clone(relation.OwnUnit)
		if bag == nil {
			bag = juju.Bag{}
		}
		maps.Copy(bag, shelved)
		relation.OwnUnit = bag
	}
	return relation
}

// mirror makes a unit that does not lead publish what the leader does.
func (s *step) mirror(relation juju.Relation) {
	shelved, whole := s.shelved(relation.ID)
	if !s.sealed || !whole {
		return
	}
	bag := maps.Clone(relation.OwnUnit)
	if bag == nil {
		bag = juju.Bag{}
	}
	for _, answers := range s.memory.of(relation.ID).LegacyAnswers(relation.OwnUnit) {
		for key := range answers {
			delete(bag, key)
		}
	}
	maps.Copy(bag, shelved)
	s.decision.Bags[relation.ID] = juju.OwnBags{Unit: bag}
}

// writeShelf puts what this leader publishes on the shelf. Without a key to seal it with (a model without secrets, a
// secret that cannot be read now) nothing is shared, and what stands there stays.
func (s *step) writeShelf() {
	if !s.sealed {
		return
	}
	bag := s.peerBag()
	shown := map[int]bool{}
	for _, relation := range s.snap.On(juju.Provides, dialect.Interface) {
		if relation.Broken { // perhaps only this unit is leaving it
			continue
		}
		shown[relation.ID] = true
		if found, rests := s.resting[relation.ID]; rests && found == nil {
			continue
		}
		wanted := map[string]string{}
		memory := s.memory.of(relation.ID)
		for unit, answers := range memory.LegacyAnswers(s.decision.Bags[relation.ID].Unit) {
			key := fmt.Sprintf("%s%d", SealedPrefix, relation.ID)
			if unit != "" {
				key += "." + unit
			}
			if standing := bag[key]; standing != "" && maps.Equal(memory.openShelf(standing), answers) {
				wanted[key] = standing
				continue
			}
			text, err := json.Marshal(answers)
			if err == nil {
				wanted[key] = string(text)
			}
		}
		for _, key := range s.shelf[relation.ID] {
			if wanted[key] == "" {
				delete(bag, key)
				delete(s.resting, relation.ID)
			}
		}
		for key, text := range wanted {
			if bag[key] != text {
				bag[key] = text
				delete(s.resting, relation.ID)
			}
		}
	}
	s.forgetAbsent(bag, shown)
}

// forgetAbsent clears the shelf of relations that have not been shown for long enough.
func (s *step) forgetAbsent(bag juju.Bag, shown map[int]bool) {
	since := map[string]time.Time{}
	_ = json.Unmarshal([]byte(s.snap.State[absentKey]), &since) // unreadable: the time begins anew
	noted := map[string]time.Time{}
	for _, key := range slices.Sorted(maps.Keys(bag)) {
		id, sealed := shelvedRelation(key)
		if waits, found := strings.CutPrefix(strings.TrimPrefix(key, SealedPrefix), outstandingPrefix); found { // for an operator
			var err error
			id, err = strconv.Atoi(waits)
			sealed = err == nil
		}
		if !sealed || shown[id] {
			continue
		}
		name := strconv.Itoa(id)
		first, known := since[name]
		if !known {
			first = s.now.UTC().Truncate(time.Second)
		}
		if s.now.Sub(first) >= absence {
			delete(bag, key)
			continue
		}
		noted[name] = first
		s.wake(first.Add(absence))
	}
	text := ""
	if len(noted) > 0 {
		encoded, err := json.Marshal(noted)
		if err != nil {
			return
		}
		text = string(encoded)
	}
	s.decision.State[absentKey] = text
}
