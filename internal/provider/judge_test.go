// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// bench is a CA that lives for 100 days from noon, and signs what tests need.
type bench struct {
	t   *testing.T
	ca  *x509.Certificate
	key cert.Key
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t}
	b.key = b.newKey()
	template, err := cert.RootTemplate(cert.Spec{CommonName: "CA", PathLen: 1, Life: 100 * day}, b.public(b.key), big.NewInt(1), noon)
	require.NoError(t, err)
	b.ca = b.sign(template, template)
	return b
}

// current is the CA as a step knows it.
func (b *bench) current() authority {
	return authority{&slot{Generation: 1, Certificate: cert.Encode(b.ca.Raw)}, b.ca}
}

func (b *bench) newKey() cert.Key {
	private, err := cert.P256.Generate(rand.Reader)
	require.NoError(b.t, err)
	key, err := cert.EncodeKey(private)
	require.NoError(b.t, err)
	return key
}

func (b *bench) public(key cert.Key) any {
	private, err := cert.ParseKey(key)
	require.NoError(b.t, err)
	return private.Public()
}

func (b *bench) sign(template, issuer *x509.Certificate) *x509.Certificate {
	private, err := cert.ParseKey(b.key)
	require.NoError(b.t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, template.PublicKey, private)
	require.NoError(b.t, err)
	signed, err := x509.ParseCertificate(der)
	require.NoError(b.t, err)
	return signed
}

func (b *bench) issue(spec cert.Spec) cert.Issued {
	key := b.newKey()
	template, err := cert.Template(spec, b.ca, b.public(key), big.NewInt(7), noon)
	require.NoError(b.t, err)
	return cert.Issued{Certificate: cert.Encode(b.sign(template, b.ca).Raw), Key: key}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	b, other := newBench(t), newBench(t)
	spec := cert.Spec{
		Kind: cert.Server, CommonName: "a.example.com", Names: cert.Names{DNS: []string{"a.example.com"}},
		ServerAuth: true, ClientAuth: true, Life: 30 * day,
	}
	with := func(change func(*cert.Spec)) cert.Spec {
		changed := spec
		change(&changed)
		return changed
	}
	good := b.issue(spec)
	cases := map[string]struct {
		issued cert.Issued
		spec   cert.Spec
		after  time.Duration
		want   string // the reason; empty where the certificate is kept
		due    bool
	}{
		"a certificate that says what is asked": {issued: good, spec: spec},
		"shortly before its renewal":            {issued: good, spec: spec, after: 18 * day},
		"at two thirds of its life":             {issued: good, spec: spec, after: 20 * day, want: "its renewal is due", due: true},
		"long expired":                          {issued: good, spec: spec, after: 60 * day, want: "its renewal is due", due: true},
		"none":                                  {spec: spec, want: "there is none yet"},
		"junk":                                  {issued: cert.Issued{Certificate: "junk"}, spec: spec, want: "the certificate is unreadable"},
		"another CA's":                          {issued: other.issue(spec), spec: spec, want: "another CA issued it"},
		"with another's key": {
			issued: cert.Issued{Certificate: good.Certificate, Key: b.newKey()}, spec: spec, want: "the private key is not the certificate's",
		},
		"without its key": {issued: cert.Issued{Certificate: good.Certificate}, spec: spec, want: "the private key is not the certificate's"},
		"under an old common name": {
			issued: good, spec: with(func(s *cert.Spec) { s.CommonName = "b.example.com" }), want: "other names or usages are asked for",
		},
		"without a new name": {
			issued: good, spec: with(func(s *cert.Spec) { s.Names.DNS = []string{"a.example.com", "b.example.com"} }),
			want: "other names or usages are asked for",
		},
		"good for more than it should": {
			issued: good, spec: with(func(s *cert.Spec) { s.ClientAuth = false }), want: "other names or usages are asked for",
		},
		"a leaf where a CA is asked": {
			issued: good, spec: with(func(s *cert.Spec) { s.Kind = cert.Intermediate }), want: "other names or usages are asked for",
		},
		"of another life, which its renewal will set right": {issued: good, spec: with(func(s *cert.Spec) { s.Life = 10 * day })},
		"that ends with the CA, which no renewal changes": {
			issued: b.issue(with(func(s *cert.Spec) { s.Life = 99 * day })), spec: spec, after: 98 * day,
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &step{memory: &Memory{}, now: noon.Add(test.after), current: b.current()}
			got := s.judge(test.issued, test.spec, dialect.Ask{Dialect: dialect.Legacy})
			require.Equal(t, test.want, got.reason)
			require.Equal(t, test.want == "", got.keep)
			require.Equal(t, test.due, got.due)
			if got.keep {
				require.True(t, got.renew.IsZero() || got.renew.After(s.now))
			}
		})
	}
}

