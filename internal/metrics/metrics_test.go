// SPDX-License-Identifier: AGPL-3.0-only

package metrics_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/metrics"
	"github.com/signet-charm/signet/internal/view"
	"github.com/signet-charm/signet/internal/view/viewtest"
)

var update = flag.Bool("update", false, "write docs/reference/metrics.md anew")

// noon is when the tests take place.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// facts are those of an agent that has taken three turns.
func facts(shown *view.View) metrics.Facts {
	return metrics.Facts{
		View: shown, Connected: true, Version: "1.2.3", GoVersion: "go1.26", FIPS: "off",
		Turns: metrics.Turns{
			Worked: 2, Failed: 1, Failing: true, Took: 1500 * time.Millisecond, Bounds: []time.Duration{time.Millisecond, time.Second}, Within: []uint64{1, 2},
		},
	}
}

// scrape reads what is written as Prometheus does: series by their names with labels, and the families.
func scrape(t *testing.T, of metrics.Facts) (map[string]float64, map[string]*dto.MetricFamily) {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, metrics.Write(&text, of))
	problems, err := promlint.New(bytes.NewReader(text.Bytes())).Lint()
	require.NoError(t, err)
	require.Empty(t, problems, "Prometheus' own linter")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&text)
	require.NoError(t, err)
	series := map[string]float64{}
	for name, family := range families {
		for _, one := range family.GetMetric() {
			var labels []string
			for _, label := range one.GetLabel() {
				labels = append(labels, label.GetName()+"="+label.GetValue())
			}
			key := strings.TrimSuffix(name+"{"+strings.Join(labels, ",")+"}", "{}")
			require.NotContains(t, series, key)
			series[key] = one.GetGauge().GetValue() + one.GetCounter().GetValue() + one.GetHistogram().GetSampleSum()
		}
	}
	return series, families
}

func TestWhatIsMeasured(t *testing.T) {
	t.Parallel()
	steady, troubled := viewtest.Steady(noon), viewtest.Troubled(noon)
	before := func(d time.Duration) float64 { return float64(noon.Add(-d).Unix()) }
	const day = 24 * time.Hour
	for sentence, c := range map[string]struct {
		of   metrics.Facts
		want map[string]float64
	}{
		"a unit at rest": {facts(&steady), map[string]float64{
			"signet_certificates{role=issued,state=valid,kind=server,dialect=legacy}": 16,
			"signet_certificates{role=issued,state=valid,kind=server,dialect=csr}":    5,
			"signet_certificates{role=own,state=valid,kind=server,dialect=csr}":       1,
			"signet_soonest_expiry_timestamp_seconds{role=issued,application=etcd}":   before(-40 * day),
			"signet_renewals_overdue{role=issued,application=etcd}":                   0,
			"signet_status{level=active}":                                             1,
			"signet_status{level=blocked}":                                            0,
			"signet_rollover_phase{phase=steady}":                                     1,
			"signet_rollover_phase{phase=replacing}":                                  0,
			"signet_ca_not_after_timestamp_seconds{generation=1,role=signing}":        before(-9 * 365 * day),
			"signet_crl_next_update_timestamp_seconds{generation=1}":                  before(-6 * day),
			"signet_crl_entries{generation=1}":                                        1,
			"signet_issued_total":                                                     104,
			"signet_revoked_total":                                                    1,
			"signet_refusals_total{code=name-not-allowed}":                            4,
			"signet_legacy_keys":                                                      16,
			"signet_backup_timestamp_seconds":                                         before(3 * day),
			"signet_record_checkpoint_timestamp_seconds":                              before(5 * time.Hour),
			"signet_leader":                                                       1,
			"signet_controller_connected":                                         1,
			"signet_turns_total{outcome=done}":                                    2,
			"signet_turns_total{outcome=failed}":                                  1,
			"signet_turn_failing":                                                 1,
			"signet_turn_duration_seconds":                                        1.5,
			"signet_last_turn_timestamp_seconds":                                  before(42 * time.Second),
			"signet_build_info{version=1.2.3,go_version=go1.26,fips=off}":         1,
			"signet_requests{outcome=refused}":                                    0,
			"signet_orphaned_certificates":                                        0,
			"signet_record_unreadable":                                            0,
			"signet_rollover_next_timestamp_seconds":                              before(-7 * 365 * day),
			"signet_soonest_expiry_timestamp_seconds{role=own,application=vault}": before(-200 * day),
		}},
		"a unit with trouble": {facts(&troubled), map[string]float64{
			"signet_certificates{role=issued,state=expired,kind=server,dialect=legacy}":  1,
			"signet_certificates{role=issued,state=expiring,kind=server,dialect=legacy}": 1,
			"signet_certificates{role=issued,state=revoked,kind=server,dialect=legacy}":  1,
			"signet_certificates{role=issued,state=waiting,kind=server,dialect=csr}":     1,
			"signet_soonest_expiry_timestamp_seconds{role=issued,application=etcd}":      before(2 * day),
			"signet_renewals_overdue{role=issued,application=etcd}":                      1,
			"signet_renewals_overdue{role=issued,application=kubernetes-worker}":         1,
			"signet_refused_requests{application=web,code=malformed}":                    1,
			"signet_refused_requests{application=etcd,code=identity-not-allowed}":        1,
			"signet_lapsing_certificates{application=etcd}":                              1,
			"signet_requests{outcome=refused}":                                           3,
			"signet_requests{outcome=waiting}":                                           1,
			"signet_rollover_paused":                                                     1,
			"signet_rollover_phase{phase=replacing}":                                     1,
			"signet_status{level=blocked}":                                               1,
			"signet_ca_not_after_timestamp_seconds{generation=1,role=retiring}":          before(-24 * day),
			"signet_ca_issued{generation=2}":                                             12,
			"signet_crl_next_update_timestamp_seconds{generation=2}":                     before(day),
		}},
		"an agent whose turns never came to an end": {facts(nil), map[string]float64{
			"signet_turns_total{outcome=failed}": 1, "signet_turn_failing": 1, "signet_controller_connected": 1,
		}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			series, _ := scrape(t, c.of)
			for name, want := range c.want {
				require.Contains(t, series, name)
				require.InDelta(t, want, series[name], 0, name)
			}
			if c.of.View == nil {
				require.NotContains(t, series, "signet_legacy_keys", "what is not known is not shown as nothing")
			}
		})
	}
}

