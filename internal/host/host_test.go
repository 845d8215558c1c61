// SPDX-License-Identifier: AGPL-3.0-only

package host_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/host"
	"github.com/signet-charm/signet/internal/order"
)

// programs plays the machine's programs and writes down what ran.
type programs struct {
	ran    []string
	loaded []string // services that systemd knows
	output string
	err    error
}

func (p *programs) run(_ context.Context, program string, args ...string) (string, error) {
	line := strings.Join(append([]string{program}, args...), " ")
	if strings.HasPrefix(line, "systemctl show ") {
		for _, service := range p.loaded {
			if strings.HasSuffix(line, " "+service) {
				return "loaded\n", nil
			}
		}
		return "not-found\n", nil
	}
	p.ran = append(p.ran, line)
	return p.output, p.err
}

func records(t *testing.T) disk.Store {
	t.Helper()
	folder, err := disk.Open(t.TempDir())
	require.NoError(t, err)
	return folder.Ran()
}

func TestAServiceIsReloadedOnceForEachChange(t *testing.T) {
	t.Parallel()
	store, p := records(t), &programs{loaded: []string{"kubelet.service"}}
	machine := func() *host.Machine { return host.New(host.Config{Records: store, Run: p.run}) }
	one := order.Reload{Service: "kubelet.service", Verb: "restart", Files: order.Sums{"server.crt": "aa"}}
	for range 2 {
		require.Equal(t, order.Done, machine().Carry(t.Context(), one).State)
	}
	require.Equal(t, []string{"systemctl restart kubelet.service"}, p.ran)
	found, err := machine().Survey()
	require.NoError(t, err)
	require.Equal(t, string(one.ID()), found["ran.reload.kubelet.service"])
	require.NotEmpty(t, found["hostname"])

	two := one
	two.Files = order.Sums{"server.crt": "bb"}
	require.Equal(t, order.Done, machine().Carry(t.Context(), two).State)
	require.Len(t, p.ran, 2)
	require.Equal(t, order.Done, machine().Carry(t.Context(), one).State)
	require.Len(t, p.ran, 3, "back to the former files is a change too")
}

// A change that failed voids what was before it: back to the former files, the service has to be started again.
func TestAFailureIsNotForgottenWithItsFiles(t *testing.T) {
	t.Parallel()
	p := &programs{loaded: []string{"app.service"}}
	machine := host.New(host.Config{Records: records(t), Run: p.run})
	one := order.Reload{Service: "app.service", Verb: "restart", Files: order.Sums{"server.crt": "aa"}}
	two := order.Reload{Service: "app.service", Verb: "restart", Files: order.Sums{"server.crt": "bb"}}
	require.Equal(t, order.Done, machine.Carry(t.Context(), one).State)
	p.err = errors.New("exit status 1")
	require.Equal(t, order.Failed, machine.Carry(t.Context(), two).State)
	found, err := machine.Survey()
	require.NoError(t, err)
	require.Equal(t, "under-way", found["ran.reload.app.service"])
	p.err = nil
	require.Equal(t, order.Done, machine.Carry(t.Context(), one).State)
	require.Len(t, p.ran, 3)
}

func TestASnapsServiceGoesByTheSnapsName(t *testing.T) {
	t.Parallel()
	p := &programs{loaded: []string{"snap.kubelet.daemon.service"}}
	machine := host.New(host.Config{Records: records(t), Run: p.run})
	o := order.Reload{Service: "kubelet.service", Verb: "reload-or-restart"}
	require.Equal(t, order.Done, machine.Carry(t.Context(), o).State)
	require.Equal(t, []string{"systemctl reload-or-restart snap.kubelet.daemon.service"}, p.ran)
}

