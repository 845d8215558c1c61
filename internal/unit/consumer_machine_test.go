// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

func TestWhatIsDamagedByHandIsPutBack(t *testing.T) {
	t.Parallel()
	c := newConsumer(t, "links", "server.key=/etc/app/tls.key")
	c.turn(noon)
	c.relation(7).RemoteApplication = newScriptedCA(t, "ca").answers(c, 7, noon, nil)
	c.turn(noon)
	dir := filepath.Join(c.folder.Root(), "files", "certificates")
	link := filepath.Join(c.root, "etc/app/tls.key")
	stored, err := filepath.Glob(filepath.Join(c.root, "usr/local/share/ca-certificates/*.crt"))
	require.NoError(t, err)
	key := c.file("server.key")
	for name, damage := range map[string]func() error{
		"a file is deleted":        func() error { return os.Remove(filepath.Join(dir, "server.crt")) },
		"a file is changed":        func() error { return os.WriteFile(filepath.Join(dir, "ca.crt"), []byte("x"), 0o600) },
		"a key is opened":          func() error { return os.Chmod(filepath.Join(dir, "server.key"), 0o644) },
		"the link goes":            func() error { return os.Remove(link) },
		"the trust store is swept": func() error { return os.Remove(stored[0]) },
	} {
		require.NoError(t, damage(), name)
		c.programs()
		c.survey()
		c.turn(noon)
		require.Equal(t, name == "the trust store is swept", slices.Contains(c.programs(), "update-ca-certificates"), name)
		require.Equal(t, juju.Active, c.snap.Status.Level, name+": "+c.snap.Status.Message)
		require.NotEmpty(t, c.file("server.crt"), name)
		require.Contains(t, c.file("ca.crt"), "BEGIN", name)
		info, err := os.Stat(filepath.Join(dir, "server.key"))
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm(), name)
		linked, err := os.ReadFile(link)
		require.NoError(t, err, name)
		require.Equal(t, key, string(linked), name)
		require.Len(t, c.stored(), 1, name)
	}
}

func TestServicesTakeUpWhatMattersToThem(t *testing.T) {
	t.Parallel()
	ca := newScriptedCA(t, "ca")
	c := newConsumer(t, "reload", "kubelet restart:etcd.service=server.crt,server.key reload:nginx=client.crt")
	c.turn(noon)
	require.Empty(t, c.programs())
	c.relation(7).RemoteApplication = ca.answers(c, 7, noon, nil)
	c.turn(noon)
	require.Equal(t, []string{
		"update-ca-certificates", "systemctl reload-or-restart kubelet.service", "systemctl restart etcd.service", "systemctl reload nginx.service",
	}, c.programs())
	c.turn(noon.Add(time.Hour))
	require.Empty(t, c.programs(), "nothing changed")

	c.snap.Config["extra_sans"] = "new.example.com" // the server's certificate only
	c.turn(noon)
	client := c.snap.Local["request.client"]
	var entries []map[string]any
	decoded(t, c.relation(7).RemoteApplication["certificates"], &entries)
	kept := slices.DeleteFunc(entries, func(e map[string]any) bool { return e["certificate_signing_request"] != strings.TrimSpace(client) })
	server := strings.TrimSpace(c.snap.Local["request.server"])
	c.relation(7).RemoteApplication = juju.Bag{"certificates": encoded(t, append(kept, ca.entry(server, ca.issue(server, noon, nil))))}
	c.turn(noon)
	require.Equal(t, []string{"systemctl reload-or-restart kubelet.service", "systemctl restart etcd.service"}, c.programs())
}

func TestAServiceThatFailsIsTriedAgainLater(t *testing.T) {
	t.Parallel()
	c := newConsumer(t, "reload", "kubelet etcd")
	c.turn(noon)
	c.relation(7).RemoteApplication = newScriptedCA(t, "ca").answers(c, 7, noon, nil)
	c.failing = "kubelet"
	now := noon
	var pauses []time.Duration
	for n := range 8 {
		plan := c.turn(now)
		require.Equal(t, juju.Blocked, c.snap.Status.Level)
		require.Contains(t, c.snap.Status.Message, "cannot reload-or-restart kubelet.service: Job for kubelet failed. (exit status 1): see journalctl -u kubelet.service")
		require.Contains(t, c.snap.Status.Message, fmt.Sprintf("(attempt %d)", n+1))
		ran := c.programs()
		require.Len(t, slices.DeleteFunc(slices.Clone(ran), func(p string) bool { return !strings.Contains(p, "kubelet") }), 1)
		require.Equal(t, n == 0, slices.Contains(ran, "systemctl reload-or-restart etcd.service"), "one does not keep the other")
		require.NotEmpty(t, c.file("server.crt"))
		c.turn(now.Add(time.Second))
		require.Empty(t, c.programs(), "not before its time")
		pauses = append(pauses, plan.Wake.Sub(now))
		now = plan.Wake
	}
	minute := time.Minute
	require.Equal(t, []time.Duration{minute, 2 * minute, 4 * minute, 8 * minute, 16 * minute, 32 * minute, 60 * minute, 60 * minute}, pauses)
	c.failing = ""
	c.turn(now)
	require.Equal(t, juju.Active, c.snap.Status.Level, c.snap.Status.Message)
	require.Len(t, c.programs(), 1)
	c.snap.Config["reload"] = "absent"
	c.turn(now)
	require.Contains(t, c.snap.Status.Message, "cannot find service absent.service: install it, or mend the option reload")
}

