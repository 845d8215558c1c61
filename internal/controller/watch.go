// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// watch holds the watchers of one connection. Each runs in a goroutine of its own; the first that ends for any other
// reason than the context ends them all.
type watch struct {
	*client
	ctx    context.Context //nolint:containedctx // a watch is a scope of goroutines, this is its end
	fail   context.CancelCauseFunc
	notify func()
	group  sync.WaitGroup

	syncing  sync.Mutex     // one syncRelations at a time, or a relation might get two watchers
	restarts map[string]int // by relation key; guarded by the link's mutex
}

// Serve sets up all watchers and then notifies, so that nothing falls between: what came before is seen by whoever looks
// after the notice, what comes later is noticed.
func (l *link) Serve(parent context.Context, notify func()) error {
	ctx, fail := context.WithCancelCause(parent)
	w := &watch{ctx: ctx, fail: fail, notify: notify, restarts: map[string]int{}}
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
	if parent.Err() != nil {
		err = nil
	} else {
		l.sever()
	}
	_ = l.conn.Close()
	return err
}

// sever ends a connection with which something is wrong: its close would wait for an answer, which may be what is wrong.
func (l *link) sever() {
	if conn, ok := l.conn.(interface{ Sever() }); ok {
		conn.Sever()
	}
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
	} else if _, err := begin(w.ctx, w, "the addresses", addresses, func([]string) error {
		w.memory.doubtUnits() // the unit agent writes them into databags
		w.notify()
		return nil
	}, w.fail); err != nil {
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
	w.run(w.watchStray)
	return nil
}

// source is what Juju's client watchers have in common. Their channel is not closed when they end; Wait returns then.
type source[C any] interface {
	Changes() C
	Kill()
	Wait() error
}

// watcherEnded says why a watcher ended before its first event.
type watcherEnded struct{ error }

func (e watcherEnded) Unwrap() error { return e.error }

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
		return first, watcherEnded{err}
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
