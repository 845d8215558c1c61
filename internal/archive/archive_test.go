// SPDX-License-Identifier: AGPL-3.0-only

package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signet-charm/signet/internal/archive"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
)

func made() time.Time { return time.Date(2026, 3, 1, 12, 30, 5, 0, time.UTC) }

func newKey(t require.TestingT) cert.Key {
	private, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	key, err := cert.EncodeKey(private)
	require.NoError(t, err)
	return key
}

func sample(t require.TestingT) archive.Content {
	return archive.Content{
		Made: made(), Application: "easy-rsa", Model: "k8s", ModelUUID: "7b4f8a3e-0000-4000-8000-000000000000",
		Record: map[string]string{"authority": "-----BEGIN CERTIFICATE-----\n<&>\u2028", "revoked": "", "crl.1": "é"},
		Keys:   map[int]cert.Key{1: newKey(t), 2: newKey(t), 10: newKey(t)},
		Entries: []ledger.Entry{
			{Time: made(), Event: ledger.Ordered, Order: "o1", Ask: "3/legacy/etcd_0"},
			{Time: made().Add(time.Nanosecond), Event: ledger.Issued, Order: "o1", Serial: "41aa", Generation: 2, Names: []string{"a", "b"}, NotAfter: made().AddDate(1, 0, 0)},
		},
	}
}

func identity(t require.TestingT) *age.X25519Identity {
	made, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return made
}

// folder is where nothing is yet.
func folder(t *testing.T) string { return filepath.Join(t.TempDir(), "state", "backups") }

func TestARoundTrip(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	one, two := identity(t), identity(t)
	hybrid, err := age.GenerateHybridIdentity()
	require.NoError(t, err)
	passphrase := cert.NewKey("correct horse battery staple")
	cases := map[string]struct {
		locks archive.Locks
		opens []archive.Opener
	}{
		"with one recipient": {
			archive.Locks{Recipients: []string{one.Recipient().String()}},
			[]archive.Opener{{Identities: cert.NewKey(one.String())}},
		},
		"with several recipients, each of whom opens it": {
			archive.Locks{Recipients: []string{one.Recipient().String(), " " + two.Recipient().String() + "\n"}},
			[]archive.Opener{{Identities: cert.NewKey(one.String())}, {Identities: cert.NewKey(two.String())}},
		},
		"with a post-quantum recipient": {
			archive.Locks{Recipients: []string{hybrid.Recipient().String()}},
			[]archive.Opener{{Identities: cert.NewKey(hybrid.String())}},
		},
		"with an identity file as age-keygen writes it, and pasted": {
			archive.Locks{Recipients: []string{one.Recipient().String()}},
			[]archive.Opener{
				{Identities: cert.NewKey("# created: 2026-03-01\n# public key: age1\n" + two.String() + "\n\n" + one.String() + "\n")},
				{Identities: cert.NewKey("   # created\r\n   " + one.String() + "  \r\n")},
			},
		},
		"with a passphrase at its real cost": {
			archive.Locks{Passphrase: passphrase},
			[]archive.Opener{{Passphrase: passphrase}},
		},
	}
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			content := sample(t)
			path, err := archive.Write(folder(t), content, c.locks)
			require.NoError(t, err)
			require.Equal(t, "signet-easy-rsa-20260301T123005Z.age", filepath.Base(path))
			for _, open := range c.opens {
				read, err := archive.Read(path, open)
				require.NoError(t, err)
				require.Equal(t, content, read)
			}
		})
	}
}

