// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/audit"
	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// signedRecord is a unit's record with certificates and two checkpoints, and the CA that signed them.
type signedRecord struct {
	t       *testing.T
	folder  *disk.Folder
	carrier *ca.Embedded
	signer  order.Signer
	path    string
	model   string
	kept    []audit.Signed
}

func newSignedRecord(t *testing.T) *signedRecord {
	t.Helper()
	folder := open(t, t.TempDir())
	r := &signedRecord{t: t, folder: folder, carrier: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()}), path: disk.JournalPath(folder.Root()), model: "uuid"}
	made := r.carry(order.CreateAuthority{
		Generation: 1, CommonName: "signet CA G1", KeyType: cert.P256, NotBefore: time.Now().Add(-time.Hour), Life: 10 * 365 * 24 * time.Hour,
	})
	r.signer = order.Signer{Authority: made.Authority, Key: made.Key}
	for _, name := range []string{"a", "b"} {
		wanted := catest.ServerOrder(r.signer)
		wanted.Ask = name
		r.carry(wanted)
		require.NoError(t, folder.Append(ledger.Entry{Time: time.Now(), Event: ledger.Denied, Relation: 3, Unit: "etcd/" + name, Item: name, Code: "malformed"}))
		r.checkpoint()
	}
	require.NoError(t, folder.Append(ledger.Entry{Time: time.Now(), Event: ledger.Action, Item: "revoke", After: "done"}))
	return r
}

func (r *signedRecord) carry(o order.Order) order.Answer {
	r.t.Helper()
	answer := r.carrier.Carry(r.t.Context(), o)
	require.Nil(r.t, answer.Failure)
	return answer
}

func (r *signedRecord) checkpoint() {
	r.t.Helper()
	var since time.Time
	require.NoError(r.t, r.folder.View(func(l *ledger.Ledger) { since = l.Uncovered() }))
	text := r.carry(order.SignRecord{Signer: r.signer, Unit: "signet/0", Model: r.model, Since: since, Time: time.Now()}).Checkpoint
	signed, err := audit.Parse(text)
	require.NoError(r.t, err)
	r.kept = append(r.kept, signed)
}

func (r *signedRecord) authority() []*x509.Certificate {
	certificate, err := cert.Parse(r.signer.Certificate)
	require.NoError(r.t, err)
	return []*x509.Certificate{certificate}
}

func (r *signedRecord) verify(evidence disk.Evidence) disk.Findings {
	r.t.Helper()
	found, err := disk.VerifyJournal(r.path, evidence)
	require.NoError(r.t, err)
	return found
}

// lines are the journal's; write makes them the journal.
func (r *signedRecord) lines() []string { return strings.SplitAfter(read(r.t, r.path), "\n") }

func (r *signedRecord) write(lines ...string) {
	require.NoError(r.t, os.WriteFile(r.path, []byte(strings.Join(lines, "")), 0o600))
}

// chained gives lines the checksums that they would have if they had been written like this.
func chained(t *testing.T, lines []string) []string {
	t.Helper()
	var all []string
	before := ""
	for _, line := range lines {
		if line == "" {
			continue
		}
		var parts struct{ Entries json.RawMessage }
		require.NoError(t, json.Unmarshal([]byte(line), &parts))
		sum := sha256.Sum256([]byte(before + "\n" + string(parts.Entries)))
		before = hex.EncodeToString(sum[:])[:32]
		all = append(all, `{"sum":"`+before+`","entries":`+string(parts.Entries)+"}\n")
	}
	return all
}

func TestASoundRecordIsSound(t *testing.T) {
	t.Parallel()
	r := newSignedRecord(t)
	found := r.verify(disk.Evidence{Checkpoints: r.kept, Authorities: r.authority()})
	require.Empty(t, found.Problems)
	require.Empty(t, found.Notes)
	require.Equal(t, 2, found.Checkpoints)
	require.Equal(t, 2, found.External)
	require.Equal(t, "signet/0", found.Unit)
	require.Equal(t, 3, found.Events["issued"])
	require.Equal(t, len(r.lines())-1, found.Lines)
	require.Equal(t, found.Lines-2, found.Covered)
	require.False(t, found.Last.Before(found.First))
	require.Equal(t, r.lines()[:found.Lines], chained(t, r.lines()), "the attacks of these tests write as the journal does")
	require.True(t, r.verify(disk.Evidence{}).Sound())
}

