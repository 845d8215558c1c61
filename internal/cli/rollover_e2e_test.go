// SPDX-License-Identifier: AGPL-3.0-only

//go:build e2e

package cli

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

// rollover is the replacement of the CA under a running cluster, and who looks on.
type rollover struct {
	*kubernetes
	t         *testing.T
	old, next *x509.Certificate // the two roots
	others    *calls            // with the kubeconfigs on disk, all the time
	left      *calls            // with a copy that was taken before, until the old CA is withdrawn
	watch     *watch
	watches   int
}

// rollover has the cluster's CA replaced. Whatever calls the API server meanwhile is served: with the files on disk, with
// a copy of old ones until the old CA is withdrawn, and knowing only the new one.
func (c *kubernetes) rollover(t *testing.T) {
	r := &rollover{kubernetes: c, t: t, old: c.roots(t, "worker")[0]}
	machines := &story{stage: c.stage}
	for unit, service := range services {
		require.NoError(t, machines.service(t.Context(), nil, []string{unit, service + ".service", "ok"}))
	}
	for app, options := range map[string]map[string]any{
		"signet":        {"renewal-interval": "0", "renewals-per-hour": 1000},
		"etcd":          {"reload": "restart:etcd=ca.crt"},
		"control-plane": {"reload": "restart:kube-apiserver=ca.crt"},
	} {
		require.NoError(t, c.stage.model().SetConfig(app, options))
	}
	c.settle()
	for unit := range services { // a service that is newly named is restarted; ours run with these files already
		require.NoError(t, machines.programs(t.Context(), &bytes.Buffer{}, []string{unit}))
	}
	copied := r.copied("old.kubeconfig", nil)
	oldClient := r.pair("old-client")
	r.look()
	r.others = c.keepCalling(
		c.as("control-plane", "admin.kubeconfig", "get", "namespaces", "-o", "name"),
		c.as("worker", "kubeconfig", "get", "node", "node1", "-o", "name"),
	)
	r.left = c.keepCalling([]string{"--kubeconfig=" + copied, "get", "namespaces", "-o", "name"})
	began := time.Now()
	r.publish()
	r.issue()
	r.withdraw(copied, oldClient)
	r.others.end()
	t.Logf("replaced in %s; with the kubeconfigs on disk: %s; with the old copy, until it was withdrawn: %s; %d watches, each of which only its API server's end ended",
		time.Since(began).Round(time.Second), r.others, r.left, r.watches)
	require.Empty(t, r.others.failures)
}

// publish has the next CA be trusted. It would sign as soon as all units say that they trust it; the operator pauses it
// until etcd and the API server are restarted.
func (r *rollover) publish() {
	before := r.serials(r.t)
	r.rotate("start")
	r.rotate("pause")
	r.settle()
	for _, app := range []string{"etcd", "control-plane", "worker"} {
		require.Len(r.t, r.roots(r.t, app), 2, app)
	}
	require.Equal(r.t, before, r.serials(r.t), "nobody's certificate changes")
	both := r.roots(r.t, "worker")
	r.next = both[slices.IndexFunc(both, func(c *x509.Certificate) bool { return !c.Equal(r.old) })]
	require.Equal(r.t, []string{"etcd", "kube-apiserver"}, r.restarts())
	r.works("trusted", r.copied("trusting.kubeconfig", r.next))
}

// issue has the next CA sign and all certificates be replaced by its own.
func (r *rollover) issue() {
	before := r.serials(r.t)
	r.rotate("advance")
	r.settle()
	require.Equal(r.t, before, r.serials(r.t), "nobody's certificate changes before the rollover goes on")
	r.rotate("resume")
	r.settle()
	after := r.serials(r.t)
	for file, serial := range before {
		require.NotEqual(r.t, serial, after[file], file)
		app, name, _ := strings.Cut(file, "/")
		require.True(r.t, cert.IssuedBy(r.leaf(app, name), r.next), file)
	}
	r.until("kube-apiserver serves the new CA's certificate", func() error {
		if serial := r.served(r.t); serial != after["control-plane/server.crt"] {
			return fmt.Errorf("it serves %s", serial)
		}
		return nil
	})
	r.t.Logf("%d certificates are replaced by CA 2's, and kube-apiserver serves its own", len(before))
	r.restarts() // ca.crt begins with CA 2 now, which is a change as well
	r.works("issued", r.copied("issued.kubeconfig", r.next))
}

