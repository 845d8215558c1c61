// SPDX-License-Identifier: AGPL-3.0-only

package takeover_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/takeover"
)

// leaderSettings are those that were recorded.
func leaderSettings(t testing.TB) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(recorded, "leader-settings.json"))
	require.NoError(t, err)
	var settings map[string]string
	require.NoError(t, json.Unmarshal(text, &settings))
	return settings
}

func TestARecordedEasyRSAIsTheSameFromItsBackupAndItsLeaderSettings(t *testing.T) {
	t.Parallel()
	backup, err := takeover.Read(filepath.Join(recorded, "pki.tar.gz"), "", cert.Key{})
	require.NoError(t, err)
	settings, ours, err := takeover.ReadLeaderSettings(leaderSettings(t))
	require.NoError(t, err)
	require.True(t, ours)

	require.Equal(t, leaderSettings(t)["certificate_authority"], backup.Certificate)
	require.Equal(t, backup.Certificate, settings.Certificate)
	require.Equal(t, backup.Key, settings.Key)
	require.Empty(t, backup.Issuers)
	require.Empty(t, backup.Revoked)
	require.Zero(t, backup.CRLNumber)
	require.Contains(t, backup.Source, "easy-rsa backup ")
	require.Equal(t, "EasyRSA's leader settings", settings.Source)

	var names []string
	authority, err := cert.ParseCertificate(backup.Certificate)
	require.NoError(t, err)
	for _, issued := range backup.Issued {
		c, err := cert.ParseCertificate(issued)
		require.NoError(t, err)
		require.NoError(t, c.CheckSignatureFrom(authority))
		names = append(names, c.Subject.CommonName)
	}
	require.ElementsMatch(t, []string{
		"client", "requirer-0.lab", "requirer-0-0.lab", "requirer-0-1.lab", "requirer-0-2.lab", "client-requirer-0", "admin-requirer-0",
	}, names)
	require.Len(t, settings.Issued, 1)
	require.Contains(t, backup.Issued, settings.Issued[0])
}

func TestLeaderSettings(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		change func(settings map[string]string)
		ours   bool
		want   string // in the error
	}{
		"as they were recorded":        {func(map[string]string) {}, true, ""},
		"without the client":           {func(s map[string]string) { delete(s, "client_certificate") }, true, ""},
		"of another charm":             {func(s map[string]string) { clear(s); s["cluster_id"] = "7" }, false, ""},
		"without the key":              {func(s map[string]string) { delete(s, "certificate_authority_key") }, true, "there is no private key"},
		"without the certificate":      {func(s map[string]string) { delete(s, "certificate_authority") }, true, "the private key is not that of the certificate"},
		"with the client's key for it": {func(s map[string]string) { s["certificate_authority_key"] = s["client_key"] }, true, `"CN=client" is not a CA's`},
		"with a damaged key": {
			func(s map[string]string) { s["certificate_authority_key"] = s["certificate_authority_key"][:900] }, true,
			"certificate_authority_key, 1 of 1 PEM blocks are damaged",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			settings := leaderSettings(t)
			c.change(settings)
			found, ours, err := takeover.ReadLeaderSettings(settings)
			require.Equal(t, c.ours, ours)
			if c.want != "" {
				require.ErrorContains(t, err, "cannot take over EasyRSA's leader settings: ")
				require.ErrorContains(t, err, c.want)
				require.Zero(t, found)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.ours, !found.Key.IsZero())
		})
	}
}

