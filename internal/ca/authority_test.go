// SPDX-License-Identifier: AGPL-3.0-only

package ca_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/audit"
	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

func authorityRequest() order.RequestAuthority {
	return order.RequestAuthority{
		Generation: 3, KeyType: cert.P384,
		Subject: cert.Subject{
			CommonName: "Example CA", Organizations: []string{"Example"}, Unit: "Clusters", Country: "CH", Province: "Bern", Locality: "Bern",
		},
	}
}

// Two authorities vouch for each other. What one signs verifies below the other, and for who knows only its own root.
func TestAuthoritiesVouchForEachOther(t *testing.T) {
	t.Parallel()
	for _, types := range [][2]cert.KeyType{{cert.P256, cert.RSA2048}, {cert.RSA2048, cert.P384}, {cert.P256, cert.P256}} {
		t.Run(fmt.Sprint(types), func(t *testing.T) {
			t.Parallel()
			memory := newMemory()
			older := memory.create(t, types[0])
			next := authorityOrder(types[1])
			next.Generation, next.CommonName = 2, "another CA"
			made := done(t, memory.open(), next)
			newer := order.Signer{Authority: made.Authority, Key: made.Key}
			cross := done(t, memory.open(), order.CrossSign{
				Signer: older, Generation: 2, Certificate: newer.Certificate, NotBefore: time.Now().Add(-time.Minute),
			})
			parsed, own := parse(t, cross.Issued.Certificate), parse(t, newer.Certificate)
			require.Equal(t, own.RawSubject, parsed.RawSubject)
			require.Equal(t, own.SubjectKeyId, parsed.SubjectKeyId)
			require.Equal(t, 1, parsed.MaxPathLen, "shorter than the issuer's, so that CAs below it fit")
			require.False(t, parsed.NotAfter.After(own.NotAfter))
			leaf := done(t, memory.open(), catest.ServerOrder(newer))
			catest.Judge(t, leaf.Issued)
			leaf.Issued.Issuers = []string{cross.Issued.Certificate, older.Certificate}
			catest.Judge(t, leaf.Issued)
		})
	}
}

// Power is lost at each write: the order carried again gives the same request under the same key, and one certificate.
func TestACrashAnywhereGivesOneRequestAndOneCrossCertificate(t *testing.T) {
	t.Parallel()
	prepared := newMemory()
	signer := prepared.create(t, cert.P256)
	next := authorityOrder(cert.P256)
	next.Generation, next.CommonName = 2, "another CA"
	for sentence, o := range map[string]order.Order{
		"a request": authorityRequest(),
		"a cross-certificate": order.CrossSign{
			Signer: signer, Generation: 2, Certificate: done(t, prepared.open(), next).Authority.Certificate, NotBefore: time.Now().Add(-time.Minute),
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			atEachWrite(t, o, func(name string, memory *memory, again order.Answer) {
				require.LessOrEqual(t, memory.issues()[string(o.ID())], 1, name)
				if again.Request == "" {
					return
				}
				request, err := cert.ParseRequest(again.Request)
				require.NoError(t, err)
				private, err := cert.ParseKey(again.Key)
				require.NoError(t, err)
				require.True(t, cert.SameKey(private.Public(), request.PublicKey), name)
			})
		})
	}
}

func TestARequestSaysWhatWasOrdered(t *testing.T) {
	t.Parallel()
	answer := done(t, newMemory().open(), authorityRequest())
	request, err := cert.ParseRequest(answer.Request)
	require.NoError(t, err)
	require.NoError(t, cert.CheckRequest(request))
	require.Equal(t, "CN=Example CA,OU=Clusters,O=Example,L=Bern,ST=Bern,C=CH", request.Subject.String())

	bad := authorityRequest()
	bad.Subject.Country = "Switzerland"
	require.Contains(t, failure(t, newMemory().open(), bad).Message, "two capital letters")
	bad = authorityRequest()
	bad.Subject.CommonName = ""
	require.Contains(t, failure(t, newMemory().open(), bad).Message, "needs a common name")
}

