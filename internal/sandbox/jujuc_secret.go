// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/juju/errors"
	"github.com/juju/gnuflag"
	coresecrets "github.com/juju/juju/core/secrets"

	"github.com/signet-charm/signet/internal/juju"
)

// secretFlags are the flags of the secret tools.
type secretFlags struct {
	label, description, rotate, expire, owner, file, unit string
	peek, refresh                                         bool
	revision                                              int
}

func (s *secretFlags) add(f *gnuflag.FlagSet, name string) {
	switch name {
	case "label":
		f.StringVar(&s.label, "label", "", "Specifies a label used to identify the secret in hooks.")
	case "upsert":
		f.StringVar(&s.description, "description", "", "Specifies the secret description.")
		f.StringVar(&s.rotate, "rotate", "", "Specifies the secret rotation policy.")
		f.StringVar(&s.expire, "expire", "", "Specifies either a duration or time when the secret should expire.")
		f.StringVar(&s.owner, "owner", "application", "Specifies the owner of the secret, either the application or unit.")
		f.StringVar(&s.file, "file", "", "Specifies a YAML file containing secret key values.")
	case "read":
		f.BoolVar(&s.peek, "peek", false, "Gets the latest revision just this time.")
		f.BoolVar(&s.refresh, "refresh", false, "Gets the latest revision and also gets this same revision for subsequent calls.")
	case "revision":
		f.IntVar(&s.revision, "revision", 0, "Removes the specified revision.")
	case "unit":
		f.StringVar(&s.unit, "unit", "", "Specifies the unit to grant access.")
	case "application-name":
		f.StringVar(&s.owner, "app", "", "Revokes access from all units in that application.")
		f.StringVar(&s.owner, "application", "", "Revokes access from all units in that application.")
	}
}

// secretTools are the hook tools about secrets.
func secretTools() map[string]toolSpec {
	return map[string]toolSpec{
		"secret-add": {
			args: "<key>[#base64]=<value> ...", purpose: "Adds a new secret.", flags: "label upsert", secrets: true, run: secretAdd,
		},
		"secret-set": {
			args: "<ID> [key[#base64]=value...]", purpose: "Updates an existing secret.", flags: "label upsert", secrets: true, run: secretSet,
		},
		"secret-get": {
			args: "<ID> [key[#base64]]", purpose: "Gets the content of a secret.", flags: "yaml label read", secrets: true, run: secretGet,
		},
		"secret-ids": {purpose: "Prints secret IDs.", flags: "format", secrets: true, run: secretIDs},
		"secret-info-get": {
			args: "<ID>", purpose: "Gets a secret's metadata info.", flags: "yaml label", secrets: true, run: secretInfoGet,
		},
		"secret-remove": {args: "<ID>", purpose: "Removes an existing secret.", flags: "revision", secrets: true, run: secretRemove},
		"secret-grant": {
			args: "<ID>", purpose: "Grants access to a secret.", flags: "relation unit", secrets: true, run: secretGrantTo,
		},
		"secret-revoke": {
			args: "<ID>", purpose: "Revokes access to a secret.", flags: "relation unit application-name", secrets: true, run: secretRevoke,
		},
	}
}

// pending finds the gathered creation or update of a secret; nil when there is none.
func pending(list []SecretUpsert, uri string) *SecretUpsert {
	for i := range list {
		if list[i].URI == uri {
			return &list[i]
		}
	}
	return nil
}

// secretURI gives a URI in the one form that this package compares: "secret:<id>" for the model's own secrets.
func (h *HookContext) secretURI(text string) (string, error) {
	parsed, err := coresecrets.ParseURI(text)
	if err != nil {
		return "", errors.NotValidf("secret URI %q", text)
	}
	if parsed.IsLocal(h.model.UUID()) {
		return "secret:" + parsed.ID, nil
	}
	return parsed.String(), nil
}

