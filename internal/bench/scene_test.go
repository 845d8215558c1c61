// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

// scene is an embedded Juju with one unit of signet, of the charm that is shipped, and crowds of units that ask. No hooks
// run: databags are the test's to write.
type scene struct {
	t         testing.TB
	control   *sandbox.Controller
	model     *sandbox.Model
	dir       string
	endpoints []juju.Endpoint

	mu     sync.Mutex
	called map[string]int64 // the API's methods, but for waiting at watchers
}

// count takes note of a call; it is for sandbox.Controller.Tamper.
func (s *scene) count(call sandbox.Call) sandbox.Fate {
	if call.Method != "Next" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.called[call.Facade+"."+call.Method]++
	}
	return sandbox.Answered
}

// calls are how often each method was called so far.
func (s *scene) calls() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.called)
}

// callsSince is how often methods were called since.
func (s *scene) callsSince(before map[string]int64) int64 {
	total := int64(0)
	for method, count := range s.calls() {
		total += count - before[method]
	}
	return total
}

func newScene(t testing.TB) *scene {
	t.Helper()
	dir, err := os.MkdirTemp("", "signet-") //nolint:usetesting // paths of sockets are short, and the test's folder is deep
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	control, err := sandbox.Start(sandbox.Options{Dir: filepath.Join(dir, "juju")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, control.Close()) })
	s := &scene{t: t, control: control, model: control.Model(), dir: dir, called: map[string]int64{}}
	control.Tamper(s.count)
	meta := charmMeta(t, "../..")
	s.endpoints = meta.Endpoints
	require.NoError(t, s.model.Deploy("signet", meta))
	_, err = s.model.AddUnit("signet")
	require.NoError(t, err)
	return s
}

// charmMeta reads what the model needs to know of the charm.
func charmMeta(t testing.TB, dir string) sandbox.CharmMeta {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, "metadata.yaml"))
	require.NoError(t, err)
	defer file.Close()
	read, err := charm.ReadMeta(file)
	require.NoError(t, err)
	meta := sandbox.CharmMeta{Name: read.Name, Config: map[string]any{}, Types: map[string]string{}}
	for role, relations := range map[juju.Role]map[string]charm.Relation{
		juju.Provides: read.Provides, juju.Requires: read.Requires, juju.Peers: read.Peers,
	} {
		for name, relation := range relations {
			meta.Endpoints = append(meta.Endpoints, juju.Endpoint{Name: name, Interface: relation.Interface, Role: role})
		}
	}
	options, err := os.Open(filepath.Join(dir, "config.yaml"))
	require.NoError(t, err)
	defer options.Close()
	config, err := charm.ReadConfig(options)
	require.NoError(t, err)
	for name, option := range config.Options {
		meta.Config[name], meta.Types[name] = option.Default, option.Type
	}
	return meta
}

// place is where the things of signet's unit are.
func (s *scene) place() place {
	return place{
		Unit: "signet/0", AgentConf: s.control.AgentConf("signet/0"), Dir: filepath.Join(s.dir, "unit"), Endpoints: s.endpoints,
	}
}

// crowd is an application whose units ask for certificates in one relation.
type crowd struct {
	*scene

	app      string
	relation int
	units    []string
	bags     []map[string]string // what each unit asks
	requests bool                // they send requests; else they speak the legacy dialect
}

// legacyCrowd has units that each ask for a server and a client certificate, as kubernetes-worker does.
func (s *scene) legacyCrowd(app string, units int) *crowd {
	s.t.Helper()
	c := s.gather(app, units)
	for _, unit := range c.units {
		addresses, err := s.model.Addresses(unit)
		require.NoError(s.t, err)
		c.bags = append(c.bags, legacyBag(unit, addresses.Ingress[0]))
	}
	return c
}

