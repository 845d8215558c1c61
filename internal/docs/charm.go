// SPDX-License-Identifier: AGPL-3.0-only

package docs

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

type option struct {
	Type        string `yaml:"type"`
	Default     any    `yaml:"default"`
	Description string `yaml:"description"`
}

func configPage(tree fs.FS) (string, error) {
	var charm, node struct {
		Options ordered[option] `yaml:"options"`
	}
	if err := readYAML(tree, ".", "config.yaml", &charm); err != nil {
		return "", err
	}
	if err := readYAML(tree, nodeFolder, "config.yaml", &node); err != nil {
		return "", err
	}
	var w writing
	w.begin("Options", "config.yaml and charms/node/config.yaml", `Set them with `+"`juju config signet OPTION=VALUE`"+`. None has to be set. An impossible value blocks the unit with a message that
says what is wrong, and the last good value stays in force. Durations are a number and a unit: m (minutes), h (hours),
d (days) or w (weeks); a bare number counts days. Lists are separated by spaces.`)
	w.row(true, "option", "type", "default", "also signet-node's")
	for _, name := range charm.Options.names {
		one := charm.Options.values[name]
		also := ""
		if other, has := node.Options.values[name]; has {
			also = "yes"
			if other.Default != one.Default {
				also += ", default " + code(other.Default)
			}
		}
		w.row(false, fmt.Sprintf("[%s](#%s)", name, name), one.Type, code(one.Default), also)
	}
	for _, name := range charm.Options.names {
		one := charm.Options.values[name]
		w.line("\n## %s\n\n%s, default %s.\n\n%s", name, one.Type, code(one.Default), strings.TrimSpace(prose(one.Description)))
	}
	return w.String(), nil
}

type action struct {
	Description string             `yaml:"description"`
	Params      ordered[parameter] `yaml:"params"`
	Required    []string           `yaml:"required"`
}

type parameter struct {
	Type        string `yaml:"type"`
	Description string `yaml:"description"`
	Default     any    `yaml:"default"`
	Enum        []any  `yaml:"enum"`
}

func actionsPage(tree fs.FS) (string, error) {
	var actions ordered[action]
	if err := readYAML(tree, ".", "actions.yaml", &actions); err != nil {
		return "", err
	}
	var w writing
	w.begin("Actions", "actions.yaml", "`juju run signet/leader ACTION [PARAMETER=VALUE...]`"+` runs one. The leader does, unless the description says that any unit
does. Files are named by their paths on the unit: bring them there with `+"`juju scp`"+`, because what stands in an action's
parameters can be read in the controller's database. A failure says what to do next.`)
	w.row(true, "action", "what it does")
	for _, name := range actions.names {
		what, _, _ := strings.Cut(cell(actions.values[name].Description), ". ")
		w.row(false, fmt.Sprintf("[%s](#%s)", name, name), strings.TrimSuffix(what, ".")+".")
	}
	for _, name := range actions.names {
		one := actions.values[name]
		w.line("\n## %s\n\n%s", name, strings.TrimSpace(prose(one.Description)))
		if len(one.Params.names) == 0 {
			continue
		}
		w.line("")
		w.row(true, "parameter", "type", "default", "meaning")
		for _, param := range one.Params.names {
			declared := one.Params.values[param]
			value := ""
			switch {
			case slices.Contains(one.Required, param):
				value = "required"
			case declared.Default != nil:
				value = code(declared.Default)
			}
			kind := declared.Type
			if len(declared.Enum) > 0 {
				kind = strings.Trim(strings.Join(strings.Fields(fmt.Sprint(declared.Enum)), ", "), "[]")
			}
			w.row(false, "`"+param+"`", kind, value, cell(declared.Description))
		}
	}
	return w.String(), nil
}

type metadata struct {
	Name        string            `yaml:"name"`
	Summary     string            `yaml:"summary"`
	Subordinate bool              `yaml:"subordinate"`
	Provides    ordered[endpoint] `yaml:"provides"`
	Requires    ordered[endpoint] `yaml:"requires"`
	Peers       ordered[endpoint] `yaml:"peers"`
}

type endpoint struct {
	Interface   string `yaml:"interface"`
	Scope       string `yaml:"scope"`
	Optional    bool   `yaml:"optional"`
	Description string `yaml:"description"`
}

func metadataPage(tree fs.FS) (string, error) {
	var w writing
	w.begin("Charms, endpoints and bases", "metadata.yaml, charms/node/metadata.yaml and manifest.yaml",
		"Two charms, one program. `make charm` packs both for each architecture.")
	for _, folder := range []string{".", nodeFolder} {
		var meta metadata
		if err := readYAML(tree, folder, "metadata.yaml", &meta); err != nil {
			return "", err
		}
		kind := "A charm for machines"
		if meta.Subordinate {
			kind = "A subordinate charm for machines"
		}
		w.line("## %s\n\n%s. %s\n", meta.Name, meta.Summary, kind+".")
		w.row(true, "endpoint", "role", "interface", "optional", "what for")
		for _, side := range []struct {
			role      string
			endpoints ordered[endpoint]
		}{{"provides", meta.Provides}, {"requires", meta.Requires}, {"peers", meta.Peers}} {
			for _, name := range side.endpoints.names {
				one := side.endpoints.values[name]
				optional := "no"
				if one.Optional {
					optional = "yes"
				} else if side.role == "peers" {
					optional = "always there"
				}
				w.row(false, "`"+name+"`", side.role, "`"+one.Interface+"`", optional, cell(one.Description))
			}
		}
		w.line("")
	}
	var manifest struct {
		Bases []struct {
			Name          string   `yaml:"name"`
			Channel       string   `yaml:"channel"`
			Architectures []string `yaml:"architectures"`
		} `yaml:"bases"`
	}
	if err := readYAML(tree, ".", "manifest.yaml", &manifest); err != nil {
		return "", err
	}
	w.line("## Bases\n")
	w.row(true, "base", "architectures")
	for _, base := range manifest.Bases {
		w.row(false, fmt.Sprintf("`%s@%s`", base.Name, base.Channel), strings.Join(base.Architectures, ", "))
	}
	return w.String(), nil
}
