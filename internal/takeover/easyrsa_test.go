// SPDX-License-Identifier: AGPL-3.0-only

package takeover_test

import (
	"archive/tar"
	"crypto/x509"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/takeover"
)

func TestAFolderAndItsBackupSayTheSame(t *testing.T) {
	t.Parallel()
	own := newAuthority(t, "own", nil)
	other := newAuthority(t, "own", nil) // same name, another key
	valid, lost, listed := newAuthority(t, "valid", &own, leaf), newAuthority(t, "lost", &own, leaf), newAuthority(t, "listed", &own, leaf)
	foreign, gone := newAuthority(t, "foreign", &other, leaf), newAuthority(t, "gone", &own, leaf)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	files := own.easyRSA(t, valid)
	files["issued/foreign.crt"] = foreign.pem()
	files["revoked/certs_by_serial/"+lost.serialText()+".crt"] = lost.pem()
	files["renewed/issued/valid.crt"] = listed.pem()
	files["index.txt"] += lost.indexLine("R", "260301120000Z,keyCompromise") + gone.indexLine("R", "20260301120000Z") +
		listed.indexLine("E", "")
	files["crl.pem"] = own.crl(t, 7,
		x509.RevocationListEntry{SerialNumber: lost.certificate.SerialNumber, RevocationTime: at.Add(time.Hour)},
		x509.RevocationListEntry{SerialNumber: listed.certificate.SerialNumber, RevocationTime: at, ReasonCode: 4},
		x509.RevocationListEntry{SerialNumber: foreign.certificate.SerialNumber, RevocationTime: at, ReasonCode: 6})

	folder := write(t, files)
	above := write(t, map[string]string{"readme": ""})
	require.NoError(t, os.Rename(folder, filepath.Join(above, "pki")))
	var first takeover.Found
	for sentence, path := range map[string]string{
		"the folder":                  filepath.Join(above, "pki"),
		"the folder above":            above,
		"the folder above that":       filepath.Dir(above),
		"a tarball of the folder":     writeFile(t, "a.tar.gz", string(pack(t, "pki/", files))),
		"a tarball of its content":    writeFile(t, "a.tar.gz", string(pack(t, "./", files))),
		"a tarball from further up":   writeFile(t, "a.tar.gz", string(pack(t, "root/EasyRSA/pki/", files))),
		"a tarball with folders, too": writeFile(t, "a.tgz", string(pack(t, "x/", files, tar.Header{Typeflag: tar.TypeDir, Name: "x/issued/"}))),
	} {
		found, err := takeover.Read(path, "", cert.Key{})
		require.NoError(t, err, sentence)
		require.Contains(t, found.Source, path)
		found.Source = ""
		if first.Certificate == "" {
			first = found
		}
		require.Equal(t, first, found, sentence)
	}

	require.Equal(t, own.pem(), first.Certificate)
	require.Equal(t, own.keyPEM(t), first.Key.Reveal())
	require.EqualValues(t, 7, first.CRLNumber)
	require.ElementsMatch(t, []string{valid.pem(), lost.pem(), listed.pem()}, first.Issued)
	revoked := func(a authority, reason cert.Reason) cert.Revocation {
		return cert.Revocation{Serial: cert.SerialText(a.certificate.SerialNumber), Time: at, Reason: reason, Ends: a.certificate.NotAfter}
	}
	unknown := revoked(foreign, cert.Unspecified)
	unknown.Ends = time.Time{}
	require.ElementsMatch(t, []cert.Revocation{
		revoked(lost, cert.KeyCompromise), revoked(gone, cert.Unspecified), revoked(listed, cert.Superseded), unknown,
	}, first.Revoked)
	require.IsIncreasing(t, serials(first.Revoked))
}

func serials(revoked []cert.Revocation) []string {
	var list []string
	for _, r := range revoked {
		list = append(list, r.Serial)
	}
	return list
}

func TestTheKeyMayLieOutsideOfTheFolder(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil)
	own := newAuthority(t, "own", &root)
	files := own.easyRSA(t)
	files["ca.crt"] += root.pem()
	delete(files, "private/ca.key")
	found, err := takeover.Read(write(t, files), writeFile(t, "k", own.keyPEM(t)), cert.Key{})
	require.NoError(t, err)
	require.Equal(t, []string{root.pem()}, found.Issuers)
	require.Zero(t, found.CRLNumber)
	require.Empty(t, found.Revoked)
}

