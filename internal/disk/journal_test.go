// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// recorded makes a folder whose journal has three lines, and gives the journal's path.
func recorded(t *testing.T) (root, path string) {
	t.Helper()
	root = t.TempDir()
	folder := open(t, root)
	for n := range 3 {
		require.NoError(t, folder.Append(ledger.Entry{
			Time: time.Now(), Event: ledger.Issued, Order: fmt.Sprintf("o%d", n), Serial: fmt.Sprintf("41a%d", n),
			NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		}))
	}
	return root, filepath.Join(root, "journal")
}

func entriesOf(t *testing.T, journal *disk.Journal) (found []ledger.Entry) {
	t.Helper()
	require.NoError(t, journal.View(func(l *ledger.Ledger) { found = l.Entries() }))
	return found
}

func TestTheJournalIsReadBack(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder := open(t, root)
	batch := []ledger.Entry{
		{Time: time.Now(), Event: ledger.Reserved, Order: "o1", Serial: "41aa", For: "say \"hi\"\n\u2028"},
		{Time: time.Now().In(time.FixedZone("", 3600)), Event: ledger.Ordered, Order: "o2", Names: []string{"a", "b"}},
	}
	require.NoError(t, folder.Append())
	require.NoError(t, folder.Append(batch...))
	require.NoError(t, folder.Append(ledger.Entry{Event: ledger.Issued, Order: "o1", Serial: "41aa"}))
	require.Equal(t, entriesOf(t, folder.Journal()), entriesOf(t, open(t, root).Journal()))
	require.Len(t, entriesOf(t, folder.Journal()), 3)
	require.Empty(t, folder.Journal().Notes())
}

func TestTheJournalRefusesToUseASerialTwice(t *testing.T) {
	t.Parallel()
	root, path := recorded(t)
	folder := open(t, root)
	before := read(t, path)
	for sentence, batch := range map[string][]ledger.Entry{
		"known before":     {{Event: ledger.Ordered}, {Event: ledger.Reserved, Order: "o9", Serial: "41a1"}},
		"twice in a batch": {{Event: ledger.Reserved, Order: "o8", Serial: "1"}, {Event: ledger.Reserved, Order: "o9", Serial: "1"}},
	} {
		require.ErrorContains(t, folder.Append(batch...), "serial", sentence)
		require.Equal(t, before, read(t, path), sentence)
	}
}

func TestATornLastLineIsLeftOut(t *testing.T) {
	t.Parallel()
	for sentence, tear := range map[string]func(text []byte) []byte{
		"the newline is missing":      func(text []byte) []byte { return text[:len(text)-1] },
		"half of it is missing":       func(text []byte) []byte { return text[:len(text)-120] },
		"all but a byte is missing":   func(text []byte) []byte { return text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+2] },
		"its blocks were not written": func(text []byte) []byte { return append(text[:len(text)-100], make([]byte, 100)...) },
		"its middle was not written":  func(text []byte) []byte { copy(text[len(text)-100:], make([]byte, 50)); return text },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			root, path := recorded(t)
			require.NoError(t, os.WriteFile(path, tear([]byte(read(t, path))), 0o600))
			folder := open(t, root)
			require.Len(t, entriesOf(t, folder.Journal()), 2)
			require.Len(t, folder.Journal().Notes(), 1)
			require.Contains(t, folder.Journal().Notes()[0], "line 3 was torn")
			require.NoError(t, folder.Append(ledger.Entry{Event: ledger.Ordered, Order: "o9"}))
			again := open(t, root).Journal()
			require.Len(t, entriesOf(t, again), 3)
			require.Empty(t, again.Notes())
		})
	}
}

func TestADamagedJournalIsAnError(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		damage  func(text []byte) []byte
		problem string
	}{
		"a byte changed": {func(text []byte) []byte { return bytes.Replace(text, []byte("41a1"), []byte("41b1"), 1) }, "line 2 is damaged: its checksum is wrong"},
		"a line removed": {func(text []byte) []byte { _, rest, _ := bytes.Cut(text, []byte("\n")); return rest }, "line 1 is damaged"},
		"a line doubled": {func(text []byte) []byte {
			first, _, _ := bytes.Cut(text, []byte("\n"))
			return append(append(bytes.Clone(first), '\n'), text...)
		}, "line 2 is damaged"},
		"no checksum":           {func(text []byte) []byte { return append([]byte("{}\n"), text...) }, "line 1 is damaged: it has no checksum"},
		"a line without record": {func(text []byte) []byte { return append([]byte("\n"), text...) }, "line 1 is damaged"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			root, path := recorded(t)
			require.NoError(t, os.WriteFile(path, c.damage([]byte(read(t, path))), 0o600))
			_, err := disk.Open(root)
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, c.problem)
			require.ErrorContains(t, err, "restore the file from a backup")
		})
	}
}

