// SPDX-License-Identifier: AGPL-3.0-only

package policy_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/policy"
)

// settings reads exceptions as an operator writes them.
func settings(t *testing.T, mode policy.Mode, exceptions ...string) policy.Settings {
	t.Helper()
	parsed, err := policy.ParseExceptions(strings.Join(exceptions, "\n"))
	require.NoError(t, err)
	return policy.Settings{Mode: mode, Provider: "signet", Exceptions: parsed}
}

func server(app string, names ...string) policy.Request {
	parsed, err := cert.ParseNames(names)
	if err != nil {
		panic(err)
	}
	return policy.Request{App: app, Kind: cert.Server, Names: parsed, ServerAuth: true, ClientAuth: true}
}

func client(app, commonName string, organizations ...string) policy.Request {
	return policy.Request{
		App: app, Kind: cert.Client, CommonNames: []string{commonName}, ClientAuth: true,
		Asked: &cert.Requested{CommonNames: []string{commonName}, Organizations: organizations, ClientAuth: true},
	}
}

// named is a server only, with a common name that is none of its names.
func named(app, commonName string) policy.Request {
	return policy.Request{App: app, Kind: cert.Server, CommonNames: []string{commonName}, ServerAuth: true, Asked: &cert.Requested{}}
}

func intermediate(app string) policy.Request {
	return policy.Request{App: app, Kind: cert.Intermediate, CommonNames: []string{"Issuing CA"}}
}

// with changes a request.
func with(request policy.Request, change func(*policy.Request)) policy.Request {
	if request.Asked == nil {
		request.Asked = &cert.Requested{CommonNames: request.CommonNames}
	}
	change(&request)
	return request
}

func foreign(request policy.Request) policy.Request {
	request.App, request.CrossModel = "remote-4f3a", true
	return request
}

// An application that may have any name in a cluster's domain has not become its API server.
func TestADomainIsNotItsAPIServer(t *testing.T) {
	t.Parallel()
	const name = "kubernetes.default.svc.cluster.local"
	for domain, allowed := range map[string]bool{"cluster.local": false, name: true, "kubernetes.default.svc": false} {
		exception := "- {applications: [web], wildcards: true, domains: [" + domain + "]}"
		for _, asked := range []string{name, "*.default.svc.cluster.local"} {
			verdict := settings(t, policy.Kubernetes, exception).Judge(server("web", asked))
			require.Equal(t, allowed, verdict.Allowed(), "%s by %s: %+v", asked, domain, verdict.Refusals)
		}
		require.True(t, settings(t, policy.Kubernetes, exception).Judge(server("web", "vault.default.svc.cluster.local")).Allowed())
	}
}

