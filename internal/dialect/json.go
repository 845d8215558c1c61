// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of what is read from another application's databags. They are far above what real charms write and far
// below what would cost this unit time or memory that others need.
const (
	maxValue    = 1 << 20 // bytes of one value in a requirer's databag
	maxAnswers  = 1 << 26 // bytes of a provider's list, which grows with the units of the requirer's application
	maxDepth    = 16      // nesting of lists and objects in one value
	maxRequests = 1000    // requests in one databag, of all kinds of a dialect together
	maxNames    = 1000    // subject alternative names of one certificate
	maxQuoted   = 80      // bytes of foreign text in one reason
)

// refusal is an item that is not served, before it is known whose it is. Its item is what a Denial calls Item.
type refusal struct {
	item   string
	code   Code
	reason string
}

// misfit says why a value is not what it should be.
type misfit struct {
	code   Code
	reason string
}

func (m *misfit) Error() string { return m.reason }

func malformed(format string, args ...any) error {
	return &misfit{Malformed, fmt.Sprintf(format, args...)}
}

// refuse turns an error of this file into a refusal of the item.
func refuse(item string, err error) refusal {
	var m *misfit
	if errors.As(err, &m) {
		return refusal{item, m.code, m.reason}
	}
	return refusal{item, Malformed, bounded(err)}
}

// member is one member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// document checks a databag value as a whole: its size and nesting before anything is built from it, and its grammar
// (RFC 8259). What the value holds is taken apart one level at a time, so that a bad item harms no other.
func document(text string, limit int) (json.RawMessage, error) {
	if len(text) > limit {
		return nil, &misfit{TooLarge, fmt.Sprintf("the value has %d bytes, more than %d", len(text), limit)}
	}
	if depth(text) > maxDepth {
		return nil, &misfit{TooLarge, fmt.Sprintf("the value is nested more than %d levels deep", maxDepth)}
	}
	raw := json.RawMessage(text)
	if json.Valid(raw) {
		return raw, nil
	}
	var ignored any
	return nil, malformed("the value is not JSON: %s", bounded(json.Unmarshal(raw, &ignored)))
}

// documentList is document for a value that must be a list; null is an empty one.
func documentList(text string, limit int) ([]json.RawMessage, error) {
	raw, err := document(text, limit)
	if err != nil || kindOf(raw) == aNull {
		return nil, err
	}
	return list(raw)
}

// depth is how deep lists and objects nest in a text that may be JSON.
func depth(text string) int {
	level, deepest, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			level++
			deepest = max(deepest, level)
		case c == ']' || c == '}':
			level--
		}
	}
	return deepest
}

// list takes a JSON list apart.
func list(raw json.RawMessage) ([]json.RawMessage, error) {
	if kindOf(raw) != aList {
		return nil, malformed("it is %s, not a list", kindOf(raw))
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, malformed("it is not a list: %s", bounded(err))
	}
	return items, nil
}

// object takes a JSON object apart. Members that occur twice are left out, since nobody can say which one is meant;
// their names are given instead, once each, in order of appearance.
func object(raw json.RawMessage) (members []member, doubled []string, err error) {
	if kindOf(raw) != anObject {
		return nil, nil, malformed("it is %s, not an object", kindOf(raw))
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if _, err := decoder.Token(); err != nil {
		return nil, nil, malformed("it is not an object: %s", bounded(err))
	}
	count := map[string]int{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, nil, malformed("it is not an object: %s", bounded(err))
		}
		name, _ := token.(string) // a member's name is nothing else
		m := member{name: name}
		if err := decoder.Decode(&m.value); err != nil {
			return nil, nil, malformed("it is not an object: %s", bounded(err))
		}
		if count[m.name]++; count[m.name] == 2 {
			doubled = append(doubled, m.name)
		}
		members = append(members, m)
	}
	if len(doubled) == 0 {
		return members, nil, nil
	}
	single := members[:0]
	for _, m := range members {
		if count[m.name] == 1 {
			single = append(single, m)
		}
	}
	return single, doubled, nil
}

