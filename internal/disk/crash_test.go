// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// carry gives an answer's failure as an error.
func carry(t *testing.T, folder *disk.Folder, o order.Order) error {
	answer := folder.Carry(t.Context(), o)
	if answer.Failure != nil {
		return errors.New(answer.Failure.Message)
	}
	return nil
}

func TestACrashLeavesTheOldBundleOrTheNew(t *testing.T) {
	t.Parallel()
	one, two := newKey(t), newKey(t)
	crtOne, crtTwo := selfSigned(t, one), selfSigned(t, two)
	first := bundle("", order.File{Name: "server.crt", Text: crtOne}, order.File{Name: "server.key", Key: one},
		order.File{Name: "ca.crt", Text: "old"})
	second := bundle("", order.File{Name: "server.crt", Text: crtTwo}, order.File{Name: "server.key", Key: two})
	sweep(t, scenario{
		before: func(t *testing.T, folder *disk.Folder) { carried(t, folder, first) },
		act:    func(folder *disk.Folder) error { return carry(t, folder, second) },
		whole: func(t *testing.T, folder *disk.Folder, acknowledged bool) {
			dir := filepath.Join(folder.Root(), "files", "certificates")
			key, certificate := cert.NewKey(read(t, dir, "server.key")), read(t, dir, "server.crt")
			installed := survey(t, folder)["bundle.certificates"]
			if key.Equal(one) {
				require.False(t, acknowledged)
				require.Equal(t, crtOne, certificate)
				require.Equal(t, "old", read(t, dir, "ca.crt"))
				require.Contains(t, []string{string(first.ID()), ""}, installed)
				return
			}
			require.Equal(t, two, key)
			require.Equal(t, crtTwo, certificate)
			require.NoFileExists(t, filepath.Join(dir, "ca.crt"))
			if left := entries(t, filepath.Join(folder.Root(), "files")); len(left) > 2 {
				require.False(t, acknowledged)
				require.Empty(t, installed, "what is left beside it has the order given again")
				return
			}
			require.Equal(t, string(second.ID()), installed)
		},
		after: func(t *testing.T, folder *disk.Folder, _ *machine) {
			require.Len(t, entries(t, filepath.Join(folder.Root(), "files")), 2, "the link and one folder")
		},
	})
}

func TestACrashLeavesABundleOrNone(t *testing.T) {
	t.Parallel()
	first := bundle("", order.File{Name: "ca.crt", Text: "ca"})
	sweep(t, scenario{
		before: func(t *testing.T, folder *disk.Folder) { carried(t, folder, first) },
		act:    func(folder *disk.Folder) error { return carry(t, folder, bundle("")) },
		whole: func(t *testing.T, folder *disk.Folder, acknowledged bool) {
			text, err := os.ReadFile(filepath.Join(folder.Root(), "files", "certificates", "ca.crt"))
			require.True(t, err != nil || string(text) == "ca")
			require.False(t, acknowledged && err == nil)
		},
		after: func(t *testing.T, folder *disk.Folder, _ *machine) {
			require.Empty(t, entries(t, filepath.Join(folder.Root(), "files")))
			require.Empty(t, entries(t, filepath.Join(folder.Root(), "bundles")))
		},
	})
}

func TestACrashMovesABundleAsAWhole(t *testing.T) {
	t.Parallel()
	sweep(t, scenario{
		before: func(t *testing.T, folder *disk.Folder) {
			carried(t, folder, bundle("", order.File{Name: "ca.crt", Text: "ca"}))
		},
		act: func(folder *disk.Folder) error {
			return carry(t, folder, bundle(filepath.Join(folder.Root(), "..", "pki"), order.File{Name: "ca.crt", Text: "ca"}))
		},
		whole: func(t *testing.T, folder *disk.Folder, acknowledged bool) {
			old, oldErr := os.ReadFile(filepath.Join(folder.Root(), "files", "certificates", "ca.crt"))
			moved, newErr := os.ReadFile(filepath.Join(folder.Root(), "..", "pki", "certificates", "ca.crt"))
			require.True(t, oldErr == nil && string(old) == "ca" || newErr == nil && string(moved) == "ca", "one is there always")
			require.False(t, acknowledged && newErr != nil)
		},
		after: func(t *testing.T, folder *disk.Folder, _ *machine) {
			require.Empty(t, entries(t, filepath.Join(folder.Root(), "files")))
			require.NotEmpty(t, survey(t, folder)["bundle.certificates"])
		},
	})
}

