// SPDX-License-Identifier: AGPL-3.0-only

package takeover_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/takeover"
)

// easyRSA is where Debian and Ubuntu put the program.
const easyRSA = "/usr/share/easy-rsa/easyrsa"

// debian runs easy-rsa in a folder of its own.
type debian struct{ pki string }

func newDebian(t *testing.T) debian {
	t.Helper()
	if _, err := os.Stat(easyRSA); err != nil {
		t.Skip("easy-rsa, whose CA is read here, is not installed")
	}
	d := debian{filepath.Join(t.TempDir(), "pki")}
	d.run(t, "init-pki")
	return d
}

func (d debian) run(t *testing.T, arguments ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), easyRSA, arguments...)
	command.Dir = filepath.Dir(d.pki)
	command.Env = append(os.Environ(), "EASYRSA_BATCH=1", "EASYRSA_PKI="+d.pki,
		"EASYRSA_PASSIN=pass:"+passphrase, "EASYRSA_PASSOUT=pass:"+passphrase)
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// certificate is a file of the folder.
func (d debian) certificate(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.pki, name))
	require.NoError(t, err)
	c, err := cert.ParseCertificate(string(text))
	require.NoError(t, err)
	return cert.Encode(c.Raw)
}

func TestWhatEasyRSAWrites(t *testing.T) {
	t.Parallel()
	d := newDebian(t)
	d.run(t, "build-ca", "nopass")
	d.run(t, "build-server-full", "server", "nopass")
	d.run(t, "build-client-full", "client", "nopass")
	revoked := d.certificate(t, "issued/client.crt")
	d.run(t, "revoke", "client", "keyCompromise")

	found, err := takeover.Read(d.pki, "", cert.Key{})
	require.NoError(t, err)
	require.Equal(t, "easy-rsa folder "+d.pki, found.Source)
	require.Equal(t, d.certificate(t, "ca.crt"), found.Certificate)
	require.ElementsMatch(t, []string{d.certificate(t, "issued/server.crt"), revoked}, found.Issued)
	require.Len(t, found.Revoked, 1)
	c, err := cert.ParseCertificate(revoked)
	require.NoError(t, err)
	require.Equal(t, cert.SerialText(c.SerialNumber), found.Revoked[0].Serial)
	require.Equal(t, cert.KeyCompromise, found.Revoked[0].Reason)
	require.Equal(t, c.NotAfter, found.Revoked[0].Ends)
	require.WithinDuration(t, time.Now(), found.Revoked[0].Time, time.Minute)

	d.run(t, "gen-crl")
	again, err := takeover.Read(filepath.Dir(d.pki), "", cert.Key{})
	require.NoError(t, err)
	again.Source = found.Source
	require.Equal(t, found, again, "its list has no number and says what the index says")

	require.NoError(t, os.WriteFile(filepath.Join(d.pki, "index.txt"), nil, 0o600))
	listed, err := takeover.Read(d.pki, "", cert.Key{})
	require.NoError(t, err)
	require.Equal(t, found.Revoked, listed.Revoked, "the list alone says it too")
}

func TestEasyRSAWithAPassphrase(t *testing.T) {
	t.Parallel()
	takeover.NeedsOldWays(t)
	d := newDebian(t)
	d.run(t, "build-ca")
	for given, want := range map[string]string{
		passphrase: "", "": "private/ca.key, PEM block 1: the private key is encrypted: give its passphrase", "hush": "the passphrase does not open",
	} {
		found, err := takeover.Read(d.pki, "", cert.NewKey(given))
		if want != "" {
			require.ErrorContains(t, err, want)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, d.certificate(t, "ca.crt"), found.Certificate)
	}
}
