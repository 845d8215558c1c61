// SPDX-License-Identifier: AGPL-3.0-only

package httpd_test

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/httpd"
)

// request asks for a serial number of an authority.
func request(t testing.TB, ca *authority, serial *big.Int, hash crypto.Hash) []byte {
	t.Helper()
	var der []byte
	var err error
	fips140.WithoutEnforcement(func() { // clients ask with SHA-1 whatever signet runs with
		der, err = ocsp.CreateRequest(&x509.Certificate{SerialNumber: serial}, ca.certificate, &ocsp.RequestOptions{Hash: hash})
	})
	if err != nil {
		t.Error(err)
	}
	return der
}

// statusOf asks whether there is an answer at all.
func statusOf(t testing.TB, server *httpd.Server, ca *authority, serial int64) error {
	t.Helper()
	answer := ask(server, http.MethodPost, "/ocsp", request(t, ca, big.NewInt(serial), crypto.SHA1))
	_, err := ocsp.ParseResponse(answer.Body.Bytes(), ca.certificate)
	return err
}

func TestStatusOfCertificates(t *testing.T) {
	t.Parallel()
	year := noon.AddDate(1, 0, 0)
	for _, keys := range []cert.KeyType{cert.P256, cert.P384, cert.RSA2048} {
		ca := newAuthority(t, keys, "ca", noon)
		own := ca.shown(1)
		own.CRL = ca.list(ca.revoked(66, cert.KeyCompromise), ca.revoked(67, cert.Unspecified))
		delegated := own
		delegated.Responder, delegated.ResponderKey = ca.responder(keys, year, x509.ExtKeyUsageOCSPSigning)
		for who, shown := range map[string]httpd.Authority{"CA": own, "responder": delegated} {
			server := serving(t, shown)
			for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
				t.Run(fmt.Sprintf("%s signs with %s, hash is %s", who, keys, hash), func(t *testing.T) {
					t.Parallel()
					for serial, want := range map[int64]struct {
						status int
						reason cert.Reason
					}{7: {ocsp.Good, ""}, 66: {ocsp.Revoked, cert.KeyCompromise}, 67: {ocsp.Revoked, cert.Unspecified}} {
						asked := &x509.Certificate{SerialNumber: big.NewInt(serial)}
						answer := ask(server, http.MethodPost, "/ocsp", request(t, ca, asked.SerialNumber, hash))
						require.Equal(t, 200, answer.Code)
						require.Equal(t, "application/ocsp-response", answer.Header().Get("Content-Type"))
						require.Equal(t, "no-store", answer.Header().Get("Cache-Control"))
						told, err := ocsp.ParseResponseForCert(answer.Body.Bytes(), asked, ca.certificate)
						require.NoError(t, err)
						require.Equal(t, want.status, told.Status)
						require.Equal(t, hash, told.IssuerHash)
						require.Equal(t, noon.Truncate(time.Minute), told.ThisUpdate)
						require.Equal(t, noon.Truncate(time.Minute).Add(time.Hour), told.NextUpdate)
						require.Equal(t, who == "responder", told.Certificate != nil)
						if want.status == ocsp.Revoked {
							require.Equal(t, noon.Add(-time.Hour), told.RevokedAt)
							require.Equal(t, want.reason, cert.ReasonOf(told.RevocationReason))
						}
					}
				})
			}
		}
	}
}

// special gives a serial number with a request whose base64 has all that means something in a URL.
func special(t *testing.T, ca *authority) (*big.Int, string) {
	for fill := range 9 { // which octets begin a group of base64 depends on what stands before
		octets := slices.Concat(
			bytes.Repeat([]byte{1}, 1+fill%3), []byte{0xfb, 0xef, 0xbe, 0xff, 0xff, 0xff, 0xff, 0xff}, bytes.Repeat([]byte{1}, fill/3),
		)
		serial := new(big.Int).SetBytes(octets)
		text := base64.StdEncoding.EncodeToString(request(t, ca, serial, crypto.SHA256))
		if strings.Contains(text, "++") && strings.Contains(text, "//") && strings.HasSuffix(text, "=") {
			return serial, text
		}
	}
	require.Fail(t, "no such serial number")
	return nil, ""
}