func TestWhoMayHaveWhat(t *testing.T) {
	t.Parallel()
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	for sentence, c := range map[string]struct {
		request policy.Request
		rule    string // that refuses it; empty where it is allowed
		code    policy.Code
		allows  string // an exception by which it is allowed after all; empty where there is none
	}{
		"a server under its names and addresses": {server("etcd", "etcd-0", "etcd-0.lxd", "10.0.0.1", "fd00::1", "127.0.0.1", "localhost"), "", "", ""},
		"a client without a meaning":             {client("etcd", "etcd/0"), "", "", ""},
		"an API server's names":                  {server("kubernetes-control-plane", "kubernetes", "kubernetes.default.svc.cluster.local"), "", "", ""},
		"an API server's user":                   {client("kubernetes-master", "system:kube-apiserver"), "", "", ""},
		"an API server's user, with a suffix":    {client("kubernetes-control-plane-east", "system:kube-apiserver"), "", "", ""},
		"a control plane's kubelet":              {client("k8s", "system:node:cp-1", "system:nodes"), "", "", ""},
		"a worker's kubelet":                     {client("kubernetes-worker", "system:kubelet"), "", "", ""},
		"a worker's node":                        {client("k8s-worker", "system:node:worker-1.lxd", "system:nodes"), "", "", ""},

		"a CA for nobody":                  {intermediate("vault"), "ca", policy.CANotAllowed, "ca: {path-length: 0}"},
		"a CA by the back door":            {with(server("web", "a.example.com"), func(r *policy.Request) { r.Asked.IsCA = true }), "ca", policy.CANotAllowed, ""},
		"a key of Ed25519":                 {with(server("web", "a.example.com"), func(r *policy.Request) { r.Key = ed }), "keys", policy.WeakKey, "keys: [ed25519]"},
		"a key on P-521":                   {with(server("web", "a.example.com"), func(r *policy.Request) { r.Key = &p521.PublicKey }), "keys", policy.WeakKey, "keys: [ecdsa-p521]"},
		"the usage of signing code":        {with(server("web", "a.example.com"), func(r *policy.Request) { r.Asked.OtherUsages = []string{"1.3.6.1.5.5.7.3.3"} }), "usages", policy.UsageNotAllowed, ""},
		"a client of another model":        {foreign(client("", "app")), "usages", policy.UsageNotAllowed, ""},
		"a critical extension":             {with(server("web", "a.example.com"), func(r *policy.Request) { r.Asked.Critical = []string{"2.5.29.30"} }), "extensions", policy.ExtensionNotAllowed, ""},
		"two common names":                 {with(client("web", "a"), func(r *policy.Request) { r.CommonNames = []string{"a", "b"} }), "common-name", policy.NameNotAllowed, ""},
		"the masters":                      {client("kubernetes-control-plane", "admin", "system:masters"), "identities", policy.IdentityNotAllowed, "identities: [\"system:masters\"]"},
		"the masters, disguised":           {client("kubernetes-control-plane", "admin", " System:Masters"), "identities", policy.IdentityNotAllowed, ""},
		"kubeadm's administrators":         {client("web", "admin", "kubeadm:cluster-admins"), "identities", policy.IdentityNotAllowed, ""},
		"an API server's user of a worker": {client("kubernetes-worker", "system:kube-apiserver"), "identities", policy.IdentityNotAllowed, "role: control-plane"},
		"a name beginning as a worker's":   {client("kubernetes-workers", "system:kubelet"), "identities", policy.IdentityNotAllowed, "role: node"},
		"a node of nobody's":               {client("web", "system:node:worker-1", "system:nodes"), "identities", policy.IdentityNotAllowed, "role: node"},
		"a node without a name":            {client("kubernetes-worker", "system:node:"), "identities", policy.IdentityNotAllowed, ""},
		"a node named like no node":        {client("kubernetes-worker", "system:node:Worker 1"), "identities", policy.IdentityNotAllowed, ""},
		"the group of nodes, but no node":  {client("kubernetes-worker", "system:kubelet", "system:nodes"), "identities", policy.IdentityNotAllowed, ""},
		"another unit's node":              {with(client("kubernetes-worker", "system:node:worker-1"), func(r *policy.Request) { r.NodeHolder = "kubernetes-worker/1" }), "identities", policy.IdentityNotAllowed, ""},
		"a proxy that speaks for others":   {client("web", "client"), "identities", policy.IdentityNotAllowed, "identities: [client]"},
		"another such proxy":               {client("web", "front-proxy-client"), "identities", policy.IdentityNotAllowed, "identities: [\"front-*\"]"},
		"a server certificate that clients of this name can show": {
			policy.Request{App: "web", Kind: cert.Server, CommonNames: []string{"system:kube-apiserver"}, ServerAuth: true, ClientAuth: true}, "identities", policy.IdentityNotAllowed, "identities: [\"system:*\"]"},
		"a wildcard":                       {server("traefik", "*.apps.example.com"), "wildcards", policy.WildcardNotAllowed, "wildcards: true"},
		"a wildcard in a common name":      {with(server("traefik", "10.0.0.1"), func(r *policy.Request) { r.CommonNames = []string{"kubernete*.Default.svc"} }), "wildcards", policy.WildcardNotAllowed, ""},
		"the API server's name of another": {server("web", "kubernetes.default.svc"), "names", policy.NameNotAllowed, "role: control-plane"},
		"that name in its common name": {
			policy.Request{App: "web", Kind: cert.Server, CommonNames: []string{"kubernetes"}, ServerAuth: true}, "names", policy.NameNotAllowed, "domains: [kubernetes]"},
		"an API server's name that ends in a number": {server("kubernetes-control-plane", "kubernetes.default.svc.1"), "names", policy.NameNotAllowed, ""},
		"an API server's name in other letters": {
			server("kubernetes-control-plane", "kubernetes.default.svc.xn--80ak6aa92e.com"), "names", policy.NameNotAllowed, "domains: [xn--80ak6aa92e.com]"},
		"a number for a name":     {server("web", "10.0.1"), "names", policy.NameNotAllowed, ""},
		"a hexadecimal number":    {server("web", "0x7f000001"), "names", policy.NameNotAllowed, ""},
		"a name in other letters": {server("web", "xn--80ak6aa92e.com"), "names", policy.NameNotAllowed, "domains: [xn--80ak6aa92e.com]"},
		"every address":           {server("web", "0.0.0.0"), "addresses", policy.IPNotAllowed, "networks: [0.0.0.0]"},
		"a link's address with an interface in the common name": {
			policy.Request{App: "web", Kind: cert.Server, CommonNames: []string{"fe80::1%eth0"}, ServerAuth: true}, "addresses", policy.IPNotAllowed, "networks: [\"fe80::/64\"]"},
		"the address of metadata":  {server("web", "169.254.169.254"), "addresses", policy.IPNotAllowed, "networks: [169.254.0.0/16]"},
		"a group of addresses":     {server("web", "224.0.0.1"), "addresses", policy.IPNotAllowed, ""},
		"the address of everybody": {server("web", "255.255.255.255"), "addresses", policy.IPNotAllowed, ""},
		"a mapped address":         {with(server("web", "10.0.0.1"), func(r *policy.Request) { r.Asked.Mapped = []string{"::ffff:10.0.0.1"} }), "addresses", policy.IPNotAllowed, ""},
		"a URI":                    {with(server("web", "a.example.com"), func(r *policy.Request) { r.Asked.URIs = []string{"spiffe://model/web"} }), "other-names", policy.NameNotAllowed, "uris: [\"spiffe://model/\"]"},
		"a name of another kind":   {with(server("web", "a.example.com"), func(r *policy.Request) { r.Asked.OtherNames = []string{"other name"} }), "other-names", policy.NameNotAllowed, ""},
		"a mail address":           {with(server("web", "a.example.com"), func(r *policy.Request) { r.Asked.Mails = []string{"a@example.com"} }), "", "", ""},
		"a mail address that programs read differently": {
			with(server("web", "a.example.com"), func(r *policy.Request) { r.Asked.Mails = []string{"a@b@example.com"} }), "other-names", policy.NameNotAllowed, ""},
		"a mail address of nobody": {
			with(server("web", "a.example.com"), func(r *policy.Request) { r.Asked.Mails = []string{"@example.com"} }), "other-names", policy.NameNotAllowed, ""},
		"a hundred names and one":     {server("web", manyNames(101)...), "name-count", policy.TooLarge, ""},
		"a hundred names":             {server("web", manyNames(100)...), "", "", ""},
		"all names of an application": {with(server("web", manyNames(500)...), func(r *policy.Request) { r.Kind, r.Asked = cert.Application, nil }), "", "", ""},
		"a name of another model":     {foreign(with(server("", "a.example.com"), func(r *policy.Request) { r.ClientAuth = false })), "names", policy.NameNotAllowed, ""},
		"an address of another model": {foreign(with(server("", "10.0.0.1"), func(r *policy.Request) { r.ClientAuth = false })), "addresses", policy.IPNotAllowed, ""},
		"a client of whom nothing is left": {
			with(client("web", "", "ops", "devs"), func(r *policy.Request) { r.CommonNames = nil }), "subject", policy.NameNotAllowed, "identities: [ops]"},
		"a client of whom a country is left": {
			with(client("web", "", "ops"), func(r *policy.Request) { r.CommonNames, r.Asked.Attributes = nil, 1 }), "", "", ""},
		"a client of whom a name is left": {
			with(client("web", "", "ops"), func(r *policy.Request) { r.CommonNames, r.Asked.AltNames = nil, true }), "", "", ""},
		"the shared client": {policy.Request{App: "etcd", Kind: cert.Client, CommonNames: []string{"global-client"}, ClientAuth: true, Shared: true}, "", "", ""},
		"the shared client of another model": {
			foreign(policy.Request{Kind: cert.Client, CommonNames: []string{"global-client"}, ClientAuth: true, Shared: true}), "usages", policy.UsageNotAllowed, "clients: true"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			verdict := settings(t, policy.Kubernetes).Judge(c.request)
			if c.rule == "" {
				require.Empty(t, verdict.Refusals)
				return
			}
			require.NotEmpty(t, verdict.Refusals)
			refusal := verdict.Refusals[0]
			require.Equal(t, c.rule, refusal.Rule, "%+v", verdict.Refusals)
			require.Equal(t, c.code, refusal.Code)
			require.NotEmpty(t, refusal.Reason)
			require.NotContains(t, refusal.Reason, "\n")
			if c.code != policy.CANotAllowed {
				require.Empty(t, settings(t, policy.Open).Judge(c.request).Refusals, "open allows all but CAs")
			}
			if c.allows == "" {
				return
			}
			excepted := settings(t, policy.Kubernetes, "- {applications: ["+c.request.App+"], "+c.allows+"}").Judge(c.request)
			require.Empty(t, excepted.Refusals)
			require.NotEqual(t, "kubernetes", excepted.Rule, "it says by what it is allowed")
			other := settings(t, policy.Kubernetes, "- {applications: [somebody-else], "+c.allows+"}").Judge(c.request)
			require.NotEmpty(t, other.Refusals)
		})
	}
}

