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

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// What Snapshot.Local tells of this unit's record of decisions, so that what stands there is not recorded again.
const (
	DecidedKey    = "decided."          // followed by ledger.Entry.Topic: the fact that stands
	DenialsKey    = "denials."          // followed by one of ledger.Entry.Askers: how many refusals this hour has recorded
	RefusedKey    = "refused."          // followed by an order.ID: why it was refused for good, while that stands
	UncoveredKey  = "record.uncovered"  // the time (RFC 3339) of the first entry that no checkpoint covers
	CheckpointKey = "record.checkpoint" // the text of the last checkpoint
)

const (
	checkpointKey   = "audit-checkpoint" // peer unit databag: the text of the last checkpoint, where other machines keep it
	checkpointEvery = 24 * time.Hour
	maxItem         = 200 // bytes of what others wrote
	maxReason       = 300
)

// audit records what the turn came to, once it has come to rest, and has the record signed from time to time. Only who
// leads decides anything.
func (s *step) audit() {
	if !s.snap.Leader || s.peers.Endpoint.Role != juju.Peers {
		return
	}
	s.keepCheckpoint()
	if len(s.decision.Orders) > 0 { // all of this would be found again
		return
	}
	s.recordRoles()
	s.recordDenials(ledger.Denied, s.denials)
	s.recordDenials(ledger.Reported, s.reported)
	for _, relation := range s.snap.On(juju.Provides, dialect.Interface) {
		if bags, decided := s.decision.Bags[relation.ID]; decided && !relation.Broken {
			s.recordLost(relation, bags)
		}
	}
}

// recordOnce records a decision unless it stands.
func (s *step) recordOnce(entry ledger.Entry) {
	if s.stands(entry) {
		return
	}
	s.decided[entry.Topic()] = true
	s.decision.Record = append(s.decision.Record, entry)
}

// stands reports whether a decision is on record, or about to be.
func (s *step) stands(entry ledger.Entry) bool {
	topic := entry.Topic()
	return s.decided[topic] || s.snap.Local[DecidedKey+topic] == entry.Fact()
}

// recordDenials records refusals, of which nobody can have too many recorded within an hour. That there is no CA is
// nobody's decision.
func (s *step) recordDenials(event ledger.Event, denials []dialect.Denial) {
	apps := map[int]string{}
	for _, relation := range s.snap.Relations {
		apps[relation.ID] = relation.RemoteApp
	}
	for _, denial := range denials {
		if denial.Code == dialect.NoAuthority {
			continue
		}
		entry := ledger.Entry{
			Time: s.now, Event: event, Relation: denial.Relation, App: apps[denial.Relation], Unit: denial.Unit,
			Ask: cut(string(denial.Ask), maxReason), Item: cut(denial.Item, maxItem), Code: string(denial.Code), Rule: denial.Rule,
			Reason: cut(denial.Reason, maxReason),
		}
		unit, relation := entry.Askers()
		switch {
		case s.stands(entry): // and counts no more
		case s.denialsOf(unit) >= ledger.MaxDenials:
			s.recordOnce(entry.Overflow(false))
		case s.denialsOf(relation) >= ledger.MaxRelationDenials:
			s.recordOnce(entry.Overflow(true))
		default:
			s.denied[unit]++
			s.denied[relation]++
			s.recordOnce(entry)
		}
	}
}

// denialsOf counts the refusals of an asker that are recorded in this hour, and those that are about to be.
func (s *step) denialsOf(asker string) int {
	recorded, err := strconv.Atoi(s.snap.Local[DenialsKey+asker])
	if err != nil {
		recorded = 0 // there are none
	}
	return recorded + s.denied[asker]
}

