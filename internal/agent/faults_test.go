// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/sandbox"
)

// outage is a fault that lasts for ten minutes, in which both applications ask for something. No turn is needed from
// outside to make it good again.
type outage struct {
	begin func(*whole)
	end   func(*whole)
	deaf  bool   // nothing can be served while it lasts
	log   string // names the next step, or what was done
	moves bool   // leadership moves: two leaders may both sign, and one publishes
}

func outages() map[string]outage {
	return map[string]outage{
		"connections are refused": {
			begin: func(w *whole) { require.NoError(w.t, w.juju.CloseListener()); w.juju.DropConnections() },
			end:   func(w *whole) { require.NoError(w.t, w.juju.Reopen()) },
			deaf:  true, log: "check that it runs and that this machine can reach it",
		},
		"logins are refused": {
			begin: func(w *whole) { w.juju.RefuseLogins(true); w.juju.DropConnections() },
			end:   func(w *whole) { w.juju.RefuseLogins(false) },
			deaf:  true, log: "it will be tried again",
		},
		"the connection breaks before a commit is done":        calls(sandbox.Lost, "Uniter.CommitHookChanges"),
		"a commit is done, and its answer is lost":             calls(sandbox.Unanswered, "Uniter.CommitHookChanges"),
		"a status is set, and the answer is lost":              calls(sandbox.Unanswered, "Uniter.SetUnitStatus"),
		"the connection breaks in the middle of a snapshot":    calls(sandbox.Lost, "Uniter.ReadRemoteSettings"),
		"a commit is not answered, and the connection stays":   calls(sandbox.Stuck, "Uniter.CommitHookChanges"),
		"a snapshot is not answered, and the connection stays": calls(sandbox.Stuck, "Uniter.State"),
		"the watcher of databags is closed by the controller":  calls(sandbox.Stopped, "RelationUnitsWatcher.Next"),
		"another watcher is closed by the controller":          calls(sandbox.Stopped, "StringsWatcher.Next"),
		"every event comes twice":                              always(sandbox.Doubled),
		"the connection goes silent, and so do those after it": {begin: func(w *whole) { w.juju.Silence(true) }, end: func(w *whole) { w.juju.Silence(false) }, deaf: true, log: "cannot reach the controller"},
		"the line is slow": {begin: func(w *whole) { w.juju.Slow(100, 20*time.Millisecond) }, end: func(w *whole) { w.juju.Slow(0, 0) }},
		"the line is too slow for a login": {
			begin: func(w *whole) { w.juju.Slow(10, time.Second); w.juju.DropConnections() },
			end:   func(w *whole) { w.juju.Slow(0, 0) },
			deaf:  true, log: "cannot reach the controller",
		},
		"the certificate is renewed by the same CA": {
			begin: func(w *whole) { require.NoError(w.t, w.juju.RenewCertificate()); w.juju.DropConnections() },
		},
		"the certificate is of another CA, until agent.conf says so": {
			begin: func(w *whole) { require.NoError(w.t, w.juju.SwapCertificate()); w.juju.DropConnections() },
			end:   func(w *whole) { require.NoError(w.t, w.juju.RewriteAgentConfs()) },
			deaf:  true, log: "its certificate does not match the CA in",
		},
		"the passwords are rotated, and then the connections break": {
			begin: func(w *whole) { w.rotate(); w.juju.DropConnections() },
		},
		"the passwords are rotated while the controller is away": {
			begin: func(w *whole) { require.NoError(w.t, w.juju.CloseListener()); w.juju.DropConnections(); w.rotate() },
			end:   func(w *whole) { require.NoError(w.t, w.juju.Reopen()) },
			deaf:  true,
		},
		"the controller comes back at another address, which agent.conf tells later": {
			begin: func(w *whole) { require.NoError(w.t, w.juju.Move()) },
			end:   func(w *whole) { require.NoError(w.t, w.juju.RewriteAgentConfs()) },
			deaf:  true, log: "check that it runs and that this machine can reach it",
		},
		"something in between answers with HTTP 503": {
			begin: func(w *whole) { w.juju.AnswerHTTP(http.StatusServiceUnavailable, ""); w.juju.DropConnections() },
			end:   func(w *whole) { w.juju.AnswerHTTP(0, "") },
			deaf:  true, log: "HTTP status 503",
		},
		"leadership goes to the other unit between read and commit": {
			begin: func(w *whole) {
				w.juju.Tamper(once("Uniter.CommitHookChanges", func() sandbox.Fate {
					require.NoError(w.t, w.model.SetLeader("signet/1"))
					return sandbox.Answered
				}))
			},
			moves: true, log: "the turn was overtaken",
		},
		"another process commits in between": {
			begin: func(w *whole) {
				w.juju.Tamper(once("Uniter.CommitHookChanges", func() sandbox.Fate {
					w.write("signet/0", w.etcd, map[string]string{"by-hook": "kept"})
					return sandbox.Answered
				}))
			},
		},
	}
}

