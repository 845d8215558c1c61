// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/juju/juju/api/agent/leadership"
	"github.com/juju/juju/api/agent/secretsmanager"
	"github.com/juju/juju/api/agent/uniter"
	coreleadership "github.com/juju/juju/core/leadership"
	"github.com/juju/juju/core/life"
	coresecrets "github.com/juju/juju/core/secrets"
	"github.com/juju/names/v5"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

func secretArg(uri *coresecrets.URI, label, value string) uniter.SecretCreateArg {
	return uniter.SecretCreateArg{
		OwnerTag: names.NewApplicationTag("ca"),
		SecretUpsertArg: uniter.SecretUpsertArg{
			URI: uri, Label: &label,
			Value: coresecrets.NewSecretValue(map[string]string{"key": base64.StdEncoding.EncodeToString([]byte(value))}),
		},
	}
}

func TestWatchersTellWhatChanged(t *testing.T) {
	t.Parallel()
	c := started(t)
	m := c.Model()
	relation := relationID(t, c, "ca", "certificates")
	l := login(t, c, "ca/0")

	relations, err := l.unit.WatchRelations()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"ca:peers", "etcd:certs ca:certificates"}, next(t, relations.Changes()))
	units, err := l.state.WatchRelationUnits(l.in(t, relation).Relation().Tag(), l.tag)
	require.NoError(t, err)
	first := next(t, units.Changes())
	require.Contains(t, first.Changed, "etcd/0")
	require.Contains(t, first.AppChanged, "etcd")
	config, err := l.unit.WatchConfigSettingsHash()
	require.NoError(t, err)
	before := next(t, config.Changes())

	require.NoError(t, m.SetConfig("ca", map[string]any{"days": 60}))
	require.NotEqual(t, before, next(t, config.Changes()))

	require.NoError(t, m.Commit("etcd/0", Commit{Relations: []BagChange{{
		RelationID: relation, Unit: map[string]string{"cert_requests": "{}"}, App: map[string]string{"app": "1"},
	}}}))
	change := next(t, units.Changes())
	require.Greater(t, change.Changed["etcd/0"].Version, first.Changed["etcd/0"].Version)
	require.Greater(t, change.AppChanged["etcd"], first.AppChanged["etcd"])

	_, err = m.AddUnit("etcd")
	require.NoError(t, err)
	require.Contains(t, next(t, units.Changes()).Changed, "etcd/1")
	require.NoError(t, m.RemoveUnit("etcd/1"))
	require.Equal(t, []string{"etcd/1"}, next(t, units.Changes()).Departed)

	require.NoError(t, m.RemoveRelation(relation))
	require.Equal(t, []string{"etcd/0"}, next(t, units.Changes()).Departed)
	require.Equal(t, []string{"etcd:certs ca:certificates"}, next(t, relations.Changes()))

	for _, w := range []interface {
		Kill()
		Wait() error
	}{relations, units, config} {
		w.Kill()
		require.NoError(t, w.Wait())
	}
}

func TestLeadershipIsClaimedDeniedAndReleased(t *testing.T) {
	t.Parallel()
	c := started(t)
	leader, follower := login(t, c, "ca/0"), login(t, c, "ca/1")
	require.NoError(t, leadership.NewClient(leader.conn).ClaimLeadership("ca", "ca/0", time.Minute))
	claim := leadership.NewClient(follower.conn)
	require.ErrorIs(t, claim.ClaimLeadership("ca", "ca/1", time.Minute), coreleadership.ErrClaimDenied)

	released := make(chan error, 1)
	go func() { released <- claim.BlockUntilLeadershipReleased("ca", nil) }()
	c.Model().DropLeader("ca")
	require.NoError(t, next(t, released))
	require.NoError(t, claim.ClaimLeadership("ca", "ca/1", time.Minute))
	require.Equal(t, "ca/1", c.Model().Leader("ca"))
	require.Error(t, claim.ClaimLeadership("ca", "ca/0", time.Minute), "a unit claims for itself only")
	require.ErrorContains(t, claim.ClaimLeadership("ca", "ca/1", time.Second), "invalid duration")
}

