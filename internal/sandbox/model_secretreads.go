// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"
	coresecrets "github.com/juju/juju/core/secrets"

	"github.com/signet-charm/signet/internal/juju"
)

// SecretInfo is a secret without its content.
type SecretInfo struct {
	URI         string // "secret:<20 characters>"
	Owner       string // an application's or a unit's name; empty for a user's secret
	Label       string
	Description string
	Rotate      string
	Expire      *time.Time
	NextRotate  *time.Time
	Latest      int
	Checksum    string
	Revisions   []int
	Access      map[string]string // role by application or unit name
	Created     time.Time
	Updated     time.Time
}

// SecretQuery is how a unit asks for a secret's content: by URI, by label, or by both to give the secret that label.
type SecretQuery struct {
	URI     string
	Label   string
	Refresh bool // track the latest revision from now on
	Peek    bool // the latest revision, this once
}

// SecretContent reads a secret as a unit: one it owns, its application's, or one granted to either. It goes on giving
// the revision that the unit first read until asked to refresh. Values are in base64.
func (m *Model) SecretContent(viewer string, query SecretQuery) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(viewer)
	if err != nil {
		return nil, err
	}
	s, err := m.lookup(u, query)
	if err != nil {
		return nil, err
	}
	own := s.owner == viewer || s.owner == u.app
	if !own && !m.readable(u.app, viewer, s) {
		return nil, apiservererrors.ErrPerm
	}
	label := ""
	switch {
	case query.URI == "" || query.Label == "":
	case !own:
		label = query.Label
	case query.Label != s.label && (s.owner == viewer || m.leads(u)):
		if m.labelTaken(s.owner, query.Label) {
			return nil, errors.AlreadyExistsf("secret with label %q", query.Label)
		}
		s.label, s.labelled = query.Label, true
		m.notify()
	}
	number, err := m.consume(u, s, query.Refresh, query.Peek, label)
	if err != nil {
		return nil, err
	}
	revision, found := s.revisions[number]
	if !found {
		return nil, errors.NotFoundf("secret revision %d", number)
	}
	return maps.Clone(revision.content), nil
}

// lookup finds a secret by URI or label: owners' labels first, then the unit's own label as a consumer.
func (m *Model) lookup(u *unit, query SecretQuery) (*secret, error) {
	if query.URI != "" {
		return m.secret(query.URI)
	}
	if query.Label == "" {
		return nil, errors.NewNotValid(nil, "both uri and label are empty")
	}
	for _, s := range m.vault.secrets {
		if s.label == query.Label && (s.owner == u.name || s.owner == u.app) {
			return s, nil
		}
	}
	for _, s := range m.vault.secrets {
		if c := s.consumers[u.name]; c != nil && c.label == query.Label {
			return s, nil
		}
	}
	return nil, errors.NotFoundf("consumer label %q", query.Label)
}

// readable reports whether a secret may be read by somebody of an application: by himself, or as one of it.
func (m *Model) readable(app, who string, s *secret) bool {
	return s.grants[who].role.Allowed(coresecrets.RoleView) || s.grants[app].role.Allowed(coresecrets.RoleView)
}

// consume works out the revision that a unit gets, and notes what it tracks from now on.
func (m *Model) consume(u *unit, s *secret, refresh, peek bool, label string) (int, error) {
	c := s.consumers[u.name]
	if label != "" && (c == nil || c.label != label) && m.labelTaken(u.name, label) {
		return 0, errors.AlreadyExistsf("getting latest secret revision: secret label %q for consumer %q", label, u.name)
	}
	if c == nil {
		c = &secretConsumer{}
		s.consumers[u.name] = c
		refresh = true
	}
	before := *c
	if label != "" {
		c.label = label
	}
	if refresh {
		c.current = s.latest
		s.markObsolete()
	}
	if *c != before {
		m.notify()
	}
	if peek {
		return s.latest, nil
	}
	return c.current, nil
}

