// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

func withEtcd(t *testing.T) *world {
	w := newWorld(t)
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1", "cert_requests": `{"b.example.com": {"sans": []}}`},
	}))
	turn(t, w, noon)
	return w
}

// A unit that was just added, or is leaving, is not shown its relations. What the peers keep for them must stay.
func TestShelfOutlivesWhatIsNotShown(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	published := w.snap.Relations[1].OwnUnit
	relation := w.snap.Relations[1]

	w.snap.Relations = w.snap.Relations[:1]
	turn(t, w, noon.Add(time.Hour))
	atRest(t, w, noon.Add(time.Hour))
	relation.OwnUnit, relation.OwnApp = juju.Bag{}, juju.Bag{} // another unit's view, which never published
	w.snap.Relations = append(w.snap.Relations, relation)
	turn(t, w, noon.Add(2*time.Hour))
	require.Equal(t, published, w.snap.Relations[1].OwnUnit, "nobody's key changed")

	w.snap.Relations = w.snap.Relations[:1]
	plan := turn(t, w, noon.Add(3*time.Hour))
	require.WithinDuration(t, noon.Add(27*time.Hour), plan.Wake, time.Minute)
	turn(t, w, plan.Wake)
	for key := range w.peers().OwnApp {
		require.False(t, strings.HasPrefix(key, "sealed."), "a relation that stays away for a day has ended")
	}
	atRest(t, w, plan.Wake)
}

func TestPartialViewWithdrawsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"}, "etcd/1": requestBag(t, goodRequest(t)),
	}))
	turn(t, w, noon)
	before := w.snap.Relations[1]

	w.snap.Relations[1].RemoteUnits, w.snap.Relations[1].Partial = nil, true
	turn(t, w, noon)
	require.Equal(t, before.OwnUnit, w.snap.Relations[1].OwnUnit)
	require.Equal(t, before.OwnApp, w.snap.Relations[1].OwnApp)

	w.snap.Relations[1].Partial = false
	turn(t, w, noon)
	require.NotContains(t, w.snap.Relations[1].OwnUnit, "etcd_0.server.key")
	require.NotContains(t, w.snap.Relations[1].OwnApp, "certificates")
}

// What a requirer no longer asks for stays published; a unit that comes later publishes it too.
func TestUnitsAgreeOnWhatIsNoLongerAsked(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	delete(w.snap.Relations[1].RemoteUnits["etcd/0"], "cert_requests")
	turn(t, w, noon)

	late := newWorld(t)
	late.snap.Unit, late.snap.Leader, late.snap.Secrets = "signet/1", false, w.snap.Secrets
	late.snap.Relations[0].OwnApp = w.peers().OwnApp
	late.snap.Relations = append(late.snap.Relations, legacyRelation(7, w.snap.Relations[1].RemoteUnits))
	turn(t, late, noon)
	require.Equal(t, w.snap.Relations[1].OwnUnit, late.snap.Relations[1].OwnUnit)
	require.Contains(t, late.snap.Relations[1].OwnUnit["etcd_0.processed_requests"], "b.example.com")

	late.snap.Secrets = []juju.Secret{late.snap.Secrets[0], {URI: "secret:seal", Label: "seal"}}
	turn(t, late, noon)
	require.Equal(t, juju.Waiting, late.snap.Status.Level)
	require.Contains(t, late.snap.Status.Message, "cannot read secret seal")
}

// A model that was upgraded to a Juju with secrets gets the CA's key into one, from the disk where it lies.
func TestKeyBecomesASecretAsSoonAsThereAreSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.CanSecrets = false
	turn(t, w, noon)
	w.snap.CanSecrets = true
	w.survey()
	turn(t, w, noon)
	atRest(t, w, noon)
	secret, found := w.snap.Secret("ca-1")
	require.True(t, found)
	ca, err := cert.Parse(secret.Content["certificate"])
	require.NoError(t, err)
	require.True(t, cert.KeyMatches(cert.NewKey(secret.Content["private-key"]), ca))

	elsewhere := newWorld(t) // a leader without the key, after somebody removed the secret
	elsewhere.snap.Relations[0].OwnApp = w.peers().OwnApp
	turn(t, elsewhere, noon)
	require.Equal(t, juju.Blocked, elsewhere.snap.Status.Level)
	require.Contains(t, elsewhere.snap.Status.Message, "secret ca-1 is gone")
}

