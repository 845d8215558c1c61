// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// upstream is a relation with a provider that has these databags.
func upstream(app juju.Bag, units map[string]juju.Bag) juju.Relation {
	return juju.Relation{
		ID: 5, Endpoint: juju.Endpoint{Name: "upstream", Interface: "tls-certificates", Role: juju.Requires},
		RemoteApp: "vault", OwnUnit: juju.Bag{}, RemoteApplication: app, RemoteUnits: units,
	}
}

// entryFor is an entry of a provider's list of certificates.
func entryFor(request string, issued cert.Issued) entry {
	chain := []any{issued.Certificate}
	for _, issuer := range issued.Issuers {
		chain = append(chain, issuer)
	}
	return entry{"certificate_signing_request": request, "certificate": issued.Certificate, "ca": issued.Issuers[0], "chain": chain}
}

func listing(entries ...any) juju.Bag {
	text, _ := json.Marshal(entries)
	return juju.Bag{"certificates": string(text)}
}

func TestOffersCSR(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "root")
	ca, stranger := root.intermediate("issuing"), newRoot(t, "stranger")
	request := newRequest(t, "a")
	issued := ca.answer(request)
	for sentence, c := range map[string]struct {
		entry  func(entry) // changes the entry
		reason string      // of the denial
		none   bool        // neither offer nor denial
	}{
		"as it should be":                  {entry: func(entry) {}},
		"with a newline after the request": {entry: func(e entry) { e["certificate_signing_request"] = request + "\n" }},
		"with the request written anew": {entry: func(e entry) {
			e["certificate_signing_request"] = strings.ReplaceAll(request, "\n", "\r\n")
		}},
		"with the chain reversed": {entry: func(e entry) { slices.Reverse(e["chain"].([]any)) }},
		"with the chain in one text": {entry: func(e entry) {
			e["chain"] = []any{root.issuers[0] + "text\n" + ca.issuers[0]}
		}},
		"with the issuer in ca only": {entry: func(e entry) { e["chain"] = []any{issued.Certificate, root.issuers[0]} }},
		"without a chain, all in ca": {entry: func(e entry) {
			delete(e, "chain")
			e["ca"] = ca.issuers[0] + root.issuers[0]
		}},
		"with a bundle for a certificate":   {entry: func(e entry) { e["certificate"] = issued.Certificate + ca.issuers[0] }},
		"revoked":                           {entry: func(e entry) { e["revoked"] = true }},
		"revoked is null":                   {entry: func(e entry) { e["revoked"] = nil }},
		"with unknown members":              {entry: func(e entry) { e["colour"] = []any{1} }},
		"for another's request":             {entry: func(e entry) { e["certificate_signing_request"] = newRequest(t, "a") }, none: true},
		"for no request":                    {entry: func(e entry) { delete(e, "certificate_signing_request") }, none: true},
		"for a request that is a number":    {entry: func(e entry) { e["certificate_signing_request"] = 1 }, none: true},
		"with garbage":                      {entry: func(e entry) { e["certificate"] = "garbage" }, reason: "certificate: cannot read certificates"},
		"with garbage for a CA":             {entry: func(e entry) { e["ca"] = "garbage" }, reason: "ca: cannot read certificates"},
		"with garbage in the chain":         {entry: func(e entry) { e["chain"] = []any{"garbage"} }, reason: "chain[0]: cannot read"},
		"with a certificate that is a list": {entry: func(e entry) { e["certificate"] = []any{} }, reason: "it is a list, not a string"},
		"with a CA missing":                 {entry: func(e entry) { delete(e, "ca") }, reason: "ca: it is missing, not a string"},
		"with a chain that is a text":       {entry: func(e entry) { e["chain"] = "text" }, reason: "chain: it is a string, not a list"},
		"with revoked that is a text":       {entry: func(e entry) { e["revoked"] = "no" }, reason: "revoked: it is a string"},
		"with a key of another":             {entry: func(e entry) { e["certificate"] = ca.issue("a").Certificate }, reason: "not for the request's key"},
		"with CAs that did not sign it":     {entry: func(e entry) { e["ca"], e["chain"] = stranger.issuers[0], stranger.issuers }, reason: "not signed by any CA"},
		"with a CA certificate not asked for": {
			entry: func(e entry) { e["certificate"] = asCA(t, ca, request) }, reason: "is a CA's, which was not asked for",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			e := entryFor(request, issued)
			c.entry(e)
			neighbour := newRequest(t, "b")
			rel := upstream(listing(1, e, entryFor(neighbour, ca.answer(neighbour))), nil)
			wants := []dialect.Want{{Kind: cert.Server, Request: request}, {Kind: cert.Server, Request: neighbour + "\n"}}
			offers, denials := dialect.Offers(rel, "kube/0", wants)
			require.Equal(t, 1, offers[len(offers)-1].Want, "the neighbour's entry is taken in any case")
			if c.reason != "" || c.none {
				require.Len(t, offers, 1)
				if c.none {
					require.Empty(t, denials)
					return
				}
				require.Equal(t, []string{" certificates[1] malformed"}, refusals(denials))
				require.Contains(t, denials[0].Reason, c.reason)
				require.Equal(t, request, denials[0].Request)
				return
			}
			require.Empty(t, denials)
			require.Len(t, offers, 2)
			require.Equal(t, dialect.Offer{
				Want: 0, Dialect: dialect.CSR, Issued: issued, Trust: root.issuers, Revoked: e["revoked"] == true,
			}, offers[0])
		})
	}
}

