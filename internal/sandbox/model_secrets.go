// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"
	coresecrets "github.com/juju/juju/core/secrets"

	"github.com/signet-charm/signet/internal/juju"
)

// vault holds a model's secrets, by the 20 character ID of their URI.
type vault struct {
	secrets  map[string]*secret
	reserved map[string]string // by ID: the unit that got it from CreateSecretURIs
	counter  int
}

// secret is one secret. Owner is an application's or a unit's name; empty for a user's secret.
type secret struct {
	id          string
	owner       string
	label       string
	labelled    bool // an empty label counts too, once somebody gave it
	description string
	rotate      string
	expire      *time.Time // of the latest revision
	nextRotate  *time.Time // nil where it does not rotate
	checksum    string
	latest      int
	revisions   map[int]*secretRevision
	grants      map[string]secretGrant     // by application or unit name
	consumers   map[string]*secretConsumer // by unit name
	created     time.Time
	updated     time.Time
}

// secretRevision is one revision's content, its values in base64 as everywhere in Juju's API.
type secretRevision struct {
	content  map[string]string
	expire   *time.Time
	obsolete bool // no consumer tracks it and it is not the latest
}

// secretGrant is somebody's access, for as long as a relation lives; scope is -1 for grants without a relation.
type secretGrant struct {
	role  coresecrets.SecretRole
	scope int
}

// secretConsumer is a unit that has read a secret and keeps to the revision it got until it asks for a newer one.
type secretConsumer struct {
	current int
	label   string
}

// SecretChanges is a unit's changes of secrets in the order in which Juju makes them.
type SecretChanges struct {
	Creates     []SecretUpsert
	Updates     []SecretUpsert
	TrackLatest []string // URIs
	Grants      []SecretGrant
	Revokes     []SecretGrant
	Deletes     []SecretDelete
}

// SecretUpsert creates or changes a secret. Nil fields stay as they are.
type SecretUpsert struct {
	URI         string // empty in a creation: Juju makes one
	Owner       string // creations only: the application's or the unit's name
	Label       *string
	Description *string
	Rotate      *string
	Expire      *time.Time
	Content     map[string]string // values in base64
	Checksum    string
}

// SecretGrant gives or takes the right to read a secret.
type SecretGrant struct {
	URI      string
	Subject  string // an application's or a unit's name, as the granting side knows it
	Relation string // key of the relation that the grant lives with; empty for none
	Role     string // "view"; ignored when revoking
}

// SecretDelete removes a secret, or some revisions of it.
type SecretDelete struct {
	URI       string
	Revisions []int
}

func newVault() vault {
	return vault{secrets: map[string]*secret{}, reserved: map[string]string{}}
}

func (c SecretChanges) empty() bool {
	return len(c.Creates)+len(c.Updates)+len(c.TrackLatest)+len(c.Grants)+len(c.Revokes)+len(c.Deletes) == 0
}

// newID makes the next identifier. They follow from the model and a counter, so that one story gives one set of them.
func (v *vault) newID(seed string) string {
	v.counter++
	sum := sha256.Sum256(fmt.Appendf(nil, "secret %s %d", seed, v.counter))
	alphabet := base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)
	return alphabet.EncodeToString(sum[:12])
}

func (v *vault) dropReservations(unit string) {
	maps.DeleteFunc(v.reserved, func(_, owner string) bool { return owner == unit })
}

func (v *vault) forgetScope(relation int) {
	for _, s := range v.secrets {
		maps.DeleteFunc(s.grants, func(_ string, g secretGrant) bool { return g.scope == relation })
	}
}

func (v *vault) forgetUnit(name string) {
	v.dropReservations(name)
	maps.DeleteFunc(v.secrets, func(_ string, s *secret) bool { return s.owner == name })
	for _, s := range v.secrets {
		delete(s.consumers, name)
		delete(s.grants, name)
		s.markObsolete()
	}
}

