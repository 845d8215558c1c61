// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"maps"

	"github.com/signet-charm/signet/internal/juju"
)

// VersionKey is where a unit tells the others of which version it is, in its peer databag: a refresh that stays halfway shows
// by it.
const VersionKey = "version"

// tellVersion publishes of which version this unit is, where there is somebody to know.
func (s *step) tellVersion() {
	version := s.snap.Local[juju.VersionKey]
	if version == "" || s.peers.Endpoint.Role != juju.Peers || len(s.peers.RemoteUnits) == 0 || s.peers.OwnUnit[VersionKey] == version {
		return
	}
	bags := s.decision.Bags[s.peers.ID]
	if bags.Unit == nil {
		bags.Unit = maps.Clone(s.peers.OwnUnit)
	}
	if bags.Unit == nil {
		bags.Unit = juju.Bag{}
	}
	bags.Unit[VersionKey] = version
	s.decision.Bags[s.peers.ID] = bags
}
