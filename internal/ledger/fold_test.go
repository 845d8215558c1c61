// SPDX-License-Identifier: AGPL-3.0-only

package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signet-charm/signet/internal/ledger"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestFoldFollowsACertificate(t *testing.T) {
	t.Parallel()
	entries := []ledger.Entry{
		{Event: ledger.Ordered, Order: "o1", Ask: "3/legacy/etcd_0"},
		{Event: ledger.Reserved, Order: "o1", Ask: "3/legacy/etcd_0", Serial: "41aa", Generation: 1},
		{Event: ledger.Issued, Order: "o1", Ask: "3/legacy/etcd_0", Serial: "41aa", Generation: 1, Certificate: "pem"},
		{Event: ledger.Reserved, Order: "o2", Ask: "3/legacy/etcd_0", Serial: "41bb", Generation: 1},
		{Event: ledger.Refused, Order: "o2", Ask: "3/legacy/etcd_0", Serial: "41bb", Generation: 1, Reason: "lint"},
		{Time: noon, Event: ledger.Revoked, Serial: "41aa", Generation: 1, Reason: "superseded"},
		{Time: noon.Add(time.Hour), Event: ledger.Revoked, Serial: "41aa", Generation: 1, Reason: "again"},
		{Time: noon, Event: ledger.Revoked, Serial: "9", Generation: 1, Reason: "issued by another unit"},
	}
	folded, err := ledger.Fold(entries)
	require.NoError(t, err)
	require.Equal(t, entries, folded.Entries())
	require.Len(t, folded.Order("o1"), 3)
	require.Empty(t, folded.Order("unknown"))

	issued := folded.Ask("3/legacy/etcd_0")
	require.Len(t, issued, 1)
	require.Equal(t, "pem", issued[0].Certificate)
	require.Equal(t, ledger.Revoked, issued[0].State)
	require.Equal(t, noon, issued[0].RevokedAt, "the first revocation counts")
	require.Equal(t, "superseded", issued[0].Why)

	refused, known := folded.Serial("41bb")
	require.True(t, known)
	require.Equal(t, ledger.Refused, refused.State)

	revoked := folded.Revoked(1)
	require.Len(t, revoked, 2)
	require.Equal(t, "9", revoked[0].Serial, "by number, not by text")
	require.Empty(t, folded.Revoked(2))
}

func TestFoldRefuses(t *testing.T) {
	t.Parallel()
	reserved := ledger.Entry{Event: ledger.Reserved, Order: "o1", Serial: "41aa"}
	issued := ledger.Entry{Event: ledger.Issued, Order: "o1", Serial: "41aa"}
	cases := map[string]struct {
		entries []ledger.Entry
		problem string
	}{
		"a serial reserved twice":                   {[]ledger.Entry{reserved, reserved}, "entry 2: serial 41aa was used before"},
		"a serial reserved after its issue":         {[]ledger.Entry{issued, reserved}, "used before, by order o1"},
		"a serial issued twice":                     {[]ledger.Entry{reserved, issued, issued}, "entry 3: serial 41aa is issued already"},
		"a serial issued after it was refused":      {[]ledger.Entry{reserved, {Event: ledger.Refused, Order: "o1", Serial: "41aa"}, issued}, "is refused already"},
		"a serial issued for another order":         {[]ledger.Entry{reserved, {Event: ledger.Issued, Order: "o2", Serial: "41aa"}}, "reserved for order o1, not o2"},
		"an issue without a serial":                 {[]ledger.Entry{{Event: ledger.Issued}}, "needs a serial"},
		"an unknown event":                          {[]ledger.Entry{{Event: "baked", Serial: "1"}}, `"baked" is not an event`},
		"an order that knows its serial beforehand": {[]ledger.Entry{{Event: ledger.Ordered, Serial: "1"}}, "cannot have serial"},
	}
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			folded, err := ledger.Fold(c.entries)
			require.ErrorContains(t, err, c.problem)
			require.Equal(t, len(c.entries)-1, folded.Len(), "what came before is kept")
		})
	}
}

// Whatever is appended, no serial is ever issued twice, and what the ledger refused left no trace.
func TestLedgerNeverReusesASerial(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var l ledger.Ledger
		entry := rapid.Custom(func(t *rapid.T) ledger.Entry {
			return ledger.Entry{
				Event:  rapid.SampledFrom([]ledger.Event{ledger.Ordered, ledger.Reserved, ledger.Issued, ledger.Refused, ledger.Revoked}).Draw(t, "event"),
				Order:  fmt.Sprintf("o%d", rapid.IntRange(0, 2).Draw(t, "order")),
				Serial: rapid.SampledFrom([]string{"", "1", "2", "3"}).Draw(t, "serial"),
			}
		})
		for _, e := range rapid.SliceOfN(entry, 0, 30).Draw(t, "entries") {
			before := l.Len()
			if l.Add(e) != nil {
				require.Equal(t, before, l.Len())
			}
		}
		issues, reservations := map[string]int{}, map[string]int{}
		for _, e := range l.Entries() {
			switch e.Event {
			case ledger.Issued:
				issues[e.Serial]++
			case ledger.Reserved:
				reservations[e.Serial]++
			}
		}
		for serial, count := range issues {
			require.Equal(t, 1, count, "serial %s", serial)
		}
		for serial, count := range reservations {
			require.Equal(t, 1, count, "serial %s", serial)
		}
		again, err := ledger.Fold(l.Entries())
		require.NoError(t, err)
		require.Equal(t, l, again)
	})
}
