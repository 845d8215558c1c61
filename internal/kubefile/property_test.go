// SPDX-License-Identifier: AGPL-3.0-only

package kubefile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"github.com/signet-charm/signet/internal/kubefile"
)

// config is a kubeconfig as an independent reader sees it.
type config struct {
	Clusters []map[string]any `yaml:"clusters"`
	Users    []map[string]any `yaml:"users"`
	Contexts []map[string]any `yaml:"contexts"`
	Current  string           `yaml:"current-context"`
	Others   map[string]any   `yaml:",inline"`
}

func decode(t require.TestingT, text string) (decoded config) {
	require.NoError(t, yaml.Unmarshal([]byte(text), &decoded))
	return decoded
}

// without gives the entries that have another name.
func without(entries []map[string]any, name string) []map[string]any {
	var others []map[string]any
	for _, e := range entries {
		if e["name"] != name {
			others = append(others, e)
		}
	}
	return others
}

// foreign is all of a kubeconfig that is not k's.
func (c config) foreign(k kubefile.Kubeconfig) config {
	delete(c.Others, "apiVersion")
	delete(c.Others, "kind")
	if c.Current == k.Context {
		c.Current = ""
	}
	c.Clusters, c.Users, c.Contexts = without(c.Clusters, k.Cluster), without(c.Users, k.User), without(c.Contexts, k.Context)
	return c
}

// Whatever an operator keeps in a kubeconfig, merging ours in keeps it, merging again changes nothing, and removing ours
// gives back what was there.
func TestMergeKeepsAllForeignEntries(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		existing := drawKubeconfig(t)
		k := byPath()
		if rapid.Bool().Draw(t, "embedded") {
			k = embedded()
		}
		k.User = rapid.SampledFrom([]string{"admin", "yes", "ours"}).Draw(t, "user")
		merged, err := kubefile.Merge(existing, k, kubefile.Overwrite)
		require.NoError(t, err)
		require.True(t, kubefile.Holds(merged, k))
		before, after := decode(t, existing), decode(t, merged)
		require.Equal(t, before.foreign(k), after.foreign(k))
		require.NotEmpty(t, after.Current)
		for line := range strings.Lines(existing) {
			if _, comment, found := strings.Cut(line, "#"); found {
				require.Contains(t, merged, "#"+strings.TrimRight(comment, "\n"))
			}
		}

		again, err := kubefile.Merge(merged, k)
		require.NoError(t, err)
		require.Equal(t, merged, again)
		left, err := kubefile.Remove(merged, k.Names(), k.Sum())
		require.NoError(t, err)
		require.Equal(t, before.foreign(k), decode(t, left).foreign(k))
		require.False(t, kubefile.Holds(left, k))
	})
}

// drawKubeconfig makes a kubeconfig as an operator might: some entries, some of them with our names, in several styles.
func drawKubeconfig(t *rapid.T) string {
	var text strings.Builder
	for _, list := range rapid.Permutation([]string{"cluster", "user", "context"}).Draw(t, "lists") {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
			"admin", "signet", "admin@signet", "lab", "it's", "a b", "ü", "x: y", "1", "true", "yes",
		}), 0, 4, rapid.ID).Draw(t, list)
		text.WriteString(rapid.SampledFrom([]string{"", "# about " + list + "s\n"}).Draw(t, "comment"))
		if len(names) == 0 {
			text.WriteString(rapid.SampledFrom([]string{"", list + "s: []\n", list + "s:\n", list + "s: null # none\n"}).Draw(t, "none"))
			continue
		}
		text.WriteString(list + "s:\n")
		indent := rapid.SampledFrom([]string{"", "  ", "    "}).Draw(t, "indent")
		for _, name := range names {
			value := rapid.SampledFrom([]string{"{}", "{server: x, port: 1}", "[1, ~, 'two']", "\n" + indent + "    token: x # of " + list, `"\u00e9\n"`, "|\n" + indent + "     block\n\n" + indent + "     text"}).Draw(t, "value")
			fmt.Fprintf(&text, "%s- name: %q\n%s  %s: %s\n", indent, name, indent, list, value)
		}
	}
	text.WriteString(rapid.SampledFrom([]string{"", "current-context: lab\n", "current-context: ''\n", "x-unknown: {a: [1.0]} # kept\n"}).Draw(t, "rest"))
	return text.String()
}

// What is merged without an error holds what was merged, and merges again to the same bytes; nothing makes it panic.
func FuzzMerge(f *testing.F) {
	for _, existing := range []string{
		"", "# c\n", "---\n", "{}", byPathText, embeddedText, operatorsText, mergedText,
		`{"apiVersion":"v1","kind":"Config","users":[{"name":"root","user":{"token":"x"}}],"clusters":[],"contexts":null}`,
		"users: # why\n# head\n- name: admin # line\n  user:\n    token: x # l2\n    # inner\n\n# about bob\n\n- name: bob\n  user: {}\n# foot\n",
		"a: &b [x]\nc: *b\n", "a: b\n---\nc: d\n", "a: |+\n  x\n\n", "? a\n: 'b'\n", "<<: {a: b}\n", "a: !!str b\n", "a: >-\n  x\n   y\n\n  # z\n# q\n",
	} {
		f.Add(existing, "admin", true)
		f.Add(existing, "yes", false)
	}
	f.Fuzz(func(t *testing.T, existing, user string, overwrite bool) {
		k := byPath()
		k.User = user
		former := byPath().Sum()
		if overwrite {
			former = kubefile.Overwrite
		}
		left, err := kubefile.Remove(existing, k.Names(), former)
		if err == nil {
			again, err := kubefile.Remove(left, k.Names(), former)
			require.NoError(t, err)
			require.Equal(t, left, again)
		}
		merged, err := kubefile.Merge(existing, k, former)
		if err != nil {
			require.Empty(t, merged)
			return
		}
		require.True(t, kubefile.Holds(merged, k))
		again, err := kubefile.Merge(merged, k)
		require.NoError(t, err)
		require.Equal(t, merged, again)
	})
}
