// SPDX-License-Identifier: AGPL-3.0-only

package hooktool

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/signet-charm/signet/internal/juju"
)

// Commit hands the changes to the agent, which buffers all but the status: secrets, bags and state take effect together
// when the hook ends well. After an error the hook must end badly, so that nothing of a part of them does.
func (s *Session) Commit(ctx context.Context, changes juju.Changes) error {
	if changes.Empty() {
		return nil
	}
	if err := check(changes); err != nil {
		return err
	}
	leader := false
	if err := s.read(ctx, &leader, "is-leader"); err != nil {
		return err
	}
	if changes.NeedsLeadership() && !leader {
		return fmt.Errorf("cannot commit the changes: %w", juju.ErrNotLeader)
	}
	created, err := s.writeSecrets(ctx, changes.Secrets)
	if err != nil {
		return err
	}
	if leader {
		if err := s.listSecrets(ctx, created); err != nil {
			return err
		}
	}
	for _, change := range changes.Relations {
		if err := s.writeBags(ctx, change); err != nil {
			return err
		}
	}
	if err := s.writeVersion(ctx, changes.Version); err != nil {
		return err
	}
	if err := s.writeState(ctx, changes.State); err != nil {
		return err
	}
	return s.writeStatus(ctx, changes.Status)
}

// check refuses what the agent could not carry before anything is written.
func check(changes juju.Changes) error {
	for _, change := range changes.Relations {
		if err := checkText("databag of relation "+change.Key, change.Unit); err != nil {
			return err
		}
		if err := checkText("application databag of relation "+change.Key, change.App); err != nil {
			return err
		}
	}
	for _, secret := range changes.Secrets {
		if len(secret.Content) == 0 {
			return fmt.Errorf("cannot write the secret labelled %q: it has no content", secret.Label)
		}
		if err := checkText("secret labelled "+strconv.Quote(secret.Label), secret.Content); err != nil {
			return err
		}
	}
	return checkText("unit state", changes.State)
}

// checkText holds keys and values to UTF-8: whatever is not would arrive as something else.
func checkText(where string, values map[string]string) error {
	for key, value := range values {
		if key == "" || !utf8.ValidString(key) || !utf8.ValidString(value) {
			return fmt.Errorf("cannot write key %q of the %s: key and value must be UTF-8 text, the key not empty", key, where)
		}
	}
	return nil
}

// listSecrets tells the other units where the application's secrets are; see secretKey.
func (s *Session) listSecrets(ctx context.Context, created map[string]string) error {
	wanted := maps.Clone(s.unlisted)
	if wanted == nil {
		wanted = map[string]string{}
	}
	maps.Copy(wanted, created)
	if len(wanted) == 0 {
		return nil
	}
	peers, found, err := s.peers(ctx)
	if err != nil || !found {
		return err // without a peer relation there are no other units yet; a later turn lists the secrets
	}
	listed, err := s.listedSecrets(ctx)
	if err != nil {
		return err
	}
	change := juju.Bag{}
	for label, uri := range wanted {
		if listed[label] != uri {
			change[secretKey+label] = uri
		}
	}
	return s.writeBags(ctx, juju.RelationChange{ID: peers.ID, Key: peers.Key(), App: change})
}

// writeBags sets the databags of one relation; the application's first, which may be refused.
func (s *Session) writeBags(ctx context.Context, change juju.RelationChange) error {
	id := strconv.Itoa(change.ID)
	if len(change.App) > 0 {
		if _, err := s.run(ctx, settings(change.App), "relation-set", "-r", id, "--app", "--file", "-"); err != nil {
			return fmt.Errorf("cannot write the application databag of relation %s: %w", change.Key, leadership(err))
		}
	}
	if len(change.Unit) > 0 {
		if _, err := s.run(ctx, settings(change.Unit), "relation-set", "-r", id, "--file", "-"); err != nil {
			return fmt.Errorf("cannot write the databag of relation %s: %w", change.Key, err)
		}
	}
	return nil
}

// writeState sets and removes keys of the unit state.
func (s *Session) writeState(ctx context.Context, state map[string]string) error {
	set := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(state)) {
		if state[key] != "" {
			set[key] = state[key]
			continue
		}
		if _, err := s.run(ctx, nil, "state-delete", "--", key); err != nil {
			return fmt.Errorf("cannot remove unit state %q: %w", key, err)
		}
	}
	if len(set) == 0 {
		return nil
	}
	if _, err := s.run(ctx, settings(set), "state-set", "--file", "-"); err != nil {
		return fmt.Errorf("cannot write unit state: %w", err)
	}
	return nil
}

// writeVersion tells the version, which is seen at once.
func (s *Session) writeVersion(ctx context.Context, version string) error {
	if version == "" {
		return nil
	}
	if _, err := s.run(ctx, nil, "application-version-set", "--", version); err != nil {
		return fmt.Errorf("cannot tell the version: %w", err)
	}
	return nil
}

// writeStatus is last: unlike all else it is seen at once, and it tells of what was written before.
func (s *Session) writeStatus(ctx context.Context, status *juju.Status) error {
	if status == nil {
		return nil
	}
	if _, err := s.run(ctx, nil, "status-set", "--", string(status.Level), status.Message); err != nil {
		return fmt.Errorf("cannot set the status: %w", err)
	}
	return nil
}

// settings encodes a map as the YAML that relation-set and state-set read from their standard input. Go's ASCII quoting
// is a subset of YAML's double-quoted style, so no value can be taken for a number, a date or a document of its own, and
// control characters survive. Keys are marked with a question mark, since a key without one ends at 1024 characters.
func settings(values map[string]string) []byte {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text.WriteString("? " + strconv.QuoteToASCII(key) + "\n: " + strconv.QuoteToASCII(values[key]) + "\n")
	}
	return []byte(text.String())
}

// leadership turns Juju's refusals for want of leadership into juju.ErrNotLeader.
func leadership(err error) error {
	if refused(err, "this unit is not the leader", "cannot write relation settings", "not leader") {
		return fmt.Errorf("%w: %w", juju.ErrNotLeader, err)
	}
	return err
}
