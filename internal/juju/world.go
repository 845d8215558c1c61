// SPDX-License-Identifier: AGPL-3.0-only

package juju

import (
	"maps"
	"slices"
	"strings"
)

// World is what this unit wants Juju to hold of it: the whole desired content, not commands. What a World does not
// mention (a relation, a secret label, a state key) stays as it is.
type World struct {
	Bags    map[int]OwnBags   // by relation ID
	Secrets []Secret          // to exist with exactly this content
	State   map[string]string // unit state; an empty value removes the key
	Status  Status
	Version string // of this program, as Juju shows it for the application; empty to leave it
}

// versionKey is where the unit state keeps the version that was last told, which a unit cannot ask for.
const versionKey = "version"

// OwnBags is the complete desired content of this side's databags in one relation. A nil bag stays as it is.
type OwnBags struct {
	Unit Bag
	App  Bag
}

// Changes is the smallest difference between what Juju has and what is wanted; it is what a Session commits.
type Changes struct {
	Secrets   []Secret          // to create (no URI) or to give new content (URI set); done before all else
	Relations []RelationChange  // by ascending ID; committed together with State: all or nothing
	State     map[string]string // an empty value removes the key
	Version   string            // to tell before State, which remembers it; empty for nothing
	Status    *Status           // set last
}

// RelationChange holds the keys to write in this side's databags of one relation; an empty value removes the key.
// A change of App needs leadership, which Commit checks again.
type RelationChange struct {
	ID   int
	Key  string // "certificates:3", as Juju's tools name it
	Unit Bag
	App  Bag
}

// Empty reports whether there is nothing to commit.
func (c Changes) Empty() bool {
	return len(c.Secrets) == 0 && len(c.Relations) == 0 && len(c.State) == 0 && c.Version == "" && c.Status == nil
}

// NeedsLeadership reports whether only the leader may commit these changes.
func (c Changes) NeedsLeadership() bool {
	return slices.ContainsFunc(c.Relations, func(r RelationChange) bool { return len(r.App) > 0 }) ||
		slices.ContainsFunc(c.Secrets, func(s Secret) bool { return s.Owner == OwnedByApplication })
}

// Diff gives what has to change for the snapshot to become the world. An unchanged world gives empty changes, so that
// no remote hook fires.
func Diff(snap Snapshot, world World) Changes {
	var changes Changes
	for _, want := range world.Secrets {
		have, found := snap.Secret(want.Label)
		if found && maps.Equal(have.Content, want.Content) {
			continue
		}
		want.URI = have.URI
		changes.Secrets = append(changes.Secrets, want)
	}
	slices.SortFunc(changes.Secrets, func(a, b Secret) int { return strings.Compare(a.Label, b.Label) })
	for _, relation := range snap.Relations {
		want, found := world.Bags[relation.ID]
		if !found {
			continue
		}
		change := RelationChange{ID: relation.ID, Key: relation.Key()}
		if want.Unit != nil {
			change.Unit = diffMap(relation.OwnUnit, want.Unit)
		}
		if want.App != nil {
			change.App = diffMap(relation.OwnApp, want.App)
		}
		if len(change.Unit) > 0 || len(change.App) > 0 {
			changes.Relations = append(changes.Relations, change)
		}
	}
	for key, value := range world.State {
		if snap.State[key] != value {
			if changes.State == nil {
				changes.State = map[string]string{}
			}
			changes.State[key] = value
		}
	}
	if world.Version != "" && snap.State[versionKey] != world.Version {
		if changes.State == nil {
			changes.State = map[string]string{}
		}
		changes.Version, changes.State[versionKey] = world.Version, world.Version
	}
	if world.Status != (Status{}) && world.Status != snap.Status {
		status := world.Status
		changes.Status = &status
	}
	return changes
}

// diffMap gives the keys to write, with an empty value for each key to remove.
func diffMap(have, want Bag) Bag {
	change := Bag{}
	for key, value := range want {
		if value != have[key] {
			change[key] = value
		}
	}
	for key := range have {
		if _, kept := want[key]; !kept {
			change[key] = ""
		}
	}
	return change
}

// Apply gives the snapshot as Juju would show it after the changes were committed, with URIs made up for new secrets: for
// who is shown what a turn came to, and for tests, which play what a commit would do.
func Apply(snap Snapshot, changes Changes) Snapshot {
	next := snap
	next.Relations = slices.Clone(snap.Relations)
	for _, change := range changes.Relations {
		for i := range next.Relations {
			if next.Relations[i].ID == change.ID {
				next.Relations[i].OwnUnit = applyMap(next.Relations[i].OwnUnit, change.Unit)
				next.Relations[i].OwnApp = applyMap(next.Relations[i].OwnApp, change.App)
			}
		}
	}
	next.Secrets = slices.Clone(snap.Secrets)
	for _, secret := range changes.Secrets {
		if secret.URI == "" {
			secret.URI = "secret:" + secret.Label
			next.Secrets = append(next.Secrets, secret)
			continue
		}
		for i := range next.Secrets {
			if next.Secrets[i].URI == secret.URI {
				next.Secrets[i] = secret
			}
		}
	}
	slices.SortFunc(next.Secrets, func(a, b Secret) int { return strings.Compare(a.Label, b.Label) })
	next.State = applyMap(snap.State, changes.State)
	if changes.Status != nil {
		next.Status = *changes.Status
	}
	return next
}

func applyMap[M ~map[string]string](have M, change M) M {
	if len(change) == 0 {
		return have
	}
	next := maps.Clone(have)
	if next == nil {
		next = M{}
	}
	for key, value := range change {
		if value == "" {
			delete(next, key)
		} else {
			next[key] = value
		}
	}
	return next
}
