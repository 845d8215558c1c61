// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"
	coresecrets "github.com/juju/juju/core/secrets"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"

	"github.com/signet-charm/signet/internal/juju"
)

// secretsAPI is the facade SecretsManager 4, with the backend that keeps content in the controller.
type secretsAPI struct{ *session }

// GetSecretBackendConfigs tells that content goes to the controller itself.
func (a *secretsAPI) GetSecretBackendConfigs(arg params.SecretBackendArgs) (params.SecretBackendConfigResults, error) {
	id := a.controller.uuid
	results := params.SecretBackendConfigResults{ActiveID: id, Results: map[string]params.SecretBackendConfigResult{}}
	if len(arg.BackendIDs) == 0 || slices.Contains(arg.BackendIDs, id) {
		results.Results[id] = params.SecretBackendConfigResult{
			ControllerUUID: id, ModelUUID: a.model.uuid, ModelName: a.model.name,
			Draining: arg.ForDrain, Config: params.SecretBackendConfig{BackendType: "controller"},
		}
	}
	return results, nil
}

// CreateSecretURIs reserves URIs for secrets to create.
func (a *secretsAPI) CreateSecretURIs(arg params.CreateSecretURIsArg) (params.StringResults, error) {
	uris, err := a.model.ReserveSecretURIs(a.loggedIn(), arg.Count)
	if errors.Is(err, errors.NotValid) {
		return params.StringResults{}, err
	}
	var results params.StringResults
	if err != nil {
		results.Results = slices.Repeat([]params.StringResult{{Error: apiservererrors.ServerError(err)}}, arg.Count)
	}
	for _, uri := range uris {
		results.Results = append(results.Results, params.StringResult{Result: uri})
	}
	return results, nil
}

// GetSecretMetadata lists the secrets that the unit may manage.
func (a *secretsAPI) GetSecretMetadata() (params.ListSecretMetadataResults, error) {
	var results params.ListSecretMetadataResults
	infos, err := a.model.OwnSecrets(a.loggedIn())
	if err != nil {
		return results, err
	}
	for _, info := range infos {
		result := params.ListSecretMetadataResult{
			URI: info.URI, Version: 1, OwnerTag: ownerTag(info.Owner), RotatePolicy: info.Rotate, NextRotateTime: info.NextRotate,
			Description: info.Description, Label: info.Label, LatestRevision: info.Latest,
			LatestRevisionChecksum: info.Checksum, LatestExpireTime: info.Expire,
			CreateTime: info.Created, UpdateTime: info.Updated,
		}
		for _, name := range slices.Sorted(maps.Keys(info.Access)) {
			if role := coresecrets.SecretRole(info.Access[name]); role == coresecrets.RoleView {
				result.Access = append(result.Access, params.AccessInfo{TargetTag: ownerTag(name), ScopeTag: ownerTag(name), Role: role})
			}
		}
		results.Results = append(results.Results, result)
	}
	return results, nil
}

// GetSecretContentInfo reads contents.
func (a *secretsAPI) GetSecretContentInfo(args params.GetSecretContentArgs) params.SecretContentResults {
	results := params.SecretContentResults{Results: make([]params.SecretContentResult, len(args.Args))}
	for i, arg := range args.Args {
		content, err := a.model.SecretContent(a.loggedIn(), SecretQuery{
			URI: arg.URI, Label: arg.Label, Refresh: arg.Refresh, Peek: arg.Peek,
		})
		results.Results[i].Content.Data = content
		results.Results[i].Error = apiservererrors.ServerError(err)
	}
	return results
}

// GetSecretRevisionContentInfo reads revisions of a secret that the unit manages.
func (a *secretsAPI) GetSecretRevisionContentInfo(arg params.SecretRevisionArg) (params.SecretContentResults, error) {
	if err := a.model.CheckManages(a.loggedIn(), arg.URI); err != nil {
		return params.SecretContentResults{}, err
	}
	results := params.SecretContentResults{Results: make([]params.SecretContentResult, len(arg.Revisions))}
	for i, number := range arg.Revisions {
		content, err := a.model.SecretRevisionContent(a.loggedIn(), arg.URI, number)
		results.Results[i].Content.Data = content
		results.Results[i].Error = apiservererrors.ServerError(err)
	}
	return results, nil
}

