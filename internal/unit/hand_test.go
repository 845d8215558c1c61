// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// signedByHand is an application whose certificates an operator signs, with one requirer of each dialect: etcd as relation
// 7, web as relation 8.
func signedByHand(t *testing.T) *world {
	w := newWorld(t)
	w.snap.Config = map[string]any{"authority": "manual"}
	web := legacyRelation(8, map[string]juju.Bag{"web/0": askFor(t, newRequest(t, "web.example.com"), false)})
	web.RemoteApp = "web"
	w.snap.Relations = append(w.snap.Relations,
		legacyRelation(7, map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"}}), web)
	turn(t, w, noon)
	return w
}

// at gives the world's CA another clock.
func (w *world) at(now time.Time) {
	w.authority = ca.New(ca.Config{Store: w.folder.Secrets(), Journal: w.folder.Journal(), Now: func() time.Time { return now }})
}

type listed struct {
	CSR        string `json:"csr"`
	Relation   int    `json:"relation_id"`
	Unit       string `json:"unit_name"`
	CommonName string `json:"common_name"`
	Since      string `json:"requested_at"`
	Hash       string `json:"sha256"`
	Ends       string `json:"renews_end"`
}

func (w *world) outstanding(t *testing.T, now time.Time) []listed {
	result := w.act(now, "get-outstanding-certificate-requests")
	require.Empty(t, result.Failure)
	var list []listed
	require.NoError(t, json.Unmarshal([]byte(result.Results["result"]), &list))
	return list
}

// signAs signs a request as an operator does who looks at what the request says.
func (ca *scriptedCA) signAs(one listed, now time.Time, spoil func(*x509.Certificate)) *x509.Certificate {
	return ca.issue(one.CSR+"\n", now, func(c *x509.Certificate) {
		c.SerialNumber = new(big.Int).Add(new(big.Int).SetBytes(append([]byte{0x40}, ca.cert.SubjectKeyId[:12]...)), big.NewInt(ca.next))
		c.BasicConstraintsValid, c.KeyUsage = true, x509.KeyUsageDigitalSignature
		if len(c.ExtKeyUsage) == 0 {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}
		if spoil != nil {
			spoil(c)
		}
	})
}

func in64(certificates ...*x509.Certificate) string {
	return base64.StdEncoding.EncodeToString([]byte(cert.EncodeCertificates(certificates...)))
}

func TestAnOperatorSignsWhatIsOutstanding(t *testing.T) {
	t.Parallel()
	w := signedByHand(t)
	atRest(t, w, noon)
	require.Equal(t, juju.Blocked, w.snap.Status.Level)
	require.Contains(t, w.snap.Status.Message, "3 requests wait for an operator to sign: run get-outstanding-certificate-requests")
	require.Empty(t, w.snap.Relations[1].OwnUnit["ca"], "nobody knows the CA yet")
	for _, relation := range w.snap.Relations[1:] {
		require.NotContains(t, encoded(t, relation), "PRIVATE KEY")
	}

	list := w.outstanding(t, noon.Add(time.Hour))
	require.Len(t, list, 3)
	require.Equal(t, list, w.outstanding(t, noon.Add(2*time.Hour)), "a request stays the same while it waits")
	outer := newScriptedCA(t, "outer")
	var signed []*x509.Certificate
	for _, one := range list {
		require.Equal(t, "2026-11-23T12:00:00Z", one.Since)
		require.Len(t, one.Hash, 64)
		signed = append(signed, outer.signAs(one, noon, nil))
	}
	trial := w.act(noon, "provide-certificate", "certificate", in64(signed...), "ca-certificate", in64(outer.cert), "dry-run", "true")
	require.Contains(t, trial.Failure, "parameter dry-run", "its type is checked")

	result := w.act(noon, "provide-certificate", "certificate", in64(signed...), "ca-certificate", in64(outer.cert))
	require.Empty(t, result.Failure)
	require.Equal(t, "3", result.Results["count"])
	require.Equal(t, "Certificates successfully provided.", result.Results["result"])
	require.Equal(t, juju.Active, w.snap.Status.Level, w.snap.Status.Message)
	require.Contains(t, w.snap.Status.Message, "2 certificates, next renewal in 2w, CA 5y")
	require.Equal(t, text(outer.cert)+"\n", w.snap.Relations[1].OwnUnit["ca"])
	leaf := etcdLeaf(t, w)
	require.NoError(t, verifies(t, leaf, nil, outer.cert, noon))
	require.True(t, cert.KeyMatches(cert.NewKey(w.snap.Relations[1].OwnUnit["etcd_0.server.key"]), leaf))
	require.Contains(t, w.snap.Relations[2].OwnApp["certificates"], strings.ReplaceAll(text(outer.cert), "\n", `\n`))
	for key := range w.peers().OwnApp {
		require.NotContains(t, key, "outstanding.", "nothing is kept of what was answered")
	}
	require.Empty(t, w.outstanding(t, noon))
	again := w.act(noon, "provide-certificate", "certificate", in64(signed[0]))
	require.Empty(t, again.Failure)
	require.Contains(t, again.Results["provided"], "is in service already")
}

// Whatever is wrong is refused with its reason, by itself; nothing else changes.
func TestWhatAnOperatorBringsIsCompared(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		spoil  func(*x509.Certificate)
		params []string
		reason string
	}{
		"other names":        {func(c *x509.Certificate) { c.DNSNames = []string{"evil.example.com"} }, nil, `the names are ["evil.example.com"], not ["web.example.com"]`},
		"another subject":    {func(c *x509.Certificate) { c.RawSubject, c.Subject.CommonName = nil, "evil" }, nil, `the subject is "CN=evil"`},
		"other usages":       {func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) }, nil, "the extended key usage is serverAuth,clientAuth, not serverAuth"},
		"another key usage":  {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, nil, "the key usage is keyAgreement, not digitalSignature"},
		"a CA's":             {func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }, nil, "CA:false"},
		"a small number":     {func(c *x509.Certificate) { c.SerialNumber = big.NewInt(7) }, nil, "the serial number is not positive, of more than 64 bits"},
		"it has ended":       {func(c *x509.Certificate) { c.NotBefore, c.NotAfter = noon.AddDate(0, -2, 0), noon.AddDate(0, -1, 0) }, nil, "it ended at 2026-10-23"},
		"it begins later":    {func(c *x509.Certificate) { c.NotBefore = noon.AddDate(0, 0, 9) }, nil, "it begins at 2026-12-02"},
		"it outlives its CA": {func(c *x509.Certificate) { c.NotAfter = noon.AddDate(9, 0, 0) }, nil, "it outlives the authority"},
		"another relation's": {nil, []string{"relation-id", "7"}, "the request for its key is of relation 8, not 7"},
		"another unit's":     {nil, []string{"unit-name", "web/1"}, "the request for its key is web/0's, not web/1's"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			w := signedByHand(t)
			w.at(noon)
			outer := newScriptedCA(t, "outer")
			var good, bad *x509.Certificate
			for _, one := range w.outstanding(t, noon) {
				switch {
				case one.Relation == 8:
					bad = outer.signAs(one, noon, c.spoil)
				case one.Unit == "etcd/0":
					good = outer.signAs(one, noon, nil)
				}
			}
			before := w.snap
			params := append([]string{"ca-certificate", in64(outer.cert), "certificate"}, in64(bad))
			result := w.actTyped(noon, "provide-certificate", append(params, c.params...)...)
			require.Contains(t, result.Failure, c.reason)
			require.Equal(t, before.Relations, w.snap.Relations, "nothing changes, the CA is not taken up either")
			if len(c.params) > 0 {
				return
			}
			result = w.act(noon, "provide-certificate", "ca-certificate", in64(outer.cert), "certificate", in64(bad, good))
			require.Contains(t, result.Failure, c.reason)
			require.Equal(t, "1", result.Results["count"], "what is right is put in service")
			require.Contains(t, result.Results["provided"], "etcd/0")
			require.Equal(t, text(outer.cert)+"\n", w.snap.Relations[1].OwnUnit["ca"], "though the client certificate that all share is not there")
			require.NoError(t, verifies(t, etcdLeaf(t, w), nil, outer.cert, noon))
			require.Empty(t, w.snap.Relations[2].OwnApp["certificates"])
			require.NotContains(t, w.snap.Relations[2].OwnApp["request_errors"], "wrong", "its request still waits")
			atRest(t, w, noon)
		})
	}
}

