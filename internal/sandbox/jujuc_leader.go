// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/juju/errors"

	"github.com/signet-charm/signet/internal/juju"
)

// leaderSettings are what charms of old share with leader-set. They are no part of any transaction.
type leaderSettings struct {
	values  map[string]string
	version int64
}

// legacy reports whether this Juju is older than 4.0, which has no leader settings.
func (m *Model) legacy() bool {
	major, _, _ := strings.Cut(m.version, ".")
	number, err := strconv.Atoi(major)
	return err == nil && number < 4
}

// LeaderSettings are an application's leader settings, which all of its units may read.
func (m *Model) LeaderSettings(app string) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, found := m.apps[app]; found && len(a.settings.values) > 0 {
		return maps.Clone(a.settings.values)
	}
	return map[string]string{}
}

// SetLeaderSettings changes leader settings at once, which the leader may; an empty value removes the key.
func (m *Model) SetLeaderSettings(viewer string, changes map[string]string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(viewer)
	if err != nil {
		return err
	}
	if err := m.checkLeader(u); err != nil {
		return errors.Annotate(err, "checking leadership continuity")
	}
	s := &m.apps[u.app].settings
	next, err := applySettings(s.values, changes)
	if err != nil {
		return err
	}
	if !maps.Equal(s.values, next) {
		s.values = next
		s.version++
		m.notify()
	}
	return nil
}

func (m *Model) leaderSettingsVersion(unit string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, found := m.apps[juju.ApplicationOf(unit)]; found {
		return a.settings.version
	}
	return 0
}

// leaderTools are the hook tools of leader settings.
func leaderTools() map[string]toolSpec {
	return map[string]toolSpec{
		"leader-get": {
			args: "[<key>]", purpose: "Prints application leadership settings.", flags: "format", legacy: true, run: leaderGet,
		},
		"leader-set": {
			args: "<key>=<value> [...]", purpose: "Writes application leadership settings.", legacy: true, run: leaderSet,
		},
	}
}

func leaderGet(c *toolCall) error {
	if err := c.atMost(1, ""); err != nil {
		return err
	}
	key := c.arg(0)
	if strings.Contains(key, "=") {
		return fmt.Errorf("invalid key %q", key)
	}
	if c.hook.settings == nil {
		c.hook.settings = c.hook.model.LeaderSettings(juju.ApplicationOf(c.hook.agent.unit))
	}
	if key == "" || key == "-" {
		return c.print(c.hook.settings)
	}
	if value, found := c.hook.settings[key]; found {
		return c.print(value)
	}
	return c.print(nil)
}

// leaderSet takes effect at once and is not undone by a failing hook.
func leaderSet(c *toolCall) error {
	given, err := c.keyValues()
	if err != nil {
		return err
	}
	if !c.hook.leads() {
		return errors.New("cannot write leadership settings: cannot write settings: not the leader")
	}
	c.hook.settings = nil
	err = c.hook.model.SetLeaderSettings(c.hook.agent.unit, given)
	return errors.Annotate(errors.Annotate(err, "cannot write settings"), "cannot write leadership settings")
}
