// SPDX-License-Identifier: AGPL-3.0-only

package takeover_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/takeover"
)

const passphrase = "open sesame"

// requirePassphrase reads an encrypted authority with the right passphrase, without and with a wrong one.
func requirePassphrase(t *testing.T, path, keyPath string, want authority) {
	t.Helper()
	found, err := takeover.Read(path, keyPath, cert.NewKey(passphrase))
	require.NoError(t, err)
	require.Equal(t, want.pem(), found.Certificate)
	require.Equal(t, want.keyPEM(t), found.Key.Reveal())
	for given, message := range map[string]string{
		"":             "the private key is encrypted: give its passphrase",
		"open barley":  "the passphrase does not open the private key: give the one with which it was encrypted",
		"open sesame ": "the passphrase does not open the private key",
	} {
		_, err := takeover.Read(path, keyPath, cert.NewKey(given))
		require.ErrorContains(t, err, message)
		require.NotRegexp(t, "sesame|barley", err.Error())
	}
}

func TestEncryptedKeys(t *testing.T) {
	t.Parallel()
	takeover.NeedsOldWays(t)
	elliptic := newAuthority(t, "own", nil)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	classic := withKey(t, "own", private, nil)
	pbes2 := func(a authority, cipher pkcs8.Cipher, hash crypto.Hash) string {
		der, err := pkcs8.MarshalPrivateKey(a.key, []byte(passphrase), &pkcs8.Opts{
			Cipher: cipher, KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 8, IterationCount: 2048, HMACHash: hash},
		})
		require.NoError(t, err)
		return block("ENCRYPTED PRIVATE KEY", string(der))
	}
	for sentence, c := range map[string]struct {
		own authority
		key string
	}{
		"3DES, as easy-rsa does": {classic, pbes2(classic, pkcs8.TripleDESCBC, crypto.SHA256)},
		"3DES with SHA-1":        {elliptic, pbes2(elliptic, pkcs8.TripleDESCBC, crypto.SHA1)},
		"AES-128":                {classic, pbes2(classic, pkcs8.AES128CBC, crypto.SHA256)},
		"AES-192":                {elliptic, pbes2(elliptic, pkcs8.AES192CBC, crypto.SHA256)},
		"AES-256":                {elliptic, pbes2(elliptic, pkcs8.AES256CBC, crypto.SHA256)},
		"PKCS#1, traditionally":  {classic, traditional(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private))},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			requirePassphrase(t, writeFile(t, "ca.pem", c.key+c.own.pem()), "", c.own)
			files := c.own.easyRSA(t)
			files["private/ca.key"] = c.key
			requirePassphrase(t, write(t, files), "", c.own)
			requirePassphrase(t, writeFile(t, "a.tgz", string(pack(t, "pki/", files))), writeFile(t, "ca.key", c.key), c.own)
		})
	}
}

// traditional encrypts a key as openssl did before it knew PKCS#8.
func traditional(t *testing.T, kind string, der []byte) string {
	t.Helper()
	encrypted, err := x509.EncryptPEMBlock(rand.Reader, kind, der, []byte(passphrase), x509.PEMCipherAES256) //nolint:staticcheck // what others wrote
	require.NoError(t, err)
	return string(pem.EncodeToMemory(encrypted))
}

func TestAPassphraseThatIsNotNeededDoesNoHarm(t *testing.T) {
	t.Parallel()
	own := newAuthority(t, "own", nil)
	_, err := takeover.Read(writeFile(t, "ca.pem", own.keyPEM(t)+own.pem()), "", cert.NewKey(passphrase))
	require.NoError(t, err)
}

func TestKeysEncryptedInAnUnusualWay(t *testing.T) {
	t.Parallel()
	takeover.NeedsOldWays(t)
	own := newAuthority(t, "own", nil)
	envelope := func(options pkcs8.Opts) string {
		der, err := pkcs8.MarshalPrivateKey(own.key, []byte(passphrase), &options)
		require.NoError(t, err)
		return string(der)
	}
	scrypt := envelope(pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: pkcs8.ScryptOpts{SaltSize: 8, CostParameter: 2, BlockSize: 8, ParallelizationParameter: 1}})
	const unusual = "the private key is encrypted in an unusual way: rewrite it with openssl pkey -aes256"
	for sentence, c := range map[string]struct{ key, want string }{
		"scrypt":            {block("ENCRYPTED PRIVATE KEY", scrypt), unusual},
		"cut off":           {block("ENCRYPTED PRIVATE KEY", scrypt[:40]), unusual},
		"an unknown cipher": {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: ROT-13,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", unusual},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, err := takeover.Read(writeFile(t, "ca.pem", c.key+own.pem()), "", cert.NewKey(passphrase))
			require.ErrorContains(t, err, "PEM block 1: "+c.want)
		})
	}
}