func TestTheMachineTrustsWhomItsRelationsTrust(t *testing.T) {
	t.Parallel()
	ca, other := newScriptedCA(t, "ca"), newScriptedCA(t, "other")
	c := newConsumer(t)
	c.turn(noon)
	require.Empty(t, c.stored())
	require.Empty(t, c.programs())
	c.relation(7).RemoteApplication = ca.answers(c, 7, noon, nil)
	c.snap.Relations = append(c.snap.Relations, juju.Relation{
		ID: 9, Endpoint: juju.Endpoint{Name: "receive-ca-cert", Interface: dialect.TransferInterface, Role: juju.Requires}, RemoteApp: "other",
		OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteApplication: juju.Bag{"version": "1", "certificates": encoded(t, []string{text(other.cert)})},
	})
	c.turn(noon)
	require.ElementsMatch(t, []string{text(ca.cert) + "\n", text(other.cert) + "\n"}, c.stored())
	require.Equal(t, []string{"update-ca-certificates"}, c.programs(), "once for all")
	require.Equal(t, text(ca.cert)+"\n", c.file("ca.crt"), "clients of another CA are not let in")

	// While another unit of this application holds a certificate of the next CA, both are trusted.
	next := newScriptedCA(t, "next")
	var entries []map[string]any
	decoded(t, c.relation(7).RemoteApplication["certificates"], &entries)
	foreign := next.entry("another unit's request", next.cert)
	c.relation(7).RemoteApplication = juju.Bag{"certificates": encoded(t, append(entries, foreign))}
	c.turn(noon)
	require.Len(t, c.stored(), 3)
	require.Contains(t, c.file("ca.crt"), text(next.cert))
	c.relation(7).RemoteApplication = juju.Bag{"certificates": encoded(t, entries)}
	c.turn(noon)
	require.Len(t, c.stored(), 2, "what retired is removed")
	c.programs()

	c.relation(7).RemoteApplication = juju.Bag{} // silent for a moment
	c.turn(noon)
	require.Len(t, c.stored(), 2)
	require.Empty(t, c.programs())
	c.snap.Relations = slices.DeleteFunc(c.snap.Relations, func(r juju.Relation) bool { return r.ID == 9 })
	c.turn(noon)
	require.Len(t, c.stored(), 2, "a silent provider hides who is to be trusted")
	c.relation(7).RemoteApplication = juju.Bag{"certificates": encoded(t, entries)}
	c.turn(noon)
	require.Equal(t, []string{text(ca.cert) + "\n"}, c.stored())

	c.snap.Config["trust-store"] = false
	c.turn(noon)
	require.Empty(t, c.stored())
	c.snap.Config["trust-store"] = true
	c.turn(noon)
	require.Len(t, c.stored(), 1)
	c.snap.Relations = c.snap.Relations[:1]
	c.turn(noon)
	require.Empty(t, c.stored())
	require.NotEmpty(t, c.file("server.crt"), "the certificates are the machine's")
}

