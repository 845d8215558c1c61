// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/sandbox"
)

// slow is an authority that takes its time: before it answers an order of the kind, something happens, once.
type slow struct {
	agent.Authority

	meanwhile func()
	in        func(order.Order) bool
	carried   []order.Order
}

func (s *slow) Carry(ctx context.Context, o order.Order) order.Answer {
	answer := s.Authority.Carry(ctx, o)
	s.note(o)
	return answer
}

func (s *slow) SignAll(ctx context.Context, orders ...order.Sign) []order.Answer {
	answers := s.Authority.SignAll(ctx, orders...)
	for _, o := range orders {
		s.note(o)
	}
	return answers
}

func (s *slow) note(o order.Order) {
	s.carried = append(s.carried, o)
	if s.meanwhile != nil && s.in(o) {
		happens := s.meanwhile
		s.meanwhile = nil
		happens()
	}
}

func signs(o order.Order) bool {
	_, is := o.(order.Sign)
	return is
}

func creates(o order.Order) bool {
	_, is := o.(order.CreateAuthority)
	return is
}

// rivals are two units that both have led, with the leader's authority a slow one.
type rivals struct {
	*whole

	first, second *agent.Unit
	slow          *slow
}

func newRivals(t *testing.T) *rivals {
	r := &rivals{whole: newWhole(t, nil)}
	r.first, r.second = r.unit("signet/0", r.connect("signet/0")), r.unit("signet/1", r.connect("signet/1"))
	r.slow = &slow{Authority: r.first.Authority}
	r.first.Authority = r.slow
	return r
}

func (r *rivals) turn(u *agent.Unit) {
	r.t.Helper()
	_, err := u.Turn(r.t.Context())
	require.NoError(r.t, err)
}

// rest has both take turns until nothing is to be done.
func (r *rivals) rest() {
	r.t.Helper()
	for range 2 {
		r.turn(r.first)
		r.turn(r.second)
	}
}

func (r *rivals) act(u *agent.Unit, params ...string) juju.Result {
	r.t.Helper()
	action := juju.Action{Name: params[0], Params: map[string]any{}}
	for i := 1; i < len(params); i += 2 {
		action.Params[params[i]] = params[i+1]
	}
	outcome, err := u.Act(r.t.Context(), action)
	require.NoError(r.t, err)
	return outcome.Result
}

// inBetween has leadership go to the second unit, which does something, and come back, while the first carries out an order.
func (r *rivals) inBetween(in func(order.Order) bool, does func()) {
	r.slow.in, r.slow.meanwhile = in, func() {
		require.NoError(r.t, r.model.SetLeader("signet/1"))
		does()
		require.NoError(r.t, r.model.SetLeader("signet/0"))
	}
}

// Leadership goes away and comes back within one turn. What the other leader has published in between stays: nobody gets a
// second certificate.
func TestATurnThatWasOvertakenPublishesNothingOver(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		ask func(*rivals) (published func() string)
	}{
		"in the legacy dialect": {
			ask: func(r *rivals) func() string {
				r.askName("etcd.example.com")
				return func() string { return r.model.UnitBag(r.etcd, "signet/1")["etcd_0.server.cert"] }
			},
		},
		"for a request": {
			ask: func(r *rivals) func() string {
				request := r.askRequest()
				return func() string { return r.requested(request) }
			},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			r := newRivals(t)
			r.rest()
			published := c.ask(r)
			var others string
			r.inBetween(signs, func() {
				r.turn(r.second)
				others = published()
			})
			r.turn(r.first)
			require.NotEmpty(t, others)
			require.Equal(t, others, published())
			r.rest()
			require.Equal(t, others, published())
			require.Contains(t, r.log.String(), "the turn was overtaken")
		})
	}
}

