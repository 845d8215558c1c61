// SPDX-License-Identifier: AGPL-3.0-only

package httpd

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/signet-charm/signet/internal/metrics"
	"github.com/signet-charm/signet/internal/page"
	"github.com/signet-charm/signet/internal/view"
)

// How long what was made is shown again: for fresh at least, and for so many times as long as it took to make. A view takes the
// work of a turn, which is seconds in a model of thousands of units, and whoever asks is a stranger: however many do, this bounds
// what they cost to a twentieth of a processor.
const (
	fresh   = 10 * time.Second
	leisure = 20
)

// Sight is where what an operator sees comes from. Its functions are safe for concurrent use.
type Sight struct {
	View  func() (view.View, error)
	Facts func() metrics.Facts // all but the view, which may be missing
}

// watched is what is made of a Sight: both answers at once, of one view.
type watched struct {
	sight Sight
	now   func() time.Time

	mu            sync.Mutex // one makes it, the others wait for that
	at            time.Time
	until         time.Time
	page, metrics made
}

// made is one answer.
type made struct {
	mime, policy string
	body         []byte
	failure      error
}

// Watch has the page and the metrics served from now on.
func (s *Server) Watch(sight Sight) { s.watch.Store(&watched{sight: sight, now: s.now}) }

// made gives what is made for a path, if anything is.
func (s *Server) made(path string) func() made {
	shown := s.watch.Load()
	switch {
	case shown == nil:
		return nil
	case path == "/":
		return func() made { return shown.latest().page }
	case path == "/metrics":
		return func() made { return shown.latest().metrics }
	}
	return nil
}

// both are the two answers.
type both struct{ page, metrics made }

// latest gives what was made a moment ago, or makes it anew.
func (w *watched) latest() both {
	w.mu.Lock()
	defer w.mu.Unlock()
	began := w.now()
	if w.at.IsZero() || began.Before(w.at) || !began.Before(w.until) { // a clock may be set back
		w.make()
		w.at = w.now()
		w.until = w.at.Add(max(fresh, leisure*w.at.Sub(began)))
	}
	return both{w.page, w.metrics}
}

// make makes both answers. Without a view metrics still tell of the agent.
func (w *watched) make() {
	found, err := w.sight.View()
	facts := w.sight.Facts()
	w.page = made{mime: "text/html; charset=utf-8", policy: page.Policy() + "; frame-ancestors 'none'", failure: err}
	if err == nil {
		facts.View = &found
		w.page.fill(func(to io.Writer) error { return page.Write(to, found, page.Served) })
	}
	w.metrics = made{mime: metrics.ContentType()}
	w.metrics.fill(func(to io.Writer) error { return metrics.Write(to, facts) })
}

func (m *made) fill(write func(io.Writer) error) {
	var text bytes.Buffer
	m.failure = write(&text)
	m.body = text.Bytes()
}

// send answers.
func (m made) send(w http.ResponseWriter) {
	header := w.Header()
	if m.failure != nil {
		header.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintf(w, "there is nothing to show: %v\n", m.failure)
		return
	}
	header.Set("Content-Type", m.mime)
	if m.policy != "" {
		header.Set("Content-Security-Policy", m.policy)
	}
	_, _ = w.Write(m.body)
}
