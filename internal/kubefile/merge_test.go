// SPDX-License-Identifier: AGPL-3.0-only

package kubefile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/kubefile"
)

const operatorsText = `# Kept by hand.
apiVersion: v1
kind: Config
preferences: {colors: true}
current-context: lab # mine
clusters:
# The lab.
- name: lab
  cluster:
    server: https://lab:6443
    insecure-skip-tls-verify: true
    extensions:
    - name: minikube.sigs.k8s.io
      extension: {version: v1.37.0, port: 0x10}
users:
- user:
    token: "c2VjcmV0"
    x-unknown: [1, ~, 2.50]
  name: root
contexts:
- name: lab
  context: {cluster: lab, user: root, namespace: kube-system}
x-tool:
  note: |
    two
    lines
`

const mergedText = `# Kept by hand.
apiVersion: v1
kind: Config
preferences: {colors: true}
current-context: lab # mine
clusters:
  # The lab.
  - name: lab
    cluster:
      server: https://lab:6443
      insecure-skip-tls-verify: true
      extensions:
        - name: minikube.sigs.k8s.io
          extension: {version: v1.37.0, port: 0x10}
  - name: signet
    cluster:
      server: https://10.0.0.1:6443
      certificate-authority: /var/lib/signet/files/certificates/ca.crt
users:
  - user:
      token: "c2VjcmV0"
      x-unknown: [1, ~, 2.50]
    name: root
  - name: admin
    user:
      client-certificate: /var/lib/signet/files/certificates/client.crt
      client-key: /var/lib/signet/files/certificates/client.key
contexts:
  - name: lab
    context: {cluster: lab, user: root, namespace: kube-system}
  - name: admin@signet
    context:
      cluster: signet
      user: admin
x-tool:
  note: |
    two
    lines
`

func TestMergeKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ existing, want string }{
		"an operator's file":       {operatorsText, mergedText},
		"nothing":                  {"", byPathText},
		"blank lines":              {"\n \n", byPathText},
		"comments only":            {"# mine\n\n# all mine\n", "# mine\n\n# all mine\n" + byPathText},
		"an empty document":        {"---\n", byPathText},
		"null below a comment":     {"# mine\nnull # yet\n", "# mine\n# yet\n" + byPathText},
		"an empty mapping":         {"{}\n", byPathText},
		"our own file":             {byPathText, byPathText},
		"our own, in other layout": {strings.ReplaceAll(byPathText, "  - ", "-   "), strings.ReplaceAll(byPathText, "  - ", "-   ")},
		"what kubectl makes of no entries": {
			"apiVersion: v1\nclusters: null # none\ncontexts: []\ncurrent-context: \"\" # none yet\nkind: Config\npreferences: {}\nusers:\n",
			"apiVersion: v1\n" + section("clusters: # none") + section("contexts:") +
				"current-context: admin@signet # none yet\nkind: Config\npreferences: {}\n" + section("users:"),
		},
		"neither version nor kind": {
			"apiVersion: \"\"\nx: y\n", "apiVersion: \"\"\nx: y\n" + strings.TrimPrefix(byPathText, "apiVersion: v1\nkind: Config\n"),
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			merged, err := kubefile.Merge(c.existing, byPath())
			require.NoError(t, err)
			require.Equal(t, c.want, merged)
			require.True(t, kubefile.Holds(merged, byPath()))
			again, err := kubefile.Merge(merged, byPath())
			require.NoError(t, err)
			require.Equal(t, merged, again)
		})
	}
}

// section is the part of byPathText below one of its lists, with another heading.
func section(heading string) string {
	key, _, _ := strings.Cut(heading, ":")
	_, after, _ := strings.Cut(byPathText, key+":\n")
	var lines []string
	for line := range strings.Lines(after) {
		if !strings.HasPrefix(line, " ") {
			break
		}
		lines = append(lines, line)
	}
	return heading + "\n" + strings.Join(lines, "")
}

