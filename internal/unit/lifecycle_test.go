// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/unit"
)

// pair is a signet that signs and a signet that consumes, joined by one relation.
type pair struct {
	t            *testing.T
	ca, node     *world
	caSays       func(juju.Relation) juju.Relation // what of the CA's side reaches the node; nil for all
	caWake, wake time.Time
}

const pairID = 7

func newPair(t *testing.T) *pair {
	p := &pair{t: t, ca: newWorld(t), node: newWorld(t)}
	p.ca.snap.Relations = append(p.ca.snap.Relations, juju.Relation{
		ID: pairID, Endpoint: juju.Endpoint{Name: "certificates", Interface: dialect.Interface, Role: juju.Provides}, RemoteApp: "node",
		OwnUnit: juju.Bag{}, OwnApp: juju.Bag{},
	})
	p.node.snap.Unit = "node/0"
	p.node.snap.Config = map[string]any{"authority": "none"}
	p.node.snap.Relations = append(p.node.snap.Relations, juju.Relation{
		ID: pairID, Endpoint: juju.Endpoint{Name: "upstream", Interface: dialect.Interface, Role: juju.Requires}, RemoteApp: "signet",
		OwnUnit: juju.Bag{}, OwnApp: juju.Bag{},
	})
	return p
}

// settle takes turns on both sides until neither has anything to do.
func (p *pair) settle(now time.Time) {
	p.t.Helper()
	for range 10 {
		caSide, nodeSide := &p.ca.snap.Relations[1], &p.node.snap.Relations[1]
		caSide.RemoteUnits = map[string]juju.Bag{"node/0": maps.Clone(nodeSide.OwnUnit)}
		caPlan := turn(p.t, p.ca, now)
		p.ca.survey()
		shown := *caSide
		if p.caSays != nil {
			shown = p.caSays(shown)
		}
		nodeSide.RemoteUnits = map[string]juju.Bag{"signet/0": maps.Clone(shown.OwnUnit)}
		nodeSide.RemoteApplication = maps.Clone(shown.OwnApp)
		p.node.survey()
		nodePlan := turn(p.t, p.node, now)
		p.node.survey()
		p.caWake, p.wake = caPlan.Wake, nodePlan.Wake
		if caPlan.Changes.Empty() && nodePlan.Changes.Empty() {
			return
		}
	}
	require.FailNow(p.t, "the two sides do not come to rest")
}

// served loads what lies on the node's disk as a server would, and verifies it as a client would.
func (p *pair) served(now time.Time) *x509.Certificate {
	p.t.Helper()
	dir := filepath.Join(p.node.folder.Root(), "files", "certificates")
	loaded, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	require.NoError(p.t, err)
	_, err = tls.LoadX509KeyPair(filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key"))
	require.NoError(p.t, err)
	trust, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	require.NoError(p.t, err)
	roots := x509.NewCertPool()
	require.True(p.t, roots.AppendCertsFromPEM(trust))
	_, err = loaded.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now})
	require.NoError(p.t, err)
	return loaded.Leaf
}

func TestNodeIsServedAndAsksAnewWhenItsNamesChange(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.settle(noon)
	first := p.served(noon)
	require.NoError(t, first.VerifyHostname("10.1.0.1"))
	require.NotContains(t, p.node.snap.Relations[1].OwnUnit, "unit_name", "a provider that speaks requests is not asked for keys")
	for _, value := range p.ca.snap.Relations[1].OwnUnit {
		require.NotContains(t, value, "PRIVATE KEY")
	}

	p.node.snap.Config = map[string]any{"authority": "none", "extra_sans": "node.example.com 10.9.9.9"}
	p.settle(noon.Add(time.Hour))
	second := p.served(noon.Add(time.Hour))
	require.NoError(t, second.VerifyHostname("node.example.com"))
	require.NoError(t, second.VerifyHostname("10.9.9.9"))
	require.Equal(t, first.PublicKey, second.PublicKey, "the key stays")

	p.node.snap.Config["extra_sans"] = "10.9.9.9 NODE.example.com"
	p.settle(noon.Add(2 * time.Hour))
	require.Equal(t, second.Raw, p.served(noon.Add(2*time.Hour)).Raw, "order and case are no change")
}

