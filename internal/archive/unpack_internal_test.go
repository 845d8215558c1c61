// SPDX-License-Identifier: AGPL-3.0-only

package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
)

// aKey is the same every time, for the fuzzer.
const aKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbp749eP9Pg152L9n
ucrLeyzbO1wQGFSZvucIF7zSqOOhRANCAATLy3DtA1phBCKCJjXU9fF93yuCUFiA
0T4TONGg7h9x0EqegnZU8iR7hgQ9BsonCJOShpYSaJVIsEJHsoXlapES
-----END PRIVATE KEY-----
`

func simple() Content {
	made := time.Date(2026, 3, 1, 12, 30, 5, 0, time.UTC)
	return Content{
		Made: made, Application: "signet", Model: "m", Record: map[string]string{"authority": "pem"},
		Keys: map[int]cert.Key{1: cert.NewKey(aKey)}, Entries: []ledger.Entry{{Time: made, Event: ledger.Issued, Serial: "1"}},
	}.normal()
}

// sealed is a content as an archive, with who opens it.
func sealed(t *testing.T, content Content) ([]byte, age.Identity) {
	owner, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	made, err := Locks{Recipients: []string{owner.Recipient().String()}}.seal(1)
	require.NoError(t, err)
	var file bytes.Buffer
	require.NoError(t, encrypt(&file, content, made.recipients))
	return file.Bytes(), owner
}

func TestNoByteMayChange(t *testing.T) {
	t.Parallel()
	NeedsAge(t)
	file, owner := sealed(t, simple())
	_, err := decrypt(bytes.NewReader(file), owner)
	require.NoError(t, err)
	for at := range file {
		for _, bit := range []byte{1, 0x80} {
			changed := bytes.Clone(file)
			changed[at] ^= bit
			content, err := decrypt(bytes.NewReader(changed), owner)
			require.Error(t, err, "byte %d", at)
			require.Zero(t, content)
			require.NotContains(t, err.Error(), "PRIVATE KEY")
		}
	}
	_, err = decrypt(bytes.NewReader(append(file, 0)), owner)
	require.ErrorIs(t, err, errDamaged)
}

func TestNoByteMayBeMissing(t *testing.T) {
	t.Parallel()
	NeedsAge(t)
	file, owner := sealed(t, simple())
	for length := 1; length < len(file); length++ {
		content, err := decrypt(bytes.NewReader(file[:length]), owner)
		require.Condition(t, func() bool { return errors.Is(err, errShort) || errors.Is(err, errDamaged) }, "%d bytes: %v", length, err)
		require.Zero(t, content)
	}
}

// A file of several chunks, each of which age authenticates by itself.
func TestNoChunkMayBeMissingOrChange(t *testing.T) {
	t.Parallel()
	NeedsAge(t)
	content, noise := simple(), make([]byte, 200_000)
	_, _ = rand.Read(noise)
	content.Record["noise"] = strconv.QuoteToASCII(string(noise))
	file, owner := sealed(t, content)
	const chunk = 64<<10 + 16
	start := bytes.Index(file, []byte("\n---")) // then its line ends, and 16 bytes of nonce follow
	start += 1 + bytes.IndexByte(file[start+1:], '\n') + 1 + 16
	require.Greater(t, len(file), start+2*chunk)

	read, err := decrypt(bytes.NewReader(file), owner)
	require.NoError(t, err)
	require.Equal(t, content, read)
	for _, length := range []int{start - 1, start, start + chunk, start + 2*chunk} {
		_, err := decrypt(bytes.NewReader(file[:length]), owner)
		require.ErrorIs(t, err, errShort, "%d bytes", length)
	}
	for _, length := range []int{start + 1, start + 16, start + 17, start + chunk - 1, start + chunk + 1, start + chunk + 16, len(file) - 17, len(file) - 1} {
		_, err := decrypt(bytes.NewReader(file[:length]), owner)
		require.ErrorIs(t, err, errDamaged, "%d bytes", length)
	}
	for _, at := range []int{start - 1, start, start + 100, start + chunk - 1, start + chunk, start + 2*chunk, len(file) - 1} {
		changed := bytes.Clone(file)
		changed[at] ^= 4
		_, err := decrypt(bytes.NewReader(changed), owner)
		require.ErrorIs(t, err, errDamaged, "byte %d", at)
	}
	first, second := file[start:start+chunk], file[start+chunk:start+2*chunk]
	_, err = decrypt(bytes.NewReader(slices.Concat(file[:start], second, first, file[start+2*chunk:])), owner)
	require.ErrorIs(t, err, errDamaged, "chunks out of order")
}

func TestPassphrases(t *testing.T) {
	t.Parallel()
	NeedsAge(t)
	const work = 2 // nobody guesses here
	dir, right := filepath.Join(t.TempDir(), "backups"), cert.NewKey("hunter2 hunter2")
	path, err := write(dir, simple(), Locks{Passphrase: right}, work)
	require.NoError(t, err)
	content, err := Read(path, Opener{Passphrase: right})
	require.NoError(t, err)
	require.Equal(t, simple(), content)

	other, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	for problem, open := range map[string]Opener{
		"the passphrase does not open it: give the one that was in force": {Passphrase: cert.NewKey("hunter3")},
		"it is locked with a passphrase: give that, not an identity":      {Identities: cert.NewKey(other.String())},
	} {
		_, err := Read(path, open)
		require.ErrorContains(t, err, problem)
		require.NotContains(t, err.Error(), "hunter")
	}

	path, err = write(dir, simple(), Locks{Passphrase: right}, work)
	require.NoError(t, err)
	require.Equal(t, "signet-signet-20260301T123005Z-2.age", filepath.Base(path))
}

// A hostile archive could ask for all of the memory before anything is known of it.
func TestAPassphraseIsNotWorkedOnWithoutBound(t *testing.T) {
	t.Parallel()
	NeedsAge(t)
	salt := "AAAAAAAAAAAAAAAAAAAAAA"
	file := "age-encryption.org/v1\n-> scrypt " + salt + " 21\n" + strings.Repeat("A", 43) + "\n--- " + strings.Repeat("A", 43) + "\n"
	_, err := decrypt(strings.NewReader(file), must(t)(passphraseIdentity(cert.NewKey("p"))))
	require.ErrorIs(t, err, errDamaged)
}

func must(t *testing.T) func(age.Identity, error) age.Identity {
	return func(identity age.Identity, err error) age.Identity {
		require.NoError(t, err)
		return identity
	}
}

// failing takes some bytes and then has no room.
type failing struct{ room int }

func (f *failing) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestAFullDiskIsNoticedWhereverItIsFull(t *testing.T) {
	t.Parallel()
	NeedsAge(t)
	file, owner := sealed(t, simple())
	identity, known := owner.(*age.X25519Identity)
	require.True(t, known)
	recipients := []age.Recipient{identity.Recipient(), identity.Recipient()}
	for room := 0; room < len(file)-1; room += 7 {
		require.ErrorContains(t, encrypt(&failing{room}, simple(), recipients), "no space left")
	}
}

func TestTheTrialRestoreComparesAll(t *testing.T) {
	t.Parallel()
	NeedsAge(t)
	made, err := Locks{Passphrase: cert.NewKey("p")}.seal(1)
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "backups")
	path, err := write(dir, simple(), Locks{Passphrase: cert.NewKey("p")}, 1)
	require.NoError(t, err)
	require.NoError(t, try(path, simple(), made.trial))
	for sentence, change := range map[string]func(*Content){
		"the record":     func(c *Content) { c.Record = map[string]string{"authority": "pem2"} },
		"a key":          func(c *Content) { c.Keys = map[int]cert.Key{1: cert.NewKey(aKey + "\n")} },
		"a generation":   func(c *Content) { c.Keys = map[int]cert.Key{2: cert.NewKey(aKey)} },
		"the journal":    func(c *Content) { c.Entries = append(c.Entries, ledger.Entry{}) },
		"when":           func(c *Content) { c.Made = c.Made.Add(time.Second) },
		"of which model": func(c *Content) { c.Model = "n" },
	} {
		content := simple()
		change(&content)
		require.ErrorContains(t, try(path, content, made.trial), "gave something else", sentence)
	}
}

func TestTheSameContentIsTheSameBytes(t *testing.T) {
	t.Parallel()
	content := simple()
	for generation := range 20 {
		content.Keys[generation+1] = cert.NewKey(aKey)
		content.Record[strconv.Itoa(generation)] = "x"
	}
	var first bytes.Buffer
	require.NoError(t, pack(&first, content))
	for range 10 {
		var again bytes.Buffer
		require.NoError(t, pack(&again, content))
		require.Equal(t, first.Bytes(), again.Bytes())
	}
}

// tarOf writes members with a manifest that is right for them, changed as the case wants it.
func tarOf(t testing.TB, change func(*manifest), members ...member) []byte {
	about := manifest{Format: format, Made: simple().Made, Application: "signet", Members: map[string]string{}}
	for _, m := range members {
		about.Members[m.name] = checksum(m.data)
	}
	if change != nil {
		change(&about)
	}
	text, err := json.Marshal(about)
	require.NoError(t, err)
	return rawTar(t, slices.Insert(members, 0, member{manifestName, text})...)
}

func rawTar(t testing.TB, members ...member) []byte {
	var file bytes.Buffer
	require.NoError(t, writeTar(&file, members, simple().Made))
	return file.Bytes()
}

// headerTar is a right archive with one more header, of a kind that is never written.
func headerTar(t testing.TB, header tar.Header) []byte {
	var file bytes.Buffer
	files := tar.NewWriter(&file)
	for _, m := range basic() {
		require.NoError(t, files.WriteHeader(&tar.Header{Name: m.name, Size: int64(len(m.data))}))
		_, err := files.Write(m.data)
		require.NoError(t, err)
	}
	text := tarOf(t, nil, basic()...)
	require.NoError(t, files.WriteHeader(&header))
	require.NoError(t, files.Close())
	return append(text[:len(text)-1024:len(text)-1024], file.Bytes()[fileLength(basic()):]...)
}

func fileLength(members []member) (length int) {
	for _, m := range members {
		length += 512 + (len(m.data)+511)/512*512
	}
	return length
}

func basic(more ...member) []member {
	return append([]member{{journalName, nil}, {recordName, []byte("{}")}}, more...)
}

// hostileTars are archives that somebody else packed, and what is said of them.
func hostileTars(t testing.TB) map[string]struct {
	tar     []byte
	problem string
} {
	key := member{keyName(1), []byte(aKey)}
	whole := tarOf(t, nil, basic(key)...)
	named := func(name string) []byte { return tarOf(t, nil, basic(member{name, nil})...) }
	text := func(name, text string) []byte {
		members := basic(key)
		for i := range members {
			if members[i].name == name {
				members[i].data = []byte(text)
			}
		}
		return tarOf(t, nil, members...)
	}
	return map[string]struct {
		tar     []byte
		problem string
	}{
		"nothing":                      {nil, "it is empty"},
		"an empty tar":                 {rawTar(t), "it is empty"},
		"no manifest":                  {rawTar(t, basic(key)...), `it begins with "journal.jsonl"`},
		"a manifest that is no JSON":   {rawTar(t, member{manifestName, []byte("{")}), "manifest.json: unexpected"},
		"a manifest of another shape":  {rawTar(t, member{manifestName, []byte(`{"format":1,"extra":1}`)}), "unknown field"},
		"two manifests in one":         {rawTar(t, member{manifestName, []byte(`{"format":1} {}`)}), "manifest.json: invalid character"},
		"a manifest twice":             {append(whole[:len(whole)-1024:len(whole)-1024], whole...), "is in it twice"},
		"a newer format":               {rawTar(t, member{manifestName, []byte(`{"format":2,"vault":{}}`)}, member{"vault.json", nil}), "made by a newer signet: it has format 2, and this signet reads 1: refresh the charm first"},
		"no format":                    {rawTar(t, member{manifestName, []byte(`{}`)}), "0 is not a format"},
		"no journal":                   {tarOf(t, nil, member{recordName, []byte("{}")}), "does not name journal.jsonl"},
		"no record":                    {tarOf(t, nil, member{journalName, nil}), "does not name record.json"},
		"an unknown member":            {named("evil.sh"), `"evil.sh" is no part of a backup`},
		"a path that leads out":        {named("../evil"), "is no part of a backup"},
		"a key that leads out":         {named("keys/../../evil.pem"), "is no part of a backup"},
		"an absolute path":             {named("/etc/passwd"), "is no part of a backup"},
		"a record by another path":     {named("./record.json"), "is no part of a backup"},
		"a generation of zero":         {named("keys/0.pem"), "is no part of a backup"},
		"a generation with a sign":     {named("keys/+1.pem"), "is no part of a backup"},
		"a generation with a zero":     {named("keys/01.pem"), "is no part of a backup"},
		"a generation beyond numbers":  {named("keys/99999999999999999999.pem"), "is no part of a backup"},
		"a member beside the manifest": {slices.Concat(whole[:len(whole)-1024], rawTar(t, member{"keys/2.pem", []byte(aKey)})), `"keys/2.pem" is not in its manifest.json`},
		"a member twice":               {slices.Concat(whole[:len(whole)-1024], rawTar(t, key)), `"keys/1.pem" is in it twice`},
		"a member that is missing":     {tarOf(t, func(m *manifest) { m.Members["keys/2.pem"] = checksum(nil) }, basic(key)...), `"keys/2.pem" is missing`},
		"another checksum":             {tarOf(t, func(m *manifest) { m.Members["keys/1.pem"] = checksum(nil) }, basic(key)...), `"keys/1.pem" does not have its checksum`},
		"a key that is none":           {tarOf(t, nil, basic(member{"keys/1.pem", []byte("hunter2")})...), "the key of CA 1: cannot read private key"},
		"an application that is none":  {tarOf(t, func(m *manifest) { m.Application = "../x" }, basic()...), "is not the name of an application"},
		"no time":                      {tarOf(t, func(m *manifest) { m.Made = time.Time{} }, basic()...), "it cannot be of the year 1"},
		"a record that is no map":      {text(recordName, "[]"), "record.json: json"},
		"a record and more":            {text(recordName, "{}{}"), "record.json: something follows"},
		"a journal of something else":  {text(journalName, "{}\n[]\n"), "journal.jsonl: entry 2"},
		"a journal of a newer kind":    {text(journalName, `{"witness":"x"}`), `unknown field "witness"`},
		"a journal that ends early":    {text(journalName, `{"event":"iss`), "journal.jsonl: entry 1: unexpected EOF"},
		"a time beyond JSON":           {text(journalName, `{"time":"9999-12-31T23:59:59-01:00"}`), "entry 1 of the journal cannot be of the year 10000"},
		"something after the tar":      {append(whole[:len(whole):len(whole)], 0), "something follows the tar"},
		"a tar that ends early":        {whole[:700], "unexpected EOF"},
		"a symbolic link":              {headerTar(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "keys/1.pem", Linkname: "/etc/shadow"}), "is not a plain file"},
		"a folder":                     {headerTar(t, tar.Header{Typeflag: tar.TypeDir, Name: "keys/"}), "is not a plain file"},
		"a device":                     {headerTar(t, tar.Header{Typeflag: tar.TypeChar, Name: "keys/1.pem"}), "is not a plain file"},
		"extensions of tar":            {headerTar(t, tar.Header{Name: "keys/1.pem", PAXRecords: map[string]string{"A.b": "c"}}), "is not a plain file"},
		"a long name by extension":     {headerTar(t, tar.Header{Name: strings.Repeat("x", 300)}), "is not a plain file"},
		"a member that is too large":   {text(recordName, `{"`+strings.Repeat("x", 5000)+`":""}`), `"record.json" is larger than 4096 bytes`},
		"too many entries":             {text(journalName, strings.Repeat("{}\n", 11)), "has more than 10 entries"},
		"too many members":             {tarOf(t, func(m *manifest) { m.Members["keys/2.pem"], m.Members["keys/3.pem"] = "x", "x" }, basic(key)...), "more than 5 members"},
	}
}