func TestMergeTakesJSON(t *testing.T) {
	t.Parallel()
	existing := `{"apiVersion": "v1", "kind": "Config", "users": [{"name": "root", "user": {"token": "c2VjcmV0"}}],
  "clusters": [], "contexts": null, "current-context": ""}`
	merged, err := kubefile.Merge(existing, embedded())
	require.NoError(t, err)
	require.Contains(t, merged, `{"name": "root", "user": {"token": "c2VjcmV0"}}`)
	require.True(t, kubefile.Holds(merged, embedded()))
	back, err := kubefile.Remove(merged, embedded().Names(), embedded().Sum())
	require.NoError(t, err)
	require.Contains(t, back, `{"name": "root", "user": {"token": "c2VjcmV0"}}`)
	require.NotContains(t, back, "signet")
}

func TestMergeReplacesWhatItWrote(t *testing.T) {
	t.Parallel()
	merged, err := kubefile.Merge(operatorsText, byPath())
	require.NoError(t, err)
	commented := strings.Replace(merged, "  - name: signet\n", "  # by signet\n  - name: signet # really\n", 1)
	commented = strings.Replace(commented, "      user: admin\n", "      user: admin\n      namespace: apps\n", 1)
	require.NotEqual(t, merged, commented)
	require.True(t, kubefile.Holds(commented, byPath()), "comments and the namespace are the operator's")

	moved := byPath()
	moved.Server, moved.Key.Path = "https://10.0.0.2:6443", "/elsewhere/client.key"
	require.False(t, kubefile.Holds(commented, moved))
	after, err := kubefile.Merge(commented, moved, "", byPath().Sum())
	require.NoError(t, err)
	want := strings.NewReplacer(
		"10.0.0.1", "10.0.0.2", "/var/lib/signet/files/certificates/client.key", "/elsewhere/client.key",
		"  # by signet\n  - name: signet # really\n", "  # by signet\n  # really\n  - name: signet\n",
	).Replace(commented)
	require.Equal(t, want, after)

	after, err = kubefile.Merge(after, embedded(), byPath().Sum(), moved.Sum())
	require.NoError(t, err)
	require.True(t, kubefile.Holds(after, embedded()))
	require.Contains(t, after, "# really")
	require.Contains(t, after, "namespace: apps")
	require.Contains(t, after, `token: "c2VjcmV0"`)
}

func TestMergeKeepsTheNamespaceOfAContextThatMoves(t *testing.T) {
	t.Parallel()
	existing := strings.Replace(byPathText, "      user: admin\n", "      user: admin\n      namespace: apps # mine\n", 1)
	other := byPath()
	other.User = "node"
	merged, err := kubefile.Merge(existing, other, byPath().Sum())
	require.NoError(t, err)
	require.Contains(t, merged, "  # mine\n  - name: admin@signet\n    context:\n      cluster: signet\n      user: node\n      namespace: apps\n")
	require.Contains(t, merged, "- name: admin\n", "a user of another name is not touched")
}

func TestMergeLeavesForeignEntries(t *testing.T) {
	t.Parallel()
	changed := byPath()
	changed.Server = "https://10.0.0.9:6443"
	for sentence, c := range map[string]struct {
		existing, former, problem string
	}{
		"another user":                {"users:\n- name: admin\n  user: {token: c2VjcmV0}\n", "", `user "admin" is there and not from this charm`},
		"another cluster":             {"clusters:\n- name: signet\n  cluster: {server: https://c2VjcmV0}\n", "", `cluster "signet" is there`},
		"another context":             {"contexts:\n- name: admin@signet\n  context: {user: c2VjcmV0}\n", "", `context "admin@signet" is there`},
		"an entry with its name only": {"users:\n- name: admin\n", "", `user "admin" is there`},
		"ours, recorded nowhere":      {byPathText, "", `cluster "signet" is there`},
		"ours, with a field of others": {
			strings.Replace(byPathText, "      server", "      insecure-skip-tls-verify: true\n      server", 1), byPath().Sum(), `cluster "signet" is there`,
		},
		"a sum of something else": {byPathText, changed.Sum() + ".x", `cluster "signet" is there`},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			wanted := byPath()
			wanted.Server = "https://10.0.0.7:6443"
			merged, err := kubefile.Merge(c.existing, wanted, c.former)
			require.ErrorIs(t, err, kubefile.ErrForeign)
			require.ErrorContains(t, err, "cannot merge kubeconfig: "+c.problem)
			require.NotContains(t, err.Error(), "c2VjcmV0")
			require.Empty(t, merged)
			merged, err = kubefile.Merge(c.existing, wanted, kubefile.Overwrite)
			require.NoError(t, err)
			require.True(t, kubefile.Holds(merged, wanted))
			require.NotContains(t, merged, "c2VjcmV0")
		})
	}
}