// Whoever changes the record without the CA's key is found out by a look at it, but for its end.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		tamper  func(t *testing.T, lines []string) []string
		problem string
	}{
		"a line changed":  {func(_ *testing.T, l []string) []string { l[2] = strings.Replace(l[2], "etcd", "evil", 1); return l }, "line 3 was changed"},
		"a line removed":  {func(_ *testing.T, l []string) []string { return append(l[:3:3], l[4:]...) }, "line 4 was changed"},
		"a line put in":   {func(_ *testing.T, l []string) []string { return append(l[:3:3], append([]string{l[2]}, l[3:]...)...) }, "line 4 was changed"},
		"two lines moved": {func(_ *testing.T, l []string) []string { l[2], l[3] = l[3], l[2]; return l }, "line 3 was changed"},
		"the last line changed": {func(_ *testing.T, l []string) []string {
			n := len(l) - 2
			l[n] = strings.Replace(l[n], "done", "gone", 1)
			return l
		}, "was changed"},
		"all chained anew": {func(t *testing.T, l []string) []string {
			l[2] = strings.Replace(l[2], "etcd", "evil", 1)
			return chained(t, l)
		}, "were written anew"},
		"a line less, chained anew": {func(t *testing.T, l []string) []string { return chained(t, append(l[:4:4], l[5:]...)) }, "counts lines that come after it"},
		"a certificate that nobody reserved": {func(t *testing.T, l []string) []string {
			n := len(l) - 2
			l[n] = strings.Replace(l[n], `"event":"action"`, `"event":"issued","order":"00","serial":"41ff"`, 1)
			return chained(t, l)
		}, "serial 41ff was issued without having been reserved"},
		"a checkpoint that counts what comes after it": {func(t *testing.T, l []string) []string {
			n := len(l) - 3 // the last checkpoint
			return chained(t, append(append(l[:2:2], l[n]), l[2:]...))
		}, "counts lines that come after it"},
		"a checkpoint that cannot be read": {func(t *testing.T, l []string) []string {
			n := len(l) - 3
			l[n] = strings.Replace(l[n], "signet-checkpoint-v1", "signet-checkpoint-v0", 1)
			return chained(t, l)
		}, "the checkpoint cannot be read"},
		"a serial number used twice": {func(t *testing.T, l []string) []string { return chained(t, append(l, l[0])) }, "contradicts those before it"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			r := newSignedRecord(t)
			r.write(c.tamper(t, r.lines())...)
			found := r.verify(disk.Evidence{})
			require.False(t, found.Sound())
			require.Contains(t, strings.Join(found.Problems, "\n"), c.problem)
		})
	}
}

// What is cut off at the end is missed by who has kept a checkpoint.
func TestAnEndThatIsCutOffIsFoundByACheckpoint(t *testing.T) {
	t.Parallel()
	r := newSignedRecord(t)
	r.write(r.lines()[:5]...)
	require.True(t, r.verify(disk.Evidence{}).Sound(), "by itself a beginning is a record")
	found := r.verify(disk.Evidence{Checkpoints: r.kept[1:], Authorities: r.authority()})
	require.Len(t, found.Problems, 1)
	require.Contains(t, found.Problems[0], "its end was cut off")
}

// Who has the CA's key can write and sign a record of their own; what was kept elsewhere tells.
func TestTheKeyDoesNotReachWhatIsElsewhere(t *testing.T) {
	t.Parallel()
	r, forged := newSignedRecord(t), newSignedRecord(t)
	r.path = forged.path // of another CA, wholly in order
	require.True(t, r.verify(disk.Evidence{}).Sound())
	found := r.verify(disk.Evidence{Authorities: r.authority()})
	require.Contains(t, strings.Join(found.Problems, "\n"), "is not signed by a CA that is known")

	same := newSignedRecord(t) // the same CA's key, another past
	var lines []string
	for i, line := range same.lines() {
		if i != 3 { // a refusal less
			lines = append(lines, line)
		}
	}
	lines = chained(t, lines[:3])
	same.write(lines...)
	again := open(t, filepath.Dir(same.path))
	same.folder, same.carrier = again, ca.New(ca.Config{Store: again.Secrets(), Journal: again.Journal()})
	outside := same.kept
	for _, name := range []string{"c", "d", "e"} {
		wanted := catest.ServerOrder(same.signer)
		wanted.Ask = name
		same.carry(wanted)
	}
	same.checkpoint()
	require.True(t, same.verify(disk.Evidence{Authorities: same.authority()}).Sound())
	found = same.verify(disk.Evidence{Authorities: same.authority(), Checkpoints: outside})
	require.Contains(t, strings.Join(found.Problems, "\n"), "were written anew")
}

