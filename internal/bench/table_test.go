// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	most := row{Bound: atMost, Target: 10}
	least := row{Bound: atLeast, Target: 0.3}
	scales := row{Bound: atMost, Target: 10, Full: 1000, Scales: true}
	full := row{Bound: atMost, Target: 10, Full: 1000}
	for sentence, c := range map[string]struct {
		row     row
		figure  *figure
		verdict string
		limit   float64
	}{
		"below what may be at most":             {most, &figure{Value: 9}, met, 10},
		"just as much as may be":                {most, &figure{Value: 10}, met, 10},
		"more than may be":                      {most, &figure{Value: 10.1}, missed, 10},
		"more than must be at least":            {least, &figure{Value: 0.4}, met, 0.3},
		"less than must be":                     {least, &figure{Value: 0.2}, missed, 0.3},
		"a smaller size has a smaller target":   {scales, &figure{Value: 3, Size: 200}, missed, 2},
		"a larger size has the same":            {scales, &figure{Value: 9, Size: 5000}, met, 10},
		"a smaller size proves nothing":         {full, &figure{Value: 3, Size: 200}, tooSmall, 10},
		"but what is too much there is missed":  {full, &figure{Value: 11, Size: 200}, missed, 10},
		"without a target there is no verdict":  {row{}, &figure{Value: 3}, "", 0},
		"what was not measured meets no target": {most, nil, notMeasured, 10},
	} {
		got := judged(c.row, c.figure)
		require.Equal(t, c.verdict, got.Verdict, sentence)
		require.InDelta(t, c.limit, got.Limit, 1e-9, sentence)
	}
}

func TestTheTableShowsEachRow(t *testing.T) {
	t.Parallel()
	var r results
	r.put(stormLegacy, figure{Value: 1234.5, Size: 200, Note: "a note", Details: map[string]float64{"calls": 3}})
	r.judge()
	var table bytes.Buffer
	require.NoError(t, r.print(&table))
	require.Regexp(t, `(?m)^4  a storm of 200 units, 2 legacy certificates each +1,235 s +<= 2 s +MISSED +a note$`, table.String())
	require.Regexp(t, `(?m)^1  a hook with nothing to do, against a hello-world +not measured +<= 8 x +$`, table.String())
	require.Regexp(t, `(?m)^6  a ledger of 1,000,000 entries read at start +not measured`, table.String())

	text, err := r.encode()
	require.NoError(t, err)
	var read results
	require.NoError(t, json.Unmarshal(text, &read))
	require.Len(t, read.Lines, len(rows()))
	items := map[int]bool{}
	for _, l := range read.Lines {
		items[l.Item] = true
	}
	require.Len(t, items, 6, "each item of the table has a row")
	require.Panics(t, func() { r.put("no-such-row", figure{}) })
}
