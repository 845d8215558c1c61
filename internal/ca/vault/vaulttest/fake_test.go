// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest_test

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
)

var (
	_ vaulttest.Vault = (*vaulttest.Fake)(nil)
	_ vaulttest.Vault = (*vaulttest.Server)(nil)
)

// failing is a fake that has a CA, and a client that may sign there.
func failing(t *testing.T) (*vaulttest.Fake, *api.Client, bench) {
	t.Helper()
	fake := vaulttest.NewFake(t, vaulttest.New)
	b := bench{fake, t, vaulttest.New}
	b.rooted()
	return fake, fake.Client(fake.Login(fake.AppRole("signet", signOnly))), b
}

// next has the next call at a path that ends so go wrong, and no other.
func next(end string, fault vaulttest.Fault) func(string, string) vaulttest.Fault {
	var only sync.Once
	return func(_, path string) (found vaulttest.Fault) {
		if strings.HasSuffix(path, end) {
			only.Do(func() { found = fault })
		}
		return found
	}
}

func TestFakeFailsAsItIsTold(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	close(released)
	broken := func(t *testing.T, err error) {
		t.Helper()
		var refused *api.ResponseError
		require.Error(t, err)
		require.NotErrorAs(t, err, &refused)
	}
	status := func(want int) func(*testing.T, error) {
		return func(t *testing.T, err error) {
			t.Helper()
			require.Equal(t, want, statusOf(t, err))
		}
	}
	cases := map[string]struct {
		fault vaulttest.Fault
		seen  func(*testing.T, error)
		made  int
	}{
		"nothing":                                {vaulttest.Fault{}, func(t *testing.T, err error) { t.Helper(); require.NoError(t, err) }, 1},
		"a quota":                                {vaulttest.Fault{Status: 429, Body: `{"errors":["rate limit quota exceeded"]}`}, status(429), 0},
		"a standby":                              {vaulttest.Fault{Status: 473}, status(473), 0},
		"a gateway that lost it on the way":      {vaulttest.Fault{Status: 502, Body: "<html>"}, status(502), 0},
		"a gateway that lost it on the way back": {vaulttest.Fault{Carried: true, Status: 502, Body: "<html>"}, status(502), 1},
		"a connection that ends before":          {vaulttest.Fault{Close: true}, broken, 0},
		"a connection that ends behind":          {vaulttest.Fault{Carried: true, Close: true}, broken, 1},
		"garbage":                                {vaulttest.Fault{Garbage: true}, broken, 0},
		"a call that hangs for a while":          {vaulttest.Fault{Hang: released}, func(t *testing.T, err error) { t.Helper(); require.NoError(t, err) }, 1},
		"a call that hangs, and fails then":      {vaulttest.Fault{Hang: released, Status: 500, Body: `{"errors":[]}`}, status(500), 0},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, client, b := failing(t)
			fake.Fail(next("/signet", test.fault))
			_, err := client.Logical().WriteWithContext(t.Context(), "pki/sign-verbatim/signet", map[string]any{"csr": b.plain()})
			test.seen(t, err)
			require.Len(t, fake.Certificates("pki"), test.made)
			_, err = client.Logical().WriteWithContext(t.Context(), "pki/sign-verbatim/signet", map[string]any{"csr": b.plain()})
			require.NoError(t, err, "the next call is well")
			require.Len(t, fake.Certificates("pki"), test.made+1)
		})
	}
}

func TestFakeHangsUntilTheClientGivesUp(t *testing.T) {
	t.Parallel()
	for _, carried := range []bool{false, true} {
		fake, client, b := failing(t)
		ctx, giveUp := context.WithCancel(t.Context())
		fake.Fail(func(string, string) vaulttest.Fault {
			giveUp() // it is at the server
			return vaulttest.Fault{Hang: make(chan struct{}), Carried: carried}
		})
		_, err := client.Logical().WriteWithContext(ctx, "pki/sign-verbatim/signet", map[string]any{"csr": b.plain()})
		require.ErrorIs(t, err, context.Canceled)
		fake.Fail(nil)
		require.Equal(t, "PUT pki/sign-verbatim/signet", fake.Calls()[len(fake.Calls())-1])
	}
}