func manyNames(count int) []string {
	var names []string
	for i := range count {
		names = append(names, fmt.Sprintf("host-%d.example.com", i))
	}
	return names
}

// Whoever runs the command that a refusal names gets what was refused, whatever a stranger put into the name.
func TestTheFixMends(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("the commands are bash's, which is not installed")
	}
	for sentence, request := range map[string]policy.Request{
		"a CA":               intermediate("vault"),
		"a role":             client("kcp", "system:kube-apiserver"),
		"a group":            client("kcp", "admin", "system:masters"),
		"hostile words":      client("web", `system:'$(touch x)"\';#{}[]`+"`id`"),
		"a wildcard":         server("traefik", "*.apps.example.com"),
		"an address":         server("web", "169.254.169.254"),
		"a URI":              with(server("web", "a.example.com"), func(r *policy.Request) { r.Asked.URIs = []string{"spiffe://m/'x"} }),
		"a foreign client":   foreign(client("", "system:node:a")),
		"a foreign address":  foreign(with(server("", "10.0.0.1"), func(r *policy.Request) { r.ClientAuth = false })),
		"a foreign mail":     foreign(with(server("", "a.example.com"), func(r *policy.Request) { r.ClientAuth, r.Asked.Mails = false, []string{"x@b.example.com"} })),
		"another letter":     server("web", "xn--80ak6aa92e.com"),
		"kubernetes.default": server("web", "kubernetes.default"),
		"nothing but groups": with(client("web", "", "ops", "devs"), func(r *policy.Request) { r.CommonNames = nil }),
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			rules := "- {applications: [other], wildcards: true}"
			for range 5 {
				verdict := settings(t, policy.Kubernetes, rules).Judge(request)
				if verdict.Allowed() {
					return
				}
				// juju prints the option when it is asked for it, and what it is set to when it is set.
				script := `juju() { if [[ $# == 3 && $3 == policy-rules ]]; then printf '%s\n' "$RULES"; else printf '%s' "${3#policy-rules=}"; fi; }; ` + verdict.Refusals[0].Fix
				command := exec.CommandContext(t.Context(), bash, "-c", script)
				command.Env, command.Dir = []string{"RULES=" + rules}, t.TempDir()
				out, err := command.CombinedOutput()
				require.NoError(t, err, "%s", out)
				rules = string(out)
			}
			require.Fail(t, "the fixes do not mend", rules)
		})
	}
}