func TestPKCS12(t *testing.T) {
	t.Parallel()
	takeover.NeedsOldWays(t)
	root := newAuthority(t, "root", nil)
	own := newAuthority(t, "own", &root)
	server := newAuthority(t, "server", &own, leaf)
	for sentence, encoder := range map[string]*pkcs12.Encoder{
		"of today": pkcs12.Modern2023, "of tomorrow": pkcs12.Modern2026, "of old": pkcs12.LegacyRC2, "of less old": pkcs12.LegacyDES,
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			der, err := encoder.Encode(own.key, own.certificate, []*x509.Certificate{server.certificate, root.certificate}, passphrase)
			require.NoError(t, err)
			path := writeFile(t, "ca.p12", string(der))
			requirePassphrase(t, path, "", own)
			found, err := takeover.Read(path, "", cert.NewKey(passphrase))
			require.NoError(t, err)
			require.Equal(t, "PKCS#12 file "+path, found.Source)
			require.Equal(t, []string{root.pem()}, found.Issuers)
			require.Equal(t, []string{server.pem()}, found.Issued)
		})
	}
}

func TestPKCS12ThatIsNotInOrder(t *testing.T) {
	t.Parallel()
	takeover.NeedsOldWays(t)
	own := newAuthority(t, "own", nil)
	server := newAuthority(t, "server", &own, leaf)
	encode := func(a authority, encoder *pkcs12.Encoder) string {
		der, err := encoder.Encode(a.key, a.certificate, nil, passphrase)
		require.NoError(t, err)
		return string(der)
	}
	trust, err := pkcs12.Modern2023.EncodeTrustStore([]*x509.Certificate{own.certificate}, passphrase)
	require.NoError(t, err)
	whole := encode(own, pkcs12.Modern2023)
	for sentence, c := range map[string]struct{ text, key, want string }{
		"a server's":       {encode(server, pkcs12.Modern2023), "", `the certificate of "CN=server" is not a CA's`},
		"no key":           {string(trust), "", "it is damaged, or does not hold one key and its certificate"},
		"cut off":          {whole[:200], "", "it is damaged, or does not hold one key"},
		"a certificate":    {string(own.certificate.Raw), "", "it is damaged, or does not hold one key"},
		"with another key": {whole, own.keyPEM(t), "such a file holds its key: leave out the key file"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			key := ""
			if c.key != "" {
				key = writeFile(t, "ca.key", c.key)
			}
			_, err := takeover.Read(writeFile(t, "ca.p12", c.text), key, cert.NewKey(passphrase))
			require.ErrorContains(t, err, "cannot take over PKCS#12 file ")
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestWhatOpenSSLWrites has openssl itself encrypt.
func TestWhatOpenSSLWrites(t *testing.T) {
	t.Parallel()
	takeover.NeedsOldWays(t)
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl, whose keys are read here, is not installed")
	}
	own := newAuthority(t, "own", nil)
	for sentence, arguments := range map[string][]string{
		"pkcs8 with 3DES":           {"pkcs8", "-topk8", "-v2", "des3", "-in", "key", "-passout", "file:pass", "-out", "out"},
		"pkcs8 with SHA-1":          {"pkcs8", "-topk8", "-v2prf", "hmacWithSHA1", "-in", "key", "-passout", "file:pass", "-out", "out"},
		"pkey, as the errors say":   {"pkey", "-aes256", "-in", "key", "-passout", "file:pass", "-out", "out"},
		"ec, traditionally":         {"ec", "-aes128", "-in", "key", "-passout", "file:pass", "-out", "out"},
		"pkcs12":                    {"pkcs12", "-export", "-inkey", "key", "-in", "cert", "-passout", "file:pass", "-out", "out"},
		"pkcs12 with other ciphers": {"pkcs12", "-export", "-inkey", "key", "-in", "cert", "-passout", "file:pass", "-out", "out", "-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			folder := write(t, map[string]string{"key": own.keyPEM(t), "cert": own.pem(), "pass": passphrase})
			command := exec.CommandContext(t.Context(), "openssl", arguments...)
			command.Dir = folder
			output, err := command.CombinedOutput()
			require.NoError(t, err, "%s", output)
			out := filepath.Join(folder, "out")
			if arguments[0] == "pkcs12" {
				requirePassphrase(t, out, "", own)
				return
			}
			requirePassphrase(t, filepath.Join(folder, "cert"), out, own)
		})
	}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	takeover.NeedsOldWays(t)
	own := newAuthority(t, "own", nil)
	found, err := takeover.Read(writeFile(t, "ca.pem", own.keyPEM(t)+own.pem()), "", cert.NewKey(passphrase))
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", found, found, found), "PRIVATE KEY")
}
