// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/signet-charm/signet/internal/juju"
)

// The local socket carries one JSON line each way: a hook's question and, when the turn is over, its outcome; or the question
// for a view, and the view.

type question struct {
	Hook   string       `json:"hook"` // for the log
	Action *juju.Action `json:"action,omitempty"`
	View   bool         `json:"view,omitempty"` // show what the last turn came to, and take none
	Days   int          `json:"days,omitempty"` // instead, rehearse so many days, and take no turn
}

type reply struct {
	Level   juju.Level  `json:"level,omitempty"`
	Message string      `json:"message,omitempty"`
	Error   string      `json:"error,omitempty"`
	Result  juju.Result `json:"result,omitzero"`
}

// ErrNoAgent says that no agent answers on the socket, so whoever asked takes the turn itself.
var ErrNoAgent = errors.New("no agent answers")

const (
	dialTimeout     = 2 * time.Second
	questionTimeout = 5 * time.Second
	turnTimeout     = 5 * time.Minute // a hook that waited so long takes the turn itself
	acceptPause     = time.Second     // after a connection that could not be taken, for example without free file handles
	longestLine     = 1 << 20         // an action brings whole chains of certificates
)

// Listen opens the local socket at a path in the unit's folder, for its owner only. It takes the place of one that a
// killed agent left behind.
func Listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot clear the agent's socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the agent's socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot protect the agent's socket: %w", err), listener.Close())
	}
	return listener, nil
}

// Ask has the agent at the socket take a turn for a hook, and waits for its outcome. The error is ErrNoAgent when none
// listens there, else the turn's own.
func Ask(ctx context.Context, path, hook string) (Outcome, error) {
	return ask(ctx, path, question{Hook: hook})
}

// AskAction has the agent at the socket do an operator's action, as Ask does for a hook. The error is ErrNoAgent only when
// nothing was done.
func AskAction(ctx context.Context, path string, action juju.Action) (Outcome, error) {
	return ask(ctx, path, question{Hook: "action " + action.Name, Action: &action})
}

func ask(ctx context.Context, path string, asked question) (Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, turnTimeout)
	defer cancel()
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return Outcome{}, fmt.Errorf("%w on %s", ErrNoAgent, path)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := json.NewEncoder(conn).Encode(asked); err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	var answer reply
	if err := readLine(conn, &answer); err != nil {
		if asked.Action != nil { // which, unlike a turn, must not be done twice
			return Outcome{}, fmt.Errorf("the agent went away during %s, and may have done it: see the status, and run it again if not", asked.Hook)
		}
		return Outcome{}, fmt.Errorf("%w: it went away during the turn: %w", ErrNoAgent, err)
	}
	if answer.Error != "" {
		return Outcome{}, fmt.Errorf("the agent's turn failed: %s", answer.Error)
	}
	return Outcome{Status: juju.Status{Level: answer.Level, Message: answer.Message}, Result: answer.Result}, nil
}

// accept serves hooks until the listener is closed. A connection that cannot be taken waits for the next try.
func (s *Service) accept(ctx context.Context, hooks *sync.WaitGroup) {
	for {
		conn, err := s.Hooks.Accept()
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil {
			s.Unit.Log.Error("cannot take a hook's connection", "error", err)
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
			continue
		}
		hooks.Go(func() {
			defer conn.Close()
			if err := s.answer(ctx, conn); err != nil {
				s.Unit.Log.Warn("cannot answer a hook", "error", err)
			}
		})
	}
}

func (s *Service) answer(ctx context.Context, conn net.Conn) error {
	var asked question
	_ = conn.SetReadDeadline(time.Now().Add(questionTimeout))
	if err := readLine(conn, &asked); err != nil {
		return err
	}
	if asked.View && asked.Days != 0 {
		return s.rehearse(ctx, conn, asked.Days)
	}
	if asked.View {
		return s.show(conn)
	}
	turned := make(chan result, 1)
	select {
	case s.waiting <- waiter{asked.Hook, asked.Action, turned}:
	case <-ctx.Done():
		return nil // the caller sees the closed connection and takes the turn itself
	}
	done := <-turned
	answer := reply{Level: done.outcome.Status.Level, Message: done.outcome.Status.Message, Result: done.outcome.Result}
	if done.err != nil {
		answer.Error = done.err.Error()
	}
	return json.NewEncoder(conn).Encode(answer)
}

func readLine(from io.Reader, into any) error {
	line, err := bufio.NewReader(io.LimitReader(from, longestLine)).ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, into)
}
