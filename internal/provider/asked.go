// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// seenRequest is one line of list-requests. Members are called as in the command "requests list".
type seenRequest struct {
	Outcome     string   `json:"outcome"` // granted, refused, waiting, outstanding
	Relation    int      `json:"relation"`
	Application string   `json:"application,omitempty"`
	Unit        string   `json:"unit,omitempty"`
	Dialect     string   `json:"dialect,omitempty"`
	Kind        string   `json:"kind,omitempty"`
	Item        string   `json:"item"`
	Names       []string `json:"names,omitempty"`
	Code        string   `json:"code,omitempty"`
	Reason      string   `json:"reason,omitempty"`
	Rule        string   `json:"rule,omitempty"`
	Fix         string   `json:"fix,omitempty"`
	Serial      string   `json:"serial,omitempty"`

	asked Asked
}

func (r *seenRequest) refuse(denial dialect.Denial) {
	r.Outcome, r.Code, r.Reason, r.Rule, r.Fix = "refused", string(denial.Code), denial.Reason, denial.Rule, denial.Fix
	if denial.Code.Temporary() {
		r.Outcome = "waiting"
	}
}

// seenRequests are all asks, and what never became one.
func (s *step) seenRequests(seen *Overview) []seenRequest {
	list := []seenRequest{}
	at := map[dialect.AskID]int{}
	for _, asked := range seen.Asks {
		if asked.Orphaned {
			continue
		}
		ask := asked.Ask
		one := seenRequest{
			Outcome: "granted", Relation: ask.Relation, Application: ask.App, Unit: ask.Unit, Dialect: string(ask.Dialect), Kind: string(ask.Kind),
			Item: describe(ask), Names: ask.Names.List(), asked: asked,
		}
		if asked.Leaf != nil {
			one.Serial = cert.SerialText(asked.Leaf.SerialNumber)
		}
		switch {
		case asked.Denial != nil:
			one.refuse(*asked.Denial)
		case asked.Pending:
			one.Outcome = "outstanding"
		case asked.Leaf == nil:
			one.Outcome = "waiting"
		case asked.Held:
			one.Outcome, one.Code, one.Reason = "refused", string(dialect.Revoked), "its certificate is revoked for good"
		}
		at[ask.ID()] = len(list)
		list = append(list, one)
	}
	apps := map[int]string{}
	for _, relation := range s.snap.Relations {
		apps[relation.ID] = relation.RemoteApp
	}
	for _, denial := range seen.Denials {
		if i, known := at[denial.Ask]; known && denial.Ask != "" {
			list[i].refuse(denial)
			continue
		}
		one := seenRequest{
			Relation: denial.Relation, Application: apps[denial.Relation], Unit: denial.Unit, Item: denial.Item,
			asked: Asked{Ask: dialect.Ask{Relation: denial.Relation, App: apps[denial.Relation], Unit: denial.Unit, Request: denial.Request}},
		}
		one.refuse(denial)
		list = append(list, one)
	}
	return list
}

// actRequests lists what is asked, and what became of it.
func (s *step) actRequests(params *juju.Config) {
	chosen, err := selected(params)
	outcome := params.Choice("outcome", "all", "granted", "refused", "waiting", "outstanding")
	format := params.Choice("format", "table", "json")
	if err != nil {
		s.fail("%v", err)
		return
	}
	s.look(func(seen *Overview) map[string]string {
		list := []seenRequest{}
		rows := [][]string{{"UNIT", "RELATION", "DIALECT", "REQUEST", "OUTCOME", "REASON"}}
		for _, one := range s.seenRequests(seen) {
			if !chosen.fitsAsk(one.asked) || outcome != "all" && one.Outcome != outcome {
				continue
			}
			list = append(list, one)
			reason := one.Reason
			if one.Code != "" {
				reason += " (" + one.Code + ")"
			}
			rows = append(rows, []string{
				cmp.Or(one.Unit, one.Application, "-"), strconv.Itoa(one.Relation), cmp.Or(one.Dialect, "-"), one.Item, one.Outcome, cmp.Or(reason, "-"),
			})
		}
		results := map[string]string{"count": strconv.Itoa(len(list))}
		if format == "json" {
			return encoded(results, "requests", list)
		}
		results["requests"] = table(rows)
		return results
	})
}

// actExplain says of each request that is meant what became of it, why, and what would change it.
func (s *step) actExplain(params *juju.Config) {
	chosen, err := selected(params)
	if err != nil {
		s.fail("%v", err)
		return
	}
	s.look(func(seen *Overview) map[string]string {
		var texts []string
		for _, one := range s.seenRequests(seen) {
			if chosen.fitsAsk(one.asked) {
				texts = append(texts, s.explanation(one))
			}
		}
		if len(texts) == 0 {
			s.fail("no request fits: run list-requests")
			return nil
		}
		return map[string]string{"count": strconv.Itoa(len(texts)), "explanation": strings.Join(texts, "\n")}
	})
}

