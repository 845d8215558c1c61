// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
)

// judgeNow holds the play to what must hold at every moment: pairs agree wherever somebody can see them, what is published
// is in the journal, no number is used twice and no secret is for all to read.
func (p *play) judgeNow() {
	p.t.Helper()
	p.judgePairs()
	p.judgeBags()
	p.judgeNumbers()
	p.judgeModes()
}

// bundlePath is where a consumer's programs find its files.
func (p *play) bundlePath() string { return filepath.Join(p.state(), "files", "certificates") }

// judgePairs holds the keys on disk to their certificates.
func (p *play) judgePairs() {
	p.t.Helper()
	for _, name := range []string{"server", "client"} {
		certificate, err := os.ReadFile(filepath.Join(p.bundlePath(), name+".crt"))
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(p.t, err)
		key, err := os.ReadFile(filepath.Join(p.bundlePath(), name+".key"))
		require.NoError(p.t, err, "there is a certificate")
		require.True(p.t, fits(string(certificate), string(key)), "the files of the %s", name)
	}
}

func fits(certificate, key string) bool {
	leaves, err := cert.ParseCertificates(certificate)
	return err == nil && len(leaves) > 0 && cert.KeyMatches(cert.NewKey(key), leaves[0])
}

// judgeBags holds what the unit publishes to its keys and to its journal.
func (p *play) judgeBags() {
	p.t.Helper()
	known := map[string]bool{} // certificates that the journal has
	for _, entry := range readJournal(p.t, p.state()) {
		if entry.Certificate != "" {
			known[derOf(entry.Certificate)] = true
		}
	}
	adopted := derOf(p.snap.Leftovers["certificate_authority"]) // it was issued by another program, in nobody's journal
	for _, relation := range p.snap.Relations {
		for _, bag := range []juju.Bag{relation.OwnUnit, relation.OwnApp} {
			p.judgeKeys(bag)
		}
		if relation.Endpoint.Role != juju.Provides || p.relation(peersID).OwnApp["authority"] == "" {
			continue // another program's, and no consumer's business
		}
		for _, der := range certificatesIn(fmt.Sprint(relation.OwnUnit, relation.OwnApp)) {
			if der == adopted {
				continue
			}
			require.True(p.t, known[der], "%s shows a certificate that the journal does not know", relation.Key())
		}
	}
}

// judgeKeys holds each key in a legacy databag to its certificate.
func (p *play) judgeKeys(bag juju.Bag) {
	p.t.Helper()
	for name, value := range bag {
		if prefix, found := strings.CutSuffix(name, ".cert"); found {
			require.True(p.t, fits(value, bag[prefix+".key"]), name)
		}
		var pairs map[string]struct{ Cert, Key string }
		if !strings.Contains(name, ".processed_") || json.Unmarshal([]byte(value), &pairs) != nil {
			continue
		}
		for place, pair := range pairs {
			require.True(p.t, fits(pair.Cert, pair.Key), "%s %s", name, place)
		}
	}
}

// judgeNumbers holds the journal to its own rules: no number is reserved or issued twice, and no order is met twice.
func (p *play) judgeNumbers() {
	p.t.Helper()
	reserved, issued, met := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, entry := range readJournal(p.t, p.state()) {
		switch {
		case entry.Event == ledger.Reserved:
			require.False(p.t, reserved[entry.Serial], "a number is reserved twice")
			reserved[entry.Serial] = true
		case entry.Event == ledger.Issued && entry.Order != "":
			require.True(p.t, reserved[entry.Serial], "a number is issued that was not reserved")
			require.False(p.t, issued[entry.Serial], "a number is issued twice")
			issued[entry.Serial] = true
			require.Empty(p.t, met[entry.Order], "the order of %s is met twice", entry.For)
			met[entry.Order] = entry.Serial
		}
	}
}

// judgeModes looks for secrets that others than their owner can read.
func (p *play) judgeModes() {
	p.t.Helper()
	require.NoError(p.t, filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == p.charm() { // what EasyRSA left is as it left it
			if err == nil {
				return fs.SkipDir
			}
			return err
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 {
			return err
		}
		text, err := os.ReadFile(path)
		require.NotContains(p.t, string(text), "PRIVATE KEY", "%s has mode %o", path, info.Mode().Perm())
		require.NotContains(p.t, []string{"secrets", "keys", backupsName}, filepath.Base(filepath.Dir(path)), "%s has mode %o", path, info.Mode().Perm())
		return err
	}))
}

// issues counts the certificates that the journal has.
func (p *play) issues() (count int) {
	for _, entry := range readJournal(p.t, p.state()) {
		if entry.Event == ledger.Issued && entry.Order != "" {
			count++
		}
	}
	return count
}

// certificatesIn gives the bytes of the certificates in a text, also of those in JSON.
func certificatesIn(text string) []string {
	var found []string
	for _, block := range blockPattern.FindAllString(text, -1) {
		if strings.HasPrefix(block, "-----BEGIN CERTIFICATE-----") {
			found = append(found, derOf(strings.ReplaceAll(block, `\n`, "\n")))
		}
	}
	return found
}

func derOf(text string) string {
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return string(block.Bytes)
	}
	return ""
}

