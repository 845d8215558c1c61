// SPDX-License-Identifier: AGPL-3.0-only

package takeover_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

// recorded is where the EasyRSA charm's backup and leader settings are, both of one authority.
const recorded = "../../testdata/wire/easyrsa-takeover"

// authority is another program's, made by a test.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// newAuthority makes an authority, a root where it has no issuer.
func newAuthority(t testing.TB, name string, issuer *authority, changes ...func(*x509.Certificate)) authority {
	t.Helper()
	key, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	return withKey(t, name, key, issuer, changes...)
}

func withKey(t testing.TB, name string, key crypto.Signer, issuer *authority, changes ...func(*x509.Certificate)) authority {
	t.Helper()
	id, err := cert.KeyID(key.Public())
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber:          serial(t),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId:          id,
	}
	for _, change := range changes {
		change(template)
	}
	signer, parent := key, template
	if issuer != nil {
		signer, parent = issuer.key, issuer.certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{certificate, key}
}

// leaf makes a template a server's.
func leaf(template *x509.Certificate) {
	template.IsCA, template.KeyUsage, template.SubjectKeyId = false, x509.KeyUsageDigitalSignature, nil
}

func expired(template *x509.Certificate) {
	template.NotBefore, template.NotAfter = time.Unix(1_500_000_000, 0), time.Unix(1_600_000_000, 0)
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	require.NoError(t, err)
	return number
}

func (a authority) pem() string { return cert.Encode(a.certificate.Raw) }

func (a authority) keyPEM(t testing.TB) string {
	t.Helper()
	key, err := cert.EncodeKey(a.key)
	require.NoError(t, err)
	return key.Reveal()
}

// serialText is how easy-rsa writes the certificate's serial number.
func (a authority) serialText() string { return fmt.Sprintf("%032X", a.certificate.SerialNumber) }

// crl is the authority's revocation list; number 0 stands for none, as easy-rsa has it.
func (a authority) crl(t testing.TB, number int64, entries ...x509.RevocationListEntry) string {
	t.Helper()
	template := &x509.RevocationList{
		Number: big.NewInt(number), RevokedCertificateEntries: entries,
		ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.certificate, a.key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

// easyRSA are the files of an authority's folder that holds these certificates, all valid.
func (a authority) easyRSA(t testing.TB, issued ...authority) map[string]string {
	t.Helper()
	files := map[string]string{"ca.crt": a.pem(), "private/ca.key": a.keyPEM(t), "index.txt": "", "serial": "01\n"}
	for _, c := range issued {
		name := c.certificate.Subject.CommonName
		text := "Certificate:\n    Data:\n        Version: 3 (0x2)\n" + c.pem()
		files["issued/"+name+".crt"], files["certs_by_serial/"+c.serialText()+".pem"] = text, text
		files["private/"+name+".key"] = "not to be read"
		files["index.txt"] += c.indexLine("V", "")
	}
	return files
}

func (a authority) indexLine(status, revocation string) string {
	return strings.Join([]string{
		status, a.certificate.NotAfter.UTC().Format("060102150405Z"), revocation, a.serialText(), "unknown",
		"/CN=" + a.certificate.Subject.CommonName + "\n",
	}, "\t")
}

// write puts files in a new folder.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return root
}

// writeFile puts a text in a file of its own.
func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	return filepath.Join(write(t, map[string]string{name: text}), name)
}

// pack makes a gzipped tarball of files, and of further entries without content.
func pack(t testing.TB, top string, files map[string]string, entries ...tar.Header) []byte {
	t.Helper()
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := tar.Header{Typeflag: tar.TypeReg, Name: top + name, Mode: 0o600, Size: int64(len(files[name]))}
		require.NoError(t, archive.WriteHeader(&header))
		_, err := archive.Write([]byte(files[name]))
		require.NoError(t, err)
	}
	for _, header := range entries {
		require.NoError(t, archive.WriteHeader(&header))
	}
	require.NoError(t, archive.Close())
	require.NoError(t, zipped.Close())
	return packed.Bytes()
}
