// SPDX-License-Identifier: AGPL-3.0-only

// Package juju holds Juju's nouns as plain values: what a unit sees of its model (Snapshot), what it wants the
// model to see of it (World), and the smallest set of Changes between the two (Diff). Nothing here talks to Juju;
// the transports are in packages hooktool and controller. Where to look next: package unit, whose Decide holds
// the World it wants against a Snapshot.
package juju

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Role is the side of a relation that an endpoint of this charm takes.
type Role string

// The three roles that charm metadata knows.
const (
	Provides Role = "provides"
	Requires Role = "requires"
	Peers    Role = "peers"
)

// Endpoint is one relation endpoint of this charm's metadata.
type Endpoint struct {
	Name      string
	Interface string // e.g. "tls-certificates"
	Role      Role
}

// Snapshot is what Juju shows one unit at one moment, plus what the unit's own disk shows.
// It is a value: whoever receives one may keep it, nobody may change it.
type Snapshot struct {
	Unit        string // own name, "signet/0"
	ModelName   string
	ModelUUID   string
	JujuVersion string               // the agent's version, e.g. "3.6.25"
	Remembered  bool                 // application databags are shown as the Session last knew them: it confirms them before a commit
	Leader      bool                 // leadership is promised for 30 s only; Commit checks it again
	CanSecrets  bool                 // the model has Juju secrets (Juju 3.0 and later)
	Endpoints   []Endpoint           // of the charm's metadata, related or not
	Config      map[string]any       // option values as Juju gives them: string, bool, int64, float64; absent when unset
	Relations   []Relation           // by ascending ID
	Secrets     []Secret             // the application's and the unit's own secrets, by label; content where readable
	Given       map[string]Given     // the operator's secrets that options name, by the option's value ("secret:<id>")
	State       map[string]string    // unit state kept by the controller; does not follow leadership
	Addresses   map[string]Addresses // by endpoint name
	Status      Status               // as last set by this unit
	Local       map[string]string    // what the unit's own disk holds, by name; filled in by the agent, not by a Session
	Leftovers   map[string]string    // leader settings, which only a charm before this one wrote; for the leader
	Action      *Action              // what an operator asks for in this very turn; nil nearly always
}

// VersionKey is where Snapshot.Local says which version of this program runs.
const VersionKey = "signet-version"

// Action is one request of an operator's, as "juju run" makes it. Its parameters are typed as JSON is.
type Action struct {
	ID     string // by which Juju's own records call it; empty where that is not known
	Name   string
	Params map[string]any
}

// Result is what an action came to. Keys of results are lower case words with hyphens.
type Result struct {
	Results map[string]string
	Steps   []string // what was done, one after the other, where that is more than one thing
	Failure string   // why it was not done, and what to do next; empty when it was
}

// Relation is one relation of this unit's application, seen from this side.
type Relation struct {
	ID                int
	Endpoint          Endpoint
	RemoteApp         string // in a peer relation: the own application
	Broken            bool   // being removed or suspended: the remote side is or will be gone
	Partial           bool   // more units belong to it than are shown: who is missing here is not gone
	OwnUnit           Bag
	OwnApp            Bag // readable by the leader only, except in peer relations; nil when not readable
	RemoteApplication Bag
	RemoteUnits       map[string]Bag // in scope, by Juju's name of the unit; cross-model ones are "remote-<hex>/<n>"
}

// Bag is one databag: what Juju calls relation settings.
type Bag map[string]string

// Secret is one Juju secret that this application or unit owns.
type Secret struct {
	URI     string // "secret:<id>"; empty in a World for one that does not exist yet
	Label   string
	Owner   SecretOwner
	Content map[string]string // nil when this unit cannot read it; keys have at least 3 characters
}

// SecretOwner says whose a secret is, and so who may manage it.
type SecretOwner string

// The owners of a charm's secrets. The application's are managed by the leader and read by every unit of it.
const (
	OwnedByApplication SecretOwner = "application"
	OwnedByUnit        SecretOwner = "unit"
)

