// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
)

// Survey tells what is on disk, for juju.Snapshot.Local:
//
//	bundle.<name>   the ID of the installed order, if each of its files is as it was written
//	files.<name>    the names of its files, sorted, separated by spaces
//	request.<name>  the PEM of the current request, if its key is there
//	hostname        the machine's
//
// What is damaged is not told, so that it is ordered anew. The keys of authorities are package ca's to tell.
func (f *Folder) Survey() (map[string]string, error) {
	found := map[string]string{}
	bundles, err := f.list(bundlesName, func(name string) bool { return strings.HasSuffix(name, ".json") })
	if err != nil {
		return nil, err
	}
	for _, file := range bundles {
		name := strings.TrimSuffix(file, ".json")
		known, err := f.readPlaces(name)
		if err != nil || len(known.Dirs) != 1 { // none, or a move that was not finished
			continue
		}
		if record, ok := intact(f.dirOf(known.Dirs[0]), name); ok {
			found["bundle."+name] = string(record.Order)
			found["files."+name] = strings.Join(slices.Sorted(maps.Keys(record.Files)), " ")
		}
	}
	requests, err := f.list(requestsName, func(name string) bool { return strings.HasSuffix(name, ".csr") })
	if err != nil {
		return nil, err
	}
	for _, file := range requests {
		name := strings.TrimSuffix(file, ".csr")
		if text, ok := f.request(name); ok {
			found["request."+name] = text
		}
	}
	if hostname, err := os.Hostname(); err == nil {
		found["hostname"] = strings.ToLower(hostname)
	}
	return found, nil
}

// request gives the current request of a name if it is under the key of that name.
func (f *Folder) request(name string) (string, bool) {
	text, err := readFile(f.path(requestsName, name+".csr"))
	if err != nil {
		return "", false
	}
	requested, err := cert.PublicKeyOf(string(text))
	if err != nil {
		return "", false
	}
	_, private, err := f.readKey(name)
	if err != nil || !cert.SameKey(private.Public(), requested) {
		return "", false
	}
	return string(text), true
}
