// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/signet-charm/signet/internal/juju"
)

// Confirm reads again what other units of the application may have written since a snapshot, whatever is remembered:
// leadership, which relations there are, the application databags that the changes write into, the secrets, and of the
// peer relation's application databag the version, which is as good as its content. The unit's own databags have no other
// writer that could overtake it.
func (l *link) Confirm(ctx context.Context, snap juju.Snapshot, changes juju.Changes) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	later, err := l.readAgain(ctx, snap, changes)
	if gone(err) {
		err = fmt.Errorf("%w: %w", juju.ErrMoved, err)
	}
	if err == nil {
		err = juju.Overtaken(snap, later)
	}
	if err != nil {
		l.memory.doubtApps()
		return err
	}
	return nil
}

// readAgain gives the snapshot with what is shared with other units as it is now.
func (l *link) readAgain(ctx context.Context, snap juju.Snapshot, changes juju.Changes) (juju.Snapshot, error) {
	c, err := l.client(ctx)
	if err != nil {
		return juju.Snapshot{}, err
	}
	leader, found, err := c.readWho()
	if err != nil {
		return juju.Snapshot{}, err
	}
	later := snap
	later.Leader, later.Relations = leader, nil
	if leader != snap.Leader {
		return later, nil
	}
	written := map[int]bool{}
	for _, change := range changes.Relations {
		written[change.ID] = len(change.App) > 0
	}
	published := c.memory.published()
	var reads errgroup.Group
	reads.SetLimit(abreast)
	later.Relations = make([]juju.Relation, len(found))
	for i, j := range found {
		relation := &later.Relations[i]
		*relation = was(snap, j)
		if j.peers() || written[j.relation.ID] {
			reads.Go(func() (err error) {
				relation.OwnApp, err = c.readAppAgain(j, relation.OwnApp)
				return err
			})
		}
	}
	reads.Go(func() (err error) {
		later.Secrets, err = c.readSecrets(leader, published)
		return err
	})
	if err := reads.Wait(); err != nil {
		return juju.Snapshot{}, err
	}
	return later, c.settle()
}

// was is a relation as a snapshot showed it, but for what is known of it now.
func was(snap juju.Snapshot, j joined) juju.Relation {
	i := slices.IndexFunc(snap.Relations, func(r juju.Relation) bool { return r.ID == j.relation.ID })
	if i < 0 {
		return j.relation
	}
	relation := snap.Relations[i]
	relation.Broken = j.relation.Broken
	return relation
}

// readAppAgain gives the own application's databag in one relation as it is now, which is the one it was where a version
// tells so.
func (c *client) readAppAgain(j joined, before juju.Bag) (juju.Bag, error) {
	r := c.memory.relations[j.relation.ID]
	if r == nil { // since the snapshot
		return before, nil
	}
	version := int64(0)
	if j.peers() {
		var stops errgroup.Group
		defer func() { _ = stops.Wait() }() // which has no error of its own
		scopes, err := c.readScopes([]joined{j}, &stops)
		if err != nil {
			return nil, err
		}
		var known bool
		if version, known = scopes[0].apps[c.app.Id()]; r.ownApp.is(version, known) {
			return before, nil
		}
	}
	if _, err := c.readOwnApp(j, r, version); err != nil {
		return nil, err
	}
	return r.app(j.peers()), nil
}