// legacyBag is what a kubelet's charm asks for.
func legacyBag(unit, address string) map[string]string {
	name := strings.ReplaceAll(unit, "/", "_")
	sans, _ := json.Marshal([]string{address, "juju-" + strings.ReplaceAll(unit, "/", "-")})
	return map[string]string{
		"unit_name": name, "common_name": address, "sans": string(sans), "certificate_name": name,
		"client_cert_requests": `{"system:kubelet": {"sans": null}}`,
	}
}

// requestCrowd has units that each send a request, as charms with the v4 library do.
func (s *scene) requestCrowd(app string, units int) *crowd {
	s.t.Helper()
	c := s.gather(app, units)
	c.requests = true
	for _, unit := range c.units {
		c.bags = append(c.bags, requestBag(s.t, unit))
	}
	return c
}

func requestBag(t testing.TB, unit string) map[string]string {
	list, err := json.Marshal([]map[string]any{{"certificate_signing_request": request(t, strings.ReplaceAll(unit, "/", "-")), "ca": false}})
	require.NoError(t, err)
	return map[string]string{"certificate_signing_requests": string(list)}
}

// request is a signing request for a name.
func request(t testing.TB, name string) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name, name + ".svc.cluster.local"},
	}, key)
	require.NoError(t, err)
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
}

func (s *scene) gather(app string, units int) *crowd {
	s.t.Helper()
	require.NoError(s.t, s.model.Deploy(app, sandbox.CharmMeta{Endpoints: []juju.Endpoint{
		{Name: "certificates", Interface: dialect.Interface, Role: juju.Requires},
	}}))
	c := &crowd{scene: s, app: app}
	for range units {
		unit, err := s.model.AddUnit(app)
		require.NoError(s.t, err)
		c.units = append(c.units, unit)
	}
	var err error
	c.relation, err = s.model.Integrate("signet:certificates", app+":certificates")
	require.NoError(s.t, err)
	return c
}

// ask has some of the units ask, by their number.
func (c *crowd) ask(from, to int) {
	c.t.Helper()
	for i := from; i < to; i++ {
		require.NoError(c.t, c.model.Commit(c.units[i], sandbox.Commit{
			Relations: []sandbox.BagChange{{RelationID: c.relation, Unit: c.bags[i]}},
		}))
	}
}

// answered counts who has all that it asked for.
func (c *crowd) answered() int {
	c.t.Helper()
	if c.requests {
		var all []struct {
			Request string `json:"certificate_signing_request"`
		}
		text := c.model.AppBag(c.relation, "signet")["certificates"]
		if text != "" {
			require.NoError(c.t, json.Unmarshal([]byte(text), &all))
		}
		distinct := map[string]bool{}
		for _, one := range all {
			distinct[one.Request] = true
		}
		return len(distinct)
	}
	count := 0
	bag := c.model.UnitBag(c.relation, "signet/0")
	for _, unit := range c.units {
		name := strings.ReplaceAll(unit, "/", "_")
		if bag[name+".server.cert"] != "" && bag[name+".processed_client_requests"] != "" {
			count++
		}
	}
	return count
}

// await waits until so many are answered, for as long as the context lasts.
func (c *crowd) await(ctx context.Context, wanted int) error {
	for {
		changed := c.model.Changed()
		found := c.answered()
		if found >= wanted {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("of %d units %d are answered: %w", wanted, found, context.Cause(ctx))
		}
	}
}

// rewrites is how often signet has written its databags in the relation. Each time, each unit of the crowd runs a hook.
func (c *crowd) rewrites() int64 {
	c.t.Helper()
	units, apps, err := c.model.BagVersions(c.units[0], c.relation)
	require.NoError(c.t, err)
	total := apps["signet"]
	for _, version := range units {
		total += version
	}
	return total
}

// published is how many bytes signet's databags in the relation have.
func (c *crowd) published() int {
	total := 0
	for _, bag := range []map[string]string{c.model.UnitBag(c.relation, "signet/0"), c.model.AppBag(c.relation, "signet")} {
		for key, value := range bag {
			total += len(key) + len(value)
		}
	}
	return total
}