// In the CSR dialect the requirer renews; the authority steps in only when it did not.
func TestRenewAtLeavesRequirersTheirTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	leaf, err := cert.Parse(b.issue(cert.Spec{
		Kind: cert.Server, CommonName: "a", Names: cert.Names{DNS: []string{"a"}}, ServerAuth: true, Life: 20 * day,
	}).Certificate)
	require.NoError(t, err)
	require.WithinDuration(t, noon.Add(19*day), renewAt(leaf, dialect.Ask{Dialect: dialect.CSR}), time.Minute)
	require.WithinRange(t, renewAt(leaf, dialect.Ask{Dialect: dialect.Legacy}), noon.Add(12*day), noon.Add(14*day))
}

func TestSpecOfAnAsk(t *testing.T) {
	t.Parallel()
	settings := Settings{Life: 90 * day, CALife: 3650 * day, KeyType: cert.P256}
	names := cert.Names{DNS: []string{"b.example.com"}}
	long := "a-name-of-more-than-sixty-four-characters.some-long-model-name.example.com"
	cases := map[string]struct {
		ask    dialect.Ask
		strict []string
		want   cert.Spec
	}{
		"a server certificate also names its common name, and is good for clients as etcd needs it": {
			ask: dialect.Ask{App: "etcd", Kind: cert.Server, CommonName: "10.0.0.1", Names: names},
			want: cert.Spec{Kind: cert.Server, CommonName: "10.0.0.1", Names: cert.Names{DNS: names.DNS, IPs: []string{"10.0.0.1"}},
				ServerAuth: true, ClientAuth: true, Life: 90 * day},
		},
		"strict usage makes the others servers only": {
			ask: dialect.Ask{App: "web", Kind: cert.Server, CommonName: "not a host", Names: names}, strict: []string{"etcd"},
			want: cert.Spec{Kind: cert.Server, CommonName: "not a host", Names: names, ServerAuth: true, Life: 90 * day},
		},
		"strict usage spares whom it names": {
			ask: dialect.Ask{App: "etcd", Kind: cert.Application, CommonName: "x", Names: names}, strict: []string{"etcd"},
			want: cert.Spec{Kind: cert.Application, CommonName: "x", Names: cert.Names{DNS: []string{"b.example.com", "x"}},
				ServerAuth: true, ClientAuth: true, Life: 90 * day},
		},
		"a client certificate is for clients only": {
			ask:  dialect.Ask{Kind: cert.Client, CommonName: "system:kubelet"},
			want: cert.Spec{Kind: cert.Client, CommonName: "system:kubelet", ClientAuth: true, Life: 90 * day},
		},
		"a CA certificate has no host names and lives longer": {
			ask:  dialect.Ask{Kind: cert.Intermediate, CommonName: "Sub CA", Names: names},
			want: cert.Spec{Kind: cert.Intermediate, CommonName: "Sub CA", Life: 1825 * day},
		},
		"a common name that is too long becomes an alternative name": {
			ask: dialect.Ask{Kind: cert.Server, CommonName: long},
			want: cert.Spec{Kind: cert.Server, Names: cert.Names{DNS: []string{long}},
				ServerAuth: true, ClientAuth: true, Life: 90 * day},
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &step{memory: &Memory{}, settings: settings}
			s.settings.StrictServerUsage = test.strict
			test.ask.Dialect = dialect.Legacy
			spec, err := s.spec(test.ask)
			require.NoError(t, err)
			require.Equal(t, test.want, spec)
		})
	}
}

// The key stays over renewals and changes of names, but not when another type of key is wanted.
func TestSignCertifiesTheKeyAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := &step{memory: &Memory{}, now: noon, settings: Settings{KeyType: cert.P256, Life: 30 * day}, current: b.current()}
	s.signer.Authority = s.current.public()
	ask := dialect.Ask{Dialect: dialect.Legacy, Kind: cert.Client, CommonName: "x"}
	spec, err := s.spec(ask)
	require.NoError(t, err)
	issued := b.issue(spec)
	s.now = noon.Add(25 * day)
	why := s.judge(issued, spec, ask)
	require.True(t, why.due)
	renewal := s.sign(ask, spec, why)
	require.Equal(t, issued.Key, renewal.Key)
	require.Equal(t, "7", renewal.Replaces)

	s.settings.KeyType = cert.RSA2048
	require.True(t, s.sign(ask, spec, why).Key.IsZero())
}

func TestSettingsAreRefusedOneByOne(t *testing.T) {
	t.Parallel()
	config := &juju.Config{Values: map[string]any{
		"ca-validity": "100d", "certificate-validity": "60d", "ca-key-type": "dsa", "ca-common-name": string(make([]byte, 65)),
	}}
	ReadSettings(config)
	var options []string
	for _, fault := range config.Errors {
		options = append(options, fault.Option)
	}
	require.ElementsMatch(t, []string{"ca-validity", "certificate-validity", "ca-key-type", "ca-common-name"}, options)
}
