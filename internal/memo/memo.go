// SPDX-License-Identifier: AGPL-3.0-only

// Package memo remembers what pure functions gave, by their arguments, so that a decision which is taken again and again on
// nearly the same world costs what changed in it. A result that is remembered is the one that would be worked out anew: whoever
// has a memory sees the same as who has none. Where to look next: package cert, whose Memory remembers what texts were read as.
package memo

// Of remembers results by what they follow from. Its zero value remembers nothing yet. It is not safe for concurrent use. Results
// are shared: nobody may change them.
type Of[K comparable, V any] struct {
	known map[K]*result[V]
	pass  int // what is used in it bears its number
	fresh int // results that were added since the last sweep
}

type result[V any] struct {
	value V
	used  int
}

// Get gives the result for a key, worked out unless it is known.
func (m *Of[K, V]) Get(key K, work func() V) V {
	if found, known := m.known[key]; known {
		found.used = m.pass
		return found.value
	}
	value := work()
	m.Put(key, value)
	return value
}

// Find gives the result for a key if it is known.
func (m *Of[K, V]) Find(key K) (V, bool) {
	found, known := m.known[key]
	if !known {
		var none V
		return none, false
	}
	found.used = m.pass
	return found.value, true
}

// Put remembers a result.
func (m *Of[K, V]) Put(key K, value V) {
	if m.known == nil {
		m.known = map[K]*result[V]{}
	}
	m.known[key] = &result[V]{value, m.pass}
	m.fresh++
}

// kept is for how many passes a result is remembered that nobody asks for.
const kept = 4

// Pass ends one pass over the world. What was not asked for in the last few is forgotten, sooner or later: what is remembered
// stays within twice what the world needs, and looking for what to forget costs no more than remembering it did.
func (m *Of[K, V]) Pass() {
	m.pass++
	if m.fresh < 16+len(m.known)/4 {
		return
	}
	m.fresh = 0
	for key, found := range m.known {
		if found.used < m.pass-kept {
			delete(m.known, key)
		}
	}
}

// Len is how many results are remembered.
func (m *Of[K, V]) Len() int { return len(m.known) }
