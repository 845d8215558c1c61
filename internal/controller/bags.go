// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"fmt"
	"maps"
	"slices"

	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"
	"golang.org/x/sync/errgroup"

	"github.com/signet-charm/signet/internal/juju"
)

// abreast is how many calls about single relations are under way at once.
const abreast = 16

// scope is who is in a relation besides this unit, and in which version their databags are.
type scope struct {
	units map[string]int64
	apps  map[string]int64 // the other side's application; in a peer relation the own
}

// peers reports whether it is the peer relation.
func (j joined) peers() bool { return j.relation.Endpoint.Role == juju.Peers }

// readBags fills in the databags of all relations: who is in scope is read in one call, which also tells the versions, and
// then what is not remembered in these, in few calls side by side. It reports whether an application databag is shown as
// it is remembered.
func (c *client) readBags(relations []joined, leader bool) (fromMemory bool, err error) {
	met := c.memory.meet(relations)
	if len(relations) == 0 {
		return false, nil
	}
	var stops errgroup.Group
	defer func() { _ = stops.Wait() }() // which has no error of its own
	scopes, err := c.readScopes(relations, &stops)
	if err != nil {
		return false, err
	}
	var reads errgroup.Group
	reads.Go(func() error { return c.readOwnUnit(relations, met) })
	reads.Go(func() error { return c.readRemote(relations, met, scopes) })
	reads.Go(func() (err error) {
		fromMemory, err = c.readOwnApps(relations, met, scopes, leader)
		return err
	})
	if err := reads.Wait(); err != nil {
		return false, err
	}
	for i, r := range met {
		relation := &relations[i].relation
		relation.OwnUnit, relation.RemoteUnits = r.ownUnit.bag, r.units(scopes[i].units)
		// Only the leader reads the own application's databag, except that of a peer relation.
		if leader || relations[i].peers() {
			relation.OwnApp = r.app(relations[i].peers())
		}
		relation.RemoteApplication = r.remoteApp.bag
		if relations[i].peers() { // one databag, seen from both sides
			relation.RemoteApplication = relation.OwnApp
		}
	}
	return fromMemory, nil
}

// readOwnUnit reads the unit's own databags that are not remembered, in one call.
func (c *client) readOwnUnit(relations []joined, met []*remembered) error {
	var tags []names.RelationTag
	var wanted []int
	for i, r := range met {
		if !r.ownUnit.sure {
			tags, wanted = append(tags, relations[i].tag), append(wanted, i)
		}
	}
	if len(tags) == 0 {
		return nil
	}
	var results params.SettingsResults
	if err := c.call("Uniter", "ReadSettings", c.relationUnits(tags), &results); err != nil {
		return fmt.Errorf("cannot read the unit's databags: %w", err)
	}
	if err := expect(len(tags), len(results.Results), "databags"); err != nil {
		return err
	}
	for n, i := range wanted {
		bag, err := bagFrom(results.Results[n])
		if err != nil {
			return fmt.Errorf("cannot read the unit's databag in %s: %w", relations[i].relation.Key(), err)
		}
		met[i].ownUnit.take(bag, 0)
	}
	return nil
}

// readScopes tells which remote units are in the scope of each relation, and the versions of databags: the first event of
// a watcher, which is how the unit agent itself knows them. Its hooks may be ahead of a watcher that has run for long (an
// event can take seconds), so each snapshot asks anew. The watchers have then done their work, and are stopped meanwhile.
func (c *client) readScopes(relations []joined, stops *errgroup.Group) ([]scope, error) {
	var results params.RelationUnitsWatchResults
	if err := c.call("Uniter", "WatchRelationUnits", c.relationUnits(tagsOf(relations)), &results); err != nil {
		return nil, fmt.Errorf("cannot read who is in scope: %w", err)
	}
	version := c.api.BestFacadeVersion("RelationUnitsWatcher")
	scopes := make([]scope, len(relations))
	var failed error
	for i, result := range results.Results {
		if err := resultError(result.Error); err != nil {
			if i < len(relations) && failed == nil {
				failed = fmt.Errorf("cannot read who is in scope of %s: %w", relations[i].relation.Key(), err)
			}
			continue
		}
		if i < len(relations) {
			scopes[i] = scope{map[string]int64{}, result.Changes.AppChanged}
			for unit, settings := range result.Changes.Changed {
				scopes[i].units[unit] = settings.Version
			}
		}
		stops.Go(func() error {
			err := c.api.APICall("RelationUnitsWatcher", version, result.RelationUnitsWatcherId, "Stop", nil, nil)
			if err != nil && !gone(err) {
				c.log.Debug("cannot stop a watcher", "cause", err)
			}
			return nil
		})
	}
	if failed == nil {
		failed = expect(len(relations), len(results.Results), "scopes")
	}
	return scopes, failed
}