// cut bounds what others wrote, and makes it what JSON gives back.
func cut(text string, most int) string {
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// ordered is the entry of an order that is given now.
func (s *step) ordered(ask dialect.Ask, wanted order.Sign) ledger.Entry {
	return ledger.Entry{
		Time: s.now, Event: ledger.Ordered, Order: string(wanted.ID()), Ask: string(ask.ID()), For: wanted.For,
		Relation: wanted.Asker.Relation, App: wanted.Asker.App, Unit: wanted.Asker.Unit, Rule: wanted.Rule, Before: wanted.Replaces,
		Generation: s.signer.Generation, Names: wanted.Spec.Names.List(),
	}
}

// recordLost records which certificates are published no more, though nothing took their place, and whose owners are told
// to stop using them.
func (s *step) recordLost(before juju.Relation, bags juju.OwnBags) {
	after := before
	if bags.Unit != nil { // else it stays as it is
		after.OwnUnit = bags.Unit
	}
	if bags.App != nil {
		after.OwnApp = bags.App
	}
	if maps.Equal(before.OwnUnit, after.OwnUnit) && maps.Equal(before.OwnApp, after.OwnApp) {
		return
	}
	before.OwnUnit, after.OwnUnit = differing(before.OwnUnit, after.OwnUnit)
	memory := s.memory.of(before.ID)
	type standing struct{ published, revoked bool }
	stands, places := map[string]standing{}, map[string]bool{}
	for _, held := range memory.Inventory(after) {
		serial := cert.SerialText(held.Leaf.SerialNumber)
		stands[serial] = standing{true, stands[serial].revoked || held.Revoked}
		places[held.Place] = true
	}
	for _, held := range memory.Inventory(before) {
		by, _, ours := s.issuerOf(held.Leaf)
		serial := cert.SerialText(held.Leaf.SerialNumber)
		now := stands[serial]
		event := ledger.Withdrawn
		switch {
		case !ours, now.published && now.revoked == held.Revoked, !now.published && places[held.Place]:
			continue
		case now.published && !now.revoked:
			continue // it was issued again
		case now.published:
			event = ledger.Held
		}
		s.recordOnce(ledger.Entry{
			Time: s.now, Event: event, Relation: before.ID, App: before.RemoteApp, Item: cut(held.Place, maxItem), Generation: by.generation(),
			Serial: serial, Subject: cut(held.Leaf.Subject.String(), maxReason), NotAfter: held.Leaf.NotAfter.UTC(),
		})
	}
}

// differing are the keys of two databags that are not the same in both.
func differing(before, after juju.Bag) (juju.Bag, juju.Bag) {
	was, is := juju.Bag{}, juju.Bag{}
	for key, value := range before {
		if other, found := after[key]; !found || other != value {
			was[key] = value
		}
	}
	for key, value := range after {
		if other, found := before[key]; !found || other != value {
			is[key] = value
		}
	}
	return was, is
}

// The roles that a CA can have, in the order in which it has them.
const (
	roleRequested = "requested" // another CA shall certify it
	roleNext      = "next"      // not published yet
	roleTrusted   = "trusted"   // published to be trusted, beside the one that signs
	roleSigning   = "signing"
	roleRetiring  = "retiring"
	roleWithdrawn = "withdrawn" // no longer on record
)

// roles gives each CA on record its role.
func (r *record) roles() map[int]string {
	all := map[int]string{}
	waits := func(one slot, other string) string {
		if one.Certificate == "" {
			return roleRequested
		}
		return other
	}
	for _, old := range r.Retiring {
		all[old.Generation] = roleRetiring
	}
	if r.Next != nil {
		all[r.Next.Generation] = waits(*r.Next, roleNext)
		if !r.Since.IsZero() {
			all[r.Next.Generation] = roleTrusted
		}
	}
	if r.Current.Generation > 0 {
		all[r.Current.Generation] = waits(r.Current, roleSigning)
	}
	return all
}

// recordRoles records which CAs have another role than before this turn.
func (s *step) recordRoles() {
	bags, decided := s.decision.Bags[s.peers.ID]
	if !decided || bags.App[authorityKey] == "" || bags.App[authorityKey] == s.peers.OwnApp[authorityKey] {
		return
	}
	var before, after record
	_ = json.Unmarshal([]byte(s.peers.OwnApp[authorityKey]), &before) // unreadable: nothing is known of it
	_ = json.Unmarshal([]byte(bags.App[authorityKey]), &after)        // was just written
	was, is := before.roles(), after.roles()
	found := map[int]slot{}
	for _, one := range slices.Concat(before.slots(), after.slots()) {
		found[one.Generation] = *one
	}
	for _, generation := range slices.Sorted(maps.Keys(found)) {
		role := is[generation]
		if role == "" {
			role = roleWithdrawn
		}
		if generation == 0 || role == was[generation] {
			continue
		}
		entry := ledger.Entry{Time: s.now, Event: ledger.Authority, Generation: generation, Before: was[generation], After: role}
		if certificate, err := cert.Parse(found[generation].Certificate); err == nil {
			entry.Subject, entry.NotAfter = cut(certificate.Subject.String(), maxReason), certificate.NotAfter.UTC()
		}
		if !found[generation].Adopted.IsZero() && was[generation] == "" {
			entry.Reason = "taken over from another program"
		}
		s.recordOnce(entry)
	}
}

// keepCheckpoint has the record signed once a day, where it has grown, and publishes the last checkpoint in this unit's
// peer databag: who rewrites the record on this machine does not reach what others were told.
func (s *step) keepCheckpoint() {
	text := s.snap.Local[CheckpointKey]
	if since, grown := s.uncovered(); grown && s.signing && !s.keyless() {
		wanted, due := s.signRecord(since), since.Add(checkpointEvery)
		switch answer := s.answers[wanted.ID()]; {
		case answer.State == order.Done: // also where an action wanted it
			text = answer.Checkpoint
		case s.now.Before(due):
			s.wake(due)
		case answer.Failure != nil:
			s.report(juju.Waiting, "cannot sign the record of decisions: %s", answer.Failure.Message)
			s.wake(s.now.Add(retry))
		default:
			s.obtain(wanted)
		}
	}
	if text == "" || s.peers.OwnUnit[checkpointKey] == text {
		return
	}
	bags := s.decision.Bags[s.peers.ID]
	if bags.Unit = maps.Clone(s.peers.OwnUnit); bags.Unit == nil {
		bags.Unit = juju.Bag{}
	}
	bags.Unit[checkpointKey] = text
	s.decision.Bags[s.peers.ID] = bags
}

// uncovered is the time of the first entry that no checkpoint covers; false when there is none.
func (s *step) uncovered() (time.Time, bool) {
	since, err := time.Parse(time.RFC3339Nano, s.snap.Local[UncoveredKey])
	return since, err == nil
}

func (s *step) signRecord(since time.Time) order.SignRecord {
	return order.SignRecord{Signer: s.signer, Unit: s.snap.Unit, Model: s.snap.ModelUUID, Since: since, Time: s.now}
}

// actCheckpoint has the record signed now, and gives the checkpoint to be kept elsewhere.
func (s *step) actCheckpoint(params *juju.Config) {
	text := s.snap.Local[CheckpointKey]
	if s.current.slot == nil {
		s.fail("there is no CA yet: see the status of %s", s.snap.Application())
		return
	}
	if s.current.Vault != nil {
		s.fail("Vault keeps the CA's key, and signs certificates only: have an audit device of Vault's keep the record")
		return
	}
	if s.current.Hand {
		s.fail("the CA's key is not here, so nothing here can be signed with it: keep a copy of the record on another machine")
		return
	}
	since, grown := s.uncovered()
	if params.Flag("dry-run", false) {
		s.succeed(map[string]string{"grown": strconv.FormatBool(grown)})
		return
	}
	if grown {
		answer, done := s.await(s.signRecord(since))
		if !done {
			return
		}
		text = answer.Checkpoint
	}
	if text == "" {
		s.fail("nothing is recorded yet")
		return
	}
	s.succeed(map[string]string{
		"output":  text,
		"message": "keep it on another machine; signet audit verify --checkpoint FILE on this unit holds the record against it",
	})
}

// ActionEntry records what an operator asked for and what came of it. What parameters hold is given where it can be no
// secret, also not by a slip of the hand.
func ActionEntry(now time.Time, action juju.Action, result juju.Result) ledger.Entry {
	var params []string
	for _, name := range slices.Sorted(maps.Keys(action.Params)) {
		value := fmt.Sprint(action.Params[name])
		switch shown := slices.Contains(shownParams(), name); {
		case value == "":
			continue
		case strings.HasSuffix(name, "path") && !strings.HasPrefix(value, "/"), !shown && !strings.HasSuffix(name, "path"), strings.Contains(value, "SECRET"), strings.Contains(value, "PRIVATE"):
			value = fmt.Sprintf("(%d bytes)", len(value))
		}
		params = append(params, name+"="+cut(value, maxItem))
	}
	entry := ledger.Entry{
		Time: now, Event: ledger.Action, Order: cut(action.ID, maxItem), Item: cut(action.Name, maxItem), After: "done",
		Detail: cut(strings.Join(params, " "), 4*maxItem),
	}
	if result.Failure != "" {
		entry.After, entry.Reason = "failed", cut(result.Failure, maxReason)
	}
	return entry
}

// shownParams are the parameters of actions whose values are recorded, besides paths.
func shownParams() []string {
	return []string{
		"all", "application", "at-once", "common-name", "country", "dry-run", "force", "format", "kind", "locality", "name", "new-key",
		"organization", "organizational-unit", "outcome", "province", "reason", "relation", "relation-id", "serial", "state", "step", "unit",
		"unit-name", "within",
	}
}
