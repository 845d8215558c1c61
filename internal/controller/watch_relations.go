// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/juju/juju/core/watcher"
	"github.com/juju/names/v5"
)

// The limits of watching relations.
const (
	relationRestarts = 3               // watchers of one relation that may end before the connection is blamed
	unjoinedFirst    = 2 * time.Second // before looking again for a relation that the unit agent has yet to enter
	unjoinedLongest  = 5 * time.Minute // the same, at most; it doubles
)

// watched is a relation that has a watcher. Keys come back, IDs do not: a relation that is removed and made again is
// another one, even where the watcher of relations saw no difference.
type watched struct {
	id  int
	end context.CancelFunc
}

// watchRelations watches which relations there are, and gives the keys of those there are now.
func (w *watch) watchRelations() ([]string, error) {
	relations, err := w.self.WatchRelations()
	if err != nil {
		return nil, fmt.Errorf("cannot watch the unit's relations: %w", err)
	}
	return begin(w.ctx, w, "the unit's relations", relations, func(keys []string) error {
		w.memory.doubtRelations(keys)
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
			err = w.addRelation(tags[i], result.ID)
		case gone(err):
			w.dropRelation(tags[i].Id())
			w.forgive(tags[i].Id())
			err = nil
		}
		if err != nil {
			return fmt.Errorf("cannot watch relation %s: %w", tags[i].Id(), err)
		}
	}
	return nil
}

// addRelation watches who is in a relation and their databags.
func (w *watch) addRelation(tag names.RelationTag, id int) error {
	if w.isWatched(tag.Id(), id) {
		return nil
	}
	w.dropRelation(tag.Id())
	units, err := w.uniter.WatchRelationUnits(tag, w.unit)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(w.ctx)
	w.mu.Lock()
	w.watched[tag.Id()] = watched{id, end}
	w.mu.Unlock()
	_, err = begin(ctx, w, "the units of "+tag.Id(), units, func(watcher.RelationUnitsChange) error {
		w.notify()
		return nil
	}, func(err error) { w.relationEnded(tag, id, err) })
	if early := (watcherEnded{}); errors.As(err, &early) { // no other end than a later one
		w.run(func() { w.relationEnded(tag, id, early.error) })
		return nil
	}
	return err
}

func (w *watch) dropRelation(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if relation, found := w.watched[key]; found {
		relation.end()
		delete(w.watched, key)
	}
}

// forgive forgets how often the watcher of a relation ended, with the relation.
func (w *watch) forgive(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.restarts, key)
}

// relationEnded takes note that the watcher of a relation ended by itself. Mostly the relation did; if not, it is
// watched again, but not for ever.
func (w *watch) relationEnded(tag names.RelationTag, id int, cause error) {
	if !w.isWatched(tag.Id(), id) {
		return // it was dropped
	}
	w.dropRelation(tag.Id())
	w.mu.Lock()
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

// isWatched reports whether the units of this very relation are watched.
func (l *link) isWatched(key string, id int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	relation, found := l.watched[key]
	return found && relation.id == id
}

// missed tells the watch of relations that it should know and does not.
func (l *link) missed(relations []joined) {
	var keys []string
	for _, j := range relations {
		if !l.isWatched(j.tag.Id(), j.relation.ID) {
			keys = append(keys, j.tag.Id())
		}
	}
	if len(keys) > 0 {
		select {
		case l.stray <- keys:
		default: // the next snapshot tells
		}
	}
}

// watchStray watches the relations that a snapshot met and that have no watcher, and has the unit look again, since what
// happened in between went unnoticed.
func (w *watch) watchStray() {
	for {
		select {
		case keys := <-w.stray:
			if err := w.syncRelations(keys); err != nil {
				w.fail(err)
				return
			}
			w.notify()
		case <-w.ctx.Done():
			return
		}
	}
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
