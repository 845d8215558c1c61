// SPDX-License-Identifier: AGPL-3.0-only

package wire_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/wire"
)

func TestLoadOwnRecordings(t *testing.T) {
	t.Parallel()
	folders, err := wire.Folders()
	require.NoError(t, err)
	recordings, err := wire.Load(folders[0])
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(recordings), 36)
	for _, recording := range recordings {
		require.NotEmpty(t, recording.States, recording.Name)
		for _, state := range recording.States {
			for _, relation := range state.Relations {
				require.NotEmpty(t, relation.Provider.Units, recording.Name)
				require.NotEmpty(t, relation.Requirer.Units, recording.Name)
			}
		}
	}
}

func TestEmptyFolderIsAnError(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	_, err := wire.Load(empty)
	require.ErrorContains(t, err, "holds no recordings")

	require.NoError(t, os.WriteFile(filepath.Join(empty, "settings.json"), []byte(`{"ca": "x"}`), 0o600))
	_, err = wire.Load(empty)
	require.ErrorContains(t, err, "holds no recordings", "a file that is no recording does not count")

	require.NoError(t, os.WriteFile(filepath.Join(empty, "broken.json"), []byte(`{"states": [`), 0o600))
	_, err = wire.Load(empty)
	require.ErrorContains(t, err, "broken.json")
}
