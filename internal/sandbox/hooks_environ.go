// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"strconv"
	"strings"
)

// systemPath is the rest of PATH when a Runner is not told another.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Environ is the environment in which Juju would run this hook, as "NAME=value". Nothing of this process's own is in it,
// not even HOME: a charm that needs more fails under Juju, too.
func (h *HookContext) Environ() []string {
	unit, opts := h.agent.unit, h.runner.opts
	machine, _ := h.model.Machine(unit) // empty in a unit that is gone
	env := []string{
		"CHARM_DIR=" + h.charmDir(),
		"JUJU_CHARM_DIR=" + h.charmDir(),
		"JUJU_CONTEXT_ID=" + h.id,
		"JUJU_HOOK_NAME=" + h.hookName(),
		"JUJU_AGENT_SOCKET_ADDRESS=" + h.socket,
		"JUJU_AGENT_SOCKET_NETWORK=unix",
		"JUJU_UNIT_NAME=" + unit,
		"JUJU_MODEL_UUID=" + h.model.UUID(),
		"JUJU_MODEL_NAME=" + h.model.Name(),
		"JUJU_API_ADDRESSES=" + strings.Join(opts.APIAddresses, " "),
		"JUJU_SLA=unsupported",
		"JUJU_MACHINE_ID=" + machine,
		"JUJU_PRINCIPAL_UNIT=",
		"JUJU_AVAILABILITY_ZONE=sandbox",
		"JUJU_VERSION=" + h.model.JujuVersion(),
		"CLOUD_API_VERSION=",
		"JUJU_CHARM_HTTP_PROXY=",
		"JUJU_CHARM_HTTPS_PROXY=",
		"JUJU_CHARM_FTP_PROXY=",
		"JUJU_CHARM_NO_PROXY=127.0.0.1,localhost,::1",
	}
	env = append(env, h.aboutEnviron()...)
	path := opts.Path
	if path == "" {
		path = systemPath
	}
	if opts.Tools != "" {
		path = opts.Tools + ":" + path
	}
	return append(env,
		"APT_LISTCHANGES_FRONTEND=none",
		"DEBIAN_FRONTEND=noninteractive",
		"LANG=C.UTF-8",
		"TERM=tmux-256color",
		"PATH="+path,
		"JUJU_DISPATCH_PATH="+h.DispatchPath(),
	)
}

// aboutEnviron is the part of the environment that says what the hook is about.
func (h *HookContext) aboutEnviron() []string {
	var env []string
	if r := h.relations[h.info.RelationID]; r != nil {
		env = append(env,
			"JUJU_RELATION="+r.info.Endpoint.Name,
			"JUJU_RELATION_ID="+r.key(),
			"JUJU_REMOTE_UNIT="+h.info.RemoteUnit,
			"JUJU_REMOTE_APP="+h.info.RemoteApp,
		)
		if h.info.DepartingUnit != "" {
			env = append(env, "JUJU_DEPARTING_UNIT="+h.info.DepartingUnit)
		}
	}
	if h.action != nil {
		env = append(env,
			"JUJU_ACTION_NAME="+h.action.name,
			"JUJU_ACTION_UUID="+h.action.id,
			"JUJU_ACTION_TAG=action-"+h.action.id,
		)
	}
	if h.info.SecretURI != "" {
		env = append(env, "JUJU_SECRET_ID="+h.info.SecretURI, "JUJU_SECRET_LABEL="+h.info.SecretLabel)
		if h.info.SecretRevision > 0 {
			env = append(env, "JUJU_SECRET_REVISION="+strconv.Itoa(h.info.SecretRevision))
		}
	}
	return env
}

// Getenv looks up one variable of Environ; "" when it is not there.
func (h *HookContext) Getenv(name string) string {
	for _, variable := range h.Environ() {
		if value, found := strings.CutPrefix(variable, name+"="); found {
			return value
		}
	}
	return ""
}

// charmDir is the charm's folder; a charm in this process has none of its own and is given the agent's.
func (h *HookContext) charmDir() string {
	if process, is := h.agent.charm.(ProcessCharm); is {
		return process.Dir
	}
	return h.runner.opts.Dir
}

// hookName is empty in an action.
func (h *HookContext) hookName() string {
	if h.action != nil {
		return ""
	}
	return h.info.Name
}
