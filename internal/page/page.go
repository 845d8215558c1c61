// SPDX-License-Identifier: AGPL-3.0-only

// Package page shows what an operator sees of a unit as one HTML page: read-only, without scripts, fonts or pictures from
// elsewhere, so that it works offline and under a policy that allows nothing else. It is made of a view when somebody asks,
// and bounded: what a large model has beyond that is counted. Where to look next: page.html and page.css for how it looks, heat.go
// and rows.go for what is in it, package httpd, which serves it.
package page

import (
	"crypto/sha256"
	_ "embed" // page.html and page.css
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/view"
)

//go:embed page.html
var layout string

//go:embed page.css
var style string

// How much is shown; the rest is counted.
const (
	mostApplications = 60
	mostCertificates = 300
	mostRefusals     = 100
	mostEvents       = 25
	mostConditions   = 40
	longestText      = 600 // of a reason or a message
)

// Place is where a page is read.
type Place string

// The places.
const (
	Served Place = "served" // over HTTP, beside revocation lists and metrics
	File   Place = "file"   // by itself
)

// Policy is the Content-Security-Policy under which the page works: its own style by its hash, its own icon, and nothing else.
func Policy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'"
}

// Write writes the page.
func Write(w io.Writer, shown view.View, place Place) error {
	made, err := template.New("page").Parse(layout)
	if err != nil {
		return fmt.Errorf("cannot read the page's template: %w", err)
	}
	if err := made.Execute(w, contentOf(shown, place)); err != nil {
		return fmt.Errorf("cannot write the page: %w", err)
	}
	return nil
}

// content is what the template fills in: texts and few numbers, all of them ready to be shown.
type content struct {
	Style  template.CSS
	Policy string // of a file, which has no headers
	Served bool

	Unit, Model, Application, Version, Juju, Leader string

	At, Turn   moment
	OnDisk     bool
	Status     condition
	Trouble    string
	Conditions []condition
	Options    []string
	Tiles      []tile

	Phases      []phase
	Rollover    string
	Authorities []authority
	Heat        heat
	Events      []event
	MoreEvents  int
	Refusals    []refusal
	MoreRefused int
	Rows        []row
	MoreRows    int
	Record      record
}

// moment is a time as it is shown.
type moment struct {
	Machine string // for the attribute datetime
	Date    string
	Clock   string // with the time of day
	Away    string // "in 3 d", "2 h ago"
}

func momentOf(at, now time.Time) moment {
	if at.IsZero() {
		return moment{}
	}
	at = at.UTC()
	return moment{at.Format(time.RFC3339), at.Format(time.DateOnly), at.Format("2006-01-02 15:04 UTC"), away(at.Sub(now))}
}

// away says how far off something is.
func away(d time.Duration) string {
	switch text := span(d.Abs()); {
	case d.Abs() < time.Minute:
		return "now"
	case d < 0:
		return text + " ago"
	default:
		return "in " + text
	}
}

