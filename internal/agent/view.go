// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/unit"
	"github.com/signet-charm/signet/internal/view"
)

// sight is what is kept of turns so that somebody can be shown what they came to.
type sight struct {
	last    atomic.Pointer[seen]
	trouble atomic.Pointer[string] // why the turn after the last one failed
	showing sync.Mutex             // a view takes the work of a turn: one at a time
	tally
}

// seen is what the last turn that came to an end was made of. Nobody changes it.
type seen struct {
	at      time.Time
	snap    juju.Snapshot // before the changes, its secrets sealed
	changes juju.Changes
	answers []order.Answer
	wake    time.Time
}

// see keeps a turn that came to its end. Of the answers stays what no databag shows: certificates are published, and keys are
// nobody's business.
func (s *sight) see(at time.Time, snap juju.Snapshot, plan unit.Plan, answers []order.Answer) {
	snap.Action = nil
	var kept []order.Answer
	for _, a := range answers {
		if a.Issued.Certificate == "" && a.Key.IsZero() && a.CRL == "" {
			kept = append(kept, order.Answer{
				Order: a.Order, State: a.State, Failure: a.Failure, Authority: a.Authority, Request: a.Request, Checkpoint: a.Checkpoint,
				Sums: a.Sums, Laid: a.Laid, Consulted: a.Consulted, Again: a.Again,
			})
		}
	}
	s.last.Store(&seen{at, snap, plan.Changes, kept, plan.Wake})
	s.trouble.Store(nil)
}

func (s *sight) fail(err error) {
	text := err.Error()
	s.trouble.Store(&text)
}

// View shows what the last turn came to, without another look at the model. It is safe for concurrent use, also with turns.
func (u *Unit) View() (view.View, error) {
	u.showing.Lock()
	defer u.showing.Unlock()
	facts := view.Facts{Now: u.Now(), Version: u.Version}
	if trouble := u.trouble.Load(); trouble != nil {
		facts.Trouble = *trouble
	}
	last := u.last.Load()
	if last == nil {
		if facts.Trouble != "" {
			return view.View{}, fmt.Errorf("no turn has come to its end yet: %s", facts.Trouble)
		}
		return view.View{}, errors.New("no turn has come to its end yet")
	}
	snap, _ := open(juju.Apply(last.snap, last.changes)) // that it cannot be opened was logged, and shows
	found := unit.Survey(last.at, snap, last.answers)
	facts.Turn, facts.Unit, facts.Snapshot, facts.Wake = last.at, snap.Unit, snap, last.wake
	facts.Authority, facts.Consumer, facts.Reports, facts.Options = found.Authority, found.Consumer, found.Reports, found.Options
	if u.Installed != nil {
		var err error
		if facts.Installed, err = u.Installed(); err != nil {
			u.Log.Warn("cannot look at what is installed", "error", err)
		}
	}
	if err := u.Folder.View(func(l *ledger.Ledger) { facts.Entries = l.Entries() }); err != nil {
		facts.Unread = err.Error()
	}
	return view.Of(facts), nil
}

// showTimeout bounds how long one who asked may take to read the answer.
const showTimeout = time.Minute

// longestView is how long a view may be: of 100,000 certificates, with their texts.
const longestView = 512 << 20

// look asks the agent at the socket for something to look at, which changes nothing.
func look[T any](ctx context.Context, path string, asked question, what string) (answer T, err error) {
	ctx, cancel := context.WithTimeout(ctx, turnTimeout)
	defer cancel()
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return answer, fmt.Errorf("%w on %s", ErrNoAgent, path)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := json.NewEncoder(conn).Encode(asked); err != nil {
		return answer, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	if err := json.NewDecoder(io.LimitReader(conn, longestView)).Decode(&answer); err != nil {
		return answer, fmt.Errorf("cannot read the agent's %s: %w", what, err)
	}
	return answer, nil
}

// AskView asks the agent at the socket for a view, and changes nothing. The error is ErrNoAgent when none listens there.
func AskView(ctx context.Context, path string) (view.View, error) {
	answer, err := look[shown](ctx, path, question{View: true}, "view")
	if err != nil {
		return view.View{}, err
	}
	if answer.Error != "" {
		return view.View{}, fmt.Errorf("the agent shows nothing: %s", answer.Error)
	}
	if answer.View == nil {
		return view.View{}, errors.New("cannot read the agent's view: the agent is of an older version")
	}
	return *answer.View, nil
}

// shown is the answer to a question for a view.
type shown struct {
	View  *view.View `json:"view,omitempty"`
	Error string     `json:"error,omitempty"`
}

// show answers a question for a view. It takes no turn, and waits for none.
func (s *Service) show(conn net.Conn) error {
	var answer shown
	if found, err := s.Unit.View(); err != nil {
		answer.Error = err.Error()
	} else {
		answer.View = &found
	}
	_ = conn.SetWriteDeadline(time.Now().Add(showTimeout))
	return json.NewEncoder(conn).Encode(answer)
}
