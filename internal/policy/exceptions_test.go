// SPDX-License-Identifier: AGPL-3.0-only

package policy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/policy"
)

func TestExceptionsAreRead(t *testing.T) {
	t.Parallel()
	exceptions, err := policy.ParseExceptions(`
- {applications: [traefik, "web-*"], wildcards: true, domains: ["*.Example.com."]}
- applications: [vault]
  role: control-plane
  identities: ["system:masters", "system:node:*"]
  networks: [10.1.2.3/8, "fd00::1"]
  uris: ["spiffe://model/"]
  clients: true
  keys: [ed25519, ecdsa-p521]
  ca: {path-length: 1, domains: [example.com], networks: [10.0.0.0/8]}
`)
	require.NoError(t, err)
	require.Len(t, exceptions, 2)
	require.Equal(t, []string{"example.com"}, exceptions[0].Domains)
	require.Equal(t, "policy-rules[2]", exceptions[1].String())
	require.Equal(t, 1, exceptions[1].CA.PathLength)
	s := policy.Settings{Mode: policy.Kubernetes, Exceptions: exceptions}
	require.True(t, s.Judge(server("web-1", "*.example.com")).Allowed())
	require.False(t, s.Judge(server("webs", "*.example.com")).Allowed())

	for _, empty := range []string{"", "\n", "# nothing\n", "[]"} {
		exceptions, err := policy.ParseExceptions(empty)
		require.NoError(t, err, "%q", empty)
		require.Empty(t, exceptions)
	}
}

// An exception that is misread allows too much or too little.
func TestExceptionsThatMeanNothingAreRefused(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ text, want string }{
		"no YAML":                    {"- {", "no list of exceptions"},
		"no list":                    {"applications: [web]", "no list of exceptions"},
		"a word that is unknown":     {"- {applications: [web], wildcard: true}", "wildcard"},
		"a word twice":               {"- {applications: [web], wildcards: true, wildcards: false}", "already"},
		"a flag that is none":        {"- {applications: [web], wildcards: maybe}", "bool"},
		"no applications":            {"- {wildcards: true}", "policy-rules[1]: it names no applications"},
		"an empty application":       {`- {applications: [""], wildcards: true}`, "is empty"},
		"white space":                {`- {applications: [web], identities: [" system:masters"]}`, "white space"},
		"a role that is none":        {"- {applications: [web], role: master}", `role "master" is none of control-plane, node`},
		"a key that needs none":      {"- {applications: [web], keys: [rsa-1024]}", "rsa-1024"},
		"a domain that is none":      {"- {applications: [web], domains: [10.0.0.1]}", "is not a domain"},
		"everything for a domain":    {`- {applications: [web], domains: ["*"]}`, "is not a domain"},
		"a network that is none":     {"- {applications: [web], networks: [example.com]}", "is not a network"},
		"a mapped network":           {`- {applications: [web], networks: ["::ffff:10.0.0.0/104"]}`, "is not a network"},
		"a path length below zero":   {"- {applications: [web], ca: {path-length: -1}}", "path-length -1"},
		"a CA's domain that is none": {"- {applications: [web], ca: {domains: [\"a b\"]}}", "is not a domain"},
		"two documents":              {"- {applications: [web]}\n---\n- {applications: [web]}", "more than one YAML document"},
		"an alias that explodes":     {"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]", "no list of exceptions"},
		"more than is read":          {strings.Repeat("#", 1<<17), "more than"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, err := policy.ParseExceptions(c.text)
			require.ErrorContains(t, err, c.want)
			require.Less(t, len(err.Error()), 400)
		})
	}
}

// Whatever an operator writes, exceptions never break the judgement, and never allow what nothing allows.
func FuzzParseExceptions(f *testing.F) {
	for _, seed := range []string{
		"", "- {applications: [web], wildcards: true}", "- {applications: ['*'], role: node}",
		"- {applications: ['*'], identities: ['*'], domains: [com], networks: [0.0.0.0/0, '::/0'], uris: [a], clients: true, keys: [ed25519], ca: {path-length: 8}}",
		"- &a {applications: [web]}\n- *a\n", "- {applications: [web], ca: {domains: [example.com]}}", "---\n...\n", "- {applications: [web], ca: null}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		exceptions, err := policy.ParseExceptions(text)
		if err != nil {
			require.Empty(t, exceptions)
			return
		}
		s := policy.Settings{Mode: policy.Kubernetes, Provider: "signet", Exceptions: exceptions}
		require.True(t, s.Judge(server("web", "a.example.com", "10.0.0.1")).Allowed())
		never := with(server("web", "*.com", "10.0.1"), func(r *policy.Request) {
			r.Asked = &cert.Requested{IsCA: true, OtherUsages: []string{"2.5.29.37.0"}, Critical: []string{"1.2.3"}, OtherNames: []string{"other name"}, Mapped: []string{"::ffff:10.0.0.1"}}
			r.CommonNames = []string{"a", "b"}
		})
		require.False(t, s.Judge(never).Allowed())
		if verdict := s.Judge(intermediate("vault")); verdict.Allowed() {
			require.NotNil(t, exceptions)
			require.LessOrEqual(t, verdict.PathLen, 8)
			require.GreaterOrEqual(t, verdict.PathLen, 0)
		}
	})
}
