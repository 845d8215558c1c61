// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/juju/errors"
	"github.com/juju/names/v5"
	"gopkg.in/yaml.v2"

	"github.com/signet-charm/signet/internal/juju"
)

// relationTools are the hook tools about relations.
func relationTools() map[string]toolSpec {
	return map[string]toolSpec{
		"relation-ids": {
			args: "<name>", purpose: "Lists all relation IDs for the given endpoint.", flags: "format", run: relationIDs,
		},
		"relation-list": {
			purpose: "Lists relation units.", flags: "format relation app", run: relationList,
		},
		"relation-get": {
			args: "<key> <unit id>", purpose: "Gets relation settings.", flags: "format relation app", run: relationGet,
		},
		"relation-set": {
			args: "key=value [key=value ...]", purpose: "Sets relation settings.", flags: "relation app file", run: relationSet,
		},
		"relation-model-get": {
			purpose: "Gets details about the model housing a related application.", flags: "format relation", run: relationModelGet,
		},
	}
}

// relationIDs leaves out the relation that a -broken hook is about, and prints [] rather than null.
func relationIDs(c *toolCall) error {
	if err := c.atMost(1, ""); err != nil {
		return err
	}
	endpoint := c.arg(0)
	if own := c.hook.relations[c.hook.info.RelationID]; endpoint == "" && own != nil {
		endpoint = own.info.Endpoint.Name
	}
	if endpoint == "" {
		return errors.New("no endpoint name specified")
	}
	keys := []string{}
	for _, r := range c.hook.relations {
		if r.info.Endpoint.Name == endpoint && !r.broken {
			keys = append(keys, r.key())
		}
	}
	slices.Sort(keys)
	return c.print(keys)
}

func relationList(c *toolCall) error {
	if err := c.atMost(0, ""); err != nil {
		return err
	}
	r, err := c.inRelation()
	if err != nil {
		return err
	}
	if c.app {
		return c.print(r.info.RemoteApp)
	}
	return c.print(append([]string{}, r.memberNames()...))
}

func relationModelGet(c *toolCall) error {
	r, err := c.inRelation()
	if err != nil {
		return err
	}
	return c.print(map[string]string{"uuid": r.info.RemoteModel})
}

// relationGet prints a databag or one value of it.
func relationGet(c *toolCall) error {
	if err := c.atMost(2, ""); err != nil {
		return err
	}
	r, err := c.inRelation()
	if err != nil {
		return err
	}
	owner, app, err := c.bagOwner()
	if err != nil {
		return err
	}
	bag, err := c.readBag(r, owner, app)
	if err != nil {
		return err
	}
	key := c.arg(0)
	if key == "" || key == "-" {
		return c.print(bag)
	}
	if value, found := bag[key]; found {
		return c.print(value)
	}
	return c.print(nil)
}

// bagOwner works out whose databag is meant: the one named, else the hook's remote unit or application.
func (c *toolCall) bagOwner() (owner string, app bool, err error) {
	named := c.arg(1)
	switch {
	case named == "" && c.app && c.hook.info.RemoteApp != "":
		return c.hook.info.RemoteApp, true, nil
	case named == "" && !c.app && c.hook.info.RemoteUnit != "":
		return c.hook.info.RemoteUnit, false, nil
	case named == "" && !c.app && c.hook.info.RemoteApp != "":
		return c.hook.info.RemoteApp, true, nil
	case named == "":
		return "", false, errors.New("no unit or application specified")
	case c.app:
		return juju.ApplicationOf(named), true, nil
	case names.IsValidUnit(named):
		return named, false, nil
	case names.IsValidApplication(named):
		return "", false, fmt.Errorf("expected unit name, got application name %q", named)
	}
	return "", false, fmt.Errorf("invalid unit name %q", named)
}

// readBag reads own databags with what the hook has written, others from the model, which refuses what Juju refuses.
func (c *toolCall) readBag(r *hookRelation, owner string, app bool) (map[string]string, error) {
	own := c.hook.agent.unit
	switch {
	case !app && owner == own:
		bag, err := c.hook.ownUnit(r)
		if err != nil {
			return nil, err
		}
		return bag.values, nil
	case !app:
		return c.hook.otherUnit(r, owner)
	case owner == juju.ApplicationOf(own) && c.hook.leads():
		bag, err := c.hook.ownApp(r)
		if err != nil {
			return nil, err
		}
		return bag.values, nil
	}
	return c.hook.otherApp(r, owner)
}

// relationSet gathers what to write. Arguments win over the file; an empty value removes the key.
func relationSet(c *toolCall) error {
	if c.relation == noRelation {
		return errors.New("no relation id specified")
	}
	given, err := c.keyValues()
	if err != nil {
		return err
	}
	r, err := c.inRelation()
	if err != nil {
		return err
	}
	var bag *writtenBag
	if c.app {
		if !c.hook.leads() {
			return errors.New("cannot write relation settings")
		}
		if bag, err = c.hook.ownApp(r); err != nil {
			return errors.Annotate(err, "cannot read relation application settings")
		}
	} else if bag, err = c.hook.ownUnit(r); err != nil {
		return errors.Annotate(err, "cannot read relation settings")
	}
	for key, value := range given {
		bag.set(key, value)
	}
	return nil
}

// keyValues gives the settings of --file and of the arguments "key=value".
func (c *toolCall) keyValues() (map[string]string, error) {
	given := map[string]string{}
	for _, arg := range c.args {
		key, value, found := strings.Cut(arg, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !found || key == "" {
			return nil, fmt.Errorf(`expected "key=value", got %q`, arg)
		}
		if _, twice := given[key]; twice {
			return nil, fmt.Errorf("key %q specified more than once", key)
		}
		given[key] = value
	}
	if c.file.Path == "" {
		return given, nil
	}
	text, err := c.readAll()
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	if err := yaml.Unmarshal(text, settings); err != nil {
		return nil, err
	}
	maps.Copy(settings, given)
	return settings, nil
}