func small() limits { return limits{total: 16 << 10, member: 4096, members: 5, entries: 10} }

func TestHostileTars(t *testing.T) {
	t.Parallel()
	for sentence, c := range hostileTars(t) {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			content, err := readTar(bytes.NewReader(c.tar), small())
			require.ErrorContains(t, err, c.problem)
			require.NotContains(t, err.Error(), "hunter2")
			require.Zero(t, content)
		})
	}
	content, err := readTar(bytes.NewReader(tarOf(t, nil, basic(member{keyName(1), []byte(aKey)})...)), small())
	require.NoError(t, err, "what the cases are made of is right")
	require.Equal(t, aKey, content.Keys[1].Reveal())
}

func TestHostileGzip(t *testing.T) {
	t.Parallel()
	compress := func(data []byte) []byte {
		var file bytes.Buffer
		w := gzip.NewWriter(&file)
		_, _ = w.Write(data)
		require.NoError(t, w.Close())
		return file.Bytes()
	}
	whole := compress(tarOf(t, nil, basic()...))
	changed := bytes.Clone(whole)
	changed[len(changed)-6] ^= 1
	cases := map[string]struct {
		file    []byte
		problem string
	}{
		"no gzip":             {[]byte("hunter2hunter2hunter2"), "gzip: invalid header"},
		"nothing":             {nil, "EOF"},
		"one that ends early": {whole[:len(whole)-3], "unexpected EOF"},
		"another checksum":    {changed, "gzip: invalid checksum"},
		"a second one":        {append(whole[:len(whole):len(whole)], whole...), "something follows the compressed tar"},
		"a bomb":              {compress(tarOf(t, nil, basic(member{keyName(1), make([]byte, 4000)}, member{keyName(2), make([]byte, 4000)})...)), "larger than 8192 bytes"},
		"a bomb after the tar": {
			compress(append(tarOf(t, nil, basic()...), make([]byte, 1<<20)...)), "something follows the tar",
		},
	}
	limits := small()
	limits.total = 8 << 10
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, err := unpack(bytes.NewReader(c.file), limits)
			require.ErrorContains(t, err, "its content is not what signet writes")
			require.ErrorContains(t, err, c.problem)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
	_, err := unpack(bytes.NewReader(whole), limits)
	require.NoError(t, err)
}

