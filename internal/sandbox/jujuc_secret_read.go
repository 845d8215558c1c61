// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"slices"
	"strings"
	"time"

	"github.com/juju/errors"
	coresecrets "github.com/juju/juju/core/secrets"
)

func secretGet(c *toolCall) error {
	if err := c.atMost(2, ""); err != nil {
		return err
	}
	switch {
	case len(c.args) == 0 && c.secret.label == "":
		return errors.New("require either a secret URI or label")
	case c.secret.peek && c.secret.refresh:
		return errors.New("specify one of --peek or --refresh but not both")
	}
	content, err := c.secretContent()
	if err != nil {
		return err
	}
	value := coresecrets.NewSecretValue(content)
	if key := c.arg(1); key != "" {
		one, err := value.KeyValue(key)
		if err != nil {
			return err
		}
		return c.print(one)
	}
	values, err := value.Values()
	if err != nil {
		return err
	}
	return c.print(values)
}

// secretContent gives what the hook itself has written, else what the model gives this unit.
func (c *toolCall) secretContent() (map[string]string, error) {
	query := SecretQuery{Label: c.secret.label, Peek: c.secret.peek, Refresh: c.secret.refresh}
	if len(c.args) > 0 {
		uri, err := c.hook.secretURI(c.args[0])
		if err != nil {
			return nil, err
		}
		query.URI = uri
	} else if own, err := c.ownByLabel(); err != nil {
		return nil, err
	} else if own != "" {
		query.URI, query.Label = own, ""
	}
	if created := pending(c.hook.secrets.Creates, query.URI); created != nil {
		return created.Content, nil
	}
	if updated := pending(c.hook.secrets.Updates, query.URI); updated != nil && len(updated.Content) > 0 && (query.Peek || query.Refresh) {
		if query.Refresh && !slices.Contains(c.hook.secrets.TrackLatest, query.URI) {
			c.hook.secrets.TrackLatest = append(c.hook.secrets.TrackLatest, query.URI)
		}
		return updated.Content, nil
	}
	return c.hook.model.SecretContent(c.hook.agent.unit, query)
}

// ownByLabel finds an own secret by the label given; "" when there is none.
func (c *toolCall) ownByLabel() (string, error) {
	infos, err := c.hook.ownSecrets()
	if err != nil {
		return "", err
	}
	for _, info := range infos {
		if info.Label == c.secret.label {
			return info.URI, nil
		}
	}
	return "", nil
}

func secretIDs(c *toolCall) error {
	if err := c.atMost(0, ""); err != nil {
		return err
	}
	infos, err := c.hook.ownSecrets()
	if err != nil {
		return err
	}
	var ids []string
	for _, info := range infos {
		ids = append(ids, strings.TrimPrefix(info.URI, "secret:"))
	}
	return c.print(ids)
}

// shownSecret is what secret-info-get shows.
type shownSecret struct {
	Revision    int        `yaml:"revision" json:"revision"`
	Label       string     `yaml:"label" json:"label"`
	Owner       string     `yaml:"owner" json:"owner"`
	Description string     `yaml:"description,omitempty" json:"description,omitempty"`
	Rotation    string     `yaml:"rotation,omitempty" json:"rotation,omitempty"`
	Expiry      *time.Time `yaml:"expiry,omitempty" json:"expiry,omitempty"`
}

func secretInfoGet(c *toolCall) error {
	if err := c.atMost(1, ""); err != nil {
		return err
	}
	switch {
	case len(c.args) == 0 && c.secret.label == "":
		return errors.New("require either a secret URI or label")
	case len(c.args) > 0 && c.secret.label != "":
		return errors.New("specify either a secret URI or label but not both")
	}
	infos, err := c.hook.ownSecrets()
	if err != nil {
		return err
	}
	wanted, uri := c.secret.label, ""
	if len(c.args) > 0 {
		if uri, err = c.hook.secretURI(c.args[0]); err != nil {
			return err
		}
		wanted = strings.TrimPrefix(uri, "secret:")
	}
	for _, info := range infos {
		if (uri != "" && info.URI != uri) || (uri == "" && info.Label != c.secret.label) {
			continue
		}
		owner := "application"
		if strings.Contains(info.Owner, "/") {
			owner = "unit"
		}
		return c.print(map[string]shownSecret{strings.TrimPrefix(info.URI, "secret:"): {
			Revision: info.Latest, Label: info.Label, Owner: owner, Description: info.Description,
			Rotation: info.Rotate, Expiry: info.Expire,
		}})
	}
	return errors.NotFoundf("secret %q", wanted)
}
