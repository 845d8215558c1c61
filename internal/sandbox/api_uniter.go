// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"
	"github.com/juju/juju/core/life"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"

	"github.com/signet-charm/signet/internal/juju"
)

// uniterAPI is the facade Uniter 20, as far as a unit agent that is no machine's needs it. A unit speaks for itself
// only: every other unit's tag is denied.
type uniterAPI struct{ *session }

// forUnits answers for each tag: with answer for the unit's own, with "permission denied" for any other.
func forUnits[R any](s *session, args params.Entities, failure func(*R) **params.Error, answer func(unit string, result *R) error) []R {
	results := make([]R, len(args.Entities))
	for i, arg := range args.Entities {
		unit, err := s.self(arg.Tag)
		if err == nil {
			err = answer(unit, &results[i])
		}
		*failure(&results[i]) = apiservererrors.ServerError(err)
	}
	return results
}

// self is the unit that a tag names, if it is the one logged in.
func (s *session) self(tag string) (string, error) {
	parsed, err := names.ParseUnitTag(tag)
	if err != nil {
		return "", apiservererrors.ErrPerm
	}
	return parsed.Id(), authoriseSelf(s.loggedIn(), parsed.Id())
}

func stringFailure(r *params.StringResult) **params.Error         { return &r.Error }
func stringBoolFailure(r *params.StringBoolResult) **params.Error { return &r.Error }
func watchFailure(r *params.StringsWatchResult) **params.Error    { return &r.Error }

// Read gives the leader settings of the unit's own application. Juju 4 has none.
func (a *uniterAPI) Read(args params.Entities) (params.GetLeadershipSettingsBulkResults, error) {
	if !a.model.legacy() {
		return params.GetLeadershipSettingsBulkResults{}, errors.NotImplementedf("leader settings")
	}
	results := params.GetLeadershipSettingsBulkResults{Results: make([]params.GetLeadershipSettingsResult, len(args.Entities))}
	for i, arg := range args.Entities {
		app := juju.ApplicationOf(a.loggedIn())
		if arg.Tag != names.NewApplicationTag(app).String() {
			results.Results[i].Error = apiservererrors.ServerError(apiservererrors.ErrPerm)
			continue
		}
		results.Results[i].Settings = a.model.LeaderSettings(app)
	}
	return results, nil
}

// Refresh tells a unit's life.
func (a *uniterAPI) Refresh(args params.Entities) params.UnitRefreshResults {
	return params.UnitRefreshResults{Results: forUnits(a.session, args,
		func(r *params.UnitRefreshResult) **params.Error { return &r.Error },
		func(unit string, r *params.UnitRefreshResult) error {
			if _, err := a.model.UnitStatus(unit); err != nil {
				return err
			}
			r.Life, r.Resolved = life.Value(a.model.UnitLife(unit)), params.ResolvedNone
			return nil
		})}
}

// Life tells the life of the unit or of its application.
func (a *uniterAPI) Life(args params.Entities) params.LifeResults {
	results := params.LifeResults{Results: make([]params.LifeResult, len(args.Entities))}
	for i, arg := range args.Entities {
		unit := a.loggedIn()
		switch arg.Tag {
		case names.NewUnitTag(unit).String():
			results.Results[i].Life = life.Value(a.model.UnitLife(unit))
		case names.NewApplicationTag(juju.ApplicationOf(unit)).String():
			results.Results[i].Life = life.Alive
		default:
			results.Results[i].Error = apiservererrors.ServerError(apiservererrors.ErrPerm)
		}
	}
	return results
}

// CurrentModel names the model.
func (a *uniterAPI) CurrentModel() params.ModelResult {
	return params.ModelResult{Name: a.model.name, UUID: a.model.uuid, Type: "iaas"}
}

// ModelConfig is the part of the model's configuration that no model is without.
func (a *uniterAPI) ModelConfig() params.ModelConfigResult {
	return params.ModelConfigResult{Config: params.ModelConfig{
		"name": a.model.name, "uuid": a.model.uuid, "type": "manual", "agent-version": a.model.version,
		"development": false, "secret-backend": "auto",
	}}
}

// WatchForModelConfigChanges never tells anything: the model's configuration does not change.
func (a *uniterAPI) WatchForModelConfigChanges() params.NotifyWatchResult {
	return params.NotifyWatchResult{NotifyWatcherId: watchValue(a.session, func() bool { return true })}
}

