// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import "github.com/juju/juju/rpc/params"

// goalState tells a unit which units there are and will be: of its own application, and by endpoint of those related. Juju
// shows the offering side of a cross-model relation nothing of it, and the consuming side the offer without its units.
func (m *Model) goalState(viewer string) (*params.GoalState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(viewer)
	if err != nil {
		return nil, err
	}
	goal := &params.GoalState{Units: m.goalOf(u.app), Relations: map[string]params.UnitsGoalState{}}
	for _, r := range m.relationsOf(u.app) {
		if r.peer() || (r.alias != "" && u.app != r.consumer) {
			continue
		}
		own, err := r.own(u.app)
		if err != nil {
			return nil, err
		}
		states := goal.Relations[own.endpoint.Name]
		if states == nil {
			states = params.UnitsGoalState{}
			goal.Relations[own.endpoint.Name] = states
		}
		status := params.GoalStateStatus{Status: r.status(), Since: new(r.since)}
		if r.alias != "" {
			states["admin/offering."+r.remote(u.app)] = status
			continue
		}
		states[r.remote(u.app)] = status
		for name, state := range m.goalOf(r.remote(u.app)) {
			states[name] = state
		}
	}
	return goal, nil
}

// status is how a relation's life goes: the first leader to enter it says that it is joined.
func (r *relation) status() string {
	switch {
	case r.life != Alive:
		return "broken"
	case r.suspended:
		return "suspended"
	case len(r.scope) == 0:
		return "joining"
	}
	return "joined"
}

func (m *Model) goalOf(app string) params.UnitsGoalState {
	states := params.UnitsGoalState{}
	for name, u := range m.apps[app].units {
		level := u.status.Level
		if u.life == Dying {
			level = string(Dying)
		}
		states[name] = params.GoalStateStatus{Status: level, Since: new(u.status.Since)}
	}
	return states
}
