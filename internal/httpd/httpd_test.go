// SPDX-License-Identifier: AGPL-3.0-only

package httpd_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/httpd"
)

func TestListsAndCertificatesAreServed(t *testing.T) {
	t.Parallel()
	older, newer := newAuthority(t, cert.P256, "older", noon), newAuthority(t, cert.P384, "newer", noon)
	first, second := older.shown(1), newer.shown(2)
	first.CRL = older.listOf(&x509.RevocationList{ThisUpdate: noon.Add(-time.Hour), NextUpdate: noon.Add(1501 * time.Millisecond)})
	server := serving(t, second, first)
	block, _ := pem.Decode([]byte(first.CRL))
	next, _ := pem.Decode([]byte(second.CRL))
	for path, want := range map[string]struct {
		mime, body, modified string
		age                  int
	}{
		"/crl":       {"application/pkix-crl", string(next.Bytes), "Mon, 04 May 2026 12:00:30 GMT", 3600},
		"/crl/2.crl": {"application/pkix-crl", string(next.Bytes), "Mon, 04 May 2026 12:00:30 GMT", 3600},
		"/crl/1.crl": {"application/pkix-crl", string(block.Bytes), "Mon, 04 May 2026 11:00:30 GMT", 1},
		"/ca/1.crt":  {"application/pkix-cert", string(older.certificate.Raw), "Mon, 04 May 2026 11:00:30 GMT", 3600},
		"/ca/2.crt":  {"application/pkix-cert", string(newer.certificate.Raw), "Mon, 04 May 2026 11:00:30 GMT", 3600},
		"/ca.pem":    {"application/x-pem-file", newer.text() + older.text(), "", 3600},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			answer := get(server, path)
			require.Equal(t, http.StatusOK, answer.Code)
			require.Equal(t, want.body, answer.Body.String())
			header := answer.Header()
			require.Equal(t, want.mime, header.Get("Content-Type"))
			require.Equal(t, want.modified, header.Get("Last-Modified"))
			require.Equal(t, fmt.Sprintf("public, max-age=%d, no-transform, must-revalidate", want.age), header.Get("Cache-Control"))
			require.Equal(t, noon.Add(time.Duration(want.age)*time.Second).Format(http.TimeFormat), header.Get("Expires"))
			require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))

			head := ask(server, http.MethodHead, path, nil)
			require.Equal(t, http.StatusOK, head.Code)
			require.Empty(t, head.Body.String())
			require.Equal(t, header.Get("ETag"), head.Header().Get("ETag"))
			require.Equal(t, http.StatusNotModified, get(server, path, "If-None-Match", header.Get("ETag")).Code)
			if want.modified != "" {
				require.Equal(t, http.StatusNotModified, get(server, path, "If-Modified-Since", want.modified).Code)
			}
			require.Equal(t, want.body[1:3], get(server, path, "Range", "bytes=1-2").Body.String())
		})
	}
}

