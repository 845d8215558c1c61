// SPDX-License-Identifier: AGPL-3.0-only

//go:build e2e

package cli

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

// TestKubernetes has a real kube-apiserver and kubectl use what signet lays on disk: "make e2e-kubernetes" runs it.
func TestKubernetes(t *testing.T) {
	c := newKubernetes(t)
	for _, step := range []struct {
		sentence string
		run      func(*testing.T)
	}{
		{"the administrator is a cluster administrator", c.administrator},
		{"the node is system:node:node1 and may do what a node may", c.node},
		{"the API server's own client is system:kube-apiserver", c.apiServer},
		{"kubectl shows each kubeconfig", c.shown},
		{"strangers are Unauthorized: for their signature, and a server's certificate for its usage", c.strangers},
		{"certificates are renewed while a watch runs and nothing drops", c.renewal},
		{"the API server goes by its service's names, and by one that is added while it runs", c.names},
		{"etcd serves its renewed certificate, and takes no client of another CA", c.members},
		{"the CA is replaced, in steps, while kubectl goes on working", c.rollover},
		{"client-go takes the files for what they are", c.judged},
		{"openssl verifies both sides, and has each refuse the other under another CA", c.openssl},
	} {
		if !t.Run(step.sentence, step.run) {
			return
		}
	}
}

func (c *kubernetes) administrator(t *testing.T) {
	c.sees(t, "kubernetes-admin", "control-plane", "admin.kubeconfig", "auth", "whoami")
	c.sees(t, "yes", "control-plane", "admin.kubeconfig", "auth", "can-i", "*", "*")
	for _, name := range []string{"node1", "node2"} {
		path := filepath.Join(c.dir, name+".yaml")
		require.NoError(t, os.WriteFile(path, []byte("apiVersion: v1\nkind: Node\nmetadata: {name: "+name+"}\n"), 0o600))
		c.sees(t, "created", "control-plane", "admin.kubeconfig", "create", "-f", path)
	}
	c.sees(t, "created", "control-plane", "admin.kubeconfig", "create", "namespace", "work")
	c.sees(t, "created", "control-plane", "admin.kubeconfig", "create", "secret", "generic", "hidden", "--from-literal=a=b")
}

func (c *kubernetes) node(t *testing.T) {
	c.sees(t, "system:node:node1", "worker", "kubeconfig", "auth", "whoami")
	c.sees(t, "system:nodes", "worker", "kubeconfig", "auth", "whoami")
	c.sees(t, "node1", "worker", "kubeconfig", "get", "node", "node1")
	c.sees(t, "patched", "worker", "kubeconfig", "patch", "node", "node1", "-p", `{"metadata":{"labels":{"example.com/rack":"7"}}}`)
	c.sees(t, "orbidden", "worker", "kubeconfig", "patch", "node", "node2", "-p", `{"metadata":{"labels":{"example.com/rack":"7"}}}`)
	c.sees(t, "orbidden", "worker", "kubeconfig", "label", "node", "node1", "node-restriction.kubernetes.io/a=b")
	c.sees(t, "orbidden", "worker", "kubeconfig", "get", "secret", "hidden")
	c.sees(t, "orbidden", "worker", "kubeconfig", "get", "secrets")
}

func (c *kubernetes) apiServer(t *testing.T) {
	c.sees(t, "system:kube-apiserver", "control-plane", "kubeconfig", "auth", "whoami")
	c.sees(t, "orbidden", "control-plane", "kubeconfig", "get", "nodes")
}

// renewal has every certificate of the cluster replaced while a watch runs and others call without a pause.
func (c *kubernetes) renewal(t *testing.T) {
	watch := c.watch("control-plane", "admin.kubeconfig", "get", "configmaps", "--watch", "-o", "name")
	c.sees(t, "created", "control-plane", "admin.kubeconfig", "create", "configmap", "before")
	c.until("the watch runs", func() error { return watch.saw("configmap/before") })

	others := c.keepCalling(
		c.as("control-plane", "admin.kubeconfig", "get", "node", "node1", "-o", "name"),
		c.as("worker", "kubeconfig", "get", "node", "node1", "-o", "name"),
	)
	before := c.serials(t)
	for app, options := range map[string]map[string]any{
		"etcd":          {"extra_sans": "renewed.example.com", "certificate-organization": "renewed"},
		"control-plane": {"extra_sans": "renewed.example.com", "certificate-organization": "renewed", "client-certificates": "admin=kubernetes-admin,system:masters,renewed"},
		"worker":        {"extra_sans": "renewed.example.com", "certificate-organization": "renewed"},
	} {
		require.NoError(t, c.stage.model().SetConfig(app, options))
	}
	c.settle()
	after := c.serials(t)
	for file, serial := range before {
		require.NotEqual(t, serial, after[file], file)
	}
	began := time.Now()
	served := ""
	c.until("kube-apiserver serves the new certificate", func() error {
		if served = c.served(t); served != after["control-plane/server.crt"] {
			return fmt.Errorf("it serves %s", served)
		}
		return nil
	})
	t.Logf("%d certificates replaced; kube-apiserver served the new one %s later", len(before), time.Since(began).Round(time.Second))
	c.sees(t, "renewed", "control-plane", "admin.kubeconfig", "auth", "whoami")
	c.sees(t, "created", "control-plane", "admin.kubeconfig", "create", "configmap", "after")
	c.until("the same watch goes on", func() error { return watch.saw("configmap/after") })
	c.until("others called often", func() error { return others.made(40) })
	t.Logf("the watch (process %d) saw:\n%s\n%s", watch.command.Process.Pid, watch.output, others.end())
	require.Empty(t, others.failures)
}

// serials are those of all certificates on disk.
func (c *kubernetes) serials(t *testing.T) map[string]string {
	found := map[string]string{}
	for _, file := range []string{
		"etcd/server.crt", "etcd/client.crt", "control-plane/server.crt", "control-plane/client.crt", "control-plane/admin.crt",
		"worker/server.crt", "worker/client.crt",
	} {
		app, name, _ := strings.Cut(file, "/")
		text, err := os.ReadFile(c.file(app, name))
		require.NoError(t, err)
		leaf, err := cert.Parse(string(text))
		require.NoError(t, err)
		found[file] = cert.SerialText(leaf.SerialNumber)
	}
	return found
}

// served is the serial of the certificate that the API server shows now.
func (c *kubernetes) served(t *testing.T) string {
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(t.Context(), "tcp", c.api)
	require.NoError(t, err)
	defer conn.Close()
	shown, ok := conn.(*tls.Conn)
	require.True(t, ok)
	return cert.SerialText(shown.ConnectionState().PeerCertificates[0].SerialNumber)
}

func (c *kubernetes) judged(t *testing.T) {
	command := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run", "TestInstalledFiles", "./...")
	command.Dir = filepath.Join(c.stage.charmDir, "e2e", "clientgo")
	command.Env = append(os.Environ(), "SIGNET_BUNDLE="+filepath.Dir(c.file("worker", "kubeconfig")))
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
}
