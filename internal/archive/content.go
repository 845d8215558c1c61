// SPDX-License-Identifier: AGPL-3.0-only

package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
)

// format is the version of what is inside. It is raised when an older signet would misread or lose anything.
const format = 1

// The members of the tar. The manifest comes first, so that its version is known before anything else is judged.
const (
	manifestName = "manifest.json"
	recordName   = "record.json"
	journalName  = "journal.jsonl"
	keysPrefix   = "keys/"
	keysSuffix   = ".pem"
)

// manifest says what else there is.
type manifest struct {
	Format      int               `json:"format"`
	Made        time.Time         `json:"made"`
	Application string            `json:"application"`
	Model       string            `json:"model"`
	ModelUUID   string            `json:"model-uuid"`
	Members     map[string]string `json:"members"` // SHA-256 of each, hexadecimal
}

// normal is the content as it will be read back.
func (c Content) normal() Content {
	c.Made = c.Made.UTC().Truncate(time.Second)
	if c.Record == nil {
		c.Record = map[string]string{}
	}
	if c.Keys == nil {
		c.Keys = map[int]cert.Key{}
	}
	c.Entries = append([]ledger.Entry(nil), c.Entries...)
	for i := range c.Entries {
		entry := &c.Entries[i]
		entry.Time, entry.NotAfter = entry.Time.UTC().Round(0), entry.NotAfter.UTC().Round(0)
		if len(entry.Names) == 0 {
			entry.Names = nil
		}
	}
	return c
}

// check refuses what would make a backup worthless: when it is made, while that can be mended still, and when it is read.
func (c Content) check() error {
	if !isApplication(c.Application) {
		return fmt.Errorf("%.60q is not the name of an application", c.Application)
	}
	if year := c.Made.Year(); year < 1970 || year > 2199 { // tar ends in 2242
		return fmt.Errorf("it cannot be of the year %d", year)
	}
	for _, generation := range slices.Sorted(maps.Keys(c.Keys)) {
		if generation < 1 {
			return fmt.Errorf("CA %d cannot be: generations begin at 1", generation)
		}
		if _, err := cert.ParseKey(c.Keys[generation]); err != nil {
			return fmt.Errorf("the key of CA %d: %w", generation, err)
		}
	}
	for i, entry := range c.Entries {
		if year := max(entry.Time.Year(), entry.NotAfter.Year()); year > 9999 { // JSON ends there (RFC 3339, 5.6)
			return fmt.Errorf("entry %d of the journal cannot be of the year %d", i+1, year)
		}
	}
	return nil
}

// isApplication reports whether a name can be that of a Juju application, and hence be part of a file name.
func isApplication(name string) bool {
	plain := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' }
	return name != "" && len(name) <= 128 && name[0] >= 'a' && name[0] <= 'z' && strings.Trim(name, "-") == name &&
		strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) < 0
}

// A member is one file of the tar.
type member struct {
	name string
	data []byte
}

// members are the files of the tar, the manifest and then the others by name.
func (c Content) members() ([]member, error) {
	record, err := json.Marshal(c.Record)
	if err != nil {
		return nil, err
	}
	var journal bytes.Buffer
	lines := json.NewEncoder(&journal)
	for _, entry := range c.Entries {
		if err := lines.Encode(entry); err != nil {
			return nil, err
		}
	}
	members := []member{{journalName, journal.Bytes()}, {recordName, append(record, '\n')}}
	for generation, key := range c.Keys {
		members = append(members, member{keyName(generation), []byte(key.Reveal())})
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	about := manifest{
		Format: format, Made: c.Made, Application: c.Application, Model: c.Model, ModelUUID: c.ModelUUID,
		Members: map[string]string{},
	}
	for _, m := range members {
		about.Members[m.name] = checksum(m.data)
	}
	text, err := json.MarshalIndent(about, "", "  ")
	if err != nil {
		return nil, err
	}
	return slices.Insert(members, 0, member{manifestName, append(text, '\n')}), nil
}

func keyName(generation int) string { return keysPrefix + strconv.Itoa(generation) + keysSuffix }

// generationOf reads the name of a key's member.
func generationOf(name string) (generation int, valid bool) {
	number, _ := strings.CutPrefix(name, keysPrefix)
	generation, err := strconv.Atoi(strings.TrimSuffix(number, keysSuffix))
	return generation, err == nil && generation >= 1 && keyName(generation) == name
}

func checksum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// pack writes the compressed tar of a content.
func pack(w io.Writer, content Content) error {
	members, err := content.members()
	if err != nil {
		return err
	}
	compressed := gzip.NewWriter(w)
	if err := writeTar(compressed, members, content.Made); err != nil {
		return err
	}
	return compressed.Close()
}

func writeTar(w io.Writer, members []member, made time.Time) error {
	files := tar.NewWriter(w)
	for _, m := range members {
		err := files.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: m.name, Size: int64(len(m.data)), Mode: 0o600, ModTime: made, Format: tar.FormatUSTAR,
		})
		if err != nil {
			return err
		}
		if _, err := files.Write(m.data); err != nil {
			return err
		}
	}
	return files.Close()
}
