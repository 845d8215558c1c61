// SPDX-License-Identifier: AGPL-3.0-only

package vault_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// signing reports whether a call has something signed.
func signing(path string) bool { return strings.Contains(path, "sign-verbatim") }

// Each fault has its code and says what to do. A server that fails as a whole is left alone for a while; then it is asked
// again, and the order is met once.
func TestWhatGoesWrongIsSaidAndPasses(t *testing.T) {
	t.Parallel()
	hung := make(chan struct{})
	t.Cleanup(func() { close(hung) })
	for sentence, c := range map[string]struct {
		fault  vaulttest.Fault
		seal   bool
		code   string
		says   string
		passes bool // nobody need do anything
		alone  bool // it is left alone
	}{
		"sealed":                {seal: true, code: "vault-sealed", says: "unseal it", alone: true},
		"a quota":               {fault: vaulttest.Fault{Status: 429, Body: `{"errors":["rate limit quota exceeded"]}`}, code: "vault-busy", says: "quota", passes: true, alone: true},
		"a performance standby": {fault: vaulttest.Fault{Status: 473, Body: `{"errors":[]}`}, code: "vault-standby", passes: true, alone: true},
		"no active node":        {fault: vaulttest.Fault{Status: 500, Body: `{"errors":["local node not active but active cluster node not found"]}`}, code: "vault-standby", passes: true, alone: true},
		"an error of its own":   {fault: vaulttest.Fault{Status: 500, Body: `{"errors":["1 error occurred:\n\t* disk full\n\n"]}`}, code: "vault-error", says: "disk full", passes: true},
		"a proxy's page":        {fault: vaulttest.Fault{Garbage: true}, code: "vault-error", says: "vault-address", passes: true},
		"a proxy's error":       {fault: vaulttest.Fault{Status: 502, Body: "<html>" + strings.Repeat("x", 1<<16)}, code: "vault-standby", passes: true, alone: true},
		"an endless answer":     {fault: vaulttest.Fault{Endless: true}, code: "vault-error", passes: true},
		"a broken connection":   {fault: vaulttest.Fault{Close: true}, code: "vault-unreachable", says: "broke", passes: true, alone: true},
		"no answer":             {fault: vaulttest.Fault{Hang: hung}, code: "vault-slow", says: "in time", passes: true, alone: true},
		"a denial":              {fault: vaulttest.Fault{Status: 403, Body: `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`}, code: "vault-denied", says: "signet vault-policy"},
		"a refusal":             {fault: vaulttest.Fault{Status: 400, Body: `{"errors":["unknown role: signet"]}`}, code: "vault-refused", says: "unknown role: signet"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			fake := vaulttest.NewFake(t, vaulttest.New)
			b := newBench(t, fake)
			carrier := b.open()
			o := catest.ServerOrder(b.signer(carrier))
			if c.seal {
				fake.Seal()
			}
			fake.Fail(func(_, path string) vaulttest.Fault {
				if signing(path) && !c.seal {
					return c.fault
				}
				return vaulttest.Fault{}
			})
			failure, again := b.fails(carrier, o)
			require.Equal(t, c.code, failure.Code, failure.Message)
			require.Contains(t, failure.Message, c.says)
			require.Less(t, len(failure.Message), 700)
			require.Equal(t, c.passes, failure.Passes())
			require.False(t, failure.Final())
			require.Equal(t, c.alone, again.After(b.clock()))
			calls := len(fake.Calls())
			if c.alone {
				second, _ := b.fails(carrier, o)
				require.Equal(t, failure, second)
				require.Len(t, fake.Calls(), calls, "it is left alone")
			}
			fake.Fail(nil)
			if c.seal {
				fake.Unseal()
			}
			b.later(10 * time.Minute)
			b.done(carrier, o)
			require.Equal(t, 1, b.issues(o.ID()))
		})
	}
}

// A reply that is lost is looked for, also after a crash, and however the call ended: one order, one certificate.
func TestALostAnswerIsFoundAgain(t *testing.T) {
	t.Parallel()
	for sentence, fault := range map[string]vaulttest.Fault{
		"the connection broke": {Carried: true, Close: true}, "a proxy answered": {Carried: true, Garbage: true},
		"an error came instead": {Carried: true, Status: http.StatusInternalServerError, Body: `{"errors":["internal error"]}`},
	} {
		for _, age := range []vaulttest.Age{vaulttest.Old, vaulttest.New} {
			t.Run(sentence+", "+age.String(), func(t *testing.T) {
				t.Parallel()
				fake := vaulttest.NewFake(t, age)
				b := newBench(t, fake)
				carrier := b.open()
				signer := b.signer(carrier)
				b.done(carrier, catest.ServerOrder(signer)) // somebody else's
				legacy := catest.ServerOrder(signer)
				legacy.Ask = "another"
				request := legacy
				request.KeyType, request.Spec = "", cert.Spec{Kind: cert.Server, ServerAuth: true, Life: time.Hour}
				request.Spec.Request, _ = catest.Request(t, false)
				for _, o := range []order.Sign{legacy, request} {
					before := len(fake.Certificates("pki"))
					fake.Fail(func(_, path string) vaulttest.Fault {
						if signing(path) {
							return fault
						}
						return vaulttest.Fault{}
					})
					b.fails(carrier, o)
					fake.Fail(nil)
					b.later(10 * time.Minute)
					answer := b.done(b.open(), o)
					require.Len(t, fake.Certificates("pki"), before+1)
					require.Equal(t, 1, b.issues(o.ID()))
					catest.Judge(t, answer.Issued)
				}
			})
		}
	}
}

