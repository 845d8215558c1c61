// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"crypto/x509"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// Overview is what there is to see of the consumer's side. No secret is in it.
type Overview struct {
	Wants []Wanted
}

// Wanted is one certificate that this unit wants, and what it was given.
type Wanted struct {
	Name     string         // of its files: "server", "client", …
	Want     dialect.Want   // its request is empty while there is none
	Relation *juju.Relation // with who gave the best answer; else the newest with who is asked
	Dialect  dialect.Dialect
	Leaf     *x509.Certificate // nil while there is no answer that can be used
	Renew    time.Time         // when it is due; zero for never
	Denial   *dialect.Denial   // why a provider refuses it; nil where none does
	Trouble  string            // why what a provider offers cannot be used
}

// Survey tells what Step sees, and gives no orders. The snapshot is as it stands after a turn, the answers are that
// turn's. It does a turn's work, so it is for when somebody asks.
func Survey(now time.Time, snap juju.Snapshot, settings Settings, answers []order.Answer) (Overview, []juju.Status) {
	s := newStep(now, snap, settings, answers)
	s.decide()
	var found Overview
	var newest *juju.Relation
	for _, relation := range snap.On(juju.Requires, dialect.Interface) {
		if !relation.Broken {
			newest = &relation
		}
	}
	for _, i := range s.wanted {
		one := Wanted{Name: i.name, Want: i.want, Relation: newest, Denial: i.denial, Trouble: i.trouble}
		if i.best != nil {
			one.Relation, one.Dialect, one.Leaf = &i.best.relation, i.best.offer.Dialect, i.best.leaf
			one.Renew = cert.RenewAt(i.best.leaf) // in the legacy dialect the provider does it
		}
		found.Wants = append(found.Wants, one)
	}
	return found, s.decision.Reports
}
