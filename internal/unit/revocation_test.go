// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/unit"
)

func serialText(c *x509.Certificate) string { return cert.SerialText(c.SerialNumber) }

// Who goes takes nothing from who stays: a certificate that others share, or that has moved to another place.
func TestDeparturesRevokeOnlyWhatIsGone(t *testing.T) {
	t.Parallel()
	shared := func(n int) juju.Bag {
		return juju.Bag{"unit_name": fmt.Sprintf("etcd_%d", n), "application_cert_requests": `{"app.example.com": {"sans": []}}`}
	}
	for sentence, c := range map[string]struct {
		before, after map[string]juju.Bag
		revoked       bool
	}{
		"the unit is gone": {
			before:  map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "common_name": "a.example.com"}, "etcd/1": {"unit_name": "etcd_1"}},
			after:   map[string]juju.Bag{"etcd/1": {"unit_name": "etcd_1"}},
			revoked: true,
		},
		"others share its certificate": {
			before: map[string]juju.Bag{"etcd/0": shared(0), "etcd/1": shared(1)}, after: map[string]juju.Bag{"etcd/0": shared(0)},
		},
		"its certificate has moved": {
			before: map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "cert_requests": `{"b.example.com": {"sans": []}}`}},
			after:  map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "common_name": "b.example.com"}},
		},
		"its request was renewed": {
			before: map[string]juju.Bag{"web/0": askFor(t, newRequest(t, "web.example.com"), false)},
			after:  map[string]juju.Bag{"web/0": askFor(t, newRequest(t, "web.example.com"), false)},
		},
		"its request was withdrawn": {
			before: map[string]juju.Bag{"web/0": askFor(t, newRequest(t, "web.example.com"), false)},
			after:  map[string]juju.Bag{"web/0": {}}, revoked: true,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.snap.Config = map[string]any{"revoke-on-departure": true}
			w.snap.Relations = append(w.snap.Relations, legacyRelation(7, c.before))
			turn(t, w, noon)
			w.snap.Relations[1].RemoteUnits = c.after
			for range 2 {
				turn(t, w, noon.Add(time.Hour))
			}
			require.Equal(t, c.revoked, w.peers().OwnApp["revoked.1"] != "", w.snap.Status.Message)
		})
	}
}

// A compromised key is never certified again, neither for the same request nor for another, however much time goes by.
func TestACompromisedKeyIsNotCertifiedAgain(t *testing.T) {
	t.Parallel()
	w := withRequest(t)
	first := onlyEntry(t, w)
	require.Empty(t, w.act(noon, "revoke", "serial", serialText(parsed(t, first.Certificate)), "reason", "keyCompromise").Failure)
	for _, days := range []int{1, 100, 106, 400} {
		for range 2 {
			turn(t, w, noon.AddDate(0, 0, days))
		}
		require.Equal(t, first.Certificate, onlyEntry(t, w).Certificate, "after %d days", days)
		require.True(t, onlyEntry(t, w).Revoked)
	}
	other := w.carry(order.MakeRequest{Name: "y", Kind: cert.Server, CommonName: "other.example.com", KeyType: cert.P256}).Request
	w.snap.Relations[1].RemoteUnits["web/1"] = askFor(t, other, false)
	turn(t, w, noon.AddDate(0, 0, 401))
	var list []csrEntry
	decoded(t, w.snap.Relations[1].OwnApp["certificates"], &list)
	require.Len(t, list, 2, "another key is another matter")
}

// What is revoked for good does not keep its CA for good.
func TestWhatIsHeldKeepsNoCA(t *testing.T) {
	t.Parallel()
	w := withRequest(t)
	serial := serialText(parsed(t, onlyEntry(t, w).Certificate))
	require.Empty(t, w.act(noon, "revoke", "serial", serial, "reason", "privilegeWithdrawn").Failure)
	w.rotate(noon, "start", "advance")
	for range 2 {
		turn(t, w, noon.AddDate(0, 0, 100))
	}
	require.Empty(t, w.authorities().Retiring)
}

