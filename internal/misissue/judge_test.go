// SPDX-License-Identifier: AGPL-3.0-only

package misissue

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"go/parser"
	"go/token"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/misissue/forge"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// bench is a certificate under way: what was asked for, and what an authority makes of it.
type bench struct {
	pool     forge.Keys
	settings Settings
	draft    forge.Request
	issue    Issue
	template x509.Certificate
	parent   *x509.Certificate
	signer   *ecdsa.PrivateKey
}

func newBench(t *testing.T, p forge.Keys) *bench {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	root := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte{1, 2, 3},
	}
	der, err := x509.CreateCertificate(rand.Reader, &root, &root, &signer.PublicKey, signer)
	require.NoError(t, err)
	parent, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &bench{
		pool: p, parent: parent, signer: signer,
		settings: Settings{
			Policy: "kubernetes", PerUnit: 100, PerRelation: 20000, Life: 90 * 24 * time.Hour, AuthorityLife: 365 * 24 * time.Hour,
		},
		draft: forge.Request{Subject: []forge.RDN{forge.CommonName("a.example.com")}, Names: forge.DNS("a.example.com"), Key: p["p256"][0]},
		issue: Issue{Relation: 1, Application: "etcd", Unit: "etcd/0", Kind: Server, Issuer: der, At: noon},
	}
}

// ask encodes the request and prepares the certificate that it should get.
func (b *bench) ask(t *testing.T) {
	b.issue.Request = b.draft.DER()
	request, err := x509.ParseCertificateRequest(b.issue.Request)
	require.NoError(t, err)
	number := make([]byte, 17)
	_, _ = rand.Read(number)
	number[0] = 0x41
	sum := sha256.Sum256(bits(t, b.draft.Key.Info))
	b.template = x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(number), RawSubject: request.RawSubject, PublicKey: request.PublicKey,
		NotBefore: noon.Add(-time.Minute), NotAfter: noon.Add(-time.Minute).Add(b.settings.Life - time.Second),
		BasicConstraintsValid: true, SubjectKeyId: sum[:20], KeyUsage: x509.KeyUsageDigitalSignature,
	}
	for _, one := range b.draft.All() {
		if one.ID.Equal(oidAltNames) {
			b.template.ExtraExtensions = append(b.template.ExtraExtensions, pkix.Extension{Id: one.ID, Critical: len(b.draft.Subject) == 0, Value: one.Value})
		}
	}
	if !slices.ContainsFunc(b.draft.Usages, oidClientAuth.Equal) || slices.ContainsFunc(b.draft.Usages, oidServerAuth.Equal) {
		b.template.ExtKeyUsage = append(b.template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		if b.draft.Key.RSA() {
			b.template.KeyUsage |= x509.KeyUsageKeyEncipherment
		}
	}
	if slices.ContainsFunc(b.draft.Usages, oidClientAuth.Equal) {
		b.template.ExtKeyUsage = append(b.template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	if b.issue.Kind == Authority {
		b.template.IsCA, b.template.MaxPathLenZero, b.template.ExtKeyUsage = true, true, nil
		b.template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		b.template.NotAfter = b.template.NotBefore.Add(b.settings.AuthorityLife - time.Second)
	}
}

func bits(t *testing.T, info []byte) []byte {
	var read struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	_, err := asn1.Unmarshal(info, &read)
	require.NoError(t, err)
	return read.Key.Bytes
}

// sign makes the certificate.
func (b *bench) sign(t *testing.T) Issue {
	der, err := x509.CreateCertificate(rand.Reader, &b.template, b.parent, b.template.PublicKey, b.signer)
	require.NoError(t, err)
	b.issue.Certificate = der
	return b.issue
}

// requireFound asserts that breaches of one rule only were found, the first of which begins as it should; none where that
// is empty.
func requireFound(t *testing.T, begin string, found []Breach) {
	if begin == "" {
		require.Empty(t, found)
		return
	}
	require.NotEmpty(t, found)
	require.Truef(t, strings.HasPrefix(found[0].String(), begin), "%v", found)
	for _, one := range found {
		require.Equal(t, found[0].Rule, one.Rule, "%v", found)
	}
}

// One thing is wrong with each certificate, and it is found; nothing is found in one that is right.
func TestJudgeFinds(t *testing.T) {
	t.Parallel()
	p := forge.NewKeys()
	for name, test := range findings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, p)
			if test.asked != nil {
				test.asked(b)
			}
			b.ask(t)
			if test.made != nil {
				test.made(b)
			}
			found := New().Judge(b.settings, b.sign(t))
			requireFound(t, test.rule, found)
		})
	}
}

