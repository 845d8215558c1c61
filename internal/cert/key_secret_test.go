// SPDX-License-Identifier: AGPL-3.0-only

package cert_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"strings"
	"testing"
	texttemplate "text/template"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/signet-charm/signet/internal/cert"
)

// Whatever prints or encodes a key, or a value that has one in it, tells nothing of it.
func TestAKeyNeverPrintsItself(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-correct-horse"
	key := cert.NewKey(secret)
	type hidden struct{ key cert.Key }
	type open struct{ Key cert.Key }
	values := map[string]any{
		"a key": key, "a pointer": &key, "in a field": open{key}, "in a field that is not exported": hidden{key}, "behind pointers": &hidden{key},
		"in a slice": []cert.Key{key}, "in a map": map[string]hidden{"a": {key}}, "in an interface": []any{key, hidden{key}},
		"what is issued": cert.Issued{Key: key}, "an error's argument": fmt.Errorf("cannot use %v: %w", hidden{key}, errors.New("damaged")),
	}
	for sentence, value := range values {
		var told []string
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%t", "%T", "%p", "%w", "%z", "% x", "%08.3f", "%[1]*[1]v"} {
			told = append(told, fmt.Sprintf(verb, value))
		}
		told = append(told, fmt.Sprint(value), fmt.Sprintln(value), fmt.Sprintf("%s", errors.Join(fmt.Errorf("%v", value))))
		var out bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("issued", "value", value, slog.Group("in", slog.Any("it", value)))
		}
		_ = texttemplate.Must(texttemplate.New("").Parse(`{{.}} {{printf "%v %d" . .}} {{js .}}`)).Execute(&out, value)
		_ = template.Must(template.New("").Parse(`<script>var x = {{.}};</script>{{.}}`)).Execute(&out, value)
		_ = json.NewEncoder(&out).Encode(value)
		_ = xml.NewEncoder(&out).Encode(value)
		_ = gob.NewEncoder(&out).Encode(value)
		if text, err := yaml.Marshal(value); err == nil {
			out.Write(text)
		}
		for _, text := range append(told, out.String()) {
			require.NotContains(t, text, "hunter2", sentence)
			require.NotContains(t, strings.ToLower(text), fmt.Sprintf("%x", "hunter2"), sentence)
			require.NotContains(t, text, fmt.Sprint([]byte("hunter2")), sentence)
		}
	}
	_, err := json.Marshal(open{key})
	require.ErrorContains(t, err, "reveal it where it is meant to be stored", "a key is not lost without a word either")
	require.Equal(t, "[secret key] [secret key] [no key]", fmt.Sprintf("%d %x %t", key, key, cert.Key{}))
	require.Equal(t, secret, key.Reveal())
	require.Equal(t, cert.NewKey(secret), key)
	require.NotEqual(t, cert.NewKey("another"), key)
	require.True(t, cert.NewKey("").IsZero())
	require.Equal(t, cert.Key{}, cert.NewKey(""))
}
