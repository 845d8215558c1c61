// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/juju/errors"
	"github.com/juju/juju/rpc/params"

	"github.com/signet-charm/signet/internal/juju"
)

// unitTools are the hook tools about the unit itself and its application.
func unitTools() map[string]toolSpec {
	return map[string]toolSpec{
		"is-leader":  {purpose: "Prints application leadership status.", flags: "format", run: isLeader},
		"config-get": {args: "[<key>]", purpose: "Prints application configuration.", flags: "format all", run: configGet},
		"network-get": {
			args:    "<binding-name> [--ingress-address] [--bind-address] [--egress-subnets]",
			purpose: "Gets network config.", flags: "format relation network", run: networkGet,
		},
		"unit-get": {args: "<setting>", purpose: "Prints public-address or private-address.", flags: "format", run: unitGet},
		"status-get": {
			args: "[--include-data] [--application]", purpose: "Prints status information.",
			flags: "format include-data application", run: statusGet,
		},
		"status-set": {args: "<status> [<message>]", purpose: "Sets status information.", flags: "application", run: statusSet},
		"state-get":  {args: "[<key>]", purpose: "Prints server-side-state value.", flags: "format strict", run: stateGet},
		"state-set": {
			args: "key=value [key=value ...]", purpose: "Sets server-side-state values.", flags: "file", run: stateSet,
		},
		"state-delete": {args: "<key>", purpose: "Deletes server-side-state key value pairs.", run: stateDelete},
		"juju-log":     {args: "<message>", purpose: "Writes a message to Juju logs.", flags: "log", run: jujuLog},
		"application-version-set": {
			args: "<new-version>", purpose: "Specifies which version of the application is deployed.", run: versionSet,
		},
		"goal-state": {purpose: "Prints the status of the charm's peers and related units.", flags: "yaml", run: goalState},
		"open-port": {
			args: "<port>[/<protocol>] or <from>-<to>[/<protocol>] or icmp", purpose: "Registers a request to open a port or port range.",
			run: func(c *toolCall) error { return c.port(&c.hook.opened) },
		},
		"close-port": {
			args: "<port>[/<protocol>] or <from>-<to>[/<protocol>] or icmp", purpose: "Registers a request to close a port or port range.",
			run: func(c *toolCall) error { return c.port(&c.hook.shut) },
		},
		"opened-ports": {purpose: "Lists all ports or port ranges opened by the unit.", flags: "format endpoints", run: openedPorts},
	}
}

func isLeader(c *toolCall) error {
	if err := c.atMost(0, ""); err != nil {
		return err
	}
	return c.print(c.hook.leads())
}

func configGet(c *toolCall) error {
	if err := c.atMost(1, ""); err != nil {
		return err
	}
	config, err := c.hook.model.Config(juju.ApplicationOf(c.hook.agent.unit))
	if err != nil {
		return err
	}
	key := c.arg(0)
	switch {
	case key != "" && c.all:
		return fmt.Errorf("cannot use argument --all together with key %q", key)
	case key != "":
		return c.print(config[key])
	case !c.all:
		maps.DeleteFunc(config, func(_ string, value any) bool { return value == nil })
	}
	return c.print(config)
}

// shownAddress is one address as network-get shows it; the second spelling is for old charms that read the YAML.
type shownAddress struct {
	Hostname string `json:"hostname" yaml:"hostname"`
	Value    string `json:"value" yaml:"value"`
	CIDR     string `json:"cidr" yaml:"cidr"`
	Address  string `json:"-" yaml:"address"`
}

// shownDevice is one network device, likewise.
type shownDevice struct {
	MACAddress    string         `json:"mac-address" yaml:"mac-address"`
	InterfaceName string         `json:"interface-name" yaml:"interface-name"`
	Addresses     []shownAddress `json:"addresses" yaml:"addresses"`
	OldMAC        string         `json:"-" yaml:"macaddress"`
	OldName       string         `json:"-" yaml:"interfacename"`
}

// shownNetwork is all that network-get shows.
type shownNetwork struct {
	Bind    []shownDevice `json:"bind-addresses,omitempty" yaml:"bind-addresses,omitempty"`
	Egress  []string      `json:"egress-subnets,omitempty" yaml:"egress-subnets,omitempty"`
	Ingress []string      `json:"ingress-addresses,omitempty" yaml:"ingress-addresses,omitempty"`
}