// The order of usages means nothing, and more of what a company's CA writes does no harm.
func TestUsagesHaveNoOrder(t *testing.T) {
	t.Parallel()
	w := signedByHand(t)
	w.at(noon)
	outer := newScriptedCA(t, "outer")
	for _, one := range w.outstanding(t, noon) {
		if one.Unit == "etcd/0" {
			leaf := outer.signAs(one, noon, func(c *x509.Certificate) {
				c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
				c.NotAfter = noon.AddDate(2, 0, 0)
				c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 311, 20, 2}, Value: []byte{0x0c, 0x01, 'a'}}}
			})
			require.Empty(t, w.act(noon, "provide-certificate", "ca-certificate", in64(outer.cert), "certificate", in64(leaf)).Failure)
			require.Equal(t, leaf.Raw, etcdLeaf(t, w).Raw)
		}
	}
}

// actTyped is act with numbers where a parameter's value is one.
func (w *world) actTyped(now time.Time, name string, params ...string) juju.Result {
	action := juju.Action{Name: name, Params: map[string]any{}}
	for i := 0; i < len(params); i += 2 {
		var value any = params[i+1]
		if len(params[i+1]) < 6 {
			var typed any
			if json.Unmarshal([]byte(params[i+1]), &typed) == nil {
				value = typed
			}
		}
		action.Params[params[i]] = value
	}
	return *w.decideWith(now, action)
}

