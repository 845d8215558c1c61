// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/juju/errors"
	"github.com/juju/names/v5"

	"github.com/signet-charm/signet/internal/juju"
)

// Life is how far an entity is from its end: alive, dying (its agent is tidying up), dead.
type Life string

// The three lives of Juju; dead entities are removed at once.
const (
	Alive Life = "alive"
	Dying Life = "dying"
	Dead  Life = "dead"
)

// CharmMeta is what the model needs to know of a charm: the part of metadata.yaml and config.yaml that Juju enforces.
type CharmMeta struct {
	Name      string
	Endpoints []juju.Endpoint
	Config    map[string]any    // every option with its default; nil where it has none
	Types     map[string]string // option types: string, boolean, int, float, secret; guessed from the default when absent
}

// Model is one Juju model in memory. All methods are safe for concurrent use and give copies. Administration (Deploy,
// Integrate, SetConfig, …) is what a human does with the juju client; reads and writes on behalf of a unit (ReadUnitBag,
// Commit, …) are authorised as a controller does and fail with Juju's own errors, so that their codes and texts are
// the real ones.
type Model struct {
	name       string
	uuid       string
	version    string
	noSecrets  bool
	lateScopes bool
	now        func() time.Time

	mu           sync.Mutex
	changed      chan struct{} // closed and replaced at each change
	apps         map[string]*application
	relations    map[int]*relation
	nextRelation int
	nextMachine  int
	vault        vault
	interpose    func(unit string)
	lose         func(unit string) bool
	alarm        *time.Timer // looks at the clock when the next thing is due; nil while nothing is
	stopped      bool        // no more alarms

	// The controller's bookkeeping of who may log in; called without the lock.
	added   func(unit string) error
	removed func(unit string)
}

// application is one deployed charm.
type application struct {
	name     string
	meta     CharmMeta
	config   map[string]any // as set by the operator, without the defaults
	units    map[string]*unit
	nextUnit int
	lease    lease
	settings leaderSettings
	status   StatusInfo
	network  int // third octet of the units' addresses
}

// unit is one unit of an application.
type unit struct {
	name      string
	app       string
	machine   string
	life      Life
	attended  bool // a hook runner takes it through its departures
	status    StatusInfo
	agent     StatusInfo
	version   string
	state     unitState
	ports     []PortRange
	addresses juju.Addresses
}

// StatusInfo is a status with the moment of its last change.
type StatusInfo struct {
	Level   string
	Message string
	Data    map[string]any
	Since   time.Time
}

// newModel makes an empty model. Its UUID follows from its name, so that one story gives one set of identifiers.
func newModel(opts Options) *Model {
	return &Model{
		name:       opts.ModelName,
		uuid:       uuidOf("model " + opts.ModelName),
		version:    opts.JujuVersion,
		noSecrets:  opts.NoSecrets,
		lateScopes: opts.LateScopes,
		now:        opts.Clock,
		changed:    make(chan struct{}),
		apps:       map[string]*application{},
		relations:  map[int]*relation{},
		vault:      newVault(),
	}
}

// uuidOf derives a version 4 shaped UUID from a text.
func uuidOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	sum[6] = sum[6]&0x0f | 0x40
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// Name is the model's name.
func (m *Model) Name() string { return m.name }

// UUID is the model's UUID.
func (m *Model) UUID() string { return m.uuid }

// JujuVersion is the version the controller and the agents report, for example "3.6.25".
func (m *Model) JujuVersion() string { return m.version }

// HasSecrets reports whether the model serves Juju secrets, as all do since Juju 3.0.
func (m *Model) HasSecrets() bool { return !m.noSecrets }

// Changed gives a channel that is closed at the next change of anything in the model. Whoever waits takes the channel
// first, reads what it is interested in second and waits last; then no change is missed, and many changes between two
// reads are one event, as with Juju's own watchers.
func (m *Model) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// notify wakes all who wait for changes. The caller holds the lock.
func (m *Model) notify() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Deploy adds an application without units. Its peer relations exist from here on, as in Juju.
func (m *Model) Deploy(app string, meta CharmMeta) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !names.IsValidApplication(app) {
		return errors.NotValidf("cannot deploy application: name %q", app)
	}
	if _, exists := m.apps[app]; exists {
		return errors.AlreadyExistsf("cannot deploy application: application %q", app)
	}
	seen := map[string]bool{}
	for _, endpoint := range meta.Endpoints {
		if endpoint.Name == "" || seen[endpoint.Name] {
			return errors.NotValidf("cannot deploy %q: endpoint name %q, empty or used twice,", app, endpoint.Name)
		}
		seen[endpoint.Name] = true
	}
	m.apps[app] = &application{
		name:    app,
		meta:    meta,
		config:  map[string]any{},
		units:   map[string]*unit{},
		status:  StatusInfo{Level: "unknown", Since: m.now()},
		network: len(m.apps) + 1,
	}
	for _, endpoint := range meta.Endpoints {
		if endpoint.Role == juju.Peers {
			m.addRelation([]end{{app: app, endpoint: endpoint}})
		}
	}
	m.notify()
	return nil
}