// record takes an object apart that must not have doubled members, for look-ups by name.
func record(raw json.RawMessage) (map[string]json.RawMessage, error) {
	members, doubled, err := object(raw)
	if err != nil {
		return nil, err
	}
	if len(doubled) > 0 {
		return nil, malformed("its member %s occurs more than once", quote(doubled[0]))
	}
	byName := make(map[string]json.RawMessage, len(members))
	for _, m := range members {
		byName[m.name] = m.value
	}
	return byName, nil
}

// str decodes a JSON string.
func str(raw json.RawMessage) (string, error) {
	if kindOf(raw) != aString {
		return "", malformed("it is %s, not a string", kindOf(raw))
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", malformed("it is not a string: %s", bounded(err))
	}
	return text, checkText(text)
}

// checkText refuses text that cannot be meant. The decoder puts U+FFFD for bytes that are not UTF-8 and for halves of
// surrogate pairs, so that character means damage.
func checkText(text string) error {
	switch {
	case !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError):
		return malformed("it is not valid UTF-8")
	case strings.ContainsRune(text, 0):
		return malformed("it holds a NUL character")
	}
	return nil
}

// strs decodes a list of strings; null is an empty one.
func strs(raw json.RawMessage) ([]string, error) {
	if raw == nil || kindOf(raw) == aNull {
		return nil, nil
	}
	items, err := list(raw)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(items))
	for i, item := range items {
		if texts[i], err = str(item); err != nil {
			return nil, malformed("item %d: %s", i, err)
		}
	}
	return texts, nil
}

// boolean decodes true or false; null and nothing are false.
func boolean(raw json.RawMessage) (bool, error) {
	switch strings.TrimSpace(string(raw)) {
	case "true":
		return true, nil
	case "false", "null", "":
		return false, nil
	}
	return false, malformed("it is %s, not true or false", kindOf(raw))
}

// kind is what a JSON value is, as an error calls it.
type kind string

const (
	aList    kind = "a list"
	anObject kind = "an object"
	aString  kind = "a string"
	aNumber  kind = "a number"
	aBoolean kind = "a boolean"
	aNull    kind = "null"
	nothing  kind = "missing"
)

func kindOf(raw json.RawMessage) kind {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	if len(trimmed) == 0 {
		return nothing
	}
	switch trimmed[0] {
	case '[':
		return aList
	case '{':
		return anObject
	case '"':
		return aString
	case 't', 'f':
		return aBoolean
	case 'n':
		return aNull
	}
	return aNumber
}

// quote gives foreign text in a form that is safe in a status or a log, cut to a bounded length.
func quote(text string) string {
	if len(text) > maxQuoted {
		text = text[:maxQuoted]
	}
	quoted := strconv.Quote(text)
	if len(quoted) > maxQuoted {
		return strings.ToValidUTF8(quoted[:maxQuoted-len("…\"")], "") + "…\""
	}
	return quoted
}

// bounded is an error's text, cut to a bounded length.
func bounded(err error) string {
	text := err.Error()
	if len(text) > maxQuoted {
		return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
	}
	return text
}

// named gives the name of an item inside a databag value: "cert_requests[10.0.0.1]".
func named(key, name string) string {
	plain := len(name) <= maxQuoted && utf8.ValidString(name) &&
		strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
	if !plain {
		name = quote(name)
	}
	return key + "[" + name + "]"
}

// encode writes a value as JSON on one line.
func encode(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic("dialect: a plain value has no JSON: " + err.Error())
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// set writes a JSON value into a bag, with sorted keys as the reactive charms do, unless what stands there already says
// the same: a value written differently would fire hooks on the other side for nothing.
func set(bag map[string]string, key string, value any) {
	text := encode(value)
	if text == bag[key] { // as it is in all but the first of many turns
		return
	}
	wanted, _ := canonical(text)
	if standing, ok := canonical(bag[key]); ok && standing == wanted {
		return
	}
	bag[key] = wanted
}

// canonical writes a JSON text with sorted keys and without white space; false when it is not JSON.
func canonical(text string) (string, bool) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return "", false
	}
	if _, err := decoder.Token(); err != io.EOF { // more after it
		return "", false
	}
	return encode(value), true
}
