// SPDX-License-Identifier: AGPL-3.0-only

package view

import (
	"maps"
	"slices"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/provider"
)

// Settings are what of the model and of the options tells how a unit should be; only the agent knows them.
type Settings struct {
	Authority  string   `json:"authority,omitempty"`
	Policy     string   `json:"policy,omitempty"`
	ReportOnly bool     `json:"policy-report-only,omitempty"`
	Legacy     bool     `json:"legacy-dialect,omitempty"`
	Listen     string   `json:"listen,omitempty"`
	Secrets    bool     `json:"secrets,omitempty"` // the model has Juju secrets
	Peers      []string `json:"peers,omitempty"`   // the application's other units

	Versions map[string]string `json:"versions,omitempty"` // of signet, by other units, as far as they say so
}

func settingsOf(snap juju.Snapshot) Settings {
	config := &juju.Config{Values: snap.Config}
	found := Settings{
		Authority: config.Text("authority", ""), Policy: config.Text("policy", ""), ReportOnly: config.Flag("policy-report-only", false),
		Legacy: config.Flag("legacy-dialect", true), Listen: config.Text("listen", ""), Secrets: snap.CanSecrets,
	}
	if peers, related := snap.Peers(); related {
		found.Peers = slices.Sorted(maps.Keys(peers.RemoteUnits))
		found.Versions = map[string]string{}
		for unit, bag := range peers.RemoteUnits {
			if version := bag[provider.VersionKey]; version != "" {
				found.Versions[unit] = version
			}
		}
	}
	return found
}
