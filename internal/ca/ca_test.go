// SPDX-License-Identifier: AGPL-3.0-only

package ca_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

func done(t *testing.T, carrier *ca.Embedded, o order.Order) order.Answer {
	t.Helper()
	answer := carrier.Carry(t.Context(), o)
	require.Nil(t, answer.Failure)
	require.Equal(t, order.Done, answer.State)
	return answer
}

func failure(t *testing.T, carrier *ca.Embedded, o order.Order) order.Failure {
	t.Helper()
	answer := carrier.Carry(t.Context(), o)
	require.Equal(t, order.Failed, answer.State)
	return *answer.Failure
}

func parse(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	certificate, err := cert.Parse(text)
	require.NoError(t, err)
	return certificate
}

func TestAnAuthorityOfEachKeyType(t *testing.T) {
	t.Parallel()
	for _, keyType := range []cert.KeyType{cert.P256, cert.P384, cert.RSA2048} {
		t.Run(string(keyType), func(t *testing.T) {
			t.Parallel()
			memory := newMemory()
			answer := done(t, memory.open(), authorityOrder(keyType))
			root := parse(t, answer.Authority.Certificate)
			require.True(t, root.IsCA)
			require.Equal(t, 2, root.MaxPathLen)
			require.Equal(t, x509.KeyUsageCertSign|x509.KeyUsageCRLSign|x509.KeyUsageDigitalSignature, root.KeyUsage)
			require.Empty(t, root.ExtKeyUsage)
			require.Equal(t, "CN=signet CA G1,O=Example", root.Subject.String())
			require.Equal(t, 1, answer.Authority.Generation)
			require.True(t, cert.KeyMatches(answer.Key, root))
			require.Equal(t, cert.SerialText(root.SerialNumber), answer.Serial)
			require.Len(t, root.SerialNumber.Bytes(), 17)
			switch key := root.PublicKey.(type) {
			case *ecdsa.PublicKey:
				want := map[cert.KeyType]x509.SignatureAlgorithm{cert.P256: x509.ECDSAWithSHA256, cert.P384: x509.ECDSAWithSHA384}
				require.Equal(t, want[keyType], root.SignatureAlgorithm)
			case *rsa.PublicKey:
				require.Equal(t, 2048, key.N.BitLen())
				require.Equal(t, x509.SHA256WithRSA, root.SignatureAlgorithm)
			}
			signer := order.Signer{Authority: answer.Authority}
			catest.Judge(t, done(t, memory.open(), catest.ServerOrder(signer)).Issued)
		})
	}
}

func TestAnAuthorityIsMadeOnce(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	first := done(t, memory.open(), authorityOrder(cert.P256))
	later := authorityOrder(cert.P256)
	later.NotBefore = later.NotBefore.Add(time.Hour)
	require.Equal(t, first, done(t, memory.open(), later))
	held, err := memory.open().Authorities()
	require.NoError(t, err)
	hash, err := cert.KeyHash(parse(t, first.Authority.Certificate).PublicKey)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"authority.1": hash}, held)
	outbox, err := memory.Names("outbox.")
	require.NoError(t, err)
	require.Empty(t, outbox, "its key is kept in one place")
}

func TestABadAuthorityIsRefused(t *testing.T) {
	t.Parallel()
	for sentence, spoil := range map[string]func(*order.CreateAuthority){
		"no name":             func(o *order.CreateAuthority) { o.CommonName = "" },
		"a long name":         func(o *order.CreateAuthority) { o.CommonName = strings.Repeat("x", 65) },
		"an unknown key type": func(o *order.CreateAuthority) { o.KeyType = "ed25519" },
		"no life":             func(o *order.CreateAuthority) { o.Life = 0 },
		"an age beyond dates": func(o *order.CreateAuthority) { o.NotBefore = o.NotBefore.AddDate(8000, 0, 0) },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			o := authorityOrder(cert.P256)
			spoil(&o)
			require.Equal(t, "bad-order", failure(t, newMemory().open(), o).Code)
		})
	}
}