func networkGet(c *toolCall) error {
	if err := c.atMost(1, "no arguments specified"); err != nil {
		return err
	}
	meta, err := c.hook.model.Meta(juju.ApplicationOf(c.hook.agent.unit))
	if err != nil {
		return err
	}
	binding := c.arg(0)
	if !slices.ContainsFunc(meta.Endpoints, func(e juju.Endpoint) bool { return e.Name == binding }) && binding != "juju-info" {
		return fmt.Errorf("no network config found for binding %q", binding)
	}
	addresses, err := c.hook.model.Addresses(c.hook.agent.unit)
	if err != nil {
		return err
	}
	values := map[string]any{}
	if c.network.egress {
		values["egress-subnets"] = addresses.Egress
	}
	if c.network.ingress {
		values["ingress-address"] = addresses.Ingress[0]
	}
	if c.network.bind {
		values["bind-address"] = addresses.Bind[0]
	}
	switch {
	case c.network.primary && len(values) > 0:
		return errors.New("--primary-address must be the only flag specified")
	case c.network.primary:
		return c.print(addresses.Bind[0])
	case len(values) == 1:
		for _, value := range values {
			return c.print(value)
		}
	case len(values) > 1:
		return c.print(values)
	}
	device := shownDevice{MACAddress: "00:16:3e:00:00:01", InterfaceName: "eth0", OldMAC: "00:16:3e:00:00:01", OldName: "eth0"}
	for _, address := range addresses.Bind {
		device.Addresses = append(device.Addresses, shownAddress{Value: address, CIDR: "10.0.0.0/8", Address: address})
	}
	return c.print(shownNetwork{Bind: []shownDevice{device}, Egress: addresses.Egress, Ingress: addresses.Ingress})
}

func unitGet(c *toolCall) error {
	if err := c.atMost(1, "no setting specified"); err != nil {
		return err
	}
	if setting := c.arg(0); setting != "private-address" && setting != "public-address" {
		return fmt.Errorf("unknown setting %q", setting)
	}
	addresses, err := c.hook.model.Addresses(c.hook.agent.unit)
	if err != nil {
		return err
	}
	return c.print(addresses.Ingress[0])
}

func statusGet(c *toolCall) error {
	if err := c.atMost(0, ""); err != nil {
		return err
	}
	if c.application {
		return c.applicationStatus()
	}
	status, err := c.hook.model.UnitStatus(c.hook.agent.unit)
	if err != nil {
		return errors.Annotate(err, "finding workload status")
	}
	if !c.includeData && c.out.Name() == "smart" {
		return c.print(status.Level)
	}
	return c.print(c.shownStatus(status))
}

func (c *toolCall) shownStatus(status StatusInfo) map[string]any {
	shown := map[string]any{"status": status.Level}
	if c.includeData {
		data := status.Data
		if data == nil {
			data = map[string]any{}
		}
		shown["message"], shown["status-data"] = status.Message, data
	}
	return shown
}

func (c *toolCall) applicationStatus() error {
	own := c.hook.agent.unit
	status, err := c.hook.model.ApplicationStatus(own)
	if err != nil {
		return errors.Annotate(err, "finding application status")
	}
	if !c.includeData && c.out.Name() == "smart" {
		return c.print(status.Level)
	}
	shown, units := c.shownStatus(status), map[string]any{}
	for _, name := range c.hook.model.Units(juju.ApplicationOf(own)) {
		if status, err := c.hook.model.UnitStatus(name); err == nil {
			units[name] = c.shownStatus(status)
		}
	}
	shown["units"] = units
	return c.print(map[string]any{"application-status": shown})
}

// statusSet takes effect at once and is not undone by a failing hook.
func statusSet(c *toolCall) error {
	if err := c.atMost(2, "invalid args, require <status> [message]"); err != nil {
		return err
	}
	level := c.arg(0)
	if allowed := []string{"maintenance", "blocked", "waiting", "active"}; !slices.Contains(allowed, level) {
		return fmt.Errorf("invalid status %q, expected one of %v", level, allowed)
	}
	if !c.application {
		return c.hook.model.SetUnitStatus(c.hook.agent.unit, level, c.arg(1), nil)
	}
	if !c.hook.leads() {
		return errors.New("this unit is not the leader")
	}
	return c.hook.model.SetApplicationStatus(c.hook.agent.unit, level, c.arg(1), nil)
}

func stateGet(c *toolCall) error {
	if err := c.atMost(1, ""); err != nil {
		return err
	}
	state, err := c.hook.charmState()
	if err != nil {
		return err
	}
	key := c.arg(0)
	value, found := state[key]
	switch {
	case len(state) == 0 && (key == "" || key == "-"):
		return c.print(map[string]string(nil)) // "null", as Juju prints it
	case key == "" || key == "-":
		return c.print(state)
	case !found && c.strict:
		return errors.NotFoundf("%q", key)
	}
	return c.print(value)
}

