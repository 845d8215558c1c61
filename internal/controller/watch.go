// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/juju/juju/api/agent/leadership"
	"github.com/juju/juju/core/watcher"
	"github.com/juju/names/v5"
)

// Times of the watch.
const (
	relationRestarts = 3                // watchers of one relation that may end before the connection is blamed
	unjoinedFirst    = 2 * time.Second  // before looking again for a relation that the unit agent has yet to enter
	unjoinedLongest  = 5 * time.Minute  // the same, at most; it doubles
	leaderSettle     = time.Second      // a released lease is taken by some unit agent within this, mostly
	leaderLongest    = 30 * time.Second // between two looks at a lease that nobody takes
	leaderRecheck    = time.Minute      // a release between two ticks of the lease manager goes unsaid
)

// watch holds the watchers of one connection. Each runs in a goroutine of its own; the first that ends for any other
// reason than the context ends them all.
type watch struct {
	*client
	ctx    context.Context //nolint:containedctx // a watch is a scope of goroutines, this is its end
	fail   context.CancelCauseFunc
	notify func()
	group  sync.WaitGroup

	syncing   sync.Mutex                    // one syncRelations at a time, or a relation might get two watchers
	mu        sync.Mutex                    // guards what follows
	relations map[string]context.CancelFunc // by relation key: ends its watcher
	restarts  map[string]int                // by relation key
}

