// SPDX-License-Identifier: AGPL-3.0-only

// Package catest is the contract of carriers of signing orders: Run passes for every one of them, the embedded
// authority and external ones. Where to look next: judges.go, which asks other programs' opinion of a certificate.
package catest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// Carrier carries signing orders, one or many; it is part of agent.Authority.
type Carrier interface {
	Carry(context.Context, order.Order) order.Answer
	SignAll(context.Context, ...order.Sign) []order.Answer
}

// Bench is one carrier with an authority that it can sign with.
type Bench struct {
	Carrier Carrier
	Signer  order.Signer
	Reopen  func() Carrier // the same carrier after a crash: what only memory held is gone
	// Elsewhere says that another program signs, which has a clock and rules of its own: it may shorten a life, leaves what is
	// no CA without basic constraints, and signs a request as it is or not at all.
	Elsewhere bool
}

// Run runs the suite. Each test opens a bench of its own.
func Run(t *testing.T, open func(t *testing.T) Bench) {
	t.Helper()
	for sentence, test := range map[string]func(*testing.T, Bench){
		"each kind has its profile and satisfies all judges":      profiles,
		"an order repeated gives the first answer, after a crash": repeated,
		"an order carried at the same time is carried once":       together,
		"different asks get different certificates":               different,
		"many at once are answered each as it would be alone":     many,
		"a request keeps its subject and names":                   requests,
		"a request gets no usages that it alone asks for":         greedy,
		"a key is certified again":                                again,
		"a bad order fails with a code and a reason":              bad,
		"an order whose context has ended is pending":             ended,
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// ServerOrder is an order for an ordinary server certificate, valid from a minute ago.
func ServerOrder(signer order.Signer) order.Sign {
	return order.Sign{
		For: "certificates:3 etcd/0 server 10.0.0.1",
		Ask: "3/legacy/etcd_0/server/10.0.0.1",
		Spec: cert.Spec{
			Kind: cert.Server, CommonName: "10.0.0.1", Organizations: []string{"etcd"}, ServerAuth: true, ClientAuth: true,
			Names: cert.Names{DNS: []string{"etcd-0", "etcd.example.internal"}, IPs: []string{"10.0.0.1", "fd00::1"}},
			Life:  90 * 24 * time.Hour,
		},
		KeyType:   cert.P256,
		Signer:    signer,
		NotBefore: time.Now().Add(-time.Minute),
	}
}

func profiles(t *testing.T, bench Bench) {
	server := ServerOrder(bench.Signer)
	client := server
	client.Spec = cert.Spec{
		Kind: cert.Client, CommonName: "system:node:node-1", Organizations: []string{"system:nodes"}, ClientAuth: true, Life: time.Hour,
	}
	application := server
	application.Spec.Kind, application.Spec.ClientAuth = cert.Application, false
	rsa := server
	rsa.KeyType = cert.RSA2048
	for sentence, c := range map[string]struct {
		order  order.Sign
		usages []x509.ExtKeyUsage
		keyUse x509.KeyUsage
	}{
		"server":      {server, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, x509.KeyUsageDigitalSignature},
		"client":      {client, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, x509.KeyUsageDigitalSignature},
		"application": {application, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, x509.KeyUsageDigitalSignature},
		"RSA":         {rsa, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment},
	} {
		t.Run(sentence, func(t *testing.T) {
			answer := carried(t, bench.Carrier, c.order)
			require.Equal(t, bench.Signer.Chain(), answer.Issued.Issuers)
			leaf := parse(t, answer.Issued.Certificate)
			require.Equal(t, c.usages, leaf.ExtKeyUsage)
			require.Equal(t, c.keyUse, leaf.KeyUsage)
			require.True(t, leaf.BasicConstraintsValid || bench.Elsewhere)
			require.False(t, leaf.IsCA)
			require.Equal(t, c.order.Spec.CommonName, leaf.Subject.CommonName)
			require.Equal(t, c.order.Spec.Organizations, leaf.Subject.Organization)
			require.True(t, cert.NamesOf(leaf).Equal(c.order.Spec.Names))
			life := leaf.NotAfter.Sub(leaf.NotBefore) + time.Second // both ends are included
			if bench.Elsewhere {
				require.InDelta(t, c.order.Spec.Life, life, float64(2*time.Minute))
				require.LessOrEqual(t, life, c.order.Spec.Life)
			} else {
				require.Equal(t, c.order.Spec.Life, life)
			}
			require.Equal(t, cert.SerialText(leaf.SerialNumber), answer.Serial)
			require.True(t, cert.KeyMatches(answer.Issued.Key, leaf))
			Judge(t, answer.Issued)
		})
	}
}

func repeated(t *testing.T, bench Bench) {
	first := carried(t, bench.Carrier, ServerOrder(bench.Signer))
	later := ServerOrder(bench.Signer)
	later.NotBefore = later.NotBefore.Add(time.Hour) // a repetition comes later
	require.Equal(t, first, carried(t, bench.Carrier, later))
	require.Equal(t, first, carried(t, bench.Reopen(), later))
}

func together(t *testing.T, bench Bench) {
	const carriers = 8
	answers := make([]order.Answer, carriers)
	var group sync.WaitGroup
	for i := range carriers {
		group.Go(func() { answers[i] = bench.Carrier.Carry(t.Context(), ServerOrder(bench.Signer)) })
	}
	group.Wait()
	for _, answer := range answers {
		require.Equal(t, order.Done, answer.State)
		require.Equal(t, answers[0], answer)
	}
}

// many gives one batch all kinds of orders, and bad ones among them.
func many(t *testing.T, bench Bench) {
	before := ServerOrder(bench.Signer)
	before.Ask = "answered before"
	first := carried(t, bench.Carrier, before)
	request, again, bad, unsigned := ServerOrder(bench.Signer), ServerOrder(bench.Signer), ServerOrder(bench.Signer), ServerOrder(bench.Signer)
	request.Ask, request.KeyType = "request", ""
	request.Spec = cert.Spec{Kind: cert.Server, ServerAuth: true, Life: time.Hour}
	request.Spec.Request, _ = Request(t, false)
	again.Ask, again.Key = "key of before", first.Issued.Key
	bad.Ask, bad.Spec.Kind = "bad", ""
	unsigned.Ask, unsigned.Signer = "no authority", order.Signer{}
	unsigned.Signer.Vault = bench.Signer.Vault
	orders := []order.Sign{bad, before, request, again, unsigned}
	for range 20 {
		plain := ServerOrder(bench.Signer)
		plain.Ask = fmt.Sprintf("ask %d", len(orders))
		orders = append(orders, plain)
	}
	orders = append(orders, orders[5], orders[0]) // again
	answers := bench.Carrier.SignAll(t.Context(), orders...)
	require.Len(t, answers, len(orders))
	serials := map[string]bool{}
	for i, answer := range answers {
		require.Equal(t, orders[i].ID(), answer.Order)
		if answer.State == order.Failed {
			require.Equal(t, bench.Carrier.Carry(t.Context(), orders[i]).Failure.Code, answer.Failure.Code)
			continue
		}
		require.Equal(t, order.Done, answer.State)
		serials[answer.Serial] = true
		leaf := parse(t, answer.Issued.Certificate)
		require.Equal(t, orders[i].Spec.Request != "", answer.Issued.Key.IsZero())
		require.True(t, answer.Issued.Key.IsZero() || cert.KeyMatches(answer.Issued.Key, leaf))
	}
	for i, failed := range []bool{true, false, false, false, true} {
		require.Equal(t, failed, answers[i].State == order.Failed, orders[i].Ask)
	}
	require.Equal(t, first, answers[1])
	require.Equal(t, first.Issued.Key, answers[3].Issued.Key)
	require.Equal(t, answers[5], answers[len(answers)-2], "the same order in one batch is carried once")
	require.Len(t, serials, 23)
	repeated := bench.Reopen().SignAll(t.Context(), orders...)
	for i, answer := range answers {
		require.Equal(t, answer.State, repeated[i].State)
		require.Equal(t, answer.Issued, repeated[i].Issued)
	}
	require.Empty(t, bench.Carrier.SignAll(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, answer := range bench.Carrier.SignAll(ctx, orders[5:7]...) {
		require.Equal(t, order.Pending, answer.State)
	}
}

func different(t *testing.T, bench Bench) {
	one, two, renewal := ServerOrder(bench.Signer), ServerOrder(bench.Signer), ServerOrder(bench.Signer)
	two.Ask = "3/legacy/etcd_1/server/10.0.0.1"
	first := carried(t, bench.Carrier, one)
	renewal.Replaces = first.Serial
	serials := map[string]bool{first.Serial: true}
	for _, o := range []order.Sign{two, renewal} {
		answer := carried(t, bench.Carrier, o)
		require.False(t, serials[answer.Serial])
		serials[answer.Serial] = true
	}
}

func requests(t *testing.T, bench Bench) {
	template, key := Request(t, false)
	o := ServerOrder(bench.Signer)
	o.KeyType = ""
	o.Spec = cert.Spec{Kind: cert.Server, Request: template, ServerAuth: true, Life: time.Hour}
	answer := carried(t, bench.Carrier, o)
	require.True(t, answer.Issued.Key.IsZero())
	leaf := parse(t, answer.Issued.Certificate)
	request, err := cert.ParseRequest(template)
	require.NoError(t, err)
	require.True(t, cert.SameName(request.RawSubject, leaf.RawSubject))
	require.True(t, bench.Elsewhere || bytes.Equal(request.RawSubject, leaf.RawSubject), "byte for byte")
	require.True(t, cert.SameKey(key.Public(), leaf.PublicKey))
	require.Equal(t, extension(request.Extensions), extension(leaf.Extensions))
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, leaf.ExtKeyUsage, "the spec's usage")
	Judge(t, answer.Issued)
}

func greedy(t *testing.T, bench Bench) {
	o := ServerOrder(bench.Signer)
	o.KeyType, o.Spec = "", cert.Spec{Kind: cert.Server, ServerAuth: true, Life: time.Hour}
	o.Spec.Request, _ = Request(t, true)
	answer := bench.Carrier.Carry(t.Context(), o)
	if !bench.Elsewhere {
		require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, parse(t, answer.Issued.Certificate).ExtKeyUsage)
		return
	}
	require.Equal(t, order.Failed, answer.State)
	require.True(t, answer.Failure.Final(), answer.Failure.Message)
	require.Contains(t, answer.Failure.Message, "extended key usage")
}

// Request is a certificate request with what is easily lost: a UTF8String, x500UniqueIdentifier, a registered ID and
// an e-mail address. A greedy one asks for more usages than it should get.
func Request(t *testing.T, greedy bool) (text string, key crypto.Signer) {
	t.Helper()
	key, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	names, err := asn1.Marshal([]asn1.RawValue{
		{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte("etcd.example.internal")},
		{Class: asn1.ClassContextSpecific, Tag: 7, Bytes: net.IPv4(10, 0, 0, 1).To4()},
		{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte("ops@example.com")},
		{Class: asn1.ClassContextSpecific, Tag: 8, Bytes: []byte{0x2a, 0x03, 0x04}},
	})
	require.NoError(t, err)
	usages, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}, {1, 3, 6, 1, 5, 5, 7, 3, 2}})
	require.NoError(t, err)
	extensions := []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}}
	if greedy {
		extensions = append(extensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: usages})
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("etcd/0")}},
			{Type: asn1.ObjectIdentifier{2, 5, 4, 45}, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("5f1c")}},
		}},
		ExtraExtensions: extensions,
	}, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), key
}

