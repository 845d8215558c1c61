// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzAgentConf damages the file that a unit agent wrote: a piece of it is cut out and another put there. Whatever it
// then says, it gives a unit with a password and a controller that can be verified, or an error without a secret.
func FuzzAgentConf(f *testing.F) {
	whole, err := os.ReadFile(writeConf(f, nil, nil))
	require.NoError(f, err)
	folder := f.TempDir()
	f.Add(uint16(0), uint16(0), "")
	f.Add(uint16(0), uint16(len(whole)), "apipassword: "+testPassword)
	f.Add(uint16(0), uint16(0), "# format 2.0\ntag: machine-0\n")
	for at := 0; at < len(whole); at += 97 {
		f.Add(uint16(at), uint16(40), "")
		f.Add(uint16(at), uint16(0), "\x00: [&a *a]\n\t")
	}
	f.Fuzz(func(t *testing.T, at, cut uint16, with string) {
		from := min(int(at), len(whole))
		to := min(from+int(cut), len(whole))
		path := filepath.Join(folder, "agent.conf")
		require.NoError(t, os.WriteFile(path, append(append(append([]byte{}, whole[:from]...), with...), whole[to:]...), 0o600))
		who, err := readAgentConf(path, "signet/0")
		if err != nil {
			require.Zero(t, who)
			require.ErrorContains(t, err, path)
			require.NotContains(t, err.Error(), testPassword)
			return
		}
		require.Equal(t, "signet/0", who.unit.Id())
		require.NotEmpty(t, who.info.Password)
		require.NotEmpty(t, who.info.Addrs)
		require.NotEmpty(t, who.info.CACert)
	})
}
