// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/juju"
)

// idle is a unit whose every turn changes nothing.
func idle() *fakeUnit {
	return &fakeUnit{snap: juju.Snapshot{
		Unit: "signet/0", Config: map[string]any{"authority": "none"},
		State:  map[string]string{"config": `{"authority":"none"}`},
		Status: juju.Status{Level: juju.Active, Message: "idle: nothing is related"},
	}}
}

// serving runs a service in a synctest bubble until the test ends.
func serving(t *testing.T, f *fakeUnit) (changes chan struct{}, hooks *pipes) {
	changes, hooks = make(chan struct{}, 1), newPipes()
	service := &agent.Service{Unit: f.unit(), Changes: changes, Hooks: hooks}
	ended := make(chan error)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- service.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return changes, hooks
}

func TestServeTakesATurnForEachReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := idle()
		changes, hooks := serving(t, f)
		synctest.Wait()
		require.Equal(t, 0, f.count(), "whoever watches the model reports at once; there is nothing to see before")

		changes <- struct{}{}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, 1, f.count())

		require.JSONEq(t, `{"level":"active","message":"idle: nothing is related"}`, ask(t, hooks))
		require.Equal(t, 2, f.count())

		time.Sleep(25 * time.Hour)
		synctest.Wait()
		require.Equal(t, 3, f.count(), "a missed event is found in a day")
	})
}

// Who asks while a turn waits for more is served by that turn. While turns publish and more is there already, they wait longer.
func TestServeGathersReasons(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := idle()
		changes, hooks := serving(t, f)
		answers := make(chan string)
		changes <- struct{}{}
		time.Sleep(time.Millisecond)
		for range 5 {
			go func() {
				conn := hooks.dial()
				defer conn.Close()
				_, _ = fmt.Fprintln(conn, `{"hook":"config-changed"}`)
				line, _ := bufio.NewReader(conn).ReadString('\n')
				answers <- line
			}()
		}
		changes <- struct{}{}
		for range 5 {
			require.NotEmpty(t, <-answers)
		}
		synctest.Wait()
		require.Equal(t, 1, f.count())
	})
}

func TestServeLooksThoughNobodyReports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := idle()
		serving(t, f)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, f.count())
	})
}

func TestServeBacksOffAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := idle()
		changes, hooks := serving(t, f)
		f.setFailure(fmt.Errorf("dial: %w", juju.ErrUnreachable))
		changes <- struct{}{}
		time.Sleep(time.Hour)
		synctest.Wait()
		// The pauses grow to 5 min at most, drawn between nothing and that: an hour has room for some dozens.
		require.Greater(t, f.count(), 12)
		require.Less(t, f.count(), 80)
		require.Contains(t, ask(t, hooks), "juju is unreachable")

		f.setFailure(nil)
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		recovered := f.count()
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, recovered, f.count(), "a turn that works ends the trying")
	})
}

func TestServeIgnoresNonsenseOnItsSocket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := idle()
		_, hooks := serving(t, f)
		silent := hooks.dial()
		defer silent.Close()
		junk := hooks.dial()
		_, err := junk.Write([]byte("GET / HTTP/1.1\r\n"))
		require.NoError(t, err)
		_, err = bufio.NewReader(junk).ReadByte()
		require.Error(t, err, "it hangs up")
		require.Zero(t, f.count())
		require.NotEmpty(t, ask(t, hooks))
	})
}

// Without free file handles no connection can be taken for a while. Hooks wait, and are served when there are some.
func TestServeOutlivesAFailedAccept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := idle()
		_, hooks := serving(t, f)
		for range 3 {
			hooks.failures <- syscall.EMFILE
		}
		require.NotEmpty(t, ask(t, hooks))
	})
}

func ask(t *testing.T, hooks *pipes) string {
	t.Helper()
	conn := hooks.dial()
	defer conn.Close()
	_, err := fmt.Fprintln(conn, `{"hook":"config-changed"}`)
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	return line
}

func TestHooksFindTheAgentOnItsSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	_, err := agent.Ask(t.Context(), path, "install")
	require.ErrorIs(t, err, agent.ErrNoAgent)

	listener, err := agent.Listen(path)
	require.NoError(t, err)
	f := idle()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	service := &agent.Service{Unit: f.unit(), Hooks: listener}
	go func() { ended <- service.Serve(ctx) }()

	outcome, err := agent.Ask(t.Context(), path, "config-changed")
	require.NoError(t, err)
	require.Equal(t, "idle: nothing is related", outcome.Status.Message)
	outcome, err = agent.AskAction(t.Context(), path, juju.Action{Name: "no-such", Params: map[string]any{"pem": strings.Repeat("x", 100_000)}})
	require.NoError(t, err)
	require.Equal(t, "no-such cannot be done by this unit now: see its status", outcome.Result.Failure)
	f.setFailure(errors.New("the disk is full"))
	_, err = agent.Ask(t.Context(), path, "config-changed")
	require.EqualError(t, err, "the agent's turn failed: cannot read the model: the disk is full")
	require.NotErrorIs(t, err, agent.ErrNoAgent)

	stop()
	require.NoError(t, <-ended)
	_, err = agent.Ask(t.Context(), path, "config-changed")
	require.ErrorIs(t, err, agent.ErrNoAgent)
}

// An agent that goes away in the middle of an action may have done it: unlike a turn, it is not done again by itself.
func TestAnActionIsNotDoneTwice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := agent.Listen(path)
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(conn).ReadString('\n')
			_ = conn.Close()
		}
	}()
	_, err = agent.Ask(t.Context(), path, "config-changed")
	require.ErrorIs(t, err, agent.ErrNoAgent)
	_, err = agent.AskAction(t.Context(), path, juju.Action{Name: "rotate-ca"})
	require.ErrorContains(t, err, "the agent went away during action rotate-ca, and may have done it")
	require.NotErrorIs(t, err, agent.ErrNoAgent)
}

// A killed agent leaves its socket behind; its successor takes its place.
func TestListenReplacesADeadSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	dead.SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	listener, err := agent.Listen(path)
	require.NoError(t, err)
	require.NoError(t, listener.Close())
}
