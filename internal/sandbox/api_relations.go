// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"strings"

	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"
	"github.com/juju/juju/core/life"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"

	"github.com/signet-charm/signet/internal/juju"
)

func fmtAddresses(a juju.Addresses) string {
	return strings.Join([]string{
		strings.Join(a.Bind, ","), strings.Join(a.Ingress, ","), strings.Join(a.Egress, ","),
	}, ";")
}

// relationID resolves a relation's tag as the unit's application knows it. What does not exist is denied.
func (s *session) relationID(tag string) (int, error) {
	parsed, err := names.ParseRelationTag(tag)
	if err != nil {
		return 0, apiservererrors.ErrPerm
	}
	return s.model.RelationID(s.loggedIn(), parsed.Id())
}

// ownRelation resolves a relation's tag and a unit's, which must be the one logged in.
func (s *session) ownRelation(relation, unit string) (id int, name string, err error) {
	if name, err = s.self(unit); err != nil {
		return 0, "", err
	}
	id, err = s.relationID(relation)
	return id, name, err
}

// Relation describes relations by tag.
func (a *uniterAPI) Relation(args params.RelationUnits) params.RelationResultsV2 {
	results := params.RelationResultsV2{Results: make([]params.RelationResultV2, len(args.RelationUnits))}
	for i, arg := range args.RelationUnits {
		id, unit, err := a.ownRelation(arg.Relation, arg.Unit)
		if err == nil {
			results.Results[i], err = a.describe(unit, id)
		}
		results.Results[i].Error = apiservererrors.ServerError(err)
	}
	return results
}

// RelationById describes relations by ID. One that the unit's application has no part in is denied.
func (a *uniterAPI) RelationById(args params.RelationIds) params.RelationResultsV2 {
	results := params.RelationResultsV2{Results: make([]params.RelationResultV2, len(args.RelationIds))}
	for i, id := range args.RelationIds {
		result, err := a.describe(a.loggedIn(), id)
		if err != nil {
			err = apiservererrors.ErrPerm
		}
		results.Results[i] = result
		results.Results[i].Error = apiservererrors.ServerError(err)
	}
	return results
}

func (a *uniterAPI) describe(unit string, id int) (params.RelationResultV2, error) {
	info, err := a.model.RelationOf(unit, id)
	if err != nil {
		return params.RelationResultV2{}, err
	}
	role := map[juju.Role]string{juju.Provides: "provider", juju.Requires: "requirer", juju.Peers: "peer"}[info.Endpoint.Role]
	return params.RelationResultV2{
		Id: info.ID, Key: info.Key, Life: life.Value(info.Life), Suspended: info.Suspended,
		Endpoint: params.Endpoint{
			ApplicationName: juju.ApplicationOf(unit),
			Relation: params.CharmRelation{
				Name: info.Endpoint.Name, Role: role, Interface: info.Endpoint.Interface, Scope: "global",
			},
		},
		OtherApplication: params.RelatedApplicationDetails{ApplicationName: info.RemoteApp, ModelUUID: info.RemoteModel},
	}, nil
}

// RelationsStatus lists the relations of the unit's application, and whether the unit is in their scope.
func (a *uniterAPI) RelationsStatus(args params.Entities) params.RelationUnitStatusResults {
	return params.RelationUnitStatusResults{Results: forUnits(a.session, args,
		func(r *params.RelationUnitStatusResult) **params.Error { return &r.Error },
		func(unit string, r *params.RelationUnitStatusResult) error {
			if _, err := a.model.UnitStatus(unit); err != nil {
				return err
			}
			for _, info := range a.model.Relations(juju.ApplicationOf(unit)) {
				r.RelationResults = append(r.RelationResults, params.RelationUnitStatus{
					RelationTag: names.NewRelationTag(info.Key).String(), InScope: a.model.InScope(info.ID, unit), Suspended: info.Suspended,
				})
			}
			return nil
		})}
}

// ReadSettings reads the unit's own databag, or by its application's tag that of the application.
func (a *uniterAPI) ReadSettings(args params.RelationUnits) params.SettingsResults {
	results := params.SettingsResults{Results: make([]params.SettingsResult, len(args.RelationUnits))}
	for i, arg := range args.RelationUnits {
		settings, err := a.readOwn(arg)
		results.Results[i] = params.SettingsResult{Settings: settings, Error: apiservererrors.ServerError(err)}
	}
	return results
}

func (a *uniterAPI) readOwn(arg params.RelationUnit) (params.Settings, error) {
	viewer := a.loggedIn()
	if app, err := names.ParseApplicationTag(arg.Unit); err == nil {
		id, err := a.relationID(arg.Relation)
		if err != nil {
			return nil, err
		}
		if app.Id() != juju.ApplicationOf(viewer) {
			return nil, apiservererrors.ErrPerm
		}
		return settingsOf(a.model.ReadAppBag(viewer, id, app.Id()))
	}
	id, unit, err := a.ownRelation(arg.Relation, arg.Unit)
	if err != nil {
		return nil, err
	}
	return settingsOf(a.model.ReadUnitBag(viewer, id, unit))
}