// calls has the next call of a method meet a fate.
func calls(fate sandbox.Fate, method string) outage {
	return outage{begin: func(w *whole) { w.juju.Tamper(once(method, func() sandbox.Fate { return fate })) }}
}

// once has the next call of a method meet a fate, and no other.
func once(method string, fate func() sandbox.Fate) func(sandbox.Call) sandbox.Fate {
	var met atomic.Bool
	return func(call sandbox.Call) sandbox.Fate {
		if call.Facade+"."+call.Method == method && met.CompareAndSwap(false, true) {
			return fate()
		}
		return sandbox.Answered
	}
}

// always has every event meet a fate.
func always(fate sandbox.Fate) outage {
	return outage{
		begin: func(w *whole) {
			w.juju.Tamper(func(call sandbox.Call) sandbox.Fate {
				if call.Method == "Next" {
					return fate
				}
				return sandbox.Answered
			})
		},
		end: func(w *whole) { w.juju.Tamper(nil) },
	}
}

func (w *whole) rotate() {
	w.t.Helper()
	for _, unit := range w.model.Units("signet") {
		require.NoError(w.t, w.juju.RotatePassword(unit))
	}
}

// Whatever goes wrong with the controller, nothing is lost, nothing is issued twice, what is published stays, and the agents
// go on by themselves when it is over.
func TestAnAgentOutlivesItsController(t *testing.T) {
	t.Parallel()
	for sentence, fault := range outages() {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWhole(t, &sandbox.Network{})
				w.serve("signet/0")
				w.serve("signet/1")
				w.askName("one.example.com")
				first := w.askRequest()
				w.await(func() bool { return covers(w.named(), "one.example.com") && w.requested(first) != "" }, "before the fault")
				synctest.Wait()
				named, requested, authority := w.named(), w.requested(first), w.authority()

				fault.begin(w)
				w.askName("one.example.com", "two.example.com")
				second := w.askRequest()
				served := func() bool { return covers(w.named(), "two.example.com") && w.requested(second) != "" }
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				require.Equal(t, requested, w.requested(first), "what is published stays")
				if fault.deaf {
					require.Equal(t, named, w.named(), "what is published stays")
					require.False(t, served())
				} else {
					require.True(t, served(), "ten minutes are enough")
				}
				if fault.end != nil {
					fault.end(w)
				}
				w.await(served, "after the fault")
				synctest.Wait()
				require.Equal(t, authority, w.authority())
				require.Equal(t, requested, w.requested(first))
				require.Contains(t, w.log.String(), fault.log)
				if !fault.moves {
					require.Len(t, append(w.issued("signet/0", "web/0"), w.issued("signet/1", "web/0")...), 2)
					require.Len(t, append(w.issued("signet/0", "etcd/0"), w.issued("signet/1", "etcd/0")...), 2)
				}
				w.quiet()
			})
		})
	}
}

// quiet fails when an agent still changes something although nothing is asked for.
func (w *whole) quiet() {
	w.t.Helper()
	time.Sleep(time.Minute)
	synctest.Wait()
	before := w.everything()
	time.Sleep(time.Hour)
	synctest.Wait()
	require.Equal(w.t, before, w.everything())
	for _, unit := range w.model.Units("signet") {
		require.Equal(w.t, 1, w.juju.Sessions(unit), unit)
	}
}

