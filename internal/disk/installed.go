// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/view"
)

// mostInstalled bounds how much of a certificate's file is read.
const mostInstalled = 1 << 20

// Installed tells which certificates lie in the bundles of the state folder at root, as other programs find them. It reads
// only, and makes no folder, so that anybody who may read them can ask, whoever works there.
func Installed(root string) ([]view.Installed, error) {
	folder := &Folder{root: root}
	records, err := folder.list(bundlesName, func(name string) bool { return strings.HasSuffix(name, ".json") })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []view.Installed
	for _, record := range records {
		name := strings.TrimSuffix(record, ".json")
		known, err := folder.readPlaces(name)
		if err != nil {
			return nil, err
		}
		if len(known.Dirs) == 0 {
			continue
		}
		dir := filepath.Join(folder.dirOf(known.Dirs[0]), name)
		files, _ := filepath.Glob(filepath.Join(dir, "*.crt")) // the pattern is a good one
		slices.Sort(files)
		for _, path := range files {
			file := strings.TrimSuffix(filepath.Base(path), ".crt")
			info, err := os.Stat(path)
			if err != nil || info.Size() > mostInstalled || file == "ca" || !hasKey(path) {
				continue
			}
			text, err := readFile(path)
			if err != nil {
				return nil, trouble("read", path, err)
			}
			found = append(found, view.Installed{Name: file, Path: path, PEM: string(text)})
		}
	}
	return found, nil
}

// hasKey tells certificates of this unit's from those that it only trusts.
func hasKey(path string) bool {
	_, err := os.Lstat(strings.TrimSuffix(path, ".crt") + ".key")
	return err == nil
}