func TestEachMetricOfTheCatalogueIsWrittenAsItSays(t *testing.T) {
	t.Parallel()
	seen := map[string]*dto.MetricFamily{}
	for _, shown := range []view.View{viewtest.Steady(noon), viewtest.Troubled(noon)} {
		_, families := scrape(t, facts(&shown))
		for name, family := range families {
			seen[name] = family
		}
	}
	for _, one := range metrics.Catalogue() {
		family, written := seen[one.Name]
		require.True(t, written, "%s is never written", one.Name)
		require.Equal(t, strings.ToUpper(string(one.Kind)), family.GetType().String(), one.Name)
		require.Equal(t, one.Help, family.GetHelp(), one.Name)
		for _, sample := range family.GetMetric() {
			var labels []string
			for _, label := range sample.GetLabel() {
				labels = append(labels, label.GetName())
			}
			require.Equal(t, one.Labels, labels, one.Name)
		}
		delete(seen, one.Name)
	}
	require.Empty(t, seen, "written, and in no catalogue")
}

func TestSeriesDoNotGrowWithTheModel(t *testing.T) {
	t.Parallel()
	count := func(units int) int {
		shown := viewtest.Large(noon, units)
		series, _ := scrape(t, facts(&shown))
		return len(series)
	}
	require.Equal(t, count(50), count(52)-3, "a further application has its expiry, its renewals and its refusals")
	require.Less(t, count(5000), 400)
	shown := viewtest.Large(noon, 15_500)
	series, _ := scrape(t, facts(&shown))
	require.Less(t, len(series), 1000, "no more than so many applications are told apart")
	require.Contains(t, series, "signet_soonest_expiry_timestamp_seconds{role=issued,application=(others)}")
}

func TestNoUnitAndNoCertificateIsNamed(t *testing.T) {
	t.Parallel()
	shown := viewtest.Troubled(noon)
	var text strings.Builder
	require.NoError(t, metrics.Write(&text, facts(&shown)))
	for _, private := range []string{"k8s-prod", "signet/0", "etcd/1", "10.0.0", "system:masters", shown.Certificates[0].Serial} {
		require.NotContains(t, text.String(), private)
	}
}

func TestTheReferenceIsOfTheseMetrics(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "reference", "metrics.md")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(metrics.Reference()), 0o644))
	}
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, metrics.Reference(), string(written), "run: go test ./internal/metrics -update")
}

func BenchmarkWrite(b *testing.B) {
	shown := viewtest.Large(noon, 5000)
	var text bytes.Buffer
	for b.Loop() {
		text.Reset()
		if err := metrics.Write(&text, facts(&shown)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(text.Len()), "bytes")
}
