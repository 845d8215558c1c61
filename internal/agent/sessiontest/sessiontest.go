// SPDX-License-Identifier: AGPL-3.0-only

// Package sessiontest is the contract that every agent.Session keeps, as tests against an embedded Juju. A Session's
// own test calls Run with a function that opens one:
//
//	func TestSession(t *testing.T) {
//		sessiontest.Run(t, func(t *testing.T, world *sessiontest.World, unit string) agent.Session { … })
//	}
//
// Where to look next: snapshot.go, commit.go, secrets.go, given.go and remembered.go hold the cases, each a sentence of the contract; packages hooktool and
// controller pass them.
package sessiontest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

// The cast: application signet, whose units the Sessions are for, and web, which requires certificates of it.
const (
	Leader   = "signet/0" // leads signet
	Follower = "signet/1"
	Web      = "web/0" // leads web
	Web2     = "web/1"
)

// Endpoints are signet's.
func Endpoints() []juju.Endpoint {
	return []juju.Endpoint{
		{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides},
		{Name: "upstream", Interface: "tls-certificates", Role: juju.Requires},
		{Name: "peers", Interface: "signet-peers", Role: juju.Peers},
	}
}

// Opener opens a Session for a unit of the world. It registers with t what is to be closed. The Session stays usable
// until then, whatever happens in the world; where it can see the model only from within a hook, it has one run for each
// call, after those that are due. Commit of such a Session returns the hook's error.
type Opener func(t *testing.T, world *World, unit string) agent.Session

// World is a model with the cast deployed and web integrated with signet.
type World struct {
	Juju     *sandbox.Controller
	Model    *sandbox.Model
	Relation int // signet:certificates with web:tls
	Peers    int // signet's peer relation

	t    *testing.T
	open Opener
}

// Run runs the contract on the Sessions that open opens.
func Run(t *testing.T, open Opener) {
	t.Helper()
	RunOn(t, sandbox.Options{}, open)
	t.Run("a model of Juju 2.9 has no secrets", func(t *testing.T) {
		t.Parallel()
		withoutSecrets(newWorld(t, open, sandbox.Options{NoSecrets: true, JujuVersion: "2.9.51"}))
	})
	t.Run("an option that names a secret on Juju 2.9 is answered, not refused", func(t *testing.T) {
		t.Parallel()
		givenWithoutSecrets(newWorld(t, open, sandbox.Options{NoSecrets: true, JujuVersion: "2.9.51"}))
	})
}

// RunOn runs the contract on a Juju of another kind, which must have secrets.
func RunOn(t *testing.T, options sandbox.Options, open Opener) {
	t.Helper()
	for sentence, test := range cases() {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			test(newWorld(t, open, options))
		})
	}
}

// cases are the sentences of the contract.
func cases() map[string]func(*World) {
	return map[string]func(*World){
		"a snapshot tells who and where the unit is":                        identity,
		"config values have Juju's types, and unset options are absent":     config,
		"the leader sees all databags of a relation":                        leaderBags,
		"another unit does not see its application's databag":               followerBags,
		"the databag of a peer relation is seen by every unit":              peerBags,
		"remote units are those in scope":                                   remoteUnits,
		"units of another model go by their remote names":                   crossModel,
		"a relation that ends is broken, then gone":                         broken,
		"what another charm left in leader settings is shown to the leader": leftovers,
		"leadership follows the model":                                      leadership,
		"nobody leads between the end of one leader and the next":           leaderless,
		"a commit writes secrets, databags, state and status":               commitAll,
		"a key with an empty value is removed":                              removal,
		"what was committed reads back the same, whatever it is made of":    oddValues,
		"values of a megabyte pass":                                         largeValues,
		"empty changes commit nothing":                                      emptyChanges,
		"a world in force gives nothing more to commit":                     idempotent,
		"a unit that lost leadership since its snapshot commits nothing":    lostBefore,
		"a unit that loses leadership while committing changes no databags": lostDuring,
		"a refused part undoes the whole commit":                            allOrNothing,
		"a unit that does not lead writes its own databag and state":        followerCommit,
		"text that is not UTF-8 is refused before anything is written":      notText,
		"an application's secret is read by every unit of it":               secretShared,
		"a secret is given new content":                                     secretUpdate,
		"a secret to be created whose label exists is that secret":          secretExists,
		"a secret of another content is another leader's, and stays":        secretOfAnotherLeader,
		"a unit's own secret is its own":                                    secretOfUnit,
		"the keys that publish secrets are not shown and not removed":       secretKeysHidden,
		"a new leader takes over the application's secrets":                 secretTakeover,
		"errors never show a secret's content":                              secretNotInErrors,
		"a secret of the operator's that an option names is read":           givenRead,
		"what the operator updates is in the next snapshot":                 givenUpdated,
		"a secret that is not granted is read once it is":                   givenGranted,
		"a secret that is revoked or removed cannot be read any more":       givenTaken,
		"a secret that cannot be read harms nothing else":                   givenHarmsNothing,
		"a databag that changed twice is shown as it is":                    changedTwice,
		"a unit that left and came back has the databag it came with":       reentered,
		"what a Session committed is in its next snapshot":                  ownWrites,
		"what another leader wrote is seen, and confirmed by nobody":        lostAndRegained,
		"what another leader wrote everywhere is in the next snapshot":      anotherLed,
		"what another leader wrote since this one was none is seen":         ledUnseen,
		"lost leadership or another's secret is confirmed by nobody":        confirmLost,
		"a relation that is gone is confirmed by nobody":                    confirmGone,
		"a commit that failed is not in the next snapshot":                  failedCommits,
		"another leader's write inside of a commit is in the next snapshot": overtakenInCommit,
	}
}