func TestSecretsOverTheAPI(t *testing.T) {
	t.Parallel()
	c := started(t)
	leader, follower := login(t, c, "ca/0"), login(t, c, "ca/1")
	manager, reader := secretsmanager.NewClient(leader.conn), secretsmanager.NewClient(follower.conn)
	uris, err := manager.CreateSecretURIs(1)
	require.NoError(t, err)
	b := uniter.NewCommitHookParamsBuilder(leader.tag)
	b.AddSecretCreates([]uniter.SecretCreateArg{secretArg(uris[0], "ca-key", "one")})
	args, _ := b.Build()
	require.NoError(t, leader.unit.CommitHookChanges(args))

	owned, err := manager.SecretMetadata()
	require.NoError(t, err)
	require.Len(t, owned, 1)
	require.Equal(t, "ca-key", owned[0].Label)
	none, err := reader.SecretMetadata()
	require.NoError(t, err)
	require.Empty(t, none, "followers list no secrets of the application")

	require.Equal(t, "one", contentOf(t, reader, uris[0], false))
	watcher, err := reader.WatchConsumedSecretsChanges("ca/1")
	require.NoError(t, err)
	require.Empty(t, next(t, watcher.Changes()))

	b = uniter.NewCommitHookParamsBuilder(leader.tag)
	update := secretArg(uris[0], "ca-key", "two").SecretUpsertArg
	b.AddSecretUpdates([]uniter.SecretUpsertArg{update})
	args, _ = b.Build()
	require.NoError(t, leader.unit.CommitHookChanges(args))
	require.Equal(t, []string{"secret:" + uris[0].ID}, next(t, watcher.Changes()))
	require.Equal(t, "one", contentOf(t, reader, uris[0], false), "a reader keeps its revision until it asks for a newer")
	require.Equal(t, "two", contentOf(t, reader, uris[0], true))
	info, err := reader.GetConsumerSecretsRevisionInfo("ca/1", []string{uris[0].String()})
	require.NoError(t, err)
	require.Equal(t, 2, info[uris[0].String()].Revision)

	b = uniter.NewCommitHookParamsBuilder(follower.tag)
	b.AddSecretUpdates([]uniter.SecretUpsertArg{update})
	args, _ = b.Build()
	require.ErrorContains(t, follower.unit.CommitHookChanges(args), "is not leader")
	stranger := login(t, c, "etcd/0")
	_, _, _, err = secretsmanager.NewClient(stranger.conn).GetContentInfo(uris[0], "", false, false)
	require.ErrorContains(t, err, "permission denied")

	backend, err := manager.GetSecretBackendConfig(nil)
	require.NoError(t, err)
	require.Equal(t, "controller", backend.Configs[backend.ActiveID].BackendType)
	watcher.Kill()
	require.NoError(t, watcher.Wait())
}

func contentOf(t *testing.T, client *secretsmanager.Client, uri *coresecrets.URI, refresh bool) string {
	t.Helper()
	content, _, _, err := client.GetContentInfo(uri, "", refresh, false)
	require.NoError(t, err)
	values, err := content.SecretValue.Values()
	require.NoError(t, err)
	return values["key"]
}

func TestObsoleteRevisionsAreTold(t *testing.T) {
	t.Parallel()
	c := started(t)
	l := login(t, c, "ca/0")
	manager := secretsmanager.NewClient(l.conn)
	watcher, err := manager.WatchObsolete(names.NewApplicationTag("ca"), l.tag)
	require.NoError(t, err)
	require.Empty(t, next(t, watcher.Changes()))
	value := map[string]string{"key": "YQ=="}
	require.NoError(t, c.Model().CreateSecret("ca/0", SecretUpsert{Owner: "ca", Content: value}))
	uri := c.Model().Secrets("ca")[0].URI
	require.NoError(t, c.Model().UpdateSecret("ca/0", SecretUpsert{URI: uri, Content: value}))
	require.Equal(t, []string{uri + "/1"}, next(t, watcher.Changes()))
	_, err = secretsmanager.NewClient(login(t, c, "ca/1").conn).WatchObsolete(names.NewApplicationTag("ca"))
	require.ErrorContains(t, err, "is not leader")
	watcher.Kill()
	require.NoError(t, watcher.Wait())
}

func TestTheRestOfTheWatchersStartAndStop(t *testing.T) {
	t.Parallel()
	c := started(t)
	l := login(t, c, "ca/0")
	manager := secretsmanager.NewClient(l.conn)
	addresses, err := l.unit.WatchAddressesHash()
	require.NoError(t, err)
	require.Len(t, next(t, addresses.Changes()), 1)
	require.NoError(t, c.Model().SetAddresses("ca/0", juju.Addresses{Bind: []string{"192.0.2.1"}, Ingress: []string{"192.0.2.1"}}))
	require.Len(t, next(t, addresses.Changes()), 1)

	rotations, err := manager.WatchSecretsRotationChanges(l.tag)
	require.NoError(t, err)
	next(t, rotations.Changes())
	require.NoError(t, c.Model().CreateSecret("ca/0", SecretUpsert{Owner: "ca/0", Content: map[string]string{"key": "YQ=="}}))
	uri := c.Model().Secrets("ca/0")[0].URI
	deleted, err := manager.WatchDeleted(l.tag)
	require.NoError(t, err)
	require.Empty(t, next(t, deleted.Changes()))
	require.NoError(t, c.Model().DeleteSecret("ca/0", SecretDelete{URI: uri}))
	require.Equal(t, []string{uri, uri + "/1"}, next(t, deleted.Changes()))

	self, err := l.unit.Watch()
	require.NoError(t, err)
	next(t, self.Changes())
	require.NoError(t, c.Model().Attend("ca/0", true))
	require.NoError(t, c.Model().RemoveUnit("ca/0"))
	next(t, self.Changes())
	require.NoError(t, l.unit.Refresh())
	require.Equal(t, life.Dying, l.unit.Life())

	for _, w := range []interface {
		Kill()
		Wait() error
	}{addresses, self, rotations, deleted} {
		w.Kill()
		require.NoError(t, w.Wait())
	}
}

