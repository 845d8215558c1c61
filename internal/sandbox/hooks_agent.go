// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/signet-charm/signet/internal/juju"
)

// noRelation is the relation ID of hooks that are about none.
const noRelation = -1

// HookInfo says which hook runs and what it is about.
type HookInfo struct {
	Name           string // "config-changed", "certificates-relation-joined"
	RelationID     int    // noRelation (-1) for hooks that are about none
	RemoteApp      string
	RemoteUnit     string
	DepartingUnit  string // in -departed: who goes, which may be the own unit
	SecretURI      string // in secret-*
	SecretLabel    string
	SecretRevision int // in secret-expired, -rotate and -remove

	kind    string // the name without its endpoint
	version int64  // of the databag that the hook is about
}

// String shows the hook and whom it is about: "certificates-relation-joined(easyrsa/0)".
func (h HookInfo) String() string {
	about := h.RemoteUnit
	if about == "" {
		about = h.RemoteApp
	}
	if h.SecretURI != "" {
		about = h.SecretLabel
	}
	if about == "" {
		return h.Name
	}
	return h.Name + "(" + about + ")"
}

// unitAgent is what one unit's agent remembers between hooks: how far it has shown the charm what is in the model. What
// the model holds beyond that is what hooks are still to be run for, so many changes make one hook.
type unitAgent struct {
	unit    string
	turn    sync.Mutex // held while a hook or action of the unit runs
	charm   Charm
	failed  *HookInfo // to be run again before anything else
	ordered []HookInfo

	installed bool
	started   bool
	stopped   bool
	removed   bool
	leader    bool
	settings  int64  // version of the leader settings that the unit knows
	config    string // hash of the configuration that config-changed last ran for
	addresses string
	relations map[int]*agentRelation
	secrets   map[string]int       // revision of each secret that secret-changed last ran for, by URI
	obsolete  map[string]bool      // "<URI>/<revision>" that secret-remove ran for
	expired   map[string]time.Time // likewise for secret-expired: when to run it again

	// What the model held when the running config-changed began: a change during the hook is another one.
	nextHash, nextAddresses string
}

// agentRelation is what the agent has shown the charm of one relation.
type agentRelation struct {
	endpoint juju.Endpoint
	app      string
	created  bool
	members  map[string]int64 // by remote unit: the version of its databag that a hook last ran for
	appBag   int64            // likewise for the remote application's databag
	pending  string           // a unit that has joined and whose -changed must be next

	// bags are the members' databags as last read: the agent reads a remote unit's databag once after each -joined or
	// -changed hook for it, and shows that to all hooks until the next.
	bags map[string]map[string]string
}

func newUnitAgent(unit string, charm Charm) *unitAgent {
	return &unitAgent{
		unit: unit, charm: charm, relations: map[int]*agentRelation{}, secrets: map[string]int{},
		obsolete: map[string]bool{}, expired: map[string]time.Time{},
	}
}

// hookOf makes a hook that is about no relation.
func hookOf(kind string) HookInfo { return HookInfo{Name: kind, kind: kind, RelationID: noRelation} }

// next gives the hook to run now; false when the charm has seen all there is. The order is that of Juju's resolvers.
func (a *unitAgent) next(m *Model) (HookInfo, bool) {
	life := m.UnitLife(a.unit)
	if life == Dead || a.removed {
		return HookInfo{}, false
	}
	m.TrackLeadership(a.unit) // a dying unit's agent still does
	switch {
	case a.failed != nil:
		return *a.failed, true
	case life == Dying:
		return a.nextDying(m)
	case !a.installed:
		return hookOf("install"), true
	}
	a.watch(m)
	for _, find := range []func(*Model) (HookInfo, bool){
		a.nextCreated, a.nextLeadership, a.nextOrdered, a.nextSecret, a.nextSecretDue, a.nextConfig, a.nextStart, a.nextRelation,
	} {
		if info, found := find(m); found {
			return info, true
		}
	}
	return HookInfo{}, false
}

// watch enters relations that are new to the agent, or that are resumed, and forgets those that are gone.
func (a *unitAgent) watch(m *Model) {
	seen := map[int]bool{}
	for _, info := range m.Relations(juju.ApplicationOf(a.unit)) {
		if a.relations[info.ID] == nil && info.Life == Alive && !info.Suspended {
			_ = m.EnterScope(info.ID, a.unit) // a dying unit cannot
		}
		if !m.InScope(info.ID, a.unit) {
			continue
		}
		seen[info.ID] = true
		if a.relations[info.ID] == nil {
			a.relations[info.ID] = &agentRelation{
				endpoint: info.Endpoint, app: info.RemoteApp,
				members: map[string]int64{}, bags: map[string]map[string]string{},
			}
		}
	}
	maps.DeleteFunc(a.relations, func(id int, _ *agentRelation) bool { return !seen[id] })
}

// inOrder gives the IDs of the agent's relations: peer relations last, so that they outlast all others when a unit goes.
func (a *unitAgent) inOrder() []int {
	return slices.SortedFunc(maps.Keys(a.relations), func(x, y int) int {
		if px, py := a.isPeer(x), a.isPeer(y); px != py {
			if px {
				return 1
			}
			return -1
		}
		return x - y
	})
}

