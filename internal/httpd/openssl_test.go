// SPDX-License-Identifier: AGPL-3.0-only

package httpd_test

import (
	"crypto/x509"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/httpd"
)

// openssl judges what is served, over the network.
func TestOpenSSLAgrees(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl, whose opinion is asked here, is not installed")
	}
	now := time.Now()
	for _, keys := range []cert.KeyType{cert.P256, cert.P384, cert.RSA2048} {
		ca := newAuthority(t, keys, "ca", now)
		own := ca.shown(1)
		delegated := own
		delegated.Responder, delegated.ResponderKey = ca.responder(keys, now.AddDate(1, 0, 0), x509.ExtKeyUsageOCSPSigning)
		for who, shown := range map[string]httpd.Authority{"CA": own, "responder": delegated} {
			t.Run(fmt.Sprintf("%s signs with %s", who, keys), func(t *testing.T) {
				t.Parallel()
				server := httpd.New(quiet(), time.Now)
				server.Show(httpd.View{Authorities: []httpd.Authority{shown}})
				judge(t, server, ca)
			})
		}
	}
}

func judge(t *testing.T, server *httpd.Server, ca *authority) {
	web := httptest.NewServer(server.Handler())
	t.Cleanup(web.Close)
	folder := t.TempDir()
	keep := func(name string, text []byte) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, text, 0o600))
		return path
	}
	openssl := func(arguments ...string) (string, error) {
		command := exec.CommandContext(t.Context(), "openssl", arguments...)
		command.Dir = folder
		output, err := command.CombinedOutput()
		return string(output), err
	}
	root := keep("ca.pem", get(server, "/ca.pem").Body.Bytes())
	good, revoked := "good.pem", "revoked.pem"
	keep(good, []byte(cert.Encode(ca.leaf(7).Raw)))
	keep(revoked, []byte(cert.Encode(ca.leaf(66).Raw)))

	output, err := openssl("x509", "-inform", "DER", "-noout", "-subject", "-in", keep("ca.crt", get(server, "/ca/1.crt").Body.Bytes()))
	require.NoError(t, err, output)
	list := keep("crl.der", get(server, "/crl").Body.Bytes())
	output, err = openssl("crl", "-in", list, "-inform", "DER", "-verify", "-CAfile", root, "-out", "crl.pem")
	require.NoError(t, err, output)
	require.Contains(t, output, "verify OK")
	verify := []string{"verify", "-crl_check", "-x509_strict", "-CAfile", root, "-CRLfile", "crl.pem"}
	output, err = openssl(append(verify, good)...)
	require.NoError(t, err, output)
	output, err = openssl(append(verify, revoked)...)
	require.Error(t, err)
	require.Contains(t, output, "certificate revoked")

	ask := []string{"ocsp", "-url", web.URL + "/ocsp", "-CAfile", root, "-issuer", root}
	for name, more := range map[string][]string{"sha1": {"-no_nonce"}, "sha256": {"-no_nonce", "-sha256"}, "nonce": {"-nonce", "-sha512"}} {
		output, err = openssl(append(append(ask, more...), "-cert", good)...)
		require.NoError(t, err, output)
		require.Contains(t, output, "Response verify OK")
		require.Contains(t, output, "good.pem: good")
		output, err = openssl(append(append(ask, more...), "-cert", revoked)...)
		require.NoError(t, err, output)
		require.Contains(t, output, "Response verify OK")
		require.Contains(t, output, "revoked.pem: revoked")
		require.Contains(t, output, "Reason: keyCompromise")
		if name == "nonce" {
			require.Contains(t, output, "no nonce in response", "openssl only warns")
		}
	}
}
