// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/audit"
	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/host"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/provider"
)

// leaderAt is a leader with a folder of its own, and a clock.
func leaderAt(tb testing.TB, now func() time.Time) (*recorded, *agent.Unit, *disk.Folder) {
	tb.Helper()
	folder, err := disk.Open(tb.TempDir())
	require.NoError(tb, err)
	session := &recorded{snap: juju.Snapshot{
		Endpoints: []juju.Endpoint{{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides}},
		Unit:      "signet/0", ModelName: "record", ModelUUID: "uuid", JujuVersion: "3.6.25", Leader: true, CanSecrets: true,
		Relations: []juju.Relation{{
			ID: peersID, Endpoint: juju.Endpoint{Name: "peers", Role: juju.Peers}, RemoteApp: "signet",
			OwnUnit: juju.Bag{"ingress-address": "10.0.0.1"}, OwnApp: juju.Bag{},
		}},
	}}
	return session, &agent.Unit{
		Session:   session,
		Authority: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()}),
		Folder:    folder,
		Machine:   host.New(host.Config{Records: folder.Ran()}),
		Now:       now,
		Log:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, folder
}

// relate has units of etcd ask.
func (r *recorded) relate(units map[string]juju.Bag) {
	r.snap.Relations = append(r.snap.Relations[:1:1], juju.Relation{
		ID: 7, Endpoint: juju.Endpoint{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides}, RemoteApp: "etcd",
		OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteApplication: juju.Bag{}, RemoteUnits: units,
	})
}

// clock is a leader with the time in the test's hand.
type clock struct {
	t       *testing.T
	now     time.Time
	session *recorded
	unit    *agent.Unit
	folder  *disk.Folder
}

func newClock(t *testing.T) *clock {
	c := &clock{t: t, now: time.Now().UTC().Truncate(time.Hour)} // the CA's entries have the true time
	c.session, c.unit, c.folder = leaderAt(t, func() time.Time { return c.now })
	return c
}

func (c *clock) turn() agent.Outcome {
	c.t.Helper()
	outcome, err := c.unit.Turn(c.t.Context())
	require.NoError(c.t, err)
	return outcome
}

// entries are those of some events.
func (c *clock) entries(events ...ledger.Event) []ledger.Entry {
	c.t.Helper()
	var found []ledger.Entry
	require.NoError(c.t, c.folder.View(func(l *ledger.Ledger) {
		for _, entry := range l.Entries() {
			for _, event := range events {
				if entry.Event == event {
					found = append(found, entry)
				}
			}
		}
	}))
	return found
}

func TestARefusalIsRecordedOnce(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	c.session.relate(map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "intermediate_cert_requests": `{"CA": {"sans": []}}`}})
	for range 3 {
		c.turn()
		c.now = c.now.Add(time.Minute)
	}
	denied := c.entries(ledger.Denied)
	require.Len(t, denied, 1)
	require.Equal(t, 7, denied[0].Relation)
	require.Equal(t, "etcd", denied[0].App)
	require.Equal(t, "etcd/0", denied[0].Unit)
	require.Equal(t, `intermediate certificate "CA"`, denied[0].Item)
	require.Equal(t, "ca-not-allowed", denied[0].Code)
	require.NotEmpty(t, denied[0].Reason)

	// Allowed, then refused again to the next one: that is two more decisions. Who has a certificate keeps it.
	c.session.snap.Config = map[string]any{"intermediate-applications": "etcd"}
	c.turn()
	issued := c.entries(ledger.Issued)
	require.Equal(t, "etcd/0", issued[len(issued)-1].Unit)
	c.session.snap.Config = nil
	c.session.snap.Relations[1].RemoteUnits["etcd/1"] = juju.Bag{"unit_name": "etcd_1", "intermediate_cert_requests": `{"CA": {"sans": []}}`}
	for range 2 {
		c.turn()
	}
	require.Len(t, c.entries(ledger.Denied), 2)

	// The next leader has another record, and what it decides is in it once.
	next := newClock(t)
	next.session.snap = c.session.snap
	next.session.snap.Unit = "signet/1"
	for range 2 {
		next.turn()
	}
	require.Len(t, next.entries(ledger.Denied), 1)
}

