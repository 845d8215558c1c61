// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// paceKey is where the peer application bag remembers whose certificates were renewed within the last hour, so that the
// next leader goes on at the same pace.
const paceKey = "renewals"

// renewal is one unit's turn: its certificates were renewed then.
type renewal struct {
	At   time.Time `json:"at"`
	App  string    `json:"app"`
	Unit string    `json:"unit,omitempty"`
}

// pace keeps renewals that nobody waits for from coming all at once: consumers restart when their certificate changes,
// and the members of one application must not do so together.
type pace struct {
	recent []renewal // all that count: those before, and those that were ordered in this turn
	before []renewal // of earlier turns
	done   []renewal // of this one
	put    int       // how many were put off
}

// memory is how long a renewal is remembered.
func (s *step) memory() time.Duration { return max(time.Hour, s.settings.RenewalInterval) }

func (s *step) readPace() {
	var recent []renewal
	_ = json.Unmarshal([]byte(s.peers.OwnApp[paceKey]), &recent) // unreadable: the pace begins anew
	s.pace.recent = slices.DeleteFunc(recent, func(r renewal) bool {
		return !s.now.Before(r.At.Add(s.memory())) || r.At.After(s.now.Add(time.Minute)) // or the clock was ahead
	})
	s.pace.before = slices.Clone(s.pace.recent)
}

// putOff reports whether the renewal of an ask's certificate has to wait, and sees to a wake when it need not.
func (s *step) putOff(ask dialect.Ask, why verdict) bool {
	if !why.due || why.urgent {
		return false
	}
	at := s.settings.Window.next(s.now)
	if len(s.pace.recent) >= s.settings.RenewalsPerHour {
		inHour := slices.DeleteFunc(slices.Clone(s.pace.recent), func(r renewal) bool { return !s.now.Before(r.At.Add(time.Hour)) })
		if excess := len(inHour) - s.settings.RenewalsPerHour; excess >= 0 {
			at = latest(at, inHour[excess].At.Add(time.Hour))
		}
	}
	for _, r := range s.pace.recent {
		if r.App == ask.App && r.Unit != ask.Unit {
			at = latest(at, r.At.Add(s.settings.RenewalInterval))
		}
	}
	if !at.After(s.now) {
		return false
	}
	s.pace.put++
	s.deferred = at
	s.wake(at)
	return true
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// noteRenewal counts a renewal from when it is ordered, so that the next one waits for it, and remembers it when it is done.
func (s *step) noteRenewal(ask dialect.Ask, done bool) {
	one := renewal{At: s.now.UTC().Truncate(time.Second), App: ask.App, Unit: ask.Unit}
	s.pace.recent = append(s.pace.recent, one)
	if done {
		s.pace.done = append(s.pace.done, one)
	}
}

// savePace writes the renewals down.
func (s *step) savePace() {
	if len(s.pace.done) == 0 { // what is too old goes with the next one
		return
	}
	if text, err := json.Marshal(slices.Concat(s.pace.before, s.pace.done)); err == nil {
		s.peerBag()[paceKey] = string(text)
	}
}

// RepeatedKey begins the keys of Snapshot.Local that tell what was issued MaxRepeats times within the last hour: the rest
// is ledger.Entry.Key, the value the time (RFC 3339) from which on it may be issued again.
const (
	RepeatedKey = "repeated."
	MaxRepeats  = 3
)

// FloodKey begins the keys of Snapshot.Local that tell to whom many certificates were issued within the last hour: the rest
// is the first of ledger.Entry.Askers, the value how many they were. Who has fewer than ManyIssues is not told of.
const (
	FloodKey   = "issued."
	ManyIssues = floods // requests-per-unit may be 1
)

// floods is how many times requests-per-unit a unit may be issued certificates within an hour.
const floods = 5

// tooOften refuses to sign for now what somebody asks for in circles, because it was given the same again and again and does
// not take it, and what a unit asks for that was given very much within the hour. Renewals nobody asked for.
func (s *step) tooOften(ask dialect.Ask, wanted order.Sign, why verdict) *dialect.Denial {
	names := wanted.Spec.Names.With(ask.Names)
	until, err := time.Parse(time.RFC3339, s.snap.Local[RepeatedKey+ledger.Entry{For: wanted.For, Names: names.List()}.Key()])
	if err == nil && s.now.Before(until) {
		s.wake(until)
		s.repeats++
		return s.deny(ask, dialect.Repeated, fmt.Sprintf(
			"issued %d times within an hour, but it is asked for again; again from %s", MaxRepeats, until.Format(time.RFC3339)))
	}
	unit, _ := ledger.Entry{Relation: ask.Relation, Unit: ask.Unit}.Askers()
	issued, err := strconv.Atoi(s.snap.Local[FloodKey+unit])
	if limit := floods * s.settings.RequestsPerUnit; err == nil && issued >= limit && !why.due {
		s.wake(s.now.Add(retry))
		denial := s.deny(ask, dialect.TooMany, fmt.Sprintf("%d certificates or more were issued to it within an hour", limit))
		denial.Rule, denial.Fix = "quota", fmt.Sprintf("juju config %s requests-per-unit=%d", s.snap.Application(), min(1000, 2*s.settings.RequestsPerUnit))
		return denial
	}
	return nil
}

// window is the part of the week in which renewals may happen that nobody waits for, in UTC; the zero value is all of it.
type window struct {
	days       []time.Weekday // none for every day
	begin, end time.Duration  // since midnight; an end before the beginning is on the next day
}

// parseWindow reads "02:00-04:30" or "Sat,Sun 22:00-04:00"; empty for always.
func parseWindow(text string) (window, error) {
	if text == "" {
		return window{}, nil
	}
	fault := fmt.Errorf("%q is not a time of the day such as 02:00-04:30, with days such as Sat,Sun before it where not every day is meant (UTC)", text)
	var w window
	days, hours, found := strings.Cut(text, " ")
	if !found {
		days, hours = "", text
	}
	for _, name := range strings.FieldsFunc(days, func(r rune) bool { return r == ',' }) {
		at := slices.Index([]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}, name)
		if at < 0 {
			return window{}, fault
		}
		w.days = append(w.days, time.Weekday(at))
	}
	from, to, found := strings.Cut(strings.TrimSpace(hours), "-")
	begin, err := time.Parse("15:04", from)
	end, endErr := time.Parse("15:04", to)
	if !found || err != nil || endErr != nil || begin.Equal(end) {
		return window{}, fault
	}
	midnight := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	w.begin, w.end = begin.Sub(midnight), end.Sub(midnight)
	if w.end < w.begin {
		w.end += 24 * time.Hour
	}
	return w, nil
}

// next is the first moment of the window from now on: now where that is in it.
func (w window) next(now time.Time) time.Time {
	if w.begin == w.end {
		return now
	}
	today := now.UTC().Truncate(24 * time.Hour)
	for day := -1; day <= 8; day++ {
		midnight := today.AddDate(0, 0, day)
		if len(w.days) > 0 && !slices.Contains(w.days, midnight.Weekday()) {
			continue
		}
		if begin, end := midnight.Add(w.begin), midnight.Add(w.end); now.Before(end) {
			return latest(now, begin)
		}
	}
	return now
}
