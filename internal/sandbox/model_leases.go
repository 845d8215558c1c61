// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"context"
	"math"
	"time"

	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"
	"github.com/juju/juju/core/leadership"

	"github.com/signet-charm/signet/internal/juju"
)

// The times of a unit agent's leadership tracker: it claims for a lease's length and renews after half of it, so that
// leadership once seen lasts for the other half.
const (
	leaseLength = time.Minute
	leaseRenew  = leaseLength / 2
)

// lease is an application's leadership. Nobody holds it between the end of one leader and the claim of the next.
type lease struct {
	holder   string    // unit name; empty while the lease is free
	expires  time.Time // zero while the holder's agent lives and goes on renewing it
	released int       // how often it became free, for those who wait: a release may be over before they look
}

func (l *lease) release() { *l = lease{released: l.released + 1} }

// holder gives who holds an application's lease now; one that has run out is free. The caller holds the lock.
func (m *Model) holder(a *application) string {
	if l := &a.lease; !l.expires.IsZero() && !m.now().Before(l.expires) {
		l.release()
		m.notify()
	}
	return a.lease.holder
}

// track is what a living unit agent does about leadership all the time: it takes the lease when that is free, and goes on
// renewing it. The caller holds the lock.
func (m *Model) track(u *unit) {
	if a := m.apps[u.app]; m.holder(a) == "" {
		a.lease.holder, a.lease.expires = u.name, time.Time{}
		m.notify()
	}
}

// tend lets the unit's own lease last while its agent lives, and run out when the agent is gone.
func (m *Model) tend(u *unit) {
	a := m.apps[u.app]
	switch {
	case m.holder(a) != u.name:
	case u.attended:
		a.lease.expires = time.Time{}
	case a.lease.expires.IsZero():
		a.lease.expires = m.now().Add(leaseLength)
		m.setAlarm()
	}
}

// TrackLeadership claims for a unit whose agent lives: it leads from now on if nobody does.
func (m *Model) TrackLeadership(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u, err := m.unit(name); err == nil {
		m.track(u)
	}
}

// Leader is the unit that leads an application; empty while nobody does.
func (m *Model) Leader(app string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, found := m.apps[app]; found {
		return m.holder(a)
	}
	return ""
}

// SetLeader moves the leadership of the unit's application to it, for tests that have no patience: as when the old
// leader's lease ran out, those who waited for that were told, and this unit's agent was the first to claim. It may break
// the promise that a leader who has just asked still leads for 30 seconds, which Juju does only when clocks are put
// forward or a human intervenes.
func (m *Model) SetLeader(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(name)
	if err != nil {
		return errors.Annotate(err, "cannot make unit the leader")
	}
	a := m.apps[u.app]
	if now := m.holder(a); now != "" && now != name {
		a.lease.release()
	}
	a.lease.holder, a.lease.expires = name, time.Time{}
	m.notify()
	return nil
}

// DropLeader has an application's lease run out at once. Nobody leads until a unit claims leadership; with a Runner its
// unit agents do, at the next Settle.
func (m *Model) DropLeader(app string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, found := m.apps[app]; found && m.holder(a) != "" {
		a.lease.release()
		m.notify()
	}
}

// ClaimLeadership makes a unit the leader for a time if nobody is. The leader's own claim sets the end of its lease anew,
// which may be sooner than before; where its agent lives, too, that renews in time whatever ends later than its renewal.
// A claim against another leader is denied.
func (m *Model) ClaimLeadership(viewer, app, name string, duration time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if viewer != name || juju.ApplicationOf(name) != app {
		return apiservererrors.ErrPerm
	}
	u, err := m.unit(name)
	if err != nil {
		return err
	}
	a := m.apps[u.app]
	now := m.holder(a)
	if now != "" && now != name {
		return leadership.ErrClaimDenied
	}
	if kept := now == name && a.lease.expires.IsZero(); kept && duration >= leaseRenew {
		return nil
	}
	a.lease.holder = name
	a.lease.expires = m.now().Add(time.Duration(math.Ceil(duration.Seconds())) * time.Second) // Juju counts whole seconds
	m.setAlarm()
	m.notify()
	return nil
}

// CheckLeader fails, with Juju's own error, unless the unit leads its application.
func (m *Model) CheckLeader(viewer string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.unit(viewer)
	if err != nil {
		return err
	}
	return m.checkLeader(u)
}

// leads reports whether the unit is its application's leader. The caller holds the lock.
func (m *Model) leads(u *unit) bool { return m.holder(m.apps[u.app]) == u.name }

// checkLeader is Juju's leadership token: the error that every use of it fails with.
func (m *Model) checkLeader(u *unit) error {
	if m.leads(u) {
		return nil
	}
	return leadership.NewNotLeaderError(u.name, u.app)
}

// AwaitLeadershipReleased waits until the application's lease is free; it does not wait when it is so already. A leader
// who renews in time is waited for.
func (m *Model) AwaitLeadershipReleased(ctx context.Context, viewer, app string) error {
	seen := -1
	for {
		m.mu.Lock()
		a, found := m.apps[app]
		if !found || juju.ApplicationOf(viewer) != app {
			m.mu.Unlock()
			return apiservererrors.ErrPerm
		}
		free := m.holder(a) == "" || (seen >= 0 && a.lease.released != seen)
		changed := m.changed // after asking, which may be what finds the lease free
		seen = a.lease.released
		m.mu.Unlock()
		if free {
			return nil
		}
		select {
		case <-ctx.Done():
			return leadership.ErrBlockCancelled
		case <-changed:
		}
	}
}

// Tick has the model look at its clock: leases that have run out become free, and unit agents learn that a secret is to be
// rotated or has expired. The model does so by itself when something
// is due; a test that moves the clock of Options.Clock says so with Tick.
func (m *Model) Tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.apps {
		m.holder(a)
	}
	m.notify()
	m.setAlarm()
}

// setAlarm has the model look at its clock when the next thing is due. The caller holds the lock.
func (m *Model) setAlarm() {
	var next time.Time
	now := m.now()
	consider := func(at *time.Time) {
		if at != nil && at.After(now) && (next.IsZero() || at.Before(next)) {
			next = *at
		}
	}
	for _, a := range m.apps {
		consider(&a.lease.expires)
	}
	for _, s := range m.vault.secrets {
		consider(s.nextRotate)
		for _, revision := range s.revisions {
			consider(revision.expire)
		}
	}
	if m.alarm != nil {
		m.alarm.Stop()
		m.alarm = nil
	}
	if !next.IsZero() && !m.stopped {
		m.alarm = time.AfterFunc(next.Sub(now), m.Tick)
	}
}

// stopAlarm ends the model's own looking at the clock, for good.
func (m *Model) stopAlarm() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	m.setAlarm()
}