// TrackLatest has the unit track the latest revisions of secrets it may read.
func (m *Model) TrackLatest(viewer string, uris []string) []error {
	return each(uris, func(uri string) error {
		_, err := m.SecretContent(viewer, SecretQuery{URI: uri, Refresh: true})
		return err
	})
}

// SecretRevisionContent is the content of one revision, for those who manage the secret. Values are in base64.
func (m *Model) SecretRevisionContent(viewer, uri string, number int) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.manageable(viewer, uri)
	if err != nil {
		return nil, err
	}
	revision, found := s.revisions[number]
	if !found {
		return nil, errors.NotFoundf("secret revision %d", number)
	}
	return maps.Clone(revision.content), nil
}

// ConsumerInfo is the latest revision of a secret that a unit of the viewer's application has read, and its label.
func (m *Model) ConsumerInfo(viewer, consumer, uri string) (revision int, label string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(viewer)
	if err != nil {
		return 0, "", err
	}
	s, err := m.secret(uri)
	if err != nil {
		return 0, "", err
	}
	if !m.readable(u.app, consumer, s) || juju.ApplicationOf(consumer) != u.app {
		return 0, "", apiservererrors.ErrPerm
	}
	c := s.consumers[consumer]
	if c == nil {
		return 0, "", errors.NotFoundf("consumer %q metadata for secret %q", consumer, uri)
	}
	if c.label == "" && (s.owner == u.name || s.owner == u.app) {
		return s.latest, s.label, nil
	}
	return s.latest, c.label, nil
}

// OwnSecrets are the secrets that a unit may manage: its own, and its application's while it leads; by URI.
func (m *Model) OwnSecrets(viewer string) ([]SecretInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(viewer)
	if err != nil {
		return nil, err
	}
	leads := m.leads(u)
	return m.secretInfos(func(s *secret) bool { return s.owner == viewer || leads && s.owner == u.app }), nil
}

// Secrets are all secrets of an owner, whoever asks; by URI.
func (m *Model) Secrets(owner string) []SecretInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.secretInfos(func(s *secret) bool { return s.owner == owner })
}

func (m *Model) secretInfos(wanted func(*secret) bool) []SecretInfo {
	infos := []SecretInfo{}
	for _, s := range m.vault.secrets {
		if !wanted(s) {
			continue
		}
		info := SecretInfo{
			URI: "secret:" + s.id, Owner: s.owner, Label: s.label, Description: s.description, Rotate: s.rotate,
			Expire: s.expire, NextRotate: s.nextRotate, Latest: s.latest, Checksum: s.checksum, Revisions: slices.Sorted(maps.Keys(s.revisions)),
			Access: map[string]string{}, Created: s.created, Updated: s.updated,
		}
		for name, grant := range s.grants {
			info.Access[name] = string(grant.role)
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b SecretInfo) int { return cmp.Compare(a.URI, b.URI) })
	return infos
}

// consumed gives the latest revision of each secret that a unit has read, by URI: what its watcher compares.
func (m *Model) consumed(name string) map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	latest := map[string]int{}
	for _, s := range m.vault.secrets {
		if s.consumers[name] != nil {
			latest["secret:"+s.id] = s.latest
		}
	}
	return latest
}

// obsolete gives the revisions of owners' secrets that nobody tracks any more, as "<URI>/<revision>".
func (m *Model) obsolete(owners []string) map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]int{}
	for _, s := range m.vault.secrets {
		for number, revision := range s.revisions {
			if revision.obsolete && slices.Contains(owners, s.owner) {
				found[fmt.Sprintf("secret:%s/%d", s.id, number)] = number
			}
		}
	}
	return found
}

// owned gives the secrets of owners with their revisions, as "<URI>" and "<URI>/<revision>".
func (m *Model) owned(owners []string) map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]int{}
	for _, s := range m.vault.secrets {
		if !slices.Contains(owners, s.owner) {
			continue
		}
		found["secret:"+s.id] = 0
		for number := range s.revisions {
			found[fmt.Sprintf("secret:%s/%d", s.id, number)] = number
		}
	}
	return found
}
