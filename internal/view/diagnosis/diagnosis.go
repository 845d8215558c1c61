// SPDX-License-Identifier: AGPL-3.0-only

// Package diagnosis says what is wrong with a unit, and what mends it: named checks, each a small function over facts that
// somebody gathered. Where to look next: facts.go for what is looked at, then package doctor, which gathers it.
package diagnosis

import (
	"fmt"
	"strings"
)

// Severity is how bad a finding is.
type Severity string

// The severities, from best to worst.
const (
	OK      Severity = "ok"
	Info    Severity = "info"    // to be known, or not known: nobody has to do anything
	Warning Severity = "warning" // it will go wrong, or hides what does
	Error   Severity = "error"   // something does not work
)

// rank orders severities.
func (s Severity) rank() int {
	switch s {
	case Error:
		return 3
	case Warning:
		return 2
	case Info:
		return 1
	}
	return 0
}

// Finding is what one check found.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Finding  string   `json:"finding"`
	Fix      string   `json:"fix,omitempty"` // what to do; after "run: " a command as a shell takes it
}

// check is one named question.
type check struct {
	id    string
	judge func(*Facts) result
}

// result is a check's answer.
type result struct {
	severity     Severity
	finding, fix string
}

func fine(format string, args ...any) result {
	return result{severity: OK, finding: fmt.Sprintf(format, args...)}
}

func note(format string, args ...any) result {
	return result{severity: Info, finding: fmt.Sprintf(format, args...)}
}

func warn(fix, format string, args ...any) result {
	return result{Warning, fmt.Sprintf(format, args...), fix}
}

func fail(fix, format string, args ...any) result {
	return result{Error, fmt.Sprintf(format, args...), fix}
}

// unseen is the answer where the agent, who alone knows, does not.
func unseen() result { return note("not known: no agent answers") }

// Examine asks every check, in their order.
func Examine(facts Facts) []Finding {
	var found []Finding
	for _, c := range checks() {
		r := c.judge(&facts)
		found = append(found, Finding{c.id, r.severity, r.finding, r.fix})
	}
	return found
}

// IDs names the checks, in their order.
func IDs() []string {
	var ids []string
	for _, c := range checks() {
		ids = append(ids, c.id)
	}
	return ids
}

// Worst is the severity of the worst finding.
func Worst(found []Finding) Severity {
	worst := OK
	for _, one := range found {
		if one.Severity.rank() > worst.rank() {
			worst = one.Severity
		}
	}
	return worst
}

func checks() []check {
	var all []check
	for _, group := range [][]check{machineChecks(), controllerChecks(), ownChecks(), issuedChecks(), authorityChecks(), requestChecks()} {
		all = append(all, group...)
	}
	return all
}

// some names the first few of a list.
func some(list []string) string {
	const shown = 3
	text := strings.Join(list[:min(shown, len(list))], ", ")
	if len(list) > shown {
		text += fmt.Sprintf(" and %d more", len(list)-shown)
	}
	return text
}

// count is a number with its noun: "1 key", "2 keys".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ends := strings.CutSuffix(noun, "y"); ends && !strings.HasSuffix(noun, "key") {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// run is a fix that is a command. Words that a shell would take apart are quoted.
func run(words ...string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = word
		if word == "" || strings.ContainsFunc(word, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-./:=@%+,", r)
		}) {
			quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return "run: " + strings.Join(quoted, " ")
}
