// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/juju/errors"

	"github.com/signet-charm/signet/internal/juju"
)

// relation is one relation: between two endpoints, or a peer relation with one.
type relation struct {
	id        int
	ends      []end // requirer first, as in Juju's relation keys
	life      Life
	unitBags  map[string]*settings // by unit name; they outlive the unit's stay in scope
	appBags   map[string]*settings // by application name
	scope     map[string]bool      // units in scope
	suspended bool                 // its units have left, or are leaving
	since     time.Time            // of its present status
	alias     string               // cross-model: how the offering side names the consuming application
	consumer  string               // cross-model: the consuming application's own name
}

// end is one side of a relation.
type end struct {
	app      string
	endpoint juju.Endpoint
}

// settings is one databag with the version that watchers report.
type settings struct {
	values  map[string]string
	version int64
}

// RelationInfo is one relation as one of its applications sees it.
type RelationInfo struct {
	ID          int
	Key         string // "requirer:endpoint provider:endpoint", with the names that this side knows
	Endpoint    juju.Endpoint
	RemoteApp   string // in a peer relation: the own application
	RemoteModel string // UUID of the remote application's model
	Life        Life
	Suspended   bool // to units as if it were dying, but it may be resumed
	CrossModel  bool
}

// Integrate relates two endpoints, each "application:endpoint", and gives the relation's ID. Every unit of both enters
// its scope, with the addresses in its databag that Juju puts there.
func (m *Model) Integrate(left, right string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.integrate(left, right)
	if err != nil {
		return 0, errors.Annotatef(err, "cannot integrate %q with %q", left, right)
	}
	m.notify()
	return r.id, nil
}

// IntegrateCrossModel relates an endpoint with one of an application that stands for one in another model. The offering
// application sees the consumer and its units as "remote-<32 hex>"; the consumer sees the offer by its name.
func (m *Model) IntegrateCrossModel(offer, consumer string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.integrate(offer, consumer)
	if err != nil {
		return 0, errors.Annotatef(err, "cannot integrate %q with %q", offer, consumer)
	}
	r.consumer, _, _ = strings.Cut(consumer, ":")
	sum := sha256.Sum256([]byte(m.uuid + " " + offer + " " + consumer))
	r.alias = fmt.Sprintf("remote-%x", sum[:16])
	m.notify()
	return r.id, nil
}

func (m *Model) integrate(left, right string) (*relation, error) {
	a, err := m.end(left)
	if err != nil {
		return nil, err
	}
	b, err := m.end(right)
	if err != nil {
		return nil, err
	}
	if a.endpoint.Role == juju.Provides {
		a, b = b, a
	}
	switch {
	case a.endpoint.Role != juju.Requires || b.endpoint.Role != juju.Provides:
		return nil, errors.NotValidf("relation of a %s and a %s endpoint", a.endpoint.Role, b.endpoint.Role)
	case a.endpoint.Interface != b.endpoint.Interface:
		return nil, errors.NotValidf("relation of interfaces %q and %q", a.endpoint.Interface, b.endpoint.Interface)
	case a.app == b.app:
		return nil, errors.NotValidf("relation of application %q with itself", a.app)
	}
	for _, r := range m.relations {
		if slices.Equal(r.ends, []end{a, b}) {
			return nil, errors.AlreadyExistsf("relation %d", r.id)
		}
	}
	return m.addRelation([]end{a, b}), nil
}

// end resolves "application:endpoint".
func (m *Model) end(name string) (end, error) {
	app, endpoint, _ := strings.Cut(name, ":")
	a, found := m.apps[app]
	if !found {
		return end{}, errors.NotFoundf("application %q", app)
	}
	for _, candidate := range a.meta.Endpoints {
		if candidate.Name == endpoint {
			return end{app: app, endpoint: candidate}, nil
		}
	}
	return end{}, errors.NotFoundf("endpoint %q of application %q", endpoint, app)
}

// addRelation makes the relation and lets all units that live enter its scope. The caller holds the lock.
func (m *Model) addRelation(ends []end) *relation {
	r := &relation{
		id: m.nextRelation, ends: ends, life: Alive, since: m.now(),
		unitBags: map[string]*settings{}, appBags: map[string]*settings{}, scope: map[string]bool{},
	}
	m.nextRelation++
	m.relations[r.id] = r
	for _, e := range ends {
		r.appBags[e.app] = &settings{values: map[string]string{}}
		m.enterAll(r, e.app)
	}
	return r
}