// ownSecrets are the secrets that the unit may manage, with those that the hook has created.
func (h *HookContext) ownSecrets() ([]SecretInfo, error) {
	infos, err := h.model.OwnSecrets(h.agent.unit)
	if err != nil {
		return nil, err
	}
	infos = slices.DeleteFunc(infos, func(s SecretInfo) bool {
		return slices.ContainsFunc(h.secrets.Deletes, func(d SecretDelete) bool { return d.URI == s.URI && len(d.Revisions) == 0 })
	})
	for _, created := range h.secrets.Creates {
		info := SecretInfo{URI: created.URI, Owner: created.Owner, Latest: 1, Checksum: created.Checksum}
		if created.Label != nil {
			info.Label = *created.Label
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// upsertArg reads the flags and the content of secret-add and secret-set. Files are read by the agent, as under Juju.
func (c *toolCall) upsertArg(pairs []string) (SecretUpsert, error) {
	flags := c.secret
	if flags.owner != "application" && flags.owner != "unit" {
		return SecretUpsert{}, errors.NotValidf("secret owner %q", flags.owner)
	}
	data, err := coresecrets.CreateSecretData(pairs)
	if err != nil {
		return SecretUpsert{}, err
	}
	if flags.file != "" {
		read, err := coresecrets.ReadSecretData(flags.file)
		if err != nil {
			return SecretUpsert{}, err
		}
		for key, value := range read {
			data[key] = value
		}
	}
	arg := SecretUpsert{Content: data}
	if len(data) > 0 {
		if arg.Checksum, err = coresecrets.NewSecretValue(data).Checksum(); err != nil {
			return SecretUpsert{}, errors.Annotate(err, "calculating secret checksum")
		}
	}
	for field, value := range map[**string]string{&arg.Label: flags.label, &arg.Description: flags.description, &arg.Rotate: flags.rotate} {
		if value != "" {
			*field = &value
		}
	}
	if flags.rotate != "" && !coresecrets.RotatePolicy(flags.rotate).IsValid() {
		return SecretUpsert{}, errors.NotValidf("rotate policy %q", flags.rotate)
	}
	if flags.expire != "" {
		if arg.Expire, err = c.expiry(flags.expire); err != nil {
			return SecretUpsert{}, err
		}
	}
	return arg, nil
}

// expiry reads a time or a duration from now.
func (c *toolCall) expiry(text string) (*time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			at = at.UTC()
			return &at, nil
		}
	}
	span, err := time.ParseDuration(text)
	if err != nil {
		return nil, errors.NotValidf("expire time or duration %q", text)
	}
	if span <= 0 {
		return nil, errors.NotValidf("negative expire duration %q", text)
	}
	at := c.hook.model.now().Add(span).UTC()
	return &at, nil
}

func secretAdd(c *toolCall) error {
	if len(c.args) == 0 && c.secret.file == "" {
		return errors.New("missing secret value or filename")
	}
	arg, err := c.upsertArg(c.args)
	if err != nil {
		return err
	}
	if len(arg.Content) == 0 {
		return errors.NotValidf("empty secret value")
	}
	arg.Owner = c.hook.agent.unit
	if c.secret.owner == "application" {
		if !c.hook.leads() {
			return errors.New("this unit is not the leader")
		}
		arg.Owner = juju.ApplicationOf(c.hook.agent.unit)
	}
	for _, other := range c.hook.secrets.Creates {
		if arg.Label != nil && other.Label != nil && *other.Label == *arg.Label {
			return errors.AlreadyExistsf("secret with label %q", *arg.Label)
		}
	}
	reserved, err := c.hook.model.ReserveSecretURIs(c.hook.agent.unit, 1)
	if err != nil {
		return err
	}
	if arg.URI, err = c.hook.secretURI(reserved[0]); err != nil {
		return err
	}
	c.hook.secrets.Creates = append(c.hook.secrets.Creates, arg)
	_, err = fmt.Fprintln(c.ctx.Stdout, reserved[0])
	return err
}

func secretSet(c *toolCall) error {
	if len(c.args) == 0 {
		return errors.New("missing secret URI")
	}
	uri, err := c.hook.secretURI(c.args[0])
	if err != nil {
		return err
	}
	arg, err := c.upsertArg(c.args[1:])
	if err != nil {
		return err
	}
	arg.URI = uri
	if created := pending(c.hook.secrets.Creates, uri); created != nil {
		mergeUpsert(created, arg)
		return nil
	}
	known, err := c.manageable(uri)
	if err != nil {
		return err
	}
	if known.Checksum == arg.Checksum { // the same content makes no new revision
		arg.Content, arg.Checksum = nil, ""
	}
	if len(arg.Content) == 0 && arg.Label == nil && arg.Description == nil && arg.Rotate == nil && arg.Expire == nil {
		return nil
	}
	if updated := pending(c.hook.secrets.Updates, uri); updated != nil {
		mergeUpsert(updated, arg)
		return nil
	}
	c.hook.secrets.Updates = append(c.hook.secrets.Updates, arg)
	return nil
}

// manageable gives what the unit knows of a secret, and refuses an application's to all but the leader. A secret that
// the unit does not know is left to the model to refuse when the hook ends.
func (c *toolCall) manageable(uri string) (SecretInfo, error) {
	infos, err := c.hook.ownSecrets()
	if err != nil {
		return SecretInfo{}, err
	}
	for _, info := range infos {
		if info.URI != uri {
			continue
		}
		if !strings.Contains(info.Owner, "/") && !c.hook.leads() {
			return SecretInfo{}, errors.New("this unit is not the leader")
		}
		return info, nil
	}
	return SecretInfo{}, nil
}

// mergeUpsert lets a later change of one hook win over an earlier one.
func mergeUpsert(into *SecretUpsert, arg SecretUpsert) {
	if len(arg.Content) > 0 {
		into.Content, into.Checksum = arg.Content, arg.Checksum
	}
	if arg.Expire != nil {
		into.Expire = arg.Expire
	}
	for field, value := range map[**string]*string{&into.Label: arg.Label, &into.Description: arg.Description, &into.Rotate: arg.Rotate} {
		if value != nil {
			*field = value
		}
	}
}

func secretRemove(c *toolCall) error {
	if err := c.atMost(1, "missing secret URI"); err != nil {
		return err
	}
	uri, err := c.hook.secretURI(c.arg(0))
	if err != nil {
		return err
	}
	if _, err := c.manageable(uri); err != nil {
		return err
	}
	s := &c.hook.secrets
	of := func(u SecretUpsert) bool { return u.URI == uri }
	created := slices.ContainsFunc(s.Creates, of)
	s.Creates, s.Updates = slices.DeleteFunc(s.Creates, of), slices.DeleteFunc(s.Updates, of)
	if created {
		return nil
	}
	remove := SecretDelete{URI: uri}
	if c.secret.revision > 0 {
		remove.Revisions = []int{c.secret.revision}
	}
	s.Deletes = append(s.Deletes, remove)
	return nil
}

func secretGrantTo(c *toolCall) error {
	grant, err := c.grantArg()
	if err != nil {
		return err
	}
	grant.Role = string(coresecrets.RoleView)
	c.hook.secrets.Grants = append(c.hook.secrets.Grants, grant)
	return nil
}

func secretRevoke(c *toolCall) error {
	grant, err := c.grantArg()
	if err != nil {
		return err
	}
	c.hook.secrets.Revokes = append(c.hook.secrets.Revokes, grant)
	return nil
}

// grantArg reads whom secret-grant and secret-revoke are about: the application of the relation, or one unit of it.
func (c *toolCall) grantArg() (SecretGrant, error) {
	if err := c.atMost(1, "missing secret URI"); err != nil {
		return SecretGrant{}, err
	}
	uri, err := c.hook.secretURI(c.arg(0))
	if err != nil {
		return SecretGrant{}, err
	}
	if _, err := c.manageable(uri); err != nil {
		return SecretGrant{}, err
	}
	if c.secret.owner != "" {
		return SecretGrant{URI: uri, Subject: c.secret.owner}, nil
	}
	r, err := c.inRelation()
	if err != nil {
		return SecretGrant{}, err
	}
	grant := SecretGrant{URI: uri, Subject: r.info.RemoteApp, Relation: r.info.Key}
	if unit := c.secret.unit; unit != "" {
		if juju.ApplicationOf(unit) != r.info.RemoteApp {
			return SecretGrant{}, errors.Errorf("cannot specify unit %q in relation to application %q", unit, r.info.RemoteApp)
		}
		grant.Subject = unit
	}
	return grant, nil
}
