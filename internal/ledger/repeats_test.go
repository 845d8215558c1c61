// SPDX-License-Identifier: AGPL-3.0-only

package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ledger"
)

func TestRepeatsAreOfTheSameForTheSameNamesAndRecent(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var record ledger.Ledger
	add := func(minute int, who string, names ...string) {
		require.NoError(t, record.Add(ledger.Entry{
			Time: start.Add(time.Duration(minute) * time.Minute), Event: ledger.Issued, For: who, Names: names, Serial: fmt.Sprint("a", record.Len()),
		}))
	}
	add(0, "etcd/0", "a")
	add(10, "etcd/0", "a")
	add(20, "etcd/0", "a", "b") // other names are no repetition
	add(30, "etcd/1", "a")
	add(40, "etcd/0", "a")
	key := ledger.Entry{For: "etcd/0", Names: []string{"a"}}.Key()
	require.Equal(t, map[string]time.Time{key: start}, record.Repeats(start, start.Add(24*time.Hour), 3))
	require.Empty(t, record.Repeats(start.Add(time.Minute), start.Add(24*time.Hour), 3), "the first is forgotten")
	add(50, "etcd/0", "a")
	require.Equal(t, map[string]time.Time{key: start.Add(10 * time.Minute)}, record.Repeats(start, start.Add(24*time.Hour), 3), "the last three count")
	require.Empty(t, record.Repeats(start, start.Add(35*time.Minute), 3), "two were issued later than now, by a clock that was ahead")
	require.NoError(t, record.Add(ledger.Entry{Time: start.AddDate(-1, 0, 0), Event: ledger.Issued, Serial: "b1", Remembered: true}))
	require.Len(t, record.Repeats(start, start.Add(24*time.Hour), 3), 1, "what a backup tells is dated earlier, and hides nothing")
}

func TestFloodsAreCountedByUnit(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var record ledger.Ledger
	for minute, unit := range []string{"etcd/0", "etcd/1", "etcd/0", "", "etcd/0"} {
		entry := ledger.Entry{Time: start.Add(time.Duration(minute) * time.Minute), Event: ledger.Issued, Serial: fmt.Sprint("a", minute), Names: []string{fmt.Sprint(minute)}}
		if unit != "" { // else nobody asked
			entry.Relation, entry.Unit = 7, unit
		}
		require.NoError(t, record.Add(entry))
	}
	require.Equal(t, map[string]int{"7 etcd/0": 3}, record.Floods(start, start.Add(time.Hour), 2))
	require.Equal(t, map[string]int{"7 etcd/0": 2}, record.Floods(start.Add(time.Minute), start.Add(time.Hour), 2))
	require.Empty(t, record.Floods(start, start.Add(time.Hour), 4))
}

func TestARevokedSerialStaysRevoked(t *testing.T) {
	t.Parallel()
	var record ledger.Ledger
	require.False(t, record.IsRevoked("a1"))
	require.NoError(t, record.Add(ledger.Entry{Event: ledger.Revoked, Serial: "a1", Reason: "keyCompromise"}))
	require.True(t, record.IsRevoked("a1"))
}
