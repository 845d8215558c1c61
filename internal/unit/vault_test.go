// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/vault"
	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/unit"
)

const vaultSecret = "secret:d0q2p5vmp25c76gh2l9g"

// withVault is a leader whose authority is a Vault, and one consumer of each dialect.
func withVault(t *testing.T, age vaulttest.Age, authority string) (*world, *vaulttest.Fake) {
	t.Helper()
	fake := vaulttest.NewFake(t, age)
	fake.SetNow(func() time.Time { return noon })
	grant := vault.Setup{Name: "signet", Mount: "pki", Role: "signet", LoginMount: "approle", MayCreate: true}
	fake.Mount("pki")
	_, err := fake.Root().Logical().WriteWithContext(t.Context(), "pki/roles/signet", map[string]any{"max_ttl": "9600h"})
	require.NoError(t, err)
	credentials := fake.AppRole("signet", grant.Policy())
	w := newWorld(t)
	w.vault = vault.New(vault.Config{Embedded: w.authority, Now: func() time.Time { return noon }})
	w.snap.Config = map[string]any{
		"authority": authority, "vault-address": fake.Address(), "vault-ca": fake.CA(), "vault-credentials": vaultSecret,
	}
	w.snap.Given = map[string]juju.Given{vaultSecret: {Content: map[string]string{"role-id": credentials.RoleID, "secret-id": credentials.SecretID}}}
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{"etcd/0": serverRequest("10.0.0.1")}),
		legacyRelation(8, map[string]juju.Bag{"web/0": askFor(t, newRequest(t, "web.example.com"), false)}))
	w.snap.Relations[2].RemoteApp = "web"
	return w, fake
}

func serverRequest(name string) juju.Bag {
	return juju.Bag{"unit_name": "etcd_0", "common_name": name, "certificate_name": "c", "sans": `["` + name + `"]`}
}

func listedSerials(t *testing.T, list string) []string {
	t.Helper()
	read := cert.ParseCRL(list)
	require.NotNil(t, read)
	var serials []string
	for _, entry := range read.RevokedCertificateEntries {
		serials = append(serials, cert.SerialText(entry.SerialNumber))
	}
	return serials
}

// Vault's CA serves both dialects. Its key is nowhere here, and a unit that does not lead asks Vault nothing.
func TestVaultIsTheAuthority(t *testing.T) {
	t.Parallel()
	for _, age := range []vaulttest.Age{vaulttest.Old, vaulttest.New} {
		w, fake := withVault(t, age, "vault")
		plan := turn(t, w, noon)
		require.Equal(t, juju.Active, w.snap.Status.Level, w.snap.Status.Message)
		for _, secret := range w.snap.Secrets {
			require.NotEqual(t, "ca-1", secret.Label)
		}
		require.Equal(t, noon.Add(10*time.Minute), plan.Wake, "what Vault has revoked is asked for")
		require.True(t, cert.IssuedBy(etcdLeaf(t, w), parsed(t, w.authorities().Current.Certificate)))
		require.NotEmpty(t, onlyAnswer(t, w).Certificate)
		require.Contains(t, w.peers().OwnApp["crl.1"], "X509 CRL")
		again := turn(t, w, noon)
		require.True(t, again.Changes.Empty(), "%+v", again.Changes)

		calls := len(fake.Calls())
		w.snap.Leader = false
		turn(t, w, noon)
		require.Len(t, fake.Calls(), calls)
		require.Equal(t, juju.Active, w.snap.Status.Level, w.snap.Status.Message)
	}
}

func onlyAnswer(t *testing.T, w *world) csrEntry {
	t.Helper()
	var list []csrEntry
	decoded(t, w.snap.Relations[2].OwnApp["certificates"], &list)
	require.Len(t, list, 1)
	return list[0]
}

// What was issued stays as it is while Vault serves nothing, the status says why, and a new ask waits.
func TestWhatWasIssuedOutlivesVault(t *testing.T) {
	t.Parallel()
	w, fake := withVault(t, vaulttest.New, "vault")
	turn(t, w, noon)
	before := w.snap.Relations[1].OwnUnit
	fake.Seal()
	w.snap.Relations = append(w.snap.Relations, legacyRelation(9, map[string]juju.Bag{"late/0": serverRequest("10.0.0.9")}))
	w.snap.Relations[3].RemoteApp = "late"
	plan := turn(t, w, noon)
	require.Equal(t, juju.Blocked, w.snap.Status.Level)
	require.Contains(t, w.snap.Status.Message, "is sealed: unseal it")
	require.Equal(t, before, w.snap.Relations[1].OwnUnit)
	require.True(t, plan.Wake.After(noon))
	require.True(t, plan.Wake.Before(noon.Add(time.Minute)), plan.Wake)
	require.Equal(t, vaultMade, madeBy(w), "nobody else signs")
}

const vaultMade = "pki"

// madeBy is the mount of the CA in service; empty for a CA of this application's own.
func madeBy(w *world) string {
	_, rest, found := strings.Cut(w.peers().OwnApp["authority"], `"vault":{"mount":"`)
	if !found {
		return ""
	}
	mount, _, _ := strings.Cut(rest, `"`)
	return mount
}

