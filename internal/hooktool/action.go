// SPDX-License-Identifier: AGPL-3.0-only

package hooktool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/signet-charm/signet/internal/juju"
)

// Action reads what the operator asks for, in an action.
func (s *Session) Action(ctx context.Context) (juju.Action, error) {
	action := juju.Action{ID: s.env.ActionID, Name: s.env.Action}
	var raw json.RawMessage
	if err := s.read(ctx, &raw, "action-get"); err != nil {
		return action, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&action.Params); err != nil {
		return action, errors.New("cannot understand the answer of action-get: not an object")
	}
	for name, value := range action.Params {
		if value, isNumber := value.(json.Number); isNumber {
			action.Params[name] = number(value)
		}
	}
	return action, nil
}

// Log writes a line to Juju's log, at one of its levels: "TRACE", "DEBUG", "INFO", "WARNING", "ERROR".
func (s *Session) Log(ctx context.Context, level, message string) error {
	_, err := s.run(ctx, nil, "juju-log", "--log-level", level, "--", message)
	return err
}

// Finish tells the operator what came of the action.
func (s *Session) Finish(ctx context.Context, result juju.Result) error {
	for _, step := range result.Steps {
		if _, err := s.run(ctx, nil, "action-log", "--", step); err != nil {
			return err
		}
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(result.Results)) {
		pairs = append(pairs, fmt.Sprintf("%s=%s", key, result.Results[key]))
	}
	if len(pairs) > 0 {
		if _, err := s.run(ctx, nil, "action-set", pairs...); err != nil {
			return err
		}
	}
	if result.Failure == "" {
		return nil
	}
	_, err := s.run(ctx, nil, "action-fail", result.Failure)
	return err
}
