// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// aftermath is how long after a flow all is compared: what is kept only to answer an order again, two hours at most, is gone then.
const aftermath = 2*time.Hour + time.Minute

// rest lets the aftermath go by.
func (p *play) rest() map[string]string {
	p.now = p.now.Add(aftermath)
	p.settle()
	p.judgeNow()
	return p.end()
}

// everyNth says which outside calls go wrong: every n-th one, as an environment variable says, where trying all takes too
// long.
func everyNth(t *testing.T, variable string) func(call int) bool {
	every := 7
	if text := os.Getenv(variable); text != "" {
		var err error
		every, err = strconv.Atoi(text)
		require.NoError(t, err)
		require.Positive(t, every)
	}
	return func(call int) bool { return call%every == 0 }
}

// Each flow is played with each of its outside calls going wrong, in each way. Whatever it was, the unit comes to the same
// end by itself as if nothing had happened, and at no moment is anything seen that must not be.
func TestEveryOutsideCallMayGoWrong(t *testing.T) {
	t.Parallel()
	chosen := everyNth(t, "SIGNET_CRASH_EVERY")
	var calls, tried, plays, lost atomic.Int64
	t.Run("flows", func(t *testing.T) { // ends when all of them have
		for name, f := range flows() {
			for _, how := range ways() {
				t.Run(name+", "+how.name, func(t *testing.T) {
					t.Parallel()
					p := newPlay(t)
					whole := p.undisturbed(f)
					for n, what := range whole.calls {
						if whole.same(n, how) || !chosen(n) {
							continue
						}
						before, steps := whole.until(p, n)
						p.out.disturb(n+1-before, how)
						p.playOn(steps, fmt.Sprintf("call %d of %d, %s: %s", n+1, len(whole.calls), what, how.name), whole.end)
						plays.Add(1)
					}
					if how != ways()[0] {
						return
					}
					for n := range whole.calls {
						calls.Add(1)
						if chosen(n) {
							tried.Add(1)
						}
					}
					for n := 1; n <= whole.commits; n++ {
						p.set(whole.begin)
						p.out.disturb(0, way{})
						p.loses = n
						p.playOn(f.steps, fmt.Sprintf("commit %d of %d is lost with its hook", n, whole.commits), whole.end)
						lost.Add(1)
					}
				})
			}
		}
	})
	figure(t, "crash-points", "outside calls going wrong: %d of %d points x %d ways x %d flows in %d plays (what comes to the same is played once), and %d commits lost with their hook",
		tried.Load(), calls.Load(), len(ways()), len(flows()), plays.Load(), lost.Load())
}

// undisturbed is what a flow came to that nothing disturbed.
type undisturbed struct {
	flow    flow
	begin   scene
	marks   []mark
	calls   []string
	commits int
	end     map[string]string
}

// undisturbed plays a flow from its beginning.
func (p *play) undisturbed(f flow) undisturbed {
	p.t.Helper()
	f.before(p)
	whole := undisturbed{flow: f, begin: p.keep()}
	p.set(whole.begin)
	p.out.disturb(0, way{})
	p.out.watch, p.marking = p.watch, true
	f.steps(p)
	p.marking = false
	whole.calls, whole.commits, whole.marks = slices.Clone(p.out.calls), p.commits, slices.Clone(p.marks)
	require.NotEmpty(p.t, whole.calls)
	whole.end = p.rest()
	return whole
}

// same reports whether a call that goes wrong in this way comes to the same as one that is played: what changes nothing
// that lasts while there is power cannot be done or not, and a crash before it is one before the next call.
func (r undisturbed) same(n int, how way) bool {
	what := r.calls[n]
	lasts := !strings.HasPrefix(what, "disk sync") && what != "rpc snapshot" && what != "run systemctl show"
	inside := strings.HasPrefix(what, "carry") && n+1 < len(r.calls) && strings.HasPrefix(r.calls[n+1], "disk")
	return how.done && !lasts || how.dies && (!lasts || inside) && n+1 < len(r.calls)
}

// until sets the last scene that is no later than so many calls, and gives how many came before it, and how it goes on.
// What is before it is the same each time.
func (r undisturbed) until(p *play, calls int) (before int, steps func(*play)) {
	for _, one := range slices.Backward(r.marks) {
		if one.calls <= calls {
			p.set(one.scene)
			return one.calls, func(p *play) { p.settle() }
		}
	}
	p.set(r.begin)
	return 0, r.flow.steps
}

// watch judges what can be seen after a call.
func (p *play) watch(what string, err error) {
	switch {
	case err != nil:
		p.judgeNow()
	case strings.HasPrefix(what, "disk rename"):
		p.judgePairs()
	case strings.HasPrefix(what, "rpc commit"):
		p.judgeBags()
	}
}

// playOn plays what is left of a flow, with what goes wrong, and judges it.
func (p *play) playOn(steps func(*play), what string, want map[string]string) {
	p.t.Helper()
	defer func() {
		if p.t.Failed() {
			p.t.Log(what)
		}
	}()
	steps(p)
	require.True(p.t, p.out.tripped() || p.out.failAt == 0, what)
	require.Empty(p.t, differences(want, p.rest()), what)
}