// A rule that allowed a stranger "system:*" would allow it to be whoever Kubernetes knows.
func TestNoFixAllowsMoreThanIsAsked(t *testing.T) {
	t.Parallel()
	for name, mends := range map[string]bool{"system:x": true, "system:*": false, "*": false, " system:x": false, "": false} {
		request := client("web", name)
		if !strings.HasPrefix(strings.TrimSpace(name), "system:") { // else it is only refused where it must be within a domain
			request = foreign(request)
			request.ClientAuth, request.Kind = true, cert.Client
		}
		refusals := settings(t, policy.Kubernetes, "- {applications: ['remote-*'], clients: true}").Judge(request).Refusals
		require.Len(t, refusals, 1, name)
		require.Equal(t, policy.IdentityNotAllowed, refusals[0].Code)
		require.Equal(t, mends, refusals[0].Fix != "", "%q: %s", name, refusals[0].Fix)
		group := settings(t, policy.Kubernetes).Judge(client("web", "app", name)).Refusals
		require.Equal(t, mends, len(group) > 0 && group[0].Fix != "", "%q", name)
	}
}

// A request has up to 64 KiB, all of which may be one name.
func TestARefusalFitsIntoAStatus(t *testing.T) {
	t.Parallel()
	for length, mends := range map[int]bool{1000: true, 60000: false} {
		long := "system:" + strings.Repeat("x", length)
		for _, request := range []policy.Request{
			client("web", "app", long), with(server("web", "a.example.com"), func(r *policy.Request) { r.Asked.URIs = []string{long} }),
		} {
			refusals := settings(t, policy.Kubernetes).Judge(request).Refusals
			require.Len(t, refusals, 1)
			require.Less(t, len(refusals[0].Reason), 300)
			require.Less(t, len(refusals[0].Fix), 2500)
			require.Equal(t, mends, refusals[0].Fix != "")
		}
	}
}