func TestADryRunOfProvidingChangesNothing(t *testing.T) {
	t.Parallel()
	w := signedByHand(t)
	w.at(noon)
	outer := newScriptedCA(t, "outer")
	one := w.outstanding(t, noon)[0]
	before, lines := w.snap, journalLines(t, w)
	for range 2 {
		result := w.actTyped(noon, "provide-certificate", "certificate", in64(outer.signAs(one, noon, nil)), "ca-certificate", in64(outer.cert), "dry-run", "true")
		require.Empty(t, result.Failure)
		require.Equal(t, "dry run: nothing was changed", result.Results["result"])
		require.Equal(t, "1", result.Results["count"])
		result = w.actTyped(noon, "provide-certificate", "certificate", in64(outer.signAs(one, noon, func(c *x509.Certificate) { c.DNSNames = nil; c.IPAddresses = nil; c.KeyUsage = 0 })),
			"ca-certificate", in64(outer.cert), "dry-run", "true")
		require.Contains(t, result.Failure, "the key usage is none, not digitalSignature")
	}
	require.Equal(t, before, w.snap)
	require.Equal(t, lines, journalLines(t, w), "the CA has nothing to record")
}

func journalLines(t *testing.T, w *world) int {
	lines, _, err := w.folder.Journal().Head()
	require.NoError(t, err)
	return lines
}

// Another unit that leads goes on with the same requests and keys.
func TestAnyLeaderGoesOnWithWhatIsOutstanding(t *testing.T) {
	t.Parallel()
	w := signedByHand(t)
	outer := newScriptedCA(t, "outer")
	list := w.outstanding(t, noon)
	next := newWorld(t)
	snap := w.snap
	snap.Unit, snap.State, snap.Local = "signet/1", nil, nil
	next.snap = snap
	for i := range next.snap.Relations[1:] { // unit databags are each unit's own
		next.snap.Relations[1+i].OwnUnit = juju.Bag{}
	}
	next.at(noon)
	require.Equal(t, list, next.outstanding(t, noon.Add(time.Hour)))
	var signed []*x509.Certificate
	for _, one := range list {
		signed = append(signed, outer.signAs(one, noon, nil))
	}
	require.Empty(t, next.act(noon, "provide-certificate", "certificate", in64(signed...), "ca-certificate", in64(outer.cert)).Failure)
	require.True(t, cert.KeyMatches(cert.NewKey(next.snap.Relations[1].OwnUnit["etcd_0.server.key"]), etcdLeaf(t, next)))
}

