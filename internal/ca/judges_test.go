// SPDX-License-Identifier: AGPL-3.0-only

package ca_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"go/ast"
	"go/parser"
	"go/token"
	"math/big"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// kindSamples are what is ordered of each kind.
func kindSamples() map[cert.Kind]cert.Spec {
	names := cert.Names{DNS: []string{"etcd-0", "etcd.example.internal"}, IPs: []string{"10.0.0.1", "fd00::1"}}
	return map[cert.Kind]cert.Spec{
		cert.Server:       {CommonName: "etcd-0", Organizations: []string{"etcd"}, Names: names, ServerAuth: true, ClientAuth: true},
		cert.Application:  {CommonName: "etcd.example.internal", Names: names, ServerAuth: true},
		cert.Client:       {CommonName: "system:node:node-1", Organizations: []string{"system:nodes"}, ClientAuth: true},
		cert.Intermediate: {CommonName: "vault intermediate", Organizations: []string{"Example"}},
		cert.Responder:    {CommonName: "signet OCSP 1"},
	}
}

// variants change what is ordered in ways that every kind and key type must bear.
func variants() map[string]func(*order.Sign) {
	return map[string]func(*order.Sign){
		"as it is": func(*order.Sign) {},
		"with its points": func(o *order.Sign) {
			o.Spec.Points = cert.Points{
				CRL: []string{"http://ca.example.com:8880/crl/1.crl"}, OCSP: []string{"http://ca.example.com:8880/ocsp"},
				Issuer: []string{"http://ca.example.com:8880/ca/1.crt"},
			}
		},
		"for some names only": func(o *order.Sign) {
			if o.Spec.Kind == cert.Intermediate {
				o.Spec.Constraints = &cert.Constraints{Domains: []string{"example.internal"}, Networks: []string{"10.0.0.0/8", "fd00::/8"}}
			}
		},
		"for no addresses, without an organization": func(o *order.Sign) {
			if o.Spec.Kind == cert.Intermediate {
				o.Spec.Constraints = &cert.Constraints{Domains: []string{"example.internal"}}
			}
			if o.Spec.Request != "" {
				o.Spec.Without = []string{"etcd", "system:nodes", "Example"}
			}
		},
		"for no names": func(o *order.Sign) {
			if o.Spec.Kind == cert.Intermediate {
				o.Spec.Constraints = &cert.Constraints{}
			}
		},
	}
}

// A CA that may issue for some names only is believed for these by Go, OpenSSL and GnuTLS, and for others by none of them.
func TestAConstrainedCAIsBelievedWithinItsNamesOnly(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	signer := memory.create(t, cert.P256)
	private, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	key, err := cert.EncodeKey(private)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		constraints cert.Constraints
		believed    bool
	}{
		"a.example.internal": {cert.Constraints{Domains: []string{"example.internal"}, Networks: []string{"10.0.0.0/8"}}, true},
		"a.example.com":      {cert.Constraints{Domains: []string{"example.internal"}, Networks: []string{"10.0.0.0/8"}}, false},
		"10.1.2.3":           {cert.Constraints{Domains: []string{"example.internal"}, Networks: []string{"10.0.0.0/8"}}, true},
		"192.168.0.1":        {cert.Constraints{Domains: []string{"example.internal"}, Networks: []string{"10.0.0.0/8"}}, false},
		"10.0.0.1":           {cert.Constraints{Domains: []string{"example.internal"}}, false},
		"fd00::1":            {cert.Constraints{Domains: []string{"example.internal"}}, false},
		"b.example.internal": {cert.Constraints{Networks: []string{"10.0.0.0/8"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := done(t, memory.open(), order.Sign{
				Ask: name, Spec: cert.Spec{Kind: cert.Intermediate, CommonName: "Issuing CA", Life: 24 * time.Hour, Constraints: &c.constraints},
				Key: key, KeyType: cert.P256, Signer: signer, NotBefore: time.Now().Add(-time.Minute),
			})
			issuing := parse(t, made.Issued.Certificate)
			names, err := cert.ParseNames([]string{name})
			require.NoError(t, err)
			// Without a common name, which GnuTLS would take for a host's where there are addresses only.
			template, err := cert.Template(cert.Spec{Kind: cert.Server, Names: names, ServerAuth: true, Life: time.Hour},
				issuing, private.Public(), big.NewInt(1<<32), time.Now())
			require.NoError(t, err)
			der, err := x509.CreateCertificate(rand.Reader, template, issuing, private.Public(), private)
			require.NoError(t, err)
			issued := cert.Issued{Certificate: cert.Encode(der), Issuers: []string{made.Issued.Certificate, signer.Certificate}}
			if c.believed {
				catest.Judge(t, issued)
			} else {
				catest.Disbelieve(t, issued)
			}
		})
	}
}

