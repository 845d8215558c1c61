// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Kind is what an Op does.
type Kind string

// The kinds of operations: all that this package does to a disk.
const (
	Mkdir    Kind = "mkdir"    // make the folder Path, which must not exist, with Mode
	Create   Kind = "create"   // make the file Path, which must not exist, with Data and Mode
	Append   Kind = "append"   // add Data to the end of the file Path
	Truncate Kind = "truncate" // cut the file Path to Size bytes
	Symlink  Kind = "symlink"  // make the link Path, which must not exist, that says To
	Rename   Kind = "rename"   // move Path to To, replacing what is there
	Remove   Kind = "remove"   // remove the file, link or empty folder Path
	Sync     Kind = "sync"     // make the content of the file, or the entries of the folder, Path durable
)

// Op is one operation on a disk. No other than Sync makes anything durable: after a crash, what was done since the last
// Sync of a file or folder may be there, or not, or in part.
type Op struct {
	Kind  Kind
	Path  string
	To    string
	Data  []byte
	Mode  fs.FileMode
	Owner *Owner // of a file that is made; nil for the charm's own user
	Size  int64
}

// Owner is whose a file is, by the numbers of user and group.
type Owner struct{ UID, GID int }

// System carries out operations. It is the one place through which this package writes, so that tests can fail each
// operation, done or not done, and lose what was not synced.
type System func(Op) error

// Perform is the System of the operating system. Modes are as given, whatever the umask. What it writes never goes
// through a symbolic link at the end of Path.
func Perform(op Op) error {
	switch op.Kind {
	case Mkdir:
		if err := os.Mkdir(op.Path, 0o700); err != nil {
			return err
		}
		return chmodFolder(op.Path, op.Mode)
	case Create:
		return change(op.Path, os.O_CREATE|os.O_EXCL, func(file *os.File) error {
			if err := give(file, op.Owner); err != nil {
				return err
			}
			if err := file.Chmod(op.Mode); err != nil {
				return err
			}
			_, err := file.Write(op.Data)
			return err
		})
	case Append:
		return change(op.Path, os.O_APPEND, func(file *os.File) error {
			_, err := file.Write(op.Data)
			return err
		})
	case Truncate:
		return change(op.Path, 0, func(file *os.File) error { return file.Truncate(op.Size) })
	case Symlink:
		return os.Symlink(op.To, op.Path)
	case Rename:
		return os.Rename(op.Path, op.To)
	case Remove:
		return os.Remove(op.Path)
	case Sync:
		return syncPath(op.Path)
	}
	return fmt.Errorf("%q is not an operation", op.Kind)
}

func change(path string, flags int, how func(*os.File) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW|flags, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(how(file), file.Close())
}

// give changes whose a file is, if it is not: file systems without owners can say no.
func give(file *os.File, owner *Owner) error {
	if owner == nil {
		return nil
	}
	info, err := file.Stat()
	if err != nil || ownerOf(info) == *owner {
		return err
	}
	return file.Chown(owner.UID, owner.GID)
}

func ownerOf(info fs.FileInfo) Owner {
	status, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Owner{-1, -1}
	}
	return Owner{int(status.Uid), int(status.Gid)}
}

// chmodFolder changes the folder that was just made, not one that a link put in its place leads to.
func chmodFolder(path string, mode fs.FileMode) error {
	folder, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(folder.Chmod(mode), folder.Close())
}

// syncPath may follow a link: folders such as /var/run are one.
func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// readFile reads a file that is no symbolic link.
func readFile(path string) ([]byte, error) {
	data, _, err := readFileInfo(path)
	return data, err
}

// readFileInfo reads a file that is no symbolic link and tells of it. It looks at what it has opened: what has the name
// may change.
func readFileInfo(path string) ([]byte, fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) // a pipe would wait for a writer
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	data, err := io.ReadAll(file)
	return data, info, err
}

// problem is an error of the disk: what could not be done, where, why, and what to do next.
type problem struct {
	what string // "write /var/lib/…"
	err  error
	next string // what to do, where the error does not tell
}

func trouble(verb, path string, err error) error {
	var known *problem
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &problem{what: verb + " " + path, err: err}
}

func (p *problem) Error() string {
	return fmt.Sprintf("cannot %s: %s: %s", p.what, cause(p.err), cmp.Or(p.next, nextStep(p.err)))
}

// Blocks tells that who looks after the machine has to do something.
func (p *problem) Blocks() bool { return true }

func (p *problem) Unwrap() error { return p.err }

// cause is an error's text without the path, which the problem names already.
func cause(err error) string {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err.Error()
	case errors.As(err, &link):
		return link.Err.Error()
	}
	return strings.TrimSpace(err.Error())
}

func nextStep(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free space there"
	case errors.Is(err, syscall.EROFS):
		return "mount it writable"
	case errors.Is(err, fs.ErrPermission):
		return "let the charm's user in"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "raise the limit of open files"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist), errors.Is(err, syscall.ELOOP):
		return "move away what is there"
	case errors.Is(err, syscall.ENAMETOOLONG):
		return "use a shorter path"
	}
	return "look at the disk"
}

// makeFolder makes a folder and those above it that are missing, each durable in the one above.
func (do System) makeFolder(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		return trouble("make folder", path, syscall.ENOTDIR)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return trouble("make folder", path, err)
	}
	parent := filepath.Dir(path)
	if err := do.makeFolder(parent, mode); err != nil {
		return err
	}
	if err := do(Op{Kind: Mkdir, Path: path, Mode: mode}); err != nil && !errors.Is(err, fs.ErrExist) {
		return trouble("make folder", path, err)
	}
	return trouble("make folder", path, do(Op{Kind: Sync, Path: parent}))
}

// replace writes a file so that after a crash there is the old content or the new one.
func (do System) replace(path, temporary string, data []byte, mode fs.FileMode) error {
	return do.replaceAs(path, Op{Path: temporary, Data: data, Mode: mode})
}

// replaceAs is replace with all that is said of the temporary file.
func (do System) replaceAs(path string, temporary Op) error {
	temporary.Kind = Create
	for _, op := range []Op{
		temporary,
		{Kind: Sync, Path: temporary.Path},
		{Kind: Rename, Path: temporary.Path, To: path},
		{Kind: Sync, Path: filepath.Dir(path)},
	} {
		if err := do(op); err != nil {
			_ = do(Op{Kind: Remove, Path: temporary.Path}) // a full disk needs the room; what stays is swept later
			return trouble("write", path, err)
		}
	}
	return nil
}

// discard removes what a crash left under a temporary name.
func (do System) discard(temporary string) error {
	if _, err := os.Lstat(temporary); err != nil {
		return nil //nolint:nilerr // that there is nothing is what is wanted; any other trouble shows when it is made
	}
	return trouble("remove", temporary, do(Op{Kind: Remove, Path: temporary}))
}

// remove removes a file or link durably. That there is none is no error.
func (do System) remove(path string) error {
	if err := do(Op{Kind: Remove, Path: path}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return trouble("remove", path, err)
	}
	err := do(Op{Kind: Sync, Path: filepath.Dir(path)})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return trouble("remove", path, err)
}
