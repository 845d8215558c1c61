// SPDX-License-Identifier: AGPL-3.0-only

package diagnosis

import (
	"fmt"
	"strconv"
	"time"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
)

const day = 24 * time.Hour

// machineChecks are about the agent, its folder and the machine's clock.
func machineChecks() []check {
	return []check{
		{"status", checkStatus},
		{"agent", checkAgent},
		{"agent-version", checkVersion},
		{"turn", checkTurn},
		{"socket-mode", checkSocket},
		{"agent-conf", checkConf},
		{"state-modes", checkStateModes},
		{"state-owner", checkStateOwner},
		{"disk-space", checkSpace},
		{"disk-inodes", checkNodes},
		{"leftovers", checkLeftovers},
		{"journal", checkJournal},
		{"checkpoint", checkCheckpoint},
		{"clock-journal", checkClockOfRecord},
		{"fips", checkFIPS},
	}
}

func checkStatus(f *Facts) result {
	if !f.fromAgent() {
		return unseen()
	}
	fix := "do what the status says; signet status has all of it"
	switch message, _ := f.is(juju.Active); f.View.Status.Level {
	case juju.Blocked:
		return fail(fix, "the unit is blocked: %s", message)
	case juju.Waiting, juju.Maintenance:
		return warn(fix, "the unit is %s: %s", f.View.Status.Level, message)
	}
	return fine("the unit is active: %s", f.View.Status.Message)
}

func checkAgent(f *Facts) result {
	switch {
	case f.Agent.Answers && f.Agent.Trouble != "":
		return warn("ask again in a minute; then see journalctl -u "+f.Agent.Service, "the agent answers, and has nothing to show: %s", f.Agent.Trouble)
	case f.Agent.Answers:
		return fine("the agent answers")
	case f.Agent.Wanted:
		return fail(run("systemctl", "restart", f.Agent.Service), "no agent answers, so that renewals wait for Juju's next hook: %s", f.Agent.Trouble)
	}
	return warn("start it: signet agent --unit "+f.Unit+" --charm-dir DIR", "no agent answers, so that renewals wait for Juju's next hook: %s", f.Agent.Trouble)
}

func checkVersion(f *Facts) result {
	switch {
	case !f.fromAgent():
		return unseen()
	case f.View.Version != f.Version:
		return warn(run("systemctl", "restart", f.Agent.Service), "the agent is of version %s, this program of %s", f.View.Version, f.Version)
	}
	return fine("the agent is of this program's version, %s", f.Version)
}

// longestRest is how long an agent may go without a turn: it looks at everything once a day.
const longestRest = 25 * time.Hour

func checkTurn(f *Facts) result {
	switch {
	case !f.fromAgent():
		return unseen()
	case f.View.Trouble != "":
		return fail("see why: journalctl -u "+f.Agent.Service, "the last turn failed: %s", f.View.Trouble)
	case f.Now.Sub(f.View.Turn) > longestRest:
		return fail(run("systemctl", "restart", f.Agent.Service), "the last turn was at %s: the agent hangs", moment(f.View.Turn))
	}
	return fine("the last turn was at %s", moment(f.View.Turn))
}

func checkSocket(f *Facts) result {
	switch f.Agent.Mode {
	case "":
		return note("the agent has no socket")
	case "0600":
		return fine("the agent's socket is its owner's only")
	}
	return fail(run("chmod", "0600", f.Agent.Socket), "the agent's socket has mode %s: others may have it revoke and rotate", f.Agent.Mode)
}

func checkConf(f *Facts) result {
	switch {
	case f.Conf.Path == "" || f.Conf.Absent:
		return note("there is no agent.conf here: only hooks reach the controller")
	case f.Conf.Mode&0o077 != 0:
		return fail(run("chmod", "0600", f.Conf.Path), "agent.conf has mode %04o, so that others may read the unit's password, and signet does not use it", f.Conf.Mode)
	case f.Conf.Trouble != "":
		return fail("restart the unit agent (jujud), which writes the file anew", "agent.conf cannot be used: %s", f.Conf.Trouble)
	}
	return fine("agent.conf is readable by its owner only, and complete")
}

func checkStateModes(f *Facts) result {
	switch {
	case f.Folder.Trouble != "":
		return fail("run it as root: sudo signet doctor", "the state folder cannot be looked at: %s", f.Folder.Trouble)
	case len(f.Folder.Loose) > 0:
		return fail(run(append([]string{"chmod", "go-rwx"}, f.Folder.Loose...)...), "others may read what is for the owner only: %s", some(f.Folder.Loose))
	}
	return fine("the state folder is closed to others")
}

func checkStateOwner(f *Facts) result {
	if len(f.Folder.Foreign) > 0 {
		return warn(run("chown", "-R", "--reference="+f.Folder.Root, f.Folder.Root), "other users own files of the state folder: %s", some(f.Folder.Foreign))
	}
	return fine("one user owns the state folder and all in it")
}

// The room that a state folder needs: the record grows by half a kilobyte for each certificate.
const (
	littleRoom = 10 << 20
	someRoom   = 100 << 20
	fewNodes   = 1000
)