// What no certificate can say is refused for good: it neither hides that the CA is well nor is it tried again.
func TestWhatCannotBeSignedIsNoTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{
		"etcd/0": requestBag(t, namedRequest(t, strings.Repeat("long", 17))), "etcd/1": {"common_name": "10.0.0.2"},
	}))
	plan := turn(t, w, noon)
	require.Contains(t, w.snap.Status.Message, "1 refused: etcd/0")
	require.Contains(t, w.snap.Status.Message, "(unsignable)")
	require.True(t, turn(t, w, noon).Changes.Empty())
	require.Equal(t, juju.Active, w.snap.Status.Level, w.snap.Status.Message)
	require.NotEqual(t, noon.Add(5*time.Minute), plan.Wake, "which is when what failed is tried again")
}

// A secret that exists and cannot be read, because its back end is away, is no reason to make another CA.
func TestUnreadableSecretMakesNoSecondCA(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Secrets = []juju.Secret{{URI: "secret:x", Label: "ca-1", Owner: juju.OwnedByApplication}}
	plan := turn(t, w, noon)
	require.Empty(t, plan.Changes.Secrets)
	require.Empty(t, w.peers().OwnApp)
	require.Equal(t, juju.Waiting, w.snap.Status.Level)
	require.Contains(t, w.snap.Status.Message, "cannot read the CA's key from secret ca-1")
}

func TestTroubleOfTheAuthorityShows(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	w.refuse = func(order.Sign) bool { return true }
	w.snap.Relations[1].RemoteUnits["etcd/1"] = juju.Bag{"unit_name": "etcd_1", "common_name": "10.0.0.2"}
	plan := turn(t, w, noon)
	require.Equal(t, juju.Waiting, w.snap.Status.Level)
	require.Contains(t, w.snap.Status.Message, "1 certificate could not be signed: etcd/1")
	require.Equal(t, noon.Add(5*time.Minute), plan.Wake)
}

// Options that do not fit each other are both set back, whichever of them was the slip.
func TestOptionsThatDoNotFitAreSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Config = map[string]any{"certificate-validity": "30d"}
	turn(t, w, noon)
	w.snap.Config = map[string]any{"certificate-validity": "5000d"}
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{"etcd/0": {"common_name": "10.0.0.1"}}))
	turn(t, w, noon)
	require.Contains(t, w.snap.Status.Message, "certificate-validity")
	leaf, err := cert.Parse(w.snap.Relations[1].OwnUnit["etcd_0.server.cert"])
	require.NoError(t, err)
	require.Equal(t, noon.Add(30*24*time.Hour-time.Minute-time.Second), leaf.NotAfter)
}

func TestSwitchesThatLeaveKeysBehindSaySo(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	w.snap.Config = map[string]any{"legacy-dialect": false}
	turn(t, w, noon)
	require.Contains(t, w.snap.Relations[1].OwnUnit, "etcd_0.server.key", "taking it away would stop etcd")
	require.Contains(t, w.snap.Status.Message, "private keys are still published to 1 relation")
	w.snap.Config = map[string]any{"authority": "none"}
	turn(t, w, noon)
	require.Contains(t, w.snap.Status.Message, "what was issued is still published to 1 relation")
}

// A unit that was away for long gets a certificate that lives, in one turn, and not those of its past.
func TestReturningRequestGetsALivingCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bag := requestBag(t, goodRequest(t))
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{"k8s/0": bag}))
	now := noon
	for range 10 {
		plan := turn(t, w, now)
		now = plan.Wake
	}
	w.snap.Relations[1].RemoteUnits = map[string]juju.Bag{}
	turn(t, w, now)
	w.snap.Relations[1].RemoteUnits = map[string]juju.Bag{"k8s/0": bag}
	now = now.AddDate(0, 6, 0)
	turn(t, w, now)
	atRest(t, w, now)
	text := w.snap.Relations[1].OwnApp["certificates"]
	text = text[strings.Index(text, `"certificate":"`)+len(`"certificate":"`):]
	leaf, err := cert.Parse(strings.ReplaceAll(text[:strings.Index(text, `"`)], `\n`, "\n"))
	require.NoError(t, err)
	require.True(t, leaf.NotAfter.After(now.AddDate(0, 2, 0)), "it ends at %s", leaf.NotAfter)
}

