// SPDX-License-Identifier: AGPL-3.0-only

// Package httpd serves what those need who verify a certificate: revocation lists (RFC 5280), CA certificates and OCSP
// (RFC 6960, in the light form of RFC 5019), over plain HTTP, since all of it is signed. It answers from a View, which
// is replaced as a whole. Beside them it serves what an operator sees of the unit, as a page and as metrics, made when somebody
// asks. Where to look next: view.go for how a View is read, ocsp.go for the answers, watch.go for what operators see, listen.go for
// the bounds on strangers; package ca makes the lists.
package httpd

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxAge is how long a cache may keep an answer at most: a revocation is to be known within the hour.
const maxAge = time.Hour

// Server answers whoever asks about certificates. All methods are safe for concurrent use.
type Server struct {
	log   *slog.Logger
	now   func() time.Time
	shown atomic.Pointer[content]
	watch atomic.Pointer[watched] // nil where nothing is shown to operators

	showing sync.Mutex // one Show at a time

	mu        sync.Mutex // guards what follows
	listening *listening // nil when not listening
}

// New makes a server that has nothing to show yet and does not listen.
func New(log *slog.Logger, now func() time.Time) *Server {
	s := &Server{log: log, now: now}
	s.shown.Store(&content{})
	return s
}

// Show replaces what is served. Parts that cannot be read are left out and logged; the rest is served. The same View
// again changes nothing.
func (s *Server) Show(view View) {
	s.showing.Lock()
	defer s.showing.Unlock()
	if s.shown.Load().same(view) {
		return
	}
	s.shown.Store(read(view, s.log))
}

// Handler answers:
//
//	GET  /crl                   the revocation list of the current CA, DER
//	GET  /crl/<generation>.crl  that of another
//	GET  /ca/<generation>.crt   a CA certificate, DER
//	GET  /ca.pem                all CA certificates, the current one first
//	POST /ocsp                  OCSP
//	GET  /ocsp/<base64>         OCSP in a form that caches like (RFC 6960, A.1)
//	GET  /healthz               200 while verifiers are served well
//	GET  /                      what an operator sees of the unit, HTML
//	GET  /metrics               the same in numbers, in Prometheus' text format
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.answer) }

// answer finds who answers. There is no http.ServeMux, because it cleans paths, and the base64 of an OCSP request may
// hold "//".
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store") // of errors; what may be cached says so itself
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	shown, path := s.shown.Load(), r.URL.Path
	request, inPath := strings.CutPrefix(path, "/ocsp/")
	wanted, isFile := shown.files[path]
	if made := s.made(path); made != nil {
		if allow(w, r, http.MethodGet, http.MethodHead) {
			made().send(w)
		}
		return
	}
	switch {
	case path == "/ocsp" || inPath && request == "" && r.Method == http.MethodPost:
		if allow(w, r, http.MethodPost) {
			s.postOCSP(w, r, shown)
		}
	case !inPath && path != "/healthz" && !isFile:
		http.Error(w, "not found", http.StatusNotFound)
	case !allow(w, r, http.MethodGet, http.MethodHead):
	case inPath:
		s.getOCSP(w, r, shown, request)
	case isFile:
		send(w, r, wanted, s.now())
	default:
		s.health(w, shown)
	}
}

// allow refuses other methods.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, method := range methods {
		if r.Method == method {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}

// health is bad while the current authority's list is overdue, for then no verifier gets an answer it can use.
func (s *Server) health(w http.ResponseWriter, shown *content) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	text := "ok"
	switch current := shown.current; {
	case current == nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		text = "there is no certificate authority yet"
	case current.list != nil && !s.now().Before(current.list.next):
		w.WriteHeader(http.StatusServiceUnavailable)
		text = fmt.Sprintf("the revocation list of CA generation %d is overdue since %s",
			current.generation, current.list.next.UTC().Format(time.RFC3339))
	}
	// Whoever asked may be gone, and nobody else wants the answer; the same holds wherever an answer is written.
	_, _ = io.WriteString(w, text+"\n")
}

// file is an answer that stays the same until a time.
type file struct {
	mime     string
	body     []byte
	tag      string    // RFC 9110, 8.8.3
	modified time.Time // zero when nobody knows
	until    time.Time // what it says holds no longer
}

// send answers with a file: conditional requests, ranges and HEAD are the standard library's. The headers are those of
// RFC 5019, 6.2.
func send(w http.ResponseWriter, r *http.Request, f file, now time.Time) {
	age := max(0, min(maxAge, f.until.Sub(now))).Truncate(time.Second)
	header := w.Header()
	header.Set("Content-Type", f.mime)
	header.Set("ETag", f.tag)
	header.Set("Cache-Control", fmt.Sprintf("public, max-age=%d, no-transform, must-revalidate", int(age.Seconds())))
	header.Set("Expires", now.Add(age).UTC().Format(http.TimeFormat))
	http.ServeContent(w, r, "", f.modified, bytes.NewReader(f.body))
}