// ReadLocalApplicationSettings reads the own application's databag: the leader may, and every unit in a peer relation.
func (a *uniterAPI) ReadLocalApplicationSettings(arg params.RelationUnit) (params.SettingsResult, error) {
	if _, err := names.ParseUnitTag(arg.Unit); err != nil {
		return params.SettingsResult{}, errors.NotValidf("unit tag %q", arg.Unit)
	}
	id, unit, err := a.ownRelation(arg.Relation, arg.Unit)
	if err != nil {
		return params.SettingsResult{}, err
	}
	settings, err := settingsOf(a.model.ReadAppBag(unit, id, juju.ApplicationOf(unit)))
	return params.SettingsResult{Settings: settings}, err
}

// ReadRemoteSettings reads databags of the other side's units and application.
func (a *uniterAPI) ReadRemoteSettings(args params.RelationUnitPairs) params.SettingsResults {
	results := params.SettingsResults{Results: make([]params.SettingsResult, len(args.RelationUnitPairs))}
	for i, arg := range args.RelationUnitPairs {
		settings, err := a.readRemote(arg)
		results.Results[i] = params.SettingsResult{Settings: settings, Error: apiservererrors.ServerError(err)}
	}
	return results
}

func (a *uniterAPI) readRemote(arg params.RelationUnitPair) (params.Settings, error) {
	id, viewer, err := a.ownRelation(arg.Relation, arg.LocalUnit)
	if err != nil {
		return nil, err
	}
	tag, err := names.ParseTag(arg.RemoteUnit)
	if err != nil || tag.Id() == viewer {
		return nil, apiservererrors.ErrPerm
	}
	switch tag.(type) {
	case names.UnitTag:
		return settingsOf(a.model.ReadUnitBag(viewer, id, tag.Id()))
	case names.ApplicationTag:
		info, err := a.model.RelationOf(viewer, id)
		if err != nil {
			return nil, err
		}
		// The own application's databag is remote in a peer relation only.
		if info.RemoteApp != tag.Id() {
			return nil, apiservererrors.ErrPerm
		}
		return settingsOf(a.model.ReadAppBag(viewer, id, tag.Id()))
	}
	return nil, apiservererrors.ErrPerm
}

func settingsOf(bag map[string]string, err error) (params.Settings, error) {
	if err != nil {
		return nil, err
	}
	return params.Settings(bag), nil
}

// EnterScope puts the unit into scopes.
func (a *uniterAPI) EnterScope(args params.RelationUnits) params.ErrorResults {
	return a.scope(args, a.model.EnterScope)
}

// LeaveScope takes the unit out of scopes.
func (a *uniterAPI) LeaveScope(args params.RelationUnits) params.ErrorResults {
	return a.scope(args, a.model.LeaveScope)
}

func (a *uniterAPI) scope(args params.RelationUnits, do func(id int, unit string) error) params.ErrorResults {
	results := params.ErrorResults{Results: make([]params.ErrorResult, len(args.RelationUnits))}
	for i, arg := range args.RelationUnits {
		id, unit, err := a.ownRelation(arg.Relation, arg.Unit)
		if err == nil {
			err = do(id, unit)
		}
		results.Results[i].Error = apiservererrors.ServerError(err)
	}
	return results
}

// WatchUnitRelations tells keys of the unit's relations that come, turn dying, are suspended or resumed, or go.
func (a *uniterAPI) WatchUnitRelations(args params.Entities) params.StringsWatchResults {
	return params.StringsWatchResults{Results: forUnits(a.session, args, watchFailure,
		func(unit string, r *params.StringsWatchResult) error {
			if _, err := a.model.UnitStatus(unit); err != nil {
				return err
			}
			type state struct {
				life      Life
				suspended bool
			}
			read := func() map[string]state {
				states := map[string]state{}
				for _, info := range a.model.Relations(juju.ApplicationOf(unit)) {
					states[info.Key] = state{info.Life, info.Suspended}
				}
				return states
			}
			*r = watchStrings(a.session, read, differing(nil, read()), differing)
			return nil
		})}
}

// WatchRelationUnits tells of the other side's units that come, change or go, and of its application's databag.
func (a *uniterAPI) WatchRelationUnits(args params.RelationUnits) params.RelationUnitsWatchResults {
	results := params.RelationUnitsWatchResults{Results: make([]params.RelationUnitsWatchResult, len(args.RelationUnits))}
	for i, arg := range args.RelationUnits {
		id, unit, err := a.ownRelation(arg.Relation, arg.Unit)
		if err == nil {
			results.Results[i], err = watchRelationUnits(a.session, unit, id)
		}
		results.Results[i].Error = apiservererrors.ServerError(err)
	}
	return results
}

// GoalStates tells which units there are and will be: of the own application, and by endpoint of those related.
func (a *uniterAPI) GoalStates(args params.Entities) params.GoalStateResults {
	return params.GoalStateResults{Results: forUnits(a.session, args,
		func(r *params.GoalStateResult) **params.Error { return &r.Error },
		func(unit string, r *params.GoalStateResult) (err error) {
			r.Result, err = a.model.goalState(unit)
			return err
		})}
}
