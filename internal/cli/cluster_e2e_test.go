// SPDX-License-Identifier: AGPL-3.0-only

//go:build e2e

package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

// kubernetes is a Kubernetes control plane on loopback, all of whose certificates come from one signet on the embedded Juju:
// Debian's etcd, a kube-apiserver, and kubectl for whoever looks.
type kubernetes struct {
	t     *testing.T
	stage *stage
	dir   string
	api   string // where API servers are called: the front's address
	front *front
	etcd  string // its URL
	logs  map[string]*agentLog
	runs  map[string]*exec.Cmd
}

// newKubernetes deploys signet as the CA and as the consumer on three machines, and starts etcd and kube-apiserver with what
// was laid there.
func newKubernetes(t *testing.T) *kubernetes {
	t.Helper()
	charmDir, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "signet-e2e-") //nolint:usetesting // paths of sockets are short, and the test's folder is deep
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	s, err := openStage(charmDir, dir, nil, sandbox.Options{ModelName: "e2e"})
	require.NoError(t, err)
	c := &kubernetes{t: t, stage: s, dir: dir, front: newFront(t), logs: map[string]*agentLog{}, runs: map[string]*exec.Cmd{}}
	c.api = c.front.address()
	t.Cleanup(func() {
		if t.Failed() {
			for name, log := range c.logs {
				text := log.String()
				t.Logf("%s:\n%s", name, text[max(0, len(text)-8000):])
			}
		}
		require.NoError(t, errors.Join(s.close(), os.RemoveAll(dir)))
	})
	// Applications go by other names here, and an administrator asks: policies have tests of their own.
	require.NoError(t, s.deploySignet("signet", map[string]any{"policy": "open"}))
	_, err = s.addSignetUnit("signet")
	require.NoError(t, err)
	server := "https://" + c.api
	c.consumer("etcd", map[string]any{"certificate-profile": "etcd"})
	c.consumer("control-plane", map[string]any{
		"certificate-profile": "control-plane", "service-cidr": "10.0.0.0/24", "kubernetes-server": server,
		"client-certificates": "admin=kubernetes-admin,system:masters",
	})
	c.consumer("worker", map[string]any{"certificate-profile": "worker", "node-name": "node1", "kubernetes-server": server})
	c.settle()
	c.startEtcd()
	return c
}

func (c *kubernetes) consumer(app string, options map[string]any) {
	options["authority"], options["certificate-directory"] = "none", filepath.Join(c.dir, app)
	require.NoError(c.t, c.stage.deploySignet(app, options))
	_, err := c.stage.addSignetUnit(app)
	require.NoError(c.t, err)
	_, err = c.stage.model().Integrate("signet:certificates", app+":upstream")
	require.NoError(c.t, err)
}

// settle runs hooks until nothing is due, and asserts that all certificates are there.
func (c *kubernetes) settle() {
	ctx, stop := context.WithTimeout(c.t.Context(), patience)
	defer stop()
	require.NoError(c.t, c.stage.runner.Settle(ctx))
	for _, app := range []string{"etcd", "control-plane", "worker"} {
		status, err := c.stage.model().UnitStatus(app + "/0")
		require.NoError(c.t, err)
		require.Equal(c.t, string(juju.Active), status.Level, "%s: %s", app, status.Message)
	}
}

// file is a file that signet laid on an application's machine.
func (c *kubernetes) file(app, name string) string {
	return filepath.Join(c.dir, app, "certificates", name)
}

func (c *kubernetes) startEtcd() {
	client, peer := freeAddress(c.t), freeAddress(c.t)
	crt, key, ca := c.file("etcd", "server.crt"), c.file("etcd", "server.key"), c.file("etcd", "ca.crt")
	c.start("etcd", "etcd", "--name=one", "--data-dir="+filepath.Join(c.dir, "etcd-data"),
		"--listen-client-urls=https://"+client, "--advertise-client-urls=https://"+client,
		"--listen-peer-urls=https://"+peer, "--initial-advertise-peer-urls=https://"+peer, "--initial-cluster=one=https://"+peer,
		"--cert-file="+crt, "--key-file="+key, "--client-cert-auth", "--trusted-ca-file="+ca,
		"--peer-cert-file="+crt, "--peer-key-file="+key, "--peer-client-cert-auth", "--peer-trusted-ca-file="+ca)
	c.etcd = "https://" + client
	c.startAPIServer()
}