func TestCheckpointsOfOthersAreNoEvidence(t *testing.T) {
	t.Parallel()
	r := newSignedRecord(t)
	other := r.kept[0]
	other.Unit = "signet/1"
	found := r.verify(disk.Evidence{Checkpoints: []audit.Signed{other, r.kept[1]}})
	require.True(t, found.Sound())
	require.Equal(t, 1, found.PassedOver)
	require.False(t, r.verify(disk.Evidence{Checkpoints: []audit.Signed{other}}).Sound(), "which must not look like evidence")
	require.False(t, r.verify(disk.Evidence{Unit: "signet/1"}).Sound())

	namesake := r.kept[0] // a unit of the same name
	namesake.Model = "another"
	found = r.verify(disk.Evidence{Checkpoints: []audit.Signed{namesake, r.kept[1]}})
	require.True(t, found.Sound())
	require.Equal(t, 1, found.PassedOver)
	require.Equal(t, "uuid", found.Model)
	require.False(t, r.verify(disk.Evidence{Checkpoints: []audit.Signed{namesake}}).Sound())
}

// A record has one model's checkpoints only.
func TestARecordIsOfOneModel(t *testing.T) {
	t.Parallel()
	r := newSignedRecord(t)
	r.model = "another"
	r.checkpoint()
	require.Contains(t, strings.Join(r.verify(disk.Evidence{}).Problems, "\n"), "is of another model's record, another")
}

// A crash while a line is written is no tampering.
func TestATornLineIsNoTampering(t *testing.T) {
	t.Parallel()
	for sentence, tear := range map[string]func([]byte) []byte{
		"its end is missing":          func(text []byte) []byte { return text[:len(text)-20] },
		"its newline is missing":      func(text []byte) []byte { return text[:len(text)-1] },
		"its blocks were not written": func(text []byte) []byte { return append(text[:len(text)-30], append(make([]byte, 29), '\n')...) },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			r := newSignedRecord(t)
			whole := r.verify(disk.Evidence{}).Lines
			require.NoError(t, os.WriteFile(r.path, tear([]byte(read(t, r.path))), 0o600))
			found := r.verify(disk.Evidence{Checkpoints: r.kept})
			require.Empty(t, found.Problems)
			require.Contains(t, strings.Join(found.Notes, "\n"), "is torn: a crash cut it off")
			require.Equal(t, whole-1, found.Lines)
		})
	}
}

// A record that an earlier version wrote is read, is sound, and can be written on.
func TestARecordOfTheFormatBeforeIsSound(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/journal-before-decisions")
	require.NoError(t, err)
	root := t.TempDir()
	path := disk.JournalPath(root)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	found, err := disk.VerifyJournal(path, disk.Evidence{})
	require.NoError(t, err)
	require.Empty(t, found.Problems)
	require.Equal(t, 8, found.Lines)
	require.Equal(t, 4, found.Events["issued"])
	require.Equal(t, 2, found.Elsewhere)
	require.Contains(t, strings.Join(found.Notes, "\n"), "no checkpoint vouches for it")
	folder := open(t, root)
	require.NoError(t, folder.Append(ledger.Entry{Event: ledger.Denied, Unit: "etcd/0", Item: "x", Code: "malformed"}))
	require.True(t, bytes.HasPrefix([]byte(read(t, path)), text), "what was written stays as it is")
	found, err = disk.VerifyJournal(path, disk.Evidence{})
	require.NoError(t, err)
	require.Empty(t, found.Problems)
}

func TestASerialCanBeRevokedForTwoCAsAtOnce(t *testing.T) {
	t.Parallel()
	folder := open(t, t.TempDir())
	require.NoError(t, folder.Append(
		ledger.Entry{Event: ledger.Revoked, Serial: "41aa", Generation: 1}, ledger.Entry{Event: ledger.Revoked, Serial: "41aa", Generation: 2},
	))
}

func TestDecisionsThatStandAreNotWrittenAgain(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder := open(t, root)
	denied := ledger.Entry{Event: ledger.Denied, Unit: "etcd/0", Item: "x", Code: "malformed"}
	for range 3 {
		require.NoError(t, folder.Append(denied))
	}
	require.Len(t, entriesOf(t, open(t, root).Journal()), 1)
}

