// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"fmt"
	"time"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// summarize says in one line how the authority is, and what an operator should do.
func (s *step) summarize() {
	s.reportOutstanding()
	if s.current.slot != nil {
		s.summarizeCA()
	}
	if note := s.rolloverNote(); note != "" {
		level := juju.Active
		if s.record.Next != nil && s.record.Next.Certificate == "" && !s.now.Before(s.rolloverAt()) {
			level = juju.Waiting // for somebody outside, and not for ever
		}
		s.report(level, "%s", note)
	}
	if s.pace.put > 0 {
		s.report(juju.Active, "%s put off", count(s.pace.put, "renewal"))
	}
	if s.repeats > 0 {
		s.report(juju.Waiting, "%s asked for in circles: see what their consumers do with what they get", count(s.repeats, "certificate"))
	}
	if s.waiting > 0 {
		s.report(juju.Waiting, "%s being signed", count(s.waiting, "certificate"))
	}
	var unsigned, refused []dialect.Denial
	for _, denial := range s.denials {
		if denial.Code.Temporary() {
			unsigned = append(unsigned, denial)
		} else {
			refused = append(refused, denial)
		}
	}
	if len(unsigned) > 0 {
		s.report(juju.Waiting, "%s could not be signed: %s", count(len(unsigned), "certificate"), unsigned[0])
	}
	if len(refused) > 0 {
		s.report(juju.Active, "%d refused: %s", len(refused), refused[0])
	}
	s.reportPolicy()
	if s.exposed > 0 {
		s.report(juju.Active, "legacy-dialect is off, but private keys are still published to %s", count(s.exposed, "relation"))
	}
}

// summarizeCA says how many certificates there are, when the next one is renewed, and how long the CA lasts.
func (s *step) summarizeCA() {
	end := s.current.certificate.NotAfter
	switch {
	case s.now.After(end):
		s.report(juju.Blocked, "the CA expired on %s and can sign nothing: run rotate-ca step=advance on the leader", end.Format(time.DateOnly))
	case !s.snap.Leader && !s.snap.CanSecrets:
		s.report(juju.Blocked, "this model has no secrets to share the CA's key: keep one unit, or upgrade to Juju 3")
	case !s.snap.Leader:
		s.report(juju.Active, "standby, CA %s", s.until(end))
	case s.granted+s.waiting+len(s.denials) == 0:
		s.report(juju.Active, "ready, CA %s", s.until(end))
	default:
		s.report(juju.Active, "%s%s, CA %s", count(s.granted, "certificate"), s.renewals(), s.until(end))
	}
	if !s.now.After(end) {
		s.wake(end.Add(time.Second))
	}
}

// expectRenewal notes that a certificate will be renewed then; the zero time is never.
func (s *step) expectRenewal(at time.Time) {
	s.wake(at)
	s.renewal = juju.Earliest(s.renewal, at)
}

// renewals says when the next certificate will be renewed; empty where nothing will.
func (s *step) renewals() string {
	if s.renewal.IsZero() {
		return ""
	}
	return ", next renewal in " + s.until(s.renewal)
}

// until says how long it is until a time, and has another turn taken when it is said otherwise. Units are so large that the
// status, which Juju keeps a history of, changes once a day at most.
func (s *step) until(at time.Time) string {
	text, changes := remaining(at.Sub(s.now))
	if changes > 0 {
		s.wake(at.Add(time.Second - changes))
	}
	return text
}

// remaining says how long is left, in the largest unit of which there are two at least, and how much will be left when the
// text changes; 0 for never again. It is an hour less than it is, so that what was made just now does not change at once.
func remaining(left time.Duration) (string, time.Duration) {
	const day, grace = 24 * time.Hour, time.Hour
	for _, unit := range []struct {
		name  string
		span  time.Duration
		least time.Duration
	}{{"y", 365 * day, 2}, {"mo", 30 * day, 2}, {"w", 7 * day, 2}, {"d", day, 1}} {
		if over := (left - grace) % unit.span; (left-grace)/unit.span >= unit.least {
			return fmt.Sprintf("%d%s", (left-grace)/unit.span, unit.name), left - over
		}
	}
	return "<1d", 0
}

// coarse is a span in its largest unit, so that what is said of it does not change at every look.
func coarse(span time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case span >= 2*365*day:
		return fmt.Sprintf("%dy", span/(365*day))
	case span >= 2*day:
		return fmt.Sprintf("%dd", span/day)
	case span >= 2*time.Hour:
		return fmt.Sprintf("%dh", span/time.Hour)
	}
	return fmt.Sprintf("%dm", max(0, span)/time.Minute)
}
