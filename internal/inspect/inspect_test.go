// SPDX-License-Identifier: AGPL-3.0-only

package inspect_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/inspect"
)

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// files are what a server has, made for a test.
type files struct {
	ca, leaf                                   *x509.Certificate
	key                                        *ecdsa.PrivateKey
	caPEM, leafPEM, keyPEM, requestPEM, crlPEM string
}

func newFiles(t *testing.T) files {
	t.Helper()
	var f files
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	f.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: noon().AddDate(0, 0, -1), NotAfter: noon().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, caKey.Public(), caKey)
	require.NoError(t, err)
	f.ca, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(10), Subject: pkix.Name{CommonName: "app"}, DNSNames: []string{"app.example.com"}, NotBefore: noon().AddDate(0, 0, -1),
		NotAfter: noon().AddDate(0, 0, 89), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err = x509.CreateCertificate(rand.Reader, leaf, f.ca, f.key.Public(), caKey)
	require.NoError(t, err)
	f.leaf, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	der, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "app"}, DNSNames: []string{"app.example.com"}}, f.key)
	require.NoError(t, err)
	f.requestPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	der, err = x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(4), ThisUpdate: noon().AddDate(0, 0, -1), NextUpdate: noon().AddDate(0, 0, 6)}, f.ca, caKey)
	require.NoError(t, err)
	f.crlPEM = string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
	key, err := cert.EncodeKey(f.key)
	require.NoError(t, err)
	f.caPEM, f.leafPEM, f.keyPEM = cert.Encode(f.ca.Raw), cert.Encode(f.leaf.Raw), key.Reveal()
	return f
}

// found is a thing in a few words.
func found(one inspect.Thing) string {
	return strings.TrimSpace(strings.Join([]string{one.Where, one.Kind, one.Subject, one.IssuedBy, one.Detail, strings.Join(one.Faults, ";")}, "|"))
}

func TestWhatAFileHolds(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	bundle, err := pkcs12.Modern2023.Encode(f.key, f.leaf, []*x509.Certificate{f.ca}, "secret")
	require.NoError(t, err)
	asJSON := func(value any) string {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		return string(text)
	}
	base64Of := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for sentence, c := range map[string]struct {
		data  string
		found []string
	}{
		"a certificate with its chain and key": {f.leafPEM + f.caPEM + f.keyPEM, []string{
			"block 1|certificate|CN=app|block 2||", "block 2|CA certificate|CN=test CA|itself|0 CAs may be below it|", "block 3|private key|||of block 1: CN=app|",
		}},
		"a certificate in DER":  {string(f.leaf.Raw), []string{"|certificate|CN=app|||"}},
		"a request":             {f.requestPEM, []string{"block 1|request|CN=app|||"}},
		"a list and who signed": {f.crlPEM + f.caPEM, []string{"block 1|revocation list||block 2|0 revoked|", "block 2|CA certificate|CN=test CA|itself|0 CAs may be below it|"}},
		"PKCS#12":               {string(bundle), []string{"certificate 1|certificate|CN=app|certificate 2||", "certificate 2|CA certificate|CN=test CA|itself|0 CAs may be below it|", "key|private key|||of certificate 1: CN=app|"}},
		"a kubeconfig": {"apiVersion: v1\nclusters:\n- name: prod\n  cluster: {certificate-authority-data: " + base64Of(f.caPEM) + "}\nusers:\n- name: admin\n  user:\n    client-certificate-data: " + base64Of(f.leafPEM) +
			"\n    client-key-data: " + base64Of(f.keyPEM) + "\n", []string{
			"clusters[prod].cluster.certificate-authority-data|CA certificate|CN=test CA|itself|0 CAs may be below it|",
			"users[admin].user.client-certificate-data|certificate|CN=app|clusters[prod].cluster.certificate-authority-data||",
			"users[admin].user.client-key-data|private key|||of users[admin].user.client-certificate-data: CN=app|",
		}},
		"a databag with a document in it": {asJSON(map[string]string{"certificates": asJSON([]any{map[string]any{"certificate": f.leafPEM, "chain": []string{f.leafPEM, f.caPEM}}})}), []string{
			"certificates[0].certificate|certificate|CN=app|certificates[0].chain[1]||", "certificates[0].chain[0]|certificate|CN=app|certificates[0].chain[1]||",
			"certificates[0].chain[1]|CA certificate|CN=test CA|itself|0 CAs may be below it|",
		}},
		"what a tool prints": {"client.cert: " + f.leafPEM, []string{"block 1|certificate|CN=app|||"}},
		"a torn block":       {f.leafPEM + f.caPEM[:100], []string{"block 1|certificate|CN=app|||", "|PEM||||1 of 2 PEM blocks are damaged"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			things, err := inspect.Read([]byte(c.data), cert.NewKey("secret"), noon())
			require.NoError(t, err)
			var got []string
			for _, one := range things {
				got = append(got, found(one))
			}
			require.Equal(t, c.found, got)
			shown, err := json.Marshal(things)
			require.NoError(t, err)
			require.NotContains(t, string(shown), "BEGIN")
			require.NotContains(t, string(shown), f.key.D.Text(16)) //nolint:staticcheck // the number is looked for, not used
		})
	}
}

func TestWhatCannotBeReadSaysWhy(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	bundle, err := pkcs12.Modern2023.Encode(f.key, f.leaf, nil, "secret")
	require.NoError(t, err)
	for sentence, c := range map[string]struct{ data, password, reason string }{
		"nothing":             {" \n", "", "it is empty"},
		"text":                {"hello", "", "holds no certificate"},
		"JSON without any":    {`{"a": [1, null, "b"]}`, "", "holds no certificate"},
		"broken JSON":         {`{"a": `, "", "neither JSON nor YAML"},
		"another password":    {string(bundle), "other", "the password is another one"},
		"no password":         {string(bundle), "", "--password-file"},
		"another kind of DER": {"\x30\x82\x00\x01\x00", "", "neither a certificate"},
		"too much":            {strings.Repeat("x", inspect.MaxSize+1), "", "larger than 16 MiB"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, err := inspect.Read([]byte(c.data), cert.NewKey(c.password), noon())
			require.ErrorContains(t, err, c.reason)
		})
	}
}

func TestWhatIsWrongWithACertificate(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	stranger := newFiles(t)
	for sentence, c := range map[string]struct {
		data, fault string
		at          time.Time
	}{
		"it expired":             {f.leafPEM, "it expired 11 days ago", noon().AddDate(0, 0, 100)},
		"it is not valid yet":    {f.leafPEM, "it is not valid yet", noon().AddDate(0, 0, -10)},
		"it ends soon":           {f.leafPEM, "a tenth of its life is left", noon().AddDate(0, 0, 85)},
		"the list is overdue":    {f.crlPEM, "it is overdue for 4 days", noon().AddDate(0, 0, 10)},
		"its chain is another's": {f.leafPEM + stranger.caPEM, "block 2 has its issuer's name, and did not sign it", noon()},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			things, err := inspect.Read([]byte(c.data), cert.Key{}, c.at)
			require.NoError(t, err)
			require.Contains(t, strings.Join(things[0].Faults, ";"), c.fault)
		})
	}
}

// Whatever is read ends, and never holds a key.
func FuzzRead(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"))
	f.Add([]byte(`{"a": "[\"-----BEGIN PRIVATE KEY-----\"]"}`))
	f.Add([]byte("clusters:\n- name: x\n  certificate-authority-data: TFM=\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		things, err := inspect.Read(data, cert.Key{}, noon())
		require.Equal(t, err != nil, len(things) == 0)
	})
}