func TestAKubeconfigFollowsTheCluster(t *testing.T) {
	t.Parallel()
	c := newConsumer(t, "kubeconfig-merge", "/root/.kube/config", "certificate-profile", "worker")
	c.turn(noon)
	c.relation(7).RemoteApplication = newScriptedCA(t, "ca").answers(c, 7, noon, nil)
	c.turn(noon)
	require.Empty(t, c.file("kubeconfig"))
	require.Contains(t, c.snap.Status.Message, "waiting for the API server's URL")
	require.Contains(t, c.file("kubelet.conf"), "tlsCertFile: "+filepath.Join(c.folder.Root(), "files/certificates/server.crt"))

	merged := filepath.Join(c.root, "root/.kube/config")
	require.NoError(t, os.MkdirAll(filepath.Dir(merged), 0o700))
	require.NoError(t, os.WriteFile(merged, []byte("apiVersion: v1\nkind: Config\nusers:\n- name: mine\n  user: {token: secret}\n"), 0o600))
	c.snap.Relations = append(c.snap.Relations, kubeControl(9, juju.Bag{"api-endpoints": `["https://10.0.0.2:6443", "https://10.0.0.1:6443/", "ftp://x"]`}))
	c.turn(noon)
	require.Contains(t, c.file("kubeconfig"), "server: https://10.0.0.1:6443\n")
	require.Contains(t, c.file("kubeconfig"), "client-certificate: "+filepath.Join(c.folder.Root(), "files/certificates/client.crt"))
	require.Contains(t, c.snap.Status.Message, "sends an unusable API endpoint")
	both, err := os.ReadFile(merged)
	require.NoError(t, err)
	require.Contains(t, string(both), "mine")
	require.Contains(t, string(both), "system:node:juju-1")

	require.NoError(t, os.WriteFile(merged, []byte("users:\n- name: mine\n  user: {token: secret}\n"), 0o600))
	c.survey()
	c.turn(noon)
	again, err := os.ReadFile(merged)
	require.NoError(t, err)
	require.Contains(t, string(again), "system:node:juju-1", "put back")

	c.snap.Config["kubeconfig-credentials"] = "embedded"
	c.turn(noon)
	require.Contains(t, c.file("kubeconfig"), "client-key-data: ")
	c.snap.Config["kubeconfig-merge"] = ""
	c.turn(noon)
	left, err := os.ReadFile(merged)
	require.NoError(t, err)
	require.Contains(t, string(left), "mine")
	require.NotContains(t, string(left), "system:node", "taken out again")
}

// A disk that takes no more is in the status, with what to do; what is on it stays, and all is made up for later.
func TestADiskThatTakesNoMore(t *testing.T) {
	t.Parallel()
	for cause, step := range map[error]string{
		syscall.ENOSPC: "no space left on device: free space there", syscall.EROFS: "read-only file system: mount it writable",
		syscall.EACCES: "permission denied: let the charm's user in",
	} {
		t.Run(cause.Error(), func(t *testing.T) {
			t.Parallel()
			ca := newScriptedCA(t, "ca")
			c := newConsumer(t)
			c.turn(noon)
			c.relation(7).RemoteApplication = ca.answers(c, 7, noon, nil)
			c.turn(noon)
			before := c.file("server.crt")
			c.broken = cause
			c.relation(7).RemoteApplication = ca.answers(c, 7, noon.Add(time.Hour), nil)
			plan := c.turn(noon.Add(time.Hour))
			require.Equal(t, juju.Blocked, c.snap.Status.Level)
			require.Contains(t, c.snap.Status.Message, step)
			require.Equal(t, before, c.file("server.crt"))
			require.WithinDuration(t, noon.Add(time.Hour), plan.Wake, 10*time.Minute)
			c.broken = nil
			c.turn(plan.Wake)
			require.Equal(t, juju.Active, c.snap.Status.Level, c.snap.Status.Message)
			require.NotEqual(t, before, c.file("server.crt"))
		})
	}
}

// A request that cannot be made anew takes back none that is in use.
func TestAFullDiskWithdrawsNoRequest(t *testing.T) {
	t.Parallel()
	c := newConsumer(t)
	c.turn(noon)
	before := c.relation(7).OwnUnit
	c.broken = syscall.ENOSPC
	c.snap.Config["extra_sans"] = "new.example.com"
	c.turn(noon)
	require.Contains(t, c.snap.Status.Message, "cannot make the request for the server certificate")
	require.Equal(t, before, c.relation(7).OwnUnit)
}

func TestALostCAFileIsMadeUpForByTheTrustStore(t *testing.T) {
	t.Parallel()
	c := newConsumer(t)
	c.turn(noon)
	c.relation(7).RemoteApplication = newScriptedCA(t, "ca").answers(c, 7, noon, nil)
	c.turn(noon)
	trust := c.file("ca.crt")
	c.relation(7).RemoteApplication = juju.Bag{}
	require.NoError(t, os.Remove(filepath.Join(c.folder.Root(), "files", "certificates", "ca.crt")))
	c.survey()
	c.turn(noon)
	require.Equal(t, trust, c.file("ca.crt"))

	c.snap.Config["trust-store"] = false
	c.turn(noon)
	require.NoError(t, os.Remove(filepath.Join(c.folder.Root(), "files", "certificates", "ca.crt")))
	c.survey()
	c.turn(noon)
	require.Contains(t, c.snap.Status.Message, "the file ca.crt is lost, and ca does not say whom to trust")
	require.NotEmpty(t, c.file("server.crt"))
}

