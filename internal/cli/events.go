// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-charm/signet/internal/audit"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/hooktool"
	"github.com/signet-charm/signet/internal/ledger"
)

// maxTold is how many entries of the record one hook tells; the rest waits for the next one.
const maxTold = 200

// tell has Juju's log hold the security events that were recorded since the last hook, by the agent or by a hook. They have
// the level at which the ops framework tells them (TRACE), which a model keeps when its logging-config says so; checkpoints,
// of which the log is to be witness, have one that is kept anyway.
func (p *program) tell(ctx context.Context, env hooktool.Environment, at place) (err error) {
	entries, done, err := disk.Untold(at.stateDir, maxTold)
	if err != nil || len(entries) == 0 {
		return errors.Join(err, done())
	}
	session, err := hooktool.Open(env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	for _, entry := range entries {
		line, is := audit.Event(audit.AppID(env.ModelUUID, env.Unit), entry)
		if !is {
			continue
		}
		level := "TRACE"
		if entry.Event == ledger.Checkpoint {
			level = "INFO"
		}
		if err := session.Log(ctx, level, line); err != nil {
			return fmt.Errorf("cannot write to Juju's log: %w", err)
		}
	}
	return done()
}

// tellJournald writes security events where the agent's own log goes, which Juju does not see: its log has them from the
// next hook.
func (p *program) tellJournald(appID string, entries []ledger.Entry) {
	for _, entry := range entries {
		if line, is := audit.Event(appID, entry); is {
			fmt.Fprintln(p.stderr, line)
		}
	}
}