// provided signs all that waits.
func (w *world) provided(t *testing.T, by *scriptedCA, now time.Time, more ...*x509.Certificate) {
	w.at(now)
	var signed []*x509.Certificate
	for _, one := range w.outstanding(t, now) {
		signed = append(signed, by.signAs(one, now, nil))
	}
	result := w.act(now, "provide-certificate", "certificate", in64(signed...), "ca-certificate", in64(by.cert), "ca-chain", in64(append(more, by.cert)...))
	require.Empty(t, result.Failure)
}

// In the legacy dialect nobody but the provider thinks of renewals.
func TestRenewalsAreOutstandingInTime(t *testing.T) {
	t.Parallel()
	w := signedByHand(t)
	outer := newScriptedCA(t, "outer")
	w.provided(t, outer, noon)
	first := w.snap.Relations[1].OwnUnit["etcd_0.server.key"]
	at := noon
	for range 40 {
		if at = turn(t, w, at).Wake; w.snap.Status.Level != juju.Active || strings.Contains(w.snap.Status.Message, "wait for") {
			break
		}
	}
	require.Equal(t, juju.Active, w.snap.Status.Level)
	require.Contains(t, w.snap.Status.Message, "2 renewals wait for an operator to sign, the first certificate ends on 2026-12-23")
	now := noon.AddDate(0, 0, 21)
	list := w.outstanding(t, now)
	require.Len(t, list, 2)
	require.Equal(t, "2026-12-23T12:00:00Z", list[0].Ends)
	tenth := etcdLeaf(t, w).NotAfter.Add(-etcdLeaf(t, w).NotAfter.Sub(etcdLeaf(t, w).NotBefore) / 10)
	for next := turn(t, w, now).Wake; !next.After(tenth); next = turn(t, w, now).Wake {
		require.Equal(t, juju.Active, w.snap.Status.Level)
		now = next
	}
	require.Equal(t, tenth, now, "it is seen at once that there is little time left")
	require.Equal(t, juju.Blocked, w.snap.Status.Level, w.snap.Status.Message)
	for _, same := range w.outstanding(t, noon.AddDate(0, 0, 27))[:2] {
		require.Contains(t, []string{list[0].CSR, list[1].CSR}, same.CSR)
	}
	w.provided(t, outer, noon.AddDate(0, 0, 28))
	require.Equal(t, first, w.snap.Relations[1].OwnUnit["etcd_0.server.key"], "the key stays, as with any other CA")
	require.True(t, etcdLeaf(t, w).NotAfter.After(noon.AddDate(0, 0, 50)))
}