func TestABoundIsAnErrorAndNoEnd(t *testing.T) {
	t.Parallel()
	for length, problem := range map[int]string{9: "", 10: "", 11: "larger than 10 bytes", 10000: "larger than 10 bytes"} {
		_, err := io.ReadAll(&bounded{source: strings.NewReader(strings.Repeat("x", length)), left: 10, of: 10})
		if problem == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, problem)
		}
	}
}

// FuzzTar reads tars that decrypted well, which proves nothing of who made them.
func FuzzTar(f *testing.F) {
	members, err := simple().members()
	require.NoError(f, err)
	f.Add(rawTar(f, members...))
	f.Add(rawTar(f, members[0]))
	for _, c := range hostileTars(f) {
		f.Add(c.tar)
	}
	f.Fuzz(readAndRepack)
}

// FuzzArchive reads files that may be backups, with an identity that opens one of the seeds. What opens is what was made,
// and an error holds neither the key inside nor the identity.
func FuzzArchive(f *testing.F) {
	NeedsAge(f)
	owner, err := age.GenerateX25519Identity()
	require.NoError(f, err)
	made, err := Locks{Recipients: []string{owner.Recipient().String()}}.seal(1)
	require.NoError(f, err)
	var file bytes.Buffer
	require.NoError(f, encrypt(&file, simple(), made.recipients))
	whole := file.Bytes()
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(append(bytes.Clone(whole), 0))
	f.Add(bytes.Replace(whole, []byte("X25519"), []byte("scrypt"), 1))
	f.Add([]byte("age-encryption.org/v1\n-> scrypt bBjlhJVYZeE4aqUdmtRHfw 30\nyjcsSQBkQQ0NXoMpQyZkYg8FLYrVCdqGb6Nqeq0zVfk\n--- x\n"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		content, err := decrypt(bytes.NewReader(data), owner)
		if err != nil {
			require.Zero(t, content)
			require.NotContains(t, err.Error(), "PRIVATE KEY")
			require.NotContains(t, err.Error(), owner.String())
			return
		}
		require.Equal(t, simple(), content, "nobody but who made it knows what would decrypt")
	})
}