func TestRequestsInPaths(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, cert.P256, "ca", noon)
	server := serving(t, ca.shown(1))
	serial, text := special(t, ca)
	for sentence, path := range map[string]string{
		"as it is":               "/ocsp/" + text,
		"escaped":                "/ocsp/" + url.QueryEscape(text),
		"escaped as a path":      "/ocsp/" + url.PathEscape(text),
		"only pluses escaped":    "/ocsp/" + strings.ReplaceAll(text, "+", "%2B"),
		"without padding":        "/ocsp/" + strings.TrimRight(text, "="),
		"after one slash more":   "/ocsp//" + text,
		"after one that escaped": "/ocsp/%2F" + text,
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			answer := get(server, path)
			require.Equal(t, 200, answer.Code)
			told, err := ocsp.ParseResponse(answer.Body.Bytes(), ca.certificate)
			require.NoError(t, err)
			require.Zero(t, serial.Cmp(told.SerialNumber))
			header := answer.Header()
			require.Equal(t, "application/ocsp-response", header.Get("Content-Type"))
			require.Equal(t, "public, max-age=3570, no-transform, must-revalidate", header.Get("Cache-Control"))
			require.Equal(t, "Mon, 04 May 2026 12:00:00 GMT", header.Get("Last-Modified"))
			require.Equal(t, "Mon, 04 May 2026 13:00:00 GMT", header.Get("Expires"))
			require.Equal(t, http.StatusNotModified, get(server, path, "If-None-Match", header.Get("ETag")).Code)
			require.Empty(t, ask(server, http.MethodHead, path, nil).Body.String())
		})
	}
}

// malformed are texts that are no requests.
func malformed(t testing.TB, ca *authority) map[string][]byte {
	whole := request(t, ca, big.NewInt(7), crypto.SHA1)
	return map[string][]byte{
		"nothing":            {},
		"garbage":            []byte("garbage"),
		"one cut short":      whole[:len(whole)-1],
		"one with more":      append(bytes.Clone(whole), 0),
		"no certificate":     {0x30, 0x04, 0x30, 0x02, 0x30, 0x00},
		"a hash of nobody's": bytes.Replace(whole, []byte{0x2b, 0x0e, 0x03, 0x02, 0x1a}, []byte{0x2b, 0x0e, 0x03, 0x02, 0x1b}, 1),
		"a length of 2 GiB":  {0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x30},
	}
}

func TestWhyThereIsNoStatus(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t, cert.P256, "ca", noon), newAuthority(t, cert.P256, "ca", noon)
	list := func(next time.Time) string {
		return ca.listOf(&x509.RevocationList{ThisUpdate: noon.Add(-time.Hour), NextUpdate: next})
	}
	ended := ca.shown(1)
	ended.Responder, ended.ResponderKey = ca.responder(cert.P256, noon, x509.ExtKeyUsageOCSPSigning)
	with := func(change func(*httpd.Authority)) httpd.Authority {
		a := ca.shown(1)
		change(&a)
		return a
	}
	good := request(t, ca, big.NewInt(7), crypto.SHA1)
	type try struct {
		shown   httpd.Authority
		request []byte
		status  ocsp.ResponseStatus
	}
	tries := map[string]try{
		"another CA of the same name": {ca.shown(1), request(t, stranger, big.NewInt(7), crypto.SHA1), ocsp.Unauthorized},
		"a serial number too long":    {ca.shown(1), request(t, ca, new(big.Int).Lsh(big.NewInt(1), 160), crypto.SHA1), ocsp.Unauthorized},
		"no key":                      {with(func(a *httpd.Authority) { a.ResponderKey = cert.Key{} }), good, ocsp.Unauthorized},
		"no list":                     {with(func(a *httpd.Authority) { a.CRL = "" }), good, ocsp.TryLater},
		"a list that is overdue":      {with(func(a *httpd.Authority) { a.CRL = list(noon) }), good, ocsp.TryLater},
		"a responder that is over":    {ended, good, ocsp.TryLater},
	}
	for sentence, der := range malformed(t, ca) {
		tries[sentence] = try{ca.shown(1), der, ocsp.Malformed}
	}
	for sentence, c := range tries {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			server := serving(t, c.shown)
			for _, answer := range []*httptest.ResponseRecorder{
				ask(server, http.MethodPost, "/ocsp", c.request),
				get(server, "/ocsp/"+base64.StdEncoding.EncodeToString(c.request)),
			} {
				require.Equal(t, 200, answer.Code)
				require.Equal(t, "application/ocsp-response", answer.Header().Get("Content-Type"))
				require.Equal(t, "no-store", answer.Header().Get("Cache-Control"))
				_, err := ocsp.ParseResponse(answer.Body.Bytes(), ca.certificate)
				require.Equal(t, ocsp.ResponseError{Status: c.status}, err)
			}
		})
	}
	server := serving(t, ca.shown(1))
	require.Equal(t, http.StatusRequestEntityTooLarge, ask(server, http.MethodPost, "/ocsp", make([]byte, 4097)).Code)
	require.Equal(t, http.StatusRequestURITooLong, get(server, "/ocsp/"+strings.Repeat("M", 4097)).Code)
	require.Equal(t, 200, get(server, "/ocsp/!").Code, "what is not base64 is malformed as well")
}

