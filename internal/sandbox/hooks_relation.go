// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"maps"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/juju"
)

// nextRelation gives the next hook about a relation whose -created hook has run.
func (a *unitAgent) nextRelation(m *Model) (HookInfo, bool) {
	for _, id := range a.inOrder() {
		info, err := m.RelationOf(a.unit, id)
		if err != nil {
			continue
		}
		if info.Life != Alive || info.Suspended {
			if hook, found := a.nextEnding(m, id); found {
				return hook, true
			}
			_ = m.LeaveScope(id, a.unit) // the charm never heard of it
			continue
		}
		units, apps, err := m.BagVersions(a.unit, id)
		if err != nil {
			continue
		}
		if hook, found := a.nextLiving(id, units, apps); found {
			return hook, true
		}
	}
	return HookInfo{}, false
}

// nextLiving compares what the charm has been shown of a relation with what there is.
func (a *unitAgent) nextLiving(id int, units, apps map[string]int64) (HookInfo, bool) {
	r := a.relations[id]
	if r.pending != "" {
		hook := a.relationHook(id, "relation-changed", r.pending)
		hook.version = units[r.pending]
		return hook, true
	}
	for _, name := range sortedUnits(r.members) {
		if _, stays := units[name]; !stays {
			hook := a.relationHook(id, "relation-departed", name)
			hook.DepartingUnit = name
			return hook, true
		}
	}
	for app, version := range apps {
		if version != r.appBag {
			hook := a.relationHook(id, "relation-changed", "")
			hook.RemoteApp, hook.version = app, version
			return hook, true
		}
	}
	for _, name := range sortedUnits(units) {
		if _, joined := r.members[name]; !joined {
			hook := a.relationHook(id, "relation-joined", name)
			hook.version = units[name]
			return hook, true
		}
	}
	for _, name := range sortedUnits(units) {
		if units[name] != r.members[name] {
			hook := a.relationHook(id, "relation-changed", name)
			hook.version = units[name]
			return hook, true
		}
	}
	return HookInfo{}, false
}

// nextEnding takes the charm out of a relation: -departed for each unit it knows, then -broken. A joined unit whose
// -changed is due still gets that first.
func (a *unitAgent) nextEnding(m *Model, id int) (HookInfo, bool) {
	r := a.relations[id]
	if r.pending != "" {
		return a.relationHook(id, "relation-changed", r.pending), true
	}
	if members := sortedUnits(r.members); len(members) > 0 {
		hook := a.relationHook(id, "relation-departed", members[0])
		hook.DepartingUnit = members[0]
		if m.UnitLife(a.unit) != Alive {
			hook.DepartingUnit = a.unit
		}
		return hook, true
	}
	if !a.isPeer(id) && r.created {
		return a.relationHook(id, "relation-broken", ""), true
	}
	return HookInfo{}, false
}

// relationHook makes a hook about a relation and, for a unit, about that unit.
func (a *unitAgent) relationHook(id int, kind, unit string) HookInfo {
	r := a.relations[id]
	hook := HookInfo{Name: r.endpoint.Name + "-" + kind, kind: kind, RelationID: id, RemoteApp: r.app, RemoteUnit: unit}
	if unit != "" {
		hook.RemoteApp = juju.ApplicationOf(unit)
	}
	return hook
}

func (a *unitAgent) doneRelation(m *Model, hook HookInfo) error {
	r := a.relations[hook.RelationID]
	if r == nil {
		return nil
	}
	switch hook.kind {
	case "relation-created":
		r.created = true
	case "relation-joined":
		r.pending = hook.RemoteUnit
	case "relation-changed":
		if hook.RemoteUnit == "" {
			r.appBag = hook.version
			break
		}
		r.pending = ""
		if _, member := r.members[hook.RemoteUnit]; member {
			r.members[hook.RemoteUnit] = hook.version
		}
	case "relation-broken":
		delete(a.relations, hook.RelationID)
		return m.LeaveScope(hook.RelationID, a.unit)
	}
	return nil
}

func sortedUnits(versions map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(versions), func(x, y string) int {
		if c := compareUnits(x, y); c != 0 {
			return c
		}
		return strings.Compare(x, y)
	})
}
