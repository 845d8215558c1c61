// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ledger"
)

// While one line goes to the disk, what others append gathers, and goes in one line together: of those that speak of the same
// serial number, one is refused, and harms nobody. Who reads does not wait.
func TestAppendsThatWaitAreWrittenTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	release := make(chan struct{})
	began := make(chan struct{})
	var lines atomic.Int64
	var first sync.Once
	journal, err := openJournal(path, func(op Op) error {
		if op.Kind == Append {
			lines.Add(1)
			first.Do(func() {
				close(began)
				<-release
			})
		}
		return Perform(op)
	})
	require.NoError(t, err)
	reserve := func(serial, order string) ledger.Entry {
		return ledger.Entry{Event: ledger.Reserved, Serial: serial, Order: order}
	}
	const many = 20
	errs := make([]error, many+2)
	var group sync.WaitGroup
	group.Go(func() { errs[many+1] = journal.Append(reserve("f0", "first")) })
	<-began
	for i := range many {
		group.Go(func() { errs[i] = journal.Append(reserve(fmt.Sprintf("a%02x", i), fmt.Sprint(i))) })
	}
	group.Go(func() { errs[many] = journal.Append(reserve("a00", "another's")) })
	for waiting := 0; waiting <= many; runtime.Gosched() {
		journal.queue.Lock()
		waiting = len(journal.waiting)
		journal.queue.Unlock()
	}
	_, known, err := journal.Serial("f0")
	require.NoError(t, err)
	require.False(t, known, "it is not on the disk yet")
	close(release)
	group.Wait()
	refused := 0
	for _, err := range errs {
		if err != nil {
			require.ErrorContains(t, err, "serial a00 was used before")
			refused++
		}
	}
	require.Equal(t, 1, refused)
	require.LessOrEqual(t, lines.Load(), int64(2), "the one that blocked, and all others")

	again, err := openJournal(path, Perform)
	require.NoError(t, err)
	for i := range many {
		_, known, err := again.Serial(fmt.Sprintf("a%02x", i))
		require.NoError(t, err)
		require.True(t, known)
	}
}
