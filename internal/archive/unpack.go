// SPDX-License-Identifier: AGPL-3.0-only

package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
)

// limits bound what is taken into memory.
type limits struct {
	total   int64 // bytes of the tar
	member  int64 // bytes of one member
	members int
	entries int // of the journal
}

const mebibyte = 1 << 20

// maxFile bounds the encrypted file. What does not compress is a little larger in it, and a stream of empty gzip blocks
// would never come to any other bound.
const maxFile = (256 + 8) * mebibyte

// bounds are the limits of real archives. The entries are as many as an authority with ten certificates an hour records
// in five years; a million empty ones would fit into a few MiB.
func bounds() limits {
	return limits{total: 256 * mebibyte, member: 128 * mebibyte, members: 10_000, entries: 1_000_000}
}

// unpack reads what pack wrote, to the last byte: nothing may follow, and age has authenticated all only at its end.
func unpack(r io.Reader, bounds limits) (Content, error) {
	buffered := bufio.NewReader(r) // gzip takes no more of it than is its own
	plain, err := gzip.NewReader(buffered)
	if err != nil {
		return Content{}, foreign("%v", err)
	}
	plain.Multistream(false)
	content, err := readTar(&bounded{source: plain, left: bounds.total, of: bounds.total}, bounds)
	if err != nil {
		return Content{}, err
	}
	if _, err := buffered.ReadByte(); err != io.EOF {
		return Content{}, foreign("something follows the compressed tar")
	}
	return content, nil
}

// foreign is the error for what decrypts well and is not a backup all the same.
func foreign(format string, args ...any) error {
	return fmt.Errorf("its content is not what signet writes: "+format+": take another backup", args...)
}

// bounded fails when there is more to read than its bound. An end of file there would look like the end.
type bounded struct {
	source   io.Reader
	left, of int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, fmt.Errorf("it is larger than %d bytes", b.of)
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.source.Read(p)
	b.left -= int64(n)
	return n, err
}

// readTar reads the members and makes sure that they are the manifest's: all of them, no other, each once.
func readTar(r io.Reader, bounds limits) (Content, error) {
	var about manifest
	found := map[string][]byte{}
	for files := tar.NewReader(r); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Content{}, foreign("%v", err)
		}
		data, err := readMember(header, files, bounds)
		if err != nil {
			return Content{}, err
		}
		if _, again := found[header.Name]; again {
			return Content{}, foreign("%.60q is in it twice", header.Name)
		}
		if len(found) == 0 {
			about, err = readManifest(header.Name, data, bounds)
		} else {
			err = about.admit(header.Name, data)
		}
		if err != nil {
			return Content{}, err
		}
		found[header.Name] = data
	}
	if n, err := io.ReadFull(r, make([]byte, 1)); n > 0 {
		return Content{}, foreign("something follows the tar")
	} else if err != io.EOF {
		return Content{}, foreign("%v", err)
	}
	if len(found) == 0 {
		return Content{}, foreign("it is empty")
	}
	for _, name := range slices.Sorted(maps.Keys(about.Members)) {
		if _, there := found[name]; !there {
			return Content{}, foreign("%.60q is missing", name)
		}
	}
	return about.content(found, bounds)
}

// readMember gives a plain file's data. The extensions of tar can make much of little, and are never written.
func readMember(header *tar.Header, data io.Reader, bounds limits) ([]byte, error) {
	switch {
	case header.Typeflag != tar.TypeReg || header.Format != tar.FormatUSTAR:
		return nil, foreign("%.60q is not a plain file", header.Name)
	case header.Size > bounds.member:
		return nil, foreign("%.60q is larger than %d bytes", header.Name, bounds.member)
	}
	read, err := io.ReadAll(data)
	if err != nil {
		return nil, foreign("%v", err)
	}
	return read, nil
}

// readManifest reads the version before all else, because only a known one says what else there may be.
func readManifest(name string, data []byte, bounds limits) (manifest, error) {
	if name != manifestName {
		return manifest{}, foreign("it begins with %.60q", name)
	}
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return manifest{}, foreign("%s: %v", manifestName, err)
	}
	if version.Format > format {
		return manifest{}, fmt.Errorf("made by a newer signet: it has format %d, and this signet reads %d: refresh the charm first",
			version.Format, format)
	}
	if version.Format < 1 {
		return manifest{}, foreign("%d is not a format", version.Format)
	}
	var about manifest
	if err := decode(data, &about); err != nil {
		return manifest{}, foreign("%s: %v", manifestName, err)
	}
	if len(about.Members)+1 > bounds.members {
		return manifest{}, foreign("it has more than %d members", bounds.members)
	}
	for _, name := range slices.Sorted(maps.Keys(about.Members)) {
		if _, key := generationOf(name); !key && name != recordName && name != journalName {
			return manifest{}, foreign("%.60q is no part of a backup", name)
		}
	}
	for _, name := range []string{recordName, journalName} {
		if about.Members[name] == "" {
			return manifest{}, foreign("%s does not name %s", manifestName, name)
		}
	}
	return about, nil
}

// admit refuses a member that the manifest does not name just so. The manifest names known members only, and none of
// them leads out of a folder into which somebody unpacks the tar.
func (m manifest) admit(name string, data []byte) error {
	switch sum, named := m.Members[name]; {
	case !named:
		return foreign("%.60q is not in its %s", name, manifestName)
	case sum != checksum(data):
		return foreign("%.60q does not have its checksum", name)
	}
	return nil
}

// content reads the members, all of which are there.
func (m manifest) content(found map[string][]byte, bounds limits) (Content, error) {
	content := Content{
		Made: m.Made, Application: m.Application, Model: m.Model, ModelUUID: m.ModelUUID, Keys: map[int]cert.Key{},
	}
	if err := decode(found[recordName], &content.Record); err != nil {
		return Content{}, foreign("%s: %v", recordName, err)
	}
	for name, data := range found {
		if generation, valid := generationOf(name); valid {
			content.Keys[generation] = cert.NewKey(string(data))
		}
	}
	lines := strict(found[journalName])
	for lines.More() {
		var entry ledger.Entry
		if err := lines.Decode(&entry); err != nil {
			return Content{}, foreign("%s: entry %d: %v", journalName, len(content.Entries)+1, err)
		}
		if len(content.Entries) == bounds.entries {
			return Content{}, foreign("%s has more than %d entries", journalName, bounds.entries)
		}
		content.Entries = append(content.Entries, entry)
	}
	content = content.normal()
	if err := content.check(); err != nil {
		return Content{}, foreign("%v", err)
	}
	return content, nil
}

// decode reads one JSON value and nothing after it.
func decode(data []byte, into any) error {
	decoder := strict(data)
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("something follows the JSON")
	}
	return nil
}

// strict refuses fields that it does not know, lest what a newer signet recorded be lost without a word.
func strict(data []byte) *json.Decoder {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder
}
