// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"encoding/json"
	"fmt"
)

// What follows is for charms written as functions: the hook tools with Go's types. Relations go by their keys,
// "certificates:3"; an empty key means the relation that the hook is about.

// Relations are the keys of the relations of an endpoint, sorted.
func (h *HookContext) Relations(endpoint string) ([]string, error) {
	var keys []string
	err := h.toolJSON(&keys, "relation-ids", endpoint)
	return keys, err
}

// RelationUnits are the remote units of a relation.
func (h *HookContext) RelationUnits(key string) ([]string, error) {
	var units []string
	err := h.toolJSON(&units, "relation-list", inRelation(key)...)
	return units, err
}

// RelationGet reads a unit's databag; an empty name means the hook's remote unit.
func (h *HookContext) RelationGet(key, unit string) (map[string]string, error) {
	return h.relationGet(inRelation(key), unit)
}

// RelationGetApp reads an application's databag; an empty name means the hook's remote application.
func (h *HookContext) RelationGetApp(key, app string) (map[string]string, error) {
	return h.relationGet(append(inRelation(key), "--app"), app)
}

func (h *HookContext) relationGet(args []string, owner string) (map[string]string, error) {
	args = append(args, "-")
	if owner != "" {
		args = append(args, owner)
	}
	bag := map[string]string{}
	err := h.toolJSON(&bag, "relation-get", args...)
	return bag, err
}

// RelationSet writes keys of the unit's own databag; an empty value removes the key.
func (h *HookContext) RelationSet(key string, values map[string]string) error {
	return h.relationSet(inRelation(key), values)
}

// RelationSetApp writes keys of the own application's databag, which only the leader may.
func (h *HookContext) RelationSetApp(key string, values map[string]string) error {
	return h.relationSet(append(inRelation(key), "--app"), values)
}

func (h *HookContext) relationSet(args []string, values map[string]string) error {
	text, err := json.Marshal(values) // JSON is YAML enough for what a script writes
	if err != nil {
		return fmt.Errorf("cannot encode settings: %w", err)
	}
	_, err = h.Tool("relation-set", append(args, "--file", "-"), text)
	return err
}

// IsLeader asks for leadership.
func (h *HookContext) IsLeader() (bool, error) {
	var leader bool
	err := h.toolJSON(&leader, "is-leader")
	return leader, err
}

// SetStatus sets the unit's status.
func (h *HookContext) SetStatus(level, message string) error {
	_, err := h.Tool("status-set", []string{"--", level, message}, nil)
	return err
}

// toolJSON runs a hook tool and decodes its answer.
func (h *HookContext) toolJSON(result any, command string, args ...string) error {
	out, err := h.Tool(command, append([]string{"--format", "json"}, args...), nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, result); err != nil {
		return fmt.Errorf("cannot understand the answer of %s: %w", command, err)
	}
	return nil
}

func inRelation(key string) []string {
	if key == "" {
		return nil
	}
	return []string{"-r", key}
}
