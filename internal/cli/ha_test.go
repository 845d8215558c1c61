// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/sandbox"
)

// The stories of this file and its neighbours are about who dies when. Agents and hooks are processes of this very binary,
// so that a kill leaves what a real one leaves: ha_moments_test.go kills the leader in the moments that matter, and
// ha_kills_test.go anybody at random ones. What must hold after each is in ha_judge_test.go.

// cluster is a signet of several units on a stage, its consumers, and what they were seen to hold.
type cluster struct {
	*stage

	t         *testing.T
	k8s       *requestConsumer
	authority string          // the CA's certificate, once there was one
	seen      map[string]held // at the last judgement

	mu    sync.Mutex          // hooks ask while the test goes on
	names map[string][]string // what units of etcd ask for beside what they always do
}

// openCluster deploys three units of signet, some of a legacy consumer and some that send requests. No hook of signet's has run
// yet, and no agent.
func openCluster(t *testing.T, legacy, requests int) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "signet-") //nolint:usetesting // paths of sockets are short, and the test's folder is deep
	require.NoError(t, err)
	charmDir, err := filepath.Abs("../..")
	require.NoError(t, err)
	s, err := openStage(charmDir, dir, nil, sandbox.Options{ModelName: "ha"})
	require.NoError(t, err)
	s.env = []string{"GORACE=atexit_sleep_ms=0"} // the race detector has every process wait a second at its end
	c := &cluster{stage: s, t: t, k8s: newRequestConsumer(), names: map[string][]string{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", s.log)
			for _, line := range s.runner.Log() {
				t.Logf("%s %s: %s", line.Unit, line.Level, line.Message)
			}
		}
		require.NoError(t, errors.Join(s.close(), os.RemoveAll(dir)))
	})
	require.NoError(t, errors.Join(s.addActor("etcd", c.etcd(), legacy), s.addActor("k8s", c.k8s, requests)))
	require.NoError(t, s.runner.Settle(c.within())) // who knows its peers asks once, and not once for each of them
	require.NoError(t, s.deploySignet("signet", nil))
	for range 3 {
		_, err := s.addSignetUnit("signet")
		require.NoError(t, err)
	}
	for endpoint, app := range map[string]string{"client": "etcd", "certificates": "k8s"} {
		_, err := s.model().Integrate("signet:"+endpoint, app+":"+certificatesEndpoint)
		require.NoError(t, err)
	}
	return c
}

// runningCluster is one whose agents run and whose consumers have what they want.
func runningCluster(t *testing.T) *cluster {
	t.Helper()
	c := openCluster(t, 3, 2)
	c.startAgents()
	c.settled()
	c.judge()
	return c
}

// within gives a context that bounds one act of a story.
func (c *cluster) within() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	c.t.Cleanup(cancel)
	return ctx
}

func (c *cluster) startAgents() {
	c.t.Helper()
	for _, unit := range c.model().Units("signet") {
		if c.agents[unit] == nil {
			require.NoError(c.t, c.startAgent(c.within(), unit))
		}
	}
}

// settled runs hooks until every consumer has what it asks for now.
func (c *cluster) settled() {
	c.t.Helper()
	require.NoError(c.t, c.settle(c.within(), c.served))
}

// agentsServe waits for the agents alone to give every consumer what it asks for now. Nobody runs hooks.
func (c *cluster) agentsServe() {
	c.t.Helper()
	ctx := c.within()
	for {
		changed := c.model().Changed()
		missing := c.served()
		if missing == nil {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			require.NoError(c.t, missing)
		}
	}
}

// served says who lacks what.
func (c *cluster) served() error {
	for _, h := range c.inventory() {
		if _, err := h.verify(); err != nil {
			return fmt.Errorf("%s: %s: %w", h.owner, h.kind, err)
		}
	}
	return nil
}

// rest settles and has every unit of signet take one more turn, which finds nothing to do.
func (c *cluster) rest() {
	c.t.Helper()
	c.settled()
	for _, unit := range c.model().Units("signet") {
		require.NoError(c.t, c.runner.Order(unit, "update-status"))
	}
	c.settled()
}

// loseMachine takes a unit away without any of its hooks. What its disk holds stays for the judgement.
func (c *cluster) loseMachine(unit string) {
	c.t.Helper()
	c.killAgent(unit)
	c.runner.Detach(unit)
	require.NoError(c.t, c.model().RemoveUnit(unit))
}

// another is a unit of signet that is not this one.
func (c *cluster) another(unit string) string {
	c.t.Helper()
	others := slices.DeleteFunc(c.model().Units("signet"), func(name string) bool { return name == unit })
	require.NotEmpty(c.t, others)
	return others[0]
}

// etcd is the legacy consumer: the charm of this name, with names that the test has it ask for.
func (c *cluster) etcd() legacyConsumer {
	peers := etcd().extraNames
	return legacyConsumer{extraNames: func(hook *sandbox.HookContext) []string {
		c.mu.Lock()
		defer c.mu.Unlock()
		return append(peers(hook), c.names[hook.Unit()]...)
	}}
}

// askName has a unit of etcd ask for one more name, as its next hook would.
func (c *cluster) askName(unit, name string) {
	c.t.Helper()
	c.mu.Lock()
	c.names[unit] = append(c.names[unit], name)
	c.mu.Unlock()
	relation := c.relationOf("etcd", certificatesEndpoint)
	text := c.model().UnitBag(relation, unit)["sans"]
	if text == "" {
		return // it has not asked for anything yet
	}
	var names []string
	require.NoError(c.t, json.Unmarshal([]byte(text), &names))
	names = append(names, name)
	slices.Sort(names)
	c.write(unit, relation, "sans", names)
}

// askRequest has a unit of k8s send one more request.
func (c *cluster) askRequest(unit string) {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(c.t, err)
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: rand.Text()}, DNSNames: []string{dashed(unit) + ".example.com"}}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	require.NoError(c.t, err)
	request := strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))

	relation := c.relationOf("k8s", certificatesEndpoint)
	var requests []map[string]any
	if text := c.model().UnitBag(relation, unit)["certificate_signing_requests"]; text != "" {
		require.NoError(c.t, json.Unmarshal([]byte(text), &requests))
	}
	requests = append(requests, map[string]any{"certificate_signing_request": request, "ca": false})
	c.write(unit, relation, "certificate_signing_requests", requests)
}

// write writes a value into a consumer's databag. Nobody runs hooks for it: the agents see it by themselves.
func (c *cluster) write(unit string, relation int, key string, value any) {
	c.t.Helper()
	text, err := json.Marshal(value)
	require.NoError(c.t, err)
	require.NoError(c.t, c.model().Commit(unit, sandbox.Commit{
		Relations: []sandbox.BagChange{{RelationID: relation, Unit: map[string]string{key: string(text)}}},
	}))
}

// relationOf finds the one relation on an application's endpoint.
func (c *cluster) relationOf(app, endpoint string) int {
	c.t.Helper()
	for _, relation := range c.model().Relations(app) {
		if relation.Endpoint.Name == endpoint {
			return relation.ID
		}
	}
	require.FailNow(c.t, "no relation", "of %s on %s", app, endpoint)
	return 0
}
