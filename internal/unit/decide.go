// SPDX-License-Identifier: AGPL-3.0-only

// Package unit is the whole charm as one pure function: Decide says what must become true, given what Juju and the
// unit's own disk show. Where to look next: packages provider and requirer, whose two decisions it joins, and package
// agent, which carries a Plan out.
package unit

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/cos"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/requirer"
)

// A Plan says what must become true, in the order in which it must be done.
type Plan struct {
	Entries []ledger.Entry // 1. record durably before any order is carried out, and before anything is committed
	Orders  []order.Order  // 2. carry out, then decide again with the answers
	Changes juju.Changes   // 3. commit; inside it: secrets, then bags and state in one transaction, then status
	Wake    time.Time      // 4. take another turn no later than this; zero means never

	Serve  provider.Serve // what this unit serves over HTTP once the changes are committed
	Result *juju.Result   // of the snapshot's action; nil while its orders are not answered, and where there is none
}

// TroubleKey is where Snapshot.Local says why the agent, which watches the clock, cannot take turns.
const TroubleKey = "trouble"

// Memory is what decisions leave behind for the next one, so that it costs what changed since, not what exists. It changes no
// decision. Its zero value remembers nothing; it is not safe for concurrent use.
type Memory struct{ provider provider.Memory }

// Decide is total (never fails: bad input becomes a denial or a status), deterministic (same arguments, same plan,
// whatever the map order) and idempotent (once its plan is in force it plans nothing new).
func Decide(now time.Time, snap juju.Snapshot, answers []order.Answer) Plan {
	return new(Memory).Decide(now, snap, answers)
}

// Decide gives what the function of the same name does.
func (m *Memory) Decide(now time.Time, snap juju.Snapshot, answers []order.Answer) Plan {
	config, state := soundConfig(snap)
	var authority provider.Decision
	if snap.Has(juju.Provides, dialect.Interface) { // a charm without that endpoint can be no authority
		authority = m.provider.Step(now, snap, config.provider, answers)
	}
	config.requirer.Idle = authority.Climbs
	consumer := requirer.Step(now, snap, config.requirer, answers)

	bags := map[int]juju.OwnBags{}
	maps.Copy(bags, authority.Bags)
	maps.Copy(bags, consumer.Bags)
	share(snap, state, bags)
	told, untold := cos.Step(snap, authority.Serve.Listen)
	maps.Copy(bags, told)
	reports := slices.Concat(config.reports, authority.Reports, consumer.Reports, untold)
	reports = append(reports, troubled(snap)...)
	orders := slices.Concat(authority.Orders, consumer.Orders)
	found := result(snap, authority.Result, len(orders) == 0)
	return Plan{
		Entries: slices.Concat(authority.Entries, settled(now, snap, authority.Record, found, len(orders) == 0)),
		Orders:  orders,
		Changes: juju.Diff(snap, juju.World{
			Bags:    bags,
			Secrets: authority.Secrets,
			State:   merged(state, authority.State, consumer.State),
			Status:  worst(reports),
			Version: snap.Local[juju.VersionKey],
		}),
		Wake:   juju.Earliest(authority.Wake, consumer.Wake),
		Serve:  authority.Serve,
		Result: found,
	}
}

// troubled says why the agent cannot take turns, where that is so.
func troubled(snap juju.Snapshot) []juju.Status {
	trouble := snap.Local[TroubleKey]
	if trouble == "" {
		return nil
	}
	return []juju.Status{{Level: juju.Waiting, Message: "only hooks do the work, so renewals may be late: " + trouble}}
}

// settled is what is recorded once the turn has come to rest: its decisions, and what came of an action.
func settled(now time.Time, snap juju.Snapshot, decisions []ledger.Entry, found *juju.Result, rest bool) []ledger.Entry {
	switch {
	case !rest:
		return nil
	case snap.Action == nil || found == nil:
		return decisions
	}
	return slices.Concat(decisions, []ledger.Entry{provider.ActionEntry(now, *snap.Action, *found)})
}

// result makes sure that an action ends with an answer.
func result(snap juju.Snapshot, found *juju.Result, rest bool) *juju.Result {
	if snap.Action == nil || found != nil || !rest {
		return found
	}
	return &juju.Result{Failure: fmt.Sprintf("%s cannot be done by this unit now: see its status", snap.Action.Name)}
}

func merged(states ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, state := range states {
		maps.Copy(all, state)
	}
	return all
}

// byWorst sorts reports by how much attention they need.
func byWorst(reports []juju.Status) []juju.Status {
	ordered := slices.Clone(reports)
	slices.SortStableFunc(ordered, func(a, b juju.Status) int { return b.Level.Severity() - a.Level.Severity() })
	return ordered
}

// worst shows the report that needs attention first, and how many more there are of its kind or worse than active.
func worst(reports []juju.Status) juju.Status {
	if len(reports) == 0 {
		return juju.Status{Level: juju.Active, Message: "idle: nothing is related"}
	}
	ordered := byWorst(reports)
	shown, more := ordered[0], 0
	for _, other := range ordered[1:] {
		switch {
		case shown.Level == juju.Active:
			shown.Message += "; " + other.Message
		case other.Level != juju.Active:
			more++
		}
	}
	if more > 0 {
		shown.Message += fmt.Sprintf(" (+%d more)", more)
	}
	return shown
}
