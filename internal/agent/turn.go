// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/unit"
)

// maxRounds bounds how often one turn decides anew. A turn needs five: the CA and requests, certificates, files, links,
// the programs that take them up; more means that the decision does not come to rest, which the next turn may mend.
const maxRounds = 8

// outboxLife is how long an answer's private key is kept to answer the same order again. A hook's changes come into
// force only after its turn, so they may yet be lost.
const outboxLife = time.Hour

// Turn takes one turn: it reads a snapshot, decides, carries out the orders, decides again with their answers until
// there are no new ones, and commits the changes. When leadership moved meanwhile it looks once more and does what is
// left to a unit that does not lead.
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
	outcome, err := u.turn(ctx, action)
	if errors.Is(err, juju.ErrNotLeader) {
		u.Log.Info("leadership moved during the turn; looking again")
		outcome, err = u.turn(ctx, action)
	}
	outcome, err = u.shown(ctx, action, outcome, err)
	return outcome, errors.Join(err, unlock())
}

func (u *Unit) turn(ctx context.Context, action *juju.Action) (Outcome, error) {
	snap, err := u.look(ctx)
	if err != nil {
		return Outcome{}, err
	}
	snap.Action = action
	opened, err := open(snap)
	if err != nil {
		u.Log.Error("the peer relation cannot be opened", "error", err)
	}
	plan, err := u.decide(ctx, opened)
	if err != nil {
		return Outcome{}, err
	}
	outcome := Outcome{Status: snap.Status, Wake: plan.Wake}
	if plan.Changes.Status != nil {
		outcome.Status = *plan.Changes.Status
	}
	if plan.Result != nil {
		outcome.Result = *plan.Result
	}
	if err := u.commit(ctx, snap, plan.Changes); err != nil {
		return Outcome{}, err
	}
	if u.Publish != nil {
		u.Publish(plan.Serve)
	}
	return outcome, u.Authority.Prune(u.Now().Add(-outboxLife))
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
	if u.Trouble != "" {
		snap.Local[unit.TroubleKey] = u.Trouble
	}
	surveys := []func() (map[string]string, error){u.Folder.Survey, u.Machine.Survey, u.Authority.Authorities, u.repeats}
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

// repeats tells what was issued again and again within the last hour.
func (u *Unit) repeats() (map[string]string, error) {
	found := map[string]string{}
	const slack = time.Minute // the entries may be of another clock of the same machine
	now := u.Now()
	repeated, err := u.Folder.Repeats(now.Add(-time.Hour), now.Add(slack), provider.MaxRepeats)
	for key, at := range repeated {
		found[provider.RepeatedKey+key] = at.Add(time.Hour).UTC().Format(time.RFC3339)
	}
	return found, err
}

// decide decides until every order has an answer, and gives the last plan.
func (u *Unit) decide(ctx context.Context, snap juju.Snapshot) (unit.Plan, error) {
	now := u.Now()
	var answers []order.Answer
	for range maxRounds {
		plan := unit.Decide(now, snap, answers)
		if len(plan.Entries) > 0 {
			if err := u.Folder.Append(plan.Entries...); err != nil {
				return unit.Plan{}, err
			}
		}
		if len(plan.Orders) == 0 {
			return plan, nil
		}
		for _, wanted := range plan.Orders {
			if err := ctx.Err(); err != nil {
				return unit.Plan{}, err
			}
			answers = append(answers, u.carry(ctx, wanted))
		}
	}
	plan := unit.Decide(now, snap, answers)
	u.Log.Warn("the turn does not come to rest; the next one goes on", "orders", len(plan.Orders))
	plan.Wake = now
	return plan, nil
}

func (u *Unit) carry(ctx context.Context, wanted order.Order) order.Answer {
	carrier := Carrier(u.Folder)
	switch wanted.(type) {
	case order.CreateAuthority, order.RequestAuthority, order.FetchKey, order.KeepKey,
		order.Sign, order.CrossSign, order.SignCRL:
		carrier = u.Authority
	case order.ReadAuthority, order.WriteArchive, order.ReadArchive, order.ListArchives, order.DeleteArchive:
		carrier = u.Keeper
	case order.RefreshTrust, order.Reload:
		carrier = u.Machine
	}
	answer := carrier.Carry(ctx, wanted)
	if answer.Failure != nil {
		u.Log.Warn("an order failed", "order", string(wanted.ID()), "code", answer.Failure.Code, "reason", answer.Failure.Message)
	}
	return answer
}