// GetConsumerSecretsRevisionInfo tells the latest revisions of secrets that a unit has read.
func (a *secretsAPI) GetConsumerSecretsRevisionInfo(args params.GetSecretConsumerInfoArgs) (params.SecretConsumerInfoResults, error) {
	results := params.SecretConsumerInfoResults{Results: make([]params.SecretConsumerInfoResult, len(args.URIs))}
	consumer, err := names.ParseUnitTag(args.ConsumerTag)
	if err != nil {
		return results, err
	}
	for i, uri := range args.URIs {
		revision, label, err := a.model.ConsumerInfo(a.loggedIn(), consumer.Id(), uri)
		results.Results[i] = params.SecretConsumerInfoResult{Revision: revision, Label: label, Error: apiservererrors.ServerError(err)}
	}
	return results, nil
}

// WatchConsumedSecretsChanges tells of new revisions of secrets that a unit has read, and of their removal.
func (a *secretsAPI) WatchConsumedSecretsChanges(args params.Entities) params.StringsWatchResults {
	results := params.StringsWatchResults{Results: make([]params.StringsWatchResult, len(args.Entities))}
	for i, arg := range args.Entities {
		tag, err := names.ParseUnitTag(arg.Tag)
		if err != nil || juju.ApplicationOf(tag.Id()) != juju.ApplicationOf(a.loggedIn()) {
			results.Results[i].Error = apiservererrors.ServerError(apiservererrors.ErrPerm)
			continue
		}
		read := func() map[string]int { return a.model.consumed(tag.Id()) }
		results.Results[i] = watchStrings(a.session, read, revised(nil, read()), revised)
	}
	return results
}

// revised are the secrets with a new revision that is not their first, and those that are gone.
func revised(before, now map[string]int) []string {
	changes := removed(before, now)
	for uri, latest := range now {
		if latest > 1 && before[uri] != latest {
			changes = append(changes, uri)
		}
	}
	slices.Sort(changes)
	return changes
}

// WatchObsolete tells of revisions that nobody tracks any more, from now on, as "<URI>/<revision>".
func (a *secretsAPI) WatchObsolete(args params.Entities) (params.StringsWatchResult, error) {
	owners, err := a.owners(args)
	if err != nil {
		return params.StringsWatchResult{}, err
	}
	return watchStrings(a.session, func() map[string]int { return a.model.obsolete(owners) }, nil, added), nil
}

// WatchDeleted tells of secrets and revisions that are gone.
func (a *secretsAPI) WatchDeleted(args params.Entities) (params.StringsWatchResult, error) {
	owners, err := a.owners(args)
	if err != nil {
		return params.StringsWatchResult{}, err
	}
	return watchStrings(a.session, func() map[string]int { return a.model.owned(owners) }, nil, removed), nil
}

// WatchSecretsRotationChanges tells when secrets are to be rotated; a zero time when one no longer is.
func (a *secretsAPI) WatchSecretsRotationChanges(args params.Entities) (params.SecretTriggerWatchResult, error) {
	owners, err := a.owners(args)
	if err != nil {
		return params.SecretTriggerWatchResult{}, err
	}
	return watchTriggers(a.session, func() map[string]trigger {
		rotations := a.model.rotations(owners)
		for uri, t := range rotations {
			t.revision = 0 // told of expiries only
			rotations[uri] = t
		}
		return rotations
	}), nil
}

// WatchSecretRevisionsExpiryChanges tells when revisions expire; a zero time when one no longer does.
func (a *secretsAPI) WatchSecretRevisionsExpiryChanges(args params.Entities) (params.SecretTriggerWatchResult, error) {
	owners, err := a.owners(args)
	if err != nil {
		return params.SecretTriggerWatchResult{}, err
	}
	return watchTriggers(a.session, func() map[string]trigger { return a.model.expiries(owners) }), nil
}

// watchTriggers registers a watcher of moments at which hooks about secrets are due.
func watchTriggers(s *session, read func() map[string]trigger) params.SecretTriggerWatchResult {
	known := map[string]trigger{}
	compare := func() params.SecretTriggerWatchResult {
		now := read()
		var result params.SecretTriggerWatchResult
		for _, key := range differing(known, now) {
			t, stays := now[key]
			if !stays {
				t = known[key]
				t.at = time.Time{}
			}
			result.Changes = append(result.Changes, params.SecretTriggerChange{
				URI: strings.TrimPrefix(t.uri, "secret:"), Revision: t.revision, NextTriggerTime: t.at,
			})
		}
		known = now
		return result
	}
	first := compare()
	first.WatcherId = s.register(newWatcher(s.model, watcherKinds()["SecretsTriggerWatcher"], func() (any, bool) {
		event := compare()
		return event, len(event.Changes) > 0
	}))
	return first
}

