// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

func TestRequestLegacy(t *testing.T) {
	t.Parallel()
	name := func(dns ...string) cert.Names { return cert.Names{DNS: dns} }
	for sentence, c := range map[string]struct {
		own   juju.Bag
		wants []dialect.Want
		bag   juju.Bag
	}{
		"nothing wanted: only the name": {bag: juju.Bag{"unit_name": "kube_0"}},
		"one server at the top level": {
			wants: []dialect.Want{{Kind: cert.Server, CommonName: "a", Names: cert.Names{DNS: []string{"x"}, IPs: []string{"10.0.0.1"}}}},
			bag:   juju.Bag{"unit_name": "kube_0", "common_name": "a", "sans": `["x","10.0.0.1"]`, "certificate_name": "kube_0"},
		},
		"a second server below, an intermediate and a client": {
			wants: []dialect.Want{
				{Kind: cert.Client, CommonName: "c"}, {Kind: cert.Server, CommonName: "a"}, {Kind: cert.Server, CommonName: "b", Names: name("x")},
				{Kind: cert.Intermediate, CommonName: "i"},
			},
			bag: juju.Bag{
				"unit_name": "kube_0", "common_name": "a", "sans": "[]", "certificate_name": "kube_0",
				"cert_requests": `{"b":{"sans":["x"]}}`, "client_cert_requests": `{"c":{"sans":[]}}`, "intermediate_cert_requests": `{"i":{"sans":[]}}`,
			},
		},
		"what stands at the top level stays there": {
			own:   juju.Bag{"common_name": "b", "certificate_name": "kept"},
			wants: []dialect.Want{{Kind: cert.Server, CommonName: "a"}, {Kind: cert.Server, CommonName: "b", Names: name("new")}},
			bag: juju.Bag{
				"unit_name": "kube_0", "common_name": "b", "sans": `["new"]`, "certificate_name": "kept", "cert_requests": `{"a":{"sans":[]}}`,
			},
		},
		"the same wanted twice is asked once": {
			wants: []dialect.Want{{Kind: cert.Client, CommonName: "a", Names: name("x")}, {Kind: cert.Client, CommonName: "a", Names: name("y")}},
			bag:   juju.Bag{"unit_name": "kube_0", "client_cert_requests": `{"a":{"sans":["x","y"]}}`},
		},
		"a want without a common name cannot be asked": {
			wants: []dialect.Want{{Kind: cert.Server, Names: name("x")}}, bag: juju.Bag{"unit_name": "kube_0"},
		},
		"what is not wanted any more goes, others' requests and keys stay": {
			own: juju.Bag{
				"common_name": "gone", "sans": "[]", "certificate_name": "gone", "colour": "blue", "ingress-address": "10.0.0.1",
				"cert_requests": `{"gone": {"sans": []}, "theirs": {"sans": [], "by": "them"}}`, "client_cert_requests": `{"gone": {}}`,
				"certificate_signing_requests": "[]",
			},
			bag: juju.Bag{"unit_name": "kube_0", "colour": "blue", "ingress-address": "10.0.0.1", "cert_requests": `{"theirs":{"by":"them","sans":[]}}`},
		},
		"the same, written otherwise, stays": {
			own:   juju.Bag{"client_cert_requests": `{"a": {"sans": []}}`},
			wants: []dialect.Want{{Kind: cert.Client, CommonName: "a"}},
			bag:   juju.Bag{"unit_name": "kube_0", "client_cert_requests": `{"a": {"sans": []}}`},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			rel := upstream(nil, nil)
			rel.OwnUnit = c.own
			bag := dialect.Request(rel, "kube/0", c.wants, dialect.Legacy)
			require.Equal(t, c.bag, bag)
			rel.OwnUnit = bag
			require.Equal(t, bag, dialect.Request(rel, "kube/0", c.wants, dialect.Legacy))
			for key, value := range dialect.Request(rel, "kube/0", c.wants) {
				require.Contains(t, []string{"colour", "ingress-address"}, key, "a dialect that is not spoken is withdrawn: %s", value)
			}
		})
	}
}

func TestRequestCSR(t *testing.T) {
	t.Parallel()
	a, b, gone, theirs := newRequest(t, "a"), newRequest(t, "b"), newRequest(t, "gone"), newRequest(t, "theirs")
	item := func(request, rest string) string {
		return fmt.Sprintf(`{%s"certificate_signing_request":%s}`, rest, quoted(request))
	}
	rel := upstream(nil, nil)
	rel.OwnUnit = juju.Bag{
		"colour": "blue", "common_name": "old", "unit_name": "kube_0",
		"certificate_signing_requests": "[" + strings.Join([]string{
			item(gone, ""), item(theirs, `"by":"them",`), item(b, `"note":1,`), `"garbage"`, `{}`, item(b, ""),
		}, ", ") + "]",
	}
	wants := []dialect.Want{
		{Kind: cert.Server, Request: a + "\n"}, {Kind: cert.Intermediate, Request: b}, {Kind: cert.Server, Request: a}, {Kind: cert.Client, CommonName: "c"},
	}
	bag := dialect.Request(rel, "kube/0", wants, dialect.CSR)
	require.Equal(t, juju.Bag{
		"colour": "blue",
		"certificate_signing_requests": "[" + strings.Join([]string{
			item(theirs, `"by":"them",`), `{"ca":true,` + item(b, "")[1:len(item(b, ""))-1] + `,"note":1}`, item(a, `"ca":false,`),
		}, ",") + "]",
	}, bag)
	rel.OwnUnit = bag
	require.Equal(t, bag, dialect.Request(rel, "kube/0", wants, dialect.CSR))

	both := dialect.Request(rel, "kube/0", wants, dialect.Legacy, dialect.CSR)
	require.Equal(t, bag["certificate_signing_requests"], both["certificate_signing_requests"])
	require.Equal(t, `{"c":{"sans":[]}}`, both["client_cert_requests"])
	left := dialect.Request(rel, "kube/0", nil, dialect.CSR)["certificate_signing_requests"]
	require.NotContains(t, left, quoted(a), "what is not wanted any more goes")
	require.Contains(t, left, quoted(theirs))
	require.Equal(t, juju.Bag{"colour": "blue"}, dialect.Request(rel, "kube/0", wants))
}
