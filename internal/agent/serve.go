// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/signet-charm/signet/internal/juju"
)

// How long Serve does nothing. The pause after a failed turn doubles with each failure, between these bounds, and is
// drawn at random below that, so that many agents of one controller do not come back all at once.
const (
	firstLook    = 10 * time.Second // who watches the model reports at once; this is for when nobody does
	firstPause   = time.Second
	longestPause = 5 * time.Minute
)

// How long a turn waits for more of what woke it, so that many who ask at once are answered with one rewrite of a databag, which
// every unit of the other side reads. While one turn that published follows the other it doubles, between these bounds.
const (
	firstWindow   = 2 * time.Millisecond
	longestWindow = time.Second
)

// idleAfter is for how long nothing must have happened until what a crowd took of the machine's memory is given back.
const idleAfter = 10 * time.Second

// Service is a unit's long-running agent.
type Service struct {
	Unit    *Unit
	Changes <-chan struct{}   // something in the model changed: look again
	Hooks   net.Listener      // the local socket on which hooks ask for a turn
	Notify  func(juju.Status) // told the status after each turn that worked; may be nil
	Idle    func()            // called when nothing has happened for a while since databags were written; may be nil
	waiting chan waiter
}

type waiter struct {
	hook   string
	action *juju.Action // nil for a hook
	reply  chan<- result
}

type result struct {
	outcome Outcome
	err     error
}

// Serve takes a turn whenever something changed, when a hook asks and when a wake comes, until the context ends; then
// it returns nil. A turn that fails is taken again after a pause. It closes the listener.
func (s *Service) Serve(ctx context.Context) error {
	s.waiting = make(chan waiter)
	var hooks sync.WaitGroup
	defer hooks.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	hooks.Go(func() { s.accept(ctx, &hooks) })
	context.AfterFunc(ctx, func() { s.Hooks.Close() })

	failures, window, stirred := 0, firstWindow, false
	for pause := firstLook; ; {
		timer, quiet := time.NewTimer(pause), time.NewTimer(idleAfter)
		if !stirred || s.Idle == nil {
			quiet.Stop()
		}
		asked, woken, rested := s.await(ctx, timer.C, quiet.C)
		timer.Stop()
		quiet.Stop()
		stirred = stirred && !rested
		if woken && (len(asked) == 0 || window > firstWindow) { // a hook is one already, and comes after what it tells of
			asked = s.gather(ctx, window, asked)
		}
		if ctx.Err() != nil {
			for _, hook := range asked {
				hook.reply <- result{err: context.Cause(ctx)}
			}
			return nil
		}
		outcome, err := s.turns(ctx, asked)
		if ctx.Err() != nil {
			return nil
		}
		pause = s.rest(outcome, err, &failures)
		window = nextWindow(window, outcome.Published && len(s.Changes) > 0)
		stirred = stirred || outcome.Published
	}
}

// nextWindow is how long the next turn waits for more. It is busy when the last one published, and there is more already.
func nextWindow(window time.Duration, busy bool) time.Duration {
	if !busy {
		return firstWindow
	}
	return min(2*window, longestWindow)
}

// gather waits for more reasons to take a turn. Who asks for an action is not kept waiting.
func (s *Service) gather(ctx context.Context, window time.Duration, asked []waiter) []waiter {
	timer := time.NewTimer(window)
	defer timer.Stop()
	for !slices.ContainsFunc(asked, func(one waiter) bool { return one.action != nil }) {
		select {
		case <-ctx.Done():
			return asked
		case <-timer.C:
			return asked
		case <-s.Changes:
		case hook := <-s.waiting:
			asked = append(asked, hook)
		}
	}
	return asked
}

// turns takes a turn for each action, for it has an outcome of its own, and one for all else; the last one's outcome is
// given.
func (s *Service) turns(ctx context.Context, asked []waiter) (outcome Outcome, err error) {
	var hooks []waiter
	for _, one := range asked {
		if one.action == nil {
			hooks = append(hooks, one)
			continue
		}
		outcome, err = s.Unit.Act(ctx, *one.action)
		s.Unit.Log.Info("an action", "action", one.action.Name, "failure", outcome.Result.Failure, "error", err)
		one.reply <- result{outcome, err}
	}
	if len(hooks) > 0 || len(asked) == 0 {
		outcome, err = s.Unit.Turn(ctx)
	}
	for _, hook := range hooks {
		s.Unit.Log.Debug("a turn for a hook", "hook", hook.hook, "error", err)
		hook.reply <- result{outcome, err}
	}
	return outcome, err
}

// rest notes how a turn went and says how long nothing needs to be done.
func (s *Service) rest(outcome Outcome, err error, failures *int) time.Duration {
	if err != nil {
		limit := min(longestPause, firstPause<<min(*failures, 16))
		*failures++
		pause := rand.N(limit) + time.Millisecond //nolint:gosec // spreads load, guards nothing
		s.Unit.Log.Error("the turn failed", "error", err, "again_in", pause.Round(time.Millisecond))
		return pause
	}
	*failures = 0
	if s.Notify != nil {
		s.Notify(outcome.Status)
	}
	const look = 24 * time.Hour // a missed event is found at the latest then
	switch {
	case outcome.Wake.IsZero():
		return look
	case outcome.Unfinished:
		return 0
	}
	return max(min(look, outcome.Wake.Sub(s.Unit.Now())), time.Second)
}

// await waits for a reason to take a turn, and gives the hooks that asked for it. Woken is false where it was only time. Rested is
// that it was quiet meanwhile.
func (s *Service) await(ctx context.Context, wake, quiet <-chan time.Time) (asked []waiter, woken, rested bool) {
	for waits := true; waits; {
		waits = false
		select {
		case <-ctx.Done():
		case <-wake:
		case <-quiet:
			s.Idle()
			rested, waits = true, true
		case <-s.Changes:
			woken = true
		case hook := <-s.waiting:
			asked, woken = append(asked, hook), true
		}
	}
	for { // one turn serves all who ask before it begins
		select {
		case hook := <-s.waiting:
			asked = append(asked, hook)
		default:
			return asked, woken, rested
		}
	}
}
