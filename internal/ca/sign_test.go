// SPDX-License-Identifier: AGPL-3.0-only

package ca_test

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// mixed is a batch of each kind of order, with one that cannot be met and one that would be wrong.
func mixed(t *testing.T, signer order.Signer) (orders []order.Sign, good int) {
	t.Helper()
	given, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	for _, ask := range []string{"bad", "wrong", "a", "b", "request", "again"} {
		o := catest.ServerOrder(signer)
		o.Ask = ask
		orders = append(orders, o)
	}
	orders[0].Spec.Kind = ""
	orders[1].Spec.CommonName = "elsewhere.example.com"
	orders[4].KeyType, orders[4].Spec = "", cert.Spec{Kind: cert.Server, ServerAuth: true, Life: time.Hour}
	orders[4].Spec.Request, _ = catest.Request(t, true)
	orders[5].Key, err = cert.EncodeKey(given)
	require.NoError(t, err)
	return orders, 4
}

// Power is lost at each write of a batch, done or not. Carried again, together or one by one, each order has one certificate,
// with its key, and the one that was answered if any was; no serial number stands for two things, and no key is left that
// nothing names.
func TestACrashAnywhereInABatchGivesOneCertificateEach(t *testing.T) {
	t.Parallel()
	signer := newMemory().create(t, cert.P256)
	orders, good := mixed(t, signer)
	clean := newMemory()
	clean.open().SignAll(t.Context(), orders...)
	require.Equal(t, 4, clean.writes, "the CA's key, serial numbers, keys, certificates")
	for n := 1; n <= clean.writes; n++ {
		for _, happened := range []bool{false, true} {
			for _, together := range []bool{false, true} {
				name := fmt.Sprintf("write %d, done %t, then together %t", n, happened, together)
				memory := newMemory()
				memory.failAt, memory.done = n, happened
				cut := memory.open().SignAll(t.Context(), orders...)
				memory.mend()
				carrier := memory.open()
				var again []order.Answer
				if together {
					again = carrier.SignAll(t.Context(), orders...)
				} else {
					for _, o := range orders {
						again = append(again, carrier.Carry(t.Context(), o))
					}
				}
				require.Equal(t, "bad-order", again[0].Failure.Code, name)
				require.Equal(t, "lint", again[1].Failure.Code, name)
				issues := memory.issues()
				require.Len(t, issues, good, name)
				for i := range orders[:good] {
					o, answer := orders[2+i], again[2+i]
					require.Equal(t, order.Done, answer.State, name)
					require.Equal(t, 1, issues[string(o.ID())], name)
					require.NotEqual(t, order.Done, cut[2+i].State, "%s: it was told of before it was known to be written down", name)
					require.True(t, answer.Issued.Key.IsZero() || cert.KeyMatches(answer.Issued.Key, parse(t, answer.Issued.Certificate)), name)
					require.Equal(t, answer, memory.open().Carry(t.Context(), o), name)
				}
				requireNamed(t, memory, name)
			}
		}
	}
}

// requireNamed finds no key in the stock that the journal does not name.
func requireNamed(t *testing.T, memory *memory, name string) {
	t.Helper()
	named := map[string]bool{}
	for _, entry := range memory.fold.Entries() {
		named[entry.Detail] = true
	}
	blobs, err := memory.Names("stock.")
	require.NoError(t, err)
	for _, blob := range blobs {
		text, err := memory.Read(blob)
		require.NoError(t, err)
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			private, err := cert.ParseKey(cert.NewKey(string(pem.EncodeToMemory(block))))
			require.NoError(t, err)
			hash, err := cert.KeyHash(private.Public())
			require.NoError(t, err)
			require.True(t, named[hash], "%s: a key is left that nothing names", name)
		}
	}
}

// What a batch writes does not grow with it, and each serial number is reserved before the certificates of its batch.
func TestABatchWritesAsOftenAsOneOrder(t *testing.T) {
	t.Parallel()
	for count, writes := range map[int]int{1: 3, 100: 3, 256: 3, 257: 6} {
		memory := newMemory()
		signer := memory.create(t, cert.P256)
		signer.Key = cert.Key{}
		before, entries := memory.writes, memory.fold.Len()
		var orders []order.Sign
		for n := range count {
			o := catest.ServerOrder(signer)
			o.Ask = fmt.Sprint(n)
			orders = append(orders, o)
		}
		for _, answer := range memory.open().SignAll(t.Context(), orders...) {
			require.Equal(t, order.Done, answer.State)
		}
		require.Equal(t, writes, memory.writes-before, "%d orders", count)
		for i, entry := range memory.fold.Entries()[entries:] {
			if i >= count || count > 256 { // batches overlap
				break
			}
			require.Equal(t, ledger.Reserved, entry.Event)
			require.Equal(t, string(orders[i].ID()), entry.Order)
		}
	}
}

// Randomness that is broken for a whole batch costs only those that would share a number.
func TestBrokenRandomnessFailsOnlyWhoWouldShareASerial(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	orders, _ := mixed(t, memory.create(t, cert.P256))
	answers := ca.New(ca.Config{Store: memory, Journal: memory, Rand: zeros{}}).SignAll(t.Context(), orders[2:]...)
	require.Equal(t, order.Done, answers[0].State)
	require.Equal(t, "41"+strings.Repeat("0", 32), answers[0].Serial)
	for _, answer := range answers[1:] {
		require.Equal(t, "randomness", answer.Failure.Code)
	}
}

// Batches that overlap, given at the same time in other orders, neither wait for each other for ever nor make anything twice.
func TestBatchesThatOverlap(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	orders, good := mixed(t, memory.create(t, cert.P256))
	orders = orders[2:]
	carrier := memory.open()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answers := make(chan []order.Answer)
	for turn := range 4 {
		go func() {
			turned := append(append([]order.Sign{}, orders[turn:]...), orders[:turn]...)
			found := carrier.SignAll(ctx, turned...)
			answers <- append(append([]order.Answer{}, found[len(found)-turn:]...), found[:len(found)-turn]...)
		}()
	}
	first := <-answers
	for range 3 {
		require.Equal(t, first, <-answers)
	}
	require.Len(t, memory.issues(), good+1, "and the CA")
	for _, count := range memory.issues() {
		require.Equal(t, 1, count)
	}
}