// withdraw has the old CA be trusted no more, by the files, by etcd and by the API server.
func (r *rollover) withdraw(copied string, oldClient [2]string) {
	r.left.end()
	require.Empty(r.t, r.left.failures)
	r.rotate("advance")
	r.settle()
	for _, app := range []string{"etcd", "control-plane", "worker"} {
		roots := r.roots(r.t, app)
		require.Len(r.t, roots, 1, app)
		require.True(r.t, roots[0].Equal(r.next), app)
	}
	require.Equal(r.t, []string{"etcd", "kube-apiserver"}, r.restarts())
	_, err := r.callEtcd(r.t, strings.TrimPrefix(r.etcd, "https://"), oldClient[0], oldClient[1])
	require.ErrorContains(r.t, err, "remote error: tls: ")
	r.t.Logf("to the API server's client with a certificate of CA 1 etcd says: %v", err)
	for name, refused := range map[string]struct {
		args []string
		want string
	}{
		"the old copy":                       {[]string{"--kubeconfig=" + copied}, "x509: certificate signed by unknown authority"},
		"the new CA, and an old certificate": {[]string{"--server=https://" + r.api, "--certificate-authority=" + r.file("worker", "ca.crt"), "--client-certificate=" + oldClient[0], "--client-key=" + oldClient[1]}, "Unauthorized"},
	} {
		output := ""
		r.until("kubectl is refused with "+name, func() (err error) {
			if output, err = r.run(append(refused.args, "get", "namespaces")...); err == nil {
				return errors.New("it is served")
			}
			return nil
		})
		r.t.Logf("$ kubectl get namespaces (%s)\n%s", name, output)
		require.Contains(r.t, output, refused.want, name)
	}
	r.works("withdrawn", r.copied("new.kubeconfig", r.next))
}

// works asserts that the watch sees what is new, and that a client is served who knows only the new CA.
func (r *rollover) works(event, knowing string) {
	r.sees(r.t, "created", "control-plane", "admin.kubeconfig", "create", "configmap", "ca-"+event)
	r.until("the watch goes on", func() error { return r.watch.saw("configmap/ca-" + event) })
	r.until("who knows only the new CA is served", func() error {
		if output, err := r.run("--kubeconfig="+knowing, "get", "namespaces", "-o", "name"); err != nil {
			return fmt.Errorf("%w: %s", err, output)
		}
		return nil
	})
	r.t.Logf("%s: who knows only CA 2 is served; with the kubeconfigs on disk: %s; with the old copy: %s", event, r.others, r.left)
}

// look begins a watch, which lasts as long as its API server.
func (r *rollover) look() {
	r.watches++
	r.watch = r.kubernetes.watch("control-plane", "admin.kubeconfig", "get", "configmaps", "--watch", "-o", "name")
	r.until("the watch runs", func() error { return r.watch.saw("configmap/before") })
}

// rotate runs the action rotate-ca on signet's leader.
func (r *rollover) rotate(step string) {
	result, err := r.stage.runner.RunAction(r.t.Context(), "signet/0", "rotate-ca", map[string]any{"step": step})
	require.NoError(r.t, err)
	require.Equal(r.t, "completed", result.Status, result.Message)
	require.NotContains(r.t, result.Results["rollover"], "0001-", "a time that nobody set")
	r.t.Logf("$ juju run signet/0 rotate-ca step=%s\n%s", step, result.Results["rollover"])
}

// services are what the option reload names on each machine. Neither program reads a file of CA certificates again that it
// has read: etcd those whose clients it takes, kube-apiserver those whose etcd it calls (other files it does read again).
var services = map[string]string{"etcd/0": "etcd", "control-plane/0": "kube-apiserver"}

// restarts does what signet had systemctl do since the last time, and gives the services' names: etcd is stopped and
// started, and an API server succeeds the other, as behind a load balancer.
func (r *rollover) restarts() []string {
	var restarted []string
	for _, unit := range []string{"etcd/0", "control-plane/0"} {
		var programs bytes.Buffer
		require.NoError(r.t, (&story{stage: r.stage}).programs(r.t.Context(), &programs, []string{unit}))
		name := services[unit]
		if !strings.Contains(programs.String(), "restart "+name+".service") {
			continue
		}
		began, former := time.Now(), r.runs[name]
		stop := func() {
			require.NoError(r.t, former.Process.Signal(syscall.SIGTERM))
			_ = former.Wait()
		}
		if name == "etcd" {
			stop()
			r.start(name, former.Path, former.Args[1:]...)
		} else {
			r.startAPIServer()
			require.NoError(r.t, r.watch.saw("configmap/before"), "the watch goes on while etcd starts again")
			stop()
		}
		r.t.Logf("ca.crt changed, and %s ran systemctl restart %s: done in %s", unit, name, time.Since(began).Round(time.Millisecond))
		restarted = append(restarted, name)
	}
	if slices.Contains(restarted, "kube-apiserver") {
		r.until("the watch ends with its API server", func() error {
			select {
			case <-r.watch.ended:
				return nil
			default:
				return errors.New("it goes on")
			}
		})
		require.Zero(r.t, r.watch.command.ProcessState.ExitCode(), r.watch.output)
		r.look()
	}
	return restarted
}