func TestTheJournalNoticesAnotherProcess(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	agent, hook := open(t, root), open(t, root)
	require.NoError(t, agent.Append(ledger.Entry{Event: ledger.Reserved, Order: "o1", Serial: "1"}))
	require.NoError(t, hook.Append(ledger.Entry{Event: ledger.Issued, Order: "o1", Serial: "1"}))
	require.NoError(t, agent.Append(ledger.Entry{Event: ledger.Revoked, Order: "o1", Serial: "1"}))
	certificate, known, err := hook.Journal().Serial("1")
	require.NoError(t, err)
	require.True(t, known)
	require.Equal(t, ledger.Revoked, certificate.State)
	require.Error(t, hook.Append(ledger.Entry{Event: ledger.Reserved, Order: "o2", Serial: "1"}))
	require.Len(t, entriesOf(t, open(t, root).Journal()), 3)
}

func TestTheJournalIsWrittenByMany(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder := open(t, root)
	const writers, each = 8, 10
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for n := range each {
				_ = folder.Append(ledger.Entry{Event: ledger.Reserved, Serial: fmt.Sprintf("%x%02x", writer+1, n)})
			}
		})
	}
	group.Wait()
	require.Len(t, entriesOf(t, open(t, root).Journal()), writers*each)
}

func FuzzJournal(f *testing.F) {
	root := f.TempDir()
	folder, err := disk.Open(root)
	require.NoError(f, err)
	for _, serial := range []string{"1", "2"} {
		require.NoError(f, folder.Append(ledger.Entry{Event: ledger.Reserved, Order: "o1", Serial: serial}))
	}
	text, err := os.ReadFile(filepath.Join(root, "journal"))
	require.NoError(f, err)
	f.Add(text)
	f.Add(text[:len(text)-7])
	f.Add([]byte("\n\n"))
	unsynced := func(op disk.Op) error {
		if op.Kind == disk.Sync {
			return nil
		}
		return disk.Perform(op)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		root := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(root, "journal"), text, 0o600))
		folder, err := disk.OpenOn(root, unsynced)
		if err != nil {
			return
		}
		before := len(entriesOf(t, folder.Journal()))
		require.NoError(t, folder.Append(ledger.Entry{Event: ledger.Ordered, Order: "o9"}))
		again, err := disk.OpenOn(root, unsynced)
		require.NoError(t, err)
		require.Len(t, entriesOf(t, again.Journal()), before+1, "what was read can be written on")
	})
}

// What another program issued, or a backup knows, is remembered once; what the record knows already stays as it is.
func TestTheJournalRemembersWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	folder, err := disk.Open(t.TempDir())
	require.NoError(t, err)
	known := ledger.Entry{Event: ledger.Issued, Serial: "a1", For: "etcd/0", Certificate: "PEM"}
	require.NoError(t, folder.Append(known))
	foreign := []ledger.Entry{
		{Event: ledger.Issued, Serial: "a1", For: "somebody else"}, {Event: ledger.Reserved, Serial: "a2"},
		{Event: ledger.Issued, Serial: "a3"}, {Event: ledger.Ordered, Order: "x"},
	}
	for range 2 {
		answer := folder.Carry(t.Context(), order.Remember{Entries: foreign})
		require.Equal(t, order.Done, answer.State)
	}
	certificate, found, err := folder.Journal().Serial("a1")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "etcd/0", certificate.For)
	certificate, found, err = folder.Journal().Serial("a3")
	require.NoError(t, err)
	require.True(t, found)
	require.True(t, certificate.Remembered, "which tells it from what this unit did")
	require.NoError(t, folder.Journal().View(func(l *ledger.Ledger) { require.Equal(t, 2, l.Len()) }))

	// A revocation told twice is recorded once.
	revoked := ledger.Entry{Event: ledger.Revoked, Serial: "a1", Reason: "superseded"}
	require.NoError(t, folder.Append(revoked))
	require.NoError(t, folder.Append(revoked))
	require.NoError(t, folder.Journal().View(func(l *ledger.Ledger) { require.Equal(t, 3, l.Len()) }))
}
