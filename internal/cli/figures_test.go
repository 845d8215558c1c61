// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// figure logs what a test has tried and, since "go test" shows no log of a test that passes, leaves it in the folder that
// SIGNET_FIGURES names, for "make test" to print.
func figure(t *testing.T, name, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	t.Log(text)
	if dir := os.Getenv("SIGNET_FIGURES"); dir != "" && !t.Failed() {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600))
	}
}