func stateSet(c *toolCall) error {
	given, err := c.keyValues()
	if err != nil {
		return err
	}
	state, err := c.hook.charmState()
	if err != nil {
		return err
	}
	for key, value := range given {
		switch {
		case len(key) > maxStateKey:
			return errors.QuotaLimitExceededf("max allowed key length (%d) exceeded", maxStateKey)
		case len(value) > maxStateValue:
			return errors.QuotaLimitExceededf("max allowed value length (%d) exceeded", maxStateValue)
		}
		if have, found := state[key]; found && have == value {
			continue
		}
		state[key], c.hook.newState = value, true
	}
	return nil
}

func stateDelete(c *toolCall) error {
	if err := c.atMost(1, ""); err != nil {
		return err
	}
	state, err := c.hook.charmState()
	if err != nil {
		return err
	}
	if _, found := state[c.arg(0)]; found {
		delete(state, c.arg(0))
		c.hook.newState = true
	}
	return nil
}

func jujuLog(c *toolCall) error {
	if len(c.args) == 0 {
		return errors.New("no message specified")
	}
	level := strings.ToUpper(c.level)
	if c.debug {
		level = "DEBUG"
	}
	if !slices.Contains([]string{"TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}, level) {
		level = "INFO"
	}
	message := strings.Join(c.args, " ")
	if r := c.hook.relations[c.hook.info.RelationID]; r != nil {
		message = r.key() + ": " + message
	}
	c.hook.runner.addLog(LogLine{Unit: c.hook.agent.unit, Level: level, Message: message})
	return nil
}

func versionSet(c *toolCall) error {
	if err := c.atMost(1, "no version specified"); err != nil {
		return err
	}
	return c.hook.model.SetWorkloadVersion(c.hook.agent.unit, c.arg(0))
}

// shownGoal is the status of an application or a unit as goal-state shows it.
type shownGoal struct {
	Status string `json:"status" yaml:"status"`
	Since  string `json:"since,omitempty" yaml:"since,omitempty"`
}

func goalState(c *toolCall) error {
	if err := c.atMost(0, ""); err != nil {
		return err
	}
	goal, err := c.hook.model.goalState(c.hook.agent.unit)
	if err != nil {
		return err
	}
	shown := func(states params.UnitsGoalState) map[string]shownGoal {
		goals := map[string]shownGoal{}
		for name, state := range states {
			goals[name] = shownGoal{Status: state.Status, Since: state.Since.UTC().Format("2006-01-02 15:04:05Z")}
		}
		return goals
	}
	relations := map[string]map[string]shownGoal{}
	for endpoint, states := range goal.Relations {
		relations[endpoint] = shown(states)
	}
	return c.print(struct {
		Units     map[string]shownGoal            `json:"units" yaml:"units"`
		Relations map[string]map[string]shownGoal `json:"relations" yaml:"relations"`
	}{shown(goal.Units), relations})
}

// port adds a range of ports to those to be opened or closed.
func (c *toolCall) port(list *[]PortRange) error {
	if err := c.atMost(1, "no port or range specified"); err != nil {
		return err
	}
	numbers, protocol, found := strings.Cut(strings.ToLower(c.arg(0)), "/")
	if !found {
		protocol = "tcp"
	}
	if numbers == "icmp" {
		*list = append(*list, PortRange{Protocol: "icmp", From: -1, To: -1})
		return nil
	}
	first, last, isRange := strings.Cut(numbers, "-")
	if !isRange {
		last = first
	}
	from, err := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	ports := PortRange{Protocol: protocol, From: from, To: to}
	if err != nil || err2 != nil || ports.validate() != nil {
		return fmt.Errorf("invalid port range %q", c.arg(0))
	}
	*list = append(*list, ports)
	return nil
}

func openedPorts(c *toolCall) error {
	shown := []string{}
	for _, p := range c.hook.model.OpenedPorts(c.hook.agent.unit) {
		switch {
		case p.Protocol == "icmp":
			shown = append(shown, "icmp")
		case p.From == p.To:
			shown = append(shown, fmt.Sprintf("%d/%s", p.From, p.Protocol))
		default:
			shown = append(shown, fmt.Sprintf("%d-%d/%s", p.From, p.To, p.Protocol))
		}
	}
	slices.Sort(shown)
	return c.print(slices.Compact(shown))
}
