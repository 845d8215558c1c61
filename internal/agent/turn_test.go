// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

func TestTurnChangesNothingWhereNothingIsToChange(t *testing.T) {
	t.Parallel()
	f := idle()
	outcome, err := f.unit().Turn(t.Context())
	require.NoError(t, err)
	require.Equal(t, f.snap.Status, outcome.Status)
	require.Equal(t, []string{"snapshot", "prune"}, f.events)
}

func TestTurnLooksAgainWhenLeadershipMoved(t *testing.T) {
	t.Parallel()
	f := idle()
	f.snap.Status = juju.Status{}
	f.failing = []error{fmt.Errorf("commit: %w", juju.ErrNotLeader)}
	outcome, err := f.unit().Turn(t.Context())
	require.NoError(t, err)
	require.Equal(t, juju.Active, outcome.Status.Level)
	require.Equal(t, []string{"snapshot", "commit", "snapshot", "commit", "prune"}, f.events)
	require.False(t, f.locked)
}

func TestTurnReportsWhatFailed(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil func(*fakeUnit)
		want  string
	}{
		"the snapshot": {func(f *fakeUnit) { f.fail = errors.New("refused") }, "cannot read the model: refused"},
		"the commit": {func(f *fakeUnit) { f.snap.Status, f.failing = juju.Status{}, []error{errors.New("refused")} },
			"cannot commit the turn's changes: refused"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := idle()
			test.spoil(f)
			_, err := f.unit().Turn(t.Context())
			require.EqualError(t, err, test.want)
			require.False(t, f.locked, "the lock is given back")
		})
	}
}

// A unit whose CA cannot be made says so and goes on; it does not try without end in one turn.
func TestTurnEndsThoughOrdersFail(t *testing.T) {
	t.Parallel()
	f := &fakeUnit{snap: juju.Snapshot{
		Unit: "signet/0", Leader: true,
		Endpoints: []juju.Endpoint{{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides}},
		Relations: []juju.Relation{{ID: 1, Endpoint: juju.Endpoint{Name: "peers", Role: juju.Peers}}},
	}}
	outcome, err := f.unit().Turn(t.Context())
	require.NoError(t, err)
	require.Equal(t, juju.Status{Level: juju.Blocked, Message: "cannot create the CA: not here"}, outcome.Status)
	require.Equal(t, []string{"snapshot", "carry", "commit", "prune"}, f.events)
}

// fullDisk is an error as package disk gives it.
type fullDisk struct{}

func (fullDisk) Error() string { return "cannot write /x: no space left on device: free space there" }
func (fullDisk) Blocks() bool  { return true }

// What the machine keeps a turn from is shown, once: a status set again would be news to whoever watches. A hook's turn does
// not fail then, and is taken again soon; of an action nobody knows whether it was done.
func TestWhatTheMachineRefusesIsTheStatus(t *testing.T) {
	t.Parallel()
	f := idle()
	f.recording = fmt.Errorf("recorded: %w", fullDisk{})
	u := f.unit()
	for range 2 {
		outcome, err := u.Turn(t.Context())
		require.NoError(t, err)
		require.Equal(t, juju.Status{Level: juju.Blocked, Message: fullDisk{}.Error()}, outcome.Status)
		require.WithinDuration(t, u.Now().Add(time.Minute), outcome.Wake, 10*time.Second)
	}
	require.Equal(t, []juju.Changes{{Status: &juju.Status{Level: juju.Blocked, Message: fullDisk{}.Error()}}}, f.committed)
	_, err := u.Act(t.Context(), juju.Action{Name: "backup"})
	require.ErrorIs(t, err, fullDisk{})
	f.recording = nil
	outcome, err := u.Turn(t.Context())
	require.NoError(t, err)
	require.Equal(t, juju.Active, outcome.Status.Level)
}
