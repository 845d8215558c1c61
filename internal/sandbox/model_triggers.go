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

// trigger is the moment at which a unit agent is to run a hook about a secret.
type trigger struct {
	uri      string
	label    string
	revision int // that expires; when rotating, the latest
	at       time.Time
}

// rotations are the rotations to come of owners' secrets, by URI.
func (m *Model) rotations(owners []string) map[string]trigger {
	return m.triggers(owners, func(s *secret, found func(string, trigger)) {
		if s.nextRotate != nil {
			found("secret:"+s.id, trigger{revision: s.latest, at: *s.nextRotate})
		}
	})
}

// expiries are the ends of owners' secrets' revisions, by "<URI>/<revision>".
func (m *Model) expiries(owners []string) map[string]trigger {
	return m.triggers(owners, func(s *secret, found func(string, trigger)) {
		for number, revision := range s.revisions {
			if revision.expire != nil {
				found(fmt.Sprintf("secret:%s/%d", s.id, number), trigger{revision: number, at: *revision.expire})
			}
		}
	})
}

func (m *Model) triggers(owners []string, of func(s *secret, found func(key string, t trigger))) map[string]trigger {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]trigger{}
	for _, s := range m.vault.secrets {
		if slices.Contains(owners, s.owner) {
			of(s, func(key string, t trigger) {
				t.uri, t.label = "secret:"+s.id, s.label
				all[key] = t
			})
		}
	}
	return all
}

// dueTriggers gives the keys of triggers whose time has come, the earliest first.
func (m *Model) dueTriggers(all map[string]trigger) []string {
	now := m.now()
	return slices.SortedFunc(func(yield func(string) bool) {
		for key := range maps.Keys(all) {
			if !all[key].at.After(now) && !yield(key) {
				return
			}
		}
	}, func(a, b string) int { return cmp.Or(all[a].at.Compare(all[b].at), cmp.Compare(a, b)) })
}

// reschedule takes up a new rotation policy. As in Juju, the next rotation is only ever moved to an earlier time.
func (s *secret) reschedule(policy *string, now time.Time) {
	if policy == nil {
		return
	}
	next := coresecrets.RotatePolicy(*policy).NextRotateTime(now)
	if rotate := coresecrets.RotatePolicy(*policy); !rotate.WillRotate() || next == nil {
		s.nextRotate = nil
		return
	}
	at := next.Round(time.Second).UTC()
	if s.nextRotate == nil || !at.After(*s.nextRotate) {
		s.nextRotate = &at
	}
}

// SecretRotated says that the hook for a secret's rotation has run, and sets the next one: after five minutes where the
// hook has made no new revision. Juju 3.6 takes it for secrets of an application only.
func (m *Model) SecretRotated(viewer, uri string, originalRevision int, skip bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.secret(uri)
	if err != nil {
		return err
	}
	if s.owner != juju.ApplicationOf(viewer) {
		return apiservererrors.ErrPerm
	}
	policy := coresecrets.RotatePolicy(s.rotate)
	if !policy.WillRotate() {
		return nil
	}
	last := m.now()
	if s.nextRotate != nil {
		last = *s.nextRotate
	}
	next, forced := *policy.NextRotateTime(last), last.Add(coresecrets.RotateRetryDelay)
	willExpire := s.expire != nil && s.expire.Before(next)
	if willExpire && forced.Before(*s.expire) || !skip && s.latest == originalRevision {
		next = forced
	}
	next = next.Round(time.Second).UTC()
	s.nextRotate = &next
	m.setAlarm()
	m.notify()
	return nil
}

// managers are the owners whose secrets a unit sees to: itself, and its application while it leads.
func (m *Model) managers(name string) []string {
	app := juju.ApplicationOf(name)
	if m.Leader(app) == name {
		return []string{name, app}
	}
	return []string{name}
}

// nextSecretDue gives a hook about a secret of the unit's or, for its leader, the application's: a rotation or an expiry
// that is due, or a revision that nobody tracks any more.
func (a *unitAgent) nextSecretDue(m *Model) (HookInfo, bool) {
	if !a.started {
		return HookInfo{}, false
	}
	owners := m.managers(a.unit)
	about := func(kind string, t trigger, revision int) (HookInfo, bool) {
		info := hookOf(kind)
		info.SecretURI, info.SecretLabel, info.SecretRevision, info.version = t.uri, t.label, revision, int64(t.revision)
		return info, true
	}
	gone := m.obsolete(owners)
	for _, key := range slices.Sorted(maps.Keys(gone)) {
		if !a.obsolete[key] {
			uri := key[:len(key)-len(fmt.Sprintf("/%d", gone[key]))]
			return about("secret-remove", trigger{uri: uri, label: m.labelOf(uri), revision: gone[key]}, gone[key])
		}
	}
	rotations := m.rotations(owners)
	for _, key := range m.dueTriggers(rotations) {
		return about("secret-rotate", rotations[key], 0)
	}
	expiries := m.expiries(owners)
	for _, key := range m.dueTriggers(expiries) {
		if retry, ran := a.expired[key]; !ran || !retry.After(m.now()) {
			return about("secret-expired", expiries[key], expiries[key].revision)
		}
	}
	return HookInfo{}, false
}

func (m *Model) labelOf(uri string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, err := m.secret(uri); err == nil {
		return s.label
	}
	return ""
}

// doneSecret records that a hook about a secret ended well. An expired revision that is still there is shown again after
// five minutes.
func (a *unitAgent) doneSecret(m *Model, hook HookInfo) error {
	key := fmt.Sprintf("%s/%d", hook.SecretURI, hook.SecretRevision)
	switch hook.kind {
	case "secret-remove":
		a.obsolete[key] = true
	case "secret-expired":
		a.expired[key] = m.now().Add(coresecrets.ExpireRetryDelay)
	case "secret-rotate":
		if hook.version == 0 {
			return nil // it was ordered, no schedule's
		}
		if err := m.SecretRotated(a.unit, hook.SecretURI, int(hook.version), false); !errors.Is(err, errors.NotFound) {
			return err // and no error where the hook has removed the secret
		}
	}
	return nil
}