// startAPIServer starts an API server on a port of its own, and has the front pass on to it once it is ready. When it is
// told to end, it goes on for a while: whoever was passed on before is still served.
func (c *kubernetes) startAPIServer() {
	binary := os.Getenv("SIGNET_KUBE_APISERVER")
	require.NotEmpty(c.t, binary, "run: make e2e-kubernetes")
	in := func(name string) string { return c.file("control-plane", name) }
	own := freeAddress(c.t)
	host, port, err := net.SplitHostPort(own)
	require.NoError(c.t, err)
	accounts := c.accounts()
	c.start("kube-apiserver", binary, "--bind-address="+host, "--secure-port="+port, "--endpoint-reconciler-type=none",
		"--tls-cert-file="+in("server.crt"), "--tls-private-key-file="+in("server.key"), "--client-ca-file="+in("ca.crt"),
		"--kubelet-client-certificate="+in("client.crt"), "--kubelet-client-key="+in("client.key"), "--kubelet-certificate-authority="+in("ca.crt"),
		"--etcd-servers="+c.etcd, "--etcd-cafile="+in("ca.crt"), "--etcd-certfile="+in("client.crt"), "--etcd-keyfile="+in("client.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--anonymous-auth=false",
		"--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+accounts, "--service-account-signing-key-file="+accounts, "--cert-dir="+c.dir,
		"--shutdown-delay-duration=1s", "--shutdown-watch-termination-grace-period=1s")
	c.until("the API server is ready", func() error {
		output, err := c.kubectl("control-plane", "admin.kubeconfig", "--server=https://"+own, "get", "--raw=/readyz")
		if err != nil || output != "ok" {
			return fmt.Errorf("%w: %s", err, output)
		}
		return nil
	})
	c.front.passTo(own)
}

// accounts is the file of the key that signs service accounts' tokens, the same for all API servers.
func (c *kubernetes) accounts() string {
	path := filepath.Join(c.dir, "accounts.key")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(c.t, err)
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	require.NoError(c.t, os.WriteFile(path, block, 0o600))
	return path
}

// start starts a process that ends with the test. Another one of the same name goes on writing the same log.
func (c *kubernetes) start(name, program string, args ...string) {
	command := exec.CommandContext(c.t.Context(), program, args...)
	if c.logs[name] == nil {
		c.logs[name] = &agentLog{}
	}
	c.runs[name] = command
	command.Stdout, command.Stderr = c.logs[name], c.logs[name]
	require.NoError(c.t, command.Start())
	c.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

// kubectl runs kubectl with a kubeconfig that signet laid on a machine, and gives what it printed.
func (c *kubernetes) kubectl(app, kubeconfig string, args ...string) (string, error) {
	return c.run(append([]string{"--kubeconfig=" + c.file(app, kubeconfig)}, args...)...)
}

func (c *kubernetes) run(args ...string) (string, error) {
	ctx, stop := context.WithTimeout(c.t.Context(), time.Minute)
	defer stop()
	command := exec.CommandContext(ctx, "kubectl", args...)
	command.Env = append(os.Environ(), "KUBECONFIG=/dev/null", "HOME="+c.dir)
	output, err := command.CombinedOutput()
	return strings.TrimSpace(string(output)), err
}

// sees runs kubectl, logs what it printed and asserts that it did what is expected.
func (c *kubernetes) sees(t *testing.T, want string, app, kubeconfig string, args ...string) {
	t.Helper()
	output, err := c.kubectl(app, kubeconfig, args...)
	t.Logf("$ kubectl --kubeconfig=%s/%s %s\n%s", app, kubeconfig, strings.Join(args, " "), output)
	require.Contains(t, output, want)
	failure := strings.Contains(want, "orbidden") // capital or not: of NodeRestriction's and of the authorizer's
	require.Equal(t, failure, err != nil, "%v", err)
}

// until waits for something, for three minutes at most.
func (c *kubernetes) until(what string, check func() error) {
	c.t.Helper()
	ctx, stop := context.WithTimeout(c.t.Context(), 3*time.Minute)
	defer stop()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			require.NoError(c.t, err, what)
		case <-ticker.C:
		}
	}
}

func freeAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// watch is a running kubectl that prints what changes.
type watch struct {
	command *exec.Cmd
	ended   chan struct{}
	output  *agentLog
}

func (c *kubernetes) watch(app, kubeconfig string, args ...string) *watch {
	command := exec.CommandContext(c.t.Context(), "kubectl", append([]string{"--kubeconfig=" + c.file(app, kubeconfig)}, args...)...)
	command.Env = append(os.Environ(), "KUBECONFIG=/dev/null", "HOME="+c.dir)
	w := &watch{command: command, ended: make(chan struct{}), output: &agentLog{}}
	command.Stdout, command.Stderr = w.output, w.output
	require.NoError(c.t, command.Start())
	go func() {
		defer close(w.ended)
		_ = command.Wait()
	}()
	c.t.Cleanup(func() {
		_ = command.Process.Kill()
		<-w.ended
	})
	return w
}

func (w *watch) saw(name string) error {
	select {
	case <-w.ended:
		return fmt.Errorf("the watch ended: %s", w.output)
	default:
	}
	if !bytes.Contains([]byte(w.output.String()), []byte(name)) {
		return fmt.Errorf("the watch saw %q", w.output)
	}
	return nil
}
