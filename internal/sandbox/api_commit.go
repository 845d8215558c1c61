// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"
)

// CommitHookChanges applies what a unit changes at once. See Model.Commit for the order and what is all or nothing.
func (a *uniterAPI) CommitHookChanges(args params.CommitHookChangesArgs) params.ErrorResults {
	results := params.ErrorResults{Results: make([]params.ErrorResult, len(args.Args))}
	for i, arg := range args.Args {
		results.Results[i].Error = apiservererrors.ServerError(a.commit(arg))
	}
	return results
}

func (a *uniterAPI) commit(arg params.CommitHookChangesArg) error {
	if _, err := names.ParseUnitTag(arg.Tag); err != nil {
		return err
	}
	unit, err := a.self(arg.Tag)
	if err != nil {
		return err
	}
	var c Commit
	for _, settings := range arg.RelationUnitSettings {
		if settings.Unit != arg.Tag {
			return apiservererrors.ErrPerm
		}
		id, err := a.relationID(settings.Relation)
		if err != nil {
			return err
		}
		c.Relations = append(c.Relations, BagChange{RelationID: id, Unit: settings.Settings, App: settings.ApplicationSettings})
	}
	if c.Open, err = portRanges(arg.Tag, arg.OpenPorts); err != nil {
		return err
	}
	if c.Close, err = portRanges(arg.Tag, arg.ClosePorts); err != nil {
		return err
	}
	if arg.SetUnitState != nil {
		if arg.SetUnitState.Tag != arg.Tag {
			return apiservererrors.ErrPerm
		}
		c.State = unitStateOf(*arg.SetUnitState)
	}
	if len(arg.AddStorage) > 0 || arg.SetPodSpec != nil || arg.SetRawK8sSpec != nil {
		return errors.NotSupportedf("storage and pod specifications in a sandbox")
	}
	if c.Secrets, err = secretChanges(arg); err != nil {
		return err
	}
	return a.model.Commit(unit, c)
}

func portRanges(tag string, ranges []params.EntityPortRange) ([]PortRange, error) {
	var ports []PortRange
	for _, r := range ranges {
		if r.Tag != tag {
			return nil, apiservererrors.ErrPerm
		}
		ports = append(ports, PortRange{Endpoint: r.Endpoint, Protocol: r.Protocol, From: r.FromPort, To: r.ToPort})
	}
	return ports, nil
}

// SetUnitStatus sets the workload's status.
func (a *uniterAPI) SetUnitStatus(args params.SetStatus) params.ErrorResults {
	return a.setStatus(args, a.model.SetUnitStatus)
}

// SetAgentStatus sets the agent's status.
func (a *uniterAPI) SetAgentStatus(args params.SetStatus) params.ErrorResults {
	return a.setStatus(args, a.model.SetAgentStatus)
}

// SetApplicationStatus sets the application's status, which its leader may.
func (a *uniterAPI) SetApplicationStatus(args params.SetStatus) params.ErrorResults {
	results := params.ErrorResults{Results: make([]params.ErrorResult, len(args.Entities))}
	for i, arg := range args.Entities {
		// Clients name the unit or the application; both stand for the application of the unit logged in.
		err := a.selfOrApplication(arg.Tag)
		if err == nil {
			err = a.model.SetApplicationStatus(a.loggedIn(), arg.Status, arg.Info, arg.Data)
		}
		results.Results[i].Error = apiservererrors.ServerError(err)
	}
	return results
}

func (a *uniterAPI) setStatus(args params.SetStatus, set func(unit, level, message string, data map[string]any) error) params.ErrorResults {
	results := params.ErrorResults{Results: make([]params.ErrorResult, len(args.Entities))}
	for i, arg := range args.Entities {
		unit, err := a.self(arg.Tag)
		if err == nil {
			err = set(unit, arg.Status, arg.Info, arg.Data)
		}
		results.Results[i].Error = apiservererrors.ServerError(err)
	}
	return results
}

// UnitStatus is the workload's status.
func (a *uniterAPI) UnitStatus(args params.Entities) params.StatusResults {
	return params.StatusResults{Results: forUnits(a.session, args,
		func(r *params.StatusResult) **params.Error { return &r.Error },
		func(unit string, r *params.StatusResult) error {
			status, err := a.model.UnitStatus(unit)
			if err == nil {
				*r = statusResult(status)
				r.Id = unit
			}
			return err
		})}
}

// ApplicationStatus is the status of the unit's application and of all its units, which its leader may see.
func (a *uniterAPI) ApplicationStatus(args params.Entities) params.ApplicationStatusResults {
	return params.ApplicationStatusResults{Results: forUnits(a.session, args,
		func(r *params.ApplicationStatusResult) **params.Error { return &r.Error },
		func(unit string, r *params.ApplicationStatusResult) error {
			status, err := a.model.ApplicationStatus(unit)
			if err != nil {
				return err
			}
			r.Application = statusResult(status)
			r.Units = map[string]params.StatusResult{}
			app, err := names.UnitApplication(unit)
			if err != nil {
				return err
			}
			for _, name := range a.model.Units(app) {
				if status, err := a.model.UnitStatus(name); err == nil {
					r.Units[name] = statusResult(status)
				}
			}
			return nil
		})}
}

func statusResult(s StatusInfo) params.StatusResult {
	return params.StatusResult{Status: s.Level, Info: s.Message, Data: s.Data, Since: &s.Since}
}

// WorkloadVersion is the version of the workload as last set.
func (a *uniterAPI) WorkloadVersion(args params.Entities) params.StringResults {
	return params.StringResults{Results: forUnits(a.session, args, stringFailure,
		func(unit string, r *params.StringResult) (err error) {
			r.Result, err = a.model.WorkloadVersion(unit)
			return err
		})}
}

// SetWorkloadVersion sets the version of the workload.
func (a *uniterAPI) SetWorkloadVersion(args params.EntityWorkloadVersions) params.ErrorResults {
	results := params.ErrorResults{Results: make([]params.ErrorResult, len(args.Entities))}
	for i, arg := range args.Entities {
		unit, err := a.self(arg.Tag)
		if err == nil {
			err = a.model.SetWorkloadVersion(unit, arg.WorkloadVersion)
		}
		results.Results[i].Error = apiservererrors.ServerError(err)
	}
	return results
}

// selfOrApplication lets a tag of the unit logged in or of its application pass.
func (s *session) selfOrApplication(tag string) error {
	app, err := names.UnitApplication(s.loggedIn())
	if err == nil && tag == names.NewApplicationTag(app).String() {
		return nil
	}
	_, err = s.self(tag)
	return err
}
