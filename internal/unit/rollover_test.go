// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/unit"
)

// rotate runs steps of rotate-ca, which must succeed.
func (w *world) rotate(now time.Time, steps ...string) {
	for _, step := range steps {
		require.Empty(w.t, w.act(now, "rotate-ca", "step", step).Failure)
	}
}

// etcdLeaf is what etcd/0 has of withEtcd's CA.
func etcdLeaf(t *testing.T, w *world) *x509.Certificate {
	leaf, err := cert.Parse(w.snap.Relations[1].OwnUnit["etcd_0.server.cert"])
	require.NoError(t, err)
	return leaf
}

// csrEntry is an answer of the CSR dialect.
type csrEntry struct {
	Certificate string
	Chain       []string
	Revoked     bool
}

// withRequest is a CA that has answered one signing request.
func withRequest(t *testing.T) *world {
	w := newWorld(t)
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{"web/0": askFor(t, newRequest(t, "web.example.com"), false)}))
	turn(t, w, noon)
	return w
}

func askFor(t *testing.T, request string, ca bool) juju.Bag {
	return juju.Bag{"certificate_signing_requests": encoded(t, []map[string]any{{"certificate_signing_request": strings.TrimSpace(request), "ca": ca}})}
}

func onlyEntry(t *testing.T, w *world) csrEntry {
	var list []csrEntry
	decoded(t, w.snap.Relations[1].OwnApp["certificates"], &list)
	require.Len(t, list, 1)
	return list[0]
}

// verifies says why who trusts only a root does not trust a leaf that comes with a chain.
func verifies(t *testing.T, leaf *x509.Certificate, chain []string, root *x509.Certificate, now time.Time) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, text := range chain {
		between.AddCert(parsed(t, text))
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now})
	return err
}

func parsed(t *testing.T, text string) *x509.Certificate {
	c, err := cert.Parse(text)
	require.NoError(t, err)
	return c
}

// certifyCA signs a request for a CA certificate.
func (ca *scriptedCA) certifyCA(request string) *x509.Certificate {
	return ca.issue(request, noon, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.MaxPathLenZero = true, true, true
		c.KeyUsage, c.ExtKeyUsage, c.NotAfter = x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil, noon.AddDate(3, 0, 0)
	})
}

// certify answers what an intermediate CA shows its upstream, relation 9.
func (w *world) certify(t *testing.T, root *scriptedCA) {
	var asked []struct {
		Request string `json:"certificate_signing_request"`
	}
	decoded(t, w.snap.Relations[1].OwnUnit["certificate_signing_requests"], &asked)
	var entries []map[string]any
	for _, item := range asked {
		entries = append(entries, root.entry(item.Request, root.certifyCA(item.Request)))
	}
	w.snap.Relations[1].RemoteUnits = map[string]juju.Bag{"upstream/0": {}}
	w.snap.Relations[1].RemoteApplication = juju.Bag{"certificates": encoded(t, entries)}
	for range 3 {
		w.survey()
		turn(t, w, noon)
	}
}

// A root is replaced by an intermediate of another one, and that by a root again. In between, who knows one of the two roots
// verifies what is published.
func TestARootBecomesAnIntermediateAndBack(t *testing.T) {
	t.Parallel()
	w := withRequest(t)
	old, root := parsed(t, w.authorities().Current.Certificate), newScriptedCA(t, "corporate root")
	known := func(now time.Time, roots ...*x509.Certificate) {
		entry := onlyEntry(t, w)
		for _, one := range roots {
			require.NoError(t, verifies(t, parsed(t, entry.Certificate), entry.Chain[1:], one, now), one.Subject)
		}
	}
	below := root.certifyCA(w.act(noon, "get-csr", "common-name", "Below").Results["output"])
	require.Empty(t, w.act(noon, "upload-signed-csr", "pem", text(below), "root-ca", text(root.cert)).Failure)
	known(noon, old)
	w.rotate(noon, "advance")
	now := noon.Add(time.Hour)
	turn(t, w, now)
	require.NoError(t, parsed(t, onlyEntry(t, w).Certificate).CheckSignatureFrom(below))
	known(now, old, root.cert)
	for now = now.AddDate(0, 0, 100); len(w.authorities().Retiring) > 0; now = now.Add(time.Hour) {
		turn(t, w, now)
	}
	w.rotate(now, "start")
	require.NotNil(t, w.authorities().Next)
	known(now, root.cert)
}

