// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"errors"
	"strings"

	"github.com/juju/juju/api"
	"github.com/juju/names/v5"
	"github.com/juju/version/v2"
	"gopkg.in/yaml.v2"
)

// agentConf is what of agent.conf says how to log in, under the names of Juju's format 2.0 (agent/format-2.0.go there), which
// all Jujus since 2.0 write. Juju's own reader brings the client of its database and the installer of its snaps along, which
// each hook would load and initialise. It says more of controllers' machines, whose file a unit's is not.
type agentConf struct {
	Tag         string          `yaml:"tag"`
	Version     *version.Number `yaml:"upgradedToVersion"`
	CACert      string          `yaml:"cacert"`
	Controller  string          `yaml:"controller"`
	Model       string          `yaml:"model"`
	Nonce       string          `yaml:"nonce"`
	Addresses   []string        `yaml:"apiaddresses"`
	Password    string          `yaml:"apipassword"`
	OldPassword string          `yaml:"oldpassword"`

	tag   names.Tag
	model names.ModelTag
}

// agentConfFormat is the first line of the file.
const agentConfFormat = "# format 2.0"

// parseAgentConf reads the text of agent.conf. No error holds any of it.
func parseAgentConf(data []byte) (agentConf, error) {
	errBroken := errors.New("it is not a complete agent configuration")
	var conf agentConf
	first, rest, found := strings.Cut(string(data), "\n")
	if !found || strings.TrimSpace(first) != agentConfFormat {
		return agentConf{}, errBroken
	}
	err := yaml.Unmarshal([]byte(rest), &conf)
	if err != nil {
		return agentConf{}, errBroken
	}
	if conf.tag, err = names.ParseTag(conf.Tag); err != nil {
		return agentConf{}, errBroken
	}
	if conf.model, err = names.ParseModelTag(conf.Model); err != nil {
		return agentConf{}, errBroken
	}
	if _, err = names.ParseControllerTag(conf.Controller); err != nil {
		return agentConf{}, errBroken
	}
	if conf.Version == nil {
		return agentConf{}, errors.New("it is incomplete")
	}
	return conf, nil
}

// info is how to log in.
func (c agentConf) info() api.Info {
	return api.Info{Addrs: c.Addresses, Password: c.Password, CACert: c.CACert, Tag: c.tag, Nonce: c.Nonce, ModelTag: c.model}
}
