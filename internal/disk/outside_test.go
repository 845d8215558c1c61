// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/order"
)

// onMachine opens a folder beside a machine of its own, and gives that machine's root.
func onMachine(t *testing.T) (*disk.Folder, string) {
	t.Helper()
	base := private(t)
	folder, err := disk.Open(filepath.Join(base, "signet"), disk.OnMachine(filepath.Join(base, "machine")))
	require.NoError(t, err)
	return folder, filepath.Join(base, "machine")
}

func plant(t *testing.T, content string, parts ...string) {
	t.Helper()
	path := filepath.Join(parts...)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func linksTo(overwrite bool, links ...string) order.Link {
	o := order.Link{Bundle: "certificates", Overwrite: overwrite}
	for i := 0; i < len(links); i += 2 {
		o.Links = append(o.Links, order.LinkAt{Path: links[i], File: links[i+1]})
	}
	return o
}

func TestLinksLeadToTheBundle(t *testing.T) {
	t.Parallel()
	folder, machine := onMachine(t)
	carried(t, folder, bundle("", order.File{Name: "ca.crt", Text: "one"}))
	first := linksTo(false, "/root/cdk/ca.crt", "ca.crt", "/etc/app/trust.pem", "ca.crt")
	require.NotContains(t, survey(t, folder), "links")
	carried(t, folder, first)
	require.Equal(t, string(first.ID()), survey(t, folder)["links"])
	require.Equal(t, "one", read(t, machine, "root/cdk/ca.crt"))
	carried(t, folder, bundle("", order.File{Name: "ca.crt", Text: "two"}))
	require.Equal(t, "two", read(t, machine, "etc/app/trust.pem"), "through the swapped link")

	require.NoError(t, os.Remove(filepath.Join(machine, "root/cdk/ca.crt")))
	require.Equal(t, "damaged", survey(t, folder)["links"])
	carried(t, folder, first)
	require.Equal(t, string(first.ID()), survey(t, folder)["links"])

	second := linksTo(false, "/root/cdk/ca.crt", "ca.crt")
	carried(t, folder, second)
	require.Equal(t, []string{}, entries(t, filepath.Join(machine, "etc/app")), "what is wanted no more goes")
	carried(t, folder, linksTo(false))
	require.Equal(t, []string{}, entries(t, filepath.Join(machine, "root/cdk")))
}

func TestALinkTakesNobodysPlace(t *testing.T) {
	t.Parallel()
	folder, machine := onMachine(t)
	carried(t, folder, bundle("", order.File{Name: "ca.crt", Text: "ours"}))
	plant(t, "theirs", machine, "root/cdk/ca.crt")
	plant(t, "theirs", machine, "elsewhere")
	require.NoError(t, os.Symlink("../../elsewhere", filepath.Join(machine, "root/cdk/link.crt")))
	require.NoError(t, os.MkdirAll(filepath.Join(machine, "root/cdk/folder.crt"), 0o755))
	o := linksTo(false, "/root/cdk/ca.crt", "ca.crt", "/root/cdk/link.crt", "ca.crt", "/root/cdk/folder.crt", "ca.crt", "/root/cdk/free.crt", "ca.crt")
	failure := failed(t, folder, o)
	require.Equal(t, "occupied", failure.Code)
	for _, part := range []string{"root/cdk/ca.crt: what is there is not from this charm", "link.crt: what is there", "folder.crt: a folder is there"} {
		require.Contains(t, failure.Message, part)
	}
	require.Equal(t, "theirs", read(t, machine, "root/cdk/ca.crt"))
	require.Equal(t, "theirs", read(t, machine, "root/cdk/link.crt"))
	require.Equal(t, "ours", read(t, machine, "root/cdk/free.crt"), "one that cannot be made harms no other")
	require.Equal(t, "damaged", survey(t, folder)["links"])

	o.Overwrite = true
	require.Contains(t, failed(t, folder, o).Message, "folder.crt: a folder is there: move it away")
	require.Equal(t, "ours", read(t, machine, "root/cdk/ca.crt"))
	require.Equal(t, "ours", read(t, machine, "root/cdk/link.crt"))
	require.Equal(t, "theirs", read(t, machine, "elsewhere"), "the link is replaced, not what it led to")

	require.NoError(t, os.Remove(filepath.Join(machine, "root/cdk/free.crt")))
	plant(t, "theirs", machine, "root/cdk/free.crt")
	carried(t, folder, linksTo(false))
	require.Equal(t, "theirs", read(t, machine, "root/cdk/free.crt"), "nor is another's file removed")
}

func TestLinksAreNotMadeWhereOthersCanWrite(t *testing.T) {
	t.Parallel()
	folder, machine := onMachine(t)
	carried(t, folder, bundle("", order.File{Name: "ca.crt", Text: "ours"}))
	require.NoError(t, os.MkdirAll(filepath.Join(machine, "open"), 0o755))
	require.NoError(t, os.Chmod(filepath.Join(machine, "open"), 0o777))
	require.Contains(t, failed(t, folder, linksTo(true, "/open/ca.crt", "ca.crt")).Message, "others can write in")
	require.Equal(t, "bad-order", failed(t, folder, linksTo(true, "relative", "ca.crt")).Code)
	require.Equal(t, "bad-order", failed(t, folder, linksTo(true, "/a/../b", "ca.crt")).Code)
	require.Equal(t, "bad-order", failed(t, folder, linksTo(true, "/a", "../keys/server.key")).Code)
}

func TestTheTrustStoreHasTheUnitsCertificatesOnly(t *testing.T) {
	t.Parallel()
	folder, machine := onMachine(t)
	store := filepath.Join(machine, "usr/local/share/ca-certificates")
	plant(t, "theirs", store, "theirs.crt")
	plant(t, "another unit's", store, "signet-node-1-2-0123456789abcdef.crt")
	plant(t, "left by a lost record", store, "signet-node-1-0123456789abcdef.crt")
	require.NotContains(t, survey(t, folder), "trust")
	o := order.Trust{Unit: "node/1", Certificates: []string{"one\n", "two\n"}}
	carried(t, folder, o)
	require.Equal(t, string(o.ID()), survey(t, folder)["trust"])
	require.Len(t, entries(t, store), 4)
	require.ElementsMatch(t, []string{"one", "two"}, strings.Fields(survey(t, folder)["text.trust"]))

	for _, name := range entries(t, store) {
		if strings.HasPrefix(name, "signet-node-1-") && name != "signet-node-1-2-0123456789abcdef.crt" {
			require.EqualValues(t, 0o644, modeOf(t, store, name))
			require.NoError(t, os.WriteFile(filepath.Join(store, name), []byte("x"), 0o600))
			break
		}
	}
	require.Equal(t, "damaged", survey(t, folder)["trust"])
	carried(t, folder, o)
	require.Equal(t, string(o.ID()), survey(t, folder)["trust"])

	none := order.Trust{Unit: "node/1"}
	carried(t, folder, none)
	require.ElementsMatch(t, []string{"theirs.crt", "signet-node-1-2-0123456789abcdef.crt"}, entries(t, store))
	require.Equal(t, string(none.ID()), survey(t, folder)["trust"])
	require.Equal(t, "bad-order", failed(t, folder, order.Trust{Unit: "a b"}).Code)
}

func mergeable(path string, embed bool) order.Merge {
	return order.Merge{Bundle: "certificates", Path: path, Kubeconfig: order.Kubeconfig{
		Cluster: "juju", User: "node", Context: "node@juju", Server: "https://10.0.0.1:6443",
		CA: "ca.crt", Certificate: "client.crt", Key: "client.key", Embed: embed,
	}}
}

func clientBundle(t *testing.T, key cert.Key) order.Install {
	certificate := selfSigned(t, key)
	return bundle("", order.File{Name: "client.crt", Text: certificate}, order.File{Name: "client.key", Key: key},
		order.File{Name: "ca.crt", Text: certificate})
}

func TestMergingKeepsWhatOthersHave(t *testing.T) {
	t.Parallel()
	folder, machine := onMachine(t)
	carried(t, folder, clientBundle(t, newKey(t)))
	const theirs = "apiVersion: v1\nkind: Config\ncurrent-context: theirs\nusers:\n  - name: theirs\n    user: {token: abc}\n"
	plant(t, theirs, machine, "real/config")
	require.NoError(t, os.MkdirAll(filepath.Join(machine, "root/.kube"), 0o755))
	require.NoError(t, os.Symlink("../../real/config", filepath.Join(machine, "root/.kube/config")))
	require.NoError(t, os.Chmod(filepath.Join(machine, "real/config"), 0o640))

	byPath := mergeable("/root/.kube/config", false)
	carried(t, folder, byPath)
	require.Equal(t, string(byPath.ID()), survey(t, folder)["merge"])
	text := read(t, machine, "real/config")
	require.Contains(t, text, "theirs")
	require.Contains(t, text, "current-context: theirs")
	require.Contains(t, text, filepath.Join(folder.Root(), "files/certificates/client.key"))
	require.EqualValues(t, 0o640, modeOf(t, machine, "real/config"), "as it was")
	require.Equal(t, []string{"config"}, entries(t, filepath.Join(machine, "real")))

	embedded := mergeable("/root/.kube/config", true)
	carried(t, folder, embedded)
	require.Contains(t, read(t, machine, "real/config"), "client-key-data")
	require.EqualValues(t, 0o600, modeOf(t, machine, "real/config"), "it holds a key now")
	carried(t, folder, clientBundle(t, newKey(t)))
	require.Equal(t, "damaged", survey(t, folder)["merge"], "it speaks of a former certificate")
	carried(t, folder, embedded)
	require.Equal(t, string(embedded.ID()), survey(t, folder)["merge"])

	carried(t, folder, mergeable("/other/config", false))
	require.NotContains(t, read(t, machine, "real/config"), "node@juju", "taken out of the former file")
	require.Contains(t, read(t, machine, "real/config"), "theirs")
	require.EqualValues(t, 0o600, modeOf(t, machine, "other/config"))
	carried(t, folder, order.Merge{})
	require.NoFileExists(t, filepath.Join(machine, "other/config"), "nobody else had anything in it")
	require.NotContains(t, survey(t, folder), "merge")
}

func TestMergingRefuses(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ content, code string }{
		"an entry of that name": {"users:\n- name: node\n  user: {token: secret-token}\n", "occupied"},
		"no YAML":               {"users: [", "bad-kubeconfig"},
		"another kind":          {"kind: Pod\n", "bad-kubeconfig"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			folder, machine := onMachine(t)
			carried(t, folder, clientBundle(t, newKey(t)))
			plant(t, c.content, machine, "root/config")
			failure := failed(t, folder, mergeable("/root/config", true))
			require.Equal(t, c.code, failure.Code)
			require.NotContains(t, failure.Message, "secret-token")
			require.Equal(t, c.content, read(t, machine, "root/config"))
		})
	}
	folder, machine := onMachine(t)
	require.Contains(t, failed(t, folder, mergeable("/root/config", true)).Message, "it has no ca.crt")
	carried(t, folder, clientBundle(t, newKey(t)))
	require.Equal(t, "bad-order", failed(t, folder, mergeable("config", true)).Code)
	require.NoError(t, os.MkdirAll(filepath.Join(machine, "root/config"), 0o755))
	require.Contains(t, failed(t, folder, mergeable("/root/config", true)).Message, "not a regular file")
}