// ProviderType is the kind of cloud.
func (a *uniterAPI) ProviderType() params.StringResult { return params.StringResult{Result: "manual"} }

// APIAddresses are the controller's addresses.
func (a *uniterAPI) APIAddresses() params.StringsResult {
	return params.StringsResult{Result: []string{a.controller.Addr()}}
}

// Watch notifies of changes of the unit itself: its life.
func (a *uniterAPI) Watch(args params.Entities) params.NotifyWatchResults {
	return params.NotifyWatchResults{Results: forUnits(a.session, args,
		func(r *params.NotifyWatchResult) **params.Error { return &r.Error },
		func(unit string, r *params.NotifyWatchResult) error {
			r.NotifyWatcherId = watchValue(a.session, func() Life { return a.model.UnitLife(unit) })
			return nil
		})}
}

// GetPrincipal tells that the unit is nobody's subordinate.
func (a *uniterAPI) GetPrincipal(args params.Entities) params.StringBoolResults {
	return params.StringBoolResults{Results: forUnits(a.session, args, stringBoolFailure,
		func(string, *params.StringBoolResult) error { return nil })}
}

// HasSubordinates tells that the unit has no subordinates.
func (a *uniterAPI) HasSubordinates(args params.Entities) params.BoolResults {
	return params.BoolResults{Results: forUnits(a.session, args,
		func(r *params.BoolResult) **params.Error { return &r.Error },
		func(string, *params.BoolResult) error { return nil })}
}

// CharmURL is the charm of the unit or of its application.
func (a *uniterAPI) CharmURL(args params.Entities) params.StringBoolResults {
	results := params.StringBoolResults{Results: make([]params.StringBoolResult, len(args.Entities))}
	for i, arg := range args.Entities {
		unit := a.loggedIn()
		app := juju.ApplicationOf(unit)
		meta, err := a.model.Meta(app)
		if arg.Tag != names.NewUnitTag(unit).String() && arg.Tag != names.NewApplicationTag(app).String() {
			err = apiservererrors.ErrPerm
		}
		if err != nil {
			results.Results[i].Error = apiservererrors.ServerError(err)
			continue
		}
		if meta.Name == "" {
			meta.Name = app
		}
		results.Results[i] = params.StringBoolResult{Result: "local:" + meta.Name + "-0", Ok: true}
	}
	return results
}

// AssignedMachine is the machine that the unit runs on.
func (a *uniterAPI) AssignedMachine(args params.Entities) params.StringResults {
	return params.StringResults{Results: forUnits(a.session, args, stringFailure,
		func(unit string, r *params.StringResult) error {
			machine, err := a.model.Machine(unit)
			if err == nil {
				r.Result = names.NewMachineTag(machine).String()
			}
			return err
		})}
}

// AvailabilityZone is where the unit's machine stands.
func (a *uniterAPI) AvailabilityZone(args params.Entities) params.StringResults {
	return params.StringResults{Results: forUnits(a.session, args, stringFailure,
		func(_ string, r *params.StringResult) error { r.Result = "default"; return nil })}
}

// PublicAddress is where others reach the unit.
func (a *uniterAPI) PublicAddress(args params.Entities) params.StringResults { return a.address(args) }

// PrivateAddress is where the model reaches the unit.
func (a *uniterAPI) PrivateAddress(args params.Entities) params.StringResults { return a.address(args) }

func (a *uniterAPI) address(args params.Entities) params.StringResults {
	return params.StringResults{Results: forUnits(a.session, args, stringFailure,
		func(unit string, r *params.StringResult) error {
			addresses, err := a.model.Addresses(unit)
			if err == nil {
				r.Result = addresses.Ingress[0]
			}
			return err
		})}
}

// NetworkInfo gives the unit's addresses for endpoints; one that the charm has not is not found.
func (a *uniterAPI) NetworkInfo(args params.NetworkInfoParams) (params.NetworkInfoResults, error) {
	results := params.NetworkInfoResults{Results: map[string]params.NetworkInfoResult{}}
	unit, err := a.self(args.Unit)
	if err != nil {
		return results, err
	}
	addresses, err := a.model.Addresses(unit)
	if err != nil {
		return results, err
	}
	meta, err := a.model.Meta(juju.ApplicationOf(unit))
	if err != nil {
		return results, err
	}
	known := map[string]bool{"juju-info": true, "": true}
	for _, endpoint := range meta.Endpoints {
		known[endpoint.Name] = true
	}
	info := params.NetworkInfo{InterfaceName: "eth0"}
	for _, address := range addresses.Bind {
		info.Addresses = append(info.Addresses, params.InterfaceAddress{Address: address, CIDR: address + "/16"})
	}
	for _, name := range args.Endpoints {
		if !known[name] {
			results.Results[name] = params.NetworkInfoResult{
				Error: apiservererrors.ServerError(errors.NotValidf("undefined for unit charm: endpoint %q", name)),
			}
			continue
		}
		results.Results[name] = params.NetworkInfoResult{
			Info: []params.NetworkInfo{info}, IngressAddresses: addresses.Ingress, EgressSubnets: addresses.Egress,
		}
	}
	return results, nil
}

