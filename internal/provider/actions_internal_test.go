// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

type declared struct {
	Description string
	Closed      *bool `yaml:"additionalProperties"`
	Params      map[string]struct {
		Type, Description string
		Default           any
		Enum              []string
	}
	Required []string
}

// Juju offers what actions.yaml says, and nothing else is done.
func TestActionsAreDeclared(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../actions.yaml")
	require.NoError(t, err)
	var file map[string]declared
	require.NoError(t, yaml.Unmarshal(text, &file))
	require.Equal(t, slices.Sorted(maps.Keys((&step{}).actions())), slices.Sorted(maps.Keys(file)))
	for _, name := range anywhere() {
		require.Contains(t, file[name].Description, "ny unit does", "%s", name)
	}
	writes := []string{
		"get-csr", "upload-signed-csr", "rotate-ca", "rotate-private-key", "generate-root-ca", "revoke", "renew", "reissue-certificates",
		"import-ca", "checkpoint", "backup", "restore", "delete-backup", "provide-certificate",
	}
	plain := regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	for name, action := range file {
		require.NotNil(t, action.Closed, "%s", name)
		require.False(t, *action.Closed, "%s", name)
		require.NotEmpty(t, action.Description, "%s", name)
		require.Equal(t, slices.Contains(writes, name), action.Params["dry-run"].Type == "boolean", "%s: what writes can be tried", name)
		for param, about := range action.Params {
			require.Regexp(t, plain, param)
			require.NotEmpty(t, about.Description, "%s %s", name, param)
			require.Contains(t, []string{"string", "boolean", "integer"}, about.Type, "%s %s", name, param)
		}
	}
}