func TestPEMFilesInAnyOrder(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil)
	middle := newAuthority(t, "middle", &root)
	own := newAuthority(t, "own", &middle)
	server := newAuthority(t, "server", &own, leaf)
	stranger := newAuthority(t, "stranger", nil)
	sec1 := sec1(t, own.key)
	for sentence, c := range map[string]struct{ first, second string }{
		"the key first":        {own.keyPEM(t) + own.pem() + middle.pem() + root.pem() + server.pem(), ""},
		"the root first":       {root.pem() + server.pem() + middle.pem() + own.pem() + own.keyPEM(t), ""},
		"the key of its own":   {own.pem() + server.pem() + middle.pem() + root.pem(), own.keyPEM(t)},
		"the files exchanged":  {own.keyPEM(t), own.pem() + server.pem() + middle.pem() + root.pem()},
		"the chain by the key": {own.pem(), own.keyPEM(t) + middle.pem() + root.pem() + server.pem()},
		"a key of openssl's":   {own.pem() + middle.pem() + root.pem() + server.pem(), sec1},
		"something else added": {stranger.pem() + own.pem() + own.pem() + middle.pem() + root.pem() + server.pem(), sec1},
		"text, and CRLF":       {"subject=own\r\n" + strings.ReplaceAll(own.pem()+middle.pem()+root.pem()+server.pem(), "\n", "\r\n"), sec1},
		"with a list":          {own.pem() + middle.pem() + root.pem() + server.pem() + own.crl(t, 41), sec1},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			second := ""
			if c.second != "" {
				second = writeFile(t, "ca.key", c.second)
			}
			path := writeFile(t, "ca.pem", c.first)
			found, err := takeover.Read(path, second, cert.Key{})
			require.NoError(t, err)
			if strings.Contains(c.first, "CRL") {
				require.EqualValues(t, 41, found.CRLNumber)
				found.CRLNumber = 0
			}
			require.Equal(t, takeover.Found{
				Source:      "PEM file " + path,
				Certificate: own.pem(),
				Issuers:     []string{middle.pem(), root.pem()},
				Key:         cert.NewKey(own.keyPEM(t)),
				Issued:      []string{server.pem()},
			}, found)
		})
	}
}

// sec1 is a key as openssl ecparam -genkey writes it.
func sec1(t testing.TB, key crypto.Signer) string {
	t.Helper()
	private, ok := key.(*ecdsa.PrivateKey)
	require.True(t, ok)
	der, err := x509.MarshalECPrivateKey(private)
	require.NoError(t, err)
	return "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" +
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

func TestARenewedAuthorityIsTheOneThatHasNotExpired(t *testing.T) {
	t.Parallel()
	old := newAuthority(t, "own", nil, expired)
	renewed := withKey(t, "own", old.key, nil)
	found, err := takeover.Read(writeFile(t, "ca.pem", old.pem()+renewed.pem()+old.keyPEM(t)), "", cert.Key{})
	require.NoError(t, err)
	require.Equal(t, renewed.pem(), found.Certificate)
	require.Empty(t, found.Issued, "the old one is its own too")
}

func TestWhatIsNoAuthorityIsRefused(t *testing.T) {
	t.Parallel()
	takeover.NeedsOldWays(t)
	root := newAuthority(t, "root", nil)
	middle := newAuthority(t, "middle", &root)
	own := newAuthority(t, "own", &middle)
	other := newAuthority(t, "other", nil)
	over := newAuthority(t, "over", nil, expired)
	server := newAuthority(t, "server", &root, leaf)
	mute := newAuthority(t, "mute", nil, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	below := newAuthority(t, "below", &root)
	weak := newAuthority(t, "weak", nil, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 })
	flat := newAuthority(t, "flat", nil, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	deep := newAuthority(t, "deep", &flat)
	forged := withKey(t, "forged", other.key, nil)
	forged.certificate.Raw = []byte(strings.Replace(string(forged.certificate.Raw), "forged", "forgot", 1)) // one of two names
	for sentence, c := range map[string]struct{ text, want string }{
		"another's key":                  {root.pem() + other.keyPEM(t), `the private key is not that of the certificate of "CN=root"`},
		"a key of none of several":       {root.pem() + own.pem() + other.keyPEM(t), "the private key is that of none of the 2 certificates"},
		"two keys":                       {root.pem() + root.keyPEM(t) + other.keyPEM(t), "PEM block 3: it is a second private key"},
		"no key":                         {root.pem(), "there is no private key: name the file that holds it"},
		"no certificate":                 {root.keyPEM(t), "there is no certificate"},
		"a server's certificate":         {server.pem() + root.pem() + server.keyPEM(t), `the certificate of "CN=server" is not a CA's`},
		"an authority that has expired":  {over.pem() + over.keyPEM(t), `the certificate of "CN=over" expired at 2020-09-13T12:26:40Z: renew it`},
		"an authority that may not sign": {mute.pem() + mute.keyPEM(t), "it may not sign certificates"},
		"an issuer that forbids it":      {deep.pem() + flat.pem() + below.pem() + deep.keyPEM(t), `"CN=flat" allows 0 CAs below it`},
		"a root signed with SHA-1":       {weak.pem() + weak.keyPEM(t), `"CN=weak" does not verify with its own key (x509: cannot verify signature: insecure algorithm ECDSA-SHA1)`},
		"a gap next to it":               {own.pem() + root.pem() + own.keyPEM(t), `the certificate of "CN=middle", which issued that of "CN=own", is missing`},
		"a gap below the root":           {own.pem() + middle.pem() + own.keyPEM(t), `the certificate of "CN=root", which issued that of "CN=middle", is missing`},
		"a name changed":                 {forged.pem() + other.keyPEM(t), `which issued that of "CN=forg`},
		"a hole in the text":             {root.pem() + middle.pem()[:300] + "\n" + root.keyPEM(t), "1 of 3 PEM blocks are damaged: copy the file again"},
		"a certificate that is none":     {block("CERTIFICATE", "nothing"), "PEM block 1: x509: malformed certificate: copy the certificate again"},
		"a list that is none":            {block("X509 CRL", "nothing"), "PEM block 1: x509: malformed crl: make the revocation list anew"},
		"two lists":                      {root.crl(t, 1) + root.crl(t, 2), "PEM block 2: it is a second revocation list"},
		"another's list":                 {root.pem() + root.keyPEM(t) + other.crl(t, 1), `the revocation list is not signed by "CN=root"`},
		"a key that is none":             {root.pem() + block("PRIVATE KEY", "hush"), "its encoding is damaged or of an unknown kind: rewrite it"},
		"a request":                      {block("CERTIFICATE REQUEST", "nothing"), `it is a "CERTIFICATE REQUEST", which is no part of an authority`},
		"plain text":                     {"hello", "it is neither a gzipped tarball nor PEM nor PKCS#12"},
		"nothing":                        {"", "it is neither a gzipped tarball nor PEM nor PKCS#12"},
		"too much":                       {strings.Repeat(" ", 16<<20) + root.pem(), "it is larger than 16 MiB"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			path := writeFile(t, "ca.pem", c.text)
			found, err := takeover.Read(path, "", cert.Key{})
			require.ErrorContains(t, err, c.want)
			require.Regexp(t, "^cannot take over (PEM )?file "+path+": ", err.Error())
			require.NotContains(t, err.Error(), "hush")
			require.Zero(t, found)
		})
	}
}

// block is a PEM block without sense.
func block(kind, text string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(text)}))
}