func newWorld(t *testing.T, open Opener, options sandbox.Options) *World {
	t.Helper()
	options.ModelName = "prod"
	controller, err := sandbox.Start(options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, controller.Close()) })
	w := &World{Juju: controller, Model: controller.Model(), t: t, open: open}
	require.NoError(t, w.Model.Deploy("signet", sandbox.CharmMeta{
		Name:      "signet",
		Endpoints: Endpoints(),
		Config: map[string]any{
			"mode": "ca", "days": 365, "ratio": 0.5, "strict": false, "empty": "", "digits": "0123", "notes": nil,
			"credentials": nil, "more-credentials": nil,
		},
		Types: map[string]string{"notes": "string", "credentials": "string", "more-credentials": "string"},
	}))
	require.NoError(t, w.Model.Deploy("web", sandbox.CharmMeta{Name: "web", Endpoints: []juju.Endpoint{
		{Name: "tls", Interface: "tls-certificates", Role: juju.Requires},
	}}))
	for _, unit := range []string{Leader, Follower, Web, Web2} {
		name, err := w.Model.AddUnit(juju.ApplicationOf(unit))
		require.NoError(t, err)
		require.Equal(t, unit, name)
	}
	for _, unit := range []string{Leader, Web} {
		require.NoError(t, w.Model.SetLeader(unit))
	}
	w.Peers = w.Model.Relations("signet")[0].ID
	w.Relation, err = w.Model.Integrate("signet:certificates", "web:tls")
	require.NoError(t, err)
	return w
}

// session opens a Session for a unit.
func (w *World) session(unit string) agent.Session {
	w.t.Helper()
	return w.open(w.t, w, unit)
}

// snapshot takes one that must succeed.
func (w *World) snapshot(session agent.Session) juju.Snapshot {
	w.t.Helper()
	snap, err := session.Snapshot(w.t.Context())
	require.NoError(w.t, err)
	return snap
}

// commit makes one that must succeed.
func (w *World) commit(session agent.Session, changes juju.Changes) {
	w.t.Helper()
	require.NoError(w.t, session.Commit(w.t.Context(), changes))
}

// relation is the one with web, as the snapshot shows it.
func (w *World) relation(snap juju.Snapshot) juju.Relation {
	w.t.Helper()
	relations := snap.On(juju.Provides, "tls-certificates")
	require.Len(w.t, relations, 1)
	return relations[0]
}

// change makes a change of signet's databags in the relation with web.
func (w *World) change(unit, app juju.Bag) juju.RelationChange {
	return w.changeOf(juju.Relation{ID: w.Relation, Endpoint: Endpoints()[0]}, unit, app)
}

func (w *World) changeOf(relation juju.Relation, unit, app juju.Bag) juju.RelationChange {
	return juju.RelationChange{ID: relation.ID, Key: relation.Key(), Unit: unit, App: app}
}

// writeAs writes databags as another charm does.
func (w *World) writeAs(unit string, id int, bag, app map[string]string) {
	w.t.Helper()
	require.NoError(w.t, w.Model.Commit(unit, sandbox.Commit{Relations: []sandbox.BagChange{{RelationID: id, Unit: bag, App: app}}}))
}

// charmBag is a databag without the keys that Juju puts there.
func charmBag(bag map[string]string) juju.Bag {
	own := juju.Bag{}
	for key, value := range bag {
		if !strings.HasSuffix(key, "-address") && key != "egress-subnets" {
			own[key] = value
		}
	}
	return own
}

// trace is everything in the model that a Session can change.
type trace struct {
	Unit, App, PeerUnit, PeerApp map[string]string
	State                        map[string]string
	Status                       sandbox.StatusInfo
	Versions                     map[string]int64 // of what web watches: a difference fires its hooks
}

// traceOf reads what a unit of signet has in the model.
func (w *World) traceOf(unit string) trace {
	w.t.Helper()
	state, err := w.Model.State(unit)
	require.NoError(w.t, err)
	status, err := w.Model.UnitStatus(unit)
	require.NoError(w.t, err)
	units, apps, err := w.Model.BagVersions(Web, w.Relation)
	require.NoError(w.t, err)
	for name, version := range apps {
		units[name] = version
	}
	return trace{
		Unit: w.Model.UnitBag(w.Relation, unit), App: w.Model.AppBag(w.Relation, "signet"),
		PeerUnit: w.Model.UnitBag(w.Peers, unit), PeerApp: w.Model.AppBag(w.Peers, "signet"),
		State: state.Charm, Status: status, Versions: units,
	}
}