// Both make the first CA. There is one, and the secret with its key is written once.
func TestTheFirstCAIsTheOneThatWasPublished(t *testing.T) {
	t.Parallel()
	r := newRivals(t)
	r.askName("etcd.example.com")
	request := r.askRequest()
	var record, leaf string
	r.inBetween(creates, func() {
		r.turn(r.second)
		record, leaf = r.authority(), r.requested(request)
	})
	r.turn(r.first)
	require.NotEmpty(t, leaf)
	require.Equal(t, record, r.authority())
	r.rest()
	require.Equal(t, record, r.authority())
	require.Equal(t, leaf, r.requested(request))
	require.True(t, covers(r.named(), "etcd.example.com"))
	for _, secret := range r.model.Secrets("signet") {
		require.Equal(t, 1, secret.Latest, secret.Label)
	}
	require.Len(t, r.issued("signet/0", "authority 1"), 1, "it was made in vain")
	for _, entry := range r.issued("signet/0", "") {
		require.NotContains(t, r.everything(), strings.Split(entry.Certificate, "\n")[1], "what the other CA signed nobody sees")
	}
}

// Even where the other leader comes between the last look and the commit, the secret with the CA's key is not written over:
// Juju lets one leader only take its label.
func TestTheKeyOfTheFirstCAIsNeverWrittenOver(t *testing.T) {
	t.Parallel()
	r := newRivals(t)
	looks := 0
	r.first.Session = looking{r.first.Session, func() {
		if looks++; looks == 2 {
			require.NoError(t, r.model.SetLeader("signet/1"))
			r.turn(r.second)
			require.NoError(t, r.model.SetLeader("signet/0"))
		}
	}}
	r.turn(r.first)
	record := r.authority()
	r.rest()
	require.Equal(t, record, r.authority())
	require.Empty(t, r.issued("signet/0", "etcd/0"))
	for _, secret := range r.model.Secrets("signet") {
		require.Equal(t, 1, secret.Latest, secret.Label)
		if secret.Label == "ca-1" {
			content, err := r.model.RevealSecret(secret.URI)
			require.NoError(t, err)
			var written struct{ Current struct{ Certificate string } }
			require.NoError(t, json.Unmarshal([]byte(record), &written))
			require.Equal(t, content["certificate"], written.Current.Certificate)
		}
	}
}

// looking has something happen after each look.
type looking struct {
	agent.Session

	then func()
}

func (l looking) Snapshot(ctx context.Context) (juju.Snapshot, error) {
	snap, err := l.Session.Snapshot(ctx)
	l.then()
	return snap, err
}

func (l looking) Confirm(ctx context.Context, snap juju.Snapshot, changes juju.Changes) error {
	err := l.Session.Confirm(ctx, snap, changes)
	l.then()
	return err
}

// A rollover has one next CA, and each certificate is replaced once, whoever leads when.
func TestAStepOfARolloverIsTakenOnce(t *testing.T) {
	t.Parallel()
	prepare := func(t *testing.T) *rivals {
		r := newRivals(t)
		r.askName("etcd.example.com")
		r.rest()
		return r
	}
	t.Run("the next CA is made", func(t *testing.T) {
		t.Parallel()
		r := prepare(t)
		leaf := r.named()
		require.NotEmpty(t, leaf)
		var record string
		r.inBetween(creates, func() {
			require.Empty(t, r.act(r.second, "rotate-ca").Failure)
			record = r.authority()
		})
		require.Contains(t, r.act(r.first, "rotate-ca").Failure, "a rollover to CA 2 is under way")
		require.Equal(t, record, r.authority())
		r.rest()
		require.Equal(t, record, r.authority())
		require.Equal(t, leaf, r.named())
	})
	t.Run("the next CA signs", func(t *testing.T) {
		t.Parallel()
		r := prepare(t)
		old := r.named()
		require.Empty(t, r.act(r.first, "rotate-ca").Failure)
		r.rest()
		require.Equal(t, old, r.named(), "it is trusted first")
		var named string
		r.inBetween(signs, func() {
			require.Empty(t, r.act(r.second, "rotate-ca", "step", "advance").Failure)
			named = r.model.UnitBag(r.etcd, "signet/1")["etcd_0.server.cert"]
		})
		r.act(r.first, "rotate-ca", "step", "advance")
		require.NotEqual(t, old, named)
		r.rest()
		require.Equal(t, named, r.named())
		var record struct {
			Current  struct{ Generation int }
			Retiring []struct{ Generation int }
		}
		require.NoError(t, json.Unmarshal([]byte(r.authority()), &record))
		require.Equal(t, 2, record.Current.Generation)
		require.Len(t, record.Retiring, 1)
	})
}