func TestNewEntriesAreToldOnce(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	tell := func(most int) (items []string) {
		entries, done, err := disk.Untold(root, most)
		require.NoError(t, err)
		for _, entry := range entries {
			items = append(items, entry.Item)
		}
		require.NoError(t, done())
		return items
	}
	require.Empty(t, tell(10), "there is no record yet")
	folder := open(t, root)
	record := func(items ...string) {
		var batch []ledger.Entry
		for _, item := range items {
			batch = append(batch, ledger.Entry{Event: ledger.Action, Item: item})
		}
		require.NoError(t, folder.Append(batch...))
	}
	record("a")
	record("b", "c")
	record("d")
	require.Equal(t, []string{"a"}, tell(2), "a line is told as a whole")
	require.Equal(t, []string{"b", "c"}, tell(2))
	require.Equal(t, []string{"d"}, tell(2))
	require.Empty(t, tell(2))
	record("e", "f", "g")
	entries, _, err := disk.Untold(root, 1)
	require.NoError(t, err)
	require.Len(t, entries, 3, "one line at least")
	require.Equal(t, []string{"e", "f", "g"}, tell(1), "who did not say done is told again")

	// A line that is being written is told later.
	path := disk.JournalPath(root)
	record("h")
	whole := read(t, path)
	require.NoError(t, os.WriteFile(path, []byte(whole[:len(whole)-3]), 0o600))
	require.Empty(t, tell(9))
	require.NoError(t, os.WriteFile(path, []byte(whole), 0o600))
	require.Equal(t, []string{"h"}, tell(9))

	// A shorter file is another one. A damaged line is said.
	first, _, _ := strings.Cut(whole, "\n")
	require.NoError(t, os.WriteFile(path, []byte(first+"\n{}\n"), 0o600))
	require.Equal(t, []string{"a"}, tell(9), "what stands before a damaged line is told first")
	_, _, err = disk.Untold(root, 9)
	require.ErrorContains(t, err, "a line is damaged")
}

func FuzzVerifyJournal(f *testing.F) {
	text, err := os.ReadFile("testdata/journal-before-decisions")
	require.NoError(f, err)
	f.Add(text)
	f.Add(text[:len(text)-9])
	f.Add(bytes.Replace(text, []byte("issued"), []byte("denied"), 1))
	f.Add([]byte(`{"sum":"` + strings.Repeat("0", 32) + `","entries":[{"event":"checkpoint","detail":"signet-checkpoint-v1"}]}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(path, text, 0o600))
		found, err := disk.VerifyJournal(path, disk.Evidence{})
		require.NoError(t, err)
		require.Len(t, found.Recorded, found.Entries)
		_, err = json.Marshal(found)
		require.NoError(t, err)
		unsynced := func(op disk.Op) error {
			if op.Kind == disk.Sync {
				return nil
			}
			return disk.Perform(op)
		}
		if _, err := disk.OpenOn(filepath.Dir(path), unsynced); found.Sound() {
			require.NoError(t, err, "what is sound can be opened")
		}
	})
}

// What a backup tells of one certificate comes together: its issue, and what became of it.
func TestABackupsRevocationsAreRemembered(t *testing.T) {
	t.Parallel()
	folder := open(t, t.TempDir())
	answer := folder.Carry(t.Context(), order.Remember{Entries: []ledger.Entry{
		{Event: ledger.Reserved, Order: "o", Serial: "41aa"}, {Event: ledger.Issued, Order: "o", Serial: "41aa"},
		{Event: ledger.Withdrawn, Serial: "41aa"}, {Event: ledger.Revoked, Serial: "41aa", Reason: "superseded"},
		{Event: ledger.Denied, Item: "x"}, {Event: ledger.Checkpoint, Detail: "of another record"},
	}})
	require.Nil(t, answer.Failure)
	certificate, _, err := folder.Journal().Serial("41aa")
	require.NoError(t, err)
	require.Equal(t, ledger.Revoked, certificate.State)
	require.Len(t, entriesOf(t, folder.Journal()), 3)
	found, err := disk.VerifyJournal(disk.JournalPath(folder.Root()), disk.Evidence{})
	require.NoError(t, err)
	require.Empty(t, found.Problems)
}
