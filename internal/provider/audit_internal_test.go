// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
)

// What a policy only reports is recorded beside what it refuses, with the rule, once a turn and item.
func TestReportsAndRefusalsAreRecorded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	refused := dialect.Denial{Relation: 3, Unit: "etcd/0", Item: "a\xff", Ask: "3/a", Code: dialect.BadName, Reason: "no", Rule: "reserved"}
	waits := refused
	waits.Ask, waits.Code = "3/b", dialect.NoAuthority
	reported := refused
	reported.Ask, reported.Unit = "3/c", "etcd/1"
	s := &step{
		now: now, decided: map[string]bool{}, denied: map[string]int{},
		snap: juju.Snapshot{Relations: []juju.Relation{{ID: 3, RemoteApp: "etcd"}}},
	}
	s.recordDenials(ledger.Denied, []dialect.Denial{refused, refused, waits})
	s.recordDenials(ledger.Reported, []dialect.Denial{reported})
	entry := ledger.Entry{
		Time: now, Event: ledger.Denied, Relation: 3, App: "etcd", Unit: "etcd/0", Ask: "3/a", Item: "a\uFFFD", Rule: "reserved", Code: "name-not-allowed", Reason: "no",
	}
	also := entry
	also.Event, also.Ask, also.Unit = ledger.Reported, "3/c", "etcd/1"
	require.Equal(t, []ledger.Entry{entry, also}, s.decision.Record)

	// What stands is not recorded, whatever its reason says now.
	again := &step{now: now, decided: map[string]bool{}, denied: map[string]int{}, snap: juju.Snapshot{Local: map[string]string{
		DecidedKey + entry.Topic(): entry.Fact(), DecidedKey + also.Topic(): also.Fact(),
	}}}
	refused.Reason = "again from 13:00"
	again.recordDenials(ledger.Denied, []dialect.Denial{refused})
	require.Empty(t, again.decision.Record)
	again.recordDenials(ledger.Denied, []dialect.Denial{reported})
	require.Len(t, again.decision.Record, 1, "it is refused now")
}

// However many refusals stand, a new one is recorded: they were counted in their hour.
func TestRefusalsThatStandCountNoMore(t *testing.T) {
	t.Parallel()
	s := &step{decided: map[string]bool{}, denied: map[string]int{}, snap: juju.Snapshot{Local: map[string]string{}}}
	var denials []dialect.Denial
	for n := range 3 * ledger.MaxDenials {
		denials = append(denials, dialect.Denial{Relation: 3, Unit: "etcd/0", Item: fmt.Sprint(n), Code: dialect.Malformed})
		entry := ledger.Entry{Event: ledger.Denied, Relation: 3, Unit: "etcd/0", Item: fmt.Sprint(n), Code: string(dialect.Malformed)}
		s.snap.Local[DecidedKey+entry.Topic()] = entry.Fact()
	}
	s.recordDenials(ledger.Denied, append(denials, dialect.Denial{Relation: 3, Unit: "etcd/0", Item: "new", Code: dialect.Malformed}))
	require.Len(t, s.decision.Record, 1)
	require.Equal(t, "new", s.decision.Record[0].Item)
}
