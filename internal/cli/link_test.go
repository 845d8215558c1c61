// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheProgramIsInThePath(t *testing.T) {
	t.Parallel()
	const own, other = "/var/lib/juju/agents/unit-signet-0/charm/dispatch", "/var/lib/juju/agents/unit-signet-node-3/charm/dispatch"
	link := func(target string) func(string) error {
		return func(path string) error { return os.Symlink(target, path) }
	}
	for sentence, c := range map[string]struct {
		there  func(path string) error
		linked string // where the link leads after the install hook; empty for no link
		after  string // and after the unit was removed
	}{
		"nothing is there":               {nil, own, ""},
		"it is there already":            {link(own), own, ""},
		"another unit's":                 {link(other), own, ""},
		"somebody else's link":           {link("/opt/signet/bin/signet"), "/opt/signet/bin/signet", "/opt/signet/bin/signet"},
		"somebody's link to no program":  {link("/opt/unit-x/charm/dispatch/y"), "/opt/unit-x/charm/dispatch/y", "/opt/unit-x/charm/dispatch/y"},
		"somebody else's program":        {func(path string) error { return os.WriteFile(path, []byte("theirs"), 0o755) }, "", ""},
		"what a killed hook left behind": {func(path string) error { return os.Symlink(own, path+".new") }, own, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			path := filepath.Join(root, linkName)
			if c.there != nil {
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, c.there(path))
			}
			p := &program{lookup: func(name string) string { return map[string]string{"SIGNET_ROOT": root}[name] }, stderr: io.Discard}
			at := p.placeOf("signet/0", filepath.Dir(own))
			require.NoError(t, p.linkProgram(at))
			require.Equal(t, c.linked, leadsTo(path))
			require.NoError(t, p.unlinkProgram(at))
			require.Equal(t, c.after, leadsTo(path))
			entries, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			require.LessOrEqual(t, len(entries), 1, "nothing is left beside it")
		})
	}
}

// A unit that goes takes another unit's link not with it.
func TestAnotherUnitsLinkStays(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	p := &program{lookup: func(string) string { return root }}
	first, last := p.placeOf("signet/0", "/var/lib/juju/agents/unit-signet-0/charm"), p.placeOf("signet/1", "/var/lib/juju/agents/unit-signet-1/charm")
	require.NoError(t, p.linkProgram(first))
	require.NoError(t, p.linkProgram(last))
	require.NoError(t, p.unlinkProgram(first))
	require.Equal(t, last.program(), leadsTo(filepath.Join(root, linkName)))
}

// Where no root stands for the machine's, and no Juju of a machine's started the hook, the machine is left alone.
func TestTheMachineOfATestIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := &program{lookup: func(string) string { return "" }}
	before := leadsTo(linkName)
	require.NoError(t, p.linkProgram(p.placeOf("signet/0", filepath.Join(t.TempDir(), "unit-signet-0", "charm"))))
	require.Equal(t, before, leadsTo(linkName))
}

// leadsTo is where a link leads; empty for none.
func leadsTo(path string) string {
	target, _ := os.Readlink(path)
	return target
}
