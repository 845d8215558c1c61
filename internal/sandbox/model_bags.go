// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"

	"github.com/signet-charm/signet/internal/juju"
)

// UnitBag is a unit's databag in a relation, without asking who may read it; nil when there is none.
func (m *Model) UnitBag(id int, name string) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, found := m.relations[id]; found && r.unitBags[name] != nil {
		return maps.Clone(r.unitBags[name].values)
	}
	return nil
}

// AppBag is an application's databag in a relation, without asking who may read it; nil when there is none.
func (m *Model) AppBag(id int, app string) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, found := m.relations[id]; found && r.appBags[app] != nil {
		return maps.Clone(r.appBags[app].values)
	}
	return nil
}

// ReadUnitBag reads a unit's databag as the viewer: its own, or that of a unit of the related application, also after
// it has left. Everything else is denied.
func (m *Model) ReadUnitBag(viewer string, id int, name string) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, u, err := m.authorise(viewer, id)
	if err != nil {
		return nil, err
	}
	target := r.hidden(u.app, name)
	if target != viewer && juju.ApplicationOf(target) != r.remote(u.app) {
		return nil, apiservererrors.ErrPerm
	}
	bag, found := r.unitBags[target]
	switch {
	case found:
	case target == viewer:
		return nil, noSettings(name)
	default:
		return nil, errors.Annotatef(noSettings(name), "cannot read settings for unit %q in relation %q", name, r.key(u.app))
	}
	return maps.Clone(bag.values), nil
}

// noSettings is Juju's error for the databag of a unit that has never been in scope.
func noSettings(name string) error { return errors.NotFoundf("unit %q: settings", name) }

// ReadAppBag reads an application's databag as the viewer: the related application's always; its own when the viewer
// leads it, or in a peer relation. Everything else is denied.
func (m *Model) ReadAppBag(viewer string, id int, app string) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, u, err := m.authorise(viewer, id)
	if errors.Is(err, errors.NotFound) {
		return nil, apiservererrors.ErrPerm // where a unit's databag would be not found
	}
	if err != nil {
		return nil, err
	}
	target := r.hidden(u.app, app)
	if target == u.app && !r.peer() && !m.leads(u) {
		return nil, apiservererrors.ErrPerm
	}
	bag, found := r.appBags[target]
	if !found {
		return nil, apiservererrors.ErrPerm
	}
	return maps.Clone(bag.values), nil
}

// BagVersions are the versions of what a unit watches in a relation: the databags of the remote units in scope and of
// the remote application. A version grows with each change of its bag; on Juju 4 it is a checksum of the content.
func (m *Model) BagVersions(viewer string, id int) (units, apps map[string]int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, u, err := m.authorise(viewer, id)
	if err != nil {
		return nil, nil, err
	}
	units, apps = map[string]int64{}, map[string]int64{}
	remote := r.remote(u.app)
	for name := range r.scope {
		if juju.ApplicationOf(name) == remote && name != viewer {
			units[r.shown(u.app, name)] = m.versionOf(r.unitBags[name])
		}
	}
	apps[r.shown(u.app, remote)] = m.versionOf(r.appBags[remote])
	return units, apps, nil
}

// versionOf is what watchers tell of a databag. The caller holds the lock.
func (m *Model) versionOf(bag *settings) int64 {
	if m.legacy() {
		return bag.version
	}
	sum := fnv.New64a()
	for _, key := range slices.Sorted(maps.Keys(bag.values)) {
		fmt.Fprintf(sum, "%q=%q ", key, bag.values[key])
	}
	return int64(sum.Sum64()) //nolint:gosec // any number will do
}

// InScope reports whether a unit is in a relation's scope.
func (m *Model) InScope(id int, name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, found := m.relations[id]
	return found && r.scope[name]
}

// authorise finds a relation that the viewer's application has part in. A relation that does not exist is denied, as
// Juju does not tell who may not know. The caller holds the lock.
func (m *Model) authorise(viewer string, id int) (*relation, *unit, error) {
	r, found := m.relations[id]
	if !found {
		return nil, nil, apiservererrors.ErrPerm
	}
	u, err := m.unit(viewer)
	if err != nil {
		return nil, nil, err
	}
	if _, err := r.own(u.app); err != nil {
		return nil, nil, err
	}
	return r, u, nil
}
