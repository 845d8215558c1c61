// SPDX-License-Identifier: AGPL-3.0-only

// Package bench measures this program against its targets, on the machine at hand and all in one run: "make bench" prints
// the table and writes bench/results.json. Its other tests, part of "make test", hold the growth of what is counted (calls,
// writes, parses, allocations) between sizes, so that what becomes quadratic fails without a clock. Where to look next: this
// file, which owns the table; measure_test.go, which runs what fills it; growth_test.go for the counts.
package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of the table: what is measured, and what is wanted of it.
type row struct {
	ID     string  `json:"id"`
	Item   int     `json:"item"` // 1 hooks, 2 requests, 3 issuance, 4 storms, 5 memory, 6 many
	What   string  `json:"what"` // "%s" stands for the size at which it was measured
	Unit   string  `json:"unit"`
	Bound  bound   `json:"bound,omitempty"`
	Target float64 `json:"target,omitempty"`
	Full   int     `json:"full,omitempty"` // the size that the target is for; 0 where it is for every size
	// Scales is that the target shrinks with the size. Else nothing is said of a smaller size than the full one.
	Scales bool `json:"scales,omitempty"`
}

// bound says on which side of a target is good; empty where there is no target.
type bound string

const (
	atMost  bound = "<="
	atLeast bound = ">="
)

// The rows' names, which the measurements fill.
const (
	coldStart     = "cold-start"
	requestPrefix = "request-" // with the number of units that exist
	requestGrowth = "request-growth"
	issueRequests = "issue-p256-requests"
	issueKeys     = "issue-p256-keys"
	issueRSA      = "issue-rsa-requests"
	issueRSAKeys  = "issue-rsa-keys"
	stormLegacy   = "storm-legacy"
	stormRequests = "storm-requests"
	stormMany     = "storm-many"
	writesSuffix  = "-writes" // of a storm
	memoryIdle    = "memory-idle"
	memoryMany    = "memory-many"
	routines      = "goroutines"
	bytesLegacy   = "bytes-legacy"
	bytesRequests = "bytes-requests"
	waveAtStart   = "wave-at-start"
	waveAtRest    = "wave-at-rest"
	wavePlanned   = "wave-planned"
	longList      = "crl"
	replay        = "replay"
)

// rows are the table.
func rows() []row {
	request := func(units int, text string) row {
		return row{
			ID: requestPrefix + strconv.Itoa(units), Item: 2, What: "a new request answered, from the start of its hook to its end, " + text + ", median",
			Unit: "ms", Bound: atMost, Target: 20,
		}
	}
	issue := func(id, what string) row {
		return row{ID: id, Item: 3, What: what, Unit: "x", Bound: atLeast, Target: 0.30}
	}
	withoutTarget := func(id string, item int, what, unit string, full int) row {
		return row{ID: id, Item: item, What: what, Unit: unit, Full: full}
	}
	scaled := func(id string, item int, what, unit string, target float64, full int) row {
		return row{ID: id, Item: item, What: what, Unit: unit, Bound: atMost, Target: target, Full: full, Scales: true}
	}
	return []row{
		{ID: coldStart, Item: 1, What: "a hook with nothing to do, against a hello-world", Unit: "x", Bound: atMost, Target: 8},
		request(1, "1 unit exists"),
		request(100, "100 units exist"),
		request(1000, "1,000 units exist in relations of 100"),
		request(5000, "5,000 units exist in relations of 100"),
		{ID: requestGrowth, Item: 2, What: "the same with %s units, against 1", Unit: "x", Bound: atMost, Target: 3, Full: 5000},
		issue(issueRequests, "issuing by a P-256 CA, against bare signing: requests"),
		issue(issueKeys, "issuing by a P-256 CA, against bare signing: keys made here"),
		issue(issueRSA, "issuing by an RSA-2048 CA, against bare signing: requests"),
		issue(issueRSAKeys, "issuing by an RSA-2048 CA, against bare signing: keys made here"),
		scaled(stormLegacy, 4, "a storm of %s units, 2 legacy certificates each", "s", 10, 1000),
		scaled(stormLegacy+writesSuffix, 4, "the same: rewrites of signet's databags", "", 20, 1000),
		scaled(stormRequests, 4, "a storm of %s units, 1 request each", "s", 10, 1000),
		scaled(stormRequests+writesSuffix, 4, "the same: rewrites of signet's databags", "", 20, 1000),
		scaled(stormMany, 4, "a storm of %s units over relations of 100, 2 legacy each", "s", 60, 5000),
		scaled(stormMany+writesSuffix, 4, "the same: rewrites of signet's databags", "", 100, 5000),
		{ID: memoryIdle, Item: 5, What: "an agent's memory (RSS), idle", Unit: "MB", Bound: atMost, Target: 40},
		{ID: memoryMany, Item: 5, What: "an agent's memory (RSS), %s units served", Unit: "MB", Bound: atMost, Target: 200, Full: 5000},
		withoutTarget(routines, 5, "an agent's goroutines, %s units served", "", 5000),
		withoutTarget(bytesLegacy, 5, "relation data for a unit, 2 legacy certificates", "B", 0),
		withoutTarget(bytesRequests, 5, "relation data for a unit, 1 request", "B", 0),
		withoutTarget(waveAtStart, 6, "the first decision of an agent, with %s certificates", "s", 100_000),
		withoutTarget(waveAtRest, 6, "a decision with %s certificates, none due", "s", 100_000),
		scaled(wavePlanned, 6, "a decision with %s certificates, all due for renewal", "s", 1, 100_000),
		scaled(longList, 6, "a revocation list of %s entries", "s", 1, 100_000),
		scaled(replay, 6, "a ledger of %s entries read at start", "s", 5, 1_000_000),
	}
}