func TestAnyContentComesBack(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	dir, owner := folder(t), identity(t)
	keys := []cert.Key{newKey(t), newKey(t), newKey(t)}
	at := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(0, 7e9).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds")).UTC()
	})
	entry := rapid.Custom(func(t *rapid.T) ledger.Entry {
		return ledger.Entry{
			Time: at.Draw(t, "time"), Event: ledger.Event(rapid.String().Draw(t, "event")), For: rapid.String().Draw(t, "for"),
			Names: rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "names"), Generation: rapid.Int().Draw(t, "generation"),
			NotAfter: rapid.OneOf(at, rapid.Just(time.Time{})).Draw(t, "not after"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		content := archive.Content{
			Made: at.Draw(t, "made").Truncate(time.Second), Application: rapid.StringMatching(`[a-z][a-z0-9-]{0,20}[a-z]`).Draw(t, "application"),
			Model: rapid.String().Draw(t, "model"), ModelUUID: rapid.String().Draw(t, "uuid"),
			Record:  rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "record"),
			Keys:    rapid.MapOf(rapid.IntRange(1, 1<<40), rapid.SampledFrom(keys)).Draw(t, "keys"),
			Entries: rapid.SliceOfN(entry, 1, 5).Draw(t, "entries"),
		}
		path, err := archive.Write(dir, content, archive.Locks{Recipients: []string{owner.Recipient().String()}})
		require.NoError(t, err)
		read, err := archive.Read(path, archive.Opener{Identities: cert.NewKey(owner.String())})
		require.NoError(t, err)
		require.Equal(t, content, read)
		files, err := archive.List(dir)
		require.NoError(t, err)
		require.Contains(t, fmt.Sprint(files), filepath.Base(path))
	})
}

func TestAContentOfNothingAndOtherTimeZones(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	owner := identity(t)
	local := time.Date(2026, 3, 1, 13, 30, 5, 99, time.FixedZone("CET", 3600))
	path, err := archive.Write(folder(t), archive.Content{
		Made: local, Application: "signet", Entries: []ledger.Entry{{Time: local, Names: []string{}}},
	}, archive.Locks{Recipients: []string{owner.Recipient().String()}})
	require.NoError(t, err)
	read, err := archive.Read(path, archive.Opener{Identities: cert.NewKey(owner.String())})
	require.NoError(t, err)
	require.Equal(t, archive.Content{
		Made: made(), Application: "signet", Record: map[string]string{}, Keys: map[int]cert.Key{},
		Entries: []ledger.Entry{{Time: made().Add(99)}},
	}, read)
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	owner := identity(t)
	hybrid, err := age.GenerateHybridIdentity()
	require.NoError(t, err)
	to := func(texts ...string) archive.Locks { return archive.Locks{Recipients: texts} }
	good := to(owner.Recipient().String())
	cases := map[string]struct {
		change  func(*archive.Content)
		locks   archive.Locks
		problem string
	}{
		"what nobody could open":                       {nil, archive.Locks{}, "nobody could open it: give age recipients or a passphrase"},
		"recipients beside a passphrase":               {nil, archive.Locks{Recipients: good.Recipients, Passphrase: cert.NewKey("p")}, "not both"},
		"a recipient that is a secret key":             {nil, to(good.Recipients[0], owner.String()), "recipient 2 of 2 is a secret key: make a new one"},
		"a recipient that is none":                     {nil, to("hunter2hunter2"), "recipient 1 of 1 is not an age public key"},
		"a recipient with a typing error":              {nil, to(good.Recipients[0] + "q"), "is not an age public key"},
		"a post-quantum recipient with a typing error": {nil, to(hybrid.Recipient().String() + "q"), "is not an age public key"},
		"an empty recipient":                           {nil, to(""), "is not an age public key"},
		"recipients of both kinds":                     {nil, to(good.Recipients[0], hybrid.Recipient().String()), "does not mix"},
		"a key that is none":                           {func(c *archive.Content) { c.Keys[3] = cert.NewKey("hunter2hunter2") }, good, "the key of CA 3: cannot read private key"},
		"a key that is missing":                        {func(c *archive.Content) { c.Keys[3] = cert.Key{} }, good, "the key of CA 3"},
		"a generation that cannot be":                  {func(c *archive.Content) { c.Keys[0] = c.Keys[1] }, good, "CA 0 cannot be"},
		"no application":                               {func(c *archive.Content) { c.Application = "" }, good, `"" is not the name of an application`},
		"an application that is a path":                {func(c *archive.Content) { c.Application = "../../etc" }, good, "is not the name of an application"},
		"no time":                                      {func(c *archive.Content) { c.Made = time.Time{} }, good, "cannot be of the year 1"},
		"a time that JSON cannot say":                  {func(c *archive.Content) { c.Entries[0].Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, good, "entry 1 of the journal cannot be of the year 10000"},
		"what would not come back":                     {func(c *archive.Content) { c.Record["crl.1"] = "\xff" }, good, "the trial restore gave something else"},
	}
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			content, dir := sample(t), folder(t)
			if c.change != nil {
				c.change(&content)
			}
			path, err := archive.Write(dir, content, c.locks)
			require.ErrorContains(t, err, "cannot make backup")
			require.ErrorContains(t, err, c.problem)
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), owner.String())
			require.Empty(t, path)
			left, _ := os.ReadDir(dir)
			require.Empty(t, left, "nothing unfinished stays")
		})
	}
}

