// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/juju/errors"
)

// actionTools are the hook tools of actions. In a hook they fail.
func actionTools() map[string]toolSpec {
	return map[string]toolSpec{
		"action-get":  {args: "[<key>[.<key>.<key>...]]", purpose: "Gets action parameters.", flags: "format", run: actionGet},
		"action-set":  {args: "<key>=<value> [<key>=<value> ...]", purpose: "Sets action results.", run: actionSet},
		"action-fail": {args: `["<failure message>"]`, purpose: "Sets action fail status with message.", run: actionFail},
		"action-log":  {args: "<message>", purpose: "Records a progress message for the current action.", run: actionLog},
	}
}

// running gives the action that is running.
func (c *toolCall) running() (*runningAction, error) {
	if c.hook.action == nil {
		return nil, errors.New("not running an action")
	}
	return c.hook.action, nil
}

func actionGet(c *toolCall) error {
	if err := c.atMost(1, ""); err != nil {
		return err
	}
	action, err := c.running()
	if err != nil {
		return err
	}
	if len(c.args) == 0 {
		return c.print(action.params)
	}
	var value any = action.params
	for key := range strings.SplitSeq(c.arg(0), ".") {
		within, is := value.(map[string]any)
		if !is {
			return c.print(nil)
		}
		value = within[key]
	}
	return c.print(value)
}

// actionSet puts each "a.b=value" into nested results; what stands in the way is replaced.
func actionSet(c *toolCall) error {
	action, err := c.running()
	if err != nil {
		return err
	}
	valid := regexp.MustCompile(`^[a-z0-9](([a-z0-9-]*[a-z0-9])?)*$`)
	for _, arg := range c.args {
		path, value, found := strings.Cut(arg, "=")
		if !found {
			return fmt.Errorf("argument %q must be of the form key...=value", arg)
		}
		keys := strings.Split(path, ".")
		for _, key := range keys {
			switch {
			case !valid.MatchString(key):
				return fmt.Errorf("key %q must start and end with lowercase alphanumeric, and contain only lowercase alphanumeric and hyphens", key)
			case slices.Contains([]string{"stdout", "stdout-encoding", "stderr", "stderr-encoding"}, key):
				return fmt.Errorf(`cannot set reserved action key "%s"`, key)
			}
		}
		within := action.results
		for _, key := range keys[:len(keys)-1] {
			next, is := within[key].(map[string]any)
			if !is {
				next = map[string]any{}
				within[key] = next
			}
			within = next
		}
		within[keys[len(keys)-1]] = value
	}
	return nil
}

func actionFail(c *toolCall) error {
	if err := c.atMost(1, ""); err != nil {
		return err
	}
	action, err := c.running()
	if err != nil {
		return err
	}
	action.failed, action.message = true, "action failed without reason given, check action for errors"
	if len(c.args) > 0 {
		action.message = c.arg(0)
	}
	return nil
}

func actionLog(c *toolCall) error {
	action, err := c.running()
	if err != nil {
		return err
	}
	if len(c.args) == 0 {
		return errors.New("no message specified")
	}
	action.log = append(action.log, strings.Join(c.args, " "))
	return nil
}