func TestFilesBelongToWhomTheOrderSays(t *testing.T) {
	t.Parallel()
	folder := open(t, t.TempDir())
	dir := private(t)
	key := newKey(t)
	o := clientBundle(t, key)
	o.Dir, o.KeyMode = dir, 0o640
	if os.Geteuid() == 0 {
		group, err := user.LookupGroup("daemon")
		require.NoError(t, err)
		o.Owner, o.Group = "daemon", "daemon"
		carried(t, folder, o)
		info, err := os.Stat(filepath.Join(dir, "certificates", "client.key"))
		require.NoError(t, err)
		require.Equal(t, group.Gid, fmt.Sprint(info.Sys().(*syscall.Stat_t).Gid))
		require.NoError(t, os.Chown(filepath.Join(dir, "certificates", "client.key"), 0, 0))
		require.NotContains(t, survey(t, folder), "bundle.certificates", "somebody took it away")
	}
	carried(t, folder, o)
	require.EqualValues(t, 0o640, modeOf(t, dir, "certificates", "client.key"))
	require.EqualValues(t, 0o644, modeOf(t, dir, "certificates", "client.crt"))
	require.NoError(t, os.Chmod(filepath.Join(dir, "certificates", "client.key"), 0o644))
	require.NotContains(t, survey(t, folder), "bundle.certificates", "a key that all can read")
	require.Contains(t, survey(t, folder)["files.certificates"], "client.key")
	carried(t, folder, o)
	require.EqualValues(t, 0o640, modeOf(t, dir, "certificates", "client.key"))

	o.Owner = "nobody-of-this-name"
	require.Equal(t, order.Failure{
		Code: "no-user", Message: "cannot give files to user nobody-of-this-name: there is no such user here: make it, or set another with file-owner",
	}, failed(t, folder, o))
	o.Owner, o.Group = "", "nobody-of-this-name"
	require.Equal(t, "no-group", failed(t, folder, o).Code)
}