func TestFoldersThatAreNotInOrder(t *testing.T) {
	t.Parallel()
	own, other := newAuthority(t, "own", nil), newAuthority(t, "other", nil)
	server := newAuthority(t, "server", &own, leaf)
	inOrder := own.easyRSA(t, server)
	for sentence, c := range map[string]struct {
		name, text string // a changed file; "-" takes it away
		want       string
	}{
		"no authority":             {"ca.crt", "-", "it holds no ca.crt: name easy-rsa's folder"},
		"no key":                   {"private/ca.key", "-", "private/ca.key is missing: name the file"},
		"no index":                 {"index.txt", "-", "index.txt is missing, which tells what is revoked"},
		"another's key":            {"private/ca.key", other.keyPEM(t), "the private key is that of none of the 3 certificates"},
		"an index with rubbish":    {"index.txt", inOrder["index.txt"] + "R\tgone\n", "index.txt, line 2: it has 2 fields instead of 6: correct the line"},
		"another's list":           {"crl.pem", other.crl(t, 1), `the revocation list is not signed by "CN=own"`},
		"an empty list":            {"crl.pem", "", `"crl.pem" holds no PEM block`},
		"a certificate cut off":    {"issued/server.crt", server.pem()[:200], `"issued/server.crt", 1 of 1 PEM blocks are damaged`},
		"a key among certificates": {"issued/server.crt", server.pem() + server.keyPEM(t), `"issued/server.crt", PEM block 2: it is a second private key`},
		"a certificate too large":  {"issued/server.crt", strings.Repeat("x", 16<<20+1), `is larger than 16 MiB`},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			files := maps.Clone(inOrder)
			if files[c.name] = c.text; c.text == "-" {
				delete(files, c.name)
			}
			if strings.HasPrefix(c.name, "issued/") {
				delete(files, "certs_by_serial/"+server.serialText()+".pem")
			}
			for source, path := range map[string]string{
				"easy-rsa folder ": write(t, files),
				"":                 writeFile(t, "backup", string(pack(t, "pki/", files))),
			} {
				found, err := takeover.Read(path, "", cert.Key{})
				require.ErrorContains(t, err, c.want)
				require.ErrorContains(t, err, source+path+": ")
				require.Zero(t, found)
			}
		})
	}
}

func TestAFolderWithTwoAuthoritiesIsRefused(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "own", nil)
	both := map[string]string{}
	for name, text := range a.easyRSA(t) {
		both["one/"+name], both["two/"+name] = text, text
	}
	for _, path := range []string{write(t, both), writeFile(t, "backup", string(pack(t, "", both)))} {
		_, err := takeover.Read(path, "", cert.Key{})
		require.ErrorContains(t, err, `it holds several authorities, such as "one" and "two": name one of them`)
	}
}

func TestTarballsThatNoBackupMakes(t *testing.T) {
	t.Parallel()
	files := newAuthority(t, "own", nil).easyRSA(t)
	whole := pack(t, "pki/", files)
	wrong := append([]byte{}, whole...)
	wrong[len(wrong)-6]++ // gzip's checksum
	entry := func(kind byte, name string) []byte {
		return pack(t, "pki/", files, tar.Header{Typeflag: kind, Name: name, Linkname: "ca.crt"})
	}
	for sentence, c := range map[string]struct {
		data []byte
		want string
	}{
		"cut off at the end":       {whole[:len(whole)-10], "it is damaged or cut off"},
		"cut off in the middle":    {whole[:len(whole)/2], "it is damaged or cut off"},
		"cut off at the beginning": {whole[:4], "it is damaged or cut off"},
		"damaged":                  {wrong, "it is damaged or cut off (gzip: invalid checksum): copy it again"},
		"a file above":             {entry(tar.TypeReg, "pki/../../ca.crt"), `its entry "pki/../../ca.crt" leads out of the folder`},
		"a file from the root":     {entry(tar.TypeReg, "/etc/shadow"), `its entry "/etc/shadow" leads out of the folder`},
		"a folder above":           {entry(tar.TypeDir, "../"), `leads out of the folder`},
		"a symbolic link":          {entry(tar.TypeSymlink, "pki/issued/a.crt"), `its entry "pki/issued/a.crt" is a link or a device`},
		"a hard link":              {entry(tar.TypeLink, "pki/a"), "is a link or a device"},
		"a device":                 {entry(tar.TypeBlock, "pki/a"), "is a link or a device"},
		"a pipe":                   {entry(tar.TypeFifo, "pki/a"), "is a link or a device"},
		"a file twice":             {entry(tar.TypeReg, "pki/index.txt"), `its entry "pki/index.txt" is there twice`},
		"a large file that does not matter": {
			pack(t, "pki/", map[string]string{"x": strings.Repeat("\x00", 65<<20)}), "what it unpacks to is larger than 64 MiB",
		},
		"a large file that does":   {pack(t, "pki/", map[string]string{"ca.crt": strings.Repeat("\x00", 17<<20)}), `"pki/ca.crt" is larger than 16 MiB`},
		"nothing":                  {pack(t, "", nil), "it holds no ca.crt"},
		"a comment, and no folder": {pack(t, "", nil, tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}), "it holds no ca.crt"},
		"too many entries":         {pack(t, "", nil, make([]tar.Header, 100_001)...), "it has more than 100000 entries"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, err := takeover.Read(writeFile(t, "backup.tar.gz", string(c.data)), "", cert.Key{})
			require.ErrorContains(t, err, "cannot take over tarball ")
			require.ErrorContains(t, err, c.want)
		})
	}
}