// A list says what it shall, in the order's number, and others agree.
func TestRevocationLists(t *testing.T) {
	t.Parallel()
	for _, keyType := range []cert.KeyType{cert.P256, cert.P384, cert.RSA2048} {
		t.Run(string(keyType), func(t *testing.T) {
			t.Parallel()
			memory := newMemory()
			signer := memory.create(t, keyType)
			gone, kept := done(t, memory.open(), catest.ServerOrder(signer)), catest.ServerOrder(signer)
			kept.Ask = "another"
			good := done(t, memory.open(), kept)
			now := time.Now().Truncate(time.Second).UTC()
			answer := done(t, memory.open(), order.SignCRL{
				Signer: signer, Number: 7, Update: now, Life: time.Hour,
				Revoked: []cert.Revocation{
					{Serial: gone.Serial, Time: now, Reason: cert.KeyCompromise}, {Serial: "abcdef", Time: now, Reason: cert.Unspecified},
				},
			})
			block, _ := pem.Decode([]byte(answer.CRL))
			list, err := x509.ParseRevocationList(block.Bytes)
			require.NoError(t, err)
			require.NoError(t, list.CheckSignatureFrom(parse(t, signer.Certificate)))
			require.Equal(t, big.NewInt(7), list.Number)
			require.Equal(t, now.Add(time.Hour), list.NextUpdate)
			require.Len(t, list.RevokedCertificateEntries, 2)
			opensslChecks(t, signer.Certificate, answer.CRL, good.Issued.Certificate, gone.Issued.Certificate)
		})
	}
	memory := newMemory()
	signer := memory.create(t, cert.P256)
	require.Contains(t, failure(t, memory.open(), order.SignCRL{
		Signer: signer, Number: 1, Update: time.Now(), Life: time.Hour, Revoked: []cert.Revocation{{Serial: "no number"}},
	}).Message, "is not hexadecimal")
}

func opensslChecks(t *testing.T, ca, list, good, gone string) {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("openssl is not installed: its opinion is not asked")
		return
	}
	folder := t.TempDir()
	for name, content := range map[string]string{"ca": ca, "crl": list, "good": good, "gone": gone} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	verify := func(name string) (string, error) {
		output, err := exec.CommandContext(t.Context(), program, "verify", "-x509_strict", "-crl_check",
			"-CAfile", filepath.Join(folder, "ca"), "-CRLfile", filepath.Join(folder, "crl"), filepath.Join(folder, name)).CombinedOutput()
		return string(output), err
	}
	output, err := verify("good")
	require.NoError(t, err, output)
	output, err = verify("gone")
	require.Error(t, err)
	require.Contains(t, output, "certificate revoked")
}

func TestAResponderSignsForItsAuthorityOnly(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	o := catest.ServerOrder(memory.create(t, cert.P256))
	o.Spec = cert.Spec{Kind: cert.Responder, CommonName: "OCSP responder", Life: 24 * time.Hour}
	responder := parse(t, done(t, memory.open(), o).Issued.Certificate)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, responder.ExtKeyUsage)
	require.False(t, responder.IsCA)
	require.True(t, hasExtension(responder, "1.3.6.1.5.5.7.48.1.5"), "nobody asks whether a responder is revoked")
}

func hasExtension(c *x509.Certificate, id string) bool {
	for _, extension := range c.Extensions {
		if extension.Id.String() == id {
			return true
		}
	}
	return false
}

// A checkpoint is signed once for one order, and says how long the record was before it.
func TestTheRecordIsSignedOnceAnOrder(t *testing.T) {
	t.Parallel()
	for _, keyType := range cert.KeyTypes() {
		memory := newMemory()
		signer := memory.create(t, keyType)
		wanted := order.SignRecord{Signer: signer, Unit: "signet/0", Model: "uuid", Since: time.Unix(1, 0), Time: time.Now()}
		lines, sum, err := memory.Head()
		require.NoError(t, err)
		first := memory.open().Carry(t.Context(), wanted)
		require.Nil(t, first.Failure)
		wanted.Time = wanted.Time.Add(time.Hour)
		require.Equal(t, first, memory.open().Carry(t.Context(), wanted), "also after a crash")
		read, err := audit.Parse(first.Checkpoint)
		require.NoError(t, err)
		require.Equal(t, lines, read.Lines)
		require.Equal(t, sum, read.Sum)
		ca, err := cert.Parse(signer.Certificate)
		require.NoError(t, err)
		require.True(t, read.VerifiedBy(ca))
		wanted.Since = time.Unix(2, 0)
		require.NotEqual(t, first.Checkpoint, memory.open().Carry(t.Context(), wanted).Checkpoint)
	}
}