// Who knows only the old root verifies also what a CA below the new one signed.
func TestCAsBelowAreKnownThroughTheOldRoot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Config = map[string]any{"intermediate-applications": "etcd"}
	made := newWorld(t).carry(order.RequestAuthority{Generation: 1, Subject: cert.Subject{CommonName: "below"}, KeyType: cert.P256})
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{"vault/0": askFor(t, made.Request, true)}))
	turn(t, w, noon)
	old := parsed(t, w.authorities().Current.Certificate)
	w.rotate(noon, "start", "advance")
	now := noon.Add(time.Hour)
	turn(t, w, now)
	entry := onlyEntry(t, w)
	sub := parsed(t, entry.Certificate)
	require.NotEqual(t, old.Subject.String(), sub.Issuer.String(), "the new root signed it")
	key, err := cert.ParseKey(made.Key)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(5), Subject: pkix.Name{CommonName: "x"}, NotBefore: noon, NotAfter: noon.AddDate(0, 1, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, sub, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	require.NoError(t, verifies(t, leaf, entry.Chain, old, now))
}

// While a rollover is paused, certificates are renewed when their time has come, and no later.
func TestAPausedRolloverLetsNothingExpire(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	w.rotate(noon, "start", "pause", "advance")
	first := etcdLeaf(t, w)
	plan := turn(t, w, noon.AddDate(0, 0, 1))
	require.Equal(t, first.Raw, etcdLeaf(t, w).Raw, "paused")
	require.True(t, plan.Wake.Before(first.NotAfter))
	turn(t, w, noon.AddDate(0, 0, 61))
	require.True(t, etcdLeaf(t, w).NotAfter.After(noon.AddDate(0, 0, 140)))
}

// A pause ends with the rollover that it held up: the next one begins by itself.
func TestAPauseEndsWithItsRollover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Config = map[string]any{"ca-validity": "400d"}
	turn(t, w, noon)
	w.rotate(noon, "start", "pause", "advance", "advance")
	require.Equal(t, 2, w.authorities().Current.Generation)
	turn(t, w, noon.AddDate(0, 0, 350))
	require.NotNil(t, w.authorities().Next)
	require.Equal(t, 3, w.authorities().Next.Generation)
}

func TestAPausedRolloverMovesNowhere(t *testing.T) {
	t.Parallel()
	w, root := intermediate(t), newScriptedCA(t, "root")
	w.certify(t, root)
	w.rotate(noon, "start", "pause")
	w.certify(t, root)
	require.Equal(t, 1, w.authorities().Current.Generation, "the next one's root is trusted already, but the operator said to wait")
	w.rotate(noon, "resume")
	require.Equal(t, 2, w.authorities().Current.Generation)
}

// The CA above must not take the certificate of a CA that retires for given back; nor does an option take it.
func TestRequestsOfCAsInServiceStay(t *testing.T) {
	t.Parallel()
	w, root := intermediate(t), newScriptedCA(t, "root")
	w.certify(t, root)
	shown := func(request string) bool {
		return strings.Contains(w.snap.Relations[1].OwnUnit["certificate_signing_requests"], strings.Split(request, "\n")[3])
	}
	first := w.authorities().Current.Request
	w.rotate(noon, "start")
	w.certify(t, root)
	require.Len(t, w.authorities().Retiring, 1)
	require.True(t, shown(first))

	w.snap.Config = map[string]any{"authority": "embedded"}
	for range 2 {
		w.survey()
		turn(t, w, noon)
	}
	require.True(t, shown(w.authorities().Current.Request))
	require.Contains(t, w.snap.Status.Message, "rollover")
}

// A certificate that is published for nobody any more keeps its CA until it has ended, and no longer.
func TestWhatIsOverKeepsNoCA(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	w.snap.Config = map[string]any{"legacy-dialect": false}
	turn(t, w, noon)
	w.rotate(noon, "start", "advance")
	require.Len(t, w.authorities().Retiring, 1)
	turn(t, w, noon.AddDate(0, 0, 95))
	require.Empty(t, w.authorities().Retiring)
}

// Nothing is wanted again and again while a CA cannot be replaced and nears its end.
func TestAnEndingCAIsNoBusyLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.Config = map[string]any{"listen": "10.0.0.1:8880", "ca-validity": "40d", "certificate-validity": "5d"}
	turn(t, w, noon)
	w.rotate(noon, "start", "pause")
	now := noon
	for range 60 {
		plan := turn(t, w, now)
		if plan.Wake.IsZero() {
			return
		}
		require.True(t, plan.Wake.After(now), "wake %s is not after %s (%s)", plan.Wake, now, w.snap.Status.Message)
		now = plan.Wake
	}
}