func TestStrictAllowsWhatIsListed(t *testing.T) {
	t.Parallel()
	strict := settings(t, policy.Strict, "- {applications: [web], domains: [shop.test], networks: [192.0.2.1]}")
	var err error
	strict.Domains, err = policy.ParseDomains([]string{"example.com", ".lxd"})
	require.NoError(t, err)
	strict.Networks, err = policy.ParseNetworks([]string{"10.0.0.0/8", "fd00::/8"})
	require.NoError(t, err)
	for sentence, c := range map[string]struct {
		request policy.Request
		code    policy.Code // empty where it is allowed
	}{
		"the domain itself":                               {server("web", "example.com"), ""},
		"below the domain":                                {server("web", "a.b.example.com", "juju-1.lxd"), ""},
		"an end that is no label":                         {server("web", "badexample.com"), policy.NameNotAllowed},
		"a name of one label":                             {server("web", "juju-1"), policy.NameNotAllowed},
		"the application's own domain":                    {server("web", "www.shop.test", "192.0.2.1"), ""},
		"another application's domain":                    {server("blog", "www.shop.test"), policy.NameNotAllowed},
		"an address within":                               {server("web", "10.1.2.3", "fd00::1"), ""},
		"an address outside":                              {server("web", "192.168.0.1"), policy.IPNotAllowed},
		"loopback":                                        {server("web", "127.0.0.1"), policy.IPNotAllowed},
		"a client called by a host":                       {client("web", "a.example.com"), ""},
		"a client called by an address":                   {client("web", "10.1.2.3"), ""},
		"a client called otherwise":                       {client("web", "app"), policy.IdentityNotAllowed},
		"a client by its role":                            {client("kubernetes-worker", "system:kubelet"), ""},
		"an API server":                                   {server("kubernetes-control-plane", "kubernetes.default.svc.cluster.local"), ""},
		"a mail address outside":                          {with(server("web", "a.example.com"), func(r *policy.Request) { r.Asked.Mails = []string{"a@b.test"} }), policy.NameNotAllowed},
		"a wildcard":                                      {server("web", "*.example.com"), policy.WildcardNotAllowed},
		"a common name that some take for a host outside": {named("web", "a_b.Corp.test"), policy.NameNotAllowed},
		"one that some take for a host within":            {named("web", "a_b.Example.com"), ""},
		"one that nobody takes for a host":                {named("web", "the web server"), ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			verdict := strict.Judge(c.request)
			if c.code == "" {
				require.Empty(t, verdict.Refusals)
				return
			}
			require.NotEmpty(t, verdict.Refusals)
			require.Equal(t, c.code, verdict.Refusals[0].Code)
		})
	}
}