func TestWhatFailsSaysWhyAndWhatNext(t *testing.T) {
	t.Parallel()
	reload := order.Reload{Service: "etcd.service", Verb: "reload"}
	for sentence, c := range map[string]struct {
		programs programs
		order    order.Order
		code     string
		message  string
	}{
		"a service that does not start": {
			programs{loaded: []string{"etcd.service"}, output: "noise\nJob for etcd.service\tfailed.\n", err: errors.New("exit status 1")}, reload,
			"program", "cannot reload etcd.service: Job for etcd.service failed. (exit status 1): see journalctl -u etcd.service",
		},
		"a service that is not there": {programs{}, reload, "no-service", "cannot find service etcd.service: install it, or mend the option reload"},
		"a verb of nobody's":          {programs{}, order.Reload{Service: "etcd.service", Verb: "mask"}, "bad-order", `cannot mask "etcd.service": not a verb and a service of systemd's`},
		"an option as a service":      {programs{}, order.Reload{Service: "--now", Verb: "restart"}, "bad-order", `cannot restart "--now": not a verb and a service of systemd's`},
		"no trust store": {
			programs{err: &exec.Error{Name: "update-ca-certificates", Err: exec.ErrNotFound}}, order.RefreshTrust{For: "x"},
			"no-program", "cannot refresh the trust store: there is no update-ca-certificates here: install the package ca-certificates, or set trust-store=false",
		},
		"a long complaint": {
			programs{output: strings.Repeat("x", 5000), err: errors.New("exit status 2")}, order.RefreshTrust{For: "x"},
			"program", "cannot refresh the trust store: " + strings.Repeat("x", 200) + "… (exit status 2): run update-ca-certificates to see why",
		},
		"somebody else's order": {programs{}, order.Sign{}, "not-carried", "cannot carry out order.Sign: it is no program's"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			store := records(t)
			machine := host.New(host.Config{Records: store, Run: c.programs.run, Root: t.TempDir()})
			answer := machine.Carry(t.Context(), c.order)
			require.Equal(t, order.Failed, answer.State)
			require.Equal(t, order.Failure{Code: c.code, Message: c.message}, *answer.Failure)
			found, err := machine.Survey()
			require.NoError(t, err)
			require.NotContains(t, slices.Collect(maps.Values(found)), string(c.order.ID()), "it is not recorded as done")
		})
	}
}

func TestWhatNeedsMoreRunsApart(t *testing.T) {
	t.Parallel()
	p := &programs{}
	machine := host.New(host.Config{Records: records(t), Run: p.run, Apart: true, Root: t.TempDir()})
	require.Equal(t, order.Done, machine.Carry(t.Context(), order.RefreshTrust{For: "x"}).State)
	require.Len(t, p.ran, 1)
	require.Contains(t, p.ran[0], "systemd-run --quiet --wait --collect --pipe --property=RuntimeMaxSec=110 update-ca-certificates --certsconf ")
}

// The real update-ca-certificates, on folders of this test, and openssl as the program that trusts.
func TestTheTrustStoreIsRefreshed(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"update-ca-certificates", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + ", which is run for real here, is not installed")
		}
	}
	root := t.TempDir()
	for _, dir := range []string{"etc/ssl/certs", "etc/ca-certificates/update.d", "usr/local/share/ca-certificates"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/ca-certificates.conf"), nil, 0o644))
	folder, err := disk.Open(filepath.Join(root, "state"), disk.OnMachine(root))
	require.NoError(t, err)
	authority := selfSigned(t)
	path := filepath.Join(root, "ca.pem")
	require.NoError(t, os.WriteFile(path, []byte(authority), 0o644))
	machine := host.New(host.Config{Records: folder.Ran(), Root: root})
	verify := func() error {
		return exec.CommandContext(t.Context(), "openssl", "verify", "-x509_strict", "-CApath", filepath.Join(root, "etc/ssl/certs"), path).Run()
	}
	for _, certificates := range [][]string{{authority}, nil} {
		trust := order.Trust{Unit: "node/0", Certificates: certificates}
		require.Nil(t, folder.Carry(t.Context(), trust).Failure)
		require.Nil(t, machine.Carry(t.Context(), order.RefreshTrust{For: trust.ID()}).Failure)
		require.Equal(t, len(certificates) > 0, verify() == nil)
	}
}

func selfSigned(t *testing.T) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte{1}, AuthorityKeyId: []byte{1},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
