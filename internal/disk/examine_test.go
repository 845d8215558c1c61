// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// laidOut is a state folder with a certificate, a link to it, and a CA in the trust store of a machine.
func laidOut(t *testing.T) (root, machine string) {
	t.Helper()
	root, machine = filepath.Join(t.TempDir(), "state"), t.TempDir()
	folder, err := disk.Open(root, disk.OnMachine(machine))
	require.NoError(t, err)
	text := newKey(t)
	leaf := selfSigned(t, text)
	require.NoError(t, folder.Append(ledger.Entry{Time: time.Now(), Event: ledger.Ordered, Order: "a"}))
	for _, wanted := range []order.Order{
		order.Install{Name: "certificates", Files: []order.File{{Name: "server.crt", Text: leaf}, {Name: "server.key", Key: text}, {Name: "ca.crt", Text: leaf}}},
		order.Link{Bundle: "certificates", Links: []order.LinkAt{{Path: "/etc/app.crt", File: "server.crt"}}},
		order.Trust{Unit: "app/0", Certificates: []string{leaf}},
	} {
		answer := folder.Carry(t.Context(), wanted)
		require.Equal(t, order.Done, answer.State, answer.Failure)
	}
	return root, machine
}

func TestWhatIsAsItWasLaidIsFound(t *testing.T) {
	t.Parallel()
	root, machine := laidOut(t)
	found, err := disk.Examine(root, disk.OnMachine(machine))
	require.NoError(t, err)
	require.Empty(t, found.Loose)
	require.Empty(t, found.Foreign)
	require.Empty(t, found.Left)
	require.Len(t, found.Laid, 1)
	require.Equal(t, disk.KeyFits, found.Laid[0].Key)
	require.Equal(t, os.FileMode(0o600), found.Laid[0].Mode)
	require.NotContains(t, found.Laid[0].PEM+found.Laid[0].CA, "PRIVATE")
	require.Equal(t, []string{""}, []string{found.Links[0].Trouble})
	require.Equal(t, []string{""}, []string{found.Trust[0].Trouble})
	require.Contains(t, found.Trust[0].Text, "BEGIN CERTIFICATE")
	space, err := disk.SpaceAt(root)
	require.NoError(t, err)
	require.Positive(t, space.Size)
	require.GreaterOrEqual(t, space.Size, space.Free)
}

func TestWhatIsOtherwiseIsFound(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		spoil func(t *testing.T, root, machine string)
		found func(disk.Standing) string
		text  string
	}{
		"a file is open": {func(t *testing.T, root, _ string) {
			require.NoError(t, os.Chmod(filepath.Join(root, "journal"), 0o644))
		},
			func(s disk.Standing) string { return strings.Join(s.Loose, " ") }, "/journal"},
		"something was half written": {func(t *testing.T, root, _ string) {
			require.NoError(t, os.WriteFile(filepath.Join(root, "secrets", ".x.new"), nil, 0o600))
		}, func(s disk.Standing) string { return s.Left[0].Path }, "/secrets/.x.new"},
		"the key is another": {func(t *testing.T, root, _ string) {
			require.NoError(t, os.WriteFile(filepath.Join(root, "files", "certificates", "server.key"), []byte(newKey(t).Reveal()), 0o600))
		}, func(s disk.Standing) string { return s.Laid[0].Key }, disk.KeyDiffers},
		"the key is damaged": {func(t *testing.T, root, _ string) {
			require.NoError(t, os.WriteFile(filepath.Join(root, "files", "certificates", "server.key"), nil, 0o600))
		}, func(s disk.Standing) string { return s.Laid[0].Key }, disk.KeyDiffers},
		"the link is gone": {func(t *testing.T, _, machine string) {
			require.NoError(t, os.Remove(filepath.Join(machine, "etc/app.crt")))
		},
			func(s disk.Standing) string { return s.Links[0].Trouble }, "it is gone"},
		"the link leads elsewhere": {func(t *testing.T, _, machine string) {
			require.NoError(t, os.Remove(filepath.Join(machine, "etc/app.crt")))
			require.NoError(t, os.Symlink("/nowhere", filepath.Join(machine, "etc/app.crt")))
		}, func(s disk.Standing) string { return s.Links[0].Trouble }, "it leads to /nowhere"},
		"a file is in the link's place": {func(t *testing.T, _, machine string) {
			require.NoError(t, os.Remove(filepath.Join(machine, "etc/app.crt")))
			require.NoError(t, os.WriteFile(filepath.Join(machine, "etc/app.crt"), nil, 0o600))
		}, func(s disk.Standing) string { return s.Links[0].Trouble }, "it is no link"},
		"a trusted CA was changed": {func(t *testing.T, root, machine string) {
			found, err := disk.Examine(root, disk.OnMachine(machine))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(found.Trust[0].Path, []byte("x"), 0o600))
		}, func(s disk.Standing) string { return s.Trust[0].Trouble + s.Trust[0].Text }, "it was changed"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			root, machine := laidOut(t)
			c.spoil(t, root, machine)
			found, err := disk.Examine(root, disk.OnMachine(machine))
			require.NoError(t, err)
			require.Contains(t, c.found(found), c.text)
		})
	}
}

// What an operator has the machine trust lies beside what units lay, and neither takes the other's away.
func TestAnOperatorTrustsBesideUnits(t *testing.T) {
	t.Parallel()
	root, machine := laidOut(t)
	text := selfSigned(t, newKey(t))
	fresh, err := disk.LayTrusted(machine, text)
	require.NoError(t, err)
	require.True(t, fresh)
	fresh, err = disk.LayTrusted(machine, text)
	require.NoError(t, err)
	require.False(t, fresh)
	require.NoError(t, os.WriteFile(filepath.Join(machine, "usr/local/share/ca-certificates/other.crt"), []byte(text), 0o600))

	folder, err := disk.Open(root, disk.OnMachine(machine))
	require.NoError(t, err)
	require.Equal(t, order.Done, folder.Carry(t.Context(), order.Trust{Unit: "app/0"}).State)
	found, err := disk.TrustedFiles(machine)
	require.NoError(t, err)
	require.Len(t, found, 1, "the unit's is gone, a stranger's is not shown")
	require.True(t, found[0].Operator)
	require.Equal(t, "operator", found[0].Owner)
	require.Equal(t, disk.OperatorTrustPath(machine, text), found[0].Path)
	require.Equal(t, text, found[0].PEM)

	require.Error(t, disk.RemoveTrusted(filepath.Join(machine, "usr/local/share/ca-certificates/other.crt")))
	require.NoError(t, disk.RemoveTrusted(found[0].Path))
	found, err = disk.TrustedFiles(machine)
	require.NoError(t, err)
	require.Empty(t, found)
}

func TestBlobsAreNamedTheOldestFirst(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "state")
	folder, err := disk.Open(root)
	require.NoError(t, err)
	for _, name := range []string{"outbox.a", "outbox.b", "stock.c"} {
		require.NoError(t, folder.Secrets().Write(name, []byte("x")))
	}
	require.NoError(t, os.Chtimes(filepath.Join(root, "secrets", "outbox.b"), time.Time{}, time.Now().Add(-time.Hour)))
	found, err := disk.Blobs(root, func(name string) bool { return strings.HasPrefix(name, "outbox.") })
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, "outbox.b", filepath.Base(found[0].Path))
}
