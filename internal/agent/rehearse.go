// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/unit/rehearsal"
)

// rehearsalTimeout bounds how long the agent works on one rehearsal, and maxDays how far it looks ahead.
const (
	rehearsalTimeout = time.Minute
	maxDays          = 4000 // a CA of ten years, and its successor
)

// Rehearse plays the unit's turns of some days on what the last one left, and changes nothing: no order is carried out, and
// the CA's key signs nothing. It is safe for concurrent use, also with turns.
func (u *Unit) Rehearse(ctx context.Context, days int) (rehearsal.Outcome, error) {
	if days < 1 || days > maxDays {
		return rehearsal.Outcome{}, fmt.Errorf("cannot look %d days ahead: from 1 to %d", days, maxDays)
	}
	u.showing.Lock()
	defer u.showing.Unlock()
	last := u.last.Load()
	if last == nil {
		return rehearsal.Outcome{}, errors.New("no turn has come to its end yet")
	}
	ctx, cancel := context.WithTimeout(ctx, rehearsalTimeout)
	defer cancel()
	snap, err := open(juju.Apply(last.snap, last.changes))
	if err != nil {
		return rehearsal.Outcome{}, err
	}
	now := u.Now()
	return rehearsal.Play(snap, now, now.AddDate(0, 0, days), ca.NewStandIn().Carry, func() bool { return ctx.Err() == nil }), nil
}

// rehearsed is the answer to a question for a rehearsal.
type rehearsed struct {
	Rehearsal *rehearsal.Outcome `json:"rehearsal,omitempty"`
	Error     string             `json:"error,omitempty"`
}

// AskRehearsal asks the agent at the socket what would happen within some days, and changes nothing. The error is ErrNoAgent
// when none listens there.
func AskRehearsal(ctx context.Context, path string, days int) (rehearsal.Outcome, error) {
	// An agent of an older version does not know of days, and shows its view.
	answer, err := look[rehearsed](ctx, path, question{View: true, Days: days}, "rehearsal")
	if err != nil {
		return rehearsal.Outcome{}, err
	}
	switch {
	case answer.Error != "":
		return rehearsal.Outcome{}, fmt.Errorf("the agent rehearses nothing: %s", answer.Error)
	case answer.Rehearsal == nil:
		return rehearsal.Outcome{}, errors.New("the agent is of an older version, which rehearses nothing: restart it")
	}
	return *answer.Rehearsal, nil
}

// rehearse answers a question for a rehearsal.
func (s *Service) rehearse(ctx context.Context, conn net.Conn, days int) error {
	var answer rehearsed
	if found, err := s.Unit.Rehearse(ctx, days); err != nil {
		answer.Error = err.Error()
	} else {
		answer.Rehearsal = &found
	}
	_ = conn.SetWriteDeadline(time.Now().Add(showTimeout))
	return json.NewEncoder(conn).Encode(answer)
}
