// SPDX-License-Identifier: AGPL-3.0-only

package hooktool

import (
	"strings"

	"github.com/signet-charm/signet/internal/juju"
)

// Environment is what Juju tells a hook in environment variables, and what the charm knows of itself. A zero field
// means that the variable was not set.
type Environment struct {
	Network   string // "unix" (also the default) or "tcp"
	Address   string // the hook tools' socket: a path, "@name" for an abstract one, or host:port
	ContextID string // names the running hook to the agent
	Token     string // secret; only where the agent is on another machine or container
	CACert    string // path of the PEM file that the agent's certificate is checked against; only with tcp

	CharmDir    string // absolute
	TempDir     string // where secret contents pass through on their way to the agent; "/tmp" when empty
	Unit        string // own name, "signet/0"
	ModelName   string
	ModelUUID   string
	JujuVersion string // the agent's, "3.6.25"

	Hook          string // "certificates-relation-broken", "update-status"; empty in an action
	RelationID    string // of the relation the hook is about, "certificates:3"
	RemoteApp     string
	DepartingUnit string // who goes, which may be this unit itself
	Action        string // the action that runs in place of a hook; empty in a hook
	ActionID      string // by which Juju's own records call that

	Endpoints []juju.Endpoint // of the charm's metadata
}

// FromLookup reads an Environment by the names of juju's variables; lookup gives "" for one that is not set.
func FromLookup(lookup func(string) string, endpoints []juju.Endpoint) Environment {
	env := Environment{
		Network:       lookup("JUJU_AGENT_SOCKET_NETWORK"),
		Address:       lookup("JUJU_AGENT_SOCKET_ADDRESS"),
		ContextID:     lookup("JUJU_CONTEXT_ID"),
		Token:         lookup("JUJU_AGENT_TOKEN"),
		CACert:        lookup("JUJU_AGENT_CA_CERT"),
		CharmDir:      lookup("JUJU_CHARM_DIR"),
		TempDir:       lookup("TMPDIR"),
		Unit:          lookup("JUJU_UNIT_NAME"),
		ModelName:     lookup("JUJU_MODEL_NAME"),
		ModelUUID:     lookup("JUJU_MODEL_UUID"),
		JujuVersion:   lookup("JUJU_VERSION"),
		Hook:          lookup("JUJU_HOOK_NAME"),
		RelationID:    lookup("JUJU_RELATION_ID"),
		RemoteApp:     lookup("JUJU_REMOTE_APP"),
		DepartingUnit: lookup("JUJU_DEPARTING_UNIT"),
		Action:        lookup("JUJU_ACTION_NAME"),
		ActionID:      lookup("JUJU_ACTION_UUID"),
		Endpoints:     endpoints,
	}
	if env.Hook == "" && env.Action == "" { // Juju before 2.8 runs hooks/<name> and says nothing more
		env.Hook = strings.TrimPrefix(lookup("JUJU_DISPATCH_PATH"), "hooks/")
	}
	return env
}

// broken gives the key of the relation that this hook ends; "" in every other hook.
func (e Environment) broken() string {
	if strings.HasSuffix(e.Hook, "-relation-broken") {
		return e.RelationID
	}
	return ""
}

// endpoint finds an endpoint of the charm by the relation key "certificates:3".
func (e Environment) endpoint(key string) (juju.Endpoint, bool) {
	name, _, _ := strings.Cut(key, ":")
	for _, endpoint := range e.Endpoints {
		if endpoint.Name == name {
			return endpoint, true
		}
	}
	return juju.Endpoint{}, false
}