func TestFakeAnswersWithoutEnd(t *testing.T) {
	t.Parallel()
	fake, client, _ := failing(t)
	fake.Fail(next("cert/ca", vaulttest.Fault{Endless: true}))
	response, err := client.Logical().ReadRawWithContext(t.Context(), "pki/cert/ca")
	require.NoError(t, err)
	defer response.Body.Close()
	read, err := io.CopyN(io.Discard, response.Body, 8<<20)
	require.NoError(t, err)
	require.EqualValues(t, 8<<20, read)
}

func TestFakeEndsTokensByItsClock(t *testing.T) {
	t.Parallel()
	fake := vaulttest.NewFake(t, vaulttest.Old)
	now := time.Now()
	fake.TokenTTL(time.Hour)
	fake.SetNow(func() time.Time { return now })
	credentials := fake.AppRole("signet", signOnly)
	self := func(client *api.Client) error {
		_, err := client.Auth().Token().LookupSelfWithContext(t.Context())
		return err
	}
	early, late := fake.Client(fake.Login(credentials)), fake.Client(fake.Login(credentials))
	fake.SetNow(func() time.Time { return now.Add(59 * time.Minute) })
	require.NoError(t, self(early))
	_, err := late.Auth().Token().RenewSelfWithContext(t.Context(), 7200)
	require.NoError(t, err)
	fake.SetNow(func() time.Time { return now.Add(time.Hour) })
	require.Equal(t, http.StatusForbidden, statusOf(t, self(early)))
	require.NoError(t, self(late))
	fake.RevokeTokens()
	require.Equal(t, http.StatusForbidden, statusOf(t, self(late)))
	require.NoError(t, self(fake.Client(fake.Login(credentials))))
}

func TestFakeSignsByItsClock(t *testing.T) {
	t.Parallel()
	fake, client, b := failing(t)
	then := time.Now().Add(1000 * time.Hour).Truncate(time.Second)
	fake.SetNow(func() time.Time { return then })
	_, err := client.Logical().WriteWithContext(t.Context(), "pki/sign-verbatim/signet", map[string]any{"csr": b.plain(), "ttl": "1h"})
	require.Equal(t, http.StatusForbidden, statusOf(t, err), "the login has ended")
	made := b.sign(map[string]any{"csr": b.plain(), "ttl": "1h"})
	require.WithinDuration(t, then.Add(-30*time.Second), made.NotBefore, 0)
	require.WithinDuration(t, then.Add(time.Hour), made.NotAfter, 0)
}

func TestFakeCountsWhatOthersCall(t *testing.T) {
	t.Parallel()
	fake, client, b := failing(t)
	require.Equal(t, []string{"PUT auth/approle/login"}, fake.Calls())
	b.as(client, "PUT", "pki/sign-verbatim/signet", map[string]any{"csr": b.plain()})
	b.as(client, "LIST", "pki/certs", nil)
	b.as(fake.Client(""), "GET", "pki/cert/ca", nil)
	fake.Mount("other")
	require.Equal(t, []string{"PUT auth/approle/login", "PUT pki/sign-verbatim/signet", "LIST pki/certs", "GET pki/cert/ca"}, fake.Calls())
	require.Empty(t, fake.Certificates("other"))
	require.Len(t, fake.Certificates("pki"), 1)
	require.IsType(t, &x509.Certificate{}, fake.Certificates("pki")[0])
}

func TestFakeIsReachedBelowItsCAOnly(t *testing.T) {
	t.Parallel()
	stranger := vaulttest.NewFake(t, vaulttest.Old).Client("")
	require.NoError(t, stranger.SetAddress(vaulttest.NewFake(t, vaulttest.Old).Address()))
	_, err := stranger.Sys().HealthWithContext(t.Context())
	require.ErrorContains(t, err, "certificate signed by unknown authority")
}