// What is asked for again and again under other names fills neither the disk nor the snapshot.
func TestNobodyFillsTheRecord(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	hour := func(units int) {
		for n := range 30 {
			bags := map[string]juju.Bag{}
			for u := range units {
				bags[fmt.Sprintf("etcd/%d", u)] = juju.Bag{
					"unit_name": fmt.Sprintf("etcd_%d", u), "intermediate_cert_requests": fmt.Sprintf(`{"%s %d": {"sans": []}}`, c.now.Format("15"), n),
				}
			}
			c.session.relate(bags)
			c.turn()
			c.now = c.now.Add(time.Minute)
		}
	}
	hour(1)
	denied := c.entries(ledger.Denied)
	require.Len(t, denied, ledger.MaxDenials+1)
	require.Contains(t, denied[ledger.MaxDenials].Reason, "more than 20 refusals within the hour")
	require.Equal(t, "etcd/0", denied[ledger.MaxDenials].Unit)
	c.now = c.now.Add(31 * time.Minute)
	hour(1)
	require.Len(t, c.entries(ledger.Denied), 2*(ledger.MaxDenials+1), "the next hour is another one")
	c.now = c.now.Add(31 * time.Minute)
	hour(15)
	require.Len(t, c.entries(ledger.Denied), 2*(ledger.MaxDenials+1)+ledger.MaxRelationDenials+1, "nor do many units together")
}

