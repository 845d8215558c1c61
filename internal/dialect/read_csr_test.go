// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// quoted is a text as a JSON string.
func quoted(text string) string {
	out, _ := json.Marshal(text)
	return string(out)
}

// asking is a databag that makes these requests as v4 writes them.
func asking(requests ...string) juju.Bag {
	items := []string{}
	for _, request := range requests {
		items = append(items, fmt.Sprintf(`{"certificate_signing_request": %s, "ca": false}`, quoted(request)))
	}
	return juju.Bag{"certificate_signing_requests": "[" + strings.Join(items, ", ") + "]"}
}

func TestReadCSRItems(t *testing.T) {
	t.Parallel()
	weakCurve, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	weak := requestWith(t, weakCurve, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "weak"}})
	good, bad := newRequest(t, "good", "good.example"), forged(t)
	badName := newRequest(t, "x", "bad_name.example")
	outOfOrder := requestWith(t, newKey(t), &x509.CertificateRequest{RawSubject: []byte("\x30\x18\x31\x16" +
		"\x30\x09\x06\x03\x55\x04\x0b\x0c\x02aa\x30\x09\x06\x03\x55\x04\x03\x0c\x02aa")})
	twoLines := requestWith(t, newKey(t), &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "a"}, EmailAddresses: []string{"a\nb@c.example"},
	})
	for sentence, c := range map[string]struct {
		item string // %s is the request
		code dialect.Code
		text string // the request
		echo bool   // the denial can be published
		kind cert.Kind
	}{
		"as v1 writes it":                 {item: `{"certificate_signing_request": %s}`, text: good, kind: cert.Server},
		"as v4 writes it":                 {item: `{"certificate_signing_request": %s, "ca": false}`, text: good, kind: cert.Server},
		"with a null":                     {item: `{"certificate_signing_request": %s, "ca": null}`, text: good, kind: cert.Server},
		"for a CA":                        {item: `{"certificate_signing_request": %s, "ca": true}`, text: good, kind: cert.Intermediate},
		"with unknown members":            {item: `{"certificate_signing_request": %s, "colour": ["blue"]}`, text: good, kind: cert.Server},
		"with a trailing newline":         {item: `{"certificate_signing_request": %s}`, text: good + "\n", kind: cert.Server},
		"with CRLF":                       {item: `{"certificate_signing_request": %s}`, text: strings.ReplaceAll(good, "\n", "\r\n"), kind: cert.Server},
		"with ca that is no boolean":      {item: `{"certificate_signing_request": %s, "ca": "yes"}`, text: good, code: dialect.Malformed, echo: true},
		"with ca twice":                   {item: `{"certificate_signing_request": %s, "ca": false, "ca": true}`, text: good, code: dialect.Malformed},
		"with the request missing":        {item: `{"request": %s}`, text: good, code: dialect.Malformed},
		"with a request that is no text":  {item: `{"certificate_signing_request": [%s]}`, text: good, code: dialect.Malformed},
		"that is no object":               {item: `%s`, text: good, code: dialect.Malformed},
		"with garbage":                    {item: `{"certificate_signing_request": %s}`, text: "garbage", code: dialect.Malformed},
		"with garbage in PEM":             {item: `{"certificate_signing_request": %s}`, text: "-----BEGIN CERTIFICATE REQUEST-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE REQUEST-----", code: dialect.Malformed},
		"with two requests in one":        {item: `{"certificate_signing_request": %s}`, text: good + "\n" + good, code: dialect.Malformed},
		"with NUL":                        {item: `{"certificate_signing_request": %s}`, text: good + "\x00", code: dialect.Malformed},
		"that is longer than any request": {item: `{"certificate_signing_request": %s}`, text: good + strings.Repeat(" ", 70000), code: dialect.TooLarge},
		"with a signature of another key": {item: `{"certificate_signing_request": %s}`, text: bad, code: dialect.BadSignature, echo: true},
		"with a weak key":                 {item: `{"certificate_signing_request": %s}`, text: weak, code: dialect.WeakKey, echo: true},
		"with a name that is none":        {item: `{"certificate_signing_request": %s}`, text: badName, code: dialect.BadName, echo: true},
		"with a set out of order":         {item: `{"certificate_signing_request": %s}`, text: outOfOrder, code: dialect.Malformed},
		"with a name of two lines":        {item: `{"certificate_signing_request": %s}`, text: twoLines, code: dialect.Malformed, echo: true},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			neighbour, other := newRequest(t, "neighbour"), newRequest(t, "other")
			rel := etcd(map[string]juju.Bag{
				"etcd/0": {"certificate_signing_requests": fmt.Sprintf(`[`+c.item+`, {"certificate_signing_request": %s}]`, quoted(c.text), quoted(neighbour))},
				"etcd/1": asking(other),
			})
			reading := dialect.Read(rel)
			require.Equal(t, []string{"etcd/0", "etcd/1"}, reading.CSR)
			require.Empty(t, reading.Legacy)
			last := reading.Asks[len(reading.Asks)-2:]
			require.Equal(t, neighbour, last[0].Request, "the next item is served")
			require.Equal(t, other, last[1].Request, "the next unit is served")
			if c.code == "" {
				require.Empty(t, reading.Denials)
				require.Equal(t, dialect.Ask{
					Relation: 3, App: "etcd", Unit: "etcd/0", Dialect: dialect.CSR, Kind: c.kind,
					CommonName: "good", Names: cert.Names{DNS: []string{"good.example"}}, Request: c.text,
				}, reading.Asks[0])
				return
			}
			require.Len(t, reading.Asks, 2)
			require.Equal(t, []string{"etcd/0 certificate_signing_requests[0] " + string(c.code)}, refusals(reading.Denials))
			if c.echo {
				require.Equal(t, c.text, reading.Denials[0].Request)
			} else {
				require.Empty(t, reading.Denials[0].Request)
			}
		})
	}
}

