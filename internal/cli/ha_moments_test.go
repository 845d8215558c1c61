// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/sandbox"
)

// A leader dies with work half done, again and again: it comes back to lead on, it comes back when another leads, its
// machine is lost and a new unit leads, or one of the others. In the end one of three units is left, and everybody still has
// the certificates of before.
func TestALeaderDiesInTheWorstMoments(t *testing.T) {
	t.Parallel()
	moments := map[string]struct {
		die func(c *cluster, leader string, ask func()) ledger.Entry
		// taken: what the journal has when it dies is what the leader publishes when it comes back.
		taken bool
	}{
		"between signing and publishing": {(*cluster).dieUnpublished, true},
		"between reserving and signing":  {(*cluster).dieUnsigned, false},
	}
	fates := []struct {
		name    string
		leadsOn bool
		meets   func(c *cluster, leader string)
	}{
		{"it leads on", true, func(*cluster, string) {}},
		{"it follows", false, func(c *cluster, leader string) {
			require.NoError(c.t, c.model().SetLeader(c.another(leader)))
		}},
		{"it is replaced", false, func(c *cluster, leader string) {
			c.loseMachine(leader)
			unit, err := c.addSignetUnit("signet")
			require.NoError(c.t, errors.Join(err, c.model().SetLeader(unit))) // it has never had a turn
		}},
		{"it is lost", false, (*cluster).loseMachine},
	}
	for name, moment := range moments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := runningCluster(t)
			for _, fate := range fates {
				for dialect, ask := range map[string]func(){
					"legacy": func() { c.askName("etcd/1", strings.ReplaceAll(fate.name, " ", "-")+".example.com") },
					"csr":    func() { c.askRequest("k8s/1") },
				} {
					leader := c.model().Leader("signet")
					left := moment.die(c, leader, ask)
					fate.meets(c, leader)
					c.startAgents()
					c.rest()
					c.judge()
					if fate.leadsOn {
						require.Len(t, c.issuedFor(left.Order), 1)
					}
					require.Equal(t, fate.leadsOn && moment.taken, slices.Contains(c.published(), left.Serial), "%s, %s", fate.name, dialect)
					t.Logf("%s died for %s with %s %s: %s", leader, dialect, left.Event, left.Serial, fate.name)
				}
			}
			require.Len(t, c.model().Units("signet"), 1)
			faulty, err := printInventory(c.within(), &bytes.Buffer{}, c.inventory(), installedJudges())
			require.NoError(t, err)
			require.Zero(t, faulty)
		})
	}
}

// dieUnpublished kills the leader's agent when what it signs for an ask is in its journal and its commit is on the way.
// Nothing of that is carried out.
func (c *cluster) dieUnpublished(leader string, ask func()) ledger.Entry {
	c.t.Helper()
	issued := func() []ledger.Entry { return entriesOf(c.t, c.stateDir(leader), ledger.Issued) }
	before := len(issued())
	process := c.agents[leader]
	c.model().Lose(func(unit string) bool {
		if unit != leader || len(issued()) == before {
			return false
		}
		process.kill()
		return true
	})
	defer c.model().Lose(nil)
	ask()
	c.awaitDeath(leader)
	found := issued()
	require.Len(c.t, found, before+1)
	left := found[before]
	require.NotContains(c.t, c.everythingPublished(), left.Certificate)
	return left
}

// dieUnsigned kills the leader's agent when it has reserved a number and nothing else came of that. Its files are bounded
// (setrlimit(2): RLIMIT_FSIZE), so that the write which would record the signature fails: the moment lasts until the kill
// comes. Nothing that the leader wants to tell of it is carried out.
func (c *cluster) dieUnsigned(leader string, ask func()) ledger.Entry {
	c.t.Helper()
	info, err := os.Stat(c.journalPath(leader))
	require.NoError(c.t, err)
	before := len(entriesOf(c.t, c.stateDir(leader), ledger.Reserved))
	limitFiles(c.t, c.agents[leader].command.Process.Pid, uint64(info.Size())+reservation)
	c.model().Lose(func(unit string) bool { return unit == leader })
	defer c.model().Lose(nil)
	ask()
	require.NoError(c.t, until(c.within(), func() bool {
		return len(entriesOf(c.t, c.stateDir(leader), ledger.Reserved)) > before
	}))
	c.killAgent(leader)
	found := entriesOf(c.t, c.stateDir(leader), ledger.Reserved)
	require.Len(c.t, found, before+1)
	left := found[before]
	for _, entry := range entriesOf(c.t, c.stateDir(leader), ledger.Issued) {
		require.NotEqual(c.t, left.Serial, entry.Serial)
	}
	return left
}