// Refresh gives an application another charm, as "juju refresh" does, also one of another name. Relations, config, secrets
// and leader settings stay; the new charm must have each endpoint that is in use. Its units' charms are upgraded by
// Runner.Upgrade.
func (m *Model) Refresh(app string, meta CharmMeta) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, found := m.apps[app]
	if !found {
		return errors.NotFoundf("cannot refresh: application %q", app)
	}
	for _, r := range m.relationsOf(app) {
		for _, side := range r.ends {
			if side.app == app && !slices.Contains(meta.Endpoints, side.endpoint) {
				return errors.Errorf("cannot refresh %q: it would break relation on endpoint %q", app, side.endpoint.Name)
			}
		}
	}
	for _, endpoint := range meta.Endpoints {
		if endpoint.Role != juju.Peers || slices.Contains(a.meta.Endpoints, endpoint) {
			continue
		}
		m.addRelation([]end{{app: app, endpoint: endpoint}})
	}
	a.meta = meta
	m.notify()
	return nil
}

// AddUnit adds a unit and lets it join the scope of its application's relations. An application's only unit leads at
// once, since its agent's claim has no rival.
func (m *Model) AddUnit(app string) (string, error) {
	name, err := m.addUnit(app)
	if err == nil && m.added != nil {
		err = m.added(name)
	}
	return name, err
}

func (m *Model) addUnit(app string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, found := m.apps[app]
	if !found {
		return "", errors.NotFoundf("cannot add unit: application %q", app)
	}
	number := a.nextUnit
	a.nextUnit++
	address := fmt.Sprintf("10.%d.%d.%d", 100+number/250, a.network%256, number%250+2)
	u := &unit{
		name:    app + "/" + strconv.Itoa(number),
		app:     app,
		machine: strconv.Itoa(m.nextMachine),
		life:    Alive,
		status:  StatusInfo{Level: "waiting", Message: "waiting for machine", Since: m.now()},
		agent:   StatusInfo{Level: "allocating", Since: m.now()},
		addresses: juju.Addresses{
			Bind: []string{address}, Ingress: []string{address}, Egress: []string{address + "/32"},
		},
	}
	m.nextMachine++
	a.units[u.name] = u
	if len(a.units) == 1 {
		m.track(u)
	}
	for _, r := range m.relationsOf(app) {
		if !r.suspended && !m.lateScopes {
			r.enter(u)
		}
	}
	m.notify()
	return u.name, nil
}

// RemoveUnit takes a unit out of the model. A unit that a hook runner attends to turns Dying and is gone when the runner
// has called LeaveScope for its relations and UnitGone; any other unit is gone when RemoveUnit returns.
func (m *Model) RemoveUnit(name string) error {
	m.mu.Lock()
	u, err := m.unit(name)
	attended := err == nil && u.attended
	if err == nil {
		u.life = Dying
		m.notify()
	}
	m.mu.Unlock()
	if err == nil && attended {
		return nil
	}
	return m.UnitGone(name)
}

// UnitGone removes a unit whose hook runner is done with it: it leaves its scopes, its secrets go, and its leadership is
// free for whoever claims it next.
func (m *Model) UnitGone(name string) error {
	m.mu.Lock()
	u, err := m.unit(name)
	if err == nil {
		m.removeUnit(u)
		m.notify()
	}
	m.mu.Unlock()
	if err != nil {
		return errors.Annotate(err, "cannot remove unit")
	}
	if m.removed != nil {
		m.removed(name)
	}
	return nil
}

func (m *Model) removeUnit(u *unit) {
	a := m.apps[u.app]
	for _, r := range m.relationsOf(u.app) {
		m.leave(r, u.name)
	}
	delete(a.units, u.name)
	m.vault.forgetUnit(u.name)
	if m.holder(a) == u.name {
		a.lease.release()
	}
}

// Attend says that a hook runner takes this unit through its departures: relations and the unit itself stay, dying,
// until the runner has called LeaveScope and UnitGone. When it no longer does, the unit's agent is gone: leadership that
// the unit has runs out, a lease's length from now.
func (m *Model) Attend(name string, attended bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return errors.Annotate(err, "cannot attend unit")
	}
	u.attended = attended
	m.tend(u)
	m.notify()
	return nil
}

// Applications are the names of the applications, sorted.
func (m *Model) Applications() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.apps))
}

// Units are the names of an application's units, by number.
func (m *Model) Units(app string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, found := m.apps[app]
	if !found {
		return nil
	}
	return a.unitNames()
}

// UnitLife is a unit's life; Dead when there is no such unit, or no longer.
func (m *Model) UnitLife(name string) Life {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return Dead
	}
	return u.life
}

// Meta is the charm of an application.
func (m *Model) Meta(app string) (CharmMeta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, found := m.apps[app]
	if !found {
		return CharmMeta{}, errors.NotFoundf("application %q", app)
	}
	return a.meta, nil
}

// unit finds a unit. The caller holds the lock.
func (m *Model) unit(name string) (*unit, error) {
	if a, found := m.apps[juju.ApplicationOf(name)]; found {
		if u, found := a.units[name]; found {
			return u, nil
		}
	}
	return nil, errors.NotFoundf("unit %q", name)
}

func (a *application) unitNames() []string {
	return slices.SortedFunc(maps.Keys(a.units), compareUnits)
}

// compareUnits orders unit names by application, then by number: "a/2" before "a/10".
func compareUnits(left, right string) int {
	if c := strings.Compare(juju.ApplicationOf(left), juju.ApplicationOf(right)); c != 0 {
		return c
	}
	l, _ := juju.UnitNumber(left)
	r, _ := juju.UnitNumber(right)
	return l - r
}