// The CA that signs may change: below the same root at once, else once the next one is trusted.
func TestTheOperatorsCAMayChange(t *testing.T) {
	t.Parallel()
	w := signedByHand(t)
	root := newScriptedCA(t, "root")
	one, two, other := root.below("one"), root.below("two"), newScriptedCA(t, "other")
	require.Empty(t, w.act(noon, "provide-certificate", "ca-certificate", in64(other.cert)).Failure)
	known := w.act(noon, "provide-certificate", "ca-certificate", in64(one.cert))
	require.Empty(t, known.Failure)
	require.Nil(t, w.authorities().Next, "nothing was issued: the wrong one makes room at once")
	require.Contains(t, known.Results["note"], "the root of the CA's chain is not known yet")
	w.provided(t, one, noon, root.cert)
	require.Equal(t, text(root.cert)+"\n", w.snap.Relations[1].OwnUnit["ca"], "the root came later")
	first := w.authorities().Current.Generation

	require.Empty(t, w.act(noon, "provide-certificate", "ca-certificate", in64(two.cert), "ca-chain", in64(root.cert)).Failure)
	require.Equal(t, first+1, w.authorities().Current.Generation)
	waiting := w.outstanding(t, noon)
	require.Len(t, waiting, 3, "certificates of the CA that was replaced are to be replaced")
	for by, reason := range map[*scriptedCA]string{
		one: fmt.Sprintf("CA %d signed it, which CA %d took the place of", first, first+1), other: `"CN=other" signed it, not the CA in force, "CN=two"`,
	} {
		strange := by.signAs(waiting[0], noon, nil)
		require.Contains(t, w.act(noon, "provide-certificate", "certificate", in64(strange), "ca-certificate", in64(by.cert)).Failure, reason)
	}
	w.provided(t, two, noon.Add(time.Hour), root.cert)
	require.Empty(t, w.outstanding(t, noon.Add(time.Hour)))
	require.NoError(t, verifies(t, etcdLeaf(t, w), []string{text(two.cert)}, root.cert, noon.Add(time.Hour)))

	later := noon.Add(2 * time.Hour)
	w.at(later)
	result := w.act(later, "provide-certificate", "certificate", in64(other.issue(newRequest(t, "x.example.com"), noon, nil)), "ca-certificate", in64(other.cert))
	require.Contains(t, result.Failure, "no outstanding request is for its key")
	result = w.act(later, "provide-certificate", "ca-certificate", in64(other.cert))
	require.Contains(t, result.Results["rollover"], fmt.Sprintf("CA %d is to be trusted", first+2))
	early := other.signAs(waiting[0], later, nil)
	require.NotEmpty(t, w.act(later, "renew", "all", "true").Failure, "its type is checked")
	require.Empty(t, w.actTyped(later, "renew", "all", "true").Failure)
	require.Contains(t, w.act(later, "provide-certificate", "certificate", in64(early)).Failure, "which is only being made known")
	require.Contains(t, w.act(later, "provide-certificate", "ca-certificate", in64(root.below("four").cert)).Failure, "a rollover to CA")
	require.Contains(t, w.snap.Relations[1].OwnUnit["ca"], text(other.cert))
	w.rotate(later, "advance")
	require.Len(t, w.outstanding(t, later), 3)
	w.provided(t, other, later)
	require.NoError(t, verifies(t, etcdLeaf(t, w), nil, other.cert, later))
	require.Contains(t, w.act(later, "rotate-ca").Failure, "the next CA is made elsewhere")
	require.Contains(t, w.act(later, "get-csr").Failure, "made elsewhere")
}

// What was begun with a CA of its own goes on until the operator's is trusted, and the way back is the same.
func TestFromAnotherAuthorityAndBack(t *testing.T) {
	t.Parallel()
	w := withEtcd(t)
	w.snap.Config = map[string]any{"authority": "manual"}
	turn(t, w, noon)
	require.Contains(t, w.snap.Status.Message, "a new CA is planned (authority changed)")
	outer := newScriptedCA(t, "outer")
	require.Empty(t, w.act(noon, "provide-certificate", "ca-certificate", in64(outer.cert)).Failure)
	w.rotate(noon, "advance")
	w.provided(t, outer, noon)
	require.NoError(t, verifies(t, etcdLeaf(t, w), nil, outer.cert, noon))
	w.snap.Config = map[string]any{}
	w.rotate(noon.Add(time.Hour), "start", "advance")
	for hours := range 8 {
		turn(t, w, noon.Add(time.Duration(2+hours)*time.Hour))
	}
	require.NoError(t, verifies(t, etcdLeaf(t, w), nil, parsed(t, w.authorities().Current.Certificate), noon.Add(9*time.Hour)))
	require.Equal(t, juju.Active, w.snap.Status.Level, w.snap.Status.Message)

	unused := newWorld(t)
	turn(t, unused, noon)
	unused.snap.Config = map[string]any{"authority": "manual"}
	turn(t, unused, noon)
	require.Empty(t, unused.authorities().Current.Certificate, "nobody has to trust what issued nothing")
	require.Contains(t, unused.snap.Status.Message, "no outstanding requests")
}