func extension(all []pkix.Extension) []byte {
	for _, e := range all {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			return e.Value
		}
	}
	return nil
}

func again(t *testing.T, bench Bench) {
	first := carried(t, bench.Carrier, ServerOrder(bench.Signer))
	renewal := ServerOrder(bench.Signer)
	renewal.Key, renewal.Replaces = first.Issued.Key, first.Serial
	second := carried(t, bench.Carrier, renewal)
	require.Equal(t, first.Issued.Key, second.Issued.Key)
	require.NotEqual(t, first.Serial, second.Serial)
	require.True(t, cert.KeyMatches(first.Issued.Key, parse(t, second.Issued.Certificate)))
}

func bad(t *testing.T, bench Bench) {
	good := ServerOrder(bench.Signer)
	leaf := carried(t, bench.Carrier, good)
	for sentence, spoil := range map[string]func(*order.Sign){
		"no kind":                       func(o *order.Sign) { o.Spec.Kind = "" },
		"no usage":                      func(o *order.Sign) { o.Spec.ServerAuth, o.Spec.ClientAuth = false, false },
		"a client that serves":          func(o *order.Sign) { o.Spec.Kind = cert.Client },
		"no name at all":                func(o *order.Sign) { o.Spec.CommonName, o.Spec.Names = "", cert.Names{} },
		"a host name in no name":        func(o *order.Sign) { o.Spec.CommonName = "elsewhere.example.com" },
		"a NUL in the common name":      func(o *order.Sign) { o.Spec.CommonName = "good.com\x00.evil" },
		"a new line in an organization": func(o *order.Sign) { o.Spec.Organizations = []string{"a\nb"} },
		"a long common name":            func(o *order.Sign) { o.Spec.CommonName = strings.Repeat("x", 65) },
		"a name that is no name":        func(o *order.Sign) { o.Spec.Names.DNS = []string{"-.example.com"} },
		"an address that is none":       func(o *order.Sign) { o.Spec.Names.IPs = []string{"10.0.0.256"} },
		"no life":                       func(o *order.Sign) { o.Spec.Life = 0 },
		"a negative life":               func(o *order.Sign) { o.Spec.Life = -time.Hour },
		"a request that is none":        func(o *order.Sign) { o.Spec.Request = "-----BEGIN NONSENSE-----" },
		"an unknown key type":           func(o *order.Sign) { o.KeyType = "rsa-512" },
		"a key that is none":            func(o *order.Sign) { o.Key = cert.NewKey("hunter2") },
		"a time after the authority":    func(o *order.Sign) { o.NotBefore = o.NotBefore.AddDate(200, 0, 0) },
		"a time before the authority":   func(o *order.Sign) { o.NotBefore = o.NotBefore.AddDate(-200, 0, 0) },
		"no authority":                  func(o *order.Sign) { o.Signer = order.Signer{} },
		"a leaf as the authority":       func(o *order.Sign) { o.Signer.Certificate, o.Signer.Key = leaf.Issued.Certificate, leaf.Issued.Key },
	} {
		t.Run(sentence, func(t *testing.T) {
			o := good
			o.Ask = sentence
			spoil(&o)
			for range 2 { // a repetition is no better
				answer := bench.Carrier.Carry(t.Context(), o)
				require.Equal(t, o.ID(), answer.Order)
				require.Equal(t, order.Failed, answer.State)
				require.NotNil(t, answer.Failure)
				require.Regexp(t, "^[a-z][a-z-]*$", answer.Failure.Code)
				require.NotEmpty(t, answer.Failure.Message)
				require.NotContains(t, answer.Failure.Message, "PRIVATE KEY")
				require.NotContains(t, answer.Failure.Message, "hunter2")
				require.Empty(t, answer.Issued.Certificate)
				require.True(t, answer.Issued.Key.IsZero())
			}
		})
	}
}

func ended(t *testing.T, bench Bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answer := bench.Carrier.Carry(ctx, ServerOrder(bench.Signer))
	require.Equal(t, order.Answer{Order: ServerOrder(bench.Signer).ID(), State: order.Pending}, answer)
}

func carried(t *testing.T, carrier Carrier, o order.Order) order.Answer {
	t.Helper()
	answer := carrier.Carry(t.Context(), o)
	require.Nil(t, answer.Failure)
	require.Equal(t, order.Done, answer.State)
	require.Equal(t, o.ID(), answer.Order)
	return answer
}

func parse(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	certificate, err := cert.Parse(text)
	require.NoError(t, err)
	return certificate
}
