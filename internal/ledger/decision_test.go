// SPDX-License-Identifier: AGPL-3.0-only

package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ledger"
)

func denial(item string) ledger.Entry {
	return ledger.Entry{
		Time: noon, Event: ledger.Denied, Relation: 3, App: "etcd", Unit: "etcd/0", Ask: "3/legacy/" + item, Item: item, Code: "malformed",
		Reason: "first",
	}
}

func TestADecisionStandsUntilAnotherTakesItsPlace(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		then   ledger.Entry
		stands bool
	}{
		"nothing":                    {ledger.Entry{Event: ledger.Ordered, Order: "o1"}, true},
		"another item's":             {denial("b"), true},
		"the same for another cause": {ledger.Entry{Time: noon, Event: ledger.Denied, Ask: "3/legacy/a", Code: "too-large"}, false},
		"a rule's":                   {ledger.Entry{Time: noon, Event: ledger.Denied, Ask: "3/legacy/a", Code: "malformed", Rule: "r"}, false},
		"one that only reports":      {ledger.Entry{Time: noon, Event: ledger.Reported, Ask: "3/legacy/a", Code: "malformed"}, false},
		"a certificate":              {ledger.Entry{Time: noon, Event: ledger.Issued, Order: "o", Ask: "3/legacy/a", Serial: "41"}, false},
		"one that others issued":     {ledger.Entry{Time: noon, Event: ledger.Issued, Ask: "3/legacy/a", Serial: "41", Remembered: true}, true},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var l ledger.Ledger
			first := denial("a")
			require.False(t, l.Stands(first))
			require.NoError(t, l.Add(first))
			later := first
			later.Time, later.Reason = noon.Add(time.Hour), "with another time in it"
			require.True(t, l.Stands(later))
			require.NoError(t, l.Add(c.then))
			require.Equal(t, c.stands, l.Stands(later))
		})
	}
}

func TestWhatHappensHappensAgain(t *testing.T) {
	t.Parallel()
	var l ledger.Ledger
	for _, entry := range []ledger.Entry{
		{Event: ledger.Action, Item: "revoke", After: "done"}, {Event: ledger.Checkpoint, Detail: "text"},
		{Event: ledger.Issued, Order: "o", Ask: "a", Serial: "1"},
	} {
		require.NoError(t, l.Add(entry))
		require.False(t, l.Stands(entry), entry.Event)
	}
}

// What is remembered does not grow with what is recorded.
func TestDecisionsAreForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	var l ledger.Ledger
	for n := range 20000 {
		require.NoError(t, l.Add(denial(fmt.Sprint(n))))
		require.True(t, l.Stands(denial(fmt.Sprint(max(0, n-4000)))), "nothing is forgotten early")
	}
	require.LessOrEqual(t, len(l.Decided()), 2*4096)
	require.False(t, l.Stands(denial("0")))
}

func TestRefusalsAreCountedByTheHour(t *testing.T) {
	t.Parallel()
	var l ledger.Ledger
	one, more := denial("a"), denial("b")
	more.Unit = "etcd/1"
	require.NoError(t, l.Add(one))
	require.NoError(t, l.Add(more))
	require.NoError(t, l.Add(one.Overflow(false)), "which is none itself")
	unit, relation := one.Askers()
	require.Equal(t, map[string]int{unit: 1, relation: 2, "3 etcd/1": 1}, l.Denials(noon.Add(59*time.Minute)))
	require.Empty(t, l.Denials(noon.Add(time.Hour)))
	one.Time, one.Code = noon.Add(time.Hour), "too-large"
	require.NoError(t, l.Add(one))
	require.Equal(t, map[string]int{unit: 1, relation: 1}, l.Denials(noon.Add(time.Hour)))
}

func TestTooManyAreSaidOnceAnHour(t *testing.T) {
	t.Parallel()
	one, later := denial("a"), denial("b")
	later.Time = noon.Add(time.Hour)
	require.True(t, one.Overflow(false).IsOverflow())
	require.False(t, one.IsOverflow())
	topics := map[string]bool{}
	for _, entry := range []ledger.Entry{one.Overflow(false), one.Overflow(true), later.Overflow(false), denial("c").Overflow(false)} {
		topics[entry.Topic()] = true
	}
	require.Len(t, topics, 3)
	whole := one
	whole.Unit = ""
	require.NotEqual(t, whole.Overflow(false).Topic(), whole.Overflow(true).Topic())
}

func TestCheckpointsCoverWhatIsBeforeThem(t *testing.T) {
	t.Parallel()
	var l ledger.Ledger
	add := func(at time.Time, entry ledger.Entry) {
		entry.Time = at
		require.NoError(t, l.Add(entry))
	}
	_, has := l.LastCheckpoint()
	require.False(t, has)
	require.Zero(t, l.Uncovered())
	add(noon.AddDate(-1, 0, 0), ledger.Entry{Event: ledger.Issued, Serial: "1", Remembered: true})
	require.Zero(t, l.Uncovered(), "when others issued it says nothing of when it was recorded")
	add(noon, ledger.Entry{Event: ledger.Issued, Serial: "2"})
	add(noon.Add(time.Hour), ledger.Entry{Event: ledger.Issued, Serial: "3"})
	require.Equal(t, noon, l.Uncovered())
	add(noon.Add(2*time.Hour), ledger.Entry{Event: ledger.Checkpoint, Detail: "text"})
	require.Zero(t, l.Uncovered())
	add(noon.Add(3*time.Hour), ledger.Entry{Event: ledger.Action, Item: "revoke"})
	require.Equal(t, noon.Add(3*time.Hour), l.Uncovered())
	last, has := l.LastCheckpoint()
	require.True(t, has)
	require.Equal(t, "text", last.Detail)
}

// To tell of a certificate is no step of it.
func TestWithdrawnAndHeldChangeNothing(t *testing.T) {
	t.Parallel()
	var l ledger.Ledger
	require.NoError(t, l.Add(ledger.Entry{Event: ledger.Issued, Order: "o", Serial: "1", Generation: 1}))
	for _, event := range []ledger.Event{ledger.Withdrawn, ledger.Held} {
		require.NoError(t, l.Add(ledger.Entry{Event: event, Serial: "1", Generation: 1}))
		require.ErrorContains(t, l.Add(ledger.Entry{Event: event}), "needs a serial")
		require.NoError(t, l.Add(ledger.Entry{Event: event, Serial: "unknown"}), "another unit issued it")
	}
	certificate, _ := l.Serial("1")
	require.Equal(t, ledger.Issued, certificate.State)
	require.NoError(t, l.Add(ledger.Entry{Event: ledger.Revoked, Serial: "1", Generation: 1}))
	require.True(t, l.IsRevoked("1"))
	require.Len(t, l.Revoked(1), 1)
}