// During a rollover a serial number alone does not say which CA it is of.
func TestASerialIsRevokedWhicheverCAItIsOf(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	gone := serialText(etcdLeaf(t, w))
	w.rotate(noon, "start", "advance")
	now := noon.Add(time.Hour)
	for range 4 {
		turn(t, w, now)
		now = now.Add(time.Hour)
	}
	require.NotEqual(t, gone, serialText(etcdLeaf(t, w)))
	require.Empty(t, w.act(now, "revoke", "serial", gone, "reason", "keyCompromise").Failure)
	require.Contains(t, w.peers().OwnApp["revoked.1"], gone)
}

// decideWith takes the turn of an action whose files a test plays.
func (w *world) decideWith(now time.Time, action juju.Action, answers ...order.Answer) *juju.Result {
	w.snap.Action = &action
	defer func() { w.snap.Action = nil }()
	for range 8 {
		plan := unit.Decide(now, w.snap, answers)
		if len(plan.Orders) == 0 {
			w.snap = juju.Apply(w.snap, plan.Changes)
			return plan.Result
		}
		for _, wanted := range plan.Orders {
			answers = append(answers, w.carry(wanted))
		}
	}
	require.FailNow(w.t, "the turn does not come to rest")
	return nil
}

// foreign is a CA as import-ca finds it.
func foreign(t *testing.T, ca *scriptedCA, revoked ...cert.Revocation) order.Answer {
	key, err := cert.EncodeKey(ca.key)
	require.NoError(t, err)
	return order.Answer{Order: order.ReadAuthority{Path: "/x"}.ID(), State: order.Done, Found: order.Found{
		Source: "PEM", Authority: cert.Authority{Certificate: text(ca.cert) + "\n"}, Key: key, Revoked: revoked,
	}}
}

func importCA() juju.Action {
	return juju.Action{Name: "import-ca", Params: map[string]any{"path": "/x"}}
}

// Another CA takes the place of one at once only where nothing was issued, not where nothing is shown.
func TestAnImportNeverCutsWhatWasIssued(t *testing.T) {
	t.Parallel()
	unseen := withEtcd(t)
	was := unseen.authorities().Current.Certificate
	unseen.snap.Relations = unseen.snap.Relations[:1]
	unseen.decideWith(noon, importCA(), foreign(t, newScriptedCA(t, "other")))
	require.Equal(t, was, unseen.authorities().Current.Certificate)

	damaged := withEtcd(t)
	before, _ := damaged.snap.Secret("ca-1")
	damaged.snap.Relations[0].OwnApp["authority"] = "{"
	result := damaged.decideWith(noon, importCA(), foreign(t, newScriptedCA(t, "other")))
	require.Contains(t, result.Failure, "restore it from a backup first")
	after, _ := damaged.snap.Secret("ca-1")
	require.Equal(t, before, after)
}

// What an imported CA has revoked is kept from the start, also while its introduction has to wait.
func TestAnImportedCAKeepsItsRevocations(t *testing.T) {
	t.Parallel()
	w := newWorld(t) // another unit than the one that signed: it has no copy of the key
	w.snap = withEtcd(t).snap
	w.survey()
	at := -1
	for i := range w.snap.Secrets {
		if w.snap.Secrets[i].Label == "ca-1" {
			at = i
		}
	}
	content := w.snap.Secrets[at].Content
	w.snap.Secrets[at].Content = nil // its back end is away
	w.decideWith(noon, importCA(), foreign(t, newScriptedCA(t, "other"), cert.Revocation{Serial: "1234", Time: noon.Add(-time.Hour)}))
	for i := range w.snap.Secrets {
		if w.snap.Secrets[i].Label == "ca-1" {
			w.snap.Secrets[i].Content = content
		}
	}
	turn(t, w, noon.Add(time.Hour))
	require.NotNil(t, w.authorities().Next)
	require.Contains(t, w.peers().OwnApp["revoked.2"], "1234")
}