// Whatever stands in the record of the CAs, a decision comes of it.
func TestRecordsAreHostileInput(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	w.rotate(noon, "start")
	var good map[string]any
	decoded(t, w.peers().OwnApp["authority"], &good)
	spoilt := func(change map[string]any) any {
		slot := map[string]any{}
		for name, value := range good["current"].(map[string]any) {
			slot[name] = value
		}
		for name, value := range change {
			slot[name] = value
		}
		return slot
	}
	slots := []any{
		nil, good["current"], good["next"], map[string]any{}, map[string]any{"generation": 1}, map[string]any{"generation": -5, "request": "x"},
		spoilt(map[string]any{"generation": 0}), spoilt(map[string]any{"crosses": []string{"x", ""}, "issuers": []string{"y"}}),
		spoilt(map[string]any{"generation": int64(1<<63 - 1)}), spoilt(map[string]any{"certificate": "", "request": "junk"}),
	}
	actions := []*juju.Action{nil}
	for _, step := range []string{"plan", "pause", "advance", "abort", "resume"} {
		actions = append(actions, &juju.Action{Name: "rotate-ca", Params: map[string]any{"step": step}})
	}
	for _, name := range []string{"get-csr", "upload-signed-csr", "get-root-ca", "revoke", "backup"} {
		actions = append(actions, &juju.Action{Name: name, Params: map[string]any{"serial": "12", "pem": text(newScriptedCA(t, "x").cert)}})
	}
	n := 0
	for _, current := range slots {
		for _, next := range slots {
			for at, retiring := range slots {
				record := map[string]any{"current": current, "next": next, "paused": n%2 == 0}
				if retiring != nil {
					record["retiring"] = []any{retiring, slots[(at+3)%len(slots)]}
				}
				snap := w.snap
				snap.Relations = append([]juju.Relation(nil), w.snap.Relations...)
				snap.Relations[0].OwnApp = juju.Bag{"authority": encoded(t, record)}
				snap.Config = map[string]any{"authority": []string{"embedded", "intermediate"}[n%2], "listen": "0.0.0.0:80"}
				snap.Action = actions[n%len(actions)]
				n++
				require.NotPanics(t, func() { decideUnaided(snap) }, "%.400s %+v", snap.Relations[0].OwnApp["authority"], snap.Action)
			}
		}
	}
}

// decideUnaided decides where no order can be carried out.
func decideUnaided(snap juju.Snapshot) {
	var answers []order.Answer
	for range 5 {
		plan := unit.Decide(noon.Add(time.Hour), snap, answers)
		for _, wanted := range plan.Orders {
			answers = append(answers, order.Answer{Order: wanted.ID(), State: order.Failed, Failure: &order.Failure{Code: "test", Message: "no"}})
		}
	}
}

// Until it is known whose the relation with the CA above is, what it shows stays.
func TestRequestsOfCAsStayWhereNothingIsKnown(t *testing.T) {
	t.Parallel()
	for sentence, spoil := range map[string]func(*world){
		"the record is damaged":       func(w *world) { w.snap.Relations[0].OwnApp["authority"] = "{" },
		"there is no peer relation":   func(w *world) { w.snap.Relations = w.snap.Relations[1:] },
		"another unit is to make one": func(w *world) { w.snap.Leader, w.snap.Relations[0].OwnApp = false, juju.Bag{} },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			w := intermediate(t)
			w.certify(t, newScriptedCA(t, "root"))
			shown := func() string {
				for _, relation := range w.snap.On(juju.Requires, "tls-certificates") {
					return relation.OwnUnit["certificate_signing_requests"]
				}
				return ""
			}
			before := shown()
			require.NotEmpty(t, before)
			spoil(w)
			turn(t, w, noon.Add(time.Hour))
			require.Equal(t, before, shown())
		})
	}
}

// That the CA above revokes a CA which is being replaced is what should happen.
func TestARetiringCAMayBeRevokedAbove(t *testing.T) {
	t.Parallel()
	w, root := intermediate(t), newScriptedCA(t, "root")
	w.certify(t, root)
	w.rotate(noon, "start")
	w.certify(t, root)
	old := parsed(t, w.authorities().Retiring[0].Certificate)
	var list []map[string]any
	decoded(t, w.snap.Relations[1].RemoteApplication["certificates"], &list)
	for _, entry := range list {
		entry["revoked"] = parsed(t, entry["certificate"].(string)).Equal(old)
	}
	w.snap.Relations[1].RemoteApplication["certificates"] = encoded(t, list)
	turn(t, w, noon.Add(time.Hour))
	require.Equal(t, juju.Active, w.snap.Status.Level, w.snap.Status.Message)
}

// lostCA is an application that publishes what a CA issued of which nothing is left.
func lostCA(t *testing.T) (*world, *world) {
	before, w := withEtcd(t), newWorld(t)
	w.snap.Relations = append([]juju.Relation(nil), before.snap.Relations...)
	w.snap.Relations[0].OwnApp = nil
	turn(t, w, noon)
	require.Contains(t, w.snap.Status.Message, "the CA is lost although certificates were issued")
	return w, before
}