func TestSuspensionIsToldWithoutHooks(t *testing.T) {
	t.Parallel()
	c := started(t)
	m := c.Model()
	require.NoError(t, m.RemoveRelation(relationID(t, c, "ca", "certificates")))
	id, err := m.IntegrateCrossModel("ca:certificates", "etcd:certs")
	require.NoError(t, err)
	l := login(t, c, "ca/0")
	relations, err := l.unit.WatchRelations()
	require.NoError(t, err)
	next(t, relations.Changes())
	rel, err := l.state.RelationById(id)
	require.NoError(t, err)
	for _, suspended := range []bool{true, false} {
		change := m.ResumeRelation
		if suspended {
			change = m.SuspendRelation
		}
		require.NoError(t, change(id))
		require.Equal(t, []string{rel.String()}, next(t, relations.Changes()))
		require.NoError(t, rel.Refresh())
		require.Equal(t, suspended, rel.Suspended())
		require.Equal(t, life.Alive, rel.Life())
		statuses, err := l.unit.RelationsStatus()
		require.NoError(t, err)
		require.Equal(t, suspended, statuses[1].Suspended)
		require.Equal(t, !suspended, statuses[1].InScope)
	}
	relations.Kill()
	require.NoError(t, relations.Wait())
}

func TestTheScheduleOfSecretsIsTold(t *testing.T) {
	t.Parallel()
	c := started(t)
	m := c.Model()
	l := login(t, c, "ca/0")
	manager := secretsmanager.NewClient(l.conn)
	rotations, err := manager.WatchSecretsRotationChanges(names.NewApplicationTag("ca"), l.tag)
	require.NoError(t, err)
	require.Empty(t, next(t, rotations.Changes()))
	expiries, err := manager.WatchSecretRevisionsExpiryChanges(names.NewApplicationTag("ca"))
	require.NoError(t, err)
	require.Empty(t, next(t, expiries.Changes()))

	daily, never := "daily", "never"
	expire := time.Now().Add(time.Hour).Round(time.Second).UTC()
	content := map[string]string{"key": "YQ=="}
	require.NoError(t, m.CreateSecret("ca/0", SecretUpsert{Owner: "ca", Content: content, Rotate: &daily, Expire: &expire}))
	rotation := next(t, rotations.Changes())
	uri := m.Secrets("ca")[0].URI
	require.Len(t, rotation, 1)
	require.Equal(t, uri, "secret:"+rotation[0].URI.ID)
	require.WithinDuration(t, time.Now().AddDate(0, 0, 1), rotation[0].NextTriggerTime, time.Minute)
	expiry := next(t, expiries.Changes())
	require.Len(t, expiry, 1)
	require.Equal(t, 1, expiry[0].Revision)
	require.True(t, expire.Equal(expiry[0].NextTriggerTime))

	require.NoError(t, manager.SecretRotated(uri, 1))
	later := next(t, rotations.Changes())[0].NextTriggerTime
	require.True(t, rotation[0].NextTriggerTime.Add(coresecrets.RotateRetryDelay).Equal(later), "it has no new revision")
	require.NoError(t, m.UpdateSecret("ca/0", SecretUpsert{URI: uri, Rotate: &never}))
	require.True(t, next(t, rotations.Changes())[0].NextTriggerTime.IsZero())
	require.NoError(t, m.DeleteSecret("ca/0", SecretDelete{URI: uri}))
	require.True(t, next(t, expiries.Changes())[0].NextTriggerTime.IsZero())
	require.ErrorContains(t, secretsmanager.NewClient(login(t, c, "etcd/0").conn).SecretRotated(uri, 1), "not found")
	for _, w := range []interface {
		Kill()
		Wait() error
	}{rotations, expiries} {
		w.Kill()
		require.NoError(t, w.Wait())
	}
}
