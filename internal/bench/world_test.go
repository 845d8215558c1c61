// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"maps"
	"math/big"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/unit"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is a leader's snapshot, whose turns are played without Juju. What it orders is signed with bare
// x509.CreateCertificate, so that many certificates are there soon: nothing of it is measured.
type world struct {
	t         *testing.T
	snap      juju.Snapshot
	memory    unit.Memory
	folder    *disk.Folder
	authority *ca.Embedded
	key       cert.Key // of all certificates
	serial    atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	folder, err := disk.OpenOn(filepath.Join(t.TempDir(), "state"), (&meter{}).system(false))
	require.NoError(t, err)
	private, err := cert.P256.Generate(rand.Reader)
	require.NoError(t, err)
	key, err := cert.EncodeKey(private)
	require.NoError(t, err)
	return &world{
		t: t, folder: folder, key: key, authority: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()}),
		snap: juju.Snapshot{
			Endpoints: []juju.Endpoint{{Name: "certificates", Interface: dialect.Interface, Role: juju.Provides}},
			Unit:      "signet/0", ModelName: "bench", ModelUUID: "uuid", JujuVersion: "3.6.25", Leader: true, CanSecrets: true,
			Relations: []juju.Relation{{
				ID: 1, Endpoint: juju.Endpoint{Name: "peers", Interface: "signet_peers", Role: juju.Peers}, RemoteApp: "signet",
				OwnUnit: juju.Bag{}, OwnApp: juju.Bag{},
			}},
		},
	}
}

func (w *world) relate(relation juju.Relation) { w.snap.Relations = append(w.snap.Relations, relation) }

// legacyRelation is one with so many units, which each ask for a server and a client certificate.
func legacyRelation(id, units int) juju.Relation {
	relation := emptyRelation(id, fmt.Sprintf("kubernetes-worker-a%d", id))
	for n := range units {
		name := fmt.Sprintf("%s/%d", relation.RemoteApp, n)
		relation.RemoteUnits[name] = legacyBag(name, fmt.Sprintf("10.%d.%d.%d", id%250, n/250, n%250))
	}
	return relation
}

// requestRelation is one with so many units, which each send a request.
func requestRelation(t *testing.T, id, units int) juju.Relation {
	relation := emptyRelation(id, fmt.Sprintf("web-a%d", id))
	for n := range units {
		name := fmt.Sprintf("%s/%d", relation.RemoteApp, n)
		relation.RemoteUnits[name] = requestBag(t, name)
	}
	return relation
}

func emptyRelation(id int, app string) juju.Relation {
	return juju.Relation{
		ID: id, Endpoint: juju.Endpoint{Name: "certificates", Interface: dialect.Interface, Role: juju.Provides}, RemoteApp: app,
		OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteApplication: juju.Bag{}, RemoteUnits: map[string]juju.Bag{},
	}
}

// fill adds relations in which everybody is answered. Each is served by itself, so that the work grows in proportion to them.
func (w *world) fill(relations []juju.Relation) {
	w.t.Helper()
	w.turns(noon) // there is a CA
	whole := w.snap
	whole.Relations = slices.Clone(w.snap.Relations)
	before := w.snap
	written := juju.Bag{}
	for _, relation := range relations {
		w.snap = before
		w.snap.Relations = append(slices.Clone(before.Relations), relation)
		w.turns(noon)
		whole.Relations = append(whole.Relations, w.snap.Relations[1])
		maps.Copy(written, w.snap.Relations[0].OwnApp) // what is remembered of a relation has its number in its key
	}
	whole.Relations[0].OwnApp = written
	w.snap = whole
}

// turns takes turns until nothing changes.
func (w *world) turns(now time.Time) {
	w.t.Helper()
	for {
		var answers []order.Answer
		plan := w.memory.Decide(now, w.snap, nil)
		for ; len(plan.Orders) > 0; plan = w.memory.Decide(now, w.snap, answers) {
			answers = append(answers, w.carryAll(plan.Orders)...)
		}
		if plan.Changes.Empty() {
			return
		}
		w.snap = juju.Apply(w.snap, plan.Changes)
	}
}

func (w *world) carryAll(orders []order.Order) []order.Answer {
	w.t.Helper()
	answers := make([]order.Answer, len(orders))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, wanted := range orders {
		group.Go(func() error {
			var err error
			answers[i], err = w.carry(wanted)
			return err
		})
	}
	require.NoError(w.t, group.Wait())
	return answers
}

func (w *world) carry(wanted order.Order) (order.Answer, error) {
	switch o := wanted.(type) {
	case order.Sign:
		return w.sign(o)
	case order.MakeSecret:
		return w.folder.Carry(w.t.Context(), o), nil
	}
	return w.authority.Carry(w.t.Context(), wanted), nil
}

func (w *world) sign(o order.Sign) (order.Answer, error) {
	parent, err := cert.Parse(o.Signer.Certificate)
	if err != nil {
		return order.Answer{}, err
	}
	by, err := cert.ParseKey(o.Signer.Key)
	if err != nil {
		return order.Answer{}, err
	}
	answer := order.Answer{Order: o.ID(), State: order.Done, Issued: cert.Issued{Issuers: o.Signer.Chain()}}
	var subject crypto.PublicKey // nil: the request's
	if o.Spec.Request == "" {
		private, err := cert.ParseKey(w.key)
		if err != nil {
			return order.Answer{}, err
		}
		subject, answer.Issued.Key = private.Public(), w.key
	}
	serial := new(big.Int).Lsh(big.NewInt(w.serial.Add(1)), 64)
	template, err := cert.Template(o.Spec, parent, subject, serial, o.NotBefore)
	if err != nil {
		return order.Answer{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, template.PublicKey, by)
	answer.Issued.Certificate, answer.Serial = cert.Encode(der), strings.TrimLeft(serial.Text(16), "0")
	return answer, err
}
