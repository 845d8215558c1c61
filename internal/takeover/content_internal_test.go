// SPDX-License-Identifier: AGPL-3.0-only

package takeover

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/signet-charm/signet/internal/cert"
)

func TestIterationsThatAPassphraseIsNotTriedFor(t *testing.T) {
	t.Parallel()
	salt := []byte("salt")
	for sentence, c := range map[string]struct {
		value  any
		costly bool
	}{
		"usual":              {struct{ Salt, Count any }{salt, 600_000}, false},
		"usual, with length": {struct{ Salt, Count, Length any }{salt, 600_000, 32}, false},
		"many":               {struct{ Salt, Count any }{salt, 1_000_000_000}, true},
		"far too many":       {struct{ Salt, Count any }{salt, new(big.Int).Lsh(big.NewInt(1), 100)}, true},
		"a long key":         {struct{ Salt, Count, Length any }{salt, 10_000, 1_000_000}, true},
		"a number elsewhere": {struct{ Version, Salt any }{1_000_000_000, salt}, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			der, err := asn1.Marshal(c.value)
			require.NoError(t, err)
			require.Equal(t, c.costly, costly(der, 0))
			hidden, err := asn1.Marshal(struct{ Version, Content any }{3, der})
			require.NoError(t, err)
			require.Equal(t, c.costly, costly(hidden, 0))
		})
	}
}

func TestEnvelopesThatTheLibraryIsNotGiven(t *testing.T) {
	t.Parallel()
	NeedsOldWays(t)
	for sentence, c := range map[string]struct {
		change func(*pbes2)
		want   error
	}{
		"an envelope in order, with rubbish": {func(*pbes2) {}, errPassphrase},
		"too many iterations": {
			func(e *pbes2) { e.Encryption.Parameters.Derivation.Parameters.Iterations = 1_000_000_000 }, errCostly,
		},
		"a key length":     {func(e *pbes2) { e.Encryption.Parameters.Derivation.Parameters.KeyLength = 24 }, errEncryption},
		"a vector cut off": {func(e *pbes2) { e.Encryption.Parameters.Cipher.Vector = []byte{1} }, errEncryption},
		"content cut off":  {func(e *pbes2) { e.Data = e.Data[1:] }, errEncryption},
		"another cipher":   {func(e *pbes2) { e.Encryption.Parameters.Cipher.Algorithm = asn1.ObjectIdentifier{1, 2, 3} }, errEncryption},
		"another function": {
			func(e *pbes2) {
				e.Encryption.Parameters.Derivation.Parameters.Function.Algorithm = asn1.ObjectIdentifier{1, 2, 3}
			},
			errEncryption,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			envelope := pbes2{Data: make([]byte, 16)}
			envelope.Encryption.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
			parameters := &envelope.Encryption.Parameters
			parameters.Derivation.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
			parameters.Derivation.Parameters.Salt = []byte("salt")
			parameters.Derivation.Parameters.Iterations = 1
			parameters.Derivation.Parameters.Function.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
			parameters.Cipher.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}
			parameters.Cipher.Vector = make([]byte, 8)
			c.change(&envelope)
			der, err := asn1.Marshal(envelope)
			require.NoError(t, err)
			_, err = openPKCS8(der, cert.NewKey("open sesame"))
			require.Equal(t, c.want, err)
		})
	}
}

func FuzzTarball(f *testing.F) {
	whole, err := os.ReadFile("../../testdata/wire/easyrsa-takeover/pki.tar.gz")
	require.NoError(f, err)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := readTarball(bytes.NewReader(data))
		if err != nil {
			require.Nil(t, read)
			return
		}
		total := 0
		for name, text := range read {
			require.True(t, matters(name), "%q", name)
			require.NotContains(t, strings.Split(name, "/"), "..")
			total += len(text)
		}
		require.LessOrEqual(t, total, maxTotal)
		require.Contains(t, read, authorityFile)
	})
}

// FuzzContent reads whatever a file may hold, with a passphrase.
func FuzzContent(f *testing.F) {
	NeedsOldWays(f)
	const encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n" +
		"MIHjME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3DQEFDDAcBAgAwE/1JlPWZQICCAAw\n" +
		"DAYIKoZIhvcNAgkFADAUBggqhkiG9w0DBwQIuQ7TPFooHCw=\n-----END ENCRYPTED PRIVATE KEY-----\n"
	f.Add([]byte(encrypted))
	f.Add([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"))
	key, err := cert.P256.Generate(rand.Reader)
	require.NoError(f, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(2_000_000_000, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(f, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(f, err)
	for _, encoder := range []*pkcs12.Encoder{pkcs12.Modern2026.WithIterations(1), pkcs12.LegacyRC2.WithIterations(1)} {
		file, err := encoder.Encode(key, certificate, nil, "open sesame")
		require.NoError(f, err)
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, m, err := readContent(data, nil, cert.NewKey("open sesame"))
		if err != nil {
			return
		}
		if found, err := m.found("what was read", time.Unix(1_800_000_000, 0)); err == nil {
			require.False(t, found.Key.IsZero())
		}
	})
}