// markObsolete marks the revisions that nobody tracks. A revision once obsolete stays so, as in Juju.
func (s *secret) markObsolete() {
	for number, revision := range s.revisions {
		tracked := number == s.latest
		for _, c := range s.consumers {
			tracked = tracked || c.current == number
		}
		revision.obsolete = revision.obsolete || !tracked
	}
}

// ReserveSecretURIs gives URIs for secrets that the unit is about to create.
func (m *Model) ReserveSecretURIs(viewer string, count int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if count <= 0 {
		return nil, errors.NotValidf("secret URI count %d", count)
	}
	u, err := m.unit(viewer)
	if err != nil {
		return nil, errors.Annotate(err, "invalid owner reference")
	}
	if u.life != Alive {
		return nil, errors.Errorf("cannot reserve secret for owner %q which is not alive", ownerTag(viewer))
	}
	var uris []string
	for range count {
		id := m.vault.newID(m.uuid)
		m.vault.reserved[id] = viewer
		uris = append(uris, (&coresecrets.URI{ID: id, SourceUUID: m.uuid}).String())
	}
	return uris, nil
}

// commitSecrets makes the changes kind by kind. Within a kind each is tried; the kinds after one with a failure are not.
func (m *Model) commitSecrets(viewer string, c SecretChanges) error {
	if c.empty() {
		return nil
	}
	steps := []struct {
		doing string
		do    func() []error
	}{
		{"creating secrets", func() []error {
			return each(c.Creates, func(s SecretUpsert) error { return m.CreateSecret(viewer, s) })
		}},
		{"updating secrets", func() []error {
			return each(c.Updates, func(s SecretUpsert) error { return m.UpdateSecret(viewer, s) })
		}},
		{"updating secret tracked revisions", func() []error { return m.TrackLatest(viewer, c.TrackLatest) }},
		{"granting secrets access", func() []error { return each(c.Grants, func(g SecretGrant) error { return m.GrantSecret(viewer, g) }) }},
		{"revoking secrets access", func() []error { return each(c.Revokes, func(g SecretGrant) error { return m.RevokeSecret(viewer, g) }) }},
		{"removing secrets", func() []error {
			failures := each(c.Deletes, func(d SecretDelete) error { return m.DeleteSecret(viewer, d) })
			return slices.DeleteFunc(failures, func(err error) bool { return errors.Is(err, errors.NotFound) })
		}},
	}
	for _, step := range steps {
		// Juju joins the texts and so loses the codes; so does this.
		var texts []string
		for _, err := range step.do() {
			if err != nil {
				texts = append(texts, err.Error())
			}
		}
		if len(texts) > 0 {
			return errors.Annotate(errors.New(strings.Join(texts, "\n")), step.doing)
		}
	}
	return nil
}

func each[T any](items []T, do func(T) error) []error {
	var failures []error
	for _, item := range items {
		if err := do(item); err != nil {
			failures = append(failures, err)
		}
	}
	return failures
}

// CreateSecret makes a secret of the unit's own, or of its application if it leads.
func (m *Model) CreateSecret(viewer string, arg SecretUpsert) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(viewer)
	if err != nil {
		return err
	}
	if len(arg.Content) == 0 {
		return errors.NotValidf("empty secret value")
	}
	if err := checkRotate(arg.Rotate); err != nil {
		return err
	}
	if juju.ApplicationOf(arg.Owner) != u.app {
		return apiservererrors.ErrPerm
	}
	if arg.Owner != viewer {
		if err := m.checkLeader(u); err != nil {
			return err
		}
	}
	if arg.Owner != u.app {
		owner, err := m.unit(arg.Owner)
		if err != nil {
			return errors.Annotate(err, "invalid owner reference")
		}
		if owner.life != Alive {
			return errors.Errorf("cannot create secret for owner %q which is not alive", ownerTag(arg.Owner))
		}
	}
	id := m.vault.newID(m.uuid)
	if arg.URI != "" {
		if id, err = m.localID(arg.URI); err != nil {
			return err
		}
	}
	if _, exists := m.vault.secrets[id]; exists {
		return errors.AlreadyExistsf("secret %q", id)
	}
	if holder, reserved := m.vault.reserved[id]; reserved && holder != arg.Owner && juju.ApplicationOf(holder) != arg.Owner {
		return errors.NotValidf("cannot create secret %q because %q has reserved it instead of %q", id, holder, arg.Owner)
	}
	if err := checkSecretContent(arg.Content); err != nil {
		return err
	}
	if arg.Label != nil && m.labelTaken(arg.Owner, *arg.Label) {
		return errors.AlreadyExistsf("secret with label %q", *arg.Label)
	}
	s := &secret{
		id: id, owner: arg.Owner, rotate: "never", created: m.now(),
		revisions: map[int]*secretRevision{}, consumers: map[string]*secretConsumer{},
		grants: map[string]secretGrant{arg.Owner: {role: coresecrets.RoleManage, scope: -1}},
	}
	m.vault.secrets[id] = s
	delete(m.vault.reserved, id)
	m.upsert(s, arg)
	return nil
}

