// SPDX-License-Identifier: AGPL-3.0-only

package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/signet-charm/signet/internal/metrics"
)

// unnamed gives what an expression or a query names that no metric has. It is a look at names; promql itself parses them in
// e2e/alerts.
func unnamed(expr string) []string {
	labels, known := map[string][]string{"up": nil}, []string{"juju_model", "juju_model_uuid", "juju_application", "juju_unit", "instance", "job"}
	for _, one := range metrics.Catalogue() {
		labels[one.Name] = one.Labels
		if one.Kind == metrics.Histogram {
			labels[one.Name+"_bucket"], labels[one.Name+"_sum"], labels[one.Name+"_count"] = []string{"le"}, nil, nil
		}
	}
	var faults []string
	has := map[string]bool{} // labels of the metrics that are named
	for _, found := range regexp.MustCompile(`([a-z_][a-zA-Z0-9_:]*)\s*\{([^}]*)\}`).FindAllStringSubmatch(expr, -1) {
		name, matchers := found[1], found[2]
		if _, is := labels[name]; !is {
			faults = append(faults, "there is no metric "+name)
			continue
		}
		for _, label := range labels[name] {
			has[label] = true
		}
		for _, label := range regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`).FindAllStringSubmatch(matchers, -1) {
			if !slices.Contains(labels[name], label[1]) && !slices.Contains(known, label[1]) {
				faults = append(faults, fmt.Sprintf("%s has no label %s", name, label[1]))
			}
		}
	}
	bare := regexp.MustCompile(`\{[^}]*\}|"[^"]*"`).ReplaceAllString(expr, "{}")
	for _, name := range regexp.MustCompile(`\b(signet_[a-z_]+|up)\b(.?)`).FindAllStringSubmatch(bare, -1) {
		if name[2] != "{" {
			faults = append(faults, name[1]+" goes by no application")
		}
	}
	for _, list := range regexp.MustCompile(`\bby \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
		for _, label := range strings.Split(list[1], ", ") {
			if !has[label] && !slices.Contains(known, label) {
				faults = append(faults, "nothing has the label "+label)
			}
		}
	}
	if len(has) == 0 && !strings.Contains(expr, "{") {
		faults = append(faults, "it names no metric")
	}
	return faults
}

func TestAlertsNameWhatThereIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "alerts", "signet.yaml"))
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	names := map[string]bool{}
	for _, one := range file.Groups[0].Rules {
		require.Empty(t, unnamed(one.Expr), one.Alert)
		require.False(t, names[one.Alert], "%s is there twice", one.Alert)
		names[one.Alert] = true
		require.Contains(t, []string{"critical", "warning", "info"}, one.Labels["severity"], one.Alert)
		require.NotEmpty(t, one.Annotations["summary"], one.Alert)
		require.NotEmpty(t, one.Annotations["description"], "%s: what to do", one.Alert)
		require.Equal(t, strings.Count(one.Expr, "{"), strings.Count(one.Expr, "{%%juju_topology%%"), "%s: each selector is of one application", one.Alert)
	}
	require.GreaterOrEqual(t, len(names), 10)
}

func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "dashboards", "signet.json"))
	require.NoError(t, err)
	var board struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr string }
			GridPos struct{ X, Y, W, H int }
		}
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &board))
	asked, taken := map[string]bool{}, map[[2]int]string{}
	for _, panel := range board.Panels {
		if panel.Type != "row" {
			require.NotEmpty(t, panel.Targets, panel.Title)
		}
		for _, target := range panel.Targets {
			require.Empty(t, unnamed(target.Expr), panel.Title)
			for _, name := range regexp.MustCompile(`signet_[a-z_]+`).FindAllString(target.Expr, -1) {
				asked[strings.TrimSuffix(name, "_bucket")] = true
			}
			for _, variable := range regexp.MustCompile(`\$([a-z_]+)`).FindAllStringSubmatch(target.Expr, -1) {
				require.True(t, slices.ContainsFunc(board.Templating.List, func(one struct{ Name, Type, Definition string }) bool { return one.Name == variable[1] }), variable[1])
			}
		}
		for x := range panel.GridPos.W {
			for y := range panel.GridPos.H {
				at := [2]int{panel.GridPos.X + x, panel.GridPos.Y + y}
				require.Empty(t, taken[at], "%s lies over another", panel.Title)
				taken[at] = panel.Title
				require.Less(t, at[0], 24, panel.Title)
			}
		}
	}
	for _, variable := range board.Templating.List {
		if variable.Type == "query" {
			require.Contains(t, variable.Definition, "signet_build_info", variable.Name)
		}
	}
	require.Greater(t, len(asked), 20)
}

func TestAnUnknownNameIsSeen(t *testing.T) {
	t.Parallel()
	for expr, fault := range map[string]string{
		`signet_nothing{juju_model="x"} > 0`:               "there is no metric signet_nothing",
		`signet_certificates{condition="expired"}`:         "signet_certificates has no label condition",
		`signet_legacy_keys > 0`:                           "signet_legacy_keys goes by no application",
		`sum by (colour) (signet_certificates{state="x"})`: "nothing has the label colour",
		`vector(1)`:                    "it names no metric",
		`up{job="x"} == 0 and up == 1`: "up goes by no application",
		`rate(signet_turn_duration_seconds_buckets{juju_unit="x"}[5m])`: "there is no metric signet_turn_duration_seconds_buckets",
	} {
		require.Contains(t, unnamed(expr), fault, expr)
	}
}
