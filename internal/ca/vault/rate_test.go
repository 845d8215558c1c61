// SPDX-License-Identifier: AGPL-3.0-only

package vault_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
	"github.com/signet-charm/signet/internal/cert"
)

// abreast is how many signatures agents have made side by side.
const abreast = 8

// rate is what one slice of time came to.
func rate(slice time.Duration, sign func(n int64) error) (float64, error) {
	var group sync.WaitGroup
	var done atomic.Int64
	var failed atomic.Pointer[error]
	began := time.Now()
	for range abreast {
		group.Go(func() {
			for time.Since(began) < slice && failed.Load() == nil {
				if err := sign(done.Add(1)); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(began).Seconds(), nil
}

// Issuing through Vault, with everything that holds every certificate here, keeps up with what Vault can sign by itself for
// the same client. Slices of both alternate, so that what else the machine does falls on both.
func TestVaultIsTheLimit(t *testing.T) {
	if os.Getenv("SIGNET_VAULT") == "" {
		t.Skip("SIGNET_VAULT names no Vault server: make e2e-vault builds one and runs this test")
	}
	server := vaulttest.Start(t)
	b := newBench(t, server)
	carrier := b.open()
	signer := b.signer(carrier)
	client := server.Client(server.Login(vaulttest.Credentials{RoleID: b.vault.RoleID.Reveal(), SecretID: b.vault.SecretID.Reveal()}))
	request := plainRequest(t)
	raw := func(int64) error { return signRaw(t, client, request) }
	served := int64(0)
	through := func(n int64) error {
		answer := carrier.Carry(t.Context(), another(catest.ServerOrder(signer), fmt.Sprint(served, "/", n)))
		if answer.Failure != nil {
			return answer.Failure
		}
		return nil
	}
	var ratios, raws, throughs []float64
	const rounds = 7
	for range rounds {
		served++
		r, err := rate(2*time.Second, raw)
		require.NoError(t, err)
		s, err := rate(2*time.Second, through)
		require.NoError(t, err)
		raws, throughs, ratios = append(raws, r), append(throughs, s), append(ratios, s/r)
	}
	for _, list := range [][]float64{ratios, raws, throughs} {
		slices.Sort(list)
	}
	median := ratios[rounds/2]
	t.Logf("%d at once: Vault alone signs %.0f/s, through signet %.0f/s: %.2f of it (%.2f to %.2f)",
		abreast, raws[rounds/2], throughs[rounds/2], median, ratios[0], ratios[rounds-1])
	require.GreaterOrEqual(t, median, 0.9)
}

func signRaw(t *testing.T, client *api.Client, request string) error {
	_, err := client.Logical().WriteWithContext(t.Context(), "pki/sign-verbatim/signet", map[string]any{
		"csr": request, "ttl": "3600s", "key_usage": []string{"DigitalSignature"}, "ext_key_usage": []string{"ServerAuth"},
	})
	return err
}

func plainRequest(t *testing.T) string {
	t.Helper()
	key, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"etcd-0"}}, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}
