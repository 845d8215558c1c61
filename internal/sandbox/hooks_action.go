// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
)

// runningAction is what an action has been given and has answered so far.
type runningAction struct {
	name    string
	id      string
	params  map[string]any
	results map[string]any
	message string
	failed  bool
	log     []string
	stdout  string
	stderr  string
	code    int
}

// ActionResult is the outcome of an action, as "juju run" shows it.
type ActionResult struct {
	Status  string         // "completed" or "failed"
	Message string         // of action-fail, or why the action could not be run
	Results map[string]any // of action-set, and return-code, stdout and stderr of a process
	Log     []string       // of action-log
}

// RunAction runs an action on a unit at once. What it sets in relations, state and secrets is kept when its process
// ended well, also if it called action-fail. An error means that the action could not be started at all.
func (r *Runner) RunAction(ctx context.Context, unit, name string, params map[string]any) (ActionResult, error) {
	a, err := r.agent(unit)
	if err != nil {
		return ActionResult{}, fmt.Errorf("cannot run action %s: %w", name, err)
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	a.watch(r.model)
	action := &runningAction{
		name: name, id: strconv.Itoa(r.nextNumber()), params: maps.Clone(params), results: map[string]any{}, code: -1,
	}
	hook, err := r.open(a, hookOf(name), action)
	if err != nil {
		return ActionResult{}, fmt.Errorf("cannot run action %s: %w", name, err)
	}
	err = a.charm.Hook(ctx, hook)
	hook.close()
	if err == nil {
		err = hook.flush()
	}
	return action.result(err), nil
}

func (a *runningAction) result(err error) ActionResult {
	result := ActionResult{Status: "completed", Message: a.message, Results: a.results, Log: a.log}
	if a.code >= 0 {
		result.Results["return-code"] = a.code
		for key, text := range map[string]string{"stdout": a.stdout, "stderr": a.stderr} {
			if text != "" {
				result.Results[key] = text
			}
		}
	}
	switch {
	case errors.Is(err, ErrNoHook):
		result.Status, result.Message = "failed", fmt.Sprintf("action not implemented on unit: %q", a.name)
	case err != nil && result.Message == "":
		result.Status, result.Message = "failed", err.Error()
	case err != nil || a.failed:
		result.Status = "failed"
	}
	return result
}

// Action gives the name and the parameters of the action that is running; false in a hook.
func (h *HookContext) Action() (name string, params map[string]any, running bool) {
	if h.action == nil {
		return "", nil, false
	}
	return h.action.name, maps.Clone(h.action.params), true
}
