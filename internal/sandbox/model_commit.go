// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"maps"
	"slices"
	"strings"

	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"
)

// The limits of Juju 3.6: controller configuration at its defaults, MongoDB's document size.
const (
	maxStateKey    = 256              // bytes
	maxStateValue  = 64 * 1024        // bytes
	maxCharmState  = 2 * 1024 * 1024  // bytes of BSON
	maxAgentState  = 512 * 1024       // bytes of BSON
	maxBagDocument = 16 * 1024 * 1024 // bytes of BSON
)

// Commit is everything that one unit changes at once: what CommitHookChanges carries over the API, and what a hook's
// tools have gathered when the hook ends well.
type Commit struct {
	Relations []BagChange
	State     *UnitState // nil leaves all as it is
	Secrets   SecretChanges
	Open      []PortRange
	Close     []PortRange
}

// BagChange is what to write into the unit's own databags of one relation; an empty value removes the key.
type BagChange struct {
	RelationID int
	Unit       map[string]string
	App        map[string]string // needs leadership
}

// PortRange is an opened range of ports of an endpoint; an empty endpoint stands for all.
type PortRange struct {
	Endpoint string
	Protocol string // tcp, udp or icmp
	From, To int
}

// UnitState is what the controller keeps for a unit. A nil field stays as it is; any other replaces what was there.
type UnitState struct {
	Charm    map[string]string // nil: unchanged; empty: cleared
	Relation map[int]string
	Uniter   *string
	Storage  *string
	Secret   *string
}

// unitState is the stored form of UnitState.
type unitState struct {
	charm    map[string]string
	relation map[int]string
	uniter   string
	storage  string
	secret   string
}

// Commit applies a unit's changes in Juju's order: access is checked, then secrets are changed one after the other,
// outside any transaction, and then databags, unit state and ports change together or not at all. Leadership is checked
// inside that transaction: a unit that has just lost it fails there, with its secrets perhaps changed already.
func (m *Model) Commit(viewer string, c Commit) error {
	if err := m.checkCommit(viewer, c); err != nil {
		return err
	}
	if err := m.commitSecrets(viewer, c.Secrets); err != nil {
		return err
	}
	m.mu.Lock()
	interpose, lose := m.interpose, m.lose
	m.mu.Unlock()
	if interpose != nil {
		interpose(viewer)
	}
	if lose != nil && lose(viewer) {
		return errors.New("the transaction was lost")
	}
	return m.transact(viewer, c)
}