// Everything that signet signs is good in the eyes of zlint, which looks before each signature, Go, OpenSSL and GnuTLS: of
// each kind, under each type of key, in both dialects, with and without what points to revocation lists.
func TestEveryProfileSatisfiesAllJudges(t *testing.T) {
	t.Parallel()
	require.ElementsMatch(t, constants(t, "Kind"), keysAsText(kindSamples()), "a kind without a sample: add it to kindSamples")
	require.ElementsMatch(t, constants(t, "KeyType"), cert.KeyTypeNames(), "a key type that KeyTypes leaves out")
	for _, keyType := range cert.KeyTypes() {
		t.Run(string(keyType), func(t *testing.T) {
			t.Parallel()
			memory := newMemory()
			signer := memory.create(t, keyType)
			carrier := memory.open()
			private, err := keyType.Generate(rand.Reader)
			require.NoError(t, err)
			key, err := cert.EncodeKey(private)
			require.NoError(t, err)
			catest.Judge(t, cert.Issued{Certificate: signer.Certificate, Issuers: []string{signer.Certificate}})
			for kind, sample := range kindSamples() {
				for variant, change := range variants() {
					sample.Kind, sample.Life = kind, 24*time.Hour
					legacy := order.Sign{
						Ask: "legacy " + string(kind) + variant, Spec: sample, Key: key, KeyType: keyType, Signer: signer, NotBefore: time.Now().Add(-time.Minute),
					}
					request := legacy
					request.Ask, request.Key, request.KeyType = "request "+legacy.Ask, cert.Key{}, ""
					request.Spec = cert.Spec{
						Kind: kind, Life: sample.Life, ServerAuth: sample.ServerAuth, ClientAuth: sample.ClientAuth, Request: requestOf(t, sample, private),
					}
					for _, o := range []order.Sign{legacy, request} {
						change(&o)
						answer := carrier.Carry(t.Context(), o)
						require.Nil(t, answer.Failure, o.Ask)
						certificate := parse(t, answer.Issued.Certificate)
						require.Equal(t, kind == cert.Intermediate, certificate.IsCA, o.Ask)
						require.Equal(t, o.Spec.Points.CRL, certificate.CRLDistributionPoints, o.Ask)
						catest.Judge(t, answer.Issued)
					}
				}
			}
			vouched(t, memory, signer)
		})
	}
}

// vouched has an authority of this type vouch for another one, and judges what that signs by the first's root.
func vouched(t *testing.T, memory *memory, old order.Signer) {
	t.Helper()
	next := authorityOrder(cert.P256)
	next.Generation, next.CommonName = 2, "signet CA G2"
	made := done(t, memory.open(), next)
	cross := done(t, memory.open(), order.CrossSign{
		Signer: old, Generation: 2, Certificate: made.Authority.Certificate, NotBefore: time.Now(),
	})
	catest.Judge(t, cert.Issued{Certificate: cross.Issued.Certificate, Issuers: old.Chain()})
	leaf := done(t, memory.open(), catest.ServerOrder(order.Signer{Authority: made.Authority}))
	leaf.Issued.Issuers = append([]string{cross.Issued.Certificate}, old.Chain()...)
	catest.Judge(t, leaf.Issued)
}

// requestOf is a request that asks for what the sample says.
func requestOf(t *testing.T, sample cert.Spec, key crypto.Signer) string {
	t.Helper()
	template := &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: sample.CommonName, Organization: sample.Organizations},
		DNSNames: sample.Names.DNS,
	}
	for _, text := range sample.Names.IPs {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(text))
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// constants are the values of all constants of a type of package cert, as its source has them.
func constants(t *testing.T, typeName string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../cert/spec.go", nil, 0)
	require.NoError(t, err)
	var found []string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typeName {
			for _, value := range spec.Values {
				literal, ok := value.(*ast.BasicLit)
				require.True(t, ok)
				text, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				found = append(found, text)
			}
		}
		return true
	})
	require.NotEmpty(t, found, "there is no constant of type %s", typeName)
	return found
}

func keysAsText[K ~string, V any](values map[K]V) []string {
	var found []string
	for key := range values {
		found = append(found, string(key))
	}
	return found
}