// Credentials that are missing, not granted, half or of another kind are said, each with what to do.
func TestVaultsCredentialsAreSaidToBeMissing(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		change func(*world)
		says   string
	}{
		"no address":   {func(w *world) { delete(w.snap.Config, "vault-address") }, "set vault-address"},
		"no secret":    {func(w *world) { delete(w.snap.Config, "vault-credentials") }, "run juju add-secret vault role-id=… secret-id=…"},
		"not granted":  {func(w *world) { w.snap.Given[vaultSecret] = juju.NotGranted(vaultSecret, "signet") }, "run juju grant-secret d0q2p5vmp25c76gh2l9g signet"},
		"half of it":   {func(w *world) { delete(w.snap.Given[vaultSecret].Content, "secret-id") }, "has the members role-id: give it role-id with secret-id or"},
		"too much":     {func(w *world) { w.snap.Given[vaultSecret].Content["wrapped-token"] = "s.token" }, "wrapped-token alone"},
		"no URI":       {func(w *world) { w.snap.Config["vault-credentials"] = "hunter2-hunter2" }, "is not the URI of a secret"},
		"a plain URL":  {func(w *world) { w.snap.Config["vault-address"] = "http://vault:8200" }, "is not a URL such as https://"},
		"no PEM":       {func(w *world) { w.snap.Config["vault-ca"] = "/etc/ssl/ca.pem" }, "vault-ca=@ca.pem"},
		"a wild mount": {func(w *world) { w.snap.Config["vault-mount"] = "../sys" }, "is not a path of Vault's"},
		"a wild role":  {func(w *world) { w.snap.Config["vault-role"] = "server=a/b" }, "is neither a role nor"},
	} {
		w, fake := withVault(t, vaulttest.New, "vault")
		c.change(w)
		turn(t, w, noon)
		require.Equal(t, juju.Blocked, w.snap.Status.Level, sentence)
		require.Contains(t, w.snap.Status.Message, c.says, sentence)
		require.NotContains(t, w.snap.Status.Message, "hunter2", sentence)
		if strings.Contains(w.snap.Status.Message, "cannot log in") { // an option that is no good has its last value, or the default
			require.Empty(t, w.peers().OwnApp["authority"]+strings.Join(fake.Calls(), ""), sentence)
		}
	}
}

// What was behind a wrapping token is kept at once, and never asked for again.
func TestWhatIsUnwrappedIsKept(t *testing.T) {
	t.Parallel()
	w, fake := withVault(t, vaulttest.New, "vault")
	given := w.snap.Given[vaultSecret].Content
	given["wrapped-secret-id"] = fake.Wrap("auth/approle/role/signet/secret-id", nil)
	delete(given, "secret-id")
	turn(t, w, noon)
	require.Equal(t, juju.Active, w.snap.Status.Level, w.snap.Status.Message)
	kept, found := w.snap.Secret("vault")
	require.True(t, found)
	require.NotContains(t, kept.Content["unwrapped-from"], given["wrapped-secret-id"])
	turn(t, w, noon)
	unwrapped := slices.DeleteFunc(fake.Calls(), func(call string) bool { return call != "PUT sys/wrapping/unwrap" })
	require.Len(t, unwrapped, 1)
}

// What Vault gives once is kept even where the turn's action fails.
func TestWhatIsUnwrappedOutlivesAFailedAction(t *testing.T) {
	t.Parallel()
	w, fake := withVault(t, vaulttest.New, "vault")
	turn(t, w, noon)
	given := w.snap.Given[vaultSecret].Content
	given["wrapped-secret-id"] = fake.Wrap("auth/approle/role/signet/secret-id", nil)
	delete(given, "secret-id")
	require.NotEmpty(t, w.act(noon, "revoke", "name", "nobody").Failure)
	_, found := w.snap.Secret("vault")
	require.True(t, found)
}

// A record that is lost finds the CA in Vault again. Where that is lost too, no other one takes its place.
func TestALostRecordFindsVaultsCA(t *testing.T) {
	t.Parallel()
	w, fake := withVault(t, vaulttest.Old, "vault")
	turn(t, w, noon)
	before := etcdLeaf(t, w)
	ca := w.authorities().Current.Certificate
	w.snap.Relations[0].OwnApp = juju.Bag{}
	turn(t, w, noon)
	require.Equal(t, ca, w.authorities().Current.Certificate)
	require.Equal(t, before, etcdLeaf(t, w))

	fake.Mount("elsewhere")
	w.snap.Relations[0].OwnApp = juju.Bag{}
	w.snap.Config["vault-mount"] = "elsewhere"
	_, err := fake.Root().Logical().WriteWithContext(t.Context(), "sys/policies/acl/signet", map[string]any{
		"policy": `path "elsewhere/*" { capabilities = ["read", "update", "list"] }`,
	})
	require.NoError(t, err)
	turn(t, w, noon)
	require.Contains(t, w.snap.Status.Message, "signet makes no second one by itself")
	require.Equal(t, before, etcdLeaf(t, w))
}