func TestAnIntermediateSignsBelowItsRoot(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	o := catest.ServerOrder(memory.create(t, cert.P256))
	o.Spec = cert.Spec{Kind: cert.Intermediate, CommonName: "vault intermediate", Life: 365 * 24 * time.Hour}
	answer := done(t, memory.open(), o)
	intermediate := parse(t, answer.Issued.Certificate)
	require.True(t, intermediate.IsCA)
	require.True(t, intermediate.MaxPathLenZero)
	require.Empty(t, intermediate.ExtKeyUsage)
	require.Equal(t, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, intermediate.KeyUsage)
	catest.Judge(t, answer.Issued)

	below := order.Signer{
		Authority: cert.Authority{Generation: 2, Certificate: answer.Issued.Certificate, Issuers: answer.Issued.Issuers},
		Key:       answer.Issued.Key,
	}
	leaf := done(t, memory.open(), catest.ServerOrder(below))
	require.Len(t, leaf.Issued.Issuers, 2)
	catest.Judge(t, leaf.Issued)

	o.Ask, o.Signer = "another", below
	require.Contains(t, failure(t, memory.open(), o).Message, "too many")
	o.Signer = catest.ServerOrder(memory.create(t, cert.P256)).Signer
	o.Spec.PathLen = 2
	require.Contains(t, failure(t, memory.open(), o).Message, "too many")
}

func TestAGivenKeyIsAdopted(t *testing.T) {
	t.Parallel()
	elsewhere, here := newMemory(), newMemory()
	signer := elsewhere.create(t, cert.P256)
	public := order.Signer{Authority: signer.Authority}

	refused := failure(t, here.open(), catest.ServerOrder(public))
	require.Equal(t, "no-key", refused.Code)
	require.Contains(t, refused.Message, "authority 1")

	wrong := signer
	wrong.Key = newMemory().create(t, cert.P256).Key
	require.Equal(t, "key-mismatch", failure(t, here.open(), catest.ServerOrder(wrong)).Code)
	held, err := here.open().Authorities()
	require.NoError(t, err)
	require.Empty(t, held)

	done(t, here.open(), catest.ServerOrder(signer))
	other := catest.ServerOrder(public)
	other.Ask = "another"
	done(t, here.open(), other)
	held, err = here.open().Authorities()
	require.NoError(t, err)
	require.Len(t, held, 1)
}

func TestACertificateNeverOutlivesItsAuthority(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	signer := memory.create(t, cert.P256)
	root := parse(t, signer.Certificate)
	o := catest.ServerOrder(signer)
	o.Spec.Life = 100 * 365 * 24 * time.Hour
	leaf := parse(t, done(t, memory.open(), o).Issued.Certificate)
	require.Equal(t, root.NotAfter, leaf.NotAfter)

	o.Ask, o.NotBefore = "early", root.NotBefore.Add(-time.Minute)
	leaf = parse(t, done(t, memory.open(), o).Issued.Certificate)
	require.Equal(t, root.NotBefore, leaf.NotBefore)

	o.Ask, o.NotBefore = "clock", root.NotBefore.Add(-48*time.Hour)
	require.Equal(t, "clock", failure(t, memory.open(), o).Code)
	o.Ask, o.NotBefore = "late", root.NotAfter.Add(time.Second)
	require.Equal(t, "authority-expired", failure(t, memory.open(), o).Code)
}

func TestIdentifiersAreOfRFC7093(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	signer := memory.create(t, cert.P256)
	leaf := parse(t, done(t, memory.open(), catest.ServerOrder(signer)).Issued.Certificate)
	require.Len(t, leaf.SubjectKeyId, 20)
	require.Equal(t, parse(t, signer.Certificate).SubjectKeyId, leaf.AuthorityKeyId)
	point, err := leaf.PublicKey.(*ecdsa.PublicKey).Bytes()
	require.NoError(t, err)
	var old [sha1.Size]byte
	fips140.WithoutEnforcement(func() { old = sha1.Sum(point) })
	require.NotEqual(t, old[:], leaf.SubjectKeyId, "not SHA-1, which FIPS mode refuses")
}

