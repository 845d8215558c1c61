// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/juju/juju/core/status"
	"github.com/juju/juju/rpc/params"

	"github.com/signet-charm/signet/internal/juju"
)

// errLabelTaken says that a secret to be created exists: somebody made it after the labels were listed.
var errLabelTaken = errors.New("a secret with this label exists")

// Commit makes one CommitHookChanges of secrets, databags and unit state, as a unit agent does at the end of a hook. The
// controller carries out the secrets first and one by one, then the rest in one transaction that also checks
// leadership. The status is a call of its own and comes last, so that it never promises what did not happen.
func (l *link) Commit(ctx context.Context, changes juju.Changes) error {
	if err := checkText(changes); err != nil {
		return fmt.Errorf("cannot commit changes: %w", err)
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	c, err := l.client(ctx)
	if err != nil {
		return fmt.Errorf("cannot commit changes: %w", err)
	}
	if err := c.tellVersion(changes.Version); err != nil {
		return err
	}
	if err = c.commitHook(changes); errors.Is(err, errLabelTaken) {
		err = c.commitHook(changes) // now the labels include it, and its content can be compared
	}
	if err != nil {
		return fmt.Errorf("cannot commit changes: %w", c.blame(err, changes))
	}
	if changes.Status == nil {
		return nil
	}
	if err := c.self.SetUnitStatus(status.Status(changes.Status.Level), changes.Status.Message, nil); err != nil {
		return fmt.Errorf("cannot set the unit's status: %w", err)
	}
	return nil
}

// tellVersion tells the version, before the unit's state remembers that it was told. A controller that does not know of
// versions shows none.
func (c *client) tellVersion(version string) error {
	if version == "" {
		return nil
	}
	var result params.ErrorResults
	err := c.call("Uniter", "SetWorkloadVersion", params.EntityWorkloadVersions{
		Entities: []params.EntityWorkloadVersion{{Tag: c.unit.String(), WorkloadVersion: version}},
	}, &result)
	if err == nil {
		err = result.OneError()
	}
	if err != nil && code(err) != params.CodeNotImplemented {
		return fmt.Errorf("cannot tell the version: %w", err)
	}
	return nil
}

// blame makes a refusal for lack of leadership a juju.ErrNotLeader. The controller says "unauthorized" for that as well
// as for other things; asking it who leads tells which.
func (c *client) blame(err error, changes juju.Changes) error {
	lost := notLeader(err)
	if !lost && changes.NeedsLeadership() && code(err) == params.CodeUnauthorized {
		leader, asked := c.leader()
		lost = asked == nil && !leader
	}
	if lost {
		return fmt.Errorf("%w: %w", juju.ErrNotLeader, err)
	}
	return err
}

// commitHook commits all but the status.
func (c *client) commitHook(changes juju.Changes) error {
	arg := params.CommitHookChangesArg{Tag: c.unit.String()}
	published, err := c.addSecrets(&arg, changes.Secrets)
	if err != nil {
		return err
	}
	if published, err = c.mend(published, changes); err != nil {
		return err
	}
	if err := c.addBags(&arg, changes.Relations, published); err != nil {
		return err
	}
	if err := c.addState(&arg, changes.State); err != nil {
		return err
	}
	if len(arg.SecretCreates)+len(arg.SecretUpdates)+len(arg.RelationUnitSettings) == 0 && arg.SetUnitState == nil {
		return nil
	}
	var results params.ErrorResults
	err = c.call("Uniter", "CommitHookChanges", params.CommitHookChangesArgs{Args: []params.CommitHookChangesArg{arg}}, &results)
	if err == nil {
		if err = expect(1, len(results.Results), "outcomes"); err == nil {
			err = resultError(results.Results[0].Error)
		}
	}
	switch {
	case err == nil:
		c.memory.wrote(arg.RelationUnitSettings)
	case answered(err):
		c.memory.failed(arg.RelationUnitSettings)
	default:
		c.memory.unanswered(time.Now())
	}
	if err != nil && len(arg.SecretCreates) > 0 && strings.Contains(err.Error(), "already exists") {
		return fmt.Errorf("%w: %w", errLabelTaken, err)
	}
	return err
}

// addSecrets adds the secrets, and gives the keys that tell the other units of the application where its secrets are.
// A secret to be created whose label is taken is that secret if their content is the same. Another content is the work of
// another leader, who was not seen when this was decided, and stays: labels are what Juju lets only one leader take.
func (c *client) addSecrets(arg *params.CommitHookChangesArg, wanted []juju.Secret) (juju.Bag, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	if !c.canSecrets {
		return nil, errors.New("this model has no secrets; they need Juju 3.0 or later")
	}
	if err := c.checkBackend(); err != nil {
		return nil, err
	}
	listed, err := c.listSecrets()
	if err != nil {
		return nil, err
	}
	published := juju.Bag{}
	for _, secret := range wanted {
		values, err := secretArgs(secret)
		if err != nil {
			return nil, err
		}
		have := existing(listed, secret)
		switch {
		case have.URI == "":
			if have.URI, err = c.newURI(); err != nil {
				return nil, err
			}
			arg.SecretCreates = append(arg.SecretCreates,
				params.CreateSecretArg{UpsertSecretArg: values, URI: &have.URI, OwnerTag: c.ownerTag(secret).String()})
		case secret.URI == "":
			if err := c.sameContent(have, secret); err != nil {
				return nil, err
			}
		case have.checksum != values.Content.Checksum: // the controller would make a revision of the same content, too
			values.Label = nil // it has it
			arg.SecretUpdates = append(arg.SecretUpdates, params.UpdateSecretArg{UpsertSecretArg: values, URI: have.URI})
		}
		if secret.Owner != juju.OwnedByUnit {
			published[secretKeyPrefix+secret.Label] = have.URI
		}
	}
	return published, nil
}

// existing finds the secret that this one is to be: by its URI, else by owner and label. One without a URI is yet to be
// created; one whose URI is not listed is left to the controller to refuse.
func existing(listed []ownSecret, secret juju.Secret) ownSecret {
	for _, have := range listed {
		sameLabel := have.Label == secret.Label && (have.Owner == juju.OwnedByUnit) == (secret.Owner == juju.OwnedByUnit)
		if have.URI == secret.URI || (secret.URI == "" && sameLabel) {
			return have
		}
	}
	return ownSecret{Secret: juju.Secret{URI: secret.URI}}
}

// sameContent fails when a secret that exists has another content than one to be created of its label.
func (c *client) sameContent(have ownSecret, secret juju.Secret) error {
	found := []ownSecret{have}
	if err := c.readContents(found); err != nil {
		return err
	}
	if !maps.Equal(found[0].Content, secret.Content) {
		return fmt.Errorf("%w: secret %s was made", juju.ErrMoved, secret.Label)
	}
	return nil
}

// newURI reserves the URI of a secret to be.
func (c *client) newURI() (string, error) {
	uris, err := c.secrets.CreateSecretURIs(1)
	if err != nil {
		return "", fmt.Errorf("cannot reserve the URI of a secret: %w", err)
	}
	return uriOf(uris[0].ID), nil
}

// checkBackend refuses to put a secret into the controller where the model's secrets belong elsewhere: Juju would take
// it, and its unit agent would later move it to where this program cannot read it.
func (c *client) checkBackend() error {
	var backends params.SecretBackendConfigResults
	err := c.call("SecretsManager", "GetSecretBackendConfigs", params.SecretBackendArgs{}, &backends)
	switch code(err) {
	case params.CodeNotImplemented, params.CodeNotFound: // a controller of old, which is its own back end
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot tell the model's secret back end: %w", err)
	}
	if active, found := backends.Results[backends.ActiveID]; found && active.Config.BackendType != internalBackend {
		return fmt.Errorf("cannot commit a secret: %w", externalBackend(active.Config.BackendType, backends.ActiveID))
	}
	return nil
}

// mend adds the keys of secrets that the other units cannot find, if the unit may write them.
func (c *client) mend(published juju.Bag, changes juju.Changes) (juju.Bag, error) {
	c.mu.Lock()
	unlisted := maps.Clone(c.unlisted)
	c.mu.Unlock()
	if len(unlisted) == 0 {
		return published, nil
	}
	leader := changes.NeedsLeadership()
	if !leader {
		var err error
		if leader, err = c.leader(); err != nil || !leader {
			return published, err
		}
	}
	return merged(unlisted, published), nil
}

// checkText holds keys and values to UTF-8: on the way, JSON would make something else of what is not.
func checkText(changes juju.Changes) error {
	bags := map[string]map[string]string{"unit state": changes.State}
	for _, change := range changes.Relations {
		bags["databag of relation "+change.Key] = change.Unit
		bags["application databag of relation "+change.Key] = change.App
	}
	for where, bag := range bags {
		for key, value := range bag {
			if key == "" || !utf8.ValidString(key) || !utf8.ValidString(value) {
				return fmt.Errorf("key %q of the %s: key and value must be UTF-8 text, and the key not empty", key, where)
			}
		}
	}
	return nil
}

// addBags adds what changes in the databags. Where the application's secrets are goes into the peer relation's.
func (c *client) addBags(arg *params.CommitHookChangesArg, changes []juju.RelationChange, published juju.Bag) error {
	if len(changes) == 0 && len(published) == 0 {
		return nil
	}
	relations, _, err := c.joined()
	if err != nil {
		return err
	}
	byID := map[int]juju.RelationChange{}
	for _, change := range changes {
		byID[change.ID] = change
	}
	for _, j := range relations {
		change := byID[j.relation.ID]
		delete(byID, j.relation.ID)
		if j.relation.Endpoint.Role == juju.Peers && len(published) > 0 {
			change.App = merged(change.App, published)
		}
		if len(change.Unit)+len(change.App) > 0 {
			arg.RelationUnitSettings = append(arg.RelationUnitSettings, params.RelationUnitSettings{
				Relation: j.tag.String(), Unit: c.unit.String(),
				Settings: params.Settings(change.Unit), ApplicationSettings: params.Settings(change.App),
			})
		}
	}
	for _, change := range byID {
		return fmt.Errorf("the unit no longer takes part in relation %s (ID %d); look again", change.Key, change.ID)
	}
	return nil
}

// addState adds the unit's whole state, because the controller replaces it as a whole.
func (c *client) addState(arg *params.CommitHookChangesArg, changes map[string]string) error {
	if len(changes) == 0 {
		return nil
	}
	have, err := c.self.State()
	if err != nil {
		return fmt.Errorf("cannot read the unit's state: %w", err)
	}
	state := maps.Clone(have.CharmState)
	if state == nil {
		state = map[string]string{}
	}
	for key, value := range changes {
		if value == "" {
			delete(state, key)
		} else {
			state[key] = value
		}
	}
	arg.SetUnitState = &params.SetUnitStateArg{Tag: c.unit.String(), CharmState: &state}
	return nil
}

// merged gives a databag change with more keys in it.
func merged(change, more juju.Bag) juju.Bag {
	result := maps.Clone(change)
	if result == nil {
		result = juju.Bag{}
	}
	maps.Copy(result, more)
	return result
}