// SecretsRotated says that hooks for rotations have run.
func (a *secretsAPI) SecretsRotated(args params.SecretRotatedArgs) params.ErrorResults {
	results := params.ErrorResults{Results: make([]params.ErrorResult, len(args.Args))}
	for i, arg := range args.Args {
		err := a.model.SecretRotated(a.loggedIn(), arg.URI, arg.OriginalRevision, arg.Skip)
		results.Results[i].Error = apiservererrors.ServerError(err)
	}
	return results
}

// owners resolves the tags of owners to watch: of the own application, which only its leader may, and units of it.
func (a *secretsAPI) owners(args params.Entities) ([]string, error) {
	var owners []string
	for _, arg := range args.Entities {
		tag, err := names.ParseTag(arg.Tag)
		if err != nil {
			return nil, err
		}
		viewer := a.loggedIn()
		_, isApplication := tag.(names.ApplicationTag)
		if _, isUnit := tag.(names.UnitTag); !isApplication && !isUnit || juju.ApplicationOf(tag.Id()) != juju.ApplicationOf(viewer) {
			return nil, apiservererrors.ErrPerm
		}
		if isApplication {
			if err := a.model.CheckLeader(viewer); err != nil {
				return nil, err
			}
		}
		owners = append(owners, tag.Id())
	}
	if len(owners) == 0 {
		return nil, errors.New("missing secret owners")
	}
	return owners, nil
}

// ownerTag is the tag of an application or a unit; what has no name belongs to the model.
func ownerTag(name string) string {
	switch {
	case names.IsValidUnit(name):
		return names.NewUnitTag(name).String()
	case names.IsValidApplication(name):
		return names.NewApplicationTag(name).String()
	}
	return ""
}

// secretChanges reads the secret changes of a CommitHookChanges call.
func secretChanges(arg params.CommitHookChangesArg) (SecretChanges, error) {
	changes := SecretChanges{TrackLatest: arg.TrackLatest}
	for _, create := range arg.SecretCreates {
		upsert, err := secretUpsert(create.UpsertSecretArg)
		if err != nil {
			return changes, err
		}
		owner, err := names.ParseTag(create.OwnerTag)
		if err != nil {
			return changes, err
		}
		upsert.Owner = owner.Id()
		if create.URI != nil {
			upsert.URI = *create.URI
		}
		changes.Creates = append(changes.Creates, upsert)
	}
	for _, update := range arg.SecretUpdates {
		upsert, err := secretUpsert(update.UpsertSecretArg)
		if err != nil {
			return changes, err
		}
		upsert.URI = update.URI
		changes.Updates = append(changes.Updates, upsert)
	}
	for _, remove := range arg.SecretDeletes {
		changes.Deletes = append(changes.Deletes, SecretDelete{URI: remove.URI, Revisions: remove.Revisions})
	}
	var err error
	if changes.Grants, err = secretGrants(arg.SecretGrants); err != nil {
		return changes, err
	}
	changes.Revokes, err = secretGrants(arg.SecretRevokes)
	return changes, err
}

func secretUpsert(arg params.UpsertSecretArg) (SecretUpsert, error) {
	if arg.Content.ValueRef != nil {
		return SecretUpsert{}, errors.NotFoundf("secret backend %q", arg.Content.ValueRef.BackendID)
	}
	upsert := SecretUpsert{
		Label: arg.Label, Description: arg.Description, Expire: arg.ExpireTime,
		Content: arg.Content.Data, Checksum: arg.Content.Checksum,
	}
	if arg.RotatePolicy != nil {
		policy := string(*arg.RotatePolicy)
		upsert.Rotate = &policy
	}
	return upsert, nil
}

func secretGrants(args []params.GrantRevokeSecretArg) ([]SecretGrant, error) {
	var grants []SecretGrant
	for _, arg := range args {
		relation := ""
		if scope, err := names.ParseTag(arg.ScopeTag); err == nil && scope.Kind() == names.RelationTagKind {
			relation = scope.Id()
		}
		for _, subject := range arg.SubjectTags {
			tag, err := names.ParseTag(subject)
			if err != nil {
				return nil, fmt.Errorf("cannot read secret grant: %w", err)
			}
			grants = append(grants, SecretGrant{URI: arg.URI, Subject: tag.Id(), Relation: relation, Role: arg.Role})
		}
	}
	return grants, nil
}