// asCA answers a request with a CA certificate.
func asCA(t *testing.T, ca authority, request string) string {
	t.Helper()
	parsed, err := cert.ParseRequest(request)
	require.NoError(t, err)
	return cert.EncodeCertificates(ca.sign(template("a", true), parsed.PublicKey, ca.leaf))
}

func TestOffersCSRForCA(t *testing.T) {
	t.Parallel()
	ca, request := newRoot(t, "root"), newRequest(t, "ica")
	issued := cert.Issued{Certificate: asCA(t, ca, request), Issuers: ca.issuers}
	wants := []dialect.Want{{Kind: cert.Intermediate, Request: request}}
	offers, denials := dialect.Offers(upstream(listing(entryFor(request, issued)), nil), "kube/0", wants)
	require.Empty(t, denials)
	require.Equal(t, issued, offers[0].Issued)

	offers, denials = dialect.Offers(upstream(listing(entryFor(request, ca.answer(request))), nil), "kube/0", wants)
	require.Empty(t, offers)
	require.Contains(t, denials[0].Reason, "is not a CA's, which was asked for")
}

func TestOffersCSRDamagedValues(t *testing.T) {
	t.Parallel()
	wants := []dialect.Want{{Kind: cert.Server, Request: newRequest(t, "a")}}
	for value, code := range map[string]dialect.Code{
		"{": dialect.Malformed, "{}": dialect.Malformed, "1": dialect.Malformed, "[] 1": dialect.Malformed,
		strings.Repeat("[", 20) + strings.Repeat("]", 20): dialect.TooLarge,
		"[]": "", "null": "", "[1, null, {}, []]": "",
	} {
		offers, denials := dialect.Offers(upstream(juju.Bag{"certificates": value, "request_errors": value}, nil), "kube/0", wants)
		require.Empty(t, offers)
		if code == "" {
			require.Empty(t, denials, value)
			continue
		}
		require.Equal(t, []string{" certificates " + string(code), " request_errors " + string(code)}, refusals(denials), value)
	}
}

func TestOffersErrors(t *testing.T) {
	t.Parallel()
	request := newRequest(t, "a")
	for sentence, c := range map[string]struct {
		item   entry
		code   dialect.Code
		reason string
	}{
		"as the library writes it":     {entry{"csr": request, "error": entry{"code": 102, "name": "x", "message": "no"}}, dialect.BadName, "the provider says: no"},
		"as the description has it":    {entry{"certificate_signing_request": request, "error": entry{"code": 101, "message": "no"}}, dialect.BadIP, "the provider says: no"},
		"with nulls":                   {entry{"csr": request, "error": entry{"code": 999, "message": "no", "reason": nil, "provider": nil}}, dialect.NotSigned, "the provider says: no"},
		"a transient one":              {entry{"csr": request, "error": entry{"code": 201, "message": "later"}}, dialect.NoAuthority, "the provider says: later"},
		"signet's own":                 {entry{"csr": request, "error": entry{"code": 999, "message": "no", "reason": "weak-key"}}, dialect.WeakKey, "the provider says: no"},
		"with an error that is a text": {entry{"csr": request, "error": "no"}, dialect.NotSigned, "the provider says: the provider refused the request without a readable reason"},
		"with line breaks":             {entry{"csr": request, "error": entry{"code": 1, "message": "a\nb"}}, dialect.NotSigned, `the provider says: a\nb`},
		"another's":                    {entry{"csr": newRequest(t, "a"), "error": entry{"code": 101}}, "", ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal([]any{c.item})
			require.NoError(t, err)
			rel := upstream(juju.Bag{"request_errors": string(text)}, nil)
			require.Equal(t, []dialect.Dialect{dialect.CSR}, dialect.Spoken(rel))
			offers, denials := dialect.Offers(rel, "kube/0", []dialect.Want{{Kind: cert.Server, Request: request}})
			require.Empty(t, offers)
			if c.code == "" {
				require.Empty(t, denials)
				return
			}
			require.Equal(t, []dialect.Denial{{
				Relation: 5, Item: "request_errors[0]", Request: request, Code: c.code, Reason: c.reason,
			}}, denials)
		})
	}
}

