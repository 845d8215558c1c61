// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"encoding/base64"
	"strings"

	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"
	coresecrets "github.com/juju/juju/core/secrets"

	"github.com/signet-charm/signet/internal/juju"
)

// maxSecret limits a secret's content, encoded, as Juju's tools do: each value and all of them together, in bytes.
const maxSecret = 1000 * 1000

// CheckManages fails, with Juju's own error, unless the unit may change a secret.
func (m *Model) CheckManages(viewer, uri string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.manageable(viewer, uri)
	return err
}

// manageable finds a secret that the unit may change: its own, or its application's while it leads.
func (m *Model) manageable(viewer, uri string) (*secret, error) {
	u, err := m.unit(viewer)
	if err != nil {
		return nil, err
	}
	s, err := m.secret(uri)
	if err != nil {
		return nil, err
	}
	if s.grants[viewer].role.Allowed(coresecrets.RoleManage) {
		return s, nil
	}
	if s.grants[u.app].role.Allowed(coresecrets.RoleManage) {
		if err := m.checkLeader(u); err != nil {
			return nil, err
		}
		return s, nil
	}
	return nil, apiservererrors.ErrPerm
}

// GrantSecret lets an application or unit read a secret.
func (m *Model) GrantSecret(viewer string, arg SecretGrant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.manageable(viewer, arg.URI)
	if err != nil {
		return err
	}
	role := coresecrets.SecretRole(arg.Role)
	if role == coresecrets.RoleNone || !role.IsValid() {
		return errors.NotValidf("secret role %q", arg.Role)
	}
	r, subject, err := m.grantScope(viewer, arg)
	if err != nil {
		return errors.Annotatef(err, "cannot change access to %q for %q", arg.URI, ownerTag(arg.Subject))
	}
	if before, found := s.grants[subject]; found && before.scope != r.id {
		return errors.New("cannot change secret permission scope")
	}
	s.grants[subject] = secretGrant{role: role, scope: r.id}
	m.notify()
	return nil
}

// grantScope finds the relation that a grant is to live with and whom it is for, both of which must be alive.
func (m *Model) grantScope(viewer string, arg SecretGrant) (*relation, string, error) {
	own := juju.ApplicationOf(viewer)
	r := m.relationByKey(own, arg.Relation)
	if r == nil {
		return nil, "", errors.Annotate(errors.NotFoundf("relation %q", arg.Relation), "invalid scope reference")
	}
	if r.life != Alive {
		return nil, "", errors.Errorf("cannot grant access to secret in scope of %q which is not alive", arg.Relation)
	}
	subject := r.hidden(own, arg.Subject)
	isUnit := strings.Contains(subject, "/")
	if r.alias != "" && isUnit {
		return nil, "", errors.NotSupportedf("sharing secrets with a unit across a cross model relation")
	}
	if r.alias != "" && own == r.consumer {
		return nil, "", errors.NotSupportedf("sharing consumer secrets across a cross model relation")
	}
	if _, found := m.apps[juju.ApplicationOf(subject)]; !found {
		return nil, "", errors.Annotate(errors.NotFoundf("application %q", arg.Subject), "invalid subject reference")
	}
	if !isUnit {
		return r, subject, nil
	}
	u, err := m.unit(subject)
	if err != nil {
		return nil, "", errors.Annotate(err, "invalid subject reference")
	}
	if u.life != Alive {
		return nil, "", errors.Errorf("cannot grant dying %q access to secret", ownerTag(subject))
	}
	return r, subject, nil
}

// RevokeSecret takes an application's or unit's right to read a secret.
func (m *Model) RevokeSecret(viewer string, arg SecretGrant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.manageable(viewer, arg.URI)
	if err != nil {
		return err
	}
	subject := arg.Subject
	if r := m.relationByKey(juju.ApplicationOf(viewer), arg.Relation); r != nil {
		subject = r.hidden(juju.ApplicationOf(viewer), subject)
	}
	delete(s.grants, subject)
	m.notify()
	return nil
}

// labelTaken reports whether an owner cannot use a label: it, or for an application any of its units, or for a unit its
// application, has a secret with that label or reads one under it.
func (m *Model) labelTaken(owner, label string) bool {
	clashes := func(name string) bool {
		return name == owner || juju.ApplicationOf(name) == owner || name == juju.ApplicationOf(owner)
	}
	for _, s := range m.vault.secrets {
		if s.labelled && s.label == label && clashes(s.owner) {
			return true
		}
		for name, c := range s.consumers {
			if c.label == label && label != "" && clashes(name) {
				return true
			}
		}
	}
	return false
}

// checkRotate refuses a policy that is none; Juju's tools do so before the controller sees it.
func checkRotate(policy *string) error {
	if policy == nil || *policy == "" || coresecrets.RotatePolicy(*policy).IsValid() {
		return nil
	}
	return errors.NotValidf("secret rotate policy %q", *policy)
}

// checkSecretContent holds Juju's rules for secret content, which its tools enforce before the controller sees it. The
// error never shows a value.
func checkSecretContent(content map[string]string) error {
	total := 0
	for key, value := range content {
		if !validSecretKey(key) {
			return errors.NotValidf("key %q", key)
		}
		if _, err := base64.StdEncoding.DecodeString(value); err != nil {
			return errors.NotValidf("value of key %q, which is not base64,", key)
		}
		if len(value) > maxSecret {
			return errors.Errorf("base64 encoded secret content for key %q too large: %d bytes", key, len(value))
		}
		total += len(value)
	}
	if total > maxSecret {
		return errors.Errorf("base64 encoded secret content too large: %d bytes", total)
	}
	return nil
}

// validSecretKey: a lower case letter first, then letters and digits, at least three characters that are not dashes, a
// dash only between two of them.
func validSecretKey(key string) bool {
	if len(key) < 3 || key[0] < 'a' || key[0] > 'z' || strings.Contains(key, "--") || strings.HasSuffix(key, "-") {
		return false
	}
	counted := 0
	for _, r := range key {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			counted++
		case r != '-':
			return false
		}
	}
	return counted >= 3
}