// Addresses is what network-get shows for one endpoint.
type Addresses struct {
	Bind    []string // IP addresses of the interfaces, as text
	Ingress []string // addresses others reach this unit at: IPs or names
	Egress  []string // CIDRs
}

// Status is a unit's status as Juju shows it.
type Status struct {
	Level   Level
	Message string
}

// Level is one of Juju's workload status values.
type Level string

// The status levels a charm may set, from best to worst.
const (
	Active      Level = "active"
	Waiting     Level = "waiting"
	Maintenance Level = "maintenance"
	Blocked     Level = "blocked"
)

// Severity orders levels: the larger is the worse, so the worst of several is shown.
func (l Level) Severity() int {
	return slices.Index([]Level{Active, Waiting, Maintenance, Blocked}, l)
}

// Clone gives the same snapshot with databags of its own, for who plays Juju and goes on changing its own.
func (s Snapshot) Clone() Snapshot {
	s.Relations = slices.Clone(s.Relations)
	for i, relation := range s.Relations {
		relation.OwnUnit, relation.OwnApp = maps.Clone(relation.OwnUnit), maps.Clone(relation.OwnApp)
		relation.RemoteApplication, relation.RemoteUnits = maps.Clone(relation.RemoteApplication), maps.Clone(relation.RemoteUnits)
		for unit, bag := range relation.RemoteUnits {
			relation.RemoteUnits[unit] = maps.Clone(bag)
		}
		s.Relations[i] = relation
	}
	return s
}

// Application is the own application's name.
func (s Snapshot) Application() string { return ApplicationOf(s.Unit) }

// ApplicationOf is the application part of a unit name: "etcd/0" gives "etcd".
func ApplicationOf(unit string) string {
	app, _, _ := strings.Cut(unit, "/")
	return app
}

// UnitNumber is the number of a unit name: "etcd/0" gives 0; false where the name has none.
func UnitNumber(unit string) (int, bool) {
	_, number, found := strings.Cut(unit, "/")
	if !found {
		return 0, false
	}
	n, err := strconv.Atoi(number)
	return n, err == nil && n >= 0
}

// Key is the relation's name in Juju's tools: "certificates:3".
func (r Relation) Key() string { return fmt.Sprintf("%s:%d", r.Endpoint.Name, r.ID) }

// CrossModel reports whether the other side lives in another model, where its units go by "remote-<hex>" names.
func (r Relation) CrossModel() bool { return strings.HasPrefix(r.RemoteApp, "remote-") }

// UnitNames are the remote units in scope, in the order of their names.
func (r Relation) UnitNames() []string { return slices.Sorted(maps.Keys(r.RemoteUnits)) }

// Has reports whether the charm has an endpoint of this interface in this role.
func (s Snapshot) Has(role Role, iface string) bool {
	return slices.ContainsFunc(s.Endpoints, func(e Endpoint) bool { return e.Role == role && e.Interface == iface })
}

// On gives the relations in which this charm takes a role of an interface, whatever its endpoints are called, by
// ascending ID.
func (s Snapshot) On(role Role, iface string) []Relation {
	var found []Relation
	for _, r := range s.Relations {
		if r.Endpoint.Role == role && r.Endpoint.Interface == iface {
			found = append(found, r)
		}
	}
	return found
}

// Peers gives the peer relation; false until Juju has made it.
func (s Snapshot) Peers() (Relation, bool) {
	for _, r := range s.Relations {
		if r.Endpoint.Role == Peers {
			return r, true
		}
	}
	return Relation{}, false
}

// Secret gives the own secret with this label.
func (s Snapshot) Secret(label string) (Secret, bool) {
	for _, secret := range s.Secrets {
		if secret.Label == label {
			return secret, true
		}
	}
	return Secret{}, false
}

// Earliest gives the earlier of two times, where zero means never.
func Earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
