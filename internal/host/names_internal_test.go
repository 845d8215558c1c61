// SPDX-License-Identifier: AGPL-3.0-only

package host

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAHostsFullNameIsWhatItsHostsFileSays(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ hostname, hosts, want string }{
		"a domain in the name itself": {"Node1.example.com", "", "node1.example.com"},
		"the canonical name":          {"node1", "127.0.0.1 localhost\n127.0.1.1\tNode1.example.com node1\n", "node1.example.com"},
		"no domain anywhere":          {"node1", "127.0.1.1 node1\n", ""},
		"in a comment":                {"node1", "# 127.0.1.1 node1.example.com node1\n127.0.1.1 node1 # node1.example.com\n", ""},
		"another host's":              {"node1", "10.0.0.1 node10.example.com node10\n10.0.0.2 gate.example.com node1\n", ""},
		"no hosts file":               {"node1", "", ""},
	} {
		require.Equal(t, c.want, qualified(c.hostname, c.hosts), sentence)
	}
}
