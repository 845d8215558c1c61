// SPDX-License-Identifier: AGPL-3.0-only

package hooktool

import (
	"context"
	"errors"

	"github.com/signet-charm/signet/internal/juju"
)

// goal is what goal-state tells: who belongs to the application and to its relations, by endpoint, whether or not this
// unit's hooks have come across them yet.
type goal struct {
	Units     map[string]goalStatus            `json:"units"`
	Relations map[string]map[string]goalStatus `json:"relations"`
}

type goalStatus struct {
	Status string `json:"status"`
}

func (g goalStatus) leaving() bool { return g.Status == "dying" || g.Status == "dead" }

// readGoal asks for the goal state. A Juju that has none, or cannot tell, leaves it empty.
func (s *Session) readGoal(ctx context.Context) (goal, error) {
	var answer goal
	if err := s.read(ctx, &answer, "goal-state"); err != nil {
		if errors.Is(err, juju.ErrUnreachable) {
			return goal{}, err
		}
		return goal{}, nil
	}
	return answer, nil
}

// partial reports whether a hook sees only some units of a relation. Juju's relation-list holds those whose
// relation-joined has run here: a unit that has just come, or that is leaving itself, does not see the others.
func (s *Session) partial(relation juju.Relation, goal goal) bool {
	if relation.Endpoint.Role == juju.Peers {
		return false
	}
	if s.env.DepartingUnit == s.env.Unit || goal.Units[s.env.Unit].leaving() {
		return true
	}
	for name, status := range goal.Relations[relation.Endpoint.Name] {
		_, seen := relation.RemoteUnits[name]
		_, isUnit := juju.UnitNumber(name)
		if isUnit && !seen && !status.leaving() && name != s.env.DepartingUnit && juju.ApplicationOf(name) == relation.RemoteApp {
			return true
		}
	}
	return false
}
