// SPDX-License-Identifier: AGPL-3.0-only

package rehearsal_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/unit/rehearsal"
)

const day = 24 * time.Hour

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// leader is a unit that leads, to which etcd is related.
func leader(config map[string]any) juju.Snapshot {
	provides := juju.Endpoint{Name: "certificates", Interface: dialect.Interface, Role: juju.Provides}
	return juju.Snapshot{
		Endpoints: []juju.Endpoint{provides, {Name: "upstream", Interface: dialect.Interface, Role: juju.Requires}},
		Unit:      "signet/0", ModelName: "test", ModelUUID: "uuid", JujuVersion: "3.6.25", Leader: true, CanSecrets: true, Config: config,
		Local: map[string]string{provider.UncoveredKey: noon().Format(time.RFC3339Nano)},
		Relations: []juju.Relation{
			{ID: 1, Endpoint: juju.Endpoint{Name: "peers", Interface: "signet_peers", Role: juju.Peers}, RemoteApp: "signet", OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}},
			{ID: 2, Endpoint: provides, RemoteApp: "etcd", OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteUnits: map[string]juju.Bag{
				"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"}, "etcd/1": {"unit_name": "etcd_1", "common_name": "10.0.0.2"},
			}},
		},
	}
}

func always() bool { return true }

// of gives the events of a kind.
func of(found rehearsal.Outcome, what rehearsal.What) []rehearsal.Event {
	var list []rehearsal.Event
	for _, one := range found.Events {
		if one.What == what {
			list = append(list, one)
		}
	}
	return list
}

func TestTheDaysToCome(t *testing.T) {
	t.Parallel()
	snap := leader(map[string]any{"certificate-validity": "12d", "ca-validity": "80d"})
	before, err := json.Marshal(snap)
	require.NoError(t, err)
	found := rehearsal.Play(snap, noon(), noon().Add(85*day), ca.NewStandIn().Carry, always)
	after, err := json.Marshal(snap)
	require.NoError(t, err)
	require.JSONEq(t, string(before), string(after), "what is played on stays as it was")
	require.Equal(t, noon().Add(85*day), found.Until)
	require.Less(t, found.Turns, 300, "no turn is wanted again and again")

	made := of(found, rehearsal.MakeCA)
	require.Len(t, made, 2)
	require.Equal(t, noon(), made[0].At)
	require.True(t, made[1].At.Before(noon().Add(80*day-24*day+day)), "the next CA is there while certificates can still live their life")
	issued := of(found, rehearsal.Issue)
	require.Len(t, issued, 3, "two servers and the shared client")
	renewed := map[string][]rehearsal.Event{}
	for _, one := range of(found, rehearsal.Renewal) {
		renewed[one.Unit+" "+one.Name] = append(renewed[one.Unit+" "+one.Name], one)
	}
	require.Len(t, renewed, 3)
	for who, list := range renewed {
		ends := noon().Add(12 * day)
		for _, one := range list {
			require.True(t, one.At.Before(ends), "%s is renewed while its certificate is good", who)
			ends = one.NotAfter
		}
		require.True(t, ends.After(found.Until), who)
		require.Equal(t, 2, list[len(list)-1].Generation, "by the next CA")
	}
	var roles []string
	for _, one := range of(found, rehearsal.Role) {
		roles = append(roles, one.Name+" "+one.Detail)
	}
	require.Equal(t, []string{"CN=test signet CA G1 signing", "CN=test signet CA G2 trusted", "CN=test signet CA G1 retiring", "CN=test signet CA G2 signing", "CN=test signet CA G1 withdrawn"}, roles)
	require.Empty(t, of(found, rehearsal.Expiry))
	for i := 1; i < len(found.Events); i++ {
		require.False(t, found.Events[i].At.Before(found.Events[i-1].At), "in the order of time")
	}
}

// A model without secrets has the next CA's key on the unit's disk, where the rehearsal finds it again.
func TestTheDaysToComeWithoutSecrets(t *testing.T) {
	t.Parallel()
	snap := leader(map[string]any{"certificate-validity": "12d", "ca-validity": "80d"})
	snap.CanSecrets = false
	found := rehearsal.Play(snap, noon(), noon().Add(85*day), ca.NewStandIn().Carry, always)
	require.Len(t, of(found, rehearsal.MakeCA), 2)
	for _, one := range of(found, rehearsal.Status) {
		require.NotContains(t, one.Detail, "lost")
		require.NotContains(t, one.Detail, "another unit")
	}
}

func TestARehearsalCanBeStopped(t *testing.T) {
	t.Parallel()
	turns := 0
	found := rehearsal.Play(leader(nil), noon(), noon().Add(3000*day), ca.NewStandIn().Carry, func() bool { turns++; return turns <= 3 })
	require.Equal(t, 3, found.Turns)
	require.True(t, found.Until.Before(noon().Add(3000*day)))
}

// Orders that nobody carries out end nothing.
func TestARehearsalEndsWhereNothingCanBeDone(t *testing.T) {
	t.Parallel()
	refuse := func(_ time.Time, o order.Order) order.Answer {
		return order.Answer{Order: o.ID(), State: order.Failed, Failure: &order.Failure{Code: "test", Message: "refused"}}
	}
	found := rehearsal.Play(leader(nil), noon(), noon().Add(day), refuse, always)
	require.Empty(t, of(found, rehearsal.MakeCA))
	require.NotEmpty(t, of(found, rehearsal.Status))
	require.LessOrEqual(t, found.Turns, rehearsal.MaxTurns)
}