func TestTheRecordIsSignedOnceADay(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	c.turn()
	outcome := c.turn()
	require.False(t, outcome.Wake.After(c.now.Add(26*time.Hour)), "wake is %s", outcome.Wake)
	require.Empty(t, c.entries(ledger.Checkpoint))

	c.now = c.now.Add(26 * time.Hour)
	c.session.fail = errors.New("the controller went away")
	_, err := c.unit.Turn(t.Context())
	require.ErrorContains(t, err, "went away")
	require.NotContains(t, c.session.snap.Relations[0].OwnUnit, "audit-checkpoint")
	c.session.fail = nil
	c.turn()
	signed := c.entries(ledger.Checkpoint)
	require.Len(t, signed, 1, "what a crash cut off is not done twice")
	require.Equal(t, signed[0].Detail, c.session.snap.Relations[0].OwnUnit["audit-checkpoint"])
	require.Equal(t, "10.0.0.1", c.session.snap.Relations[0].OwnUnit["ingress-address"], "Juju's own stays")
	checkpoint, err := audit.Parse(signed[0].Detail)
	require.NoError(t, err)
	require.Equal(t, "signet/0", checkpoint.Unit)
	require.Equal(t, "uuid", checkpoint.Model)

	// Nothing more is recorded, so there is nothing to sign.
	commits := c.session.commits
	for range 3 {
		c.now = c.now.Add(26 * time.Hour)
		c.turn()
	}
	require.Len(t, c.entries(ledger.Checkpoint), 1)
	require.Equal(t, commits, c.session.commits)

	// Another entry, another day.
	c.session.relate(map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.9"}})
	c.turn()
	c.now = c.now.Add(26 * time.Hour)
	c.turn()
	require.Len(t, c.entries(ledger.Checkpoint), 2)
	found, err := disk.VerifyJournal(disk.JournalPath(c.folder.Root()), disk.Evidence{})
	require.NoError(t, err)
	require.Empty(t, found.Problems)
	require.Equal(t, 2, found.Checkpoints)
	require.Equal(t, found.Lines-1, found.Covered)
}

func TestTheLifeOfACAIsRecorded(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	c.turn()
	c.session.relate(map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.9"}})
	c.turn()
	for _, step := range []string{"start", "advance"} {
		_, err := c.unit.Act(t.Context(), juju.Action{ID: "7", Name: "rotate-ca", Params: map[string]any{"step": step}})
		require.NoError(t, err)
		c.turn()
	}
	var roles []string
	for _, entry := range c.entries(ledger.Authority) {
		roles = append(roles, fmt.Sprintf("%d: %s > %s", entry.Generation, entry.Before, entry.After))
	}
	require.Equal(t, []string{"1:  > signing", "2:  > trusted", "1: signing > retiring", "2: trusted > signing"}, roles)
	actions := c.entries(ledger.Action)
	require.Len(t, actions, 2)
	require.Equal(t, "7", actions[1].Order)
	require.Equal(t, "rotate-ca", actions[1].Item)
	require.Equal(t, "step=advance", actions[1].Detail)
	require.Equal(t, "done", actions[1].After)

	// What was decided and could not be committed came to nothing, and the record says so.
	c.session.fail = errors.New("the controller went away")
	_, err := c.unit.Act(t.Context(), juju.Action{Name: "rotate-ca", Params: map[string]any{"step": "pause"}})
	require.Error(t, err)
	actions = c.entries(ledger.Action)
	require.Len(t, actions, 4)
	require.Equal(t, "failed", actions[3].After)
	require.Contains(t, actions[3].Reason, "went away")
}

func TestWhatIsPublishedNoMoreIsRecorded(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	both := map[string]juju.Bag{
		"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"}, "etcd/1": {"unit_name": "etcd_1", "common_name": "10.0.0.2"},
	}
	c.session.relate(both)
	c.turn()
	c.session.snap.Relations[1].RemoteUnits = map[string]juju.Bag{"etcd/0": both["etcd/0"]}
	for range 2 {
		c.turn()
	}
	withdrawn := c.entries(ledger.Withdrawn)
	require.Len(t, withdrawn, 1)
	require.Equal(t, "CN=10.0.0.2", withdrawn[0].Subject)
	require.Equal(t, "etcd_1.server.cert", withdrawn[0].Item)
	require.Equal(t, "etcd", withdrawn[0].App)

	// What is replaced is not withdrawn: its successor says so.
	c.session.snap.Relations[1].RemoteUnits["etcd/0"] = juju.Bag{"unit_name": "etcd_0", "common_name": "10.0.0.1", "sans": `["etcd.example.com"]`}
	c.turn()
	require.Len(t, c.entries(ledger.Withdrawn), 1)
	issued := c.entries(ledger.Issued)
	require.NotEmpty(t, issued[len(issued)-1].Before)
}

// Whatever an operator gives an action, what could be a secret is not recorded.
func TestActionsAreRecordedWithoutSecrets(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, params := range map[string]map[string]any{
		"a parameter that nobody knows":   {"password": "hunter2"},
		"a passphrase in place of a path": {"passphrase-path": "hunter2"},
		"a certificate with its key":      {"pem": "hunter2 -----BEGIN PRIVATE KEY-----"},
		"a key as a name":                 {"name": "-----BEGIN EC PRIVATE KEY-----hunter2"},
		"an identity as a name":           {"name": "AGE-SECRET-KEY-1hunter2"},
		"a number":                        {"recipients": "hunter2"},
	} {
		entry := provider.ActionEntry(now, juju.Action{Name: "backup", Params: params}, juju.Result{Failure: "no"})
		require.NotContains(t, fmt.Sprint(entry), "hunter2", name)
		require.Contains(t, entry.Detail, "bytes)", name)
		require.Equal(t, "failed", entry.After)
		require.Equal(t, "no", entry.Reason)
	}
	entry := provider.ActionEntry(now, juju.Action{Name: "backup", Params: map[string]any{
		"unit": "etcd/0", "relation": int64(3), "identity-path": "/root/key", "reason": "", "dry-run": true,
	}}, juju.Result{})
	require.Equal(t, "dry-run=true identity-path=/root/key relation=3 unit=etcd/0", entry.Detail)
}

// What is recorded is told once, from the first turn on, also that of a turn that failed.
func TestWhatIsRecordedIsTold(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	c.turn()
	var told []ledger.Entry
	c.unit.Tell = func(appID string, entries []ledger.Entry) {
		require.Equal(t, "uuid-signet/0", appID)
		told = append(told, entries...)
	}
	c.turn()
	require.Empty(t, told, "what stood there was told before")
	c.session.relate(map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"}})
	c.session.fail = errors.New("the controller went away")
	_, err := c.unit.Turn(t.Context())
	require.Error(t, err)
	c.session.fail = nil
	require.Len(t, only(told, ledger.Issued), 2)
	for range 2 {
		c.turn()
	}
	require.Equal(t, c.entries(ledger.Issued)[1:], only(told, ledger.Issued), "once")
}

func only(entries []ledger.Entry, event ledger.Event) (found []ledger.Entry) {
	for _, entry := range entries {
		if entry.Event == event {
			found = append(found, entry)
		}
	}
	return found
}

// Many who ask for what can never be signed take one turn's share, not that of each: who waits behind them is next.
func TestWhatCannotBeSignedTakesOneTurnOnly(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	c.unit.Authority = ca.New(ca.Config{Store: c.folder.Secrets(), Journal: c.folder.Journal(), Now: func() time.Time { return c.now }})
	c.session.snap.Config = map[string]any{"policy-rules": "- {applications: [flood], ca: {path-length: 2}}"} // longer than the CA's own allows
	flood := map[string]juju.Bag{}
	for n := range provider.MaxSignatures {
		flood[fmt.Sprintf("flood/%d", n)] = juju.Bag{"unit_name": fmt.Sprintf("flood_%d", n), "intermediate_cert_requests": `{"CA": {"sans": []}}`}
	}
	c.session.relate(map[string]juju.Bag{"etcd/0": {"unit_name": "etcd_0", "common_name": "10.0.0.1"}})
	honest := c.session.snap.Relations[1]
	honest.ID = 8
	c.session.relate(flood)
	c.session.snap.Relations[1].RemoteApp = "flood"
	c.session.snap.Relations = append(c.session.snap.Relations, honest)
	served := func() bool { return c.session.snap.Relations[2].OwnUnit["etcd_0.server.cert"] != "" }

	share := c.turn()
	require.Equal(t, c.now, share.Wake, "the rest follows at once")
	require.True(t, share.Unfinished)
	require.False(t, served(), "the flood is as long as a share")
	refused := c.entries(ledger.Refused)
	require.Len(t, refused, provider.MaxSignatures)
	require.Equal(t, "bad-order", refused[0].Code)
	require.Equal(t, "flood", refused[0].App)

	outcome := c.turn()
	require.True(t, served())
	require.Contains(t, outcome.Status.Message, "1000 refused: flood/0: ", "the denials are shown meanwhile")
	require.Contains(t, outcome.Status.Message, "(unsignable)")
	require.True(t, outcome.Wake.After(c.now), "nothing is left to do")
	require.False(t, outcome.Unfinished)
	require.Len(t, c.entries(ledger.Refused), provider.MaxSignatures, "nothing was ordered again")

	// It is tried again after an hour, and when what is asked for, or what may be had, has become another.
	few := map[string]juju.Bag{"flood/0": {"unit_name": "flood_0", "intermediate_cert_requests": `{"Another CA": {"sans": []}}`}, "flood/1": flood["flood/1"]}
	c.session.snap.Relations[1].RemoteUnits = few
	c.turn()
	require.Len(t, c.entries(ledger.Refused), provider.MaxSignatures+1)
	c.now = c.now.Add(time.Hour)
	c.turn()
	require.Len(t, c.entries(ledger.Refused), provider.MaxSignatures+3)
	c.session.snap.Config = map[string]any{"policy-rules": "- {applications: [flood], ca: {path-length: 1}}"}
	c.turn()
	require.NotEmpty(t, c.session.snap.Relations[1].OwnUnit["flood_1.processed_intermediate_requests"])
}