// Two years pass. There is a valid certificate on disk at every moment, and each is used for most of its life.
func TestNodeIsServedForYears(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	now := noon
	p.settle(now)
	first := p.served(now)
	issued := map[string]bool{}
	for now.Before(noon.AddDate(2, 0, 0)) {
		next := juju.Earliest(p.wake, p.caWake)
		require.False(t, next.IsZero())
		require.True(t, next.After(now), "no turn is wanted again and again")
		p.served(next.Add(-time.Second))
		now = next
		p.settle(now)
		issued[cert.SerialText(p.served(now).SerialNumber)] = true
	}
	require.InDelta(t, 730/57, len(issued), 3)
	require.Equal(t, first.PublicKey, p.served(now).PublicKey)
}

func TestNodeTakesLegacyAnswersUntilItsProviderSpeaksRequests(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.caSays = func(r juju.Relation) juju.Relation {
		r.OwnApp = nil // as EasyRSA: no application databag
		return r
	}
	p.settle(noon)
	legacy := p.served(noon)
	require.Contains(t, p.node.snap.Relations[1].OwnUnit, "unit_name")
	require.Contains(t, p.ca.snap.Relations[1].OwnUnit, "node_0.server.key")

	p.caSays = nil // the provider is replaced by one that speaks both
	p.settle(noon.Add(time.Hour))
	require.NotEqual(t, legacy.PublicKey, p.served(noon.Add(time.Hour)).PublicKey, "a key that never left the node")
	require.NotContains(t, p.node.snap.Relations[1].OwnUnit, "unit_name")
	for _, value := range p.ca.snap.Relations[1].OwnUnit {
		require.NotContains(t, value, "PRIVATE KEY", "nobody reads the legacy keys any more")
	}
}

func TestNodeKeepsItsCertificatesWhenTheProviderGoes(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.settle(noon)
	served := p.served(noon)

	p.node.snap.Relations[1].RemoteApplication = juju.Bag{}
	p.node.snap.Relations[1].RemoteUnits = nil
	turn(t, p.node, noon.Add(time.Hour))
	require.Equal(t, served.Raw, p.served(noon.Add(time.Hour)).Raw)
	require.Equal(t, juju.Waiting, p.node.snap.Status.Level)
	require.Equal(t, "waiting for the server and client certificate from signet", p.node.snap.Status.Message)

	p.node.snap.Relations = p.node.snap.Relations[:1]
	turn(t, p.node, noon.Add(2*time.Hour))
	require.Equal(t, served.Raw, p.served(noon.Add(2*time.Hour)).Raw)
	require.Equal(t, juju.Status{Level: juju.Active, Message: "idle: nothing is related"}, p.node.snap.Status)
}

// What a provider answers wrongly is not installed, and said so.
func TestNodeRefusesWrongAnswers(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.settle(noon)
	served := p.served(noon)
	other := newPair(t) // another CA, other keys
	other.settle(noon)

	plan := func(spoil func(*juju.Relation)) unit.Plan {
		snap := p.node.snap
		snap.Relations = append([]juju.Relation(nil), snap.Relations...)
		spoil(&snap.Relations[1])
		return unit.Decide(noon, snap, nil)
	}
	foreign := plan(func(r *juju.Relation) { r.RemoteApplication = other.node.snap.Relations[1].RemoteApplication })
	for _, wanted := range foreign.Orders {
		if install, ok := wanted.(order.Install); ok {
			require.Contains(t, install.Files, order.File{Name: "server.crt", Keep: true}, "answers to somebody else's requests are not ours")
			require.Contains(t, install.Files, order.File{Name: "client.key", Keep: true})
		}
	}
	expired := unit.Decide(served.NotAfter.Add(time.Hour), p.node.snap, nil)
	require.Equal(t, juju.Blocked, expired.Changes.Status.Level)
	require.Contains(t, expired.Changes.Status.Message, "the installed server certificate expired at")
}

func TestNodeWithoutAnAddressSaysWhatToDo(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.node.snap.Addresses = nil
	p.settle(noon)
	require.Equal(t, juju.Status{
		Level: juju.Waiting, Message: "waiting for an ingress address on endpoint upstream; or set the option common-name",
	}, p.node.snap.Status)
	p.node.snap.Config["common-name"] = "node.example.com"
	p.settle(noon)
	require.Equal(t, "node.example.com", p.served(noon).Subject.CommonName)
}
