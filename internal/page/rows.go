// SPDX-License-Identifier: AGPL-3.0-only

package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/view"
)

// row is one certificate of the inventory.
type row struct {
	Owner, Name, Names string
	State              string
	Tone               tone
	Kind, Dialect      string
	Generation         int
	Serial             string
	Relation           string
	Left               string
	Spent              int // percent of its life
	Ends, Renews       moment
	Note               string
}

// rows are the certificates that need attention first, then those that end first.
func rows(shown view.View) ([]row, int) {
	ordered := make([]*view.Certificate, len(shown.Certificates)) // for they are large, and moved around
	for i := range shown.Certificates {
		ordered[i] = &shown.Certificates[i]
	}
	slices.SortStableFunc(ordered, func(x, y *view.Certificate) int {
		return cmp.Or(cmp.Compare(urgency(y, shown.At), urgency(x, shown.At)), x.NotAfter.Compare(y.NotAfter), cmp.Compare(owner(x), owner(y)))
	})
	more := max(0, len(ordered)-mostCertificates)
	var made []row
	for _, one := range ordered[:len(ordered)-more] {
		made = append(made, rowOf(one, shown.At))
	}
	return made, more
}

// urgency is how much attention a certificate needs.
func urgency(one *view.Certificate, now time.Time) int {
	switch {
	case one.State == view.Expired:
		return 4
	case one.State == view.Expiring:
		return 3
	case inUse(one) && late(one, now):
		return 2
	case one.State == view.Waiting:
		return 1
	case one.State == view.Revoked || one.State == view.Held:
		return -1
	}
	return 0
}

func rowOf(from *view.Certificate, now time.Time) row {
	one := row{
		Owner: owner(from), Name: from.CommonName, Kind: from.Kind, Dialect: from.Dialect, Generation: from.Generation, Serial: from.Serial,
		Relation: from.Relation, State: string(from.State), Tone: calm, Ends: momentOf(from.NotAfter, now), Renews: momentOf(from.RenewAt, now),
	}
	if from.PutOff.After(from.RenewAt) {
		one.Renews = momentOf(from.PutOff, now)
	}
	var others []string
	for _, name := range from.Names {
		if name != from.CommonName {
			others = append(others, name)
		}
	}
	const most = 4
	if len(others) > most {
		others = append(others[:most:most], fmt.Sprintf("%d more", len(others)-most))
	}
	one.Names = strings.Join(others, ", ")
	if life := from.NotAfter.Sub(from.NotBefore); from.Serial != "" && life > 0 {
		one.Spent = int(max(0, min(100, 100*now.Sub(from.NotBefore)/life)))
		one.Left = span(from.NotAfter.Sub(now).Abs())
		if from.NotAfter.Before(now) {
			one.Left += " ago"
		}
	}
	switch {
	case from.State == view.Expired:
		one.Tone, one.State = bad, "over"
	case from.State == view.Expiring:
		one.Tone = warn
	case inUse(from) && late(from, now):
		one.Tone, one.State = warn, "late"
	case !inUse(from):
		one.Tone = note
	}
	switch {
	case from.RevokedReason != "":
		one.Note = from.RevokedReason
	case from.Orphaned:
		one.Note = "nobody asks for it any more"
	case from.Role == view.Own:
		one.Note = "this unit's own, by " + cmp.Or(from.Application, "another CA")
	}
	return one
}

// refusal is a request that is refused, or will be.
type refusal struct {
	Who, What, Code, Reason, Fix string
	Relation, Word               string
	Since                        moment
	Tone                         tone
}

// refusals are the latest first: what an operator has just asked for is what they look for.
func refusals(shown view.View) ([]refusal, int) {
	var refused []view.Request
	for _, one := range shown.Requests {
		if one.Outcome == view.Refused || one.Lapsing || one.Reported {
			refused = append(refused, one)
		}
	}
	slices.SortStableFunc(refused, func(x, y view.Request) int { return y.Since.Compare(x.Since) })
	more := max(0, len(refused)-mostRefusals)
	var made []refusal
	for _, from := range refused[:len(refused)-more] {
		one := refusal{
			Who: cmp.Or(from.Unit, from.Application), What: cmp.Or(from.Item, strings.TrimSpace(from.Kind+" "+from.CommonName), from.ID), Code: from.Code,
			Reason: cut(from.Reason), Fix: cut(from.Fix), Relation: from.Relation, Since: momentOf(from.Since, shown.At), Word: "refused", Tone: bad,
		}
		switch {
		case from.Outcome == view.Refused:
		case from.Lapsing:
			one.Word, one.Tone = "will not be renewed", warn
		default:
			one.Word, one.Tone = "would be refused, were the policy more than reported", note
		}
		made = append(made, one)
	}
	return made, more
}

// event is one line of the calendar.
type event struct {
	At   moment
	What string
	Tone tone
	Word string // where it is late
}

// events are what comes next. Renewals of one application on one day are one line.
func events(shown view.View) ([]event, int) {
	type group struct {
		first view.Renewal
		count int
	}
	var groups []*group
	known := map[string]*group{}
	for _, one := range shown.Renewals {
		if one.Event == view.TurnAgain {
			continue
		}
		key := fmt.Sprint(one.At.UTC().Format(time.DateOnly), one.Event, one.Application)
		if in := known[key]; in != nil && (one.Event == view.Renews || one.Event == view.Ends) {
			in.count++
			continue
		}
		known[key] = &group{one, 1}
		groups = append(groups, known[key])
	}
	more := max(0, len(groups)-mostEvents)
	var made []event
	for _, in := range groups[:len(groups)-more] {
		one := event{At: momentOf(in.first.At, shown.At), What: happening(in.first, in.count), Tone: calm}
		if in.first.At.Add(time.Hour).Before(shown.At) {
			one.Tone, one.Word = bad, "late"
		} else if in.first.Event != view.Renews {
			one.Tone = note
		}
		made = append(made, one)
	}
	return made, more
}

// happening says what an event is.
func happening(one view.Renewal, count int) string {
	whose := cmp.Or(one.Unit, one.Application, one.Name)
	if count > 1 {
		whose = fmt.Sprintf("%d of %s", count, one.Application)
	}
	switch one.Event {
	case view.Renews:
		return "renewal: " + whose
	case view.Ends:
		return "ends, and is not renewed: " + whose
	case view.RollsOver:
		return "a new CA is made"
	case view.Retires:
		return fmt.Sprintf("CA %d is withdrawn", one.Generation)
	case view.CAExpires:
		return fmt.Sprintf("CA %d ends", one.Generation)
	case view.ListExpiry:
		return fmt.Sprintf("revocation list of CA %d must have been signed anew", one.Generation)
	}
	return string(one.Event)
}