// backupOf is what a backup of an application would hold.
func backupOf(w *world) order.Answer {
	keys := map[int]cert.Key{}
	for _, secret := range w.snap.Secrets {
		var generation int
		if _, err := fmt.Sscanf(secret.Label, "ca-%d", &generation); err == nil {
			keys[generation] = cert.NewKey(secret.Content["private-key"])
		}
	}
	return order.Answer{Order: order.ReadArchive{Name: "x"}.ID(), State: order.Done, Archive: order.Archive{
		Record: map[string]string{"authority": w.peers().OwnApp["authority"]}, Keys: keys,
	}}
}

func restoreIt() juju.Action {
	return juju.Action{Name: "restore", Params: map[string]any{"name": "x"}}
}

// Generations of two applications may have the same number: a key goes where it fits.
func TestARestoredKeyGoesWhereItFits(t *testing.T) {
	t.Parallel()
	one := newWorld(t)
	turn(t, one, noon)
	key, _ := one.snap.Secret("ca-1")
	certificate := one.authorities().Current.Certificate
	one.rotate(noon, "start", "advance")

	two := newWorld(t)
	turn(t, two, noon)
	found := order.Answer{Order: order.ReadAuthority{Path: "/x"}.ID(), State: order.Done, Found: order.Found{
		Source: "PEM", Authority: cert.Authority{Certificate: certificate}, Key: cert.NewKey(key.Content["private-key"]),
	}}
	require.Empty(t, two.decideWith(noon, importCA(), found).Failure)
	require.Equal(t, 2, two.authorities().Current.Generation)
	two.decideWith(noon.Add(time.Hour), restoreIt(), backupOf(one))
	secret, _ := two.snap.Secret("ca-2")
	require.True(t, cert.KeyMatches(cert.NewKey(secret.Content["private-key"]), parsed(t, two.authorities().Current.Certificate)))
}

// After a restore the list of the CA that was there before is not taken for this one's.
func TestARestoredCASignsItsOwnList(t *testing.T) {
	t.Parallel()
	lost := newWorld(t)
	turn(t, lost, noon)
	w := newWorld(t)
	w.snap.Config = map[string]any{"listen": "10.0.0.1:8880"}
	turn(t, w, noon)
	require.NotEmpty(t, w.peers().OwnApp["crl.1"])
	require.Empty(t, w.decideWith(noon.Add(time.Hour), restoreIt(), backupOf(lost)).Failure)
	turn(t, w, noon.Add(2*time.Hour))
	block, _ := pem.Decode([]byte(w.peers().OwnApp["crl.1"]))
	list, err := x509.ParseRevocationList(block.Bytes)
	require.NoError(t, err)
	require.NoError(t, list.CheckSignatureFrom(parsed(t, w.authorities().Current.Certificate)))
}

// A requirer that makes another request each time is cut as well.
func TestRequestsInCirclesAreCut(t *testing.T) {
	t.Parallel()
	w := withRequest(t)
	for n := range 6 {
		now := time.Now().UTC().Add(time.Duration(n) * time.Second)
		w.snap.Relations[1].RemoteUnits["web/0"] = askFor(t, newRequest(t, "web.example.com"), false)
		w.survey()
		var repeated map[string]time.Time
		require.NoError(t, w.folder.View(func(l *ledger.Ledger) { repeated = l.Repeats(now.Add(-time.Hour), now.Add(time.Hour), 3) }))
		for key, at := range repeated {
			w.snap.Local["repeated."+key] = at.Add(time.Hour).UTC().Format(time.RFC3339)
		}
		turn(t, w, now)
	}
	require.Contains(t, w.snap.Status.Message, "1 certificate asked for in circles")
}