func TestMergeMendsWhatWasRemoved(t *testing.T) {
	t.Parallel()
	without := strings.Replace(byPathText, section("users:"), "users: []\n", 1)
	require.False(t, kubefile.Holds(without, byPath()))
	merged, err := kubefile.Merge(without, byPath())
	require.NoError(t, err)
	require.Equal(t, byPathText, merged)
	changed := byPath()
	changed.Server = "https://10.0.0.9:6443"
	merged, err = kubefile.Merge(without, changed, byPath().Sum())
	require.NoError(t, err)
	require.True(t, kubefile.Holds(merged, changed), "a missing entry does not make the others foreign")
}

func TestRemove(t *testing.T) {
	t.Parallel()
	merged, err := kubefile.Merge(operatorsText, byPath())
	require.NoError(t, err)
	other := byPath()
	other.Cluster, other.User, other.Server = "other", "other", "https://10.0.0.9:6443"
	edited := strings.Replace(byPathText, "client.key", "other.key", 1)
	for sentence, c := range map[string]struct{ existing, former, want string }{
		"from an operator's file":     {merged, byPath().Sum(), strings.Join(unmerged(), "")},
		"recorded as something else":  {merged, other.Sum(), merged},
		"recorded nowhere":            {merged, "", merged},
		"whoever wrote them":          {merged, kubefile.Overwrite, strings.Join(unmerged(), "")},
		"not there":                   {operatorsText, byPath().Sum(), operatorsText},
		"from nothing":                {"", byPath().Sum(), ""},
		"from comments":               {"# mine\n", byPath().Sum(), "# mine\n"},
		"all there is":                {byPathText, byPath().Sum(), ""},
		"all but a comment":           {"# mine\n\n" + byPathText, byPath().Sum(), "# mine\n\napiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\n"},
		"all but an unknown field":    {byPathText + "x: y\n", byPath().Sum(), "apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\nx: y\n"},
		"all but a comment on a list": {strings.Replace(byPathText, "contexts:", "contexts: # none", 1), byPath().Sum(), "apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: [] # none\n"},
		"all but a chosen context":    {strings.Replace(byPathText, "current-context: admin@signet", "current-context: x", 1), byPath().Sum(), "apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\ncurrent-context: x\n"},
		"all but an entry of another": {edited, byPath().Sum(), "apiVersion: v1\nkind: Config\nclusters: []\n" + strings.Replace(section("users:"), "client.key", "other.key", 1) + "contexts: []\n"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			left, err := kubefile.Remove(c.existing, byPath().Names(), c.former)
			require.NoError(t, err)
			require.Equal(t, c.want, left)
			again, err := kubefile.Remove(left, byPath().Names(), c.former)
			require.NoError(t, err)
			require.Equal(t, left, again)
		})
	}
	_, err = kubefile.Remove("[", byPath().Names())
	require.ErrorContains(t, err, "cannot read kubeconfig")
}

// unmerged is mergedText without the entries of byPath.
func unmerged() []string {
	var kept []string
	ours := false
	for line := range strings.Lines(mergedText) {
		if strings.HasPrefix(line, "  - ") || !strings.HasPrefix(line, " ") {
			ours = strings.Contains(line, "signet") || strings.Contains(line, "admin")
		}
		if !ours {
			kept = append(kept, line)
		}
	}
	return kept
}