// A key that waits outlives a secret that cannot be read for a while, and a relation that is not shown for a while; not one that
// is gone.
func TestKeysThatWaitAreNotLost(t *testing.T) {
	t.Parallel()
	w := signedByHand(t)
	list, held := w.outstanding(t, noon), w.peers().OwnApp["sealed.outstanding.7"]
	require.Contains(t, held, "PRIVATE KEY", "the agent seals it")
	secrets := w.snap.Secrets
	w.snap.Secrets = nil
	for _, secret := range secrets {
		secret.Content = nil
		w.snap.Secrets = append(w.snap.Secrets, secret)
	}
	bag := w.peers().OwnApp
	bag["sealed.outstanding.7"] = "v1:ciphertext"
	turn(t, w, noon.Add(time.Hour))
	require.Equal(t, "v1:ciphertext", w.peers().OwnApp["sealed.outstanding.7"], "what cannot be read now is not written over")
	w.peers().OwnApp["sealed.outstanding.7"], w.snap.Secrets = held, secrets
	turn(t, w, noon.Add(2*time.Hour))
	require.Equal(t, held, w.peers().OwnApp["sealed.outstanding.7"])
	require.Equal(t, list, w.outstanding(t, noon.Add(2*time.Hour)))

	etcd := w.snap.Relations[1]
	w.snap.Relations = append(w.snap.Relations[:1:1], w.snap.Relations[2:]...)
	turn(t, w, noon.Add(3*time.Hour))
	require.Equal(t, held, w.peers().OwnApp["sealed.outstanding.7"], "perhaps it is not shown only")
	for hours := range 3 {
		turn(t, w, noon.AddDate(0, 0, 2).Add(time.Duration(hours)*time.Hour))
	}
	require.NotContains(t, w.peers().OwnApp, "sealed.outstanding.7")

	w.snap.Relations = append(w.snap.Relations, etcd)
	now := noon.AddDate(0, 0, 3)
	turn(t, w, now)
	require.NotEmpty(t, w.peers().OwnApp["sealed.outstanding.7"])
	w.snap.Relations[2].RemoteUnits = map[string]juju.Bag{}
	turn(t, w, now)
	require.NotContains(t, w.peers().OwnApp["sealed.outstanding.7"], "etcd_0", "nobody asks for it any more")
}

// An application that was another charm with a CA elsewhere goes on with what that published.
func TestFromAnotherCharmWhoseOperatorSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	outer, request := newScriptedCA(t, "outer"), newRequest(t, "web.example.com")
	leaf := outer.signAs(listed{CSR: strings.TrimSpace(request)}, noon, nil)
	web := legacyRelation(8, map[string]juju.Bag{"web/0": askFor(t, request, false)})
	web.OwnApp = juju.Bag{"certificates": encoded(t, []any{outer.entry(strings.TrimSpace(request), leaf)})}
	w.snap.Config = map[string]any{"authority": "manual"}
	w.snap.Relations = append(w.snap.Relations, web)
	turn(t, w, noon)
	require.Equal(t, juju.Blocked, w.snap.Status.Level)
	require.Contains(t, w.snap.Status.Message, "run provide-certificate with its ca-certificate")
	require.Equal(t, web.OwnApp["certificates"], w.snap.Relations[1].OwnApp["certificates"])
	require.Empty(t, w.act(noon, "provide-certificate", "ca-certificate", in64(outer.cert)).Failure)
	require.Equal(t, juju.Active, w.snap.Status.Level, w.snap.Status.Message)
	require.Equal(t, text(leaf), strings.TrimSpace(onlyEntry(t, w).Certificate))
	require.Empty(t, w.outstanding(t, noon))
	require.Contains(t, w.act(noon, "revoke", "name", "web.example.com", "reason", "cessationOfOperation").Results["note"], "revoke them there, too")
	require.True(t, onlyEntry(t, w).Revoked)
}

// Without secrets there is no place for a key that waits; requests that come with their own are served.
func TestWithoutSecretsNoKeyWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snap.CanSecrets, w.snap.Config = false, map[string]any{"authority": "manual"}
	w.snap.Relations = append(w.snap.Relations,
		legacyRelation(7, map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"}}),
		legacyRelation(8, map[string]juju.Bag{"web/0": askFor(t, newRequest(t, "web.example.com"), false)}))
	turn(t, w, noon)
	require.Len(t, w.outstanding(t, noon), 1)
	require.NotContains(t, encoded(t, w.snap), "PRIVATE KEY")
}
