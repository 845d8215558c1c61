// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/view"
)

// shownOn is a service on a socket of its own, until the test ends.
func shownOn(t *testing.T, f *fakeUnit) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "signet-") //nolint:usetesting // paths of sockets are short, and the test's folder is deep
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "agent.sock")
	listener, err := agent.Listen(path)
	require.NoError(t, err)
	service := &agent.Service{Unit: f.unit(), Changes: make(chan struct{}), Hooks: listener}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- service.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return path
}

func TestAViewIsAnsweredWithoutATurn(t *testing.T) {
	t.Parallel()
	f := idle()
	path := shownOn(t, f)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	_, err = agent.AskView(t.Context(), path)
	require.ErrorContains(t, err, "the agent shows nothing: no turn has come to its end yet")
	require.Zero(t, f.count())

	_, err = agent.Ask(t.Context(), path, "update-status")
	require.NoError(t, err)
	committed := len(f.committed)
	for range 3 {
		found, err := agent.AskView(t.Context(), path)
		require.NoError(t, err)
		require.Equal(t, "signet/0", found.Unit)
		require.Equal(t, view.Condition(f.snap.Status), found.Status)
	}
	require.Equal(t, 1, f.count())
	require.Len(t, f.committed, committed)
}

// A turn may take minutes, in which people want to know how things are.
func TestAViewWaitsForNoTurn(t *testing.T) {
	t.Parallel()
	f := idle()
	path := shownOn(t, f)
	_, err := agent.Ask(t.Context(), path, "update-status")
	require.NoError(t, err)

	f.mu.Lock() // the next turn's snapshot waits here
	turned := make(chan error, 1)
	go func() {
		_, err := agent.Ask(context.Background(), path, "config-changed")
		turned <- err
	}()
	_, err = agent.AskView(t.Context(), path)
	f.mu.Unlock()
	require.NoError(t, err)
	require.NoError(t, <-turned)
}

func TestViewsAndTurnsAtOnce(t *testing.T) {
	t.Parallel()
	f := idle()
	path := shownOn(t, f)
	_, err := agent.Ask(t.Context(), path, "update-status")
	require.NoError(t, err)
	var askers sync.WaitGroup
	problems := make(chan error, 40)
	for range 10 {
		askers.Go(func() {
			_, err := agent.Ask(context.Background(), path, "update-status")
			problems <- err
		})
		askers.Go(func() {
			_, err := agent.AskView(context.Background(), path)
			problems <- err
		})
	}
	askers.Wait()
	close(problems)
	for err := range problems {
		require.NoError(t, err)
	}
}

func TestATurnThatFailsIsSeen(t *testing.T) {
	t.Parallel()
	f := idle()
	path := shownOn(t, f)
	_, err := agent.Ask(t.Context(), path, "update-status")
	require.NoError(t, err)
	f.setFailure(errors.New("the controller is gone"))
	_, err = agent.Ask(t.Context(), path, "update-status")
	require.Error(t, err)
	found, err := agent.AskView(t.Context(), path)
	require.NoError(t, err)
	require.Contains(t, found.Trouble, "the controller is gone")
	require.Equal(t, juju.Active, found.Status.Level)
}

// An agent of another version, or whoever sits on the socket, must neither hang nor mislead who asks.
func TestAnswersThatAreNoView(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ said, want string }{
		"an older agent's turn": {`{"level":"active"}` + "\n", "the agent is of an older version"},
		"nonsense":              {"nonsense\n", "cannot read the agent's view"},
		"nothing":               {"", "cannot read the agent's view"},
		"half of a view":        {`{"view":{"unit":"signet/0"`, "cannot read the agent's view"},
	} {
		path := filepath.Join(t.TempDir(), "s")
		if len(path) > 100 {
			path = filepath.Join(os.TempDir(), "signet-"+strings.ReplaceAll(sentence, " ", "-")+".sock")
			t.Cleanup(func() { _ = os.Remove(path) })
		}
		listener, err := agent.Listen(path)
		require.NoError(t, err)
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			var asked map[string]any
			_ = json.NewDecoder(conn).Decode(&asked)
			_, _ = conn.Write([]byte(c.said))
		}()
		_, err = agent.AskView(t.Context(), path)
		require.ErrorContains(t, err, c.want, sentence)
		require.NoError(t, listener.Close())
	}
	_, err := agent.AskView(t.Context(), filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, agent.ErrNoAgent)
}