func (s *step) explanation(one seenRequest) string {
	text := fmt.Sprintf("relation %d %s: %s: %s", one.Relation, cmp.Or(one.Unit, one.Application), one.Item, one.Outcome)
	if one.Reason != "" {
		text += fmt.Sprintf(" (%s): %s", one.Code, one.Reason)
	}
	if one.Rule != "" {
		text += "; rule " + one.Rule
	}
	if one.Fix != "" {
		text += "; to allow it run: " + one.Fix
	}
	if one.Outcome == "outstanding" {
		text += ": an operator has to have it signed: run get-outstanding-certificate-requests"
	}
	leaf := one.asked.Leaf
	if leaf == nil {
		return text
	}
	text += fmt.Sprintf("; it has certificate %s until %s", one.Serial, leaf.NotAfter.UTC().Format(time.RFC3339))
	if renew := one.asked.Renew; !renew.IsZero() {
		text += ", renewed from " + renew.UTC().Format(time.RFC3339)
	}
	if later := one.asked.PutOff; !later.IsZero() {
		text += ", put off until " + later.UTC().Format(time.RFC3339)
	}
	return text
}

// actCheck says what the policy would make of a request, before anybody makes it.
func (s *step) actCheck(params *juju.Config) {
	app, unit := params.Text("application", ""), params.Text("unit", "")
	request := unwrapped(params.Text("request", ""))
	kind := params.Choice("kind", "server", "client", "intermediate")
	names := params.Words("names")
	if len(params.Errors) > 0 {
		return
	}
	if app == "" {
		app = juju.ApplicationOf(unit)
	}
	if unit == "" {
		unit = app + "/0"
	}
	switch {
	case app == "":
		s.fail("say who would ask: application=, or unit=")
		return
	case juju.ApplicationOf(unit) != app:
		s.fail("%s is no unit of %s: leave out one of the two", unit, app)
		return
	case (request == "") == (len(names) == 0):
		s.fail("give what would be asked: request=\"$(base64 -w0 request.pem)\", or names=\"web.example.com 10.0.0.1\"")
		return
	}
	relation := juju.Relation{
		ID: -1, Endpoint: juju.Endpoint{Name: "certificates", Interface: dialect.Interface, Role: juju.Provides}, RemoteApp: app,
		RemoteUnits: map[string]juju.Bag{unit: wouldAsk(unit, request, kind, names)},
	}
	explained, denials := Explain(s.snap.Application(), s.settings, relation)
	var lines []string
	refused := len(denials)
	for _, one := range explained {
		what := fmt.Sprintf("%s certificate %q for %s", cmp.Or(one.Spec.Kind, one.Ask.Kind), one.Ask.CommonName, unit)
		if len(one.Refusals) == 0 {
			lines = append(lines, fmt.Sprintf("%s: allowed by %s", what, one.Verdict.Rule))
			if len(one.Verdict.Without) > 0 {
				lines = append(lines, fmt.Sprintf("without the organizations %q", one.Verdict.Without))
			}
			continue
		}
		refused++
		for _, refusal := range one.Refusals {
			lines = append(lines, fmt.Sprintf("%s: refused (%s): %s", what, refusal.Code, refusal.Advice()))
		}
	}
	for _, denial := range denials {
		lines = append(lines, fmt.Sprintf("%s: refused (%s): %s", denial.Item, denial.Code, denial.Advice()))
	}
	if len(lines) == 0 {
		s.fail("nothing of it is a request: give PEM, or PEM in base64")
		return
	}
	s.succeed(map[string]string{"allowed": strconv.FormatBool(refused == 0), "decision": strings.Join(lines, "\n")})
}

// wouldAsk is the databag of a unit that asks for one certificate.
func wouldAsk(unit, request, kind string, names []string) juju.Bag {
	text := func(value any) string {
		encoded, _ := json.Marshal(value) // of texts, which have one
		return string(encoded)
	}
	if request != "" {
		return juju.Bag{"certificate_signing_requests": text([]any{map[string]any{"certificate_signing_request": request, "ca": kind == "intermediate"}})}
	}
	bag := juju.Bag{"unit_name": dialect.Munge(unit)}
	sans := names
	switch kind {
	case "server":
		bag["common_name"], bag["sans"] = names[0], text(sans)
	case "client":
		bag["client_cert_requests"] = text(map[string]any{names[0]: map[string]any{"sans": sans[1:]}})
	default:
		bag["intermediate_cert_requests"] = text(map[string]any{names[0]: map[string]any{"sans": sans[1:]}})
	}
	return bag
}
