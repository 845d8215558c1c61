// SPDX-License-Identifier: AGPL-3.0-only

package alerts_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// topology is what stands in the rules for the labels of an application. The tests have no application, as promtool has none.
var topology = regexp.MustCompile(`%%juju_topology%%(, )?`)

// testFile is the part of promtool's format that the tests use.
type testFile struct {
	RuleFiles          []string    `yaml:"rule_files"`
	EvaluationInterval string      `yaml:"evaluation_interval"`
	Tests              []alertTest `yaml:"tests"`
}

type alertTest struct {
	Name        string `yaml:"name"`
	Interval    string `yaml:"interval"`
	InputSeries []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	AlertRuleTest []struct {
		EvalTime  string `yaml:"eval_time"`
		Alertname string `yaml:"alertname"`
		ExpAlerts []struct {
			Labels      map[string]string `yaml:"exp_labels"`
			Annotations map[string]string `yaml:"exp_annotations"`
		} `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

func file(t *testing.T, names ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, names...)...))
	require.NoError(t, err)
	return text
}

// plain is the rule file for a Prometheus without Juju's labels.
func plain(t *testing.T) *rulefmt.RuleGroups {
	t.Helper()
	groups, errs := rulefmt.Parse([]byte(topology.ReplaceAllString(string(file(t, "alerts", "signet.yaml")), "")), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	return groups
}

func tests(t *testing.T) testFile {
	t.Helper()
	var read testFile
	decoder := yaml.NewDecoder(strings.NewReader(string(file(t, "alerts", "signet_test.yaml"))))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&read))
	require.NotEmpty(t, read.Tests)
	return read
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	parsed, err := model.ParseDuration(text)
	require.NoError(t, err)
	return time.Duration(parsed)
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	groups := plain(t)
	for _, one := range tests(t).Tests {
		t.Run(one.Name, func(t *testing.T) {
			t.Parallel()
			evaluate(t, groups, one)
		})
	}
}

// evaluate plays one test: it evaluates all rules at each interval until the last time that is asked for.
func evaluate(t *testing.T, groups *rulefmt.RuleGroups, test alertTest) {
	t.Helper()
	interval := duration(t, test.Interval)
	load := "load " + test.Interval + "\n"
	for _, series := range test.InputSeries {
		load += fmt.Sprintf("  %s %s\n", series.Series, series.Values)
	}
	loader, err := promqltest.NewLazyLoader(load, promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	require.NoError(t, err)
	defer loader.Close()
	var alerting []*rules.AlertingRule
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(rule.Expr)
			require.NoError(t, err, rule.Alert)
			alerting = append(alerting, rules.NewAlertingRule(rule.Alert, expr, time.Duration(rule.For), time.Duration(rule.KeepFiringFor),
				labels.FromMap(rule.Labels), labels.FromMap(rule.Annotations), labels.EmptyLabels(), "", false, slog.New(slog.DiscardHandler)))
		}
	}
	last := time.Duration(0)
	for _, want := range test.AlertRuleTest {
		last = max(last, duration(t, want.EvalTime))
	}
	seen := map[string]bool{}
	query := rules.EngineQueryFunc(loader.QueryEngine(), loader.Queryable())
	for at := time.Duration(0); at <= last; at += interval {
		now := time.Unix(0, 0).Add(at)
		loader.WithSamplesTill(now, func(err error) { require.NoError(t, err) })
		for _, rule := range alerting {
			_, err := rule.Eval(loader.Context(), 0, now, query, &url.URL{}, 0)
			require.NoError(t, err, rule.Name())
		}
		for _, want := range test.AlertRuleTest {
			if duration(t, want.EvalTime) != at {
				continue
			}
			seen[want.EvalTime+want.Alertname] = true
			var expected []map[string]string
			for _, alert := range want.ExpAlerts {
				expected = append(expected, alert.Labels, alert.Annotations)
			}
			require.Equal(t, expected, firing(t, alerting, want.Alertname), "%s at %s", want.Alertname, want.EvalTime)
		}
	}
	require.Len(t, seen, len(test.AlertRuleTest), "each time that is asked for is one of the intervals, and asked for once")
}

// firing gives labels and annotations of the alerts of a name that fire, sorted by their labels.
func firing(t *testing.T, alerting []*rules.AlertingRule, name string) []map[string]string {
	t.Helper()
	at := slices.IndexFunc(alerting, func(rule *rules.AlertingRule) bool { return rule.Name() == name })
	require.GreaterOrEqual(t, at, 0, "there is no alert %s", name)
	var found []*rules.Alert
	for _, alert := range alerting[at].ActiveAlerts() {
		if alert.State == rules.StateFiring {
			found = append(found, alert)
		}
	}
	slices.SortFunc(found, func(x, y *rules.Alert) int { return labels.Compare(x.Labels, y.Labels) })
	var texts []map[string]string
	for _, alert := range found {
		own := labels.NewBuilder(alert.Labels).Del("alertname").Labels()
		texts = append(texts, own.Map(), alert.Annotations.Map())
	}
	return texts
}

func TestEachAlertIsTestedBothWays(t *testing.T) {
	t.Parallel()
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, test := range tests(t).Tests {
		for _, want := range test.AlertRuleTest {
			if len(want.ExpAlerts) > 0 {
				fires[want.Alertname] = true
			} else {
				rests[want.Alertname] = true
			}
		}
	}
	for _, group := range plain(t).Groups {
		for _, rule := range group.Rules {
			require.True(t, fires[rule.Alert], "%s is never seen to fire", rule.Alert)
			require.True(t, rests[rule.Alert], "%s is never seen at rest", rule.Alert)
		}
	}
}

func TestTheDashboardsQueriesParse(t *testing.T) {
	t.Parallel()
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(file(t, "dashboards", "signet.json"), &board))
	parsed := 0
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			expr := regexp.MustCompile(`\$[a-z_]+`).ReplaceAllString(target.Expr, ".*")
			_, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
			require.NoError(t, err, "%s: %s", panel.Title, target.Expr)
			parsed++
		}
	}
	require.Greater(t, parsed, 20)
}