// span is a duration in the one unit that is fine enough. What is left is never said to be more than it is.
func span(d time.Duration) string {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	switch {
	case d >= 2*year:
		return fmt.Sprintf("%d y", d/year)
	case d >= 2*day:
		return fmt.Sprintf("%d d", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	default:
		return fmt.Sprintf("%d s", d/time.Second)
	}
}

// tone is how something is meant to be taken. It always comes with a word or a sign that says the same.
type tone string

const (
	calm tone = "calm"
	note tone = "note"
	warn tone = "warn"
	bad  tone = "bad"
)

// toneOf tells the tone of a level of Juju's.
func toneOf(level juju.Level) tone {
	switch level {
	case juju.Active:
		return calm
	case juju.Waiting, juju.Maintenance:
		return warn
	case juju.Blocked:
		return bad
	}
	return note
}

// condition is one thing that an operator should know.
type condition struct {
	Tone          tone
	Level, Detail string
}

func conditionOf(from view.Condition) condition {
	level := string(from.Level)
	if level == "" {
		level = "unknown"
	}
	return condition{toneOf(from.Level), level, cut(from.Message)}
}

// tile is one number at the top.
type tile struct {
	Tone         tone
	Label, Value string
	Detail       string
}

// phase is one step of a CA's replacement.
type phase struct {
	Name string
	When string // "done", "now", "later"
}

// authority is one CA.
type authority struct {
	Generation         int
	Role, Subject, Key string
	Issuer             string // empty for a root
	Tone               tone
	Ends               moment
	Spent              int // percent of its life
	Issued, Revoked    int
	List               string // of revocations
	ListTone           tone
	SHA256             string
}

// record is what the unit's record counts.
type record struct {
	Issued, Revoked, Refused int
	Checkpoint, Backup       moment
	Trouble                  string
}

func contentOf(shown view.View, place Place) content {
	now := shown.At
	c := content{
		Style: template.CSS(style), Served: place == Served, //nolint:gosec // the style is ours
		Unit: shown.Unit, Model: shown.Model, Application: shown.Application, Version: shown.Version, Juju: shown.JujuVersion,
		At: momentOf(now, now), Turn: momentOf(shown.Turn, now), OnDisk: shown.Source == view.FromDisk,
		Status: conditionOf(shown.Status), Trouble: cut(shown.Trouble),
		Record: record{
			Issued: shown.Record.Events["issued"], Revoked: shown.Record.Events["revoked"],
			Checkpoint: momentOf(shown.Record.Checkpoint, now), Backup: momentOf(shown.Record.Backup, now), Trouble: cut(shown.Record.Trouble),
		},
	}
	if place == File {
		c.Policy = Policy()
	}
	if shown.Leader {
		c.Leader = "leader"
	}
	for _, number := range shown.Record.Refusals {
		c.Record.Refused += number
	}
	for _, one := range shown.Conditions[:min(len(shown.Conditions), mostConditions)] {
		c.Conditions = append(c.Conditions, conditionOf(one))
	}
	for _, fault := range shown.Options {
		c.Options = append(c.Options, cut(fault))
	}
	c.Phases, c.Rollover = rollover(shown.Rollover, now)
	for _, one := range shown.Authorities {
		c.Authorities = append(c.Authorities, authorityOf(one, now))
	}
	c.Heat = heatOf(shown)
	c.Events, c.MoreEvents = events(shown)
	c.Refusals, c.MoreRefused = refusals(shown)
	c.Rows, c.MoreRows = rows(shown)
	c.Tiles = tiles(shown, len(c.Refusals)+c.MoreRefused)
	return c
}

// rollover tells the steps of a CA's replacement, where one is under way, and what else is to be said of it.
func rollover(from view.Rollover, now time.Time) ([]phase, string) {
	if from.Phase == "" {
		return nil, ""
	}
	if from.Phase == string(provider.Steady) {
		if from.Next.IsZero() {
			return nil, "No replacement is under way."
		}
		return nil, fmt.Sprintf("No replacement is under way; the next one begins by itself %s (%s).", away(from.Next.Sub(now)), from.Next.Format(time.DateOnly))
	}
	words := map[provider.Phase]string{
		provider.Certifying: "the next CA is being certified", provider.Preparing: "the next CA is made",
		provider.Trusting: "it is published to be trusted", provider.Replacing: "it signs, and certificates are replaced",
	}
	var phases []phase
	when := "done"
	for _, one := range view.Phases() {
		current := string(one) == from.Phase
		if words[one] == "" || one == provider.Certifying && !current { // only where another CA has to
			continue
		}
		if current {
			when = "now"
		}
		phases = append(phases, phase{words[one], when})
		if current {
			when = "later"
		}
	}
	text := sentence(from.Note)
	if from.Paused {
		text = strings.TrimSpace(text + " It is paused: run the action rotate-ca with step=resume.")
	}
	return phases, text
}

// sentence makes a sentence of a note.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

func authorityOf(from view.Authority, now time.Time) authority {
	one := authority{
		Generation: from.Generation, Role: from.Role, Subject: from.Subject, Key: from.KeyType, Tone: calm,
		Ends: momentOf(from.NotAfter, now), Issued: from.Issued, Revoked: from.Revoked, SHA256: from.SHA256,
	}
	if !from.Root {
		one.Issuer = from.Issuer
	}
	if life := from.NotAfter.Sub(from.NotBefore); life > 0 && !from.NotBefore.IsZero() {
		one.Spent = int(max(0, min(100, 100*now.Sub(from.NotBefore)/life)))
	}
	switch left := from.NotAfter.Sub(now); {
	case from.NotAfter.IsZero() || from.Role == "retiring": // it is to go
		one.Tone = note
	case left <= 0:
		one.Tone = bad
	case left < 60*24*time.Hour:
		one.Tone = warn
	}
	if list := from.CRL; list != nil {
		entries := fmt.Sprintf("%d entries", list.Entries)
		if list.Entries == 1 {
			entries = "1 entry"
		}
		one.ListTone, one.List = calm, fmt.Sprintf("%s, good for %s", entries, span(list.NextUpdate.Sub(now)))
		if !list.NextUpdate.After(now) {
			one.ListTone, one.List = bad, fmt.Sprintf("%s, overdue for %s", entries, span(now.Sub(list.NextUpdate)))
		}
	}
	return one
}

// cut bounds a text.
func cut(text string) string {
	if len(text) <= longestText {
		return text
	}
	return strings.ToValidUTF8(text[:longestText], "") + " …"
}
