// SPDX-License-Identifier: AGPL-3.0-only

package httpd_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/httpd"
	"github.com/signet-charm/signet/internal/metrics"
	"github.com/signet-charm/signet/internal/page"
	"github.com/signet-charm/signet/internal/view"
	"github.com/signet-charm/signet/internal/view/viewtest"
)

// sighted is a server with something to see.
type sighted struct {
	*httpd.Server

	now   atomic.Int64 // seconds after noon
	looks atomic.Int64
	fail  atomic.Bool
	takes atomic.Int64 // seconds that a look takes
}

func newSighted() *sighted {
	s := &sighted{}
	s.Server = httpd.New(slog.New(slog.DiscardHandler), func() time.Time { return noon.Add(time.Duration(s.now.Load()) * time.Second) })
	s.Watch(httpd.Sight{
		View: func() (view.View, error) {
			s.looks.Add(1)
			s.now.Add(s.takes.Load())
			if s.fail.Load() {
				return view.View{}, errors.New("no turn has come to its end yet")
			}
			return viewtest.Troubled(noon), nil
		},
		Facts: func() metrics.Facts { return metrics.Facts{Connected: true, Version: "1.2.3"} },
	})
	return s
}

func (s *sighted) do(method, path string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	s.Handler().ServeHTTP(answer, httptest.NewRequest(method, path, http.NoBody))
	return answer
}

func TestWhatOperatorsSeeIsServed(t *testing.T) {
	t.Parallel()
	s := newSighted()
	shown := s.do(http.MethodGet, "/")
	require.Equal(t, http.StatusOK, shown.Code)
	require.Equal(t, "text/html; charset=utf-8", shown.Header().Get("Content-Type"))
	require.Equal(t, page.Policy()+"; frame-ancestors 'none'", shown.Header().Get("Content-Security-Policy"))
	require.NotContains(t, shown.Header().Get("Content-Security-Policy"), "unsafe")
	require.Equal(t, "no-store", shown.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", shown.Header().Get("X-Content-Type-Options"))
	require.Contains(t, shown.Body.String(), "kubernetes-control-plane")

	measured := s.do(http.MethodGet, "/metrics")
	require.Equal(t, http.StatusOK, measured.Code)
	require.Equal(t, metrics.ContentType(), measured.Header().Get("Content-Type"))
	require.Contains(t, measured.Body.String(), "signet_legacy_keys 16\n")
	require.Equal(t, http.StatusNotFound, s.do(http.MethodGet, "/index.html").Code)
}

func TestStrangersCostALookInTenSeconds(t *testing.T) {
	t.Parallel()
	s := newSighted()
	var askers sync.WaitGroup
	for range 50 {
		askers.Go(func() { s.do(http.MethodGet, "/") })
	}
	askers.Wait()
	require.EqualValues(t, 1, s.looks.Load())
	s.now.Store(9)
	s.do(http.MethodGet, "/")
	require.EqualValues(t, 1, s.looks.Load())
	s.now.Store(10)
	s.do(http.MethodGet, "/")
	require.EqualValues(t, 2, s.looks.Load())
	s.now.Store(-3600)
	s.do(http.MethodGet, "/")
	require.EqualValues(t, 3, s.looks.Load(), "a clock that was set back hides nothing")

	s.fail.Store(true)
	s.now.Store(20)
	for range 3 {
		require.Equal(t, http.StatusServiceUnavailable, s.do(http.MethodGet, "/").Code)
	}
	require.EqualValues(t, 4, s.looks.Load(), "a failure is no cheaper")
}

func TestALookThatTakesLongIsShownLonger(t *testing.T) {
	t.Parallel()
	s := newSighted()
	s.takes.Store(3)
	s.do(http.MethodGet, "/") // until second 3
	for at, looks := range map[int64]int64{3: 1, 62: 1} {
		s.now.Store(at)
		s.do(http.MethodGet, "/")
		s.do(http.MethodGet, "/metrics")
		require.Equal(t, looks, s.looks.Load(), "the page and the metrics are of one look, second %d", at)
	}
	s.now.Store(63)
	s.do(http.MethodGet, "/metrics")
	require.EqualValues(t, 2, s.looks.Load())
}

func TestWithoutATurnMetricsStillTellThatThereIsNone(t *testing.T) {
	t.Parallel()
	s := newSighted()
	s.fail.Store(true)
	measured := s.do(http.MethodGet, "/metrics")
	require.Equal(t, http.StatusOK, measured.Code)
	require.Contains(t, measured.Body.String(), "signet_controller_connected 1\n")
	require.NotContains(t, measured.Body.String(), "signet_legacy_keys")
	shown := s.do(http.MethodGet, "/")
	require.Equal(t, "there is nothing to show: no turn has come to its end yet\n", shown.Body.String())
	require.Contains(t, shown.Header().Get("Content-Security-Policy"), "default-src 'none'")
	s.fail.Store(false)
	s.now.Store(10)
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/").Code)
}

func TestOperatorsCanOnlyRead(t *testing.T) {
	t.Parallel()
	s := newSighted()
	for _, path := range []string{"/", "/metrics"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			answer := s.do(method, path)
			require.Equal(t, http.StatusMethodNotAllowed, answer.Code, "%s %s", method, path)
			require.Equal(t, "GET, HEAD", answer.Header().Get("Allow"))
		}
		require.Equal(t, http.StatusOK, s.do(http.MethodHead, path).Code)
	}
	require.Equal(t, http.StatusNotFound, httpdWithout(t, "/"), "where nothing is watched nothing is shown")
}

func httpdWithout(t *testing.T, path string) int {
	t.Helper()
	answer := httptest.NewRecorder()
	httpd.New(slog.New(slog.DiscardHandler), atNoon).Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, strings.NewReader("")))
	return answer.Code
}
