// SPDX-License-Identifier: AGPL-3.0-only

package ledger

import (
	"slices"
	"time"
)

// How long an order that was refused for good is not to be given again: an hour, and twice as long each time that it is
// refused again, so that what can never be signed takes no time of those who wait, and little of the record. It is tried
// now and then all the same, for the next version of the program may know better.
const (
	refusedFirst = time.Hour
	refusedMost  = 7 * 24 * time.Hour
)

// Final reports whether an entry says that the same order would be refused again: it is the order that is wrong.
func (e Entry) Final() bool { return e.Event == Refused && e.Code != "" && !e.Remembered }

// RefusedFor tells what was recorded last of an order that was refused for good, and until when that stands; false when
// something else came of it. The entries are all of that order.
func RefusedFor(entries []Entry) (last Entry, until time.Time, refused bool) {
	wait := refusedFirst
	for _, entry := range slices.Backward(entries) {
		switch {
		case entry.Final() && !refused:
			last, refused = entry, true
		case entry.Final():
			wait = min(2*wait, refusedMost)
		case entry.Event == Reserved, entry.Event == Ordered, entry.Event == Submitted && refused: // steps on the way to it
		default:
			return last, last.Time.Add(wait), refused
		}
	}
	return last, last.Time.Add(wait), refused
}

// Refusals tells which orders are not to be given again now, because the last time they were refused for good. What is
// dated much later than now was refused while the clock was ahead, and is not told.
func (l *Ledger) Refusals(now time.Time, slack time.Duration) map[string]Entry {
	found := map[string]Entry{}
	for order := range l.refused {
		last, until, refused := RefusedFor(l.Order(order))
		if refused && now.Before(until) && !last.Time.After(now.Add(slack)) {
			found[order] = last
		}
	}
	return found
}

// noteRefusal keeps an index of the orders whose last outcome was a refusal for good.
func (l *Ledger) noteRefusal(entry Entry) {
	switch {
	case entry.Order == "":
	case entry.Final():
		if l.refused == nil {
			l.refused = map[string]bool{}
		}
		l.refused[entry.Order] = true
	case entry.Event != Ordered && entry.Event != Reserved:
		delete(l.refused, entry.Order)
	}
}