// Interpose has a function called in each Commit after the secrets and before the transaction, with the unit's name:
// the moment in which a real controller loses a race. Nil ends it.
func (m *Model) Interpose(before func(unit string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.interpose = before
}

// Lose has a function called in each Commit where Interpose has its own, with the unit's name. Where it says true there is no
// transaction: whoever was to carry it out, or who asked for it, died with the secrets changed and nothing else. Nil ends it.
func (m *Model) Lose(dies func(unit string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lose = dies
}

// checkCommit refuses what Juju refuses before it changes anything.
func (m *Model) checkCommit(viewer string, c Commit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.unit(viewer); err != nil {
		return err
	}
	for _, change := range c.Relations {
		r, _, err := m.authorise(viewer, change.RelationID)
		if err != nil {
			return err
		}
		if len(change.Unit) > 0 && r.unitBags[viewer] == nil {
			return noSettings(viewer)
		}
	}
	for _, ports := range slices.Concat(c.Open, c.Close) {
		if err := ports.validate(); err != nil {
			return err
		}
	}
	if m.noSecrets && !c.Secrets.empty() {
		return errors.NotSupportedf("secrets in model %q", m.name)
	}
	return nil
}

// transact is the transaction: every change is prepared and checked first, so that a failure leaves no trace.
func (m *Model) transact(viewer string, c Commit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(viewer)
	if err != nil {
		return err
	}
	var prepared []preparedBag
	for _, change := range c.Relations {
		bags, err := m.prepareBags(u, change, prepared)
		if err != nil {
			return err
		}
		prepared = append(prepared, bags...)
	}
	state, err := u.state.with(c.State)
	if err != nil {
		return err
	}
	changed := c.State != nil || len(c.Open)+len(c.Close) > 0
	for _, p := range prepared {
		if !maps.Equal(p.bag.values, p.values) {
			p.bag.values = p.values
			p.bag.version++
			changed = true
		}
	}
	u.state = state
	u.ports = slices.DeleteFunc(u.ports, func(p PortRange) bool { return slices.Contains(c.Close, p) })
	for _, p := range c.Open {
		if !slices.Contains(u.ports, p) {
			u.ports = append(u.ports, p)
		}
	}
	m.vault.dropReservations(viewer)
	if changed {
		m.notify()
	}
	return nil
}

// preparedBag is a databag with what it is to hold.
type preparedBag struct {
	bag    *settings
	values map[string]string
}

// prepareBags works out one relation's change on top of those prepared before it in the same transaction.
func (m *Model) prepareBags(u *unit, change BagChange, before []preparedBag) ([]preparedBag, error) {
	r, _, err := m.authorise(u.name, change.RelationID)
	if err != nil {
		return nil, err
	}
	var prepared []preparedBag
	add := func(bag *settings, changes map[string]string) error {
		if bag == nil {
			return noSettings(u.name)
		}
		values := bag.values
		for _, p := range before {
			if p.bag == bag {
				values = p.values
			}
		}
		next, err := applySettings(values, changes)
		if err != nil {
			return errors.Annotatef(err, "cannot write settings of %q in relation %q", u.name, r.key(u.app))
		}
		prepared = append(prepared, preparedBag{bag: bag, values: next})
		return nil
	}
	if len(change.App) > 0 {
		if err := m.checkLeader(u); err != nil {
			return nil, errors.Annotate(err, "checking leadership continuity")
		}
		if err := add(r.appBags[u.app], change.App); err != nil {
			return nil, err
		}
	}
	if len(change.Unit) > 0 {
		if err := add(r.unitBags[u.name], change.Unit); err != nil {
			return nil, err
		}
	}
	return prepared, nil
}

// applySettings gives a databag after a change, within what MongoDB stores: keys without NUL, text in UTF-8, 16 MiB.
func applySettings(have, change map[string]string) (map[string]string, error) {
	next := maps.Clone(have)
	if next == nil {
		next = map[string]string{}
	}
	for key, value := range change {
		if key == "" || strings.ContainsRune(key, 0) {
			return nil, errors.NotValidf("key %q", key)
		}
		key, value = validUTF8(key), validUTF8(value)
		if value == "" {
			delete(next, key)
			continue
		}
		next[key] = value
	}
	if size := bsonSize(next); size > maxBagDocument {
		return nil, errors.QuotaLimitExceededf("document of %d bytes: max allowed size (%d)", size, maxBagDocument)
	}
	return next, nil
}

// validUTF8 replaces each byte that is not UTF-8, as JSON does on the way to a controller.
func validUTF8(text string) string { return string([]rune(text)) }

// bsonSize is the size of a map of strings as a BSON document, with the keys escaped as Juju does: the two characters
// that MongoDB gives a meaning become three bytes each.
func bsonSize(values map[string]string) int {
	size := 5
	for key, value := range values {
		size += 1 + len(key) + 2*strings.Count(key, ".") + 2*strings.Count(key, "$") + 1 + 4 + len(value) + 1
	}
	return size
}

// with gives the state after a change, within Juju's quotas.
func (s unitState) with(change *UnitState) (unitState, error) {
	if change == nil {
		return s, nil
	}
	if change.Charm != nil {
		for key, value := range change.Charm {
			if key == "" || strings.ContainsRune(key, 0) {
				return s, errors.NotValidf("state key %q", key)
			}
			if len(key) > maxStateKey {
				return s, errors.QuotaLimitExceededf("max allowed key length (%d) exceeded", maxStateKey)
			}
			if len(value) > maxStateValue {
				return s, errors.QuotaLimitExceededf("max allowed value length (%d) exceeded", maxStateValue)
			}
		}
		if bsonSize(change.Charm) > maxCharmState {
			return s, errors.QuotaLimitExceededf("max allowed size (%d) exceeded", maxCharmState)
		}
		s.charm = maps.Clone(change.Charm)
	}
	if change.Relation != nil {
		s.relation = maps.Clone(change.Relation)
	}
	for field, value := range map[*string]*string{&s.uniter: change.Uniter, &s.storage: change.Storage, &s.secret: change.Secret} {
		if value != nil {
			*field = *value
		}
	}
	size := len(s.uniter) + len(s.storage) + len(s.secret)
	for _, value := range s.relation {
		size += 16 + len(value)
	}
	if size > maxAgentState {
		return s, errors.QuotaLimitExceededf("max allowed size (%d) exceeded", maxAgentState)
	}
	return s, nil
}

func (p PortRange) validate() error {
	switch {
	case p.Protocol == "icmp" && p.From == -1 && p.To == -1:
		return nil
	case p.Protocol != "tcp" && p.Protocol != "udp":
		return errors.NotValidf("protocol %q", p.Protocol)
	case p.From < 1 || p.To > 65535 || p.From > p.To:
		return errors.NotValidf("port range %d-%d/%s", p.From, p.To, p.Protocol)
	}
	return nil
}

// State is what the controller keeps for a unit.
func (m *Model) State(name string) (UnitState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return UnitState{}, err
	}
	s := u.state
	return UnitState{
		Charm: maps.Clone(s.charm), Relation: maps.Clone(s.relation),
		Uniter: &s.uniter, Storage: &s.storage, Secret: &s.secret,
	}, nil
}

// OpenedPorts are the port ranges that a unit has opened.
func (m *Model) OpenedPorts(name string) []PortRange {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return nil
	}
	return slices.Clone(u.ports)
}

// authoriseSelf lets a unit speak for itself only, as Juju's facades do.
func authoriseSelf(viewer, name string) error {
	if viewer != name {
		return apiservererrors.ErrPerm
	}
	return nil
}
