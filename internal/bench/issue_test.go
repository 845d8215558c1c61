// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/provider"
)

// issuing holds the embedded authority's whole pipeline (reserve, lint, sign, read back, record) against signing alone, on
// all cores, by CAs of two key types, for requests and for keys that are made on the way.
func (r *run) issuing(t *testing.T) {
	for _, c := range []struct {
		id      string
		keyType cert.KeyType
		request bool
	}{
		{issueRequests, cert.P256, true},
		{issueKeys, cert.P256, false},
		{issueRSA, cert.RSA2048, true},
		{issueRSAKeys, cert.RSA2048, false},
	} {
		t.Run(c.id, func(t *testing.T) {
			var m, other meter
			whole := newIssuer(t, c.keyType, c.request, m.system(true))
			single := newIssuer(t, c.keyType, c.request, other.system(true))
			diskless := newIssuer(t, c.keyType, c.request, other.system(false))
			syncs := m.syncs.Load()
			var pipeline, undisturbed, alone, bare pace
			const slices = 4 // in turn, so that whatever else the machine does slows all of them
			for range slices {
				bare.add(t, r.Issuing/slices, runtime.GOMAXPROCS(0), 1, whole.bare())
				pipeline.add(t, r.Issuing/slices, 1, together, whole.issue(together))
				undisturbed.add(t, r.Issuing/slices, 1, together, diskless.issue(together))
				alone.add(t, r.Issuing/slices, 1, 1, single.issue(1))
			}
			perCertificate := float64(m.syncs.Load()-syncs) / float64(whole.issued.Load())
			of := bare.rate()
			r.put(c.id, figure{Value: pipeline.rate() / of, Details: map[string]float64{
				"per_second": pipeline.rate(), "bare_per_second": of, "without_disk_per_second": undisturbed.rate(),
				"one_after_the_other_per_second": alone.rate(), "syncs_each": perCertificate,
			}, Note: fmt.Sprintf("%s/s of %s/s; without waiting for the disk %s x, one after the other %s x",
				thousands(int(pipeline.rate())), thousands(int(of)), shown(undisturbed.rate()/of, ""), shown(alone.rate()/of, ""))})
		})
	}
}

// together is how many orders are given at once, as a turn does in a storm.
const together = provider.MaxSignatures

// pace is how often something was done.
type pace struct {
	done int64
	took time.Duration
}

func (p *pace) rate() float64 { return float64(p.done) / p.took.Seconds() }

// add does something over and over, by so many side by side, so many at once each, for a time.
func (p *pace) add(t *testing.T, long time.Duration, workers, atOnce int, do func() error) {
	t.Helper()
	var done atomic.Int64
	var group errgroup.Group
	begin := time.Now()
	for range workers {
		group.Go(func() error {
			for time.Since(begin) < long {
				if err := do(); err != nil {
					return err
				}
				done.Add(int64(atOnce))
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	p.done += done.Load()
	p.took += time.Since(begin)
}

// issuer is an embedded authority with a disk, and what is ordered of it.
type issuer struct {
	t         *testing.T
	authority *ca.Embedded
	signer    order.Signer
	requests  []string // taken in turn; none where the authority makes the keys
	issued    atomic.Int64
}

func newIssuer(t *testing.T, keyType cert.KeyType, requests bool, system disk.System) *issuer {
	t.Helper()
	folder, err := disk.OpenOn(filepath.Join(t.TempDir(), "state"), system)
	require.NoError(t, err)
	i := &issuer{t: t, authority: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()})}
	answer := i.authority.Carry(t.Context(), order.CreateAuthority{
		Generation: 1, CommonName: "signet CA", KeyType: keyType, NotBefore: time.Now().Add(-time.Hour), Life: 10 * 365 * 24 * time.Hour,
	})
	require.Nil(t, answer.Failure)
	i.signer = order.Signer{Authority: answer.Authority, Key: answer.Key}
	for n := range 64 {
		if requests {
			i.requests = append(i.requests, request(t, fmt.Sprintf("web-%d", n)))
		}
	}
	return i
}

// wanted is the order with a number.
func (i *issuer) wanted(number int64) order.Sign {
	unit := fmt.Sprintf("web/%d", number)
	wanted := order.Sign{
		For: "certificates:3 " + unit, Ask: "3/" + unit, Asker: order.Asker{Relation: 3, App: "web", Unit: unit},
		Spec:   cert.Spec{Kind: cert.Server, ServerAuth: true, Life: 90 * 24 * time.Hour},
		Signer: i.signer, NotBefore: time.Now().Add(-time.Minute),
	}
	if len(i.requests) > 0 {
		wanted.Spec.Request = i.requests[number%int64(len(i.requests))]
		return wanted
	}
	wanted.KeyType, wanted.Spec.CommonName = cert.P256, fmt.Sprintf("web-%d", number)
	wanted.Spec.Names = cert.Names{DNS: []string{wanted.Spec.CommonName, wanted.Spec.CommonName + ".svc.cluster.local"}}
	return wanted
}

// issue gives so many orders at once.
func (i *issuer) issue(atOnce int) func() error {
	return func() error {
		wanted := make([]order.Sign, atOnce)
		for n := range wanted {
			wanted[n] = i.wanted(i.issued.Add(1))
		}
		for _, answer := range i.authority.SignAll(context.Background(), wanted...) {
			if answer.Failure != nil {
				return answer.Failure
			}
		}
		return nil
	}
}

// bare is x509.CreateCertificate alone, by the same CA's key for a certificate that says the same. The key of the
// certificate is there.
func (i *issuer) bare() func() error {
	i.t.Helper()
	parent, err := cert.Parse(i.signer.Certificate)
	require.NoError(i.t, err)
	key, err := cert.ParseKey(i.signer.Key)
	require.NoError(i.t, err)
	var public crypto.PublicKey
	wanted := i.wanted(0)
	if wanted.Spec.Request == "" {
		subject, err := cert.P256.Generate(rand.Reader)
		require.NoError(i.t, err)
		public = subject.Public()
	}
	template, err := cert.Template(wanted.Spec, parent, public, big.NewInt(1), time.Now())
	require.NoError(i.t, err)
	return func() error {
		_, err := x509.CreateCertificate(rand.Reader, template, parent, template.PublicKey, key)
		return err
	}
}
