// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"strconv"
	"time"

	"github.com/signet-charm/signet/internal/audit"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/provider"
)

// recorded tells, as juju.Snapshot.Local, what the unit's record says of what is decided now: what was issued again and
// again within the last hour, which decisions and refusals stand, and how far checkpoints reach.
func (u *Unit) recorded() (map[string]string, error) {
	const slack = time.Minute // the entries may be of another clock of the same machine
	found, now := map[string]string{}, u.Now()
	since, until := now.Add(-time.Hour), now.Add(slack)
	err := u.Folder.View(func(l *ledger.Ledger) {
		for key, at := range l.Repeats(since, until, provider.MaxRepeats) {
			found[provider.RepeatedKey+key] = at.Add(time.Hour).UTC().Format(time.RFC3339)
		}
		for unit, issued := range l.Floods(since, until, provider.ManyIssues) {
			found[provider.FloodKey+unit] = strconv.Itoa(issued)
		}
		for topic, fact := range l.Decided() {
			found[provider.DecidedKey+topic] = fact
		}
		for order, refusal := range l.Refusals(now, slack) {
			found[provider.RefusedKey+order] = refusal.Reason
		}
		for asker, denials := range l.Denials(now) {
			found[provider.DenialsKey+asker] = strconv.Itoa(denials)
		}
		if since := l.Uncovered(); !since.IsZero() {
			found[provider.UncoveredKey] = since.UTC().Format(time.RFC3339Nano)
		}
		if last, has := l.LastCheckpoint(); has {
			found[provider.CheckpointKey] = last.Detail
		}
	})
	return found, err
}

// recordFailure records that an action which may be on record as done came to nothing.
func (u *Unit) recordFailure(action juju.Action, why error) error {
	return u.Folder.Append(provider.ActionEntry(u.Now(), action, juju.Result{Failure: why.Error()}))
}

// beginTelling notes how long the record was before the first turn: what it holds then was told by others.
func (u *Unit) beginTelling() {
	if u.Tell == nil || u.telling {
		return
	}
	u.telling = u.Folder.View(func(l *ledger.Ledger) { u.told = l.Len() }) == nil
}

// tell tells what was recorded since the last time, whether or not the turn comes to a good end.
func (u *Unit) tell(snap juju.Snapshot) {
	if u.Tell == nil || !u.telling {
		return
	}
	var fresh []ledger.Entry
	err := u.Folder.View(func(l *ledger.Ledger) {
		fresh = l.Entries()[min(u.told, l.Len()):]
		u.told = l.Len()
	})
	switch {
	case err != nil:
		u.Log.Warn("cannot tell what was recorded", "error", err)
	case len(fresh) > 0:
		u.Tell(audit.AppID(snap.ModelUUID, snap.Unit), fresh)
	}
}
