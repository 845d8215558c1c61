// SPDX-License-Identifier: AGPL-3.0-only

package ledger

import (
	"fmt"
	"slices"
	"time"
)

// Ledger is what a record of entries says. Its zero value is the empty record. It is not safe for concurrent use while
// entries are added.
type Ledger struct {
	entries  []Entry
	byOrder  map[string][]int
	byAsk    map[string][]string // serials in the order of their issue
	bySerial map[string]Certificate
	decided  decisions
	covered  coverage
	refused  map[string]bool // orders whose last outcome was a refusal for good
}

// Certificate is all that is known of one serial number.
type Certificate struct {
	Entry               // of its issue; of its reservation until it is issued
	State     Event     // Reserved, Issued, Refused or Revoked
	RevokedAt time.Time // zero while it is not revoked
	Why       string    // the reason of its refusal or revocation
}

// Fold reads a whole record, in linear time. The error names the first entry, counted from 1, that cannot follow those
// before it; the ledger of these is given too.
func Fold(entries []Entry) (Ledger, error) {
	var ledger Ledger
	for i, entry := range entries {
		if err := ledger.Add(entry); err != nil {
			return ledger, fmt.Errorf("cannot follow entry %d: %w", i+1, err)
		}
	}
	return ledger, nil
}

// Add adds one entry. It refuses, and leaves the ledger as it was, when a serial number would stand for two things
// (RFC 5280, 4.1.2.2): reserved twice, issued twice, or issued for another order than it was reserved for.
func (l *Ledger) Add(entry Entry) error {
	if err := l.Check(entry); err != nil {
		return err
	}
	if l.byOrder == nil {
		l.byOrder, l.byAsk, l.bySerial = map[string][]int{}, map[string][]string{}, map[string]Certificate{}
	}
	l.entries = append(l.entries, entry)
	if entry.Order != "" {
		l.byOrder[entry.Order] = append(l.byOrder[entry.Order], len(l.entries)-1)
	}
	l.decided.add(entry)
	l.covered.add(entry)
	l.noteRefusal(entry)
	if entry.Serial == "" || entry.Event.aboutCertificate() {
		return nil
	}
	certificate, known := l.bySerial[entry.Serial]
	if !known || entry.Event == Issued {
		certificate.Entry = entry
	}
	if certificate.RevokedAt.IsZero() { // once revoked, always revoked
		certificate.State = entry.Event
		certificate.Why = entry.Reason
	}
	if entry.Event == Revoked && certificate.RevokedAt.IsZero() {
		certificate.RevokedAt = entry.Time
	}
	if entry.Event == Issued && entry.Ask != "" {
		l.byAsk[entry.Ask] = append(l.byAsk[entry.Ask], entry.Serial)
	}
	l.bySerial[entry.Serial] = certificate
	return nil
}

// Check says whether Add would refuse the entry.
func (l *Ledger) Check(entry Entry) error {
	before, known := l.bySerial[entry.Serial]
	switch {
	case entry.Event.withoutCertificate() && entry.Serial != "":
		return fmt.Errorf("an entry %q cannot have serial %s", entry.Event, entry.Serial)
	case entry.Event.withoutCertificate(), entry.Event == Refused && entry.Serial == "":
		return nil
	case entry.Event != Reserved && entry.Event != Issued && entry.Event != Refused && entry.Event != Revoked && !entry.Event.aboutCertificate():
		return fmt.Errorf("%q is not an event", entry.Event)
	case entry.Serial == "":
		return fmt.Errorf("an entry %q needs a serial", entry.Event)
	case !known, entry.Event == Revoked, entry.Event.aboutCertificate(): // what another unit issued may be revoked here
		return nil
	case entry.Event == Reserved:
		return fmt.Errorf("serial %s was used before, by order %s", entry.Serial, before.Order)
	case before.State != Reserved:
		return fmt.Errorf("serial %s is %s already, by order %s", entry.Serial, before.State, before.Order)
	case before.Order != entry.Order:
		return fmt.Errorf("serial %s is reserved for order %s, not %s", entry.Serial, before.Order, entry.Order)
	}
	return nil
}