func checkSpace(f *Facts) result {
	free, fix := f.Folder.Free, "make room on the file system of "+f.Folder.Root
	switch {
	case f.Folder.Size == 0:
		return note("how much room there is is not known")
	case free < littleRoom:
		return fail(fix, "the disk is full but for %d MiB: nothing can be signed that cannot be recorded", free>>20)
	case free < someRoom || free < f.Folder.Size/50:
		return warn(fix, "%d MiB are left on the disk, of %d", free>>20, f.Folder.Size>>20)
	}
	return fine("%d MiB are left on the disk", free>>20)
}

func checkNodes(f *Facts) result {
	switch {
	case f.Folder.Nodes == 0:
		return fine("the file system does not run out of inodes")
	case f.Folder.FreeNodes < fewNodes:
		return fail("remove files from the file system of "+f.Folder.Root+": df -i", "%d inodes are left", f.Folder.FreeNodes)
	}
	return fine("%d inodes are left", f.Folder.FreeNodes)
}

// leftFor is how long something half-written may be at work on, and keptFor how long an answer's key is kept.
const (
	leftFor = time.Hour
	keptFor = 2 * time.Hour
)

func checkLeftovers(f *Facts) result {
	var left, kept []string
	for _, one := range f.Folder.Left {
		if f.Now.Sub(one.Since) > leftFor {
			left = append(left, one.Path)
		}
	}
	for _, one := range f.Folder.Kept {
		if f.Now.Sub(one.Since) > keptFor {
			kept = append(kept, one.Path)
		}
	}
	fix := "they go with the next turn: " + nextTurn(f)
	switch {
	case len(left) > 0 && f.Agent.Answers:
		return warn(run(append([]string{"rm", "-f"}, left...)...), "a crash left half-written files: %s", some(left))
	case len(left) > 0:
		return warn(fix, "a crash left half-written files: %s", some(left))
	case len(kept) > 0:
		return warn(fix, "%s of answers that were published long ago: %s", count(len(kept), "private key"), some(kept))
	}
	return fine("nothing is left of crashes")
}

func nextTurn(f *Facts) string {
	return "juju exec --unit " + f.Unit + " -- hooks/update-status"
}

func checkJournal(f *Facts) result {
	switch {
	case f.Record.Absent:
		return note("nothing is recorded yet")
	case f.Record.Trouble != "":
		return fail("run it as root: sudo signet doctor", "the record cannot be read: %s", f.Record.Trouble)
	case len(f.Record.Problems) > 0:
		return fail("keep a copy, and find out who changed it: signet audit verify", "the record is not as it was written: %s", f.Record.Problems[0])
	}
	return fine("the record is sound: %d entries", len(f.Record.Entries))
}

// uncoveredFor is how long the record may go without a checkpoint, which the leader makes once a day.
const uncoveredFor = 3 * day

func checkCheckpoint(f *Facts) result {
	switch {
	case !f.fromAgent():
		return unseen()
	case !f.View.Leader || f.inVault() || f.View.Settings.Authority == "none":
		return fine("only a leader with a CA of its own has the record signed")
	}
	if since := f.sinceCheckpoint(); len(since) > 0 && f.Now.Sub(since[0].Time) > uncoveredFor {
		return warn("juju run "+f.application()+"/leader checkpoint", "what was recorded since %s is not vouched for by a checkpoint", moment(since[0].Time))
	}
	return fine("checkpoints vouch for the record")
}

func (f *Facts) sinceCheckpoint() []ledger.Entry {
	for i := len(f.Record.Entries) - 1; i >= 0; i-- {
		if f.Record.Entries[i].Event == ledger.Checkpoint {
			return f.Record.Entries[i+1:]
		}
	}
	return f.Record.Entries
}

// Clocks differ by seconds, and certificates begin a little in the past for that.
const (
	smallSkew = time.Minute
	largeSkew = 5 * time.Minute
)

const clockFix = "set the clock: timedatectl set-ntp true"

func checkClockOfRecord(f *Facts) result {
	switch ahead := f.Record.Last.Sub(f.Now); {
	case f.Record.Last.IsZero():
		return note("nothing is recorded yet")
	case ahead > largeSkew:
		return fail(clockFix, "the last entry of the record, of %s, lies in the future: the clock was put back, or is wrong", moment(f.Record.Last))
	case ahead > smallSkew:
		return warn(clockFix, "the last entry of the record lies %s in the future", ahead.Round(time.Second))
	}
	return fine("the clock is after the last entry of the record")
}

func checkFIPS(f *Facts) result {
	switch {
	case f.FIPS.Asked != "" && f.FIPS.Asked != f.FIPS.Mode:
		return fail("see signet version, and GODEBUG in the agent's environment", "FIPS 140-3 mode %q is asked for, and cryptography runs with %q", f.FIPS.Asked, f.FIPS.Mode)
	case f.FIPS.Kernel && f.FIPS.Mode == "off":
		return warn("set GODEBUG=fips140=on in the environment of the unit agent and of "+f.Agent.Service, "this machine is in FIPS mode, and signet is not")
	}
	return fine("FIPS 140-3 mode is %s", f.FIPS.Mode)
}

func moment(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// left says how long it is until a time.
func left(now, at time.Time) string {
	switch d := at.Sub(now); {
	case d < 0:
		return fmt.Sprintf("%s ago", brief(-d))
	default:
		return "in " + brief(d)
	}
}

func brief(d time.Duration) string {
	switch {
	case d >= 2*day:
		return strconv.Itoa(int(d/day)) + " days"
	case d >= 2*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " hours"
	}
	return strconv.Itoa(int(d/time.Minute)) + " minutes"
}