// figure is what was measured for a row.
type figure struct {
	Value   float64            `json:"value"`
	Size    int                `json:"size,omitempty"`
	Note    string             `json:"note,omitempty"` // for the table
	Details map[string]float64 `json:"details,omitempty"`
}

// line is a row with what was measured for it.
type line struct {
	row

	Measured *figure `json:"measured"` // nil: not measured
	Limit    float64 `json:"limit,omitempty"`
	Verdict  string  `json:"verdict"`
}

// What a line says of its target.
const (
	notMeasured = "not measured"
	met         = "met"
	missed      = "MISSED"
	tooSmall    = "size too small to tell"
)

// judged holds a figure against its row's target; nil for none.
func judged(r row, f *figure) line {
	l := line{row: r, Measured: f, Limit: r.Target}
	if f == nil {
		l.Verdict = notMeasured
		return l
	}
	smaller := r.Full > 0 && f.Size < r.Full
	if smaller && r.Scales {
		l.Limit = r.Target * float64(f.Size) / float64(r.Full)
	}
	good := r.Bound == atMost && f.Value <= l.Limit || r.Bound == atLeast && f.Value >= l.Limit
	switch {
	case r.Bound == "":
	case smaller && !r.Scales && good:
		l.Verdict = tooSmall
	case good:
		l.Verdict = met
	default:
		l.Verdict = missed
	}
	return l
}

// results are all that a run measured.
type results struct {
	Began   time.Time          `json:"began"`
	Seconds float64            `json:"seconds"`
	Mode    string             `json:"mode"`
	Machine machine            `json:"machine"`
	Lines   []line             `json:"lines"`
	figures map[string]*figure // by row
}

// put records what was measured for a row.
func (r *results) put(id string, f figure) {
	if !slices.ContainsFunc(rows(), func(one row) bool { return one.ID == id }) {
		panic("the table has no row " + id)
	}
	if r.figures == nil {
		r.figures = map[string]*figure{}
	}
	r.figures[id] = &f
}

// judge holds all figures against the table.
func (r *results) judge() {
	r.Lines = nil
	for _, one := range rows() {
		r.Lines = append(r.Lines, judged(one, r.figures[one.ID]))
	}
	slices.SortStableFunc(r.Lines, func(a, b line) int { return cmp.Compare(a.Item, b.Item) })
}

// print writes the table.
func (r *results) print(to io.Writer) error {
	fmt.Fprintf(to, "%s, %d cores (%s), load before %s, %s, commit %s; sizes: %s; %.0f s\n",
		r.Machine.System, r.Machine.Cores, r.Machine.CPU, r.Machine.Load, r.Machine.Go, r.Machine.Commit, r.Mode, r.Seconds)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\twhat\tmeasured\ttarget\tverdict\t")
	for _, l := range r.Lines {
		what, value, target, note := l.What, notMeasured, "", ""
		size := l.Full
		if l.Measured != nil {
			value, note, size = shown(l.Measured.Value, l.Unit), l.Measured.Note, l.Measured.Size
		}
		if strings.Contains(what, "%s") {
			what = fmt.Sprintf(what, thousands(size))
		}
		if l.Bound != "" {
			target = string(l.Bound) + " " + shown(l.Limit, l.Unit)
		}
		verdict := l.Verdict
		if l.Measured == nil {
			verdict = ""
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", l.Item, what, value, target, verdict, note)
	}
	return table.Flush()
}

// encode writes the results for programs.
func (r *results) encode() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}

// shown is a number to three digits, with its unit.
func shown(value float64, unit string) string {
	var text string
	switch {
	case value == float64(int64(value)) || value >= 100:
		text = thousands(int(value + 0.5))
	case value >= 10:
		text = strconv.FormatFloat(value, 'f', 1, 64)
	default:
		text = strconv.FormatFloat(value, 'g', 3, 64)
	}
	if unit == "" {
		return text
	}
	return text + " " + unit
}

// thousands puts commas into a number.
func thousands(number int) string {
	text := strconv.Itoa(number)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
