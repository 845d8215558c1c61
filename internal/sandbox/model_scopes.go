// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"maps"
	"slices"
	"strings"

	"github.com/juju/errors"
	stateerrors "github.com/juju/juju/state/errors"

	"github.com/signet-charm/signet/internal/juju"
)

// LeaveScope takes a unit out of a relation's scope. Its databag stays readable until the relation is gone. It is no
// error when the unit was not in scope.
func (m *Model) LeaveScope(id int, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, found := m.relations[id]
	if !found {
		return errors.NotFoundf("relation %d", id)
	}
	if _, err := r.own(juju.ApplicationOf(name)); err != nil {
		return err
	}
	m.leave(r, name)
	m.notify()
	return nil
}

// EnterScope puts a unit into a relation's scope, with a fresh databag as Juju does. It is no error when it is in scope.
func (m *Model) EnterScope(id int, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, found := m.relations[id]
	if !found {
		return errors.NotFoundf("relation %d", id)
	}
	u, err := m.unit(name)
	if err != nil {
		return err
	}
	if _, err := r.own(u.app); err != nil {
		return err
	}
	refuse := func(what string) error {
		return errors.Annotatef(stateerrors.ErrCannotEnterScope,
			"unit %q in relation %q: %s is no longer alive", name, r.key(u.app), what)
	}
	switch {
	case r.scope[name]:
		return nil
	case r.life != Alive:
		return refuse("relation")
	case u.life != Alive:
		return refuse("unit")
	}
	r.enter(u)
	m.notify()
	return nil
}

func (r *relation) enter(u *unit) {
	if r.life != Alive || u.life != Alive || r.scope[u.name] {
		return
	}
	bag := r.unitBags[u.name]
	if bag == nil {
		bag = &settings{version: -1}
		r.unitBags[u.name] = bag
	}
	// The keys that every charm finds in its own databag; charms of old read private-address.
	bag.values = map[string]string{
		"private-address": u.addresses.Ingress[0],
		"ingress-address": u.addresses.Ingress[0],
		"egress-subnets":  strings.Join(u.addresses.Egress, ","),
	}
	bag.version++
	r.scope[u.name] = true
}

// enterAll lets an application's units enter a relation's scope at once, unless that is left to their agents.
func (m *Model) enterAll(r *relation, app string) {
	for _, u := range m.apps[app].units {
		if !m.lateScopes {
			r.enter(u)
		}
	}
}

// SuspendRelation makes the units of a cross-model relation leave it, as the offering side's operator may. They do so as
// with RemoveRelation, but the relation stays, with its databags.
func (m *Model) SuspendRelation(id int) error {
	return m.setSuspended(id, true)
}

// ResumeRelation ends a suspension: the units enter the relation again, each with a fresh databag.
func (m *Model) ResumeRelation(id int) error {
	return m.setSuspended(id, false)
}

func (m *Model) setSuspended(id int, suspended bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, found := m.relations[id]
	if !found {
		return errors.NotFoundf("cannot set suspend status: relation %d", id)
	}
	if r.alias == "" {
		return errors.Errorf("cannot set suspend status for %q which is not associated with an offer", r.key(""))
	}
	if r.suspended == suspended {
		return nil
	}
	r.suspended, r.since = suspended, m.now()
	if suspended {
		m.empty(r)
	} else {
		for _, e := range r.ends {
			m.enterAll(r, e.app)
		}
	}
	m.notify()
	return nil
}

// empty takes the units out of a relation's scope that have no hook runner to go by their hooks.
func (m *Model) empty(r *relation) {
	for _, name := range slices.Collect(maps.Keys(r.scope)) {
		if u, err := m.unit(name); err != nil || !u.attended {
			delete(r.scope, name)
		}
	}
}

func (m *Model) leave(r *relation, name string) {
	delete(r.scope, name)
	m.reap(r)
}

// reap removes a dying relation that nobody is in any more, with the secret grants that came with it.
func (m *Model) reap(r *relation) {
	if r.life == Alive || len(r.scope) > 0 {
		return
	}
	delete(m.relations, r.id)
	m.vault.forgetScope(r.id)
}
