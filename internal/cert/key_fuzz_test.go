// SPDX-License-Identifier: AGPL-3.0-only

package cert_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

// FuzzParseKey reads what may be a private key. What is read is written and read again as the same key, and an error
// repeats no line of what was given.
func FuzzParseKey(f *testing.F) {
	signer, err := cert.P256.Generate(rand.Reader)
	require.NoError(f, err)
	key, err := cert.EncodeKey(signer)
	require.NoError(f, err)
	f.Add(key.Reveal())
	f.Add(key.Reveal()[:120])
	f.Add("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + strings.ReplaceAll(key.Reveal(), " PRIVATE", " EC PRIVATE"))
	f.Add("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHjME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3\n-----END ENCRYPTED PRIVATE KEY-----\n")
	f.Add("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIHjME4GCSqGSIb3\n-----END RSA PRIVATE KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		read, err := cert.ParseKey(cert.NewKey(text))
		if err != nil {
			requireTellsNothing(t, err.Error(), text)
			_, err = cert.PublicKeyOf(text)
			if block, _ := pem.Decode([]byte(text)); block != nil && strings.Contains(block.Type, "PRIVATE") {
				requireTellsNothing(t, err.Error(), text)
			}
			return
		}
		if _, err := x509.MarshalPKCS8PrivateKey(read); err != nil {
			return
		}
		written, err := cert.EncodeKey(read)
		require.NoError(t, err)
		again, err := cert.ParseKey(written)
		require.NoError(t, err)
		require.True(t, cert.SameKey(read.Public(), again.Public()))
	})
}

// requireTellsNothing holds a message to repeat no line of a secret that is long enough not to be there by chance.
func requireTellsNothing(t *testing.T, message, secret string) {
	t.Helper()
	for line := range strings.Lines(secret) {
		if line = strings.TrimSpace(line); len(line) >= 16 && !strings.HasPrefix(line, "-----") {
			require.NotContains(t, message, line)
		}
	}
}
