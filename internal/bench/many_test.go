// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/unit"
)

// many is what grows with the number of certificates ever issued.
func (r *run) many(t *testing.T) {
	t.Run("wave", r.wave)
	t.Run("list", r.list)
	t.Run("replay", r.replay)
}

// wave decides where many certificates are published, none of them due, and all of them.
func (r *run) wave(t *testing.T) {
	const each = 1000 // certificates of a relation's
	w := newWorld(t)
	var relations []juju.Relation
	for n := 0; n*each < r.Wave; n++ {
		relations = append(relations, legacyRelation(10+n, min(each, r.Wave-n*each)/2))
	}
	w.fill(relations)
	w.memory.Decide(noon, w.snap, nil)
	for _, c := range []struct {
		id     string
		now    time.Time
		memory *unit.Memory
		orders bool
	}{
		{waveAtStart, noon, &unit.Memory{}, false},
		{waveAtRest, noon, &w.memory, false},
		{wavePlanned, noon.Add(70 * 24 * time.Hour), &w.memory, true},
	} {
		runtime.GC()
		watch := start()
		plan := c.memory.Decide(c.now, w.snap, nil)
		found := watch.figure(r.Wave, fmt.Sprintf("%d orders", len(plan.Orders)))
		require.Equal(t, c.orders, len(plan.Orders) > 0)
		r.put(c.id, found)
	}
}

// list has a long revocation list signed.
func (r *run) list(t *testing.T) {
	i := newIssuer(t, cert.P256, false, disk.Perform)
	now := time.Now().UTC().Truncate(time.Second)
	wanted := order.SignCRL{Signer: i.signer, Number: 1, Update: now, Life: 24 * time.Hour}
	for n := range r.List {
		wanted.Revoked = append(wanted.Revoked, cert.Revocation{Serial: fmt.Sprintf("41%032x", n), Time: now, Reason: cert.Superseded})
	}
	watch := start()
	answer := i.authority.Carry(t.Context(), wanted)
	found := watch.figure(r.List, shown(float64(len(answer.CRL))/megabyte, "MB"))
	require.Nil(t, answer.Failure)
	r.put(longList, found)
}

// replay opens a folder whose record is long.
func (r *run) replay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	size := writeRecord(t, dir, r.Replay)
	watch := start()
	folder, err := disk.Open(dir)
	found := watch.figure(r.Replay, shown(float64(size)/megabyte, "MB"))
	require.NoError(t, err)
	require.NoError(t, folder.View(func(l *ledger.Ledger) { require.Equal(t, r.Replay, l.Len()) }))
	r.put(replay, found)
}

// writeRecord records so many entries as the agent does: of a batch, what is ordered on one line, the serial numbers that are
// reserved on another, and the certificates on a third. It gives the record's size.
func writeRecord(t *testing.T, dir string, entries int) int64 {
	t.Helper()
	var m meter
	folder, err := disk.OpenOn(dir, m.system(false))
	require.NoError(t, err)
	i := newIssuer(t, cert.P256, false, m.system(false))
	certificate := i.authority.Carry(t.Context(), i.wanted(1)).Issued.Certificate
	require.NotEmpty(t, certificate)
	leaf, err := cert.Parse(certificate)
	require.NoError(t, err)
	record := folder.Journal()
	const turn = 100
	written := 0
	for written < entries {
		var ordered, reserved, issued []ledger.Entry
		for n := range turn {
			number := written + n
			unit := fmt.Sprintf("web/%d", number%5000)
			entry := ledger.Entry{
				Time: noon.Add(time.Duration(number) * time.Second), Event: ledger.Ordered, Order: fmt.Sprintf("%032x", number),
				Ask: "3/" + unit, For: "certificates:3 " + unit, Relation: 3, App: "web", Unit: unit, Rule: "names", Generation: 1,
			}
			ordered = append(ordered, entry)
			entry.Event, entry.Serial, entry.Subject = ledger.Reserved, fmt.Sprintf("41%032x", number), leaf.Subject.String()
			reserved = append(reserved, entry)
			entry.Event, entry.Names, entry.NotAfter, entry.Certificate = ledger.Issued, cert.NamesOf(leaf).List(), leaf.NotAfter, certificate
			issued = append(issued, entry)
		}
		ordered = ordered[:min(len(ordered), entries-written)]
		require.NoError(t, record.Append(ordered...))
		written += len(ordered)
		for _, batch := range [][]ledger.Entry{reserved, issued} {
			batch = batch[:min(len(batch), entries-written)]
			require.NoError(t, record.Append(batch...))
			written += len(batch)
		}
	}
	var size int64
	require.NoError(t, filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			info, statErr := entry.Info()
			require.NoError(t, statErr)
			size += info.Size()
		}
		return err
	}))
	return size
}