func TestOtherPathsAndMethodsAreRefused(t *testing.T) {
	t.Parallel()
	bare := newAuthority(t, cert.P256, "ca", noon).shown(1)
	bare.CRL = ""
	server := serving(t, bare)
	for sentence, c := range map[string]struct {
		method, path string
		code         int
		allow        string
	}{
		"no list yet":                  {http.MethodGet, "/crl", 404, ""},
		"no such list":                 {http.MethodGet, "/crl/1.crl", 404, ""},
		"no such authority":            {http.MethodGet, "/ca/2.crt", 404, ""},
		"a generation spelled anew":    {http.MethodGet, "/ca/+1.crt", 404, ""},
		"a generation with more zeros": {http.MethodGet, "/ca/01.crt", 404, ""},
		"a folder":                     {http.MethodGet, "/ca/", 404, ""},
		"the root":                     {http.MethodGet, "/", 404, ""},
		"a path that climbs":           {http.MethodGet, "/ca/../ca/1.crt", 404, ""},
		"an unknown path":              {http.MethodPost, "/x", 404, ""},
		"no path":                      {http.MethodOptions, "*", 404, ""},
		"a certificate is not written": {http.MethodPut, "/ca/1.crt", 405, "GET, HEAD"},
		"nor removed":                  {http.MethodDelete, "/ca.pem", 405, "GET, HEAD"},
		"nor is health":                {http.MethodPost, "/healthz", 405, "GET, HEAD"},
		"OCSP without a request":       {http.MethodGet, "/ocsp", 405, "POST"},
		"OCSP with two requests":       {http.MethodPost, "/ocsp/MEYw", 405, "GET, HEAD"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			answer := ask(server, c.method, c.path, nil)
			require.Equal(t, c.code, answer.Code)
			require.Equal(t, c.allow, answer.Header().Get("Allow"))
			require.Equal(t, "no-store", answer.Header().Get("Cache-Control"))
			require.Equal(t, "nosniff", answer.Header().Get("X-Content-Type-Options"))
			require.NotContains(t, answer.Body.String(), c.path+".", "nothing of the request comes back")
		})
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, cert.P256, "ca", noon)
	overdue, bare := ca.shown(3), ca.shown(3)
	overdue.CRL = ca.listOf(&x509.RevocationList{ThisUpdate: noon.Add(-time.Hour), NextUpdate: noon})
	bare.CRL = ""
	old := newAuthority(t, cert.P256, "old", noon).shown(1)
	for sentence, c := range map[string]struct {
		authorities []httpd.Authority
		code        int
		text        string
	}{
		"nothing to serve":                 {nil, 503, "there is no certificate authority yet\n"},
		"a list that holds":                {[]httpd.Authority{ca.shown(1)}, 200, "ok\n"},
		"no list":                          {[]httpd.Authority{bare}, 200, "ok\n"},
		"a list that is overdue":           {[]httpd.Authority{overdue, old}, 503, "the revocation list of CA generation 3 is overdue since 2026-05-04T12:00:30Z\n"},
		"an old CA's list that is overdue": {[]httpd.Authority{newAuthority(t, cert.P256, "new", noon).shown(4), overdue}, 200, "ok\n"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			answer := get(serving(t, c.authorities...), "/healthz")
			require.Equal(t, c.code, answer.Code)
			require.Equal(t, c.text, answer.Body.String())
		})
	}
	require.Equal(t, 503, get(httpd.New(quiet(), atNoon), "/healthz").Code, "before Show")
}

