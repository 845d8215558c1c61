// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/juju/juju/api/base"
	"github.com/juju/juju/rpc/params"

	"github.com/signet-charm/signet/internal/juju"
)

// callLimit is how long one call may take. The connection's own pings (every minute, 30 s each) find a dead network;
// this finds a controller that answers pings and nothing else.
const callLimit = time.Minute

// caller makes Juju's client library, which knows no contexts, give up when one ends, and tells what a controller
// answered from a connection that broke: the latter is always a juju.ErrUnreachable.
type caller struct {
	base.APICaller
	ctx context.Context //nolint:containedctx // the library's facades take a caller, not a context
}

// APICall is as the library's. An abandoned call's answer goes nowhere, and its goroutine ends with the connection.
func (c caller) APICall(facade string, version int, id, method string, args, response any) error {
	ctx := c.ctx
	if method != "Next" && method != "BlockUntilLeadershipReleased" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, callLimit,
			fmt.Errorf("%w: no answer within %s", juju.ErrUnreachable, callLimit))
		defer cancel()
	}
	done := make(chan error, 1)
	go func() { done <- c.APICaller.APICall(facade, version, id, method, args, response) }()
	var err error
	select {
	case err = <-done:
		if err == nil || answered(err) {
			return err
		}
		err = fmt.Errorf("%w: %w", juju.ErrUnreachable, err)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if method == "Stop" {
		return nil // a watcher needs no stopping on a connection that is gone
	}
	return fmt.Errorf("cannot call %s.%s: %w", facade, method, err)
}

// answered reports whether an error is what the controller said, and not what became of the connection.
func answered(err error) bool {
	var coder interface{ ErrorCode() string }
	return errors.As(err, &coder)
}

// code is the error code the controller gave, a params.Code constant; empty for none.
func code(err error) string {
	var coder interface{ ErrorCode() string }
	if errors.As(err, &coder) {
		return coder.ErrorCode()
	}
	return params.ErrCode(err) // what the library made of the well known ones
}

// gone reports whether the controller answered that there is no such thing. It says "unauthorized" for what it does not
// want to tell apart from another application's.
func gone(err error) bool {
	switch code(err) {
	case params.CodeUnauthorized, params.CodeNotAssigned:
		return true
	}
	return absent(err)
}

// absent reports whether the controller answered, in so many words, that there is no such thing. Juju 4 has codes of its
// own for what is missing of secrets (its domain/secret/errors), which the library of Juju 3 does not know.
func absent(err error) bool {
	switch code(err) {
	case params.CodeNotFound, "secret not found", "secret revision not found", "secret consumer not found":
		return true
	}
	return false
}

// notLeader reports whether the controller answered that this unit is not the leader. Juju has no code for it in a
// commit (core/leadership's error has none, and secrets' errors are joined as text), so its words are all there is.
func notLeader(err error) bool {
	return answered(err) && (code(err) == params.CodeNotLeader || strings.Contains(err.Error(), "is not leader of"))
}

// resultError is the error of one result among several; a nil *params.Error is not a nil error.
func resultError(err *params.Error) error {
	if err == nil {
		return nil
	}
	return err
}