func TestKubernetesFilesAreRenderedOfTheBundle(t *testing.T) {
	t.Parallel()
	folder := open(t, t.TempDir())
	o := clientBundle(t, newKey(t))
	config := mergeable("", true).Kubeconfig
	o.Files = append([]order.File{
		{Name: "kubeconfig", Kubeconfig: &config},
		{Name: "kubelet.conf", Kubelet: &order.Kubelet{Certificate: "client.crt", Key: "client.key", ClientCA: "ca.crt"}},
	}, o.Files...)
	sums := carried(t, folder, o).Sums
	require.Len(t, sums, 5)
	require.Equal(t, sums["kubeconfig"], survey(t, folder)["sum.certificates.kubeconfig"])
	dir := filepath.Join(folder.Root(), "files", "certificates")
	require.Contains(t, read(t, dir, "kubeconfig"), "client-key-data")
	require.EqualValues(t, 0o600, modeOf(t, dir, "kubeconfig"))
	require.Contains(t, read(t, dir, "kubelet.conf"), "clientCAFile: "+dir+"/ca.crt")
	o.Files = o.Files[:1]
	require.Contains(t, failed(t, folder, o).Message, "it has no ca.crt")
}

func TestARotatedKeyIsMadeOnceForItsOrder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder := open(t, root)
	carried(t, folder, serverRequest())
	first := read(t, root, "keys", "server.key")
	rotated := serverRequest()
	rotated.NewKey, rotated.Replaces = true, "41aa"
	request := carried(t, folder, rotated).Request
	second := read(t, root, "keys", "server.key")
	require.NotEqual(t, first, second)
	require.Equal(t, request, carried(t, open(t, root), rotated).Request, "a repetition makes no other")
	require.Equal(t, second, read(t, root, "keys", "server.key"))
	rotated.Replaces = "42bb"
	carried(t, folder, rotated)
	require.NotEqual(t, second, read(t, root, "keys", "server.key"))
	require.Len(t, entries(t, filepath.Join(root, "keys")), 2, "the key, and the order's copy of it")
}