// frozen is a provider that answers each request once and never again, as the v4 library does.
func (p *pair) frozen() {
	answered := p.ca.snap.Relations[1]
	p.caSays = func(juju.Relation) juju.Relation { return answered }
}

func TestNodeAsksAgainForWhatIsOver(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.settle(noon)
	request := p.node.snap.Relations[1].OwnUnit["certificate_signing_requests"]
	p.frozen()
	late := p.served(noon).NotAfter.Add(time.Hour) // the machine was off all the while
	p.settle(late)
	require.NotEqual(t, request, p.node.snap.Relations[1].OwnUnit["certificate_signing_requests"])
	p.caSays = nil
	p.settle(late)
	p.served(late)
}

// On a clock that runs ahead every certificate is due when it comes. The two must not keep each other busy.
func TestNodeWithAWrongClockDoesNotAskWithoutEnd(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.settle(noon)
	ahead := noon.Add(61 * 24 * time.Hour)
	requests := map[string]bool{}
	for range 30 {
		caSide, nodeSide := &p.ca.snap.Relations[1], &p.node.snap.Relations[1]
		caSide.RemoteUnits = map[string]juju.Bag{"node/0": maps.Clone(nodeSide.OwnUnit)}
		turn(t, p.ca, noon)
		nodeSide.RemoteApplication = maps.Clone(caSide.OwnApp)
		p.node.survey()
		turn(t, p.node, ahead)
		requests[nodeSide.OwnUnit["certificate_signing_requests"]] = true
	}
	require.LessOrEqual(t, len(requests), 3)
	p.served(noon)
}

func TestNodeReplacesWhatItCanAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.settle(noon)
	dir := filepath.Join(p.node.folder.Root(), "files", "certificates")
	client, err := os.ReadFile(filepath.Join(dir, "client.crt"))
	require.NoError(t, err)
	server := p.served(noon)

	p.ca.refuse = func(o order.Sign) bool { return o.Spec.Kind == cert.Client }
	p.node.snap.Config["extra_sans"] = "new.example.com"
	p.node.snap.Config["certificate-organization"] = "ops" // the client certificate is asked anew, and refused
	p.settle(noon.Add(time.Hour))
	require.NotEqual(t, server.Raw, p.served(noon.Add(time.Hour)).Raw)
	kept, err := os.ReadFile(filepath.Join(dir, "client.crt"))
	require.NoError(t, err)
	require.Equal(t, client, kept)
	require.Equal(t, juju.Waiting, p.node.snap.Status.Level)
	require.Contains(t, p.node.snap.Status.Message, "refused by the test")
}

func TestNodeWithALongNameIsServed(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	long := "node-with-a-long-name.in-a-model-with-a-long-name.in-a-long-domain.example.com"
	p.node.snap.Addresses = map[string]juju.Addresses{"upstream": {Ingress: []string{long, "10.1.0.1"}}}
	p.settle(noon)
	leaf := p.served(noon)
	require.Equal(t, "10.1.0.1", leaf.Subject.CommonName)
	require.NoError(t, leaf.VerifyHostname(long))
}

// A sender that is not understood for a moment takes nothing away; one that is gone does.
func TestReceivedCAsOutliveADamagedMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	turn(t, w, noon)
	ca := w.peers().OwnApp["authority"]
	require.NotEmpty(t, ca)
	secret, _ := w.snap.Secret("ca-1")
	relation := juju.Relation{
		ID: 9, Endpoint: juju.Endpoint{Name: "receive-ca-cert", Interface: dialect.TransferInterface, Role: juju.Requires}, RemoteApp: "other",
		OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteUnits: map[string]juju.Bag{"other/0": {}},
		RemoteApplication: juju.Bag{"version": "1", "certificates": jsonText(t, []string{secret.Content["certificate"]})},
	}
	w.snap.Relations = append(w.snap.Relations, relation)
	turn(t, w, noon)
	w.survey()
	installed := w.snap.Local["files.received-ca"]
	require.NotEmpty(t, installed)

	w.snap.Relations[1].RemoteApplication = juju.Bag{"version": "1", "certificates": "{broken"}
	turn(t, w, noon)
	w.survey()
	require.Equal(t, installed, w.snap.Local["files.received-ca"])
	atRest(t, w, noon)

	w.snap.Relations = w.snap.Relations[:1]
	turn(t, w, noon)
	_, err := os.Stat(filepath.Join(w.folder.Root(), "files", "received-ca"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