// Serve sets up all watchers and then notifies, so that nothing falls between: what came before is seen by whoever looks
// after the notice, what comes later is noticed.
func (l *link) Serve(parent context.Context, notify func()) error {
	ctx, fail := context.WithCancelCause(parent)
	w := &watch{ctx: ctx, fail: fail, notify: notify, relations: map[string]context.CancelFunc{}, restarts: map[string]int{}}
	var err error
	if w.client, err = l.client(ctx); err == nil {
		err = w.start()
	}
	if err == nil {
		notify()
		select {
		case <-l.conn.Broken():
			err = errors.New("cannot hear from the controller: the connection broke or did not answer a ping")
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	fail(err)
	w.group.Wait()
	_ = l.conn.Close()
	if parent.Err() != nil {
		err = nil
	}
	return err
}

// start sets up all watchers. That of the unit's addresses is a convenience: a unit that has no machine yet has none.
func (w *watch) start() error {
	keys, err := w.watchRelations()
	if err != nil {
		return err
	}
	if err := w.syncRelations(keys); err != nil {
		return err
	}
	config, err := w.self.WatchConfigSettingsHash()
	if err != nil {
		return fmt.Errorf("cannot watch the config: %w", err)
	}
	if _, err := begin(w.ctx, w, "the config", config, w.changed, w.fail); err != nil {
		return err
	}
	if addresses, err := w.self.WatchAddressesHash(); err != nil {
		w.log.Debug("the unit's addresses are not watched", "cause", err)
	} else if _, err := begin(w.ctx, w, "the addresses", addresses, w.changed, w.fail); err != nil {
		return err
	}
	if err := w.watchSecrets(); err != nil {
		return err
	}
	leader, err := w.leader()
	if err != nil {
		return err
	}
	w.run(func() { w.watchLeadership(leader) })
	w.run(w.watchUnjoined)
	return nil
}

// source is what Juju's client watchers have in common. Their channel is not closed when they end; Wait returns then.
type source[C any] interface {
	Changes() C
	Kill()
	Wait() error
}

// begin takes a watcher's first event, which tells how things are, and has every later one handled. When the watcher
// ends before the context does, ended is told why.
func begin[T any, C ~<-chan T](ctx context.Context, w *watch, what string, s source[C], handle func(T) error, ended func(error)) (T, error) {
	died := make(chan error, 1)
	w.run(func() {
		err := s.Wait()
		if err == nil {
			err = errors.New("it was stopped")
		}
		died <- fmt.Errorf("cannot watch %s any longer: %w", what, err)
	})
	var first T
	select {
	case first = <-s.Changes():
	case err := <-died:
		return first, err
	case <-ctx.Done():
		s.Kill()
		return first, context.Cause(ctx)
	}
	w.run(func() {
		defer s.Kill()
		for {
			select {
			case change := <-s.Changes():
				if err := handle(change); err != nil {
					ended(err)
					return
				}
			case err := <-died:
				ended(err)
				return
			case <-ctx.Done():
				return
			}
		}
	})
	return first, nil
}

func (w *watch) run(do func()) {
	w.group.Add(1)
	go func() {
		defer w.group.Done()
		do()
	}()
}

// changed handles the events of a watcher whose content nobody needs.
func (w *watch) changed([]string) error {
	w.notify()
	return nil
}

// watchSecrets watches all secrets that the unit reads, its own included, since reading made it a consumer of them.
func (w *watch) watchSecrets() error {
	if !w.canSecrets {
		return nil
	}
	consumed, err := w.secrets.WatchConsumedSecretsChanges(w.unit.Id())
	if err != nil {
		return fmt.Errorf("cannot watch the secrets: %w", err)
	}
	_, err = begin(w.ctx, w, "the secrets", consumed, w.changed, w.fail)
	return err
}

// watchRelations watches which relations there are, and gives the keys of those there are now.
func (w *watch) watchRelations() ([]string, error) {
	relations, err := w.self.WatchRelations()
	if err != nil {
		return nil, fmt.Errorf("cannot watch the unit's relations: %w", err)
	}
	return begin(w.ctx, w, "the unit's relations", relations, func(keys []string) error {
		if err := w.syncRelations(keys); err != nil {
			return err
		}
		w.notify()
		return nil
	}, w.fail)
}

// syncRelations watches the units of each of these relations that still exists, and no longer those of the others.
func (w *watch) syncRelations(keys []string) error {
	w.syncing.Lock()
	defer w.syncing.Unlock()
	var tags []names.RelationTag
	for _, key := range keys {
		if !names.IsValidRelation(key) {
			return fmt.Errorf("cannot watch relation %q: not a relation's key", key)
		}
		tags = append(tags, names.NewRelationTag(key))
	}
	results, err := w.relationResults(tags)
	if err != nil {
		return err
	}
	for i, result := range results {
		err := resultError(result.Error)
		switch {
		case err == nil:
			err = w.addRelation(tags[i])
		case gone(err):
			w.dropRelation(tags[i].Id())
			err = nil
		}
		if err != nil {
			return fmt.Errorf("cannot watch relation %s: %w", tags[i].Id(), err)
		}
	}
	return nil
}

// addRelation watches who is in a relation and their databags.
func (w *watch) addRelation(tag names.RelationTag) error {
	w.mu.Lock()
	_, watched := w.relations[tag.Id()]
	w.mu.Unlock()
	if watched {
		return nil
	}
	units, err := w.uniter.WatchRelationUnits(tag, w.unit)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.mu.Lock()
	w.relations[tag.Id()] = cancel
	w.mu.Unlock()
	_, err = begin(ctx, w, "the units of "+tag.Id(), units, func(watcher.RelationUnitsChange) error {
		w.notify()
		return nil
	}, func(err error) { w.relationEnded(tag, err) })
	return err
}

func (w *watch) dropRelation(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cancel, watched := w.relations[key]; watched {
		cancel()
		delete(w.relations, key)
	}
	delete(w.restarts, key)
}

// relationEnded takes note that the watcher of a relation ended by itself. Mostly the relation did; if not, it is
// watched again, but not for ever.
func (w *watch) relationEnded(tag names.RelationTag, cause error) {
	w.mu.Lock()
	if cancel, watched := w.relations[tag.Id()]; watched {
		cancel()
		delete(w.relations, tag.Id())
	}
	w.restarts[tag.Id()]++
	restarts := w.restarts[tag.Id()]
	w.mu.Unlock()
	if restarts > relationRestarts {
		w.fail(cause)
		return
	}
	if err := w.syncRelations([]string{tag.Id()}); err != nil {
		w.fail(err)
		return
	}
	w.notify()
}

// watchUnjoined looks again for relations that the unit agent has yet to enter, which causes no event. Its hooks do as
// well; this is for an agent that is slow to run them.
func (w *watch) watchUnjoined() {
	wait, last := unjoinedFirst, time.Now()
	for {
		select {
		case <-w.unjoined:
		case <-w.ctx.Done():
			return
		}
		if time.Since(last) > 2*wait {
			wait = unjoinedFirst
		}
		if !sleep(w.ctx, wait) {
			return
		}
		wait, last = min(2*wait, unjoinedLongest), time.Now()
		w.notify()
	}
}

// watchLeadership notices when the unit becomes the leader or ceases to be. The lease's release can be waited for; who
// took it then cannot, and is asked a moment later, while the next release is already waited for.
func (w *watch) watchLeadership(leader bool) {
	settle := leaderSettle
	for {
		asked := time.Now()
		released := w.leadershipReleased()
		wait := settle
		for held := true; held; wait = leaderRecheck {
			timer := time.NewTimer(wait)
			select {
			case err := <-released:
				if err != nil {
					w.fail(fmt.Errorf("cannot watch leadership: %w", err))
					timer.Stop()
					return
				}
				held = false
				// Nobody holds the lease: a unit that led does so no more, and asking at a lease's end must not become a loop.
				if time.Since(asked) > settle {
					settle = leaderSettle
				} else if !sleep(w.ctx, settle) {
					timer.Stop()
					return
				} else {
					settle = min(2*settle, leaderLongest)
				}
			case <-timer.C:
			case <-w.ctx.Done():
				timer.Stop()
				return
			}
			timer.Stop()
			now, err := w.leader()
			if err != nil {
				w.fail(err)
				return
			}
			if now != leader {
				leader = now
				w.notify()
			}
		}
	}
}

// leadershipReleased waits for the end of the application's present lease, whoever holds it. The channel gets one value.
func (w *watch) leadershipReleased() <-chan error {
	released := make(chan error, 1)
	w.run(func() {
		released <- leadership.NewClient(w.api).BlockUntilLeadershipReleased(w.app.Id(), nil)
	})
	return released
}

// sleep waits, and reports false when the context ended first.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
