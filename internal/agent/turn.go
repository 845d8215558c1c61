// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/unit"
)

// maxLooks bounds how often one turn decides on a new snapshot because the one before was overtaken: another unit leads,
// and publishes. More than a few in a row means that leadership does not come to rest, which a later turn may find it do.
const maxLooks = 4

// trusted is how long a snapshot that says that this unit leads is taken at its word. Juju promises leadership for twice
// as long; a machine that was suspended meanwhile does not notice.
const trusted = 15 * time.Second

// maxRounds bounds how often one turn decides anew on one snapshot. A turn needs eight at most: a login, what Vault says, the
// CA and requests, certificates, files, links, the programs that take them up; more means that the decision does not come to
// rest, which the next turn may mend.
const maxRounds = 11

// outboxLife is how long an answer's private key is kept to answer the same order again. A hook's changes come into
// force only after its turn, so they may yet be lost.
const outboxLife = time.Hour

// Turn takes one turn: it reads a snapshot, decides, carries out the orders, decides again with their answers until
// there are no new ones, and commits the changes. Orders take time, in which another unit may lead and publish for the
// same asks. A leader that carried some out therefore looks again before it commits, and decides anew on what it then
// sees; what it signed is in the journal, and used where it is still wanted. When that goes on and on it commits nothing.
func (u *Unit) Turn(ctx context.Context) (Outcome, error) { return u.take(ctx, nil) }

// Act takes a turn in which an operator's action is done as well. Its result is in the outcome; an error means that it is
// not known whether it was done.
func (u *Unit) Act(ctx context.Context, action juju.Action) (Outcome, error) {
	return u.take(ctx, &action)
}

func (u *Unit) take(ctx context.Context, action *juju.Action) (Outcome, error) {
	unlock, err := u.Folder.Lock(ctx)
	if err != nil {
		return u.shown(ctx, action, Outcome{}, err)
	}
	began := time.Now() // not Now, which is the model's: how long a turn takes is the machine's affair
	outcome, err := u.turn(ctx, action)
	u.count(time.Since(began), err != nil)
	if err != nil {
		u.fail(err)
	}
	if err != nil && action != nil {
		err = errors.Join(err, u.recordFailure(*action, err))
	}
	outcome, err = u.shown(ctx, action, outcome, err)
	return outcome, errors.Join(err, unlock())
}

func (u *Unit) turn(ctx context.Context, action *juju.Action) (outcome Outcome, err error) {
	work := work{Unit: u, action: action, now: u.Now()}
	for range maxLooks {
		outcome, err = work.attempt(ctx)
		if !errors.Is(err, juju.ErrNotLeader) && !errors.Is(err, juju.ErrMoved) {
			return outcome, err
		}
		u.Log.Info("the turn was overtaken; looking again", "cause", err)
	}
	return outcome, err
}

// work is one turn under way. What was answered stays answered, however often the turn looks again: an order is carried
// out once, and an action done once.
type work struct {
	*Unit

	action  *juju.Action
	now     time.Time // of the whole turn: orders that name it must not become others
	answers []order.Answer
}

// attempt decides on what is seen now, and commits that unless it was overtaken meanwhile.
func (w *work) attempt(ctx context.Context) (Outcome, error) {
	began, before := w.Now(), len(w.answers)
	snap, err := w.look(ctx)
	if err != nil {
		return Outcome{}, err
	}
	snap.Action = w.action
	opened, err := w.opener.open(snap)
	if err != nil {
		w.Log.Error("the peer relation cannot be opened", "error", err)
	}
	w.beginTelling()
	plan, err := w.decide(ctx, opened)
	w.tell(snap)
	if err != nil {
		return Outcome{}, err
	}
	outcome := Outcome{Status: snap.Status, Wake: plan.Wake, Published: len(plan.Changes.Relations) > 0}
	outcome.Unfinished = !plan.Wake.IsZero() && !plan.Wake.After(w.now) && w.signed(before)
	if plan.Changes.Status != nil {
		outcome.Status = *plan.Changes.Status
	}
	if plan.Result != nil {
		outcome.Result = *plan.Result
	}
	old := len(w.answers) > before || wallTime(began, w.Now()) > trusted
	if plan.Changes.NeedsLeadership() && (old || snap.Remembered) {
		if err := w.confirm(ctx, snap, plan.Changes); err != nil {
			return Outcome{}, err
		}
	}
	if err := w.commit(ctx, snap, plan.Changes); err != nil {
		return Outcome{}, err
	}
	w.see(w.now, snap, plan, w.answers)
	if w.Publish != nil {
		w.Publish(plan.Serve)
	}
	return outcome, w.Authority.Prune(w.Now().Add(-outboxLife))
}

// signed reports whether anything was signed, or refused for good, since so many answers.
func (w *work) signed(since int) bool {
	return slices.ContainsFunc(w.answers[since:], func(answer order.Answer) bool {
		return answer.Issued.Certificate != "" || answer.Failure != nil && answer.Failure.Final()
	})
}

// wallTime is how much later it is by the clock on the wall, which goes on while a machine is suspended.
func wallTime(from, to time.Time) time.Duration { return to.Round(0).Sub(from.Round(0)) }

