// SPDX-License-Identifier: AGPL-3.0-only

package internal_test

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each threat in SECURITY.md's table names the tests that hold what is done against it.
func TestThreatsAreHeldByTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../SECURITY.md")
	require.NoError(t, err)
	known, err := testNames(os.DirFS(".."))
	require.NoError(t, err)
	require.Greater(t, len(known), 100, "no tests found: the test looks in the wrong place")
	threats, faults := threatFaults(string(text), known)
	for n := 1; n <= 15; n++ {
		require.Contains(t, threats, fmt.Sprintf("T%d", n))
	}
	require.Empty(t, faults)
}

func TestAThreatThatNothingHoldsIsFound(t *testing.T) {
	t.Parallel()
	known := []string{"TestOne", "FuzzTwo"}
	for sentence, c := range map[string]struct {
		row  string
		want string
	}{
		"held":                   {"| T1 | x | y | `TestOne`, `FuzzTwo` |", ""},
		"held by what is gone":   {"| T1 | x | y | `TestOne`, `TestGone` |", "TestGone"},
		"held by part of a name": {"| T1 | x | y | `TestOn` |", "TestOn"},
		"held by nothing":        {"| T1 | x | y | |", "names no test"},
		"held by words":          {"| T1 | x | y | reviews |", "names no test"},
		"with a column missing":  {"| T1 | x | `TestOne` |", "columns"},
	} {
		threats, faults := threatFaults(c.row+"\n", known)
		require.Equal(t, []string{"T1"}, threats, sentence)
		if c.want == "" {
			require.Empty(t, faults, sentence)
			continue
		}
		require.Len(t, faults, 1, sentence)
		require.Contains(t, faults[0], c.want, sentence)
	}
}

// threatFaults reads the table's rows: the threats by number, and what is wrong with them.
func threatFaults(text string, known []string) (threats, faults []string) {
	for line := range strings.Lines(text) {
		row := regexp.MustCompile(`^\| (T[0-9]+) \|`).FindStringSubmatch(line)
		if row == nil {
			continue
		}
		threats = append(threats, row[1])
		columns := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(columns) != 4 {
			faults = append(faults, fmt.Sprintf("%s has %d columns instead of 4", row[1], len(columns)))
			continue
		}
		tests := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]*)`").FindAllStringSubmatch(columns[3], -1)
		if len(tests) == 0 {
			faults = append(faults, row[1]+" names no test")
		}
		for _, test := range tests {
			if !slices.Contains(known, test[1]) {
				faults = append(faults, fmt.Sprintf("%s names %s, and there is no such test", row[1], test[1]))
			}
		}
	}
	return threats, faults
}

// testNames are all tests and fuzz targets of a checkout.
func testNames(tree fs.FS) ([]string, error) {
	var names []string
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]*)\(`)
	err := fs.WalkDir(tree, "internal", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		for _, match := range declared.FindAllStringSubmatch(string(text), -1) {
			names = append(names, match[1])
		}
		return err
	})
	return names, err
}