// One bad part never takes another with it.
func TestUnreadablePartsAreLeftOut(t *testing.T) {
	t.Parallel()
	good, ca, stranger := newAuthority(t, cert.P256, "good", noon), newAuthority(t, cert.P256, "ca", noon), newAuthority(t, cert.P256, "stranger", noon)
	namesake := newAuthority(t, cert.P256, "ca", noon)
	year := noon.AddDate(1, 0, 0)
	responder, key := ca.responder(cert.P256, year, x509.ExtKeyUsageOCSPSigning)
	foreign, foreignKey := stranger.responder(cert.P256, year, x509.ExtKeyUsageOCSPSigning)
	other, otherKey := ca.responder(cert.P256, year, x509.ExtKeyUsageServerAuth)
	whole := ca.shown(2)
	endless := whole.CRL[:strings.Index(whole.CRL, "\n")+1]
	const crt, crl, ocsp = "/ca/2.crt", "/crl/2.crl", "ocsp"
	for sentence, c := range map[string]struct {
		spoil func(*httpd.Authority)
		lost  []string
		log   string
	}{
		"nothing":                      {func(*httpd.Authority) {}, nil, ""},
		"a delegated responder":        {func(a *httpd.Authority) { a.Responder, a.ResponderKey = responder, key }, nil, ""},
		"no certificate":               {func(a *httpd.Authority) { a.Certificate = "" }, []string{crt, crl, ocsp}, "no PEM block"},
		"two certificates":             {func(a *httpd.Authority) { a.Certificate += good.text() }, []string{crt, crl, ocsp}, "holds 2"},
		"the generation of another":    {func(a *httpd.Authority) { a.Generation = 1 }, []string{crt, crl, ocsp}, "another one"},
		"a list cut short":             {func(a *httpd.Authority) { a.CRL = endless }, []string{crl, ocsp}, "not one PEM block"},
		"two lists":                    {func(a *httpd.Authority) { a.CRL += a.CRL }, []string{crl, ocsp}, "not one PEM block"},
		"a certificate as list":        {func(a *httpd.Authority) { a.CRL = a.Certificate }, []string{crl, ocsp}, "not one PEM block"},
		"garbage as list":              {func(a *httpd.Authority) { a.CRL = "-----BEGIN X509 CRL-----\nZ2FyYmFnZQ==\n-----END X509 CRL-----\n" }, []string{crl, ocsp}, "malformed"},
		"another CA's list":            {func(a *httpd.Authority) { a.CRL = stranger.list() }, []string{crl, ocsp}, "another CA's"},
		"a list of a CA named alike":   {func(a *httpd.Authority) { a.CRL = namesake.list() }, []string{crl, ocsp}, "verification"},
		"no key":                       {func(a *httpd.Authority) { a.ResponderKey = cert.Key{} }, []string{ocsp}, ""},
		"a damaged key":                {func(a *httpd.Authority) { a.ResponderKey = cert.NewKey("secret") }, []string{ocsp}, "no PEM block"},
		"another's key":                {func(a *httpd.Authority) { a.ResponderKey = key }, []string{ocsp}, "not the certificate's"},
		"another CA's responder":       {func(a *httpd.Authority) { a.Responder, a.ResponderKey = foreign, foreignKey }, []string{ocsp}, "is not the CA's"},
		"a responder for other usages": {func(a *httpd.Authority) { a.Responder, a.ResponderKey = other, otherKey }, []string{ocsp}, "OCSPSigning"},
		"garbage as responder":         {func(a *httpd.Authority) { a.Responder, a.ResponderKey = "x", key }, []string{ocsp}, "no PEM block"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			spoiled := whole
			c.spoil(&spoiled)
			var log strings.Builder
			server := httpd.New(slog.New(slog.NewTextHandler(&log, nil)), atNoon)
			view := httpd.View{Authorities: []httpd.Authority{good.shown(1), spoiled}}
			server.Show(view)
			for _, path := range []string{"/ca/1.crt", "/crl/1.crl"} {
				require.Equal(t, 200, get(server, path).Code, path)
			}
			require.NoError(t, statusOf(t, server, good, 7))
			for _, path := range []string{crt, crl} {
				require.Equal(t, slices.Contains(c.lost, path), get(server, path).Code == 404, path)
			}
			require.Equal(t, slices.Contains(c.lost, ocsp), statusOf(t, server, ca, 7) != nil)
			require.Contains(t, log.String(), c.log)
			require.Equal(t, c.log == "", log.Len() == 0)
			require.NotContains(t, log.String(), "secret")
			said := log.String()
			server.Show(view)
			require.Equal(t, said, log.String(), "the same view is not read again")
		})
	}
}

// Run with the race detector: make race PACKAGES=./internal/httpd.
func TestViewIsReplacedWhileRequestsRun(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, cert.P256, "ca", noon)
	revoked, clean := ca.shown(1), ca.shown(1)
	clean.CRL = ca.list()
	server := serving(t, clean)
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			for range 25 {
				if i == 0 {
					server.Show(httpd.View{Authorities: []httpd.Authority{revoked}})
					server.Show(httpd.View{Authorities: []httpd.Authority{clean}})
				}
				for _, path := range []string{"/crl", "/ca.pem", "/healthz"} {
					if code := get(server, path).Code; code != 200 {
						t.Errorf("%s gave %d", path, code)
					}
				}
				if err := statusOf(t, server, ca, 66); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
}
