// SPDX-License-Identifier: AGPL-3.0-only

package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// A decision stands until another one takes its place, and is recorded once: a turn that finds the same again records
// nothing. So that nobody who may ask can fill the disk, or the memory of who reads the record, both are bounded: how
// many refusals one asker and one relation may have recorded within an hour, and how many decisions are remembered.
const (
	MaxDenials         = 20   // that are recorded within an hour of one unit, or of one application as a whole
	MaxRelationDenials = 200  // that are recorded within an hour of one relation
	maxDecisions       = 4096 // that are remembered; who forgets one records it again
)

// Topic names what a decision is about, so that a later one on the same takes its place: an ask, what should have been
// one, a CA, a certificate. It is empty where an entry tells of something that happens, and not of how something is.
func (e Entry) Topic() string {
	var parts []string
	switch {
	case e.Event == Authority:
		parts = []string{"authority", strconv.Itoa(e.Generation)}
	case e.Event.aboutCertificate():
		parts = []string{"certificate", strconv.Itoa(e.Generation), e.Serial}
	case e.Remembered || e.Event != Denied && e.Event != Reported && e.Event != Issued:
		return ""
	case e.Ask != "":
		parts = []string{"ask", e.Ask}
	case e.Item != "":
		parts = []string{"item", strconv.Itoa(e.Relation), e.Unit, e.Item}
	default:
		return ""
	}
	return digest(parts...)
}

// Fact is what was decided. The reason is no part of it, because it may hold times, and what others wrote.
func (e Entry) Fact() string { return digest(string(e.Event), e.Code, e.Rule, e.After) }

// Askers name whose refusals are counted with an entry's: its unit, and its relation.
func (e Entry) Askers() (unit, relation string) {
	relation = strconv.Itoa(e.Relation)
	return relation + " " + e.Unit, relation
}

// noAsker is the unit of entries that nobody asked for.
const noAsker = "0 "

// These begin what is recorded in place of the refusals that are too many.
const (
	overflowItem         = "more refusals in the hour from "
	relationOverflowItem = "more refusals in the relation in the hour from "
)

// Overflow is the entry that is recorded once in place of an asker's refusals that are too many within an hour.
func (e Entry) Overflow(whole bool) Entry {
	more := Entry{
		Time: e.Time, Event: e.Event, Relation: e.Relation, App: e.App, Unit: e.Unit, Code: "too-many",
		Item:   overflowItem + hourOf(e.Time).Format(time.RFC3339),
		Reason: fmt.Sprintf("more than %d refusals within the hour: the others are not recorded", MaxDenials),
	}
	if whole {
		more.Unit, more.Item = "", relationOverflowItem+hourOf(e.Time).Format(time.RFC3339)
		more.Reason = fmt.Sprintf("more than %d refusals within the hour in one relation: the others are not recorded", MaxRelationDenials)
	}
	return more
}

// IsOverflow reports whether an entry stands in place of others.
func (e Entry) IsOverflow() bool {
	return e.Ask == "" && e.Code == "too-many" && (strings.HasPrefix(e.Item, overflowItem) || strings.HasPrefix(e.Item, relationOverflowItem))
}

func hourOf(at time.Time) time.Time { return at.UTC().Truncate(time.Hour) }

func digest(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(hash.Sum(nil)[:12])
}

// decisions are those that stand. The zero value is none.
type decisions struct {
	facts   map[string]string // by topic
	topics  []string          // in the order in which they were last added, with doubles
	hour    time.Time         // of the last refusal
	denials map[string]int    // of that hour, by asker
}

func (d *decisions) add(entry Entry) {
	topic := entry.Topic()
	if topic == "" {
		return
	}
	if entry.Event == Issued { // what was refused before is not any more
		delete(d.facts, topic)
		return
	}
	if d.facts == nil {
		d.facts, d.denials = map[string]string{}, map[string]int{}
	}
	d.facts[topic] = entry.Fact()
	d.topics = append(d.topics, topic)
	d.forget()
	if entry.Event != Denied && entry.Event != Reported || entry.IsOverflow() {
		return
	}
	if hour := hourOf(entry.Time); !hour.Equal(d.hour) {
		d.hour, d.denials = hour, map[string]int{}
	}
	unit, relation := entry.Askers()
	d.denials[unit]++
	d.denials[relation]++
}

// forget keeps what is remembered within its bound: the oldest go, half of them at once.
func (d *decisions) forget() {
	if len(d.topics) < 2*maxDecisions {
		return
	}
	recent, facts := d.topics[len(d.topics)-maxDecisions:], map[string]string{}
	for _, topic := range recent {
		if fact, stands := d.facts[topic]; stands {
			facts[topic] = fact
		}
	}
	d.topics, d.facts = append([]string(nil), recent...), facts
}

// Stands reports whether an entry says what stands already.
func (l *Ledger) Stands(entry Entry) bool {
	topic := entry.Topic()
	return topic != "" && entry.Event != Issued && l.decided.facts[topic] == entry.Fact()
}

// Decided gives the facts that stand, by topic.
func (l *Ledger) Decided() map[string]string { return maps.Clone(l.decided.facts) }

// Denials counts the refusals that were recorded in the hour of a time, by asker; see Entry.Askers.
func (l *Ledger) Denials(now time.Time) map[string]int {
	if !l.decided.hour.Equal(hourOf(now)) {
		return nil
	}
	return maps.Clone(l.decided.denials)
}

// coverage tells how far checkpoints reach.
type coverage struct {
	last  Entry     // the last checkpoint
	since time.Time // of the first entry that no checkpoint covers; zero for none
}

func (c *coverage) add(entry Entry) {
	switch {
	case entry.Event == Checkpoint:
		c.last, c.since = entry, time.Time{}
	case c.since.IsZero() && !entry.Remembered: // what others tell has the time at which they did it
		c.since = entry.Time
	}
}

// Uncovered is the time of the first entry that no checkpoint covers; zero when all are.
func (l *Ledger) Uncovered() time.Time { return l.covered.since }

// LastCheckpoint gives the last one; false when there is none.
func (l *Ledger) LastCheckpoint() (Entry, bool) {
	return l.covered.last, l.covered.last.Event == Checkpoint
}
