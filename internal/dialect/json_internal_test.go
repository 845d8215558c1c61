// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestDocument(t *testing.T) {
	t.Parallel()
	for text, code := range map[string]Code{
		`{}`: "", ` [1, "x", null] `: "", `"\u00e9"`: "",
		strings.Repeat("[", 16) + strings.Repeat("]", 16): "",
		`"` + strings.Repeat("[{", 100) + `\"["`:          "",
		"":                                                Malformed,
		"{} {}":                                           Malformed, "{}x": Malformed, "[1,]": Malformed, `{"a":1,}`: Malformed, "'a'": Malformed, "NaN": Malformed,
		"01": Malformed, "\"a\x01\"": Malformed, "[": Malformed, "\ufeff{}": Malformed, "// c\n{}": Malformed,
		strings.Repeat("[", 17) + strings.Repeat("]", 17): TooLarge,
		strings.Repeat("[", 100000):                       TooLarge,
		strings.Repeat(" ", 101000):                       TooLarge,
	} {
		_, err := document(text, 100500)
		if code == "" {
			require.NoError(t, err, text)
			continue
		}
		var wrong *misfit
		require.ErrorAs(t, err, &wrong, text)
		require.Equal(t, code, wrong.code, text)
		require.Less(t, len(wrong.reason), 200)
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	members, doubled, err := object(json.RawMessage(` {"b": [1], "a": {"x": 1, "x": 2}, "c": 1, "b": 2, "b": 3, "\u0063": 4}`))
	require.NoError(t, err)
	require.Equal(t, []member{{"a", json.RawMessage(`{"x": 1, "x": 2}`)}}, members)
	require.Equal(t, []string{"b", "c"}, doubled, "however they are spelt")
	_, err = record(members[0].value)
	require.ErrorContains(t, err, `its member "x" occurs more than once`)
}

func TestStr(t *testing.T) {
	t.Parallel()
	for raw, problem := range map[string]string{
		`"a"`: "", `"\ud83d\ude00"`: "", `""`: "",
		`1`: "a number, not a string", `null`: "null, not a string", ``: "missing, not a string", `[]`: "a list", `{}`: "an object", `true`: "a boolean",
		"\"\xff\"": "not valid UTF-8", `"\ud83d"`: "not valid UTF-8", `"a\u0000"`: "NUL",
	} {
		_, err := str(json.RawMessage(raw))
		if problem == "" {
			require.NoError(t, err, raw)
		} else {
			require.ErrorContains(t, err, problem, raw)
		}
	}
}

func TestQuoteIsBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain": `"plain"`, "a\nb": `"a\nb"`, "\xff": `"\xff"`, strings.Repeat("x", 78): `"` + strings.Repeat("x", 78) + `"`,
	} {
		require.Equal(t, want, quote(text))
	}
	for _, text := range []string{strings.Repeat("x", 1000), strings.Repeat("\x00", 1000), strings.Repeat("é", 1000), strings.Repeat("\u200b", 1000)} {
		quoted := quote(text)
		require.LessOrEqual(t, len(quoted), maxQuoted)
		require.True(t, utf8.ValidString(quoted))
		require.True(t, strings.HasSuffix(quoted, `…"`))
		require.LessOrEqual(t, len(named("key", text)), maxQuoted+len("key[]"))
	}
}

func TestSetWritesOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	for standing, want := range map[string]string{
		`{"b": [1, 2.0], "a": null}`: `{"b": [1, 2.0], "a": null}`,
		``:                           `{"a":null,"b":[1,2.0]}`,
		`{"b": [2.0, 1], "a": null}`: `{"a":null,"b":[1,2.0]}`,
		`{"b": [1, 2.0], "a": 0}`:    `{"a":null,"b":[1,2.0]}`,
		`{"b": [1, 2.0]} x`:          `{"a":null,"b":[1,2.0]}`,
	} {
		bag := map[string]string{"key": standing}
		set(bag, "key", json.RawMessage(`{"b": [1, 2.0], "a": null}`))
		require.Equal(t, want, bag["key"], standing)
	}
}

// FuzzDocument compares with encoding/json: what is taken apart here is what that decodes, where no member is doubled.
func FuzzDocument(f *testing.F) {
	for _, text := range []string{`{"a": {"sans": ["x", null]}, "b": 1}`, `[{"ca": true}, "x"]`, `{"a": 1, "a": 2}`, `"\ud800"`, "{} {}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		raw, err := document(text, maxValue)
		if err != nil {
			return
		}
		whole := decoded(t, raw)
		switch kindOf(raw) {
		case aList:
			items, err := list(raw)
			require.NoError(t, err)
			require.Len(t, items, len(whole.([]any)))
		case anObject:
			members, doubled, err := object(raw)
			require.NoError(t, err)
			require.Len(t, whole.(map[string]any), len(members)+len(doubled))
			for _, m := range members {
				require.Equal(t, whole.(map[string]any)[m.name], decoded(t, m.value))
			}
		case aString:
			if got, err := str(raw); err == nil {
				require.Equal(t, whole, got)
			}
		case aNumber:
			require.IsType(t, json.Number(""), whole)
		case aBoolean:
			require.IsType(t, true, whole)
		case aNull:
			require.Nil(t, whole)
		default:
			t.Fatalf("%q is of no kind", text)
		}
	})
}

// decoded is what encoding/json makes of a text. A number may be larger than any that Go has.
func decoded(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&value))
	return value
}