// RemoveRelation ends a relation: it turns Dying, its units leave its scope (those with a hook runner when the runner
// calls LeaveScope, after their -departed and -broken hooks; all others at once), and it is gone with the last of them.
func (m *Model) RemoveRelation(id int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, found := m.relations[id]
	if !found {
		return errors.NotFoundf("cannot remove relation: relation %d", id)
	}
	if len(r.ends) == 1 {
		return errors.NotValidf("cannot remove relation: peer relation %d", id)
	}
	r.life = Dying
	m.empty(r)
	m.reap(r)
	m.notify()
	return nil
}

// Relations are an application's relations as it sees them, by ascending ID.
func (m *Model) Relations(app string) []RelationInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	infos := []RelationInfo{}
	for _, r := range m.relationsOf(app) {
		infos = append(infos, m.info(r, app))
	}
	return infos
}

// RelationOf is one relation as a unit sees it. Errors as of Juju: permission denied when the unit's application has no part in it or when it is gone.
func (m *Model) RelationOf(viewer string, id int) (RelationInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, u, err := m.authorise(viewer, id)
	if err != nil {
		return RelationInfo{}, err
	}
	return m.info(r, u.app), nil
}

// info shows a relation to an application.
func (m *Model) info(r *relation, app string) RelationInfo {
	own, _ := r.own(app)
	info := RelationInfo{
		ID: r.id, Key: r.key(app), Endpoint: own.endpoint,
		RemoteApp: r.shown(app, r.remote(app)), RemoteModel: m.uuid, Life: r.life,
		Suspended: r.suspended, CrossModel: r.alias != "",
	}
	if info.CrossModel {
		info.RemoteModel = uuidOf("model of " + r.remote(app))
	}
	return info
}

// RemoteUnits are the units in scope that a unit sees in one of its relations.
func (m *Model) RemoteUnits(viewer string, id int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, u, err := m.authorise(viewer, id)
	if err != nil {
		return nil, err
	}
	var units []string
	for name := range r.scope {
		if juju.ApplicationOf(name) == r.remote(u.app) && name != viewer {
			units = append(units, r.shown(u.app, name))
		}
	}
	slices.SortFunc(units, compareUnits)
	return units, nil
}

// relationsOf gives an application's relations by ascending ID. The caller holds the lock.
func (m *Model) relationsOf(app string) []*relation {
	var found []*relation
	for _, id := range slices.Sorted(maps.Keys(m.relations)) {
		if _, err := m.relations[id].own(app); err == nil {
			found = append(found, m.relations[id])
		}
	}
	return found
}

// own is the side of the relation that an application has.
func (r *relation) own(app string) (end, error) {
	for _, e := range r.ends {
		if e.app == app {
			return e, nil
		}
	}
	return end{}, errors.NewNotFound(nil, fmt.Sprintf("application %q is not a member of %q", app, r.key(app)))
}

// remote is the application on the other side; in a peer relation the same one.
func (r *relation) remote(app string) string {
	for _, e := range r.ends {
		if e.app != app {
			return e.app
		}
	}
	return app
}

func (r *relation) peer() bool { return len(r.ends) == 1 }

// key is the relation's key in Juju, with the names that this application's model knows.
func (r *relation) key(viewer string) string {
	var parts []string
	for _, e := range r.ends {
		parts = append(parts, r.shown(viewer, e.app)+":"+e.endpoint.Name)
	}
	return strings.Join(parts, " ")
}

// shown is how an application sees the name of an application or unit of this relation: across models the offering
// side knows the consumer by its alias only.
func (r *relation) shown(viewer, name string) string {
	if r.alias == "" || viewer == r.consumer || juju.ApplicationOf(name) != r.consumer {
		return name
	}
	return r.alias + strings.TrimPrefix(name, r.consumer)
}

// hidden undoes shown: the model's own name for one that a viewer uses. Names the viewer cannot know give no match.
func (r *relation) hidden(viewer, name string) string {
	if r.alias == "" || viewer == r.consumer {
		return name
	}
	switch juju.ApplicationOf(name) {
	case r.alias:
		return r.consumer + strings.TrimPrefix(name, r.alias)
	case r.consumer:
		return ""
	}
	return name
}