// until looks at what another process writes to disk.
func until(ctx context.Context, done func() bool) error {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// reservation is more than an order and the reservation of its number take in the journal, and less than these with the
// signature's record.
const reservation = 1500

// limitFiles bounds the size of the files that a process writes.
func limitFiles(t *testing.T, pid int, size uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: size, Max: size}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	require.Zero(t, errno)
}

// kill ends an agent's process, wherever it is, and returns when it is no more.
func (p *agentProcess) kill() {
	_ = p.command.Process.Kill()
	<-p.done
}

func (c *cluster) awaitDeath(unit string) {
	c.t.Helper()
	select {
	case <-c.agents[unit].done:
		c.killAgent(unit) // no more than its name is left
	case <-time.After(patience):
		require.FailNow(c.t, "the agent lives", unit)
	}
}

func entriesOf(t require.TestingT, folder string, event ledger.Event) []ledger.Entry {
	return slices.DeleteFunc(readJournal(t, folder), func(entry ledger.Entry) bool { return entry.Event != event })
}

// issuedFor is what all units there ever were have issued for an order.
func (c *cluster) issuedFor(order string) []ledger.Entry {
	c.t.Helper()
	var found []ledger.Entry
	for _, folder := range c.stateFolders() {
		for _, entry := range entriesOf(c.t, folder, ledger.Issued) {
			if entry.Order == order {
				found = append(found, entry)
			}
		}
	}
	return found
}

// everythingPublished is all that signet's databags say to consumers.
func (c *cluster) everythingPublished() string {
	c.t.Helper()
	var all bytes.Buffer
	for _, relation := range c.model().Relations("signet") {
		bags := []map[string]string{c.model().AppBag(relation.ID, "signet")}
		for _, unit := range c.model().Units("signet") {
			bags = append(bags, c.model().UnitBag(relation.ID, unit))
		}
		for _, bag := range bags {
			for _, value := range bag {
				all.WriteString(value)
			}
		}
	}
	return all.String()
}

// The first leader makes the CA and its secret, and dies before the peer databag says so. Whoever leads next finds the
// secret and goes on with that very CA.
func TestTheFirstLeaderDiesBetweenTheSecretAndTheRecord(t *testing.T) {
	t.Parallel()
	fates := map[string]func(c *cluster, leader string){
		"and leads on": func(*cluster, string) {},
		"and follows": func(c *cluster, leader string) {
			require.NoError(c.t, c.model().SetLeader(c.another(leader)))
		},
		"and is lost": (*cluster).loseMachine,
	}
	for name, meets := range fates {
		for who, die := range map[string]func(*cluster) string{"an agent": (*cluster).dieUnrecorded, "a hook": (*cluster).dieUnrecordedInHook} {
			t.Run(who+" "+name, func(t *testing.T) {
				t.Parallel()
				c := openCluster(t, 1, 1)
				leader := die(c)
				require.Empty(t, c.recorded())
				secret, found := c.authoritySecret()
				require.True(t, found)
				content, err := c.model().RevealSecret(secret.URI)
				require.NoError(t, err)
				c.authority = content["certificate"]
				require.NotEmpty(t, c.authority)

				meets(c, leader)
				c.startAgents()
				c.rest()
				c.judge()
			})
		}
	}
}

// dieUnrecorded has the first leader's agent die with the CA's secret made and the databags untouched.
func (c *cluster) dieUnrecorded() string {
	c.t.Helper()
	leader := c.model().Leader("signet")
	started := make(chan *agentProcess, 1)
	c.model().Lose(func(unit string) bool {
		if unit != leader || !c.hasSecret() {
			return false
		}
		process := <-started
		process.kill()
		started <- process
		return true
	})
	defer c.model().Lose(nil)
	require.NoError(c.t, c.startAgent(c.within(), leader))
	started <- c.agents[leader]
	c.awaitDeath(leader)
	return leader
}

// dieUnrecordedInHook is the same where no agent runs: Juju's unit agent makes a hook's changes at its end, and dies there.
func (c *cluster) dieUnrecordedInHook() string {
	c.t.Helper()
	leader := c.model().Leader("signet")
	ctx, powerCut := context.WithCancel(c.within())
	defer powerCut()
	c.model().Lose(func(unit string) bool {
		if unit != leader || !c.hasSecret() {
			return false
		}
		powerCut()
		return true
	})
	defer c.model().Lose(nil)
	require.ErrorIs(c.t, c.runner.Settle(ctx), context.Canceled)
	return leader
}

// hasSecret tells whether a CA's key is in a secret. It may be asked for by the controller, where a test cannot fail.
func (c *cluster) hasSecret() bool {
	return slices.ContainsFunc(c.model().Secrets("signet"), func(s sandbox.SecretInfo) bool { return s.Label == "ca-1" })
}
