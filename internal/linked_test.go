// SPDX-License-Identifier: AGPL-3.0-only

package internal_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unlinked are packages that the program was rid of, each with all below it, and what they cost at each start, hooks
// included: Go initialises whatever is linked.
func unlinked() map[string]string {
	const lints = "github.com/zmap/zlint/v3/lints/"
	return map[string]string{
		"github.com/zmap/zlint/v3$":                  "it imports all lints: see internal/ca/lint.go",
		lints + "apple":                              "signet runs no lints of it",
		lints + "cabf_br":                            "signet runs no lints of it, whose tables take 0.4 ms",
		lints + "cabf_cs_br":                         "signet runs no lints of it",
		lints + "cabf_ev":                            "signet runs no lints of it",
		lints + "cabf_smime_br":                      "signet runs no lints of it",
		lints + "chrome":                             "signet runs no lints of it",
		lints + "etsi":                               "signet runs no lints of it",
		lints + "mozilla":                            "signet runs no lints of it",
		"github.com/juju/juju/agent$":                "it brings the database's client along: see internal/controller/agentconf.go",
		"github.com/juju/juju/mongo":                 "only Juju's controllers have the database",
		"github.com/juju/juju/service":               "only Juju's own agents are installed by it",
		"github.com/juju/packaging":                  "only Juju's own agents install packages",
		"github.com/prometheus/client_golang":        "its registry looks at the process at each start, for 1.2 ms: see internal/metrics",
		"github.com/stretchr/testify":                "it is for tests",
		"pgregory.net/rapid":                         "it is for tests",
		"github.com/rogpeppe/go-internal$":           "it is for tests",
		"github.com/rogpeppe/go-internal/testscript": "it is for tests",
	}
}

// forbidden gives the packages of a list that are not to be linked, with the reason.
func forbidden(list []string) []string {
	var found []string
	for _, name := range list {
		for path, why := range unlinked() {
			exact := strings.HasSuffix(path, "$")
			path = strings.TrimSuffix(path, "$")
			if name == path || !exact && strings.HasPrefix(name, path+"/") {
				found = append(found, name+": "+why)
			}
		}
	}
	return found
}

func TestTheProgramStaysWithoutWhatItWasRidOf(t *testing.T) {
	t.Parallel()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../cmd/signet").Output()
	require.NoError(t, err)
	linked := strings.Fields(string(output))
	require.Contains(t, linked, module+"/internal/cli", "the list is of something else")
	require.Contains(t, linked, "github.com/zmap/zlint/v3/lints/rfc")
	require.Empty(t, forbidden(linked))
}

func TestWhatIsLinkedAgainIsSeen(t *testing.T) {
	t.Parallel()
	for name, seen := range map[string]bool{
		"github.com/zmap/zlint/v3":               true,
		"github.com/zmap/zlint/v3/lint":          false,
		"github.com/zmap/zlint/v3/lints/cabf_br": true,
		"github.com/zmap/zlint/v3/lints/rfc":     false,
		"github.com/juju/juju/agent":             true,
		"github.com/juju/juju/agent/constants":   false,
		"github.com/juju/juju/service/snap":      true,
		"github.com/juju/juju/serviceless":       false,
	} {
		require.Equal(t, seen, len(forbidden([]string{name})) == 1, name)
	}
}