func TestReadRefusesTheWrongOpener(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	owner, other := identity(t), identity(t)
	path, err := archive.Write(folder(t), sample(t), archive.Locks{Recipients: []string{owner.Recipient().String()}})
	require.NoError(t, err)
	spoiled := strings.Replace(owner.String(), owner.String()[20:24], "hunt", 1)
	cases := map[string]struct {
		open    archive.Opener
		problem string
	}{
		"another's identity":           {archive.Opener{Identities: cert.NewKey(other.String())}, "the identity does not open it: give that of a recipient"},
		"a passphrase":                 {archive.Opener{Passphrase: cert.NewKey("hunt")}, "it is locked for age recipients: give the identity"},
		"nothing":                      {archive.Opener{}, "it is encrypted: give an age identity or the passphrase"},
		"both":                         {archive.Opener{Identities: cert.NewKey(owner.String()), Passphrase: cert.NewKey("hunt")}, "it opens with an identity or with a passphrase: give one of them"},
		"an identity that is none":     {archive.Opener{Identities: cert.NewKey("hunt")}, "the identity is not one of age: give the text that age-keygen wrote"},
		"a public key":                 {archive.Opener{Identities: cert.NewKey(owner.Recipient().String())}, "the identity is not one of age"},
		"an identity with an error":    {archive.Opener{Identities: cert.NewKey(spoiled)}, "the identity is not one of age"},
		"comments without an identity": {archive.Opener{Identities: cert.NewKey("# hunt\n")}, "the identity is not one of age"},
	}
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			content, err := archive.Read(path, c.open)
			require.ErrorContains(t, err, "cannot read backup "+path+": "+c.problem)
			require.NotContains(t, err.Error(), "hunt")
			require.Zero(t, content)
		})
	}
}

func TestReadRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	dir := t.TempDir()
	var tarball bytes.Buffer
	compressed := gzip.NewWriter(&tarball)
	require.NoError(t, compressed.Close())
	file := func(text string) string {
		file, err := os.CreateTemp(dir, "")
		require.NoError(t, err)
		_, err = file.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		return file.Name()
	}
	large := file("age-encryption.org/v1\n")
	require.NoError(t, os.Truncate(large, 300<<20))
	cases := map[string]struct{ path, problem string }{
		"an empty file":           {file(""), "it is empty"},
		"EasyRSA's plain tarball": {file(tarball.String()), "it is a plain tarball, not an encrypted archive: take over the CA in it with the action import-ca"},
		"a text":                  {file("hunter2\nhunter2hunter2hunter2"), "it is not an age archive: give a file that signet made"},
		"another version of age":  {file("age-encryption.org/v2\n"), "it is not an age archive"},
		"the first bytes":         {file("age-encr"), "it ends too early"},
		"a header that is cut":    {file("age-encryption.org/v1\n-> X25519"), "it ends too early"},
		"a header of nonsense":    {file("age-encryption.org/v1\nhunter2\n"), "it is damaged, incomplete or was changed"},
		"a folder":                {dir, "it is not a regular file"},
		"a device":                {"/dev/null", "it is not a regular file"},
		"a huge file":             {large, "it has 314572800 bytes, more than the"},
		"no file":                 {filepath.Join(dir, "none"), "no such file"},
	}
	open := archive.Opener{Identities: cert.NewKey(identity(t).String())}
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, err := archive.Read(c.path, open)
			require.ErrorContains(t, err, "cannot read backup "+c.path+": "+c.problem)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestNothingButTheArchiveIsInTheFolder(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	dir, content := folder(t), sample(t)
	path, err := archive.Write(dir, content, archive.Locks{Recipients: []string{identity(t).Recipient().String()}})
	require.NoError(t, err)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	for _, of := range []string{dir, filepath.Dir(dir)} {
		info, err := os.Stat(of)
		require.NoError(t, err)
		require.Equal(t, os.ModeDir|0o700, info.Mode())
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, key := range content.Keys {
		block, _ := pem.Decode([]byte(key.Reveal()))
		for _, plain := range []string{string(block.Bytes[10:40]), base64.StdEncoding.EncodeToString(block.Bytes)[12:60], "PRIVATE KEY", "keys/"} {
			require.NotContains(t, string(data), plain)
		}
	}
}

func TestBackupsOfOneSecondHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	dir, owner, content := folder(t), identity(t), sample(t)
	var work sync.WaitGroup
	errs := make(chan error, 12)
	for range 12 {
		work.Go(func() {
			_, err := archive.Write(dir, content, archive.Locks{Recipients: []string{owner.Recipient().String()}})
			errs <- err
		})
	}
	work.Wait()
	for range 12 {
		require.NoError(t, <-errs)
	}
	files, err := archive.List(dir)
	require.NoError(t, err)
	require.Len(t, files, 12)
	for i, file := range files { // oldest first, 2 before 10
		require.Equal(t, made(), file.Made)
		require.NotZero(t, file.Size)
		name := "signet-easy-rsa-20260301T123005Z.age"
		if i > 0 {
			name = fmt.Sprintf("signet-easy-rsa-20260301T123005Z-%d.age", i+1)
		}
		require.Equal(t, name, file.Name)
		read, err := archive.Read(filepath.Join(dir, file.Name), archive.Opener{Identities: cert.NewKey(owner.String())})
		require.NoError(t, err)
		require.Equal(t, content, read)
	}
}

func TestTheToolsOfAgeAndTarReadIt(t *testing.T) {
	t.Parallel()
	archive.NeedsAge(t)
	tool, err := exec.LookPath("age")
	if err != nil {
		t.Skip("the program age, which shall read what is written here, is not installed")
	}
	owner, content := identity(t), sample(t)
	path, err := archive.Write(folder(t), content, archive.Locks{Recipients: []string{owner.Recipient().String()}})
	require.NoError(t, err)
	secret := filepath.Join(t.TempDir(), "identity")
	require.NoError(t, os.WriteFile(secret, []byte(owner.String()+"\n"), 0o600))
	plain, err := exec.CommandContext(t.Context(), tool, "--decrypt", "--identity", secret, path).Output()
	require.NoError(t, err)
	compressed, err := gzip.NewReader(bytes.NewReader(plain))
	require.NoError(t, err)
	var names []string
	for files := tar.NewReader(compressed); ; {
		header, err := files.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		require.EqualValues(t, 0o600, header.Mode)
		names = append(names, header.Name)
		if header.Name == "keys/2.pem" {
			data, err := io.ReadAll(files)
			require.NoError(t, err)
			require.Equal(t, content.Keys[2].Reveal(), string(data))
		}
	}
	require.Equal(t, []string{"manifest.json", "journal.jsonl", "keys/1.pem", "keys/10.pem", "keys/2.pem", "record.json"}, names)
}