// confirm looks again at what another unit may have written since a snapshot. The controller checks leadership only at the
// moment of the commit, when it may have gone and come back: what is lost sight of is the other leader's work.
func (w *work) confirm(ctx context.Context, snap juju.Snapshot, changes juju.Changes) error {
	if err := w.Session.Confirm(ctx, snap, changes); err != nil {
		return fmt.Errorf("cannot commit the turn's changes: %w", err)
	}
	return nil
}

func (u *Unit) commit(ctx context.Context, snap juju.Snapshot, changes juju.Changes) error {
	if changes.Empty() {
		return nil
	}
	sealed, err := seal(snap, changes)
	if err != nil {
		return err
	}
	if err := u.Session.Commit(ctx, sealed); err != nil {
		return fmt.Errorf("cannot commit the turn's changes: %w", err)
	}
	return nil
}

// look reads what Juju shows and what lies on disk.
func (u *Unit) look(ctx context.Context) (juju.Snapshot, error) {
	snap, err := u.Session.Snapshot(ctx)
	if err != nil {
		return juju.Snapshot{}, fmt.Errorf("cannot read the model: %w", err)
	}
	snap.Local = map[string]string{}
	if u.Version != "" {
		snap.Local[juju.VersionKey] = u.Version
	}
	if u.Trouble != "" {
		snap.Local[unit.TroubleKey] = u.Trouble
	}
	surveys := []func() (map[string]string, error){u.Folder.Survey, u.Machine.Survey, u.Authority.Authorities, u.recorded}
	if u.Leftovers != nil {
		surveys = append(surveys, u.Leftovers)
	}
	for _, survey := range surveys {
		found, err := survey()
		if err != nil {
			return juju.Snapshot{}, err
		}
		maps.Copy(snap.Local, found)
	}
	return snap, nil
}

// decide decides until every order has an answer, and gives the last plan.
func (w *work) decide(ctx context.Context, snap juju.Snapshot) (unit.Plan, error) {
	for range maxRounds {
		plan := w.memory.Decide(w.now, snap, w.answers)
		if len(plan.Entries) > 0 {
			if err := w.Folder.Append(plan.Entries...); err != nil {
				return unit.Plan{}, err
			}
		}
		if len(plan.Orders) == 0 {
			return plan, nil
		}
		for _, wanted := range grouped(plan.Orders) {
			if err := ctx.Err(); err != nil {
				return unit.Plan{}, err
			}
			w.answers = append(w.answers, w.carryAll(ctx, wanted)...)
		}
		if err := ctx.Err(); err != nil { // which left some of the last group pending
			return unit.Plan{}, err
		}
	}
	plan := w.memory.Decide(w.now, snap, w.answers)
	w.Log.Warn("the turn does not come to rest; the next one goes on", "orders", len(plan.Orders))
	plan.Wake = w.now
	return plan, nil
}

// grouped puts orders into groups that are carried one after the other: signatures that follow each other are carried
// together, all else by itself.
func grouped(orders []order.Order) [][]order.Order {
	var groups [][]order.Order
	for _, wanted := range orders {
		last := len(groups) - 1
		if last >= 0 && isSign(wanted) && isSign(groups[last][0]) {
			groups[last] = append(groups[last], wanted)
			continue
		}
		groups = append(groups, []order.Order{wanted})
	}
	return groups
}

func isSign(wanted order.Order) bool {
	_, ok := wanted.(order.Sign)
	return ok
}

// carryAll carries the orders of a group, and gives the answers in their order.
func (u *Unit) carryAll(ctx context.Context, orders []order.Order) []order.Answer {
	var signs []order.Sign // all of them, or none
	for _, wanted := range orders {
		if sign, ok := wanted.(order.Sign); ok {
			signs = append(signs, sign)
		}
	}
	if len(signs) == 0 {
		return []order.Answer{u.carry(ctx, orders[0])}
	}
	answers := u.Authority.SignAll(ctx, signs...)
	for _, answer := range answers {
		u.warn(answer)
	}
	return answers
}

func (u *Unit) carry(ctx context.Context, wanted order.Order) order.Answer {
	carrier := Carrier(u.Folder)
	switch wanted.(type) {
	case order.CreateAuthority, order.RequestAuthority, order.FetchKey, order.KeepKey,
		order.CrossSign, order.SignCRL, order.SignRecord,
		order.Consult, order.InstallAuthority, order.Revoke, order.Unwrap:
		carrier = u.Authority
	case order.ReadAuthority, order.WriteArchive, order.ReadArchive, order.ListArchives, order.DeleteArchive:
		carrier = u.Keeper
	case order.RefreshTrust, order.Reload:
		carrier = u.Machine
	}
	answer := carrier.Carry(ctx, wanted)
	u.warn(answer)
	return answer
}

// warn logs that an order failed.
func (u *Unit) warn(answer order.Answer) {
	if answer.Failure != nil {
		u.Log.Warn("an order failed", "order", string(answer.Order), "code", answer.Failure.Code, "reason", answer.Failure.Message)
	}
}
