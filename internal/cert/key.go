// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"errors"
	"log/slog"
)

// Key is a private key or another secret text. It never prints itself: not through fmt, slog or an encoder. Only
// Reveal gives the text.
type Key struct{ text string }

// NewKey wraps secret text, usually a PKCS#8 PEM block.
func NewKey(text string) Key { return Key{text} }

// Reveal gives the secret text. Each caller is a place where a secret may leave the program.
func (k Key) Reveal() string { return k.text }

// IsZero reports whether there is no secret.
func (k Key) IsZero() bool { return k.text == "" }

// String hides the secret from fmt.
func (k Key) String() string {
	if k.IsZero() {
		return "[no key]"
	}
	return "[secret key]"
}

// GoString hides the secret from %#v.
func (k Key) GoString() string { return k.String() }

// LogValue hides the secret from slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText refuses: whoever stores a key must say so with Reveal.
func (k Key) MarshalText() ([]byte, error) {
	return nil, errors.New("cannot encode a private key: reveal it where it is meant to be stored")
}
