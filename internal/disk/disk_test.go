// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

func open(t *testing.T, root string) *disk.Folder {
	t.Helper()
	folder, err := disk.Open(root)
	require.NoError(t, err)
	return folder
}

func carried(t *testing.T, folder *disk.Folder, o order.Order) order.Answer {
	t.Helper()
	answer := folder.Carry(t.Context(), o)
	require.Nil(t, answer.Failure)
	require.Equal(t, order.Done, answer.State)
	require.Equal(t, o.ID(), answer.Order)
	return answer
}

func failed(t *testing.T, folder *disk.Folder, o order.Order) order.Failure {
	t.Helper()
	answer := folder.Carry(t.Context(), o)
	require.Equal(t, order.Failed, answer.State)
	require.NotNil(t, answer.Failure)
	return *answer.Failure
}

func survey(t *testing.T, folder *disk.Folder) map[string]string {
	t.Helper()
	found, err := folder.Survey()
	require.NoError(t, err)
	return found
}

func modeOf(t *testing.T, parts ...string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(filepath.Join(parts...))
	require.NoError(t, err)
	return info.Mode().Perm()
}

// selfSigned is a certificate for a key.
func selfSigned(t *testing.T, key cert.Key) string {
	t.Helper()
	private, err := cert.ParseKey(key)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	return cert.Encode(der)
}

func newKey(t *testing.T) cert.Key {
	t.Helper()
	private, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	key, err := cert.EncodeKey(private)
	require.NoError(t, err)
	return key
}

func serverRequest() order.MakeRequest {
	return order.MakeRequest{
		Name: "server", Kind: cert.Server, CommonName: "10.0.0.1", Organizations: []string{"etcd", "a"}, KeyType: cert.P256,
		Names: cert.Names{DNS: []string{"etcd-0"}, IPs: []string{"10.0.0.1"}},
	}
}

func TestTheFolderIsItsOwnersOnly(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "lib", "signet")
	require.NoError(t, os.MkdirAll(root, 0o755))
	folder := open(t, root)
	require.EqualValues(t, 0o700, modeOf(t, root))
	require.NoError(t, folder.Secrets().Write("authority.1.ab", []byte("key")))
	require.EqualValues(t, 0o600, modeOf(t, root, "secrets", "authority.1.ab"))
	require.NoError(t, folder.Append(ledger.Entry{Event: ledger.Ordered, Order: "o1"}))
	require.EqualValues(t, 0o600, modeOf(t, root, "journal"))
}

func TestTheStoreKeepsBlobs(t *testing.T) {
	t.Parallel()
	store := open(t, t.TempDir()).Secrets()
	_, err := store.Read("outbox.1")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, store.Write("outbox.1", []byte("one")))
	require.NoError(t, store.Write("outbox.1", []byte("two")))
	require.NoError(t, store.Write("authority.1.ab", []byte("ca")))
	blob, err := store.Read("outbox.1")
	require.NoError(t, err)
	require.Equal(t, "two", string(blob))
	names, err := store.Names("outbox.")
	require.NoError(t, err)
	require.Equal(t, []string{"outbox.1"}, names)
	require.NoError(t, store.Remove("outbox.1"))
	require.NoError(t, store.Remove("outbox.1"), "that there is none is no error")
	for _, name := range []string{"", "../lock", "a/b", ".hidden", "a\x00b", strings.Repeat("x", 200)} {
		require.Error(t, store.Write(name, nil), name)
		_, err := store.Read(name)
		require.Error(t, err, name)
		require.Error(t, store.Remove(name), name)
	}
}

