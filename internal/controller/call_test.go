// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/juju/juju/api"
	"github.com/juju/juju/rpc"
	"github.com/juju/juju/rpc/params"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

// fakeAPI answers each method from a queue, whose last answer stays; it keeps what it was asked. What is not in the
// queues it does not know, except that it waits for ever for what happens never.
type fakeAPI struct {
	api.Connection
	mu      sync.Mutex
	answers map[string][]any // by "Facade.Method"; an error is one
	asked   map[string][]any
	closed  chan struct{}
}

func (f *fakeAPI) BestFacadeVersion(string) int { return 1 }
func (f *fakeAPI) Broken() <-chan struct{}      { return f.closed }
func (f *fakeAPI) Close() error                 { close(f.closed); return nil }

// times is how often a method was called.
func (f *fakeAPI) times(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked[name])
}

func (f *fakeAPI) APICall(facade string, _ int, _, method string, args, response any) error {
	name := facade + "." + method
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked == nil {
		f.asked = map[string][]any{}
	}
	f.asked[name] = append(f.asked[name], args)
	queue := f.answers[name]
	if len(queue) == 0 && (method == "Next" || method == "BlockUntilLeadershipReleased") {
		f.mu.Unlock()
		<-f.closed
		f.mu.Lock()
		return rpc.ErrShutdown
	}
	if len(queue) == 0 && method == "Stop" {
		return nil
	}
	if len(queue) == 0 {
		return &rpc.RequestError{Message: "no such request " + name, Code: params.CodeNotImplemented}
	}
	if len(queue) > 1 {
		f.answers[name] = queue[1:]
	}
	if err, failed := queue[0].(error); failed {
		return err
	}
	text, err := json.Marshal(queue[0])
	if err != nil || response == nil {
		return err
	}
	return json.Unmarshal(text, response)
}

// notices records when a watch notified, since it was made. Watchers do so from goroutines of their own.
type notices struct {
	began time.Time
	mu    sync.Mutex
	times []time.Duration
}

func newNotices() *notices { return &notices{began: time.Now()} }

func (n *notices) notify() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.times = append(n.times, time.Since(n.began))
}

// denied is what a controller answers to what it does not want to explain.
var denied = &params.Error{Message: "permission denied", Code: params.CodeUnauthorized}

func TestACallTellsARefusalFromABrokenConnection(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		answer      error
		unreachable bool
		code        string
	}{
		"a refusal with a code":    {&rpc.RequestError{Message: "no", Code: params.CodeNotFound}, false, params.CodeNotFound},
		"a refusal without a code": {&rpc.RequestError{Message: "no"}, false, ""},
		"a connection shut down":   {rpc.ErrShutdown, true, ""},
		"a network error":          {errors.New("write: broken pipe"), true, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			bound := caller{&fakeAPI{answers: map[string][]any{"Uniter.State": {c.answer}}}, t.Context()}
			err := bound.APICall("Uniter", 1, "", "State", nil, nil)
			require.ErrorIs(t, err, c.answer)
			require.Equal(t, c.unreachable, errors.Is(err, juju.ErrUnreachable))
			require.Equal(t, c.code, code(err))
		})
	}
}

// silent never answers before it is told to.
type silent struct {
	api.Connection
	end chan struct{}
}

func (s silent) APICall(string, int, string, string, any, any) error {
	<-s.end
	return rpc.ErrShutdown
}

func TestACallThatIsNotAnsweredEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := silent{end: make(chan struct{})}
		defer close(s.end)
		began := time.Now()
		err := caller{s, t.Context()}.APICall("Uniter", 1, "", "State", nil, nil)
		require.ErrorIs(t, err, juju.ErrUnreachable)
		require.Equal(t, callLimit, time.Since(began))
		require.NoError(t, caller{s, t.Context()}.APICall("StringsWatcher", 1, "3", "Stop", nil, nil), "it is gone as it is")

		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began = time.Now()
		err = caller{s, ctx}.APICall("StringsWatcher", 1, "3", "Next", nil, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Hour, time.Since(began), "the next event may take its time")
	})
}