func TestRequestsWithOtherKeysAreSigned(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	memory := newMemory()
	signer := memory.create(t, cert.P256)
	for sentence, key := range map[string]crypto.Signer{"Ed25519": ed, "P-521": p521, "RSA": rsaKey} {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
			Subject: pkix.Name{CommonName: "node"}, DNSNames: []string{"node.example"},
		}, key)
		require.NoError(t, err)
		o := catest.ServerOrder(signer)
		o.KeyType = ""
		o.Spec = cert.Spec{
			Kind: cert.Server, ServerAuth: true, Life: time.Hour,
			Request: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})),
		}
		leaf := parse(t, done(t, memory.open(), o).Issued.Certificate)
		require.True(t, cert.SameKey(key.Public(), leaf.PublicKey), sentence)
	}
}

func TestARefusalIsRecordedOnce(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	o := catest.ServerOrder(memory.create(t, cert.P256))
	o.Spec.CommonName = "elsewhere.example.com"
	before := memory.fold.Len()
	for range 5 {
		refused := failure(t, memory.open(), o)
		require.Equal(t, "lint", refused.Code)
		require.Contains(t, refused.Message, `the common name "elsewhere.example.com" is not among the names`)
	}
	require.Equal(t, before+2, memory.fold.Len(), "a serial reserved and refused, not five")
}

func TestKeysMadeForOthersAreForgotten(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	o := catest.ServerOrder(memory.create(t, cert.P256))
	carrier := memory.open()
	first := done(t, carrier, o)
	require.NoError(t, carrier.Prune(time.Now().Add(-time.Hour)))
	names, err := memory.Names("stock.")
	require.NoError(t, err)
	require.Len(t, names, 1)
	require.Equal(t, first, done(t, carrier, o), "a recent key is kept")
	require.NoError(t, carrier.Prune(time.Now().Add(time.Hour)))
	names, err = memory.Names("stock.")
	require.NoError(t, err)
	require.Empty(t, names)
	second := done(t, carrier, o)
	require.NotEqual(t, first.Serial, second.Serial, "nobody has the first key: another certificate")
	require.NoError(t, carrier.Forget("unknown"))
}

func TestARevokedCertificateIsNotGivenAgain(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	o := catest.ServerOrder(memory.create(t, cert.P256))
	first := done(t, memory.open(), o)
	require.NoError(t, memory.Append(ledger.Entry{Event: ledger.Revoked, Serial: first.Serial}))
	require.Equal(t, "revoked", failure(t, memory.open(), o).Code)
	o.Replaces = first.Serial
	done(t, memory.open(), o)
}

func TestBrokenRandomnessUsesNoSerialTwice(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	signer := memory.create(t, cert.P256)
	carrier := ca.New(ca.Config{Store: memory, Journal: memory, Rand: zeros{}})
	o := catest.ServerOrder(signer)
	first := done(t, carrier, o)
	require.Equal(t, "41"+strings.Repeat("0", 32), first.Serial)
	o.Ask = "another"
	require.Equal(t, "randomness", failure(t, carrier, o).Code)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Power is lost at each write of the pipeline, done or not: the order carried again gives one certificate, the one
// that was answered if any was, with its key.
func TestACrashAnywhereGivesOneCertificate(t *testing.T) {
	t.Parallel()
	template, _ := catest.Request(t, true)
	given, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	key, err := cert.EncodeKey(given)
	require.NoError(t, err)
	prepared := newMemory()
	signer := prepared.create(t, cert.P256)
	withRequest, withKey := catest.ServerOrder(signer), catest.ServerOrder(signer)
	withRequest.KeyType, withRequest.Spec = "", cert.Spec{Kind: cert.Server, Request: template, ServerAuth: true, Life: time.Hour}
	withKey.Key = key
	for sentence, o := range map[string]order.Order{
		"a new authority": authorityOrder(cert.P256),
		"a key made here, and an authority key to adopt": catest.ServerOrder(signer),
		"a request":              withRequest,
		"a key to certify again": withKey,
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			atEachWrite(t, o, func(name string, memory *memory, again order.Answer) {
				require.Equal(t, map[string]int{string(o.ID()): 1}, memory.issues(), name)
				certificate := again.Issued.Certificate + again.Authority.Certificate
				recorded, known, err := memory.Serial(again.Serial)
				require.NoError(t, err)
				require.True(t, known)
				require.Equal(t, certificate, recorded.Certificate, name)
				for _, key := range []cert.Key{again.Key, again.Issued.Key} {
					require.True(t, key.IsZero() || cert.KeyMatches(key, parse(t, certificate)), name)
				}
				stored, err := memory.Names("")
				require.NoError(t, err)
				require.LessOrEqual(t, len(stored), 2, "no key is left that nothing names: %v", stored)
			})
		})
	}
}

