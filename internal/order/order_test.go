// SPDX-License-Identifier: AGPL-3.0-only

package order_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

func baseSign() order.Sign {
	return order.Sign{
		For: "etcd/0", Ask: "3/legacy/etcd_0/server/a", KeyType: cert.P256, Key: cert.NewKey("key"),
		Spec:      cert.Spec{Kind: cert.Server, CommonName: "a", Names: cert.Names{DNS: []string{"a"}}, Life: time.Hour},
		Signer:    order.Signer{Authority: cert.Authority{Generation: 1, Certificate: "CA"}, Key: cert.NewKey("ca key")},
		NotBefore: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}
}

// A crash may lie between two attempts: what then differs must not make another order of it, and whatever makes another
// certificate must.
func TestSignIsNamedByWhatIsOrdered(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*order.Sign){
		"the time":                    func(o *order.Sign) { o.NotBefore = o.NotBefore.Add(time.Hour) },
		"the key to certify again":    func(o *order.Sign) { o.Key = cert.NewKey("other") },
		"the CA's key at hand or not": func(o *order.Sign) { o.Signer.Key = cert.Key{} },
		"who asks, in words":          func(o *order.Sign) { o.For = "somebody" },
	} {
		o := baseSign()
		change(&o)
		require.Equal(t, baseSign().ID(), o.ID(), name)
	}
	seen := map[order.ID]string{baseSign().ID(): "the order itself"}
	for name, change := range map[string]func(*order.Sign){
		"the ask":              func(o *order.Sign) { o.Ask = "other" },
		"the names":            func(o *order.Sign) { o.Spec.Names.DNS = []string{"b"} },
		"the life":             func(o *order.Sign) { o.Spec.Life = 2 * time.Hour },
		"the usages":           func(o *order.Sign) { o.Spec.ClientAuth = true },
		"the renewed one":      func(o *order.Sign) { o.Replaces = "1f" },
		"the CA's generation":  func(o *order.Sign) { o.Signer.Generation = 2 },
		"the CA's certificate": func(o *order.Sign) { o.Signer.Certificate = "other" },
		"the key type":         func(o *order.Sign) { o.KeyType = cert.P384 },
	} {
		o := baseSign()
		change(&o)
		require.NotContains(t, seen, o.ID(), name)
		seen[o.ID()] = name
	}
}

func TestInstallIsNamedByItsContent(t *testing.T) {
	t.Parallel()
	install := func(file order.File) order.ID {
		return order.Install{Name: "certificates", Files: []order.File{file}}.ID()
	}
	ids := map[order.ID]bool{}
	for _, file := range []order.File{
		{Name: "a.key", Key: cert.NewKey("one")}, {Name: "a.key", Key: cert.NewKey("two")}, {Name: "a.key", Text: "one"},
		{Name: "b.key", Key: cert.NewKey("one")}, {Name: "a.key", KeyName: "server"},
	} {
		ids[install(file)] = true
	}
	require.Len(t, ids, 5)
}

func TestFailures(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("the turn: %w", order.Fail("no-key", "cannot find key %d", 7))
	require.Equal(t, &order.Failure{Code: "no-key", Message: "cannot find key 7"}, order.FailureOf(err))
	require.Equal(t, &order.Failure{Code: "disk", Message: "no space left"}, order.FailureOf(errors.New("no space left")))
	require.NotContains(t, order.ByID([]order.Answer{{Order: "a"}}), order.ID("b"))
}