// filed is what a legacy provider publishes for kube/0.
func filed(ca authority, shared juju.Bag, pairs map[string]cert.Issued) juju.Bag {
	bag := juju.Bag{"ca": ca.issuers[len(ca.issuers)-1]}
	if len(ca.issuers) > 1 {
		bag["chain"] = ca.issuers[0]
	}
	maps.Copy(bag, shared)
	for place, issued := range pairs {
		key, name, nested := strings.Cut(place, "|")
		if !nested {
			bag["kube_0."+key+".cert"], bag["kube_0."+key+".key"] = issued.Certificate, issued.Key.Reveal()
			continue
		}
		text, _ := json.Marshal(map[string]any{name: map[string]string{"cert": issued.Certificate, "key": issued.Key.Reveal()}})
		bag["kube_0."+key] = string(text)
	}
	return bag
}

func TestOffersLegacy(t *testing.T) {
	t.Parallel()
	ca, stranger := newRoot(t, "root").intermediate("issuing"), newRoot(t, "stranger")
	server, client, ica := ca.issue("a", "a.example"), ca.issue("a"), ca.issueCA("a")
	long := ca.issue("", "a")
	foreign := stranger.issue("a")
	text := func(issued cert.Issued) cert.Issued {
		issued.Certificate = "Certificate:\n    Data:\n" + strings.ReplaceAll(issued.Certificate, "\n", "\r\n")
		return issued
	}
	for sentence, c := range map[string]struct {
		kind   cert.Kind
		top    string // this unit's top-level request
		units  map[string]juju.Bag
		issued cert.Issued // empty for no offer
		denied []string
	}{
		"a server certificate at the top level": {
			kind: cert.Server, top: "a", issued: server,
			units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"server": server})},
		},
		"a server certificate by name": {
			kind: cert.Server, top: "b", issued: server,
			units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"processed_requests|a": server, "server": ca.issue("b")})},
		},
		"a server certificate still at the top level after another took its place": {
			kind: cert.Server, top: "b", issued: server,
			units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"server": server})},
		},
		"a server certificate by name after it became the top level": {
			kind: cert.Server, top: "a", issued: server,
			units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"processed_requests|a": server, "server": ca.issue("b")})},
		},
		"a common name that stands among the names only": {
			kind: cert.Server, top: "a", issued: long,
			units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"server": long})},
		},
		"a client certificate": {
			kind: cert.Client, issued: client,
			units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"processed_client_requests|a": client})},
		},
		"an intermediate by name": {
			kind: cert.Intermediate, issued: ica,
			units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"processed_intermediate_requests|a": ica})},
		},
		"an intermediate as the application's": {
			kind: cert.Intermediate, issued: ica,
			units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"processed_intermediate_requests|app_data": ica})},
		},
		"the application's certificate": {
			kind: cert.Application, issued: server,
			units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"processed_application_requests|app_data": server})},
		},
		"with openssl's text and CRLF": {
			kind: cert.Server, top: "a", issued: server,
			units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"server": text(server)})},
		},
		"of the first unit that has it": {
			kind: cert.Server, top: "a", issued: server,
			units: map[string]juju.Bag{
				"vault/0": {}, "vault/1": filed(ca, nil, map[string]cert.Issued{"server": server}),
				"vault/2": filed(stranger, nil, map[string]cert.Issued{"server": foreign}),
			},
		},
		"of the first unit whose answer is good": {
			kind: cert.Client, issued: client,
			units: map[string]juju.Bag{
				"vault/0": filed(ca, nil, map[string]cert.Issued{"processed_client_requests|a": foreign}),
				"vault/1": filed(ca, nil, map[string]cert.Issued{"processed_client_requests|a": client}),
			},
		},
		"with the CA of another unit": {
			kind: cert.Client, issued: client,
			units: map[string]juju.Bag{
				"vault/0": filed(ca, juju.Bag{"ca": "", "chain": ""}, map[string]cert.Issued{"processed_client_requests|a": client}),
				"vault/1": filed(ca, nil, nil),
			},
		},
		"nothing yet":                    {kind: cert.Server, top: "a", units: map[string]juju.Bag{"vault/0": filed(ca, nil, nil)}},
		"an answer for another unit":     {kind: cert.Server, top: "a", units: map[string]juju.Bag{"vault/0": {"kube_1.server.cert": server.Certificate, "kube_1.server.key": server.Key.Reveal()}}},
		"an answer for another name":     {kind: cert.Server, top: "a", units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"server": ca.issue("b")})}},
		"a value that is not an object":  {kind: cert.Client, units: map[string]juju.Bag{"vault/0": filed(ca, juju.Bag{"kube_0.processed_client_requests": "["}, nil)}},
		"a certificate by a foreign CA":  {kind: cert.Client, units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"processed_client_requests|a": foreign})}, denied: []string{"vault/0 kube_0.processed_client_requests[a] malformed"}},
		"a CA certificate not asked for": {kind: cert.Client, units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"processed_client_requests|a": ica})}, denied: []string{"vault/0 kube_0.processed_client_requests[a] malformed"}},
		"no CA certificate though asked": {kind: cert.Intermediate, units: map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"processed_intermediate_requests|a": client})}, denied: []string{"vault/0 kube_0.processed_intermediate_requests[a] malformed"}},
		"a key of another": {
			kind:   cert.Client,
			units:  map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"processed_client_requests|a": {Certificate: client.Certificate, Key: server.Key}})},
			denied: []string{"vault/0 kube_0.processed_client_requests[a] malformed"},
		},
		"garbage": {
			kind:   cert.Client,
			units:  map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"processed_client_requests|a": {Certificate: "garbage", Key: server.Key}})},
			denied: []string{"vault/0 kube_0.processed_client_requests[a] malformed"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			rel := upstream(juju.Bag{}, c.units)
			rel.OwnUnit = juju.Bag{"common_name": c.top}
			offers, denials := dialect.Offers(rel, "kube/0", []dialect.Want{{Kind: cert.Server}, {Kind: c.kind, CommonName: "a"}})
			require.Equal(t, append([]string{}, c.denied...), refusals(denials))
			for _, denial := range denials {
				require.NotContains(t, denial.Reason, "PRIVATE")
			}
			if c.issued.Certificate == "" {
				require.Empty(t, offers)
				return
			}
			require.Equal(t, []dialect.Dialect{dialect.Legacy}, dialect.Spoken(rel))
			require.Equal(t, []dialect.Offer{{Want: 1, Dialect: dialect.Legacy, Issued: c.issued, Trust: ca.issuers[1:]}}, offers)
		})
	}
}

func TestOffersInBothDialects(t *testing.T) {
	t.Parallel()
	ca, request := newRoot(t, "root"), newRequest(t, "a")
	legacy, modern := ca.issue("a"), ca.answer(request)
	rel := upstream(listing(entryFor(request, modern)), map[string]juju.Bag{"vault/0": filed(ca, nil, map[string]cert.Issued{"server": legacy})})
	rel.OwnUnit = juju.Bag{"common_name": "a"}
	require.Equal(t, []dialect.Dialect{dialect.Legacy, dialect.CSR}, dialect.Spoken(rel))
	offers, denials := dialect.Offers(rel, "kube/0", []dialect.Want{{Kind: cert.Server, CommonName: "a", Request: request}})
	require.Empty(t, denials)
	require.Equal(t, []dialect.Offer{
		{Dialect: dialect.CSR, Issued: modern, Trust: ca.issuers},
		{Dialect: dialect.Legacy, Issued: legacy, Trust: ca.issuers},
	}, offers)
	require.Empty(t, dialect.Spoken(upstream(juju.Bag{}, map[string]juju.Bag{"vault/0": {"ingress-address": "x"}})))
}
