// SPDX-License-Identifier: AGPL-3.0-only

package unit

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/requirer"
)

// options reads the charm's options with their defaults.
func options(t require.TestingT) map[string]any {
	text, err := os.ReadFile("../../config.yaml")
	require.NoError(t, err)
	var file struct {
		Options map[string]struct {
			Default any `yaml:"default"`
		} `yaml:"options"`
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	found := map[string]any{}
	for name, option := range file.Options {
		found[name] = option.Default
	}
	return found
}

// FuzzOptions sets any two options to any values. Reading them never fails, each complaint names one of the charm's
// options and is short enough for a status, and whatever was wrong, settings without a complaint are in force.
func FuzzOptions(f *testing.F) {
	defaults := options(f)
	names := make([]string, 0, len(defaults))
	for name := range defaults {
		names = append(names, name)
	}
	slices.Sort(names)
	require.Greater(f, len(names), 30, "the charm's options are not found")
	for at := range names {
		for _, value := range []string{`"x y=z,\u0000"`, `-1`, `"0d"`} {
			f.Add(uint8(at), value, uint8(at+1), `true`)
		}
	}
	for _, value := range []string{
		`"a=/etc/a server.crt=/b"`, `"restart:kubelet=server.crt,client.key"`, `"99999999999999999999d"`, `"sat,sun 22:00-23:00"`, `"http://[::1"`,
		`"age1qqq AGE-SECRET-KEY-1QQ"`, `1e308`, `null`, `[1, {"a": 2}]`, `"100y"`, `"\ud800"`, `"0.0.0.0:8880"`, `"10.152.183.0/24,fd00::/108"`,
	} {
		f.Add(uint8(len(value)), value, uint8(2*len(value)), value)
	}
	f.Fuzz(func(t *testing.T, at uint8, value string, beside uint8, other string) {
		values := options(t)
		for index, text := range map[uint8]string{at: value, beside: other} {
			var decoded any
			if json.Unmarshal([]byte(text), &decoded) != nil {
				decoded = text
			}
			values[names[int(index)%len(names)]] = decoded
		}
		config := &juju.Config{Values: values}
		provider.ReadSettings(config)
		requirer.ReadSettings(config)
		for _, fault := range config.Errors {
			require.Contains(t, defaults, fault.Option)
			require.NotEmpty(t, fault.Reason)
			require.Contains(t, fault.Error(), fault.Option)
			require.Less(t, len(fault.Error()), 1000+len(value)*6+len(other)*6)
		}
		read, sound := soundConfig(juju.Snapshot{Config: values})
		require.Len(t, read.reports, len(config.Errors))
		require.Equal(t, len(config.Errors) == 0, sound != nil)
		if sound == nil {
			_, standing := soundConfig(juju.Snapshot{Config: defaults})
			read, _ = soundConfig(juju.Snapshot{Config: values, State: standing})
		}
		again := &juju.Config{Values: values}
		provider.ReadSettings(again)
		requirer.ReadSettings(again)
		require.Equal(t, config.Errors, again.Errors)
		require.GreaterOrEqual(t, read.provider.CALife, 2*read.provider.Life, "settings that are in force are sound")
	})
}
