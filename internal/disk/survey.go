// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"maps"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
)

// Survey tells what is on disk, for juju.Snapshot.Local:
//
//	bundle.<name>       the ID of the installed order, if each of its files is as it was written and none before them is left
//	files.<name>        the names of those of its files whose content is, sorted, separated by spaces: what an order can keep
//	sum.<name>.<file>   the SHA-256 of such a file, in hexadecimal
//	text.<name>.<file>  the content of such a file that holds certificates
//	own.<name>.<file>   "yes" for such a file that is a key made here, for a request
//	request.<name>      the PEM of the current request, if its key is there
//	links, merge, trust the ID of the order whose effect stands outside the folder; "damaged" when not all of it does
//	trust.laid          how often files were laid there or removed
//	text.trust          the CA certificates that lie in the trust store's folder
//
// What is damaged is not told, so that it is ordered anew. The keys of authorities are package ca's to tell, the
// machine's name and programs package host's.
func (f *Folder) Survey() (map[string]string, error) {
	found := map[string]string{}
	if err := f.surveyBundles(found); err != nil {
		return nil, err
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
	f.surveyOutside(found)
	return found, nil
}

// surveyBundles tells of bundles. A file is told wherever an order can keep it from, while its bundle may be damaged, or
// in a move that was not finished.
func (f *Folder) surveyBundles(found map[string]string) error {
	bundles, err := f.list(bundlesName, func(name string) bool { return strings.HasSuffix(name, ".json") })
	if err != nil {
		return err
	}
	for _, record := range bundles {
		name := strings.TrimSuffix(record, ".json")
		known, err := f.readPlaces(name)
		if err != nil {
			continue
		}
		kept := map[string][]byte{}
		for _, dir := range slices.Backward(known.Dirs) { // the first place that has a file counts
			standing, ok := f.generationOf(f.dirOf(dir), name)
			if !ok {
				continue
			}
			files, whole := standing.intact()
			maps.Copy(kept, files)
			for file := range files {
				if delete(found, "own."+name+"."+file); standing.Files[file].Own {
					found["own."+name+"."+file] = "yes"
				}
			}
			// A folder that a crash left beside it holds a key that is to be gone: the order is given again.
			left, err := f.superseded(f.dirOf(dir), name)
			if whole && len(known.Dirs) == 1 && err == nil && len(left) == 0 {
				found["bundle."+name] = string(standing.Order)
			}
		}
		if len(kept) > 0 {
			found["files."+name] = strings.Join(slices.Sorted(maps.Keys(kept)), " ")
		}
		for file, data := range kept {
			found["sum."+name+"."+file] = hexSum(data)
			if strings.HasSuffix(file, ".crt") {
				found["text."+name+"."+file] = string(data)
			}
		}
	}
	return nil
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