// FuzzIdentities reads what an operator gives as the text of an age identity, and as a recipient. Errors repeat neither:
// one may have been taken for the other.
func FuzzIdentities(f *testing.F) {
	NeedsAge(f)
	owner, err := age.GenerateX25519Identity()
	require.NoError(f, err)
	hybrid, err := age.GenerateHybridIdentity()
	require.NoError(f, err)
	f.Add("# created: today\n" + owner.String() + "\n")
	f.Add(hybrid.String() + "\r\n" + hybrid.String())
	f.Add(owner.Recipient().String())
	f.Add(owner.String()[:40])
	f.Add("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n-----END OPENSSH PRIVATE KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		identities, err := Opener{Identities: cert.NewKey(text)}.identities()
		require.Equal(t, err == nil, len(identities) > 0)
		_, fault := parseRecipient(text)
		for _, err := range []error{err, fault} {
			for word := range strings.FieldsSeq(text) {
				if err != nil && len(word) >= 24 {
					require.NotContains(t, err.Error(), word)
				}
			}
		}
	})
}

// FuzzMembers reaches what the checksums keep FuzzTar from.
func FuzzMembers(f *testing.F) {
	members, err := simple().members()
	require.NoError(f, err)
	f.Add(members[3].data, members[1].data, []byte(aKey))
	f.Add([]byte("null"), []byte(`{"time":"9999-12-31T23:59:59-01:00"} {}`), []byte(aKey))
	f.Add([]byte(`{"a":"b","a":"c"}`), []byte(`{"event":"issued","serial":"1","x":1}`), []byte(aKey[:90]))
	f.Fuzz(func(t *testing.T, record, journal, key []byte) {
		readAndRepack(t, tarOf(t, nil, member{journalName, journal}, member{keyName(1), key}, member{recordName, record}))
	})
}

// readAndRepack makes sure that a tar is refused as a whole, or taken and packed again with the same content.
func readAndRepack(t *testing.T, data []byte) {
	content, err := readTar(bytes.NewReader(data), small())
	if err != nil {
		require.Zero(t, content)
		return
	}
	members, err := content.members()
	require.NoError(t, err)
	again, err := readTar(bytes.NewReader(rawTar(t, members...)), bounds())
	require.NoError(t, err)
	require.Equal(t, content, again)
}