// remoteRead is one databag of another side's that is to be read.
type remoteRead struct {
	of      *remembered
	into    *held
	version int64
	known   bool
	what    string // for errors
}

// readRemote reads the databags of the remote applications and units that are not remembered in their versions, in one
// call. What a databag holds is never older than the version that was told before, so that a newer one is read again.
func (c *client) readRemote(relations []joined, met []*remembered, scopes []scope) error {
	var args params.RelationUnitPairs
	var wanted []remoteRead
	want := func(j joined, tag string, read remoteRead) {
		if read.into.is(read.version, read.known) {
			return
		}
		read.what = fmt.Sprintf("%s in %s", tag, j.relation.Key())
		wanted = append(wanted, read)
		args.RelationUnitPairs = append(args.RelationUnitPairs,
			params.RelationUnitPair{Relation: j.tag.String(), LocalUnit: c.unit.String(), RemoteUnit: tag})
	}
	for i, j := range relations {
		if !j.peers() {
			version, known := scopes[i].apps[j.relation.RemoteApp]
			want(j, names.NewApplicationTag(j.relation.RemoteApp).String(), remoteRead{of: met[i], into: &met[i].remoteApp, version: version, known: known})
		}
		for _, unit := range slices.Sorted(maps.Keys(scopes[i].units)) {
			if !names.IsValidUnit(unit) {
				return fmt.Errorf("cannot read unit %q in %s: not a unit name", unit, j.relation.Key())
			}
			bag := met[i].remote[unit]
			if bag == nil {
				bag = &held{}
				met[i].remote[unit] = bag
			}
			want(j, names.NewUnitTag(unit).String(), remoteRead{of: met[i], into: bag, version: scopes[i].units[unit], known: true})
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	var results params.SettingsResults
	if err := c.call("Uniter", "ReadRemoteSettings", args, &results); err != nil {
		return fmt.Errorf("cannot read the remote databags: %w", err)
	}
	if err := expect(len(wanted), len(results.Results), "databags"); err != nil {
		return err
	}
	for i, read := range wanted {
		bag, err := bagFrom(results.Results[i])
		if err != nil {
			return fmt.Errorf("cannot read the databag of %s: %w", read.what, err)
		}
		if read.into.take(bag, read.version) {
			read.of.shown = nil
		}
	}
	return nil
}

// readOwnApps reads the own application's databags where this unit may and they are not remembered. That of the peer
// relation has a version, and every leader writes into it: while it is as this unit left it, the others are so as well, as
// far as that tells. It reports whether one of those is remembered and not read.
func (c *client) readOwnApps(relations []joined, met []*remembered, scopes []scope, leader bool) (fromMemory bool, err error) {
	untouched := false // the peer relation's is as this unit left it
	for i, j := range relations {
		if !j.peers() {
			continue
		}
		version, known := scopes[i].apps[c.app.Id()]
		untouched = met[i].ownApp.sure
		if met[i].ownApp.is(version, known) {
			continue
		}
		differs, err := c.readOwnApp(j, met[i], version)
		if err != nil {
			return false, err
		}
		untouched = untouched && !differs
	}
	var reads errgroup.Group
	reads.SetLimit(abreast)
	for i, j := range relations {
		switch {
		case j.peers():
			continue
		case !leader:
			met[i].ownApp.sure = false
			continue
		case met[i].ownApp.sure && untouched:
			fromMemory = true
			continue
		}
		reads.Go(func() error {
			_, err := c.readOwnApp(j, met[i], 0)
			return err
		})
	}
	return fromMemory, reads.Wait()
}

// readOwnApp reads the own application's databag in one relation, and reports whether it is other than remembered.
func (c *client) readOwnApp(j joined, r *remembered, version int64) (differs bool, err error) {
	var result params.SettingsResult
	arg := params.RelationUnit{Relation: j.tag.String(), Unit: c.unit.String()}
	var bag juju.Bag
	if err = c.call("Uniter", "ReadLocalApplicationSettings", arg, &result); err == nil {
		bag, err = bagFrom(result)
	}
	if err != nil {
		return false, fmt.Errorf("cannot read the application's databag in %s: %w", j.relation.Key(), err)
	}
	if differs = r.ownApp.take(bag, version); differs {
		r.visible = nil
	}
	return differs, nil
}