// An address that does not serve is passed over, and the one that does is asked first from then on.
func TestAddressesAreTriedInTurn(t *testing.T) {
	t.Parallel()
	fake, other := vaulttest.NewFake(t, vaulttest.New), vaulttest.NewFake(t, vaulttest.New)
	b := newBench(t, fake)
	other.Seal()
	b.vault.Addresses = []string{"https://127.0.0.1:1", other.Address(), fake.Address()}
	b.vault.CA = other.CA() + fake.CA()
	carrier := b.open()
	signer := b.signer(carrier)
	asked := len(other.Calls())
	require.Positive(t, asked)
	b.done(carrier, catest.ServerOrder(signer))
	require.Len(t, other.Calls(), asked)

	fake.Seal()
	o := catest.ServerOrder(signer)
	o.Ask = "another"
	failure, _ := b.fails(carrier, o)
	require.Equal(t, "vault-sealed", failure.Code)
}

func TestNobodyIsTrustedButVaultsOwnCA(t *testing.T) {
	t.Parallel()
	fake, other := vaulttest.NewFake(t, vaulttest.New), vaulttest.NewFake(t, vaulttest.New)
	b := newBench(t, fake)
	for sentence, trusted := range map[string]string{"another CA": other.CA(), "the machine's": ""} {
		b.vault.CA = trusted
		failure, _ := b.fails(b.open(), b.rootOrder())
		require.Equal(t, "vault-tls", failure.Code, sentence)
		require.Contains(t, failure.Message, "set vault-ca")
	}
	b.vault.CA, b.vault.Addresses = fake.CA(), []string{strings.Replace(fake.Address(), "127.0.0.1", "localhost", 1)}
	failure, _ := b.fails(b.open(), b.rootOrder())
	require.Equal(t, "vault-tls", failure.Code, "another name")
	require.Empty(t, fake.Calls())
	b.vault.Addresses = []string{strings.Replace(fake.Address(), "https", "http", 1)}
	failure, _ = b.fails(b.open(), b.rootOrder())
	require.Equal(t, "vault-config", failure.Code)
}

// What an operator's shell says of Vaults is not this program's business.
func TestTheEnvironmentIsNotAsked(t *testing.T) {
	fake := vaulttest.NewFake(t, vaulttest.New)
	b := newBench(t, fake)
	for name, value := range map[string]string{
		"VAULT_ADDR": "https://127.0.0.1:1", "VAULT_TOKEN": "s.environment", "VAULT_NAMESPACE": "elsewhere", "VAULT_SKIP_VERIFY": "true",
		"VAULT_HEADERS": `{"X-Custom": "1"}`, "VAULT_WRAP_TTL": "60s",
	} {
		t.Setenv(name, value)
	}
	carrier := b.open()
	b.done(carrier, catest.ServerOrder(b.signer(carrier)))
}

// A certificate that is not what was ordered is revoked and nobody's, and Vault is not asked for another one at once.
func TestWhatComesBackWrongIsNobodys(t *testing.T) {
	t.Parallel()
	fake := vaulttest.NewFake(t, vaulttest.New)
	b := newBench(t, fake)
	carrier := b.open()
	signer := b.signer(carrier)
	_, err := fake.Root().Logical().WriteWithContext(t.Context(), "pki/root/generate/internal", map[string]any{
		"common_name": "somebody else", "key_type": "ec", "key_bits": 256, "ttl": "43800h",
	})
	require.NoError(t, err)
	listed, err := fake.Root().Logical().ListWithContext(t.Context(), "pki/issuers")
	require.NoError(t, err)
	own := signer.Vault.Issuer
	for _, issuer := range listed.Data["keys"].([]any) { //nolint:forcetypeassert // a test
		if issuer != own {
			signer.Vault.Issuer = issuer.(string) //nolint:forcetypeassert // a test
		}
	}
	o := catest.ServerOrder(signer)
	failure, _ := b.fails(carrier, o)
	require.True(t, failure.Final())
	require.Contains(t, failure.Message, "the authority did not sign it")
	made := fake.Certificates("pki")
	b.fails(carrier, o)
	require.Len(t, fake.Certificates("pki"), len(made))
	require.Zero(t, b.issues(o.ID()))
	revoked := fake.Calls()
	require.Contains(t, revoked, "PUT pki/revoke")
}