// What has to wait for its turn is not signed before it.
func TestWavesSignNothingAhead(t *testing.T) {
	t.Parallel()
	w := fleet(t, 12, map[string]any{"renewals-per-hour": int64(4), "renewal-interval": "10m"})
	signed := 0
	w.refuse = func(order.Sign) bool { signed++; return false }
	turn(t, w, noon.AddDate(0, 0, 63))
	require.LessOrEqual(t, signed, 4)
}

// One certificate that cannot be signed does not take the others' turns.
func TestARefusedRenewalHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := fleet(t, 3, nil)
	w.refuse = func(o order.Sign) bool { return strings.HasSuffix(o.Spec.CommonName, ".0") }
	before := *w
	for now := noon.AddDate(0, 0, 61); now.Before(noon.AddDate(0, 0, 62)); {
		plan := turn(t, w, now)
		now = plan.Wake
	}
	require.Equal(t, map[string]int{"etcd": 2, "web": 2}, changed(&before, w))
}

// A CA whose certificate says nothing of usages may use its key for all of them.
func TestACAWithoutKeyUsageGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Config = map[string]any{"listen": "10.0.0.1:8880"}
	turn(t, w, noon)
	ca := newScriptedCA(t, "hand made", func(c *x509.Certificate) { c.KeyUsage = 0 })
	require.Empty(t, w.decideWith(noon, importCA(), foreign(t, ca)).Failure)
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.9"}}))
	turn(t, w, noon)
	require.NoError(t, etcdLeaf(t, w).CheckSignatureFrom(ca.cert))
	require.Contains(t, w.peers().OwnApp["crl.2"], "X509 CRL")
}

// What is revoked for good stays so when its CA is replaced, and when a relation is not shown for a while.
func TestRevocationsForGoodOutliveTheirCA(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"privilegeWithdrawn", "keyCompromise"} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			w := withRequest(t)
			first := onlyEntry(t, w)
			require.Empty(t, w.act(noon, "revoke", "serial", serialText(parsed(t, first.Certificate)), "reason", reason).Failure)
			w.rotate(noon, "start", "advance")
			for range 3 {
				turn(t, w, noon.AddDate(0, 0, 100))
			}
			require.Empty(t, w.authorities().Retiring)
			all := w.snap.Relations
			w.snap.Relations = all[:1]
			turn(t, w, noon.AddDate(0, 0, 110))
			w.snap.Relations = append(w.snap.Relations[:1:1], all[1:]...)
			turn(t, w, noon.AddDate(0, 0, 111))
			require.Equal(t, first.Certificate, onlyEntry(t, w).Certificate)
			require.True(t, onlyEntry(t, w).Revoked)
		})
	}
}

func TestRevokingTwiceIsSaid(t *testing.T) {
	t.Parallel()
	w := withRequest(t)
	serial := serialText(parsed(t, onlyEntry(t, w).Certificate))
	w.rotate(noon, "start")
	require.Empty(t, w.act(noon, "revoke", "serial", serial, "reason", "privilegeWithdrawn").Failure)
	require.Contains(t, w.act(noon, "revoke", "serial", serial).Failure, "no certificate that is published and not revoked fits")
}

// A record that cannot be read stays, and no list is signed that would take back what is in it.
func TestAnUnreadableRecordOfRevocationsStays(t *testing.T) {
	t.Parallel()
	w := withRequest(t)
	require.Empty(t, w.act(noon, "revoke", "serial", "1234").Failure)
	list := w.peers().OwnApp["crl.1"]
	w.snap.Relations[0].OwnApp["revoked.1"] = "{"
	turn(t, w, noon.AddDate(0, 0, 6))
	require.Equal(t, "{", w.peers().OwnApp["revoked.1"])
	require.Equal(t, list, w.peers().OwnApp["crl.1"])
	require.Equal(t, juju.Blocked, w.snap.Status.Level)
}