// A request by hand is no second CA: nothing is issued anew until its answer is there.
func TestALostCAIsReplacedByHandOnly(t *testing.T) {
	t.Parallel()
	w, _ := lostCA(t)
	leaf := etcdLeaf(t, w)
	request := w.act(noon, "get-csr", "common-name", "Below").Results["output"]
	turn(t, w, noon.Add(time.Hour))
	require.Equal(t, leaf.Raw, etcdLeaf(t, w).Raw)
	root := newScriptedCA(t, "root")
	require.Empty(t, w.act(noon, "upload-signed-csr", "pem", text(root.certifyCA(request)), "root-ca", text(root.cert)).Failure)
}

// What a relation certifies, it would certify again. Who brings a certificate by hand is told, and not left in the belief
// that it is in service.
func TestAnUploadDoesNotContendWithARelation(t *testing.T) {
	t.Parallel()
	w, upstream, elsewhere := intermediate(t), newScriptedCA(t, "upstream root"), newScriptedCA(t, "elsewhere root")
	w.certify(t, upstream)
	given := w.authorities().Current.Certificate
	request := w.authorities().Current.Request
	byHand := elsewhere.certifyCA(request)
	require.Contains(t, w.act(noon, "upload-signed-csr", "pem", text(byHand), "root-ca", text(elsewhere.cert)).Failure,
		"upstream certifies CA 1 over a relation and would put its own certificate back: run juju remove-relation signet:upstream upstream first")
	require.Equal(t, given, w.authorities().Current.Certificate)
	require.Empty(t, w.act(noon, "upload-signed-csr", "pem", given).Failure, "what is there may come again, with a root")

	w.snap.Relations = slices.Delete(w.snap.Relations, 1, 2)
	require.Empty(t, w.act(noon, "upload-signed-csr", "pem", text(byHand), "root-ca", text(elsewhere.cert)).Failure)
	require.Equal(t, text(byHand), strings.TrimSpace(w.authorities().Current.Certificate))
	require.False(t, w.authorities().Current.Upstream, "no later relation is shown its request")
}

// The lost CA brought back by import-ca goes on, with what it revoked.
func TestALostCAIsBroughtBack(t *testing.T) {
	t.Parallel()
	w, before := lostCA(t)
	leaf := etcdLeaf(t, w)
	secret, _ := before.snap.Secret("ca-1")
	require.Empty(t, w.decideWith(noon, importCA(), order.Answer{
		Order: order.ReadAuthority{Path: "/x"}.ID(), State: order.Done, Found: order.Found{
			Source: "PEM", Key: cert.NewKey(secret.Content["private-key"]),
			Authority: cert.Authority{Certificate: before.authorities().Current.Certificate},
			Revoked:   []cert.Revocation{{Serial: "1234", Time: noon}},
		},
	}).Failure)
	for range 3 {
		w.survey()
		turn(t, w, noon.Add(time.Minute))
	}
	require.Equal(t, before.authorities().Current.Certificate, w.authorities().Current.Certificate)
	require.Contains(t, w.peers().OwnApp["revoked.1"], "1234")
	require.Equal(t, leaf.Raw, etcdLeaf(t, w).Raw)
}

// An intermediate whose root is not known yet is not left out of chains.
func TestAnIntermediateWithoutItsRootIsInChains(t *testing.T) {
	t.Parallel()
	w, root := withRequest(t), newScriptedCA(t, "corporate root")
	below := root.certifyCA(w.act(noon, "get-csr", "common-name", "Below").Results["output"])
	require.Empty(t, w.act(noon, "upload-signed-csr", "pem", text(below)).Failure)
	w.rotate(noon, "advance")
	now := noon.Add(time.Hour)
	turn(t, w, now)
	entry := onlyEntry(t, w)
	require.NoError(t, verifies(t, parsed(t, entry.Certificate), entry.Chain[1:], root.cert, now))
}

// Nothing of an action with a parameter that is no good is done.
func TestABadParameterDoesNothing(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	w.snap.Action = &juju.Action{Name: "rotate-ca", Params: map[string]any{"step": "bogus"}}
	plan := unit.Decide(noon, w.snap, nil)
	require.Contains(t, plan.Result.Failure, "parameter step")
	require.Empty(t, plan.Orders)

	w.snap.Action = nil
	backup := backupOf(w)
	w.snap.Relations[0].OwnApp["authority"] = "{"
	result := w.decideWith(noon, juju.Action{Name: "restore", Params: map[string]any{"name": "x", "dry-run": "maybe"}}, backup)
	require.Contains(t, result.Failure, "parameter dry-run")
	require.Equal(t, "{", w.peers().OwnApp["authority"])
}
