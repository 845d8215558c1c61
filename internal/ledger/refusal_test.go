// SPDX-License-Identifier: AGPL-3.0-only

package ledger_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ledger"
)

func TestAnOrderThatIsRefusedForGoodIsToldUntilItIsTriedAgain(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := func(event ledger.Event, hours int, serial, code string) ledger.Entry {
		return ledger.Entry{Time: start.Add(time.Duration(hours) * time.Hour), Event: event, Order: "o", Serial: serial, Code: code, Reason: "why"}
	}
	final := func(hours int) ledger.Entry { return at(ledger.Refused, hours, "", "bad-order") }
	for sentence, c := range map[string]struct {
		entries []ledger.Entry
		until   int // hours after the start; 0 for not told
	}{
		"nothing happened":            {nil, 0},
		"it was ordered only":         {[]ledger.Entry{at(ledger.Ordered, 0, "", "")}, 0},
		"refused once":                {[]ledger.Entry{at(ledger.Ordered, 0, "", ""), final(0)}, 1},
		"refused with a serial":       {[]ledger.Entry{at(ledger.Reserved, 0, "a", ""), at(ledger.Refused, 0, "a", "lint")}, 1},
		"refused three times":         {[]ledger.Entry{final(0), final(1), final(3)}, 7},
		"refused and ordered again":   {[]ledger.Entry{final(0), at(ledger.Ordered, 0, "", "")}, 1},
		"refused for the moment":      {[]ledger.Entry{at(ledger.Reserved, 0, "a", ""), at(ledger.Refused, 0, "a", "")}, 0},
		"issued after it was refused": {[]ledger.Entry{final(0), at(ledger.Reserved, 0, "a", ""), at(ledger.Issued, 0, "a", "")}, 0},
		"refused after it was issued": {[]ledger.Entry{final(0), at(ledger.Reserved, 0, "a", ""), at(ledger.Issued, 0, "a", ""), final(0)}, 1},
		"made wrong elsewhere twice": {[]ledger.Entry{
			at(ledger.Submitted, 0, "", ""), at(ledger.Refused, 0, "", "lint"), at(ledger.Submitted, 1, "", ""), at(ledger.Refused, 1, "", "lint"),
		}, 3},
		"asked elsewhere since":          {[]ledger.Entry{final(0), at(ledger.Submitted, 0, "", "")}, 0},
		"refused very often":             {slices.Repeat([]ledger.Entry{final(0)}, 80), 7 * 24},
		"refused before it was restored": {[]ledger.Entry{{Time: start, Event: ledger.Refused, Order: "o", Code: "lint", Remembered: true}}, 0},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			record, err := ledger.Fold(c.entries)
			require.NoError(t, err)
			told := func(now time.Time) []string {
				return slices.Collect(maps.Keys(record.Refusals(now, time.Minute)))
			}
			if c.until == 0 {
				require.Empty(t, told(start))
				return
			}
			end := start.Add(time.Duration(c.until) * time.Hour)
			require.Equal(t, []string{"o"}, told(end.Add(-time.Second)))
			require.Empty(t, told(end))
			require.Empty(t, told(start.Add(-2*time.Minute)), "the clock was ahead when it was refused")
		})
	}
}

// What another CA may have made, unheard, has to be looked for first: it is no refusal that stands.
func TestAnUnheardAnswerIsNoRefusal(t *testing.T) {
	t.Parallel()
	refused := ledger.Entry{Event: ledger.Refused, Order: "o", Code: "lint"}
	_, _, stands := ledger.RefusedFor([]ledger.Entry{refused})
	require.True(t, stands)
	_, _, stands = ledger.RefusedFor([]ledger.Entry{refused, {Event: ledger.Submitted, Order: "o"}})
	require.False(t, stands)
}
