// SPDX-License-Identifier: AGPL-3.0-only

package unit

import (
	"encoding/json"
	"maps"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/requirer"
)

// soundKey is where the peer application bag and the unit state keep the last option values without a fault. The bag follows
// leadership, and tells units that come later; a charm without a peer relation has the state alone.
const soundKey = "config"

// settings are all options of the charm, sound ones.
type settings struct {
	provider provider.Settings
	requirer requirer.Settings
	reports  []juju.Status
}

// soundConfig reads the options. One that cannot be used is reported, and its last sound value stays in force: a slip
// of the keyboard must not change what is served. It gives the unit state that remembers sound values.
func soundConfig(snap juju.Snapshot) (settings, map[string]string) {
	read := func(values map[string]any) (settings, []juju.OptionError) {
		config := &juju.Config{Values: values}
		return settings{provider: provider.ReadSettings(config), requirer: requirer.ReadSettings(config)}, config.Errors
	}
	result, faults := read(snap.Config)
	if len(faults) == 0 {
		text, err := json.Marshal(snap.Config)
		if err != nil {
			return result, nil
		}
		return result, map[string]string{soundKey: string(text)}
	}
	var sound map[string]any
	_ = json.Unmarshal([]byte(standing(snap)), &sound) // unreadable or absent: the defaults take its place
	patched := maps.Clone(snap.Config)
	for _, fault := range faults {
		delete(patched, fault.Option)
		if value, known := sound[fault.Option]; known {
			patched[fault.Option] = value
		}
	}
	result, again := read(patched)
	if len(again) > 0 { // a sound value does not fit what changed beside it
		result, _ = read(sound)
	}
	for _, fault := range faults {
		result.reports = append(result.reports, juju.Status{Level: juju.Blocked, Message: fault.Error()})
	}
	return result, nil
}

// standing is what was written down of the last sound options: by the leader, by which all units go, else by this unit.
func standing(snap juju.Snapshot) string {
	peers, _ := snap.Peers()
	if text := peers.OwnApp[soundKey]; text != "" {
		return text
	}
	return snap.State[soundKey]
}

// share has the leader write sound options down where every unit and every later leader finds them.
func share(snap juju.Snapshot, state map[string]string, bags map[int]juju.OwnBags) {
	peers, found := snap.Peers()
	if !found || !snap.Leader || len(snap.Config) == 0 || state[soundKey] == "" || peers.OwnApp[soundKey] == state[soundKey] {
		return
	}
	own, decided := bags[peers.ID]
	if !decided || own.App == nil {
		own.App = maps.Clone(peers.OwnApp)
	}
	if own.App == nil {
		own.App = juju.Bag{}
	}
	own.App[soundKey] = state[soundKey]
	bags[peers.ID] = own
}
