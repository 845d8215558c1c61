// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"encoding/base64"

	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"
	coresecrets "github.com/juju/juju/core/secrets"
)

// The secrets of the model's operator belong to the model: no unit lists or changes them, and applications read those that
// are granted to them. Units that have read one are told of new revisions and of its removal; nobody is told of a grant or
// its end, as under Juju, whose watcher follows who has read what and not who may.

// AddUserSecret makes a secret of the model's operator ("juju add-secret"), readable by the applications named, and gives
// its URI. Values are in clear.
func (m *Model) AddUserSecret(name string, content map[string]string, apps ...string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, checksum, err := m.userContent(content)
	if err != nil {
		return "", errors.Annotatef(err, "cannot add secret %q", name)
	}
	if _, err := m.userSecret(name); err == nil {
		return "", errors.AlreadyExistsf("secret with name %q", name)
	}
	s := &secret{
		id: m.vault.newID(m.uuid), label: name, labelled: true, rotate: "never", created: m.now(),
		revisions: map[int]*secretRevision{}, consumers: map[string]*secretConsumer{}, grants: map[string]secretGrant{},
	}
	for _, app := range apps {
		if err := m.grantUser(s, app); err != nil {
			return "", err
		}
	}
	m.vault.secrets[s.id] = s
	m.upsert(s, SecretUpsert{Content: data, Checksum: checksum})
	return "secret:" + s.id, nil
}

// UpdateUserSecret gives a secret of the operator's, by URI or name, new content ("juju update-secret"). The same content
// makes no new revision.
func (m *Model) UpdateUserSecret(uri string, content map[string]string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.userSecret(uri)
	if err != nil {
		return err
	}
	data, checksum, err := m.userContent(content)
	if err != nil {
		return errors.Annotatef(err, "cannot update secret %q", uri)
	}
	if checksum != s.checksum {
		m.upsert(s, SecretUpsert{Content: data, Checksum: checksum})
	}
	return nil
}

// GrantUserSecret lets applications read a secret of the operator's ("juju grant-secret").
func (m *Model) GrantUserSecret(uri string, apps ...string) error {
	return m.changeAccess(uri, apps, m.grantUser)
}

// RevokeUserSecret takes that right from applications ("juju revoke-secret"). One that does not have it is no error.
func (m *Model) RevokeUserSecret(uri string, apps ...string) error {
	return m.changeAccess(uri, apps, func(s *secret, app string) error {
		delete(s.grants, app)
		return nil
	})
}

func (m *Model) changeAccess(uri string, apps []string, change func(s *secret, app string) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, app := range apps {
		s, err := m.userSecret(uri)
		if err == nil {
			err = change(s, app)
		}
		if err != nil {
			return errors.Annotatef(err, "cannot change access to %q for %q", uri, app)
		}
	}
	m.notify()
	return nil
}

// RemoveUserSecret removes a secret of the operator's with all its revisions ("juju remove-secret").
func (m *Model) RemoveUserSecret(uri string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.userSecret(uri)
	if err != nil {
		return err
	}
	delete(m.vault.secrets, s.id)
	m.notify()
	return nil
}

// RevealSecret is the latest content of a secret in clear, without asking who may read it: what the model's operator
// sees with show-secret --reveal.
func (m *Model) RevealSecret(uri string) (map[string]string, error) { return m.RevealRevision(uri, 0) }

// RevealRevision is likewise the content of one revision; 0 for the latest.
func (m *Model) RevealRevision(uri string, number int) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.secret(uri)
	if err != nil {
		return nil, err
	}
	if number == 0 {
		number = s.latest
	}
	revision, found := s.revisions[number]
	if !found {
		return nil, errors.NotFoundf("secret revision %d", number)
	}
	plain := map[string]string{}
	for key, value := range revision.content {
		raw, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return nil, errors.Annotatef(err, "cannot decode key %q of secret %q", key, uri)
		}
		plain[key] = string(raw)
	}
	return plain, nil
}

// userSecret finds a secret of the operator's as the client does: by URI, else by name.
func (m *Model) userSecret(uri string) (*secret, error) {
	if _, err := coresecrets.ParseURI(uri); err != nil {
		for _, s := range m.vault.secrets {
			if s.owner == "" && s.label == uri {
				return s, nil
			}
		}
		return nil, errors.NotFoundf("secret %q", uri)
	}
	s, err := m.secret(uri)
	if err == nil && s.owner != "" {
		return nil, apiservererrors.ErrPerm
	}
	return s, err
}

func (m *Model) grantUser(s *secret, app string) error {
	if _, found := m.apps[app]; !found {
		return errors.Annotate(errors.NotFoundf("application %q", app), "invalid subject reference")
	}
	s.grants[app] = secretGrant{role: coresecrets.RoleView, scope: -1}
	return nil
}

// userContent encodes content as the client does, and gives its checksum as the controller computes it.
func (m *Model) userContent(content map[string]string) (data map[string]string, checksum string, err error) {
	if m.noSecrets {
		return nil, "", errors.NotSupportedf("user secrets")
	}
	if len(content) == 0 {
		return nil, "", errors.NotValidf("empty secret value")
	}
	data = map[string]string{}
	for key, value := range content {
		data[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	if err := checkSecretContent(data); err != nil {
		return nil, "", err
	}
	checksum, err = coresecrets.NewSecretValue(data).Checksum()
	return data, checksum, err
}
