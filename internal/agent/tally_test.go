// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/juju"
)

// sluggish is a session whose snapshots take time.
type sluggish struct {
	*fakeUnit

	takes time.Duration
}

func (s sluggish) Snapshot(ctx context.Context) (juju.Snapshot, error) {
	time.Sleep(s.takes)
	return s.fakeUnit.Snapshot(ctx)
}

func TestTurnsAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := idle()
		unit := f.unit()
		require.Equal(t, agent.Turns{Within: make([]uint64, len(agent.TurnBounds()))}, unit.Turns(), "before the first one")
		for _, takes := range []time.Duration{3 * time.Millisecond, 2 * time.Second} {
			unit.Session = sluggish{f, takes}
			_, err := unit.Turn(t.Context())
			require.NoError(t, err)
		}
		f.setFailure(errors.New("refused"))
		unit.Session = sluggish{f, time.Hour}
		_, err := unit.Turn(t.Context())
		require.Error(t, err)

		counted := unit.Turns()
		require.Equal(t, agent.Turns{
			Worked: 2, Failed: 1, Failing: true, Took: time.Hour + 2*time.Second + 3*time.Millisecond,
			Within: []uint64{0, 1, 1, 1, 1, 1, 2, 2, 2, 2},
		}, counted)
		counted.Within[0] = 7
		require.Zero(t, unit.Turns().Within[0], "who asked cannot change what is counted")

		f.setFailure(nil)
		unit.Session = f
		_, err = unit.Turn(t.Context())
		require.NoError(t, err)
		require.False(t, unit.Turns().Failing)
	})
}
