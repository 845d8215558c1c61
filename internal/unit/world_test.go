// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"context"
	"maps"
	"os"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// world is what one unit sees, and a disk and an authority to carry its orders out.
type world struct {
	t         require.TestingT
	snap      juju.Snapshot
	folder    *disk.Folder
	authority *ca.Embedded
	refuse    func(order.Sign) bool
}

type cleaner interface {
	require.TestingT
	Cleanup(func())
}

// newWorld is a leader with a peer relation and nothing else.
func newWorld(t cleaner) *world {
	dir, err := os.MkdirTemp("", "signet-unit-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	folder, err := disk.OpenOn(dir, func(op disk.Op) error {
		if op.Kind == disk.Sync {
			return nil // no crash here
		}
		return disk.Perform(op)
	})
	require.NoError(t, err)
	return &world{
		t:         t,
		folder:    folder,
		authority: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()}),
		snap: juju.Snapshot{
			Unit: "signet/0", ModelName: "test", ModelUUID: "uuid", JujuVersion: "3.6.25", Leader: true, CanSecrets: true,
			Relations: []juju.Relation{{
				ID: 1, Endpoint: juju.Endpoint{Name: "peers", Interface: "signet_peers", Role: juju.Peers}, RemoteApp: "signet",
				OwnUnit: juju.Bag{}, OwnApp: juju.Bag{},
			}},
			Addresses: map[string]juju.Addresses{
				"upstream": {Bind: []string{"10.1.0.1"}, Ingress: []string{"10.1.0.1"}},
			},
		},
	}
}

// legacyRelation is a relation on the endpoint certificates with an application etcd.
func legacyRelation(id int, units map[string]juju.Bag) juju.Relation {
	return juju.Relation{
		ID:        id,
		Endpoint:  juju.Endpoint{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides},
		RemoteApp: "etcd", RemoteUnits: units,
		OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteApplication: juju.Bag{},
	}
}

func (w *world) peers() juju.Relation {
	peers, _ := w.snap.Peers()
	return peers
}

func (w *world) carry(wanted order.Order) order.Answer {
	switch o := wanted.(type) {
	case order.Sign:
		if w.refuse != nil && w.refuse(o) {
			return order.Answer{Order: o.ID(), State: order.Failed, Failure: &order.Failure{Code: "test", Message: "refused by the test"}}
		}
		return w.authority.Carry(context.Background(), o)
	case order.CreateAuthority, order.FetchKey:
		return w.authority.Carry(context.Background(), o)
	default:
		return w.folder.Carry(context.Background(), o)
	}
}

// survey shows the unit its own disk.
func (w *world) survey() {
	onDisk, err := w.folder.Survey()
	require.NoError(w.t, err)
	keys, err := w.authority.Authorities()
	require.NoError(w.t, err)
	w.snap.Local = onDisk
	maps.Copy(w.snap.Local, keys)
}
