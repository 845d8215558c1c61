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
const abreast = 16

// rate is what one slice of time came to, a second.
func rate(slice time.Duration, atOnce int, sign func(n int64) error) (float64, error) {
	var group sync.WaitGroup
	var done atomic.Int64
	var failed atomic.Pointer[error]
	began := time.Now()
	for range atOnce {
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

// Issuing through Vault, with everything that holds for every certificate here, keeps up with a client that has Vault sign one
// request after the other and does nothing else. Slices of both alternate, so that what else the machine does falls on both.
// How many Vault signs for several such clients is told too: with Vault on the same machine, each check of signet's takes
// time from Vault.
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
	const rounds = 7
	var alone, crowd, issued, ratios []float64
	for range rounds {
		served++
		for list, measured := range map[*[]float64]struct {
			atOnce int
			sign   func(int64) error
		}{&alone: {1, raw}, &crowd: {abreast, raw}, &issued: {abreast, through}} {
			found, err := rate(1500*time.Millisecond, measured.atOnce, measured.sign)
			require.NoError(t, err)
			*list = append(*list, found)
		}
		last := len(alone) - 1
		ratios = append(ratios, issued[last]/alone[last])
	}
	median := func(list []float64) float64 {
		slices.Sort(list)
		return list[len(list)/2]
	}
	t.Logf("Vault signs %.0f/s for a client that asks one after the other, %.0f/s for %d at once; through signet %.0f/s: %.2f of the first (%.2f to %.2f)",
		median(alone), median(crowd), abreast, median(issued), median(ratios), ratios[0], ratios[rounds-1])
	require.GreaterOrEqual(t, median(ratios), 0.9)
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