// An action whose turn was overtaken for another reason is done, and its orders are carried out once.
func TestAnActionThatWasOvertakenIsDoneOnce(t *testing.T) {
	t.Parallel()
	r := newRivals(t)
	r.rest()
	r.slow.carried = nil
	request := ""
	r.inBetween(creates, func() {
		request = r.askRequest()
		r.turn(r.second)
	})
	require.Empty(t, r.act(r.first, "rotate-ca").Failure)
	leaf := r.requested(request)
	require.NotEmpty(t, leaf)
	made := map[order.ID]int{}
	for _, o := range r.slow.carried {
		made[o.ID()]++
	}
	for id, times := range made {
		require.Equal(t, 1, times, id)
	}
	require.Len(t, r.issued("signet/0", "authority 2"), 3, "its own certificate, and one for each that vouches for the other")
	r.rest()
	require.Equal(t, leaf, r.requested(request))
}

// What was signed for a commit that did not come about is published after all where it is still wanted.
func TestWhatWasSignedIsUsedWhereItIsStillWanted(t *testing.T) {
	t.Parallel()
	r := newRivals(t)
	r.rest()
	request := r.askRequest()
	r.inBetween(signs, func() {
		require.NoError(t, r.model.Commit("signet/1", sandbox.Commit{
			Relations: []sandbox.BagChange{{RelationID: r.peers, App: map[string]string{"another": "key"}}},
		}))
	})
	r.turn(r.first)
	r.rest()
	signed := r.issued("signet/0", "web/0")
	require.Len(t, signed, 1)
	require.Equal(t, strings.TrimSpace(signed[0].Certificate), strings.TrimSpace(r.requested(request)))
	require.Empty(t, r.issued("signet/1", "web/0"))
}

// A turn that is overtaken again and again commits nothing, and says why.
func TestATurnThatIsAlwaysOvertakenCommitsNothing(t *testing.T) {
	t.Parallel()
	session, u := recordedUnit(t)
	looks := 0
	u.Session = looking{session, func() {
		looks++
		session.snap.Relations = append([]juju.Relation{}, session.snap.Relations...)
		session.snap.Relations[0].OwnApp = juju.Bag{"written": fmt.Sprint(looks)}
	}}
	late := time.Now()
	u.Now = func() time.Time { // every look is old
		late = late.Add(time.Minute)
		return late
	}
	_, err := u.Turn(t.Context())
	require.ErrorIs(t, err, juju.ErrMoved)
	require.ErrorContains(t, err, "cannot commit the turn's changes: overtaken by another unit: the application databag of relation peers:1")
	require.Zero(t, session.commits)
	require.Equal(t, 8, looks, "four decisions, each looked after once")

	u.Session = session
	_, err = u.Turn(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, session.commits)
}

// Without orders, and in time, one snapshot is enough, where it was read at Juju itself.
func TestATurnThatTookNoTimeDoesNotLookAgain(t *testing.T) {
	t.Parallel()
	session, u := recordedUnit(t)
	takeTurns(t, u, session)
	record := session.snap.Relations[0].OwnApp["authority"]
	looks := 0
	u.Session = looking{session, func() { looks++ }}
	for name, c := range map[string]struct {
		now        func() time.Time
		remembered bool
		want       int
	}{
		"in time":                          {time.Now, false, 1},
		"after a minute":                   {func() time.Time { looks := looks; return time.Now().Add(time.Duration(looks) * time.Minute) }, false, 2},
		"what is shown is only remembered": {time.Now, true, 2},
	} {
		looks = 0
		session.snap.Remembered = c.remembered
		session.snap.Relations[0].OwnApp = juju.Bag{} // of which only the record is written again, from the secret
		u.Now = c.now
		_, err := u.Turn(t.Context())
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(session.snap.Relations[0].OwnApp["authority"], record[:40]))
		require.Equal(t, c.want, looks, name)
	}
}
