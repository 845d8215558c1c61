// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/juju/juju/core/life"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"

	"github.com/signet-charm/signet/internal/juju"
)

// relationResult is one result of Uniter.Relation, in any version of it.
type relationResult struct {
	Error     *params.Error   `json:"error"`
	Life      life.Value      `json:"life"`
	Suspended bool            `json:"bool"` // Juju's own name for it
	ID        int             `json:"id"`
	Key       string          `json:"key"`
	Endpoint  params.Endpoint `json:"endpoint"`
	Other     otherSide       `json:"other-application"`
}

// otherSide is the name of the application on the other side: a text in versions 18 and 19, an object in version 20.
type otherSide string

// UnmarshalJSON reads either form.
func (o *otherSide) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte(`"`)) {
		return json.Unmarshal(data, (*string)(o))
	}
	var details params.RelatedApplicationDetails
	if err := json.Unmarshal(data, &details); err != nil {
		return fmt.Errorf("cannot read a relation's other application: %w", err)
	}
	*o = otherSide(details.ApplicationName)
	return nil
}

// joined is a relation that the unit takes part in.
type joined struct {
	tag      names.RelationTag
	relation juju.Relation // without databags
}

// joined lists the unit's relations by ascending ID, in two calls. A relation that the unit agent has not entered, or
// has left, is not the unit's: its databags cannot be read and cannot be written. Entering is not ours to do and causes
// no event of its own, so such a relation is reported as unjoined, to be looked for again.
func (c *client) joined() (found []joined, unjoined bool, err error) {
	statuses, err := c.self.RelationsStatus()
	if err != nil {
		return nil, false, fmt.Errorf("cannot list the unit's relations: %w", err)
	}
	tags := make([]names.RelationTag, len(statuses))
	for i, status := range statuses {
		tags[i] = status.Tag
	}
	results, err := c.relationResults(tags)
	if err != nil {
		return nil, false, err
	}
	for i, status := range statuses {
		result := results[i]
		if err := resultError(result.Error); err != nil {
			if gone(err) {
				continue // between the two calls
			}
			return nil, false, fmt.Errorf("cannot read relation %s: %w", status.Tag.Id(), err)
		}
		if !status.InScope {
			unjoined = unjoined || (!broken(result) && result.Endpoint.Relation.Scope != "container")
			continue
		}
		found = append(found, joined{status.Tag, relationFrom(result)})
	}
	slices.SortFunc(found, func(a, b joined) int { return a.relation.ID - b.relation.ID })
	return found, unjoined, nil
}

// relationResults reads relations in one call; the results are in the order of the tags.
func (c *client) relationResults(tags []names.RelationTag) ([]relationResult, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	var results struct {
		Results []relationResult `json:"results"`
	}
	if err := c.call("Uniter", "Relation", c.relationUnits(tags), &results); err != nil {
		return nil, fmt.Errorf("cannot read the unit's relations: %w", err)
	}
	return results.Results, expect(len(tags), len(results.Results), "relations")
}

// relationUnits are the arguments of a call about the own unit in several relations.
func (c *client) relationUnits(tags []names.RelationTag) params.RelationUnits {
	var args params.RelationUnits
	for _, tag := range tags {
		args.RelationUnits = append(args.RelationUnits, params.RelationUnit{Relation: tag.String(), Unit: c.unit.String()})
	}
	return args
}

// broken reports whether a relation is on its way out. The unit agent treats a suspended relation so too: it runs the
// departed and broken hooks and leaves it.
func broken(result relationResult) bool { return result.Life != life.Alive || result.Suspended }

// relationFrom gives the relation without its databags.
func relationFrom(result relationResult) juju.Relation {
	roles := map[string]juju.Role{"provider": juju.Provides, "requirer": juju.Requires, "peer": juju.Peers}
	endpoint := result.Endpoint.Relation
	return juju.Relation{
		ID:        result.ID,
		Endpoint:  juju.Endpoint{Name: endpoint.Name, Interface: endpoint.Interface, Role: roles[endpoint.Role]},
		RemoteApp: string(result.Other),
		Broken:    broken(result),
	}
}

func tagsOf(relations []joined) []names.RelationTag {
	tags := make([]names.RelationTag, len(relations))
	for i, j := range relations {
		tags[i] = j.tag
	}
	return tags
}

// bagFrom gives a databag that is never nil.
func bagFrom(result params.SettingsResult) (juju.Bag, error) {
	if err := resultError(result.Error); err != nil {
		return nil, err
	}
	bag := juju.Bag{}
	maps.Copy(bag, result.Settings)
	return bag, nil
}

// expect holds a bulk call to one result for each thing asked.
func expect(want, got int, what string) error {
	if want != got {
		return fmt.Errorf("cannot use the controller's answer: %d %s for %d asked", got, what, want)
	}
	return nil
}