func TestNoWildcardIsTooWide(t *testing.T) {
	t.Parallel()
	wild := settings(t, policy.Kubernetes, "- {applications: [web], wildcards: true}")
	for name, allowed := range map[string]bool{
		"*.example.com": true, "*.apps.example.com": true, "*.cluster.local": true,
		"*.com": false, "*.co.uk": false, "*.github.io": false,
		"*.default.svc": false, "*.default.svc.cluster.local": false,
	} {
		require.Equal(t, allowed, wild.Judge(server("web", name)).Allowed(), name)
	}
}

// Organizations are groups to Kubernetes. Those that it gives no meaning to by itself an operator may have given one.
func TestOrganizationsAreLeftOutOfClients(t *testing.T) {
	t.Parallel()
	kubernetes := settings(t, policy.Kubernetes, "- {applications: [web], identities: [ops]}")
	require.Equal(t, []string{"devs"}, kubernetes.Judge(client("web", "app", "ops", "devs")).Without)
	require.Equal(t, []string{"ops", "devs"}, kubernetes.Judge(client("blog", "app", "ops", "devs")).Without)
	require.Empty(t, kubernetes.Judge(client("kubernetes-worker", "system:node:a", "system:nodes")).Without)
	serverOnly := with(server("blog", "a.example.com"), func(r *policy.Request) {
		r.ClientAuth, r.Asked.Organizations = false, []string{"ops", "system:masters"}
	})
	require.Empty(t, kubernetes.Judge(serverOnly).Without)
	require.Empty(t, kubernetes.Judge(serverOnly).Refusals, "nobody asks a server for its groups")
	require.Empty(t, settings(t, policy.Open).Judge(client("blog", "app", "ops")).Without)
}

func TestCAsAreLimited(t *testing.T) {
	t.Parallel()
	s := settings(t, policy.Kubernetes, "- {applications: [vault], ca: {path-length: 1, domains: [.example.com], networks: [10.0.0.0/8]}}")
	s.Intermediates = []string{"other"}
	verdict := s.Judge(intermediate("vault"))
	require.True(t, verdict.Allowed())
	require.Equal(t, 1, verdict.PathLen)
	require.Equal(t, &cert.Constraints{Domains: []string{"example.com"}, Networks: []string{"10.0.0.0/8"}}, verdict.Constraints)

	verdict = s.Judge(intermediate("other"))
	require.True(t, verdict.Allowed())
	require.Zero(t, verdict.PathLen)
	require.Nil(t, verdict.Constraints)

	s.Mode = policy.Strict
	s.Domains = []string{"example.org"}
	verdict = s.Judge(intermediate("other"))
	require.True(t, verdict.Allowed())
	require.Equal(t, &cert.Constraints{Domains: []string{"example.org"}}, verdict.Constraints)

	named := intermediate("other")
	named.CommonNames = []string{"system:kube-apiserver"}
	require.Equal(t, policy.IdentityNotAllowed, s.Judge(named).Refusals[0].Code, "a CA's certificate can be shown by a client too")
}

// What the dialect cannot say is decided so that most is served: an application of another model gets its server
// certificate, good for servers only.
func TestServersOfAnotherModelAreServersOnly(t *testing.T) {
	t.Parallel()
	s := settings(t, policy.Kubernetes)
	s.Domains = []string{"example.com"}
	verdict := s.Judge(foreign(server("", "a.example.com")))
	require.Empty(t, verdict.Refusals)
	require.True(t, verdict.ServersOnly)
	require.False(t, settings(t, policy.Open).Judge(foreign(server("", "a.example.com"))).ServersOnly)
}
