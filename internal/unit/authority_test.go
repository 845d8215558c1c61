// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/unit"
)

// authorities is what the peer relation says of the CAs, as far as tests look.
type authorities struct {
	Current  authoritySlot
	Next     *authoritySlot
	Retiring []authoritySlot
}

type authoritySlot struct {
	Generation           int
	Certificate, Request string
	Issuers, Crosses     []string
	Upstream             bool
}

func (w *world) authorities() authorities {
	var found authorities
	require.NoError(w.t, json.Unmarshal([]byte(w.peers().OwnApp["authority"]), &found))
	return found
}

// act takes the turn of an action, and those after it until nothing changes.
func (w *world) act(now time.Time, name string, params ...string) juju.Result {
	w.snap.Action = &juju.Action{Name: name, Params: map[string]any{}}
	for i := 0; i < len(params); i += 2 {
		w.snap.Action.Params[params[i]] = params[i+1]
	}
	plan := turn(w.t, w, now)
	require.NotNil(w.t, plan.Result, "an action ends with an answer")
	w.snap.Action = nil
	for range 4 {
		w.survey()
		if turn(w.t, w, now).Changes.Empty() {
			break
		}
	}
	return *plan.Result
}

// Seven months pass for a CA that lives 80 days. Its consumer is served at every moment, and trusts each next CA before
// that one signs.
func TestTheCAIsReplacedBeforeItsEnd(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.ca.snap.Config = map[string]any{"ca-validity": "80d", "certificate-validity": "12d"}
	now := noon
	p.settle(now)
	first := p.ca.authorities().Current.Certificate
	for now.Before(noon.AddDate(0, 7, 0)) {
		next := juju.Earliest(p.wake, p.caWake)
		require.True(t, next.After(now), "no turn is wanted again and again")
		p.served(next.Add(-time.Second))
		now = next
		p.settle(now)
		p.served(now)
		require.LessOrEqual(t, len(p.ca.authorities().Retiring), 1)
	}
	last := p.ca.authorities().Current
	require.NotEqual(t, first, last.Certificate)
	require.InDelta(t, 212/56, last.Generation, 2)
	require.NotContains(t, p.ca.snap.Relations[1].OwnApp["certificates"], strings.TrimSpace(strings.ReplaceAll(first, "\n", `\n`)))
}

// A consumer that says whom it trusts need not be waited for; one that says nothing is.
func TestTheNextCASignsWhenAllTrustIt(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.settle(noon)
	require.Empty(t, p.ca.act(noon, "rotate-ca").Failure)
	p.settle(noon)
	require.Nil(t, p.ca.authorities().Next, "the node has said that it trusts the next one")
	require.Equal(t, 2, p.ca.authorities().Current.Generation)

	silent := withEtcd(t)
	require.Empty(t, silent.act(noon, "rotate-ca").Failure)
	require.NotNil(t, silent.authorities().Next)
	turn(t, silent, noon.Add(23*time.Hour))
	require.NotNil(t, silent.authorities().Next)
	turn(t, silent, noon.Add(25*time.Hour))
	require.Nil(t, silent.authorities().Next)
	require.Equal(t, 2, silent.authorities().Current.Generation)
}

// fleet is a CA with two applications of so many units each.
func fleet(t *testing.T, units int, options map[string]any) *world {
	w := newWorld(t)
	w.snap.Config = options
	for id, app := range map[int]string{7: "etcd", 8: "web"} {
		bags := map[string]juju.Bag{}
		for n := range units {
			bags[fmt.Sprintf("%s/%d", app, n)] = juju.Bag{"unit_name": fmt.Sprintf("%s_%d", app, n), "common_name": fmt.Sprintf("10.0.%d.%d", id, n)}
		}
		relation := legacyRelation(id, bags)
		relation.RemoteApp = app
		w.snap.Relations = append(w.snap.Relations, relation)
	}
	turn(t, w, noon)
	return w
}

// changed counts, by application, the units whose server certificate differs.
func changed(before, after *world) map[string]int {
	count := map[string]int{}
	for i, relation := range after.snap.Relations[1:] {
		for key, value := range relation.OwnUnit {
			if strings.HasSuffix(key, ".server.cert") && before.snap.Relations[i+1].OwnUnit[key] != value {
				count[relation.RemoteApp]++
			}
		}
	}
	return count
}

