// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ledger"
)

// Agents and hooks are killed at random moments while consumers come and ask for other things, leadership moves and
// machines are lost. After each kill everything must hold that the judgement asks for. SIGNET_KILLS is how many kills
// there are, and SIGNET_SEED repeats a run's choices; what the processes have done by the moment of a kill differs.
func TestWhoeverIsKilledNothingIsLost(t *testing.T) {
	t.Parallel()
	kills := fromEnvironment(t, "SIGNET_KILLS", 25)
	seed := fromEnvironment(t, "SIGNET_SEED", uint64(time.Now().UnixNano()))
	t.Logf("SIGNET_KILLS=%d SIGNET_SEED=%d", kills, seed)
	chaos := &chaos{cluster: runningCluster(t), random: rand.New(rand.NewPCG(seed, 0)), done: map[string]int{}}
	for chaos.kills < kills {
		if chaos.random.IntN(roundsOfHooks) == 0 {
			chaos.killAmongHooks()
			chaos.startAgents()
			chaos.settled()
		} else {
			chaos.killAgents()
			chaos.agentsServe()
		}
		chaos.judge()
	}
	chaos.rest()
	chaos.judge()
	faulty, err := printInventory(chaos.within(), &bytes.Buffer{}, chaos.inventory(), installedJudges())
	require.NoError(t, err)
	require.Zero(t, faulty)
	figure(t, "kills", "%d agents were killed, and hooks with them; what happened meanwhile: %v; %s", chaos.kills, chaos.done, chaos.wasted())
}

func fromEnvironment(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	value, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return value
}

// chaos is a cluster to which things happen.
type chaos struct {
	*cluster

	random *rand.Rand
	kills  uint64
	asked  int
	done   map[string]int // how often each thing happened
}

const (
	longestWay    = 60 * time.Millisecond // to a kill: about what a turn and a few hooks take
	roundsOfHooks = 8                     // hooks run in one of so many rounds, which saves time: in the others the agents see to all
	mostOfEach    = 6                     // consumers
	machinesLost  = 5                     // one for so many kills among hooks
)

// stir gives the agents something to do, or takes leadership away while they do it.
func (c *chaos) stir() {
	c.t.Helper()
	switch c.random.IntN(9) {
	case 0, 1, 2, 3:
		c.note("names")
		c.asked++
		c.askName(c.oneOf("etcd"), fmt.Sprintf("name-%d.example.com", c.asked))
	case 4, 5, 6:
		c.note("requests")
		c.askRequest(c.oneOf("k8s"))
	default:
		c.moveLeader()
	}
}

// moveLeader gives leadership to any unit at once, which Juju takes 30 s for: one that had it a moment ago may be in the
// middle of a turn in which it leads, and has to see that another one has.
func (c *chaos) moveLeader() {
	c.t.Helper()
	unit := c.oneOf("signet")
	if unit == c.model().Leader("signet") {
		return
	}
	c.note("leaders")
	require.NoError(c.t, c.model().SetLeader(unit))
}

// stirHooks does what becomes of something only where hooks run.
func (c *chaos) stirHooks() {
	c.t.Helper()
	switch c.random.IntN(4) {
	case 0:
		c.addConsumer("etcd", c.etcd())
	case 1:
		c.addConsumer("k8s", c.k8s)
	case 2:
		c.note("leases")
		c.model().DropLeader("signet") // whose hooks run claims it
	}
}

func (c *chaos) note(what string) { c.done[what]++ }

func (c *chaos) oneOf(app string) string {
	units := c.model().Units(app)
	return units[c.random.IntN(len(units))]
}

func (c *chaos) addConsumer(app string, charm actor) {
	c.t.Helper()
	if len(c.model().Units(app)) < mostOfEach {
		c.note("consumers")
		require.NoError(c.t, c.addActorUnit(app, charm))
	}
}

// victim is the leader in half of all cases.
func (c *chaos) victim() string {
	if leader := c.model().Leader("signet"); leader != "" && c.random.IntN(2) == 0 {
		return leader
	}
	return c.oneOf("signet")
}

// wait lets a random while go by, in which processes work.
func (c *chaos) wait() {
	moment := time.NewTimer(time.Duration(c.random.Int64N(int64(longestWay))))
	defer moment.Stop()
	<-moment.C
}

func (c *chaos) killNow(victim string) {
	c.killAgent(victim)
	c.kills++
	if c.served() != nil {
		c.note("cut off") // with something yet to be published
	}
}

// killAgents kills an agent while it sees to what is new, and starts it again.
func (c *chaos) killAgents() {
	c.t.Helper()
	for range 1 + c.random.IntN(2) {
		c.stir()
	}
	victim := c.victim()
	c.wait()
	c.killNow(victim)
	c.startAgents()
}

// killAmongHooks kills an agent while hooks run, which then see to things themselves; with it, in half of all cases, the
// hook that runs. Now and then the machine is lost, and a new unit comes.
//
// Juju shows a hook the databags of others as they were at its last hook about them. A hook that takes the turn itself may
// therefore know less than the agent that was killed has answered, and answer what was asked before; so hooks are up to
// date here when it begins, and what is new is new to both.
func (c *chaos) killAmongHooks() {
	c.t.Helper()
	c.settled()
	c.moveLeader()
	c.stirHooks()
	victim := c.victim()
	lost := c.random.IntN(machinesLost) == 0
	hooksToo := lost || c.random.IntN(2) == 0
	ctx, powerCut := context.WithCancel(c.within())
	defer powerCut()
	settled := make(chan error, 1)
	go func() { settled <- c.runner.Settle(ctx) }()
	c.wait()
	if hooksToo {
		c.note("hooks killed")
		powerCut()
	}
	c.killNow(victim)
	if err := <-settled; !hooksToo {
		require.NoError(c.t, err)
	}
	if lost {
		c.note("machines lost")
		c.loseMachine(victim)
		unit, err := c.addSignetUnit("signet")
		require.NoError(c.t, err)
		if c.random.IntN(2) == 0 {
			require.NoError(c.t, c.model().SetLeader(unit)) // before it has had a turn
		}
	}
}

// wasted says how much was cut off: numbers that were reserved or issued and never seen by a consumer.
func (c *chaos) wasted() string {
	c.t.Helper()
	issued, reserved := 0, 0
	for _, folder := range c.stateFolders() {
		reserved += len(entriesOf(c.t, folder, ledger.Reserved))
		issued += len(entriesOf(c.t, folder, ledger.Issued))
	}
	return fmt.Sprintf("%d numbers reserved, %d issued, %d held", reserved, issued, len(c.published()))
}
