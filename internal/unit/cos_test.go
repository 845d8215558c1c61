// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/unit"
)

func TestTheObservabilityStackIsToldWhereMetricsAre(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	cosAgent := juju.Endpoint{Name: "cos-agent", Interface: "cos_agent", Role: juju.Provides}
	snap := juju.Snapshot{
		Unit: "signet/0", ModelName: "prod", ModelUUID: "uuid", Leader: true, CanSecrets: true,
		Endpoints: []juju.Endpoint{{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides}, cosAgent},
		Config:    map[string]any{"authority": "none", "listen": "0.0.0.0:8880"},
		Relations: []juju.Relation{{ID: 7, Endpoint: cosAgent, RemoteApp: "opentelemetry-collector", OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}}},
	}
	plan := unit.Decide(now, snap, nil)
	require.Equal(t, "0.0.0.0:8880", plan.Serve.Listen, "also where this application is no CA")
	after := juju.Apply(snap, plan.Changes)
	require.Contains(t, after.Relations[0].OwnUnit["config"], "localhost:8880")
	require.True(t, unit.Decide(now, after, nil).Changes.Empty())

	delete(snap.Config, "listen")
	plan = unit.Decide(now, snap, nil)
	require.NotNil(t, plan.Changes.Status)
	require.Contains(t, plan.Changes.Status.Message, "opentelemetry-collector gets no metrics: set listen")
	var reports []string
	for _, report := range unit.Survey(now, snap, nil).Reports {
		reports = append(reports, report.Message)
	}
	require.Contains(t, reports, "opentelemetry-collector gets no metrics: set listen, for example to 0.0.0.0:8880", "who looks sees what Decide said")
}