func TestRenewalsComeInWaves(t *testing.T) {
	t.Parallel()
	w := fleet(t, 12, map[string]any{
		"renewals-per-hour": int64(4), "renewal-interval": "10m", "maintenance-window": "22:00-04:00",
	})
	start := *w
	now, inHour := noon.AddDate(0, 0, 50), map[int64]int{}
	total := 0
	for now.Before(noon.AddDate(0, 0, 75)) {
		before := *w
		plan := turn(t, w, now)
		for app, units := range changed(&before, w) {
			require.LessOrEqual(t, units, 1, "%s at %s", app, now)
			require.True(t, now.UTC().Hour() >= 22 || now.UTC().Hour() < 4, "%s is in the window", now)
			inHour[now.Unix()/3600] += units
			total += units
		}
		require.True(t, plan.Wake.After(now))
		now = plan.Wake
	}
	require.Equal(t, map[string]int{"etcd": 12, "web": 12}, changed(&start, w), "all have their turn")
	require.Equal(t, 24, total)
	for hour, count := range inHour {
		require.LessOrEqual(t, count, 8, "hour %d", hour) // a rolling hour touches two of the clock's
	}
}

// What has hardly any life left waits for nobody.
func TestUrgentRenewalsDoNotWait(t *testing.T) {
	t.Parallel()
	w := fleet(t, 5, map[string]any{"maintenance-window": "Sun 22:00-23:00", "renewals-per-hour": int64(1)})
	before := *w
	turn(t, w, noon.AddDate(0, 0, 85))
	require.Equal(t, map[string]int{"etcd": 5, "web": 5}, changed(&before, w))
}

func TestWhatIsIssuedInCirclesIsCut(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	before := w.snap.Relations[1].OwnUnit["etcd_0.server.cert"]
	key := ledger.Entry{For: `relation 7 etcd/0 server certificate "10.0.0.1"`, Names: []string{"etcd.example.com", "10.0.0.1"}}.Key()
	w.survey()
	w.snap.Local[provider.RepeatedKey+key] = noon.Add(20 * time.Minute).Format(time.RFC3339)
	w.snap.Relations[1].RemoteUnits["etcd/0"] = juju.Bag{"unit_name": "etcd_0", "common_name": "10.0.0.1", "sans": `["etcd.example.com"]`}
	plan := turn(t, w, noon)
	require.Equal(t, before, w.snap.Relations[1].OwnUnit["etcd_0.server.cert"])
	require.Equal(t, juju.Waiting, w.snap.Status.Level)
	require.Contains(t, w.snap.Status.Message, "1 certificate asked for in circles")
	require.Equal(t, noon.Add(20*time.Minute), plan.Wake)
	turn(t, w, plan.Wake)
	require.NotEqual(t, before, w.snap.Relations[1].OwnUnit["etcd_0.server.cert"])
}

// The self-signed-certificates charm is refreshed to signet: its CA goes on, and what it issued stays.
func TestTheCAOfSelfSignedCertificatesIsTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca := newScriptedCA(t, "self-signed-certificates-operator")
	key, err := cert.EncodeKey(ca.key)
	require.NoError(t, err)
	w.snap.Secrets = []juju.Secret{{
		URI: "secret:x", Label: "active-ca-certificates", Owner: juju.OwnedByApplication,
		Content: map[string]string{"private-key": key.Reveal(), "ca-certificate": text(ca.cert)},
	}}
	request := strings.TrimSpace(newRequest(t, "web.example.com"))
	relation := legacyRelation(7, map[string]juju.Bag{
		"web/0": {"certificate_signing_requests": encoded(t, []map[string]any{{"certificate_signing_request": request, "ca": false}})},
	})
	leaf := ca.issue(request, noon.Add(-time.Hour), func(c *x509.Certificate) { c.ExtKeyUsage = nil })
	relation.OwnApp = juju.Bag{"certificates": encoded(t, []map[string]any{ca.entry(request, leaf)})}
	w.snap.Relations = append(w.snap.Relations, relation)
	turn(t, w, noon)
	atRest(t, w, noon)
	require.Equal(t, strings.TrimSpace(w.authorities().Current.Certificate), text(ca.cert))
	require.JSONEq(t, relation.OwnApp["certificates"], w.snap.Relations[1].OwnApp["certificates"])
	secret, found := w.snap.Secret("ca-1")
	require.True(t, found)
	require.Equal(t, key.Reveal(), secret.Content["private-key"])
}

