// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/disk/disktest"
)

type machine = disktest.Machine

func newMachine(t *testing.T) *machine {
	t.Helper()
	m, err := disktest.NewMachine(private(t))
	require.NoError(t, err)
	return m
}

// restart opens the folder with what a loss of power left of it.
func restart(t *testing.T, m *machine, how disktest.Loss) *disk.Folder {
	t.Helper()
	require.NoError(t, m.Restart(how))
	return openOn(t, m)
}

func openOn(t *testing.T, m *machine) *disk.Folder {
	t.Helper()
	folder, err := disk.OpenOn(filepath.Join(m.Base, "signet"), m.Do, disk.OnMachine(m.Base))
	require.NoError(t, err)
	return folder
}

// scenario is something durable that the folder does, tried with each of its operations failing in each way.
type scenario struct {
	before func(t *testing.T, folder *disk.Folder)                      // the state before, durable
	act    func(folder *disk.Folder) error                              // what is cut off
	whole  func(t *testing.T, folder *disk.Folder, acknowledged bool)   // the state must be old or new; new when acknowledged
	after  func(t *testing.T, folder *disk.Folder, operations *machine) // after act was repeated with success
}

// sweep runs a scenario once for each operation, way of failing and loss.
func sweep(t *testing.T, s scenario) {
	t.Helper()
	start := func(t *testing.T) (*machine, *disk.Folder) {
		m := newMachine(t)
		folder := openOn(t, m)
		s.before(t, folder)
		m.Heal()
		return m, folder
	}
	m, folder := start(t)
	require.NoError(t, s.act(folder))
	count := len(m.Ops)
	require.Positive(t, count, "it does something")
	for n := 1; n <= count; n++ {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprintf("operation %d %s fails, done %t", n, m.Ops[n-1].Kind, done), func(t *testing.T) {
				t.Parallel()
				m, folder := start(t)
				m.Fail(n, done, false)
				err := s.act(folder)
				m.Heal()
				s.whole(t, folder, err == nil)
				require.NoError(t, s.act(folder))
				s.whole(t, folder, true)
				s.after(t, folder, m)
			})
		}
	}
	for n := 1; n <= count+1; n++ {
		t.Run(fmt.Sprintf("power is lost before operation %d", n), func(t *testing.T) {
			t.Parallel()
			m, folder := start(t)
			m.Fail(n, false, true)
			acknowledged := s.act(folder) == nil
			require.Equal(t, n > count, acknowledged)
			losses := m.Losses()
			for _, how := range losses {
				cut := *m // of which each loss leaves something else
				folder := restart(t, &cut, how)
				s.whole(t, folder, acknowledged)
				require.NoError(t, s.act(folder), how)
				cut.Cut()
				folder = restart(t, &cut, disktest.KeepsNothing()) // what is acknowledged is durable
				s.whole(t, folder, true)
				s.after(t, folder, &cut)
			}
		})
	}
}