func TestACrashLeavesABatchInTheJournalOrNot(t *testing.T) {
	t.Parallel()
	earlier := ledger.Entry{Event: ledger.Ordered, Order: "o1"}
	batch := []ledger.Entry{
		{Event: ledger.Reserved, Order: "o2", Serial: "41aa"},
		{Event: ledger.Ordered, Order: "o2", For: "certificates:3 etcd/0"},
	}
	for sentence, before := range map[string]func(t *testing.T, folder *disk.Folder){
		"the first line":  func(*testing.T, *disk.Folder) {},
		"the second line": func(t *testing.T, folder *disk.Folder) { require.NoError(t, folder.Append(earlier)) },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			sweep(t, scenario{
				before: before,
				act: func(folder *disk.Folder) error {
					// As the authority does: what the journal has is not appended again.
					if _, known, err := folder.Journal().Serial("41aa"); known || err != nil {
						return err
					}
					return folder.Append(batch...)
				},
				whole: func(t *testing.T, folder *disk.Folder, acknowledged bool) {
					found, err := folder.Journal().Order("o2")
					require.NoError(t, err)
					require.Contains(t, []int{0, 2}, len(found))
					require.False(t, acknowledged && len(found) == 0)
				},
				after: func(t *testing.T, folder *disk.Folder, m *machine) {
					require.NoError(t, folder.Append(ledger.Entry{Event: ledger.Issued, Order: "o2", Serial: "41aa"}))
					again, err := disk.OpenOn(folder.Root(), m.Do)
					require.NoError(t, err)
					found, err := again.Journal().Order("o2")
					require.NoError(t, err)
					require.Len(t, found, 3)
				},
			})
		})
	}
}

func TestACrashLosesNoSecret(t *testing.T) {
	t.Parallel()
	sweep(t, scenario{
		before: func(t *testing.T, folder *disk.Folder) {
			require.NoError(t, folder.Secrets().Write("authority.1.ab", []byte("old")))
		},
		act: func(folder *disk.Folder) error { return folder.Secrets().Write("authority.1.ab", []byte("new")) },
		whole: func(t *testing.T, folder *disk.Folder, acknowledged bool) {
			blob, err := folder.Secrets().Read("authority.1.ab")
			require.NoError(t, err)
			require.Contains(t, []string{"old", "new"}, string(blob))
			require.False(t, acknowledged && string(blob) == "old")
		},
		after: func(t *testing.T, folder *disk.Folder, _ *machine) {
			unlock, err := folder.Lock(t.Context())
			require.NoError(t, err)
			require.NoError(t, unlock())
			require.Len(t, entries(t, filepath.Join(folder.Root(), "secrets")), 1, "nothing half written stays")
		},
	})
}

func TestACrashNeverPartsARequestFromItsKey(t *testing.T) {
	t.Parallel()
	sweep(t, scenario{
		before: func(*testing.T, *disk.Folder) {},
		act:    func(folder *disk.Folder) error { return carry(t, folder, serverRequest()) },
		whole: func(t *testing.T, folder *disk.Folder, acknowledged bool) {
			_, found := survey(t, folder)["request.server"]
			require.False(t, acknowledged && !found)
		},
		after: func(t *testing.T, folder *disk.Folder, _ *machine) {
			require.Equal(t, survey(t, folder)["request.server"], carried(t, folder, serverRequest()).Request)
		},
	})
}
