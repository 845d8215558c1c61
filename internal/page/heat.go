// SPDX-License-Identifier: AGPL-3.0-only

package page

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/signet-charm/signet/internal/view"
)

const day = 24 * time.Hour

// heat shows how many certificates of each application have how long left.
type heat struct {
	Columns []string
	Lines   []line
	More    int // applications that are not shown
}

type line struct {
	Application string
	Note        string // whose certificates they are, where they are this unit's own
	Total       int
	First       moment // of the first one to end
	Cells       []cell

	soonest time.Time
	worst   int // how much attention it needs
}

// cell is one number. How strong its colour is tells how many there are, its hue and its sign whether something is the matter.
type cell struct {
	Count    int
	Strength int // 0 for none, 1 to 4
	Tone     tone
	Sign     string
	Words    string // for who does not see the sign
}

// columns are the bounds of the columns, and their names: of what is over, then of what has less left than that.
func columns() ([]time.Duration, []string) {
	return []time.Duration{0, day, 7 * day, 30 * day, 90 * day, 365 * day},
		[]string{"over", "<1\u00a0d", "<7\u00a0d", "<30\u00a0d", "<90\u00a0d", "<1\u00a0y", "≥1\u00a0y"}
}

// late reports whether a certificate should have been renewed by now.
func late(one *view.Certificate, now time.Time) bool {
	const grace = time.Hour // renewals come one after the other
	return !one.RenewAt.IsZero() && one.RenewAt.Add(grace).Before(now) && !one.PutOff.After(now)
}

// inUse tells certificates that somebody relies on.
func inUse(one *view.Certificate) bool {
	return one.Serial != "" && one.State != view.Revoked && one.State != view.Held && one.State != view.Waiting
}

func heatOf(shown view.View) heat {
	bounds, names := columns()
	found := map[string]*line{}
	for i := range shown.Certificates {
		one := &shown.Certificates[i]
		if !inUse(one) {
			continue
		}
		key := string(one.Role) + " " + one.Application
		of := found[key]
		if of == nil {
			of = &line{Application: one.Application, Cells: make([]cell, len(names)), soonest: one.NotAfter}
			if one.Role == view.Own {
				of.Note = "this unit's own"
			}
			found[key] = of
		}
		of.add(one, shown.At, bounds)
	}
	made := heat{Columns: names}
	for _, of := range found {
		of.First = momentOf(of.soonest, shown.At)
		for i := range of.Cells {
			of.Cells[i].finish(of.Total)
		}
		made.Lines = append(made.Lines, *of)
	}
	slices.SortFunc(made.Lines, func(x, y line) int {
		return cmp.Or(cmp.Compare(y.worst, x.worst), x.soonest.Compare(y.soonest), cmp.Compare(x.Application, y.Application), cmp.Compare(x.Note, y.Note))
	})
	made.More = max(0, len(made.Lines)-mostApplications)
	made.Lines = made.Lines[:len(made.Lines)-made.More]
	return made
}

func (l *line) add(one *view.Certificate, now time.Time, bounds []time.Duration) {
	at := 0
	for at < len(bounds) && one.NotAfter.Sub(now) >= bounds[at] {
		at++
	}
	in := &l.Cells[at]
	in.Count++
	l.Total++
	if one.NotAfter.Before(l.soonest) {
		l.soonest = one.NotAfter
	}
	switch {
	case one.State == view.Expired:
		in.Tone, l.worst = bad, 2
	case one.State == view.Expiring || late(one, now):
		if in.Tone != bad {
			in.Tone = warn
		}
		l.worst = max(l.worst, 1)
	}
}

func (c *cell) finish(total int) {
	if c.Count == 0 {
		return
	}
	c.Strength = 1 + min(3, 4*c.Count/(total+1))
	switch c.Tone {
	case bad:
		c.Sign, c.Words = "✕", "over"
	case warn:
		c.Sign, c.Words = "!", "renewal is late"
	default:
		c.Tone = calm
	}
}

// tiles are the numbers that everybody looks for first.
func tiles(shown view.View, refused int) []tile {
	used, troubled := 0, 0
	var first, renewal *view.Certificate
	for i := range shown.Certificates {
		one := &shown.Certificates[i]
		if !inUse(one) {
			continue
		}
		used++
		if one.State == view.Expired || one.State == view.Expiring || late(one, shown.At) {
			troubled++
		}
		if first == nil || one.NotAfter.Before(first.NotAfter) {
			first = one
		}
		if !one.RenewAt.IsZero() && (renewal == nil || one.RenewAt.Before(renewal.RenewAt)) {
			renewal = one
		}
	}
	made := []tile{{Label: "certificates in use", Value: strconv.Itoa(used), Tone: calm, Detail: "all in time"}}
	switch {
	case used == 0:
		made[0].Detail = "nobody has one"
	case troubled > 0:
		made[0].Tone, made[0].Detail = warn, fmt.Sprintf("%d late or over", troubled)
	}
	if renewal != nil {
		made = append(made, dated("next renewal", renewal.RenewAt, shown.At, owner(renewal), time.Hour, false))
	}
	if first != nil {
		made = append(made, dated("first to end", first.NotAfter, shown.At, owner(first), 0, first.State == view.Expiring))
	}
	for _, one := range shown.Authorities {
		if one.Role == "signing" && !one.NotAfter.IsZero() {
			made = append(made, dated("CA ends", one.NotAfter, shown.At, one.NotAfter.Format(time.DateOnly), 0, one.NotAfter.Sub(shown.At) < 60*day))
		}
	}
	refusals := tile{Label: "requests refused", Value: strconv.Itoa(refused), Tone: calm, Detail: "none"}
	if refused > 0 {
		refusals.Tone, refusals.Detail = warn, "reasons below"
	}
	return append(made, refusals, tile{
		Label: "keys in databags", Value: strconv.Itoa(shown.Record.LegacyKeys), Tone: calm, Detail: "of the legacy dialect",
	})
}

// dated is a tile that shows how far off a time is. One that is over by more than a grace is bad, a close one a warning.
func dated(label string, at, now time.Time, detail string, grace time.Duration, soon bool) tile {
	made := tile{Label: label, Value: span(at.Sub(now).Abs()), Detail: detail, Tone: calm}
	switch left := at.Sub(now); {
	case left < -grace:
		made.Tone, made.Value = bad, span(-left)+" ago"
	case left < 0:
		made.Value = "now"
	case soon:
		made.Tone = warn
	}
	return made
}

// owner tells whose a certificate is.
func owner(one *view.Certificate) string {
	return cmp.Or(one.Unit, one.Application, one.CommonName)
}