// The parts of what a unit leaves that differ from one play of a flow to the next: numbers, keys, hashes and times.
var (
	blockPattern  = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]+-----(?:[A-Za-z0-9+/=\s]|\\n)+-----END [A-Z0-9 ]+-----`)
	chancePattern = regexp.MustCompile(`\blines=[0-9]+\b|\bsignature=[A-Za-z0-9+/=]+|\b[0-9a-f]{8,}(?:-[0-9]+)?\b|[A-Z2-7]{26}|v1:[A-Za-z0-9+/=]+|AGE-SECRET-KEY-[A-Z0-9]+|"laid":[0-9]+|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}Z?|[0-9]{8}T[0-9]{6}Z|\bin [0-9]+(?:w|mo)\b`)
)

// shape is a text without what is chance in it.
func shape(text string) string {
	text = blockPattern.ReplaceAllStringFunc(text, func(block string) string {
		parsed, err := cert.Parse(strings.ReplaceAll(block, `\n`, "\n"))
		if err != nil {
			return "<" + strings.Fields(strings.SplitN(block, "-----", 3)[1])[1] + ">"
		}
		return fmt.Sprintf("<%s by %s: %v %v>", parsed.Subject.CommonName, parsed.Issuer.CommonName, cert.NamesOf(parsed).List(), parsed.ExtKeyUsage)
	})
	return inOrder(chancePattern.ReplaceAllString(text, "*"))
}

// inOrder sorts a list in JSON: what stands first depends on what was done first.
func inOrder(text string) string {
	var list []json.RawMessage
	if !strings.HasPrefix(text, "[") || json.Unmarshal([]byte(text), &list) != nil {
		return text
	}
	slices.SortFunc(list, func(a, b json.RawMessage) int { return strings.Compare(string(a), string(b)) })
	return fmt.Sprintf("%s", list)
}

// end is what a flow came to, without what is chance in it: by where it is seen.
func (p *play) end() map[string]string {
	p.t.Helper()
	found := map[string]string{"status": shape(fmt.Sprint(p.snap.Status)), "certificates issued": fmt.Sprint(p.issues())}
	for _, relation := range p.snap.Relations {
		for side, bag := range map[string]juju.Bag{"unit": relation.OwnUnit, "application": relation.OwnApp} {
			for key, value := range bag {
				found[fmt.Sprintf("%s %s %s", relation.Key(), side, shape(key))] = shape(value)
			}
		}
	}
	for _, secret := range p.snap.Secrets {
		for key, value := range secret.Content {
			found["secret "+secret.Label+" "+key] = shape(strings.TrimSpace(value))
			if secret.Label == "seal" {
				found["secret "+secret.Label+" "+key] = "a key"
			}
		}
	}
	for key, value := range p.snap.State {
		if strings.HasPrefix(key, "asked-again.") {
			continue // a successor that was begun before a crash is asked for as a first one
		}
		found["state "+key] = shape(value)
	}
	for service, files := range p.taken {
		require.Equal(p.t, p.filesFor(service), files, "%s has taken up what lies there", service)
		found["reloaded "+service] = "yes"
	}
	p.endOnDisk(found)
	return found
}

func (p *play) filesFor(service string) string {
	if service == "update-ca-certificates" {
		return p.trustStore()
	}
	return p.installed()
}

// installed is a digest of the files that services read.
func (p *play) installed() string { return digest(filepath.Join(p.bundlePath(), "*")) }

// trustStore is a digest of the CAs that the machine trusts.
func (p *play) trustStore() string {
	return digest(filepath.Join(p.machine(), "usr/local/share/ca-certificates", "*.crt"))
}

func digest(pattern string) string {
	files, _ := filepath.Glob(pattern)
	hash := sha256.New()
	for _, file := range files {
		data, _ := os.ReadFile(file)
		fmt.Fprintf(hash, "%s %q\n", filepath.Base(file), data)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// endOnDisk tells of files, with their modes, and of links. What is only kept for an hour, to answer the same order again,
// is left out, and so is what the journal and the lock say.
func (p *play) endOnDisk(found map[string]string) {
	p.t.Helper()
	for _, one := range p.keep().files {
		name := strings.TrimPrefix(one.path, p.dir)
		base := filepath.Base(name)
		require.False(p.t, strings.HasSuffix(base, ".new") || strings.HasSuffix(base, ".link"), "half-written: %s", name)
		switch {
		case strings.HasPrefix(base, "made."), base == "lock", base == "journal", strings.HasSuffix(base, ".age"):
			continue
		}
		key := "disk " + shape(name)
		for found[key] != "" {
			key += "'"
		}
		found[key] = fmt.Sprintf("%s %s %s", one.mode, shape(strings.ReplaceAll(one.link, p.dir, "")), shape(strings.ReplaceAll(string(one.data), p.dir, "")))
	}
	found["backups"] = fmt.Sprint(min(len(p.backups()), 1))
}

// differences says in what two ends differ.
func differences(want, got map[string]string) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if want[key] != got[key] {
			lines = append(lines, fmt.Sprintf("%s:\n\tundisturbed %.600s\n\tdisturbed   %.600s", key, want[key], got[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, found := want[key]; !found {
			lines = append(lines, fmt.Sprintf("%s:\n\tonly disturbed %.600s", key, got[key]))
		}
	}
	return strings.Join(lines, "\n")
}