// On a Juju without secrets the CA that EasyRSA left in its leader settings lies on the unit's own disk from then on.
func TestEasyRSAIsTakenOverWithoutSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.CanSecrets = false
	ca := newScriptedCA(t, "10.0.0.1")
	key, err := cert.EncodeKey(ca.key)
	require.NoError(t, err)
	w.snap.Leftovers = map[string]string{"certificate_authority": text(ca.cert), "certificate_authority_key": key.Reveal()}
	turn(t, w, noon)
	w.snap.Leftovers = nil
	w.survey()
	turn(t, w, noon)
	atRest(t, w, noon)
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.9"}}))
	turn(t, w, noon)
	leaf, err := cert.Parse(w.snap.Relations[1].OwnUnit["etcd_0.server.cert"])
	require.NoError(t, err)
	require.NoError(t, leaf.CheckSignatureFrom(ca.cert))
	require.NotContains(t, w.peers().OwnApp["authority"], "PRIVATE")
}

func newRequest(t *testing.T, name string) string {
	return newWorld(t).carry(order.MakeRequest{
		Name: "x", Kind: cert.Server, CommonName: name, Names: cert.Names{DNS: []string{name}}, KeyType: cert.P256,
	}).Request
}

// intermediate is a CA that waits to be certified, related to an upstream as relation 9.
func intermediate(t *testing.T) *world {
	w := newWorld(t)
	w.snap.Config = map[string]any{"authority": "intermediate"}
	w.snap.Relations = append(w.snap.Relations, provides(9, "upstream"), legacyRelation(7, map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"},
	}))
	turn(t, w, noon)
	return w
}

// A provider that speaks the legacy dialect only makes the CA's key. It goes into a secret, and nowhere else.
func TestALegacyProviderMayCertifyTheCA(t *testing.T) {
	t.Parallel()
	w := intermediate(t)
	upstream := &w.snap.Relations[1]
	require.NotContains(t, upstream.OwnUnit, "intermediate_cert_requests", "keys in relation data only where there is no other way")
	root := newScriptedCA(t, "root")
	upstream.RemoteUnits = map[string]juju.Bag{"upstream/0": {"ca": text(root.cert)}}
	turn(t, w, noon)
	upstream = &w.snap.Relations[1]
	var asked map[string]any
	decoded(t, upstream.OwnUnit["intermediate_cert_requests"], &asked)
	require.Len(t, asked, 1)
	made := root.below("test signet CA G1")
	key, err := cert.EncodeKey(made.key)
	require.NoError(t, err)
	answers := map[string]any{}
	for name := range asked {
		answers[name] = map[string]string{"cert": text(made.cert), "key": key.Reveal()}
	}
	upstream.RemoteUnits["upstream/0"]["signet_0.processed_intermediate_requests"] = encoded(t, answers)
	for range 3 {
		turn(t, w, noon)
		w.survey()
	}
	atRest(t, w, noon)
	require.Equal(t, strings.TrimSpace(w.authorities().Current.Certificate), text(made.cert))
	leaf, err := cert.Parse(w.snap.Relations[2].OwnUnit["etcd_0.server.cert"])
	require.NoError(t, err)
	require.NoError(t, leaf.CheckSignatureFrom(made.cert))
	require.Equal(t, text(root.cert), strings.TrimSpace(w.snap.Relations[2].OwnUnit["ca"]))
	require.NotContains(t, w.peers().OwnApp["authority"], "PRIVATE KEY")
	secret, found := w.snap.Secret("ca-1")
	require.True(t, found)
	require.Equal(t, key.Reveal(), secret.Content["private-key"])
}