// Options are an application's, so two of its units on one machine have one folder to install into: the first has it.
func TestABundleIsNotTakenFromAnotherUnit(t *testing.T) {
	t.Parallel()
	dir := private(t)
	one, two := open(t, t.TempDir()), open(t, t.TempDir())
	file := order.File{Name: "ca.crt", Text: "one"}
	carried(t, one, bundle(dir, file))
	failure := failed(t, two, bundle(dir, order.File{Name: "ca.crt", Text: "two"}))
	require.Equal(t, "occupied", failure.Code)
	require.Contains(t, failure.Message, "is another unit's: set another certificate-directory")
	require.NotContains(t, survey(t, two), "files.certificates")
	carried(t, two, bundle(dir))
	require.Equal(t, "one", read(t, dir, "certificates", "ca.crt"))
	carried(t, one, bundle(dir, file))
}

func TestWhatIsLaidAgainCounts(t *testing.T) {
	t.Parallel()
	folder, machine := onMachine(t)
	o := order.Trust{Unit: "node/0", Certificates: []string{"one\n"}}
	require.Equal(t, "1", carried(t, folder, o).Laid)
	require.Equal(t, "1", carried(t, folder, o).Laid, "nothing changed")
	require.NoError(t, os.RemoveAll(filepath.Join(machine, "usr")))
	require.Equal(t, "2", carried(t, folder, o).Laid)
	require.Equal(t, "2", survey(t, folder)["trust.laid"])
}
