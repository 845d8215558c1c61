// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/juju/errors"
	"github.com/juju/names/v5"
)

// absentTools are the hook tools about what no model here has: resources, storage and the cloud's credentials. They answer
// as Juju's do where there is none.
func absentTools() map[string]toolSpec {
	return map[string]toolSpec{
		"resource-get": {args: "<resource name>", purpose: "Gets the path to the locally cached resource file.", run: resourceGet},
		"storage-list": {args: "[<storage-name>]", purpose: "Lists storage attached to the unit.", flags: "format", run: storageList},
		"storage-get": {
			args: "[-s <storage-id>] [<key>]", purpose: "Prints information for the storage instance with the specified ID.",
			flags: "format storage", run: func(*toolCall) error { return errors.New("no storage instance specified") },
		},
		"storage-add": {args: "<charm storage name>[=count] ...", purpose: "Adds storage instances.", run: storageAdd},
		"credential-get": {
			purpose: "Accesses cloud credentials.", flags: "yaml",
			run: func(*toolCall) error { return errors.New("cannot access cloud credentials: permission denied") },
		},
	}
}

func resourceGet(c *toolCall) error {
	if err := c.atMost(1, "missing required resource name"); err != nil {
		return err
	}
	return errors.Annotate(errors.NotFoundf("resource %q", c.arg(0)), "could not download resource")
}

func storageList(c *toolCall) error {
	if err := c.atMost(1, ""); err != nil {
		return err
	}
	return c.print([]string{})
}

// storageAdd notes what is to be added. Juju finds out that the charm has no such storage when the hook has ended, and
// fails it then.
func storageAdd(c *toolCall) error {
	if len(c.args) == 0 {
		return errors.New("storage add requires a storage directive")
	}
	for _, arg := range c.args {
		name, count, counted := strings.Cut(arg, "=")
		if number, err := strconv.ParseUint(count, 10, 32); counted && (err != nil || number == 0) {
			return fmt.Errorf("cannot parse constraints for storage %q: unrecognized storage constraint %q not valid", name, count)
		}
		c.hook.storage = append(c.hook.storage, name)
	}
	return nil
}

// storageFlag is the value of -s, which names storage that is not there.
type storageFlag struct{ *toolCall }

// String is part of gnuflag.Value.
func (storageFlag) String() string { return "" }

// Set is part of gnuflag.Value.
func (storageFlag) Set(value string) error {
	if !names.IsValidStorage(value) {
		return fmt.Errorf("invalid storage ID %q", value)
	}
	return errors.NotFoundf("storage")
}