// The root of the CA's chain arrives later than the rest, and by another way. Nobody is given another certificate.
func TestARootThatArrivesLaterIsPutInOrder(t *testing.T) {
	t.Parallel()
	w := intermediate(t)
	root := newScriptedCA(t, "root")
	upper := root.below("upper")
	lower := upper.below("lower")
	var items []struct {
		Request string `json:"certificate_signing_request"`
	}
	decoded(t, w.snap.Relations[1].OwnUnit["certificate_signing_requests"], &items)
	require.Len(t, items, 1)
	mine := lower.issue(items[0].Request, noon, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		c.ExtKeyUsage, c.NotAfter = nil, noon.AddDate(3, 0, 0)
	})
	w.snap.Relations[1].RemoteApplication = juju.Bag{"certificates": encoded(t, []map[string]any{{
		"certificate_signing_request": items[0].Request, "certificate": text(mine), "ca": text(lower.cert),
		"chain": []string{text(upper.cert), text(mine), text(lower.cert)}, // in no order
	}})}
	turn(t, w, noon)
	atRest(t, w, noon)
	before := w.snap.Relations[2].OwnUnit
	require.Equal(t, text(upper.cert), strings.TrimSpace(before["ca"]), "the last that is known")

	w.snap.Relations = append(w.snap.Relations, juju.Relation{
		ID: 11, Endpoint: juju.Endpoint{Name: "receive-ca-cert", Interface: dialect.TransferInterface, Role: juju.Requires},
		RemoteApp: "root", RemoteApplication: juju.Bag{"certificates": encoded(t, []string{text(root.cert)}), "version": "1"},
	})
	for range 3 {
		turn(t, w, noon)
		w.survey()
	}
	after := w.snap.Relations[2].OwnUnit
	require.Equal(t, text(root.cert), strings.TrimSpace(after["ca"]))
	require.Equal(t, before["etcd_0.server.cert"], after["etcd_0.server.cert"])
	chain, err := cert.ParseCertificates(after["chain"])
	require.NoError(t, err)
	require.Len(t, chain, 4, "this CA, two above it, the root")
}

// Every action ends with an answer, whatever its parameters are, and whatever it finds.
func TestActionsAreTotal(t *testing.T) {
	t.Parallel()
	for _, action := range []string{
		"get-csr", "upload-signed-csr", "rotate-ca", "get-root-ca", "revoke", "import-ca", "backup", "restore", "list-backups", "delete-backup", "no-such",
	} {
		for name, params := range map[string]map[string]any{
			"no parameters":       nil,
			"of the wrong type":   {"pem": 7, "step": true, "serial": []any{"x"}, "relation": "x", "path": 1, "name": 2, "force": "yes", "all": "no"},
			"that are no good":    {"pem": "junk", "step": "jump", "serial": "xyz", "path": "/nowhere", "name": "../x", "common-name": strings.Repeat("x", 100)},
			"that look plausible": {"pem": "LS0t", "step": "pause", "serial": "01", "path": "/root/ca", "name": "signet.age", "common-name": "CA", "recipients": "age1x"},
		} {
			for where, open := range map[string]func() *world{
				"without a CA": func() *world { return newWorld(t) }, "with one": func() *world { return withEtcd(t) },
				"not leading": func() *world { w := withEtcd(t); w.snap.Leader = false; return w },
				"damaged": func() *world {
					w := newWorld(t)
					w.snap.Relations[0].OwnApp = juju.Bag{"authority": "{", "revoked.1": "["}
					return w
				},
			} {
				t.Run(fmt.Sprintf("%s %s %s", action, name, where), func(t *testing.T) {
					t.Parallel()
					w := open()
					before := w.peers().OwnApp["authority"]
					w.snap.Action = &juju.Action{Name: action, Params: params}
					plan := turn(t, w, noon)
					require.NotNil(t, plan.Result)
					require.Equal(t, plan.Result.Failure == "", len(plan.Result.Results) > 0)
					require.NotContains(t, plan.Result.Failure, "PRIVATE KEY")
					if plan.Result.Failure != "" && before != "" {
						require.Equal(t, before, w.peers().OwnApp["authority"], "what fails changes nothing: %s", plan.Result.Failure)
					}
					w.snap.Action = nil
					w.survey()
					turn(t, w, noon)
					w.survey()
					atRest(t, w, noon)
				})
			}
		}
	}
}

// What a unit serves is what stands in the peer relation, the same on each.
func TestEveryUnitServesTheSame(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	w.snap.Config = map[string]any{"listen": "0.0.0.0:8880", "certificate-validity": "90d"}
	plan := turn(t, w, noon)
	require.Equal(t, "0.0.0.0:8880", plan.Serve.Listen)
	require.Len(t, plan.Serve.Authorities, 1)
	require.Contains(t, plan.Serve.Authorities[0].CRL, "X509 CRL")
	require.False(t, plan.Serve.Authorities[0].ResponderKey.IsZero())

	standby := newWorld(t)
	standby.snap.Unit, standby.snap.Leader, standby.snap.Config = "signet/1", false, w.snap.Config
	standby.snap.Secrets, standby.snap.Relations[0].OwnApp = w.snap.Secrets, w.peers().OwnApp
	require.Equal(t, plan.Serve, unit.Decide(noon, standby.snap, nil).Serve)
}
