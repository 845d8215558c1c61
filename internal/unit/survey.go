// SPDX-License-Identifier: AGPL-3.0-only

package unit

import (
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/cos"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/requirer"
)

// Findings are what there is to see of a unit between two turns.
type Findings struct {
	Authority provider.Overview
	Consumer  requirer.Overview
	Reports   []juju.Status // one for each thing an operator should know, the worst first
	Options   []string      // faults of options, whose last sound values stay in force
}

// Survey tells what Decide sees, and plans nothing: the snapshot is as it stands after a turn, the answers are that turn's.
// It does a turn's work, so it is for when somebody asks.
func Survey(now time.Time, snap juju.Snapshot, answers []order.Answer) Findings {
	config, _ := soundConfig(snap)
	var found Findings
	for _, report := range config.reports {
		found.Options = append(found.Options, report.Message)
	}
	found.Reports = config.reports
	if snap.Has(juju.Provides, dialect.Interface) {
		var reports []juju.Status
		found.Authority, reports = provider.Survey(now, snap, config.provider, answers)
		found.Reports = slices.Concat(found.Reports, reports)
		config.requirer.Idle = found.Authority.Climbs
	}
	consumer, reports := requirer.Survey(now, snap, config.requirer, answers)
	found.Consumer = consumer
	_, untold := cos.Step(snap, config.provider.Listen)
	found.Reports = byWorst(slices.Concat(found.Reports, reports, untold, troubled(snap)))
	return found
}