// What is right for one certificate may be wrong for the next.
func TestJudgeRemembers(t *testing.T) {
	t.Parallel()
	p := forge.NewKeys()
	cases := map[string]struct {
		rule          string
		first, second func(*bench)
		made          func(*bench)
	}{
		"a serial number used twice": {"x509: the serial number", nil, nil, func(b *bench) { b.template.SerialNumber = new(big.Int).Lsh(big.NewInt(3), 120) }},
		"a node that is two units": {"identities", client("kubernetes-worker", "system:node:a"), with(client("kubernetes-worker", "system:node:a"), func(b *bench) {
			b.issue.Unit = "kubernetes-worker/1"
		}), nil},
		"a node renewed":              {"", client("kubernetes-worker", "system:node:a"), client("kubernetes-worker", "system:node:a"), nil},
		"more than one of a databag":  {"quota", nil, func(b *bench) { b.settings.PerUnit = 1 }, nil},
		"more than one of a relation": {"quota", nil, func(b *bench) { b.settings.PerRelation = 1; b.issue.Unit = "etcd/1" }, nil},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judge := New()
			var found []Breach
			for _, asked := range []func(*bench){test.first, test.second} {
				b := newBench(t, p)
				if asked != nil {
					asked(b)
				}
				b.ask(t)
				if test.made != nil {
					test.made(b)
				}
				require.Empty(t, found)
				found = judge.Judge(b.settings, b.sign(t))
			}
			requireFound(t, test.rule, found)
		})
	}
	t.Run("more than five of a unit's quota in an hour, not a second later", func(t *testing.T) {
		t.Parallel()
		judge := New()
		for i := range 6 {
			b := newBench(t, p)
			b.settings.PerUnit = 1
			b.ask(t)
			judge.NewTurn()
			found := judge.Judge(b.settings, b.sign(t))
			require.Equal(t, i == 5, len(found) == 1 && found[0].Rule == "quota", "%v", found)
		}
		b := newBench(t, p)
		b.settings.PerUnit = 1
		b.issue.At = noon.Add(time.Hour)
		b.ask(t)
		b.shift(time.Hour)
		judge.NewTurn()
		require.Empty(t, judge.Judge(b.settings, b.sign(t)))
	})
}

// The legacy dialect has no request to compare with.
func TestJudgeComparesLegacyNames(t *testing.T) {
	t.Parallel()
	p := forge.NewKeys()
	cases := map[string]struct {
		rule  string
		names []string
		made  func(*bench)
	}{
		"as asked":            {"", []string{"B.example.com", "b.example.com."}, nil},
		"a name less":         {`x509: the alternative name "10.0.0.1" is missing`, []string{"b.example.com", "10.0.0.1"}, nil},
		"a name more":         {`x509: the alternative name "b.example.com" was not`, nil, nil},
		"another common name": {"x509: the subject", []string{"b.example.com"}, func(b *bench) { b.template.RawSubject = forge.Subject([]forge.RDN{forge.CommonName("b.example.com")}) }},
		"an organisation": {"x509: the subject", []string{"b.example.com"}, func(b *bench) {
			b.template.RawSubject = forge.Subject([]forge.RDN{forge.Organization("x"), forge.CommonName("a.example.com")})
		}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, p)
			b.draft.Names = forge.DNS("a.example.com", "b.example.com")
			b.settings.StrictServerUsage = []string{"ovn"}
			b.ask(t)
			b.issue.Request, b.issue.Legacy, b.issue.CommonName, b.issue.Names = nil, true, "a.example.com", test.names
			if test.made != nil {
				test.made(b)
			}
			found := New().Judge(b.settings, b.sign(t))
			requireFound(t, test.rule, found)
		})
	}
}

// The judge is of use only while it shares no code with those it judges.
func TestJudgeKnowsNobody(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	looked := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, one := range file.Imports {
			require.NotContains(t, one.Path.Value, "signet", name)
			looked++
		}
	}
	require.Positive(t, looked)
	require.NotEmpty(t, bytes.TrimSpace([]byte(files[0])))
}
