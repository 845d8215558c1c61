// SPDX-License-Identifier: AGPL-3.0-only

package kubefile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/kubefile"
)

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for sentence, c := range map[string]struct{ existing, problem string }{
		"no YAML":                      {"a:\n  b: 'c2VjcmV0\n", "it is not YAML"},
		"no YAML further down":         {"a: b\nc: d\ne: c2VjcmV0: f\n", "it is not YAML, near line 3"},
		"no text":                      {"a: \xff\n", "it is not UTF-8 text"},
		"a control character":          {"a: c2VjcmV0\x01\n", "it is not YAML"},
		"more than a mebibyte":         {strings.Repeat("#", 1<<20+1), "it is larger than 1048576 bytes"},
		"two documents":                {"a: b\n---\nc: d\n", "line 2 begins a second document"},
		"a second one that is no YAML": {"a: b\n---\nc: 'd\n", "it is not YAML"},
		"a list":                       {"- c2VjcmV0\n", "it is not a mapping"},
		"a text":                       {"c2VjcmV0\n", "it is not a mapping"},
		"another version":              {"apiVersion: c2VjcmV0\n", "apiVersion in line 1 is not v1"},
		"a version that is a number":   {"apiVersion: 1\n", "apiVersion in line 1 is not a text"},
		"another kind":                 {"kind: c2VjcmV0\n", "kind in line 1 is not Config"},
		"a list as current-context":    {"kind: Config\ncurrent-context: [c2VjcmV0]\n", "current-context in line 2 is not a text"},
		"users that are a mapping":     {"users: {c2VjcmV0: {}}\n", "users in line 1 is not a list"},
		"clusters that are a text":     {"clusters: c2VjcmV0\n", "clusters in line 1 is not a list"},
		"a user that is a text":        {"users:\n- c2VjcmV0\n", "users[0] in line 2 is not a mapping with a name"},
		"a context without a name":     {"contexts:\n- name: a\n- context: {}\n", "contexts[1] in line 3 is not a mapping with a name"},
		"a user with an empty name":    {"users: [{name: ''}]\n", "users[0] in line 1 is not a mapping with a name"},
		"a user whose name is a bool":  {"users: [{name: true}]\n", "users[0] in line 1 is not a mapping with a name"},
		"a user whose name is a list":  {"users: [{name: [a]}]\n", "users[0] in line 1 is not a mapping with a name"},
		"two users of one name":        {"users:\n- name: c2VjcmV0\n- name: c2VjcmV0\n", "users[1] in line 3 has the name of the one in line 2"},
		"a key twice":                  {"users:\n- name: a\n  user: {token: x, token: c2VjcmV0}\n", "line 3 has a key that its mapping has already"},
		"a list twice":                 {"users: []\nusers: []\n", "line 2 has a key that its mapping has already"},
		"a key that is a list":         {"? [c2VjcmV0]\n: b\n", "line 1 has a key that is not a text"},
		"an alias":                     {"a: &c2VjcmV0 [x]\nb: [*c2VjcmV0, *c2VjcmV0]\n", "line 1 has an anchor or an alias"},
		"an anchor":                    {"users: &c2VjcmV0 []\n", "line 1 has an anchor or an alias"},
		"an alias of nothing":          {"a: *c2VjcmV0\n", "it is not YAML"},
		"a merge key":                  {"a: b\n<<: {c: d}\n", "line 2 has a tag or a merge key"},
		"a tag":                        {"a: !!binary c2VjcmV0\n", "line 1 has a tag or a merge key"},
		"a list that is tagged null":   {"users: !!null [c2VjcmV0]\n", "line 1 has a tag or a merge key"},
		"too many levels":              {"a: " + deep + "\n", "line 1 is nested deeper than 64 levels"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			merged, err := kubefile.Merge(c.existing, byPath(), kubefile.Overwrite)
			require.ErrorContains(t, err, "cannot read kubeconfig: "+c.problem)
			require.NotContains(t, err.Error(), "c2VjcmV0")
			require.Empty(t, merged)
			require.False(t, kubefile.Holds(c.existing, byPath()))
			left, err := kubefile.Remove(c.existing, byPath().Names(), kubefile.Overwrite)
			require.ErrorContains(t, err, c.problem)
			require.Empty(t, left)
		})
	}
}