func (a *unitAgent) isPeer(id int) bool { return a.relations[id].endpoint.Role == juju.Peers }

func (a *unitAgent) nextCreated(m *Model) (HookInfo, bool) {
	for _, id := range a.inOrder() {
		info, err := m.RelationOf(a.unit, id)
		if err == nil && info.Life == Alive && !info.Suspended && !a.relations[id].created {
			return a.relationHook(id, "relation-created", ""), true
		}
	}
	return HookInfo{}, false
}

func (a *unitAgent) nextLeadership(m *Model) (HookInfo, bool) {
	leads := m.Leader(juju.ApplicationOf(a.unit)) == a.unit
	if leads && !a.leader {
		return hookOf("leader-elected"), true
	}
	a.leader = leads
	if version := m.leaderSettingsVersion(a.unit); leads {
		a.settings = version // the leader wrote them
	} else if version != a.settings {
		info := hookOf("leader-settings-changed")
		info.version = version
		return info, true
	}
	return HookInfo{}, false
}

// nextOrdered gives the hooks that were asked for, such as update-status.
func (a *unitAgent) nextOrdered(*Model) (HookInfo, bool) {
	if len(a.ordered) == 0 || !a.started {
		return HookInfo{}, false
	}
	return a.ordered[0], true
}

// nextSecret gives the hook about a new revision of a secret that the unit has read and may still read. It runs whether or
// not the unit has read that revision already: Juju's agent remembers for which one it ran the hook last, and nothing of
// what was read. Of the first revision it is not told.
func (a *unitAgent) nextSecret(m *Model) (HookInfo, bool) {
	if !a.started {
		return HookInfo{}, false
	}
	latest := m.consumed(a.unit)
	for _, uri := range slices.Sorted(maps.Keys(latest)) {
		if latest[uri] < 2 || latest[uri] == a.secrets[uri] {
			continue
		}
		_, label, err := m.ConsumerInfo(a.unit, a.unit, uri)
		if err != nil {
			continue
		}
		info := hookOf("secret-changed")
		info.SecretURI, info.SecretLabel, info.version = uri, label, int64(latest[uri])
		return info, true
	}
	return HookInfo{}, false
}

func (a *unitAgent) nextConfig(m *Model) (HookInfo, bool) {
	config, addresses := a.settingsNow(m)
	return hookOf("config-changed"), config != a.config || addresses != a.addresses
}

// settingsNow are the fingerprints of what config-changed is run for.
func (a *unitAgent) settingsNow(m *Model) (config, addresses string) {
	config, _ = m.ConfigHash(juju.ApplicationOf(a.unit))
	now, _ := m.Addresses(a.unit)
	return config, fmt.Sprintf("%q", now)
}

func (a *unitAgent) nextStart(*Model) (HookInfo, bool) { return hookOf("start"), !a.started }

// nextDying takes a unit to its end: out of all relations, peer relations last, then stop and remove.
func (a *unitAgent) nextDying(m *Model) (HookInfo, bool) {
	a.leader, a.ordered = false, nil
	if !a.installed {
		a.removed = true
		_ = m.UnitGone(a.unit) // no error when it is gone already
		return HookInfo{}, false
	}
	for _, id := range a.inOrder() {
		if hook, found := a.nextEnding(m, id); found {
			return hook, true
		}
	}
	if a.started && !a.stopped {
		return hookOf("stop"), true
	}
	return hookOf("remove"), true
}

// begin makes the agent's view of the model what the hook about to run must see.
func (a *unitAgent) begin(m *Model, hook HookInfo) {
	if hook.kind == "config-changed" {
		a.nextHash, a.nextAddresses = a.settingsNow(m)
	}
	r := a.relations[hook.RelationID]
	if r == nil || hook.RemoteUnit == "" {
		return
	}
	delete(r.bags, hook.RemoteUnit)
	switch hook.kind {
	case "relation-departed":
		delete(r.members, hook.RemoteUnit)
	case "relation-joined":
		r.members[hook.RemoteUnit] = hook.version
	}
}

// done records that a hook ended well, and tells the model where that means that the unit has left something.
func (a *unitAgent) done(m *Model, hook HookInfo) error {
	switch hook.kind {
	case "install":
		a.installed = true
	case "start":
		a.started = true
	case "stop":
		a.stopped = true
	case "leader-elected":
		a.leader = true
	case "leader-settings-changed":
		a.settings = hook.version
	case "config-changed":
		a.config, a.addresses = a.nextHash, a.nextAddresses
	case "secret-changed":
		a.secrets[hook.SecretURI] = int(hook.version)
	case "secret-remove", "secret-rotate", "secret-expired":
		if err := a.doneSecret(m, hook); err != nil {
			return err
		}
	case "remove":
		a.removed = true
		return m.UnitGone(a.unit)
	}
	if len(a.ordered) > 0 && a.ordered[0] == hook {
		a.ordered = a.ordered[1:]
	}
	return a.doneRelation(m, hook)
}