func TestNobodyHasAnyNumberOfCAsTrusted(t *testing.T) {
	t.Parallel()
	c := newConsumer(t)
	var many strings.Builder
	for n := range 101 {
		many.WriteString(text(newScriptedCA(t, fmt.Sprint("ca ", n)).cert) + "\n")
	}
	leaf := newScriptedCA(t, "issuer")
	request := c.carry(order.MakeRequest{Name: "x", Kind: cert.Server, CommonName: "x", KeyType: cert.P256}).Request
	c.snap.Relations = append(c.snap.Relations, juju.Relation{
		ID: 9, Endpoint: juju.Endpoint{Name: "receive-ca-cert", Interface: dialect.TransferInterface, Role: juju.Requires}, RemoteApp: "many",
		OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteApplication: juju.Bag{"version": "1", "certificates": encoded(t, []string{many.String()})},
	}, juju.Relation{
		ID: 10, Endpoint: juju.Endpoint{Name: "receive-ca-cert", Interface: dialect.TransferInterface, Role: juju.Requires}, RemoteApp: "leaf",
		OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteApplication: juju.Bag{"version": "1", "certificates": encoded(t, []string{text(leaf.issue(request, noon, nil))})},
	})
	c.turn(noon)
	require.Len(t, c.stored(), 100, "and no certificate that is not a CA's")
	require.Contains(t, strings.Join(c.said, "\n"), "many says to trust 101 CAs: only 100 of them are")
}

// A further certificate that never comes does not keep services from what renews the others.
func TestAMissingCertificateHoldsUpNoService(t *testing.T) {
	t.Parallel()
	ca := newScriptedCA(t, "ca")
	c := newConsumer(t, "reload", "app")
	c.turn(noon)
	c.relation(7).RemoteApplication = ca.answers(c, 7, noon, nil)
	c.turn(noon)
	require.Contains(t, c.programs(), "systemctl reload-or-restart app.service")
	c.snap.Config["client-certificates"] = "never=never"
	c.snap.Config["extra_sans"] = "new.example.com"
	c.turn(noon)
	server := strings.TrimSpace(c.snap.Local["request.server"])
	c.relation(7).RemoteApplication = juju.Bag{"certificates": encoded(t, []any{ca.entry(server, ca.issue(server, noon, nil))})}
	c.turn(noon)
	require.Contains(t, c.snap.Status.Message, "waiting for the client and never certificate")
	require.Contains(t, c.programs(), "systemctl reload-or-restart app.service")
}

// Whatever an operator sets, and whatever is damaged on the machine, the unit comes to rest with a pair that fits.
func TestAConsumerComesToRest(t *testing.T) {
	t.Parallel()
	options := map[string][]any{
		"certificate-profile":    {"generic", "worker", "control-plane", "etcd", "other"},
		"links":                  {"", "charmed-kubernetes", "etcd server.crt=/etc/x", "server.crt=/etc/x ca.crt=/etc/x", "kubelet.conf=/etc/k.conf"},
		"reload":                 {"", "app", "absent restart:app", "app=nothing", "reload:app=server.crt"},
		"kubernetes-server":      {"", "https://10.0.0.1:6443", "http://x"},
		"kubeconfig-credentials": {"path", "embedded"},
		"kubeconfig-merge":       {"", "/root/.kube/config", "/etc/x", "relative"},
		"client-certificates":    {"", "admin=admin,system:masters", "server=x", "a=b c=d"},
		"trust-store":            {true, false, "yes"},
		"overwrite-files":        {true, false},
		"rotate-key-on-renewal":  {true, false},
		"key-mode":               {"auto", "0400", "0777"},
	}
	names := slices.Sorted(maps.Keys(options))
	rapid.Check(t, func(draw *rapid.T) {
		c, ca := newConsumer(t), newScriptedCA(t, "ca")
		now := noon
		for range rapid.IntRange(1, 3).Draw(draw, "steps") {
			for _, name := range rapid.SliceOfN(rapid.SampledFrom(names), 0, 4).Draw(draw, "options") {
				c.snap.Config[name] = rapid.SampledFrom(options[name]).Draw(draw, name)
			}
			if rapid.Bool().Draw(draw, "answered") {
				c.turn(now)
				c.relation(7).RemoteApplication = ca.answers(c, 7, now, nil)
			}
			for _, place := range []string{c.root, filepath.Join(c.folder.Root(), "files")} {
				if rapid.Bool().Draw(draw, "damage") {
					damageOne(t, place)
					c.survey()
				}
			}
			c.turn(now)
			now = now.Add(time.Duration(rapid.IntRange(0, 20*24).Draw(draw, "hours")) * time.Hour)
		}
		if c.file("server.crt") != "" {
			leaf, err := cert.Parse(c.file("server.crt"))
			require.NoError(draw, err)
			require.True(draw, cert.KeyMatches(cert.NewKey(c.file("server.key")), leaf))
		}
	})
}

// damageOne empties the first file that lies below a folder.
func damageOne(t *testing.T, folder string) {
	errFound := errors.New("found")
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // what is not there cannot be damaged
		}
		require.NoError(t, os.Remove(path))
		return errFound
	})
	if err != nil {
		require.ErrorIs(t, err, errFound)
	}
}