// Len is the number of entries.
func (l *Ledger) Len() int { return len(l.entries) }

// Entries are all entries in their order. Nobody may change them.
func (l *Ledger) Entries() []Entry { return l.entries[:len(l.entries):len(l.entries)] }

// Order gives the entries of one order, in their order.
func (l *Ledger) Order(id string) []Entry {
	var found []Entry
	for _, i := range l.byOrder[id] {
		found = append(found, l.entries[i])
	}
	return found
}

// Failing reports whether an order was given and has come to nothing so far.
func (l *Ledger) Failing(order string) bool {
	entries := l.byOrder[order]
	if len(entries) == 0 {
		return false
	}
	last := l.entries[entries[len(entries)-1]].Event
	return last == Ordered || last == Submitted || last == Unsigned || last == Refused
}

// Repeats tells what was issued to the same for the same names at least so often between two times: by Entry.Key, the time
// of the issue that many before the last.
func (l *Ledger) Repeats(since, until time.Time, often int) map[string]time.Time {
	repeated := map[string]time.Time{}
	for _, issues := range issuesBetween(l, since, until, func(e *Entry) string { return e.For }) {
		if len(issues) < often { // for the same names there are no more than that
			continue
		}
		same := map[string]int{}
		for _, issue := range issues {
			key := issue.Key()
			if same[key]++; same[key] == often {
				repeated[key] = issue.Time
			}
		}
	}
	return repeated
}

// Floods tells to whom at least so many certificates were issued between two times, and how many: by the first of
// Entry.Askers.
func (l *Ledger) Floods(since, until time.Time, many int) map[string]int {
	floods := map[string]int{}
	type asker struct {
		relation int
		unit     string
	}
	for _, issues := range issuesBetween(l, since, until, func(e *Entry) asker { return asker{e.Relation, e.Unit} }) {
		if unit, _ := issues[0].Askers(); len(issues) >= many && unit != noAsker {
			floods[unit] = len(issues)
		}
	}
	return floods
}

// issuesBetween gives issues, the last one first, by what tells them apart. What is dated later was issued while the clock was
// ahead.
func issuesBetween[K comparable](l *Ledger, since, until time.Time, by func(*Entry) K) map[K][]*Entry {
	found := map[K][]*Entry{}
	for i := range slices.Backward(l.entries) {
		entry := &l.entries[i]
		if entry.Time.Before(since) {
			if entry.Remembered {
				continue
			}
			break // own entries are in the order of their time
		}
		if entry.Event == Issued && !entry.Time.After(until) {
			key := by(entry)
			found[key] = append(found[key], entry)
		}
	}
	return found
}

// IsRevoked reports whether a serial number is known to be revoked.
func (l *Ledger) IsRevoked(serial string) bool { return l.bySerial[serial].State == Revoked }

// Serial gives what is known of a serial number; false when it was never used.
func (l *Ledger) Serial(serial string) (Certificate, bool) {
	certificate, known := l.bySerial[serial]
	return certificate, known
}

// Ask gives the certificates issued for an ask, the newest last.
func (l *Ledger) Ask(id string) []Certificate {
	var found []Certificate
	for _, serial := range l.byAsk[id] {
		found = append(found, l.bySerial[serial])
	}
	return found
}

// Revoked gives the revoked certificates of one authority by serial number: the content of its CRL (RFC 5280, 5.1).
func (l *Ledger) Revoked(generation int) []Certificate {
	var found []Certificate
	for _, certificate := range l.bySerial {
		if certificate.State == Revoked && certificate.Generation == generation {
			found = append(found, certificate)
		}
	}
	slices.SortFunc(found, func(a, b Certificate) int {
		if len(a.Serial) != len(b.Serial) {
			return len(a.Serial) - len(b.Serial)
		}
		if a.Serial < b.Serial {
			return -1
		}
		return 1
	})
	return found
}