// ConfigSettings is the application's configuration with defaults.
func (a *uniterAPI) ConfigSettings(args params.Entities) params.ConfigSettingsResults {
	return params.ConfigSettingsResults{Results: forUnits(a.session, args,
		func(r *params.ConfigSettingsResult) **params.Error { return &r.Error },
		func(unit string, r *params.ConfigSettingsResult) error {
			config, err := a.model.Config(juju.ApplicationOf(unit))
			r.Settings = config
			return err
		})}
}

// WatchConfigSettingsHash tells a hash of the configuration whenever it changes.
func (a *uniterAPI) WatchConfigSettingsHash(args params.Entities) params.StringsWatchResults {
	return a.watchHash(args, func(unit string) (string, error) { return a.model.ConfigHash(juju.ApplicationOf(unit)) })
}

// WatchTrustConfigSettingsHash tells a hash of the application's own settings, which do not change here.
func (a *uniterAPI) WatchTrustConfigSettingsHash(args params.Entities) params.StringsWatchResults {
	return a.watchHash(args, func(string) (string, error) { return "0", nil })
}

// WatchUnitAddressesHash tells a hash of the unit's addresses whenever they change.
func (a *uniterAPI) WatchUnitAddressesHash(args params.Entities) params.StringsWatchResults {
	return a.watchHash(args, func(unit string) (string, error) {
		addresses, err := a.model.Addresses(unit)
		if err != nil {
			return "", err
		}
		return uuidOf(fmtAddresses(addresses)), nil
	})
}

func (a *uniterAPI) watchHash(args params.Entities, hash func(unit string) (string, error)) params.StringsWatchResults {
	return params.StringsWatchResults{Results: forUnits(a.session, args, watchFailure,
		func(unit string, r *params.StringsWatchResult) error {
			first, err := hash(unit)
			if err != nil {
				return err
			}
			read := func() map[string]bool {
				now, err := hash(unit)
				if err != nil {
					return map[string]bool{first: true} // the unit is gone; its connection will end
				}
				return map[string]bool{now: true}
			}
			*r = watchStrings(a.session, read, []string{first}, added)
			return nil
		})}
}

// State is what the controller keeps for the unit.
func (a *uniterAPI) State(args params.Entities) params.UnitStateResults {
	return params.UnitStateResults{Results: forUnits(a.session, args,
		func(r *params.UnitStateResult) **params.Error { return &r.Error },
		func(unit string, r *params.UnitStateResult) error {
			state, err := a.model.State(unit)
			if err != nil {
				return err
			}
			r.CharmState, r.RelationState = state.Charm, state.Relation
			r.UniterState, r.StorageState, r.SecretState = *state.Uniter, *state.Storage, *state.Secret
			return nil
		})}
}

// SetState replaces parts of what the controller keeps for the unit.
func (a *uniterAPI) SetState(args params.SetUnitStateArgs) params.ErrorResults {
	results := params.ErrorResults{Results: make([]params.ErrorResult, len(args.Args))}
	for i, arg := range args.Args {
		unit, err := a.self(arg.Tag)
		if err == nil {
			err = a.model.Commit(unit, Commit{State: unitStateOf(arg)})
		}
		results.Results[i].Error = apiservererrors.ServerError(err)
	}
	return results
}

func unitStateOf(arg params.SetUnitStateArg) *UnitState {
	state := &UnitState{Uniter: arg.UniterState, Storage: arg.StorageState, Secret: arg.SecretState}
	if arg.CharmState != nil {
		state.Charm = map[string]string{}
		for key, value := range *arg.CharmState {
			state.Charm[key] = value
		}
	}
	if arg.RelationState != nil {
		state.Relation = map[int]string{}
		for id, value := range *arg.RelationState {
			state.Relation[id] = value
		}
	}
	return state
}