// UpdateSecret gives a secret new content or new metadata.
func (m *Model) UpdateSecret(viewer string, arg SecretUpsert) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if arg.Rotate == nil && arg.Description == nil && arg.Expire == nil && arg.Label == nil && len(arg.Content) == 0 {
		return errors.New("at least one attribute to update must be specified")
	}
	if err := checkRotate(arg.Rotate); err != nil {
		return err
	}
	s, err := m.manageable(viewer, arg.URI)
	if err != nil {
		return err
	}
	if len(arg.Content) > 0 {
		if err := checkSecretContent(arg.Content); err != nil {
			return err
		}
	}
	if arg.Label != nil && *arg.Label != s.label && m.labelTaken(s.owner, *arg.Label) {
		return errors.AlreadyExistsf("secret with label %q", *arg.Label)
	}
	m.upsert(s, arg)
	return nil
}

func (m *Model) upsert(s *secret, arg SecretUpsert) {
	for field, value := range map[*string]*string{&s.label: arg.Label, &s.description: arg.Description, &s.rotate: arg.Rotate} {
		if value != nil {
			*field = *value
		}
	}
	s.labelled = s.labelled || arg.Label != nil
	if arg.Expire != nil || len(arg.Content) > 0 {
		s.expire = nil
		if arg.Expire != nil && !arg.Expire.IsZero() {
			expire := arg.Expire.Round(time.Second).UTC()
			s.expire = &expire
		}
	}
	if len(arg.Content) > 0 {
		s.latest++
		s.revisions[s.latest] = &secretRevision{content: maps.Clone(arg.Content)}
		s.checksum = arg.Checksum
		s.markObsolete()
	}
	s.revisions[s.latest].expire = s.expire
	s.reschedule(arg.Rotate, m.now())
	s.updated = m.now()
	m.setAlarm()
	m.notify()
}

// DeleteSecret removes a secret, or revisions of it; with its last revision goes the secret.
func (m *Model) DeleteSecret(viewer string, arg SecretDelete) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.manageable(viewer, arg.URI)
	if err != nil {
		return err
	}
	for _, number := range arg.Revisions {
		delete(s.revisions, number)
	}
	if len(arg.Revisions) == 0 || len(s.revisions) == 0 {
		delete(m.vault.secrets, s.id)
	}
	m.notify()
	return nil
}

// secret finds a secret by URI. The caller holds the lock.
func (m *Model) secret(uri string) (*secret, error) {
	id, err := m.localID(uri)
	if err != nil {
		return nil, err
	}
	if s, found := m.vault.secrets[id]; found {
		return s, nil
	}
	return nil, errors.NotFoundf("secret %q", uri)
}

// localID is the ID in a URI of this model's secrets.
func (m *Model) localID(uri string) (string, error) {
	parsed, err := coresecrets.ParseURI(uri)
	if err != nil {
		return "", err
	}
	if !parsed.IsLocal(m.uuid) {
		return "", errors.NotFoundf("secret %q", uri)
	}
	return parsed.ID, nil
}