// The responder that every unit signs OCSP responses with is certified by Vault.
func TestVaultCertifiesTheResponder(t *testing.T) {
	t.Parallel()
	for _, age := range []vaulttest.Age{vaulttest.Old, vaulttest.New} {
		w, _ := withVault(t, age, "vault")
		w.snap.Config["listen"] = "0.0.0.0:8880"
		turn(t, w, noon)
		require.Equal(t, juju.Active, w.snap.Status.Level, w.snap.Status.Message)
		secret, found := w.snap.Secret("ocsp-1")
		require.True(t, found)
		responder := parsed(t, secret.Content["certificate"])
		require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, responder.ExtKeyUsage)
		require.True(t, cert.IssuedBy(responder, parsed(t, w.authorities().Current.Certificate)))
		require.True(t, turn(t, w, noon).Changes.Empty())
	}
}

// Where nothing was issued another authority takes over at once; where something was, it is planned.
func TestAuthorityMovesToVault(t *testing.T) {
	t.Parallel()
	w, _ := withVault(t, vaulttest.New, "embedded")
	asking := w.snap.Relations
	w.snap.Relations = asking[:1:1]
	turn(t, w, noon)
	require.Empty(t, madeBy(w))
	w.snap.Config["authority"] = "vault"
	turn(t, w, noon)
	require.Equal(t, vaultMade, madeBy(w))
	require.Equal(t, 2, w.authorities().Current.Generation)

	w, fake := withVault(t, vaulttest.New, "embedded")
	turn(t, w, noon)
	own := etcdLeaf(t, w)
	w.snap.Config["authority"] = "vault"
	turn(t, w, noon)
	require.Empty(t, madeBy(w))
	require.Contains(t, w.snap.Status.Message, "a new CA is planned (authority changed): run rotate-ca")
	require.Empty(t, fake.Calls())
	w.rotate(noon, "start", "advance")
	require.Equal(t, vaultMade, madeBy(w))
	require.NotEqual(t, own.SerialNumber, etcdLeaf(t, w).SerialNumber)

	w, fake = withVault(t, vaulttest.New, "embedded")
	w.snap.Relations = w.snap.Relations[:1:1]
	turn(t, w, noon)
	fake.Seal()
	w.snap.Config["authority"] = "vault"
	w.snap.Relations = append(w.snap.Relations, legacyRelation(7, map[string]juju.Bag{"etcd/0": serverRequest("10.0.0.1")}))
	turn(t, w, noon)
	require.Contains(t, w.snap.Status.Message, "is sealed")
	require.Empty(t, w.snap.Relations[1].OwnUnit["etcd_0.server.cert"], "the own CA signs nothing in Vault's place")
}

// Whoever operates Vault may change what it keeps: another certificate of the same key is taken up, another CA is not, before
// the operator of signet says so.
func TestVaultChangesUnderneath(t *testing.T) {
	t.Parallel()
	w, fake := withVault(t, vaulttest.Old, "vault")
	turn(t, w, noon)
	before := etcdLeaf(t, w)
	_, err := fake.Root().Logical().DeleteWithContext(t.Context(), "pki/root")
	require.NoError(t, err)
	fake.MakeRoot("pki")
	w.snap.Relations = append(w.snap.Relations, legacyRelation(9, map[string]juju.Bag{"late/0": serverRequest("10.0.0.9")}))
	turn(t, w, noon)
	require.Equal(t, juju.Blocked, w.snap.Status.Level)
	require.Contains(t, w.snap.Status.Message, "another one has its place in Vault's mount pki: run rotate-ca")
	require.Equal(t, before, etcdLeaf(t, w))
	require.Empty(t, w.snap.Relations[3].OwnUnit["etcd_0.server.cert"])
	w.rotate(noon, "start", "advance")
	require.Contains(t, etcdLeaf(t, w).Issuer.String(), "CA of pki")
	require.NotEmpty(t, w.snap.Relations[3].OwnUnit["etcd_0.server.cert"])
}

// A revoked certificate is on Vault's list, which is published.
func TestVaultRevokes(t *testing.T) {
	t.Parallel()
	w, _ := withVault(t, vaulttest.Old, "vault")
	turn(t, w, noon)
	serial := cert.SerialText(etcdLeaf(t, w).SerialNumber)
	require.Empty(t, w.act(noon, "revoke", "serial", serial).Failure)
	require.NotEqual(t, serial, cert.SerialText(etcdLeaf(t, w).SerialNumber))
	require.Equal(t, []string{serial}, listedSerials(t, w.peers().OwnApp["crl.1"]))
}

// A Vault order that the core gives twice in one turn would be carried twice.
func TestVaultIsAskedOnceATurn(t *testing.T) {
	t.Parallel()
	w, _ := withVault(t, vaulttest.New, "vault")
	turn(t, w, noon)
	w.rotate(noon, "start")
	plan := unit.Decide(noon, w.snap, nil)
	seen := map[order.ID]bool{}
	for _, wanted := range plan.Orders {
		require.False(t, seen[wanted.ID()], "%T", wanted)
		seen[wanted.ID()] = true
	}
	require.Len(t, seen, 2, "both CAs are asked about")
}
