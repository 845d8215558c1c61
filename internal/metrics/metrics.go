// SPDX-License-Identifier: AGPL-3.0-only

// Package metrics tells what an operator sees of a unit in Prometheus' text format. It is made of a view when somebody asks, and
// has no state of its own: counters are read from the unit's record, which outlives its agent. Series go by application, never
// by unit, so that their number does not grow with the model. Where to look next: catalogue.go for which metrics there are,
// package view for what they are made of, and alerts/ at the root for the rules that go by them.
package metrics

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/signet-charm/signet/internal/view"
)

// Facts are what metrics are made of.
type Facts struct {
	View      *view.View // nil while there is none
	Turns     Turns
	Connected bool // to the controller
	Version   string
	GoVersion string
	FIPS      string // "off", "on", "only"
}

// Turns is what was counted of turns since the agent started.
type Turns struct {
	Worked, Failed uint64
	Failing        bool // the last one failed
	Took           time.Duration
	Bounds         []time.Duration
	Within         []uint64 // how many took no longer than each of the bounds
}

// ContentType is that of Write's text.
func ContentType() string { return string(expfmt.NewFormat(expfmt.TypeTextPlain)) }

// Write writes all metrics that have a value.
func Write(w io.Writer, facts Facts) error {
	for _, one := range Catalogue() {
		family := one.family(facts)
		if len(family.GetMetric()) == 0 {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return fmt.Errorf("cannot write the metric %s: %w", one.Name, err)
		}
	}
	return nil
}

// Metric is one metric: what stands in the reference, and how its values are found.
type Metric struct {
	Name   string
	Kind   Kind
	Labels []string
	Help   string
	values func(Facts) samples
	turns  bool // it is the histogram of turns
}

// Kind is what may be done with a metric's values.
type Kind string

// The kinds.
const (
	Gauge     Kind = "gauge"
	Counter   Kind = "counter"
	Histogram Kind = "histogram"
)

// samples are values by the values of labels, joined with a zero byte.
type samples map[string]float64

func (s samples) add(value float64, labels ...string) { s[strings.Join(labels, "\x00")] += value }

// least keeps the smallest value.
func (s samples) least(value float64, labels ...string) {
	key := strings.Join(labels, "\x00")
	if known, found := s[key]; !found || value < known {
		s[key] = value
	}
}

// at gives a time as a sample; a zero time is none.
func (s samples) at(when time.Time, labels ...string) {
	if !when.IsZero() {
		s.add(float64(when.Unix()), labels...)
	}
}

// family makes what the encoder takes.
func (m Metric) family(facts Facts) *dto.MetricFamily {
	family := &dto.MetricFamily{Name: &m.Name, Help: &m.Help}
	if m.turns {
		family.Type = dto.MetricType_HISTOGRAM.Enum()
		family.Metric = []*dto.Metric{{Histogram: facts.Turns.histogram()}}
		return family
	}
	found := m.values(facts)
	family.Type = dto.MetricType_GAUGE.Enum()
	if m.Kind == Counter {
		family.Type = dto.MetricType_COUNTER.Enum()
	}
	for _, key := range slices.Sorted(maps.Keys(found)) {
		one, value := &dto.Metric{}, found[key]
		if len(m.Labels) > 0 {
			for i, text := range strings.Split(key, "\x00") {
				one.Label = append(one.Label, &dto.LabelPair{Name: &m.Labels[i], Value: &text})
			}
		}
		if m.Kind == Counter {
			one.Counter = &dto.Counter{Value: &value}
		} else {
			one.Gauge = &dto.Gauge{Value: &value}
		}
		family.Metric = append(family.Metric, one)
	}
	return family
}

func (t Turns) histogram() *dto.Histogram {
	sum, count := t.Took.Seconds(), t.Worked+t.Failed
	made := &dto.Histogram{SampleSum: &sum, SampleCount: &count}
	for i, bound := range t.Bounds {
		seconds := bound.Seconds()
		made.Bucket = append(made.Bucket, &dto.Bucket{UpperBound: &seconds, CumulativeCount: &t.Within[i]})
	}
	return made
}

// manyApplications is how many applications have series of their own.
const manyApplications = 300

// others is under what name the applications beyond that are shown together.
const others = "(others)"

// namer gives the label of an application: its name for the first ones by name, others for the rest.
func namer(shown *view.View) func(string) string {
	names := map[string]bool{}
	for _, one := range shown.Certificates {
		names[one.Application] = true
	}
	for _, one := range shown.Requests {
		names[one.Application] = true
	}
	if len(names) <= manyApplications {
		return func(name string) string { return name }
	}
	last := slices.Sorted(maps.Keys(names))[manyApplications-1]
	return func(name string) string {
		if cmp.Compare(name, last) > 0 {
			return others
		}
		return name
	}
}

// Reference is the page of the documentation that lists all metrics.
func Reference() string {
	var text strings.Builder
	text.WriteString(`<!-- Written by package metrics; see TestTheReferenceIsOfTheseMetrics. -->
# Metrics

With the option ` + "`listen`" + ` set, each unit serves these at ` + "`/metrics`" + ` in Prometheus' text format. They are made of the last
turn's outcome when somebody asks, at most every ten seconds, and less often where that takes long. Times are seconds since 1970, so that
` + "`(… - time()) / 86400`" + ` is the number of days left. Series go by application, never by unit; beyond ` + fmt.Sprint(manyApplications) + ` applications the rest is
counted under ` + "`" + others + "`" + `. Counters of what was issued, revoked and refused are those of this unit's own record, which has what the
unit decided while it led: sum them over the units.

| metric | kind | labels | meaning |
|---|---|---|---|
`)
	for _, one := range Catalogue() {
		labels := make([]string, 0, len(one.Labels))
		for _, label := range one.Labels {
			labels = append(labels, "`"+label+"`")
		}
		fmt.Fprintf(&text, "| `%s` | %s | %s | %s |\n", one.Name, one.Kind, strings.Join(labels, ", "), one.Help)
	}
	return text.String()
}
