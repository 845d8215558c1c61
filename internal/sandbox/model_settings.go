// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"

	"github.com/signet-charm/signet/internal/juju"
)

// SetConfig sets options of an application, as "juju config" does; nil resets one to its default. Nothing is set when
// one of them is unknown or of the wrong type.
func (m *Model) SetConfig(app string, options map[string]any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, found := m.apps[app]
	if !found {
		return errors.NotFoundf("cannot set config: application %q", app)
	}
	next := maps.Clone(a.config)
	for name, value := range options {
		if _, known := a.meta.Config[name]; !known {
			return errors.NotFoundf("cannot set config of %q: option %q", app, name)
		}
		if value == nil {
			delete(next, name)
			continue
		}
		typed, err := a.meta.typed(name, value)
		if err != nil {
			return errors.Annotatef(err, "cannot set config of %q", app)
		}
		next[name] = typed
	}
	if !maps.Equal(a.config, next) {
		a.config = next
		m.notify()
	}
	return nil
}

// typed checks a value against its option's type and gives it in Juju's type for it.
func (c CharmMeta) typed(name string, value any) (any, error) {
	kind := c.Types[name]
	if kind == "" {
		kind = typeName(c.Config[name])
	}
	if got := typeName(value); got != kind && kind != "" && (kind != "secret" || got != "string") {
		return nil, errors.NotValidf("option %q expected %s, got %v", name, kind, value)
	}
	switch v := value.(type) {
	case int:
		return int64(v), nil
	case string, bool, int64, float64:
		return v, nil
	}
	return nil, errors.NotValidf("option %q of type %T", name, value)
}

func typeName(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int, int64:
		return "int"
	case float64:
		return "float"
	}
	return ""
}

// Config is an application's configuration with the defaults of options that are not set; nil where there is none.
func (m *Model) Config(app string) (map[string]any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, found := m.apps[app]
	if !found {
		return nil, errors.NotFoundf("application %q", app)
	}
	config := map[string]any{}
	for name, value := range a.meta.Config {
		if number, isInt := value.(int); isInt {
			value = int64(number)
		}
		config[name] = value
	}
	maps.Copy(config, a.config)
	return config, nil
}

// ConfigHash changes with an application's configuration: what Juju's watcher of it tells.
func (m *Model) ConfigHash(app string) (string, error) {
	config, err := m.Config(app)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(config)
	if err != nil {
		return "", errors.Annotatef(err, "cannot hash config of %q", app)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text)), nil
}

// UnitStatus is a unit's workload status.
func (m *Model) UnitStatus(name string) (StatusInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return StatusInfo{}, err
	}
	return u.status, nil
}

// SetUnitStatus sets a unit's workload status.
func (m *Model) SetUnitStatus(name, level, message string, data map[string]any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"active", "blocked", "maintenance", "waiting", "unknown", "terminated"}, level) {
		return errors.Errorf("cannot set invalid status %q", level)
	}
	m.setStatus(&u.status, level, message, data)
	return nil
}

// AgentStatus is the status of a unit's agent.
func (m *Model) AgentStatus(name string) (StatusInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return StatusInfo{}, err
	}
	return u.agent, nil
}

// SetAgentStatus sets the status of a unit's agent; "error" is what a failed hook gives.
func (m *Model) SetAgentStatus(name, level, message string, data map[string]any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"allocating", "idle", "executing", "error", "failed", "rebooting", "lost"}, level) {
		return errors.Errorf("cannot set invalid status %q", level)
	}
	if level == "error" && message == "" {
		return errors.Errorf("cannot set status %q without message", level)
	}
	m.setStatus(&u.agent, level, message, data)
	return nil
}

// ApplicationStatus is an application's status as its leader sees and sets it.
func (m *Model) ApplicationStatus(viewer string) (StatusInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(viewer)
	if err != nil {
		return StatusInfo{}, err
	}
	if err := m.checkLeader(u); err != nil {
		return StatusInfo{}, err
	}
	return m.apps[u.app].status, nil
}

// SetApplicationStatus sets the status of the unit's application, which its leader may.
func (m *Model) SetApplicationStatus(viewer, level, message string, data map[string]any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(viewer)
	if err != nil {
		return err
	}
	if err := m.checkLeader(u); err != nil {
		return err
	}
	if !slices.Contains([]string{"active", "blocked", "maintenance", "waiting", "unknown"}, level) {
		return errors.Errorf("cannot set invalid status %q", level)
	}
	m.setStatus(&m.apps[u.app].status, level, message, data)
	return nil
}

func (m *Model) setStatus(status *StatusInfo, level, message string, data map[string]any) {
	*status = StatusInfo{Level: level, Message: message, Data: maps.Clone(data), Since: m.now()}
	m.notify()
}

// WorkloadVersion is the version of the workload that a unit runs, as it last said.
func (m *Model) WorkloadVersion(name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return "", err
	}
	return u.version, nil
}

// SetWorkloadVersion sets the version of the workload that a unit runs.
func (m *Model) SetWorkloadVersion(name, version string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return err
	}
	u.version = version
	m.notify()
	return nil
}

// Addresses are a unit's addresses, the same for every endpoint.
func (m *Model) Addresses(name string) (juju.Addresses, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return juju.Addresses{}, err
	}
	return u.addresses, nil
}

// SetAddresses gives a unit other addresses and writes them into its databags, as the unit agent does on a change.
func (m *Model) SetAddresses(name string, addresses juju.Addresses) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return errors.Annotate(err, "cannot set addresses")
	}
	if len(addresses.Ingress) == 0 || len(addresses.Bind) == 0 {
		return errors.NotValidf("cannot set addresses of %q: empty list", name)
	}
	u.addresses = addresses
	for _, r := range m.relationsOf(u.app) {
		if bag := r.unitBags[name]; bag != nil && r.scope[name] {
			bag.values = maps.Clone(bag.values)
			bag.values["private-address"] = addresses.Ingress[0]
			bag.values["ingress-address"] = addresses.Ingress[0]
			bag.values["egress-subnets"] = strings.Join(addresses.Egress, ",")
			bag.version++
		}
	}
	m.notify()
	return nil
}

// Machine is the number of the machine that a unit runs on.
func (m *Model) Machine(name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return "", err
	}
	return u.machine, nil
}

// relationByKey finds a relation of an application by its key there; nil when there is none.
func (m *Model) relationByKey(viewer, key string) *relation {
	for _, r := range m.relationsOf(viewer) {
		if r.key(viewer) == key {
			return r
		}
	}
	return nil
}

// RelationID finds a relation by its key as a unit's application knows it, or that of others as they do: what is asked of
// it then is refused as Juju does. A relation that does not exist is denied.
func (m *Model) RelationID(viewer, key string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.relationByKey(juju.ApplicationOf(viewer), key); r != nil {
		return r.id, nil
	}
	for _, r := range m.relations {
		if r.key(r.consumer) == key {
			return r.id, nil
		}
	}
	return 0, apiservererrors.ErrPerm
}
