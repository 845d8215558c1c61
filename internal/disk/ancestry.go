// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/signet-charm/signet/internal/order"
)

const maxLinks = 40 // on one path, as Linux has it

// safe refuses, with the code "unsafe-directory", a folder where others than root and this user could swap what the
// charm works on for links to somewhere else. The charm's own folder is its owner's only anyway.
func (f *Folder) safe(dir, what string) error {
	if dir == f.path(filesName) {
		return nil
	}
	at, reason, err := unsafeOn(dir)
	if err != nil {
		return trouble("look at", at, err)
	}
	if reason != "" {
		return order.Fail("unsafe-directory", "cannot work on %s in %s: %s, or choose another folder", what, dir, reason)
	}
	return nil
}

// unsafeOn looks at each folder on the way to a path, through links as the kernel goes. It gives the folder where it
// stopped and why that is not safe; no reason when all are. What is missing will be made by this user.
func unsafeOn(path string) (at, reason string, err error) {
	at = string(filepath.Separator)
	pending := parts(path)
	for links := 0; ; {
		info, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return at, "", nil
		}
		if err != nil {
			return at, "", err
		}
		if reason := unsafe(at, info); reason != "" {
			return at, reason, nil
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(at)
			if err != nil {
				return at, "", err
			}
			if links++; links > maxLinks {
				return at, "", syscall.ELOOP
			}
			pending = append(parts(target), pending...)
			if at = filepath.Dir(at); filepath.IsAbs(target) {
				at = string(filepath.Separator)
			}
		}
		if len(pending) == 0 {
			return at, "", nil
		}
		at, pending = filepath.Join(at, pending[0]), pending[1:] // at has no links, so that ".." is what Join takes it for
	}
}

func parts(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// unsafe says who else can swap entries of a folder, or a link, and what to do about it.
func unsafe(path string, info fs.FileInfo) string {
	if status, ok := info.Sys().(*syscall.Stat_t); ok && status.Uid != 0 && int(status.Uid) != os.Geteuid() {
		return fmt.Sprintf("%s belongs to user %d: make it root's with \"chown -h root %s\"", path, status.Uid, path)
	}
	if info.IsDir() && info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return fmt.Sprintf("others can write in %s: forbid it with \"chmod go-w %s\"", path, path)
	}
	return ""
}
