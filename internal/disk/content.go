// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/kubefile"
	"github.com/signet-charm/signet/internal/order"
)

// content is one file to be written.
type content struct {
	name   string
	data   []byte
	mode   fs.FileMode
	owner  Owner
	secret bool
	own    bool // a key that was made here, for a request
}

// contents resolves and checks the files: plain names, each once, and no certificate beside a key that is not its own.
// Files to be kept are read where the bundle stands now; what is rendered comes after what it is rendered of.
func (f *Folder) contents(o order.Install, standing []string) ([]content, error) {
	seen := map[string]content{}
	files := make([]content, len(o.Files))
	resolve := func(i int, file order.File) error {
		if err := checkName(file.Name); err != nil {
			return order.Fail("bad-order", "cannot install bundle %s: %v", o.Name, err)
		}
		if _, double := seen[file.Name]; double {
			return order.Fail("bad-order", "cannot install bundle %s: file %s is in it twice", o.Name, file.Name)
		}
		resolved, err := f.resolve(o, file, standing, seen)
		if err != nil {
			return err
		}
		resolved.name, resolved.mode = file.Name, 0o644
		if resolved.secret {
			resolved.mode = 0o600
			if o.KeyMode != 0 {
				resolved.mode = fs.FileMode(o.KeyMode)
			}
		}
		seen[file.Name], files[i] = resolved, resolved
		return nil
	}
	for _, rendered := range []bool{false, true} {
		for i, file := range o.Files {
			if rendered != (file.Kubeconfig != nil || file.Kubelet != nil) {
				continue
			}
			if err := resolve(i, file); err != nil {
				return nil, err
			}
		}
	}
	return files, checkPairs(o, seen)
}

// resolve gives the content of one file; of what was resolved before it may be rendered.
func (f *Folder) resolve(o order.Install, file order.File, standing []string, seen map[string]content) (content, error) {
	switch {
	case file.Keep:
		data, written, found := f.standing(o.Name, file.Name, standing)
		if !found {
			return content{}, order.Fail("bad-order", "cannot install bundle %s: there is no %s to keep", o.Name, file.Name)
		}
		return content{data: data, secret: written.Secret, own: written.Own}, nil
	case file.KeyName != "":
		if err := checkName(file.KeyName); err != nil {
			return content{}, order.Fail("bad-order", "cannot install bundle %s: %v", o.Name, err)
		}
		key, _, err := f.readKey(file.KeyName)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamagedKey) {
			return content{}, order.Fail("no-key", "cannot install bundle %s: there is no usable key %s: a new request makes one",
				o.Name, file.KeyName)
		}
		return content{data: []byte(key.Reveal()), secret: true, own: true}, err
	case !file.Key.IsZero():
		return content{data: []byte(file.Key.Reveal()), secret: true}, nil
	case file.Kubeconfig != nil:
		config, err := f.kubeconfig(o.Name, o.Dir, *file.Kubeconfig, func(name string) ([]byte, bool) {
			data, found := seen[name]
			return data.data, found
		})
		if err != nil {
			return content{}, err
		}
		text, err := config.Render()
		if err != nil {
			return content{}, order.Fail("bad-order", "cannot install bundle %s: %v", o.Name, err)
		}
		return content{data: []byte(text), secret: true}, nil // by path it is no secret, but programs warn of an open one
	case file.Kubelet != nil:
		at := func(name string) string { return filepath.Join(f.dirOf(o.Dir), o.Name, name) }
		text := kubefile.Kubelet{
			CertFile: at(file.Kubelet.Certificate), KeyFile: at(file.Kubelet.Key), ClientCAFile: at(file.Kubelet.ClientCA),
		}.Render()
		return content{data: []byte(text)}, nil
	}
	return content{data: []byte(file.Text)}, nil
}

// kubeconfig gives a kubeconfig whose files are a bundle's: by their paths there, or with what read gives of them.
func (f *Folder) kubeconfig(
	bundle, dir string, of order.Kubeconfig, read func(name string) ([]byte, bool),
) (kubefile.Kubeconfig, error) {
	config := kubefile.Kubeconfig{Cluster: of.Cluster, User: of.User, Context: of.Context, Server: of.Server}
	for _, file := range []struct {
		name string
		to   *kubefile.File
	}{{of.CA, &config.CA}, {of.Certificate, &config.Certificate}, {of.Key, &config.Key}} {
		data, found := read(file.name)
		switch {
		case !found:
			return kubefile.Kubeconfig{}, order.Fail("bad-order", "cannot write a kubeconfig for bundle %s: it has no %s", bundle, file.name)
		case of.Embed:
			file.to.Data = string(data)
		default:
			file.to.Path = filepath.Join(f.dirOf(dir), bundle, file.name)
		}
	}
	return config, nil
}

// checkPairs refuses a certificate beside a key that is not its own.
func checkPairs(o order.Install, files map[string]content) error {
	for name, file := range files {
		stem, isCertificate := strings.CutSuffix(name, ".crt")
		key, hasKey := files[stem+".key"]
		if isCertificate && hasKey && !fits(file, key) {
			return order.Fail("key-mismatch", "cannot install bundle %s: %s is not certified by %s: the former bundle stays; "+
				"a new request mends it", o.Name, key.name, file.name)
		}
	}
	return nil
}

func fits(certificate, key content) bool {
	certified, err := cert.Parse(string(certificate.data))
	if err != nil {
		return false
	}
	private, err := cert.ParseKey(cert.NewKey(string(key.data)))
	return err == nil && cert.SameKey(private.Public(), certified.PublicKey)
}

func ownUser() Owner { return Owner{os.Geteuid(), os.Getegid()} }

// ownerNamed gives the owner of files by the names, or numbers, of user and group. A user brings its own group along.
func ownerNamed(name, group string) (Owner, error) {
	owner := ownUser()
	if name != "" {
		found, err := lookupUser(name)
		if err != nil {
			return Owner{}, order.Fail("no-user", "cannot give files to user %s: there is no such user here: make it, or set another with file-owner", name)
		}
		owner = found
	}
	if group != "" {
		id, err := lookupGroup(group)
		if err != nil {
			return Owner{}, order.Fail("no-group", "cannot give files to group %s: there is no such group here: make it, or set another with file-group", group)
		}
		owner.GID = id
	}
	return owner, nil
}

func lookupUser(name string) (Owner, error) {
	found, err := user.Lookup(name)
	if err != nil {
		if id, numberErr := strconv.ParseUint(name, 10, 31); numberErr == nil {
			return Owner{int(id), os.Getegid()}, nil
		}
		return Owner{}, err
	}
	uid, uidErr := strconv.Atoi(found.Uid)
	gid, gidErr := strconv.Atoi(found.Gid)
	return Owner{uid, gid}, errors.Join(uidErr, gidErr)
}

func lookupGroup(name string) (int, error) {
	found, err := user.LookupGroup(name)
	if err != nil {
		if id, numberErr := strconv.ParseUint(name, 10, 31); numberErr == nil {
			return int(id), nil
		}
		return 0, fmt.Errorf("cannot find group: %w", err)
	}
	return strconv.Atoi(found.Gid)
}