// copied writes a copy of the administrator's kubeconfig that holds everything itself, and knows only one CA if one is given.
func (r *rollover) copied(name string, only *x509.Certificate) string {
	path := filepath.Join(r.dir, name)
	text, err := r.kubectl("control-plane", "admin.kubeconfig", "config", "view", "--raw", "--flatten")
	require.NoError(r.t, err, text)
	require.NoError(r.t, os.WriteFile(path, []byte(text), 0o600))
	if only != nil {
		ca := path + ".crt"
		require.NoError(r.t, os.WriteFile(ca, []byte(cert.EncodeCertificates(only)), 0o600))
		output, err := r.run("--kubeconfig="+path, "config", "set-cluster", "juju-e2e", "--certificate-authority="+ca, "--embed-certs")
		require.NoError(r.t, err, output)
	}
	return path
}

// pair copies the administrator's certificate and key.
func (r *rollover) pair(name string) (paths [2]string) {
	for i, kind := range []string{".crt", ".key"} {
		text, err := os.ReadFile(r.file("control-plane", "admin"+kind))
		require.NoError(r.t, err)
		paths[i] = filepath.Join(r.dir, name+kind)
		require.NoError(r.t, os.WriteFile(paths[i], text, 0o600))
	}
	return paths
}

// roots are the CA certificates that lie on an application's machine.
func (c *kubernetes) roots(t *testing.T, app string) []*x509.Certificate {
	text, err := os.ReadFile(c.file(app, "ca.crt"))
	require.NoError(t, err)
	roots, err := cert.ParseCertificates(string(text))
	require.NoError(t, err)
	return roots
}

// leaf is the first certificate of a file.
func (r *rollover) leaf(app, name string) *x509.Certificate {
	text, err := os.ReadFile(r.file(app, name))
	require.NoError(r.t, err)
	leaf, err := cert.Parse(string(text))
	require.NoError(r.t, err)
	return leaf
}

// as are the arguments by which kubectl calls with a kubeconfig on disk.
func (c *kubernetes) as(app, kubeconfig string, args ...string) []string {
	return append([]string{"--kubeconfig=" + c.file(app, kubeconfig)}, args...)
}

// calls are those of kubectls that run one after the other, ten in a second at most: the processor is the cluster's as well.
type calls struct {
	mu       sync.Mutex
	number   int
	slowest  time.Duration
	failures []string // to be read once it has ended
	stop     func()
	done     chan struct{}
}

// keepCalling runs kubectl with each list of arguments in turn until the calls, or the test, end.
func (c *kubernetes) keepCalling(clients ...[]string) *calls {
	stopped := make(chan struct{})
	k := &calls{done: make(chan struct{}), stop: sync.OnceFunc(func() { close(stopped) })}
	c.t.Cleanup(k.stop)
	go func() {
		defer close(k.done)
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-stopped:
				return
			case <-c.t.Context().Done():
				return
			case <-ticker.C:
			}
			began := time.Now()
			output, err := c.run(clients[i%len(clients)]...)
			k.note(time.Since(began), output, err)
		}
	}()
	return k
}

func (k *calls) note(took time.Duration, output string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.number++
	k.slowest = max(k.slowest, took)
	if err != nil {
		k.failures = append(k.failures, output)
	}
}

// made reports an error until there were so many calls.
func (k *calls) made(enough int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.number < enough {
		return fmt.Errorf("%d calls", k.number)
	}
	return nil
}

// end waits for the last call.
func (k *calls) end() *calls {
	k.stop()
	<-k.done
	return k
}

func (k *calls) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Sprintf("%d calls, %d failed, the slowest took %s", k.number, len(k.failures), k.slowest.Round(time.Millisecond))
}

// front passes connections on to one API server, as a load balancer does in front of several.
type front struct {
	listener net.Listener
	mu       sync.RWMutex
	server   string
}

func newFront(t *testing.T) *front {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	f := &front{listener: listener}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go f.pass(client)
		}
	}()
	return f
}

func (f *front) address() string { return f.listener.Addr().String() }

// passTo has whoever calls from now on be passed on to another API server. Who was is connected when it returns.
func (f *front) passTo(server string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server = server
}

func (f *front) pass(client net.Conn) {
	defer client.Close()
	f.mu.RLock()
	server, err := net.Dial("tcp", f.server)
	f.mu.RUnlock()
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}
