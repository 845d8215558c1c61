// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"github.com/juju/juju/rpc/params"
)

// facadeVersions gives the versions to serve: those asked for, else the newest.
func facadeVersions(asked map[string]int) (map[string]int, error) {
	known := map[string][]int{"Uniter": {20, 19, 18}, "SecretsManager": {4, 3, 2, 1}}
	versions := map[string]int{}
	for facade, all := range known {
		versions[facade] = all[0]
	}
	for facade, version := range asked {
		if !slices.Contains(known[facade], version) {
			return nil, fmt.Errorf("cannot serve version %d of facade %q", version, facade)
		}
		versions[facade] = version
	}
	return versions, nil
}

func uniterOf(s *session, version int) served {
	newest := &uniterAPI{s}
	if version == 20 {
		return served{version: version, object: newest}
	}
	return served{version: version, object: &uniterAPI19{newest}}
}

// uniterAPI19 is the facade Uniter 19, and 18 for all that a machine's unit asks: they name a relation's other
// application without its model.
type uniterAPI19 struct{ *uniterAPI }

// Relation describes relations by tag.
func (a *uniterAPI19) Relation(args params.RelationUnits) params.RelationResults {
	return withoutModels(a.uniterAPI.Relation(args))
}

// RelationById describes relations by ID.
func (a *uniterAPI19) RelationById(args params.RelationIds) params.RelationResults {
	return withoutModels(a.uniterAPI.RelationById(args))
}

func withoutModels(newest params.RelationResultsV2) params.RelationResults {
	results := params.RelationResults{Results: make([]params.RelationResult, len(newest.Results))}
	for i, r := range newest.Results {
		results.Results[i] = params.RelationResult{
			Error: r.Error, Life: r.Life, Suspended: r.Suspended, Id: r.Id, Key: r.Key, Endpoint: r.Endpoint,
			OtherApplication: r.OtherApplication.ApplicationName,
		}
	}
	return results
}

func secretsManagerOf(s *session, version int) served {
	newest := &secretsAPI{s}
	facade := served{version: version, object: newest}
	if version < 4 {
		facade.object, facade.without = &secretsAPI3{newest}, []string{"WatchDeleted"}
	}
	if version == 1 {
		facade.without = append(facade.without, "GetSecretBackendConfigs")
	} else {
		facade.without = append(facade.without, "GetSecretBackendConfig")
	}
	return facade
}

// secretsAPI3 is the facade SecretsManager 3, and the same as 2 and 1 where content is in the controller, but for the one
// method that these each have of their own.
type secretsAPI3 struct{ *secretsAPI }

// GetSecretBackendConfig tells, in version 1, that content goes to the controller itself.
func (a *secretsAPI3) GetSecretBackendConfig() params.SecretBackendConfigResultsV1 {
	id := a.controller.uuid
	return params.SecretBackendConfigResultsV1{
		ControllerUUID: id, ModelUUID: a.model.uuid, ModelName: a.model.name, ActiveID: id,
		Configs: map[string]params.SecretBackendConfig{id: {BackendType: "controller"}},
	}
}

// GetSecretMetadata lists the secrets that the unit may manage, with their revisions.
func (a *secretsAPI3) GetSecretMetadata() (params.ListSecretResults, error) {
	var results params.ListSecretResults
	newest, err := a.secretsAPI.GetSecretMetadata()
	if err != nil {
		return results, err
	}
	infos, err := a.model.OwnSecrets(a.loggedIn())
	if err != nil {
		return results, err
	}
	revisions := map[string][]params.SecretRevision{}
	for _, info := range infos {
		for _, number := range info.Revisions {
			revisions[info.URI] = append(revisions[info.URI], params.SecretRevision{Revision: number})
		}
	}
	for _, r := range newest.Results {
		if len(revisions[r.URI]) == 0 {
			continue // it went between the two reads
		}
		results.Results = append(results.Results, params.ListSecretResult{
			URI: r.URI, Version: r.Version, OwnerTag: r.OwnerTag, RotatePolicy: r.RotatePolicy, NextRotateTime: r.NextRotateTime,
			Description: r.Description, Label: r.Label, LatestRevision: r.LatestRevision,
			LatestRevisionChecksum: r.LatestRevisionChecksum, LatestExpireTime: r.LatestExpireTime,
			CreateTime: r.CreateTime, UpdateTime: r.UpdateTime, Revisions: revisions[r.URI], Access: r.Access,
		})
	}
	return results, nil
}

// WatchObsolete tells of revisions that nobody tracks any more, as "<URI>/<revision>", and of secrets that are gone.
func (a *secretsAPI3) WatchObsolete(args params.Entities) (params.StringsWatchResult, error) {
	owners, err := a.owners(args)
	if err != nil {
		return params.StringsWatchResult{}, err
	}
	type known struct{ obsolete, owned map[string]int }
	read := func() map[string]known {
		return map[string]known{"": {obsolete: a.model.obsolete(owners), owned: a.model.owned(owners)}}
	}
	return watchStrings(a.session, read, nil, func(before, now map[string]known) []string {
		gone := slices.DeleteFunc(removed(before[""].owned, now[""].owned), isRevision)
		return append(added(before[""].obsolete, now[""].obsolete), gone...)
	}), nil
}

// isRevision tells "<URI>/<revision>" from "<URI>".
func isRevision(name string) bool { return strings.Contains(name, "/") }
