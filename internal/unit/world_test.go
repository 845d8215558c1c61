// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/ca/vault"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/host"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/unit"
)

// world is what one unit sees, and a disk and an authority to carry its orders out.
type world struct {
	t         require.TestingT
	snap      juju.Snapshot
	memory    unit.Memory // of all turns before
	folder    *disk.Folder
	authority *ca.Embedded
	vault     *vault.Carrier // carries what is for Vault; nil for nobody
	machine   *host.Machine
	root      string   // stands for the machine's root folder
	ran       []string // the machine's programs that ran, since the test looked
	broken    error    // what the disk says to whoever makes a file
	failing   string   // the service that systemd cannot start now
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
	root := filepath.Join(dir, "machine")
	w := &world{t: t, root: root}
	folder, err := disk.OpenOn(filepath.Join(dir, "state"), func(op disk.Op) error {
		switch {
		case op.Kind == disk.Sync:
			return nil // no crash here
		case op.Kind == disk.Create && w.broken != nil:
			return &fs.PathError{Op: "open", Path: op.Path, Err: w.broken}
		}
		return disk.Perform(op)
	}, disk.OnMachine(root))
	require.NoError(t, err)
	*w = world{
		t:         t,
		root:      root,
		folder:    folder,
		authority: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()}),
		snap: juju.Snapshot{
			Endpoints: []juju.Endpoint{
				{Name: "certificates", Interface: dialect.Interface, Role: juju.Provides},
				{Name: "upstream", Interface: dialect.Interface, Role: juju.Requires},
			},
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
	w.machine = host.New(host.Config{Records: folder.Ran(), Root: root, Run: w.run})
	return w
}

// run plays the machine's programs: systemd knows all services but "absent.service".
func (w *world) run(_ context.Context, program string, args ...string) (string, error) {
	if program == "systemctl" && args[0] == "show" {
		if strings.HasPrefix(args[len(args)-1], "absent") || strings.HasPrefix(args[len(args)-1], "snap.absent") {
			return "not-found\n", nil
		}
		return "loaded\n", nil
	}
	if program == "update-ca-certificates" {
		args = nil // paths of this test
	}
	w.ran = append(w.ran, strings.Join(append([]string{program}, args...), " "))
	if w.failing != "" && strings.Contains(strings.Join(args, " "), w.failing) {
		return "Job for " + w.failing + " failed.", errors.New("exit status 1")
	}
	return "", nil
}

// programs gives what ran since the last time.
func (w *world) programs() []string {
	ran := w.ran
	w.ran = nil
	return ran
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
		return w.signatory().Carry(context.Background(), o)
	case order.CreateAuthority, order.RequestAuthority, order.FetchKey, order.KeepKey, order.CrossSign, order.SignCRL,
		order.Consult, order.InstallAuthority, order.Revoke, order.Unwrap:
		return w.signatory().Carry(context.Background(), o)
	case order.RefreshTrust, order.Reload:
		return w.machine.Carry(context.Background(), o)
	default:
		return w.folder.Carry(context.Background(), o)
	}
}

// signatory carries the orders of CAs.
func (w *world) signatory() agent.Carrier {
	if w.vault != nil {
		return w.vault
	}
	return w.authority
}

// survey shows the unit its own disk.
func (w *world) survey() {
	onDisk, err := w.folder.Survey()
	require.NoError(w.t, err)
	keys, err := w.authority.Authorities()
	require.NoError(w.t, err)
	machine, err := w.machine.Survey()
	require.NoError(w.t, err)
	w.snap.Local = onDisk
	maps.Copy(w.snap.Local, keys)
	maps.Copy(w.snap.Local, machine)
	w.snap.Local["hostname"], w.snap.Local["fqdn"] = "juju-1", "juju-1.lxd"
}