// servedWhole is one whose two agents have answered a request.
func servedWhole(t *testing.T) *whole {
	w := newWhole(t, &sandbox.Network{})
	w.serve("signet/0")
	w.serve("signet/1")
	first := w.askRequest()
	w.await(func() bool { return w.requested(first) != "" }, "before the fault")
	return w
}

// An event that is never told is made good by the next one, of whatever kind; and what comes late, or in another order than
// it happened, says the same: look.
func TestEventsThatAreMissedOrLateDoNotMatter(t *testing.T) {
	t.Parallel()
	t.Run("missed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := servedWhole(t)
			synctest.Wait()
			w.juju.Tamper(func(call sandbox.Call) sandbox.Fate {
				if call.Facade == "RelationUnitsWatcher" {
					return sandbox.Missed
				}
				return sandbox.Answered
			})
			w.juju.DropConnections() // who waits for an event was not tampered with yet
			time.Sleep(time.Minute)
			second := w.askRequest()
			time.Sleep(time.Hour)
			require.Empty(t, w.requested(second), "nobody was told")
			require.NoError(t, w.model.SetConfig("signet", map[string]any{"ca-trust-wait": "25h"}))
			w.await(func() bool { return w.requested(second) != "" }, "after another event")
		})
	})
	t.Run("late and out of order", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := servedWhole(t)
			var mu sync.Mutex
			w.juju.Tamper(func(call sandbox.Call) sandbox.Fate {
				if call.Method == "Next" {
					mu.Lock()
					late := time.Duration(w.random.Int64N(int64(time.Minute)))
					mu.Unlock()
					time.Sleep(late)
				}
				return sandbox.Answered
			})
			w.juju.DropConnections()
			for range 10 {
				time.Sleep(20 * time.Second)
				w.askName("one.example.com", "two.example.com")
				last := w.askRequest()
				require.NoError(t, w.model.SetConfig("signet", map[string]any{"ca-trust-wait": "25h"}))
				w.await(func() bool { return w.requested(last) != "" && covers(w.named(), "two.example.com") }, "late")
			}
			require.Len(t, w.issued("signet/0", "web/0"), 11)
			require.Len(t, w.issued("signet/0", "etcd/0"), 1)
		})
	})
}

// A login that is answered with the word that the model is elsewhere, and a connection that is answered with a redirect of
// HTTP's, lead nowhere: agent.conf, which the unit agent writes, is who says where the controller is.
func TestNoRedirectIsFollowed(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		redirect func(w *whole, to *sandbox.Controller)
		log      string
	}{
		"of a login": {
			func(w *whole, to *sandbox.Controller) { w.juju.RedirectLogins(to) },
			"the model moved to another controller; the unit agent (jujud) writes its addresses to",
		},
		"of HTTP": {
			func(w *whole, to *sandbox.Controller) {
				w.juju.AnswerHTTP(http.StatusTemporaryRedirect, "https://"+to.Addr()+"/model/"+w.model.UUID()+"/api")
			}, "HTTP status 307",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWhole(t, &sandbox.Network{})
				other, err := sandbox.Start(sandbox.Options{Dir: filepath.Join(w.dir, "other"), Network: w.network})
				require.NoError(t, err)
				defer func() { require.NoError(t, other.Close()) }()
				w.serve("signet/0")
				request := w.askRequest()
				w.await(func() bool { return w.requested(request) != "" }, "before the fault")
				c.redirect(w, other)
				w.juju.DropConnections()
				time.Sleep(time.Hour)
				require.Contains(t, w.log.String(), c.log)
				for _, dialled := range w.network.Dials() {
					require.Equal(t, w.juju.Addr(), dialled.Address, "both are on one network")
				}
				w.juju.RedirectLogins(nil)
				w.juju.AnswerHTTP(0, "")
				second := w.askRequest()
				w.await(func() bool { return w.requested(second) != "" }, "after the fault")
				require.NotContains(t, strings.ToLower(w.log.String()), "password=")
			})
		})
	}
}