func TestReadCSRValues(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		value string
		code  dialect.Code
	}{
		"not JSON":      {"-----BEGIN", dialect.Malformed},
		"trailing data": {"[] []", dialect.Malformed},
		"an object":     {"{}", dialect.Malformed},
		"a string":      {`"text"`, dialect.Malformed},
		"a number":      {"1", dialect.Malformed},
		"an empty list": {"[]", ""},
		"null":          {"null", ""},
		"4 MB":          {"[" + strings.Repeat(" ", 4<<20) + "]", dialect.TooLarge},
		"too deep":      {strings.Repeat("[", 17) + strings.Repeat("]", 17), dialect.TooLarge},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			other := newRequest(t, "other")
			rel := etcd(map[string]juju.Bag{"etcd/0": {"certificate_signing_requests": c.value}, "etcd/1": asking(other)})
			reading := dialect.Read(rel)
			require.Len(t, reading.Asks, 1)
			require.Equal(t, other, reading.Asks[0].Request)
			if c.code == "" {
				require.Empty(t, reading.Denials)
			} else {
				require.Equal(t, []string{"etcd/0 certificate_signing_requests " + string(c.code)}, refusals(reading.Denials))
			}
		})
	}
}

func TestReadCSRTooMany(t *testing.T) {
	t.Parallel()
	request := newRequest(t, "first")
	items := append([]string{`{"certificate_signing_request": ` + quoted(request) + "}"}, strings.Split(strings.Repeat("0 ", 9999), " ")[:9999]...)
	reading := dialect.Read(etcd(map[string]juju.Bag{"etcd/0": {"certificate_signing_requests": "[" + strings.Join(items, ",") + "]"}}))
	require.Len(t, reading.Asks, 1)
	require.Len(t, reading.Denials, 1000)
	last := reading.Denials[999]
	require.Equal(t, dialect.TooMany, last.Code)
	require.Equal(t, "9000 requests are beyond the 1000 that are served in one databag", last.Reason)
}

func TestReadCSRFromApplicationAndUnits(t *testing.T) {
	t.Parallel()
	a, b, c := newRequest(t, "a"), newRequest(t, "b"), newRequest(t, "c")
	rel := etcd(map[string]juju.Bag{"etcd/1": asking(b, a), "etcd/0": asking(b, c, c)})
	rel.RemoteApplication = asking(a)
	reading := dialect.Read(rel)
	require.Equal(t, []string{"", "etcd/0", "etcd/1"}, reading.CSR)
	require.Equal(t, []string{"  server a []", "etcd/0  server b []", "etcd/0  server c []"}, briefs(reading.Asks),
		"a request made by several is one ask, the first one's")
	require.Empty(t, reading.Denials)
	require.Empty(t, reading.Asks[2].Makers)
	require.Equal(t, []string{"", "etcd/1"}, reading.Asks[0].Makers)
}

func TestReadCSRDisagreementAboutCA(t *testing.T) {
	t.Parallel()
	request := newRequest(t, "a")
	ca := juju.Bag{"certificate_signing_requests": `[{"certificate_signing_request": ` + quoted(request) + `, "ca": true}]`}
	for sentence, units := range map[string]map[string]juju.Bag{
		"the CA first": {"etcd/0": ca, "etcd/1": asking(request)},
		"the CA last":  {"etcd/0": asking(request), "etcd/1": ca},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			reading := dialect.Read(etcd(units))
			require.Len(t, reading.Asks, 1)
			require.Equal(t, cert.Server, reading.Asks[0].Kind, "nobody gets a CA certificate by repeating another's request")
			require.Len(t, reading.Denials, 1)
			require.Equal(t, units[reading.Denials[0].Unit], ca)
			require.Empty(t, reading.Denials[0].Request, "the request itself is served")
		})
	}
}

func TestReadBothDialectsAtOnce(t *testing.T) {
	t.Parallel()
	request := newRequest(t, "modern")
	both := asking(request)
	both["unit_name"], both["common_name"] = "etcd_1", "old"
	reading := dialect.Read(etcd(map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0"}, "etcd/1": both, "etcd/2": asking(newRequest(t, "x")), "etcd/3": {},
	}))
	require.Equal(t, []string{"etcd/0", "etcd/1"}, reading.Legacy)
	require.Equal(t, []string{"etcd/1", "etcd/2"}, reading.CSR)
	require.Equal(t, []string{"etcd/1  server modern []", "etcd/1 etcd_1 server old []", "etcd/2  server x []"}, briefs(reading.Asks))
}