func TestKeysWithWhichSignetDoesNotSign(t *testing.T) {
	t.Parallel()
	takeover.NeedsOldWays(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	for want, key := range map[string]crypto.Signer{
		"RSA of 1024 bits with exponent 65537": small, "ECDSA on P-521": p521, "ed25519": edwards,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			a := withKey(t, "own", key, nil)
			_, err := takeover.Read(writeFile(t, "ca.pem", a.pem()+a.keyPEM(t)), "", cert.Key{})
			require.ErrorContains(t, err, "the authority's key is "+want+", with which signet does not sign: make a new authority with one of ecdsa-p256, ")
		})
	}
}

func TestPathsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "own", nil)
	folder := write(t, map[string]string{"ca.pem": a.pem(), "ca.key": a.keyPEM(t)})
	for sentence, c := range map[string]struct{ path, key, want string }{
		"nothing there":        {"none.pem", "", "none.pem: no such file or directory: name an easy-rsa folder"},
		"no key there":         {"ca.pem", "none.key", "none.key: it does not exist"},
		"a folder for a key":   {"ca.pem", ".", "it is not a regular file"},
		"a folder with PEM":    {".", "", "it holds no ca.crt: name easy-rsa's folder"},
		"a key that is no PEM": {"ca.key", "../../../../../../../dev/null", "it is not a regular file"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			key := ""
			if c.key != "" {
				key = filepath.Join(folder, c.key)
			}
			_, err := takeover.Read(filepath.Join(folder, c.path), key, cert.Key{})
			require.ErrorContains(t, err, c.want)
		})
	}
}
