// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/juju/charm/v12"

	"github.com/signet-charm/signet/internal/juju"
)

// endpoints reads the charm's relation endpoints from the metadata it was deployed with.
func endpoints(charmDir string) ([]juju.Endpoint, error) {
	file, err := os.Open(filepath.Join(charmDir, "metadata.yaml"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the charm's metadata: %w", err)
	}
	defer file.Close()
	meta, err := charm.ReadMeta(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the charm's metadata in %s: %w", file.Name(), err)
	}
	var found []juju.Endpoint
	for role, relations := range map[juju.Role]map[string]charm.Relation{
		juju.Provides: meta.Provides, juju.Requires: meta.Requires, juju.Peers: meta.Peers,
	} {
		for name, relation := range relations {
			found = append(found, juju.Endpoint{Name: name, Interface: relation.Interface, Role: role})
		}
	}
	slices.SortFunc(found, func(a, b juju.Endpoint) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}

// place says where one unit's things are.
type place struct {
	unit      string // "signet/0"
	charmDir  string
	agentConf string
	stateDir  string
}

// placeOf derives a unit's places from its charm's folder. SIGNET_STATE_DIR moves the state, for tests and the sandbox.
func (p *program) placeOf(unit, charmDir string) place {
	state := p.lookup("SIGNET_STATE_DIR")
	if state == "" {
		state = filepath.Join("/var/lib/signet", dashed(unit))
	}
	return place{
		unit:      unit,
		charmDir:  charmDir,
		agentConf: filepath.Join(filepath.Dir(charmDir), "agent.conf"),
		stateDir:  state,
	}
}

// socketName is where a state folder has its agent's socket.
const socketName = "agent.sock"

func (pl place) socket() string { return filepath.Join(pl.stateDir, socketName) }

func (pl place) service() string { return "signet-" + dashed(pl.unit) }

// program is the charm's program, by the name under which Juju and systemd start it.
func (pl place) program() string { return filepath.Join(pl.charmDir, "dispatch") }
