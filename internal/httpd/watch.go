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

// fresh is how long what was made is shown again. A view takes the work of a turn, and whoever asks is a stranger: however
// many do, this bounds what they cost.
const fresh = 10 * time.Second

// Sight is where what an operator sees comes from. Its functions are safe for concurrent use.
type Sight struct {
	View  func() (view.View, error)
	Facts func() metrics.Facts // all but the view, which may be missing
}

// watched is what is made of a Sight.
type watched struct{ page, metrics made }

// made is one answer that is made when somebody asks.
type made struct {
	mime, policy string
	make         func(io.Writer) error

	mu      sync.Mutex // one makes it, the others wait for that
	at      time.Time
	body    []byte
	failure error
}

// Watch has the page and the metrics served from now on.
func (s *Server) Watch(sight Sight) {
	shown := &watched{
		page:    made{mime: "text/html; charset=utf-8", policy: page.Policy() + "; frame-ancestors 'none'"},
		metrics: made{mime: metrics.ContentType()},
	}
	shown.page.make = func(w io.Writer) error {
		found, err := sight.View()
		if err != nil {
			return err
		}
		return page.Write(w, found, page.Served)
	}
	shown.metrics.make = func(w io.Writer) error {
		facts := sight.Facts()
		if found, err := sight.View(); err == nil { // that there is none shows in the facts, too
			facts.View = &found
		}
		return metrics.Write(w, facts)
	}
	s.watch.Store(shown)
}

// made finds what is made for a path.
func (s *Server) made(path string) *made {
	shown := s.watch.Load()
	switch {
	case shown == nil:
		return nil
	case path == "/":
		return &shown.page
	case path == "/metrics":
		return &shown.metrics
	}
	return nil
}

// send answers, with what was made a moment ago where there is something.
func (m *made) send(w http.ResponseWriter, now time.Time) {
	body, err := m.latest(now)
	header := w.Header()
	if err != nil {
		header.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintf(w, "there is nothing to show: %v\n", err)
		return
	}
	header.Set("Content-Type", m.mime)
	if m.policy != "" {
		header.Set("Content-Security-Policy", m.policy)
	}
	_, _ = w.Write(body)
}

func (m *made) latest(now time.Time) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if age := now.Sub(m.at); age >= 0 && age < fresh && !m.at.IsZero() {
		return m.body, m.failure
	}
	var text bytes.Buffer
	m.failure = m.make(&text)
	m.body, m.at = text.Bytes(), now
	return m.body, m.failure
}