func TestResponsesEndWithWhatTheyRestOn(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, cert.P256, "ca", noon)
	soon := noon.Add(10 * time.Second)
	short, brief := ca.shown(1), ca.shown(1)
	short.CRL = ca.listOf(&x509.RevocationList{ThisUpdate: noon.Add(-time.Hour), NextUpdate: soon})
	brief.Responder, brief.ResponderKey = ca.responder(cert.P256, soon, x509.ExtKeyUsageOCSPSigning)
	for sentence, shown := range map[string]httpd.Authority{"the list": short, "the responder's certificate": brief} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			path := "/ocsp/" + base64.StdEncoding.EncodeToString(request(t, ca, big.NewInt(7), crypto.SHA1))
			answer := get(serving(t, shown), path)
			told, err := ocsp.ParseResponse(answer.Body.Bytes(), ca.certificate)
			require.NoError(t, err)
			require.Equal(t, soon, told.NextUpdate)
			require.Contains(t, answer.Header().Get("Cache-Control"), "max-age=10,")
		})
	}
}

// ECDSA signatures differ each time, so that the same bytes mean the same signature.
func TestOneSignatureServesAMinute(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, cert.P256, "ca", noon)
	now := noon
	server := httpd.New(quiet(), func() time.Time { return now })
	view := httpd.View{Authorities: []httpd.Authority{ca.shown(1)}}
	server.Show(view)
	ask := func(serial int64, hash crypto.Hash) string {
		return ask(server, http.MethodPost, "/ocsp", request(t, ca, big.NewInt(serial), hash)).Body.String()
	}
	first := ask(7, crypto.SHA1)
	server.Show(view)
	now = noon.Add(29 * time.Second)
	require.Equal(t, first, ask(7, crypto.SHA1))
	require.NotEqual(t, first, ask(7, crypto.SHA256))
	require.NotEqual(t, first, ask(8, crypto.SHA1))
	now = noon.Add(30 * time.Second)
	second := ask(7, crypto.SHA1)
	require.NotEqual(t, first, second)
	for serial := range int64(4096) { // more than are remembered
		ask(1000+serial, crypto.SHA1)
	}
	require.NotEqual(t, second, ask(7, crypto.SHA1))

	view.Authorities = []httpd.Authority{ca.shown(1)}
	view.Authorities[0].CRL = ca.list(ca.revoked(7, cert.Superseded))
	server.Show(view)
	told, err := ocsp.ParseResponse([]byte(ask(7, crypto.SHA1)), ca.certificate)
	require.NoError(t, err)
	require.Equal(t, ocsp.Revoked, told.Status, "a new view is in force at once")
}

func TestManyWhoAskTheSameGetOneSignature(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, cert.P256, "ca", noon)
	server := serving(t, ca.shown(1))
	der := request(t, ca, big.NewInt(7), crypto.SHA1)
	answers := make([]string, 32)
	var work sync.WaitGroup
	for i := range answers {
		work.Go(func() { answers[i] = ask(server, http.MethodPost, "/ocsp", der).Body.String() })
	}
	work.Wait()
	for _, answer := range answers {
		require.Equal(t, answers[0], answer)
	}
}

// The newest of two CAs with one key and one name answers, as after a renewal that kept the key.
func TestNewestGenerationAnswers(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, cert.P256, "ca", noon)
	old, renewed := ca.shown(1), ca.shown(2)
	renewed.CRL = ca.list()
	answer := ask(serving(t, renewed, old), http.MethodPost, "/ocsp/", request(t, ca, big.NewInt(66), crypto.SHA1))
	told, err := ocsp.ParseResponse(answer.Body.Bytes(), ca.certificate)
	require.NoError(t, err)
	require.Equal(t, ocsp.Good, told.Status)
}

func FuzzOCSP(f *testing.F) {
	ca := newAuthority(f, cert.P256, "ca", noon)
	server := serving(f, ca.shown(1))
	for _, serial := range []int64{-1, 0, 7, 66} {
		f.Add(request(f, ca, big.NewInt(serial), crypto.SHA1))
		f.Add(request(f, ca, big.NewInt(serial), crypto.SHA512))
	}
	f.Add(request(f, newAuthority(f, cert.P256, "other", noon), big.NewInt(7), crypto.SHA1))
	for _, der := range malformed(f, ca) {
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		posted := ask(server, http.MethodPost, "/ocsp", der)
		inPath := httptest.NewRecorder()
		server.Handler().ServeHTTP(inPath, &http.Request{
			Method: http.MethodGet, URL: &url.URL{Path: "/ocsp/" + base64.StdEncoding.EncodeToString(der)},
		})
		raw := httptest.NewRecorder()
		server.Handler().ServeHTTP(raw, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/ocsp/" + string(der)}})
		for _, answer := range []*httptest.ResponseRecorder{posted, inPath, raw} {
			if answer.Code != 200 {
				require.Greater(t, len(der), 3000)
				continue
			}
			_, err := ocsp.ParseResponse(answer.Body.Bytes(), ca.certificate)
			if refusal, refused := errors.AsType[ocsp.ResponseError](err); refused {
				require.Contains(t, []ocsp.ResponseStatus{ocsp.Malformed, ocsp.Unauthorized}, refusal.Status)
				continue
			}
			require.NoError(t, err)
		}
		if posted.Code == 200 && inPath.Code == 200 {
			require.Equal(t, posted.Body.Bytes(), inPath.Body.Bytes(), "both forms agree")
		}
	})
}