// atEachWrite carries an order out with power lost at each write, done or not, and again, and checks what came of it: the
// same answer each time, and what the test wants of it.
func atEachWrite(t *testing.T, o order.Order, check func(name string, memory *memory, again order.Answer)) {
	t.Helper()
	clean := newMemory()
	done(t, clean.open(), o)
	for n := 1; n <= clean.writes; n++ {
		for _, happened := range []bool{false, true} {
			name := fmt.Sprintf("write %d, done %t", n, happened)
			memory := newMemory()
			memory.failAt, memory.done = n, happened
			cut := memory.open().Carry(t.Context(), o)
			memory.mend()
			again := done(t, memory.open(), o)
			if cut.State == order.Done {
				require.Equal(t, cut, again, name)
			}
			require.Equal(t, again, done(t, memory.open(), o), name)
			check(name, memory, again)
		}
	}
}

// What is refused for good is on record, once while that stands, so that who orders need not find out at each turn; what may
// pass is not.
func TestARefusalForGoodIsRecorded(t *testing.T) {
	t.Parallel()
	memory, now := newMemory(), time.Now().UTC()
	carrier := ca.New(ca.Config{Store: memory, Journal: memory, Now: func() time.Time { return now }})
	bad := catest.ServerOrder(order.Signer{Authority: done(t, carrier, authorityOrder(cert.P256)).Authority})
	bad.Spec.CommonName, bad.Spec.Names, bad.Spec.Organizations = "", cert.Names{}, nil
	bad.Asker = order.Asker{Relation: 3, App: "etcd", Unit: "etcd/0"}
	late := catest.ServerOrder(bad.Signer)
	late.NotBefore = late.NotBefore.AddDate(-1, 0, 0)
	require.Equal(t, "clock", failure(t, carrier, late).Code)
	for range 3 {
		require.Equal(t, "bad-order", failure(t, carrier, bad).Code)
	}
	refusals := func(of order.Sign) (found []ledger.Entry) {
		entries, err := memory.Order(string(of.ID()))
		require.NoError(t, err)
		for _, entry := range entries {
			if entry.Event == ledger.Refused {
				found = append(found, entry)
			}
		}
		return found
	}
	require.Empty(t, refusals(late))
	require.Equal(t, []ledger.Entry{{
		Time: now, Event: ledger.Refused, Order: string(bad.ID()), Ask: bad.Ask, For: bad.For, Generation: 1,
		Relation: 3, App: "etcd", Unit: "etcd/0", Code: "bad-order", Reason: failure(t, carrier, bad).Message,
	}}, refusals(bad))
	now = now.Add(time.Hour)
	failure(t, carrier, bad)
	require.Len(t, refusals(bad), 2)

	// Who cannot write that down does not say that it was refused for good.
	now = now.Add(24 * time.Hour)
	memory.failAt = memory.writes + 1
	require.Equal(t, "disk", failure(t, carrier, bad).Code)
}
