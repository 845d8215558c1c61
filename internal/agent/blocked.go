// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signet-charm/signet/internal/juju"
)

// blocker is an error of the machine's that only who looks after it can mend; its text names what cannot be done, where,
// and the next step. Package disk's are.
type blocker interface {
	error
	Blocks() bool
}

// blockedPause is how long nothing is tried where the machine keeps a turn from being taken: what is mended there tells
// nobody, and the next hook may be minutes away.
const blockedPause = time.Minute

// Show sets the unit's status to what keeps it from its work, without anything of the machine's: its disk may be full. An
// error that is not the machine's is given back, and one of showing it beside it.
func Show(ctx context.Context, session Session, err error) (juju.Status, error) {
	var found blocker
	if !errors.As(err, &found) || !found.Blocks() {
		return juju.Status{}, err
	}
	status := juju.Status{Level: juju.Blocked, Message: found.Error()}
	snap, seeErr := session.Snapshot(ctx)
	if seeErr == nil && snap.Status != status { // set again it would look like news to whoever watches, this unit too
		seeErr = session.Commit(ctx, juju.Changes{Status: &status})
	}
	if seeErr != nil {
		return juju.Status{}, errors.Join(err, fmt.Errorf("cannot show that: %w", seeErr))
	}
	return status, nil
}

// shown ends a turn that the machine kept from being taken as one that says so, so that a hook does not fail: nobody would
// see its reason then. Whether an action was done is not known.
func (u *Unit) shown(ctx context.Context, action *juju.Action, outcome Outcome, err error) (Outcome, error) {
	if err == nil {
		return outcome, nil
	}
	status, left := Show(ctx, u.Session, err)
	if left != nil {
		return outcome, left
	}
	u.Log.Error("the turn could not be taken", "error", err, "again_in", blockedPause)
	if action != nil {
		return Outcome{}, err
	}
	return Outcome{Status: status, Wake: u.Now().Add(blockedPause)}, nil
}
