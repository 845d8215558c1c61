// SPDX-License-Identifier: AGPL-3.0-only

package juju

import (
	"fmt"
	"maps"
)

// Moved names the first thing that differs in a later snapshot of those which another unit of the application may have
// written: leadership, this side's databags, secrets. It is empty where what was decided on the earlier snapshot still
// holds. What the remote side says does not count, nor does a relation that is new: the next turn sees to those, and a
// decision that waited for them would never come.
func Moved(before, after Snapshot) string {
	if before.Leader != after.Leader {
		return "leadership"
	}
	later := map[int]Relation{}
	for _, relation := range after.Relations {
		later[relation.ID] = relation
	}
	for _, was := range before.Relations {
		is, found := later[was.ID]
		switch {
		case !found || is.Broken != was.Broken:
			return fmt.Sprintf("relation %s", was.Key())
		case !maps.Equal(was.OwnApp, is.OwnApp):
			return fmt.Sprintf("the application databag of relation %s", was.Key())
		case !maps.Equal(was.OwnUnit, is.OwnUnit):
			return fmt.Sprintf("the unit's databag of relation %s", was.Key())
		}
	}
	return movedSecret(before, after)
}

func movedSecret(before, after Snapshot) string {
	for _, pair := range [][2]Snapshot{{before, after}, {after, before}} {
		for _, was := range pair[0].Secrets {
			is, found := pair[1].Secret(was.Label)
			if !found || is.URI != was.URI || !maps.Equal(is.Content, was.Content) {
				return fmt.Sprintf("secret %s", was.Label)
			}
		}
	}
	return ""
}

// Overtaken is Moved as an ErrMoved; nil where nothing moved.
func Overtaken(before, after Snapshot) error {
	if what := Moved(before, after); what != "" {
		return fmt.Errorf("%w: %s", ErrMoved, what)
	}
	return nil
}