func TestTheLockIsHeldByOne(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	unlock, err := open(t, root).Lock(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = open(t, root).Lock(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, fmt.Sprintf("process %d", os.Getpid()), "it says who")
	require.NoError(t, unlock())
	unlock, err = open(t, root).Lock(t.Context())
	require.NoError(t, err)
	require.NoError(t, unlock())
}

func TestLockSweepsWhatACrashLeft(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder := open(t, root)
	left := filepath.Join(root, "secrets", ".outbox.1.99.1.new")
	require.NoError(t, os.WriteFile(left, []byte("half a key"), 0o600))
	unlock, err := folder.Lock(t.Context())
	require.NoError(t, err)
	require.NoError(t, unlock())
	require.NoFileExists(t, left)
}

func TestMakeRequest(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder := open(t, root)
	first := carried(t, folder, serverRequest()).Request
	require.Equal(t, first, carried(t, open(t, root), serverRequest()).Request, "the same text again")
	require.Equal(t, first, survey(t, folder)["request.server"])
	require.EqualValues(t, 0o600, modeOf(t, root, "keys", "server.key"))

	parsed, err := cert.ParseRequest(first)
	require.NoError(t, err)
	require.NoError(t, cert.CheckRequest(parsed))
	require.Equal(t, "10.0.0.1", parsed.Subject.CommonName)
	require.Equal(t, []string{"etcd", "a"}, parsed.Subject.Organization)
	require.Contains(t, parsed.Subject.String(), "2.5.4.45=")
	names, err := cert.RequestNames(parsed)
	require.NoError(t, err)
	require.Equal(t, serverRequest().Names, names)
	serverAuth, clientAuth := cert.RequestedUsages(parsed)
	require.True(t, serverAuth)
	require.False(t, clientAuth)

	renewal := serverRequest()
	renewal.Replaces = "41aa"
	second := carried(t, folder, renewal).Request
	require.NotEqual(t, first, second)
	before, err := cert.PublicKeyOf(first)
	require.NoError(t, err)
	after, err := cert.PublicKeyOf(second)
	require.NoError(t, err)
	require.True(t, cert.SameKey(before, after), "a renewal keeps the key")
	require.Equal(t, second, survey(t, folder)["request.server"])

	require.NoError(t, os.Remove(filepath.Join(root, "keys", "server.key")))
	require.NotContains(t, survey(t, folder), "request.server", "a request without its key is none")
	third := carried(t, folder, renewal).Request
	require.NotEqual(t, second, third)
	require.Equal(t, third, survey(t, folder)["request.server"])

	other := renewal
	other.KeyType = cert.P384
	carried(t, folder, other)
	public, err := cert.PublicKeyOf(survey(t, folder)["request.server"])
	require.NoError(t, err)
	keyType, err := cert.KeyTypeOf(public)
	require.NoError(t, err)
	require.Equal(t, cert.P384, keyType)
}

func TestMakeRequestRefuses(t *testing.T) {
	t.Parallel()
	folder := open(t, t.TempDir())
	for sentence, spoil := range map[string]func(*order.MakeRequest){
		"a path":           func(o *order.MakeRequest) { o.Name = "../server" },
		"no key type":      func(o *order.MakeRequest) { o.KeyType = "" },
		"no address":       func(o *order.MakeRequest) { o.Names.IPs = []string{"nowhere"} },
		"a non-ASCII name": func(o *order.MakeRequest) { o.Names.DNS = []string{"é.example"} },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			o := serverRequest()
			spoil(&o)
			require.Equal(t, "bad-order", failed(t, folder, o).Code)
		})
	}
}

func TestMakeSecret(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	o := order.MakeSecret{Label: "seal"}
	first := carried(t, open(t, root), o).Key
	random, err := base64.StdEncoding.DecodeString(first.Reveal())
	require.NoError(t, err)
	require.Len(t, random, 32)
	folder := open(t, root)
	require.Equal(t, first, carried(t, folder, o).Key)
	require.NotEqual(t, first, carried(t, folder, order.MakeSecret{Label: "other"}).Key)
}

func TestAMadeSecretIsGivenAgainOnlyWhileYoung(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder := open(t, root)
	o := order.MakeSecret{Label: "seal"}
	first := carried(t, folder, o).Key
	path := filepath.Join(root, "secrets", "made."+string(o.ID()))
	for sentence, written := range map[string]time.Time{
		"long ago":                  time.Now().Add(-2 * time.Hour),
		"when the clock went wrong": time.Now().Add(48 * time.Hour),
	} {
		require.NoError(t, os.Chtimes(path, written, written))
		next := carried(t, folder, o).Key
		require.NotEqual(t, first, next, sentence)
		require.Equal(t, next, carried(t, folder, o).Key, sentence)
		first = next
	}
}

func TestTheLockSweepsOldMadeSecrets(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder := open(t, root)
	old, young := order.MakeSecret{Label: "old"}, order.MakeSecret{Label: "young"}
	carried(t, folder, old)
	carried(t, folder, young)
	require.NoError(t, folder.Secrets().Write("authority.1.ab", []byte("ca")))
	written := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"made." + string(old.ID()), "authority.1.ab"} {
		require.NoError(t, os.Chtimes(filepath.Join(root, "secrets", name), written, written))
	}
	unlock, err := folder.Lock(t.Context())
	require.NoError(t, err)
	require.NoError(t, unlock())
	require.ElementsMatch(t, []string{"authority.1.ab", "made." + string(young.ID())}, entries(t, filepath.Join(root, "secrets")))
}

func TestCarryOfAnotherOrder(t *testing.T) {
	t.Parallel()
	folder := open(t, t.TempDir())
	require.Equal(t, "not-carried", failed(t, folder, order.Sign{}).Code)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, order.Pending, folder.Carry(ctx, serverRequest()).State)
}

func TestATroubledDiskSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for cause, step := range map[error]string{
		syscall.ENOSPC: "no space left on device: free space there",
		syscall.EROFS:  "read-only file system: mount it writable",
		syscall.EACCES: "permission denied: let the charm's user in",
	} {
		t.Run(cause.Error(), func(t *testing.T) {
			t.Parallel()
			broken := false
			root := t.TempDir()
			folder, err := disk.OpenOn(root, func(op disk.Op) error {
				if broken && op.Kind == disk.Create {
					return &fs.PathError{Op: "open", Path: op.Path, Err: cause}
				}
				return disk.Perform(op)
			})
			require.NoError(t, err)
			broken = true
			for _, o := range []order.Order{
				serverRequest(), order.MakeSecret{Label: "seal"},
				order.Install{Name: "certificates", Files: []order.File{{Name: "ca.crt", Text: "x"}}},
			} {
				failure := failed(t, folder, o)
				require.Equal(t, "disk", failure.Code)
				require.Contains(t, failure.Message, root)
				require.Contains(t, failure.Message, step)
			}
			require.NotContains(t, survey(t, folder), "request.server")
			broken = false
			carried(t, folder, serverRequest())
		})
	}
}
