// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"

	apiservererrors "github.com/juju/juju/apiserver/errors"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/rpcreflect"
)

// apiWatcher is a watcher on the controller's side. It compares what it watches with what it last told, so that any
// number of changes between two calls of Next are one event, and a change that was undone is none.
type apiWatcher struct {
	model   *Model
	kind    reflect.Type // of the events
	compare func() (event any, changed bool)

	next    sync.Mutex // one Next at a time; guards what compare remembers
	once    sync.Once
	stopped chan struct{}
}

func newWatcher(m *Model, kind reflect.Type, compare func() (any, bool)) *apiWatcher {
	return &apiWatcher{model: m, kind: kind, compare: compare, stopped: make(chan struct{})}
}

func (w *apiWatcher) stop() { w.once.Do(func() { close(w.stopped) }) }

// await blocks until there is an event; it ends with the error of a stopped watcher.
func (w *apiWatcher) await(ctx context.Context) (any, error) {
	w.next.Lock()
	defer w.next.Unlock()
	for {
		select {
		case <-w.stopped:
			return nil, apiservererrors.ErrStoppedWatcher
		default:
		}
		changed := w.model.Changed()
		if event, found := w.compare(); found {
			return event, nil
		}
		select {
		case <-w.stopped:
		case <-ctx.Done():
			return nil, apiservererrors.ErrStoppedWatcher
		case <-changed:
		}
	}
}

// watcherKinds are the watcher facades, all of version 1, with the type of their events; a notification has none.
func watcherKinds() map[string]reflect.Type {
	return map[string]reflect.Type{
		"NotifyWatcher":         nil,
		"StringsWatcher":        reflect.TypeFor[params.StringsWatchResult](),
		"RelationUnitsWatcher":  reflect.TypeFor[params.RelationUnitsWatchResult](),
		"SecretsTriggerWatcher": reflect.TypeFor[params.SecretTriggerWatchResult](),
	}
}

// watcherMethod gives Next or Stop of the watcher whose ID the request carries.
func watcherMethod(s *session, kind reflect.Type, facade, method string) (rpcreflect.MethodCaller, error) {
	switch method {
	case "Next":
		return &caller{result: kind, call: func(ctx context.Context, id string, _ reflect.Value) (reflect.Value, error) {
			w, err := s.watcher(id, kind)
			if err != nil {
				return reflect.Value{}, err
			}
			event, err := w.await(ctx)
			if err != nil || kind == nil {
				return reflect.Value{}, err
			}
			return reflect.ValueOf(event), nil
		}}, nil
	case "Stop":
		return &caller{call: func(_ context.Context, id string, _ reflect.Value) (reflect.Value, error) {
			if _, err := s.watcher(id, kind); err != nil {
				return reflect.Value{}, err
			}
			s.unregister(id)
			return reflect.Value{}, nil
		}}, nil
	}
	return nil, &rpcreflect.CallNotImplementedError{RootMethod: facade, Version: 1, Method: method}
}

// watchValue registers a watcher that notifies when a value is another than before.
func watchValue[T comparable](s *session, read func() T) string {
	known := read()
	return s.register(newWatcher(s.model, nil, func() (any, bool) {
		now := read()
		changed := now != known
		known = now
		return nil, changed
	}))
}

// watchStrings registers a watcher of a set of names with versions: differ tells from the sets of before and of now
// what to report. The first report is given at once, as Juju does in the answer to the call that makes a watcher.
func watchStrings[V any](s *session, read func() map[string]V, first []string, differ func(before, now map[string]V) []string) params.StringsWatchResult {
	known := read()
	if first == nil {
		first = []string{}
	}
	id := s.register(newWatcher(s.model, reflect.TypeFor[params.StringsWatchResult](), func() (any, bool) {
		now := read()
		changes := differ(known, now)
		known = now
		return params.StringsWatchResult{Changes: changes}, len(changes) > 0
	}))
	return params.StringsWatchResult{StringsWatcherId: id, Changes: first}
}

// differing are the names that were added, removed, or have another value, sorted.
func differing[V comparable](before, now map[string]V) []string {
	var names []string
	for name, value := range now {
		if old, known := before[name]; !known || old != value {
			names = append(names, name)
		}
	}
	for name := range before {
		if _, still := now[name]; !still {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// added are the names that are new, sorted.
func added[V any](before, now map[string]V) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if _, known := before[name]; !known {
			names = append(names, name)
		}
	}
	return names
}

// removed are the names that are no more, sorted.
func removed[V any](before, now map[string]V) []string { return added(now, before) }

// bagVersions is what a unit watches in a relation.
type bagVersions struct{ units, apps map[string]int64 }

// watchRelationUnits registers a watcher of the remote side of a relation. When the relation goes, all units depart and
// nothing follows.
func watchRelationUnits(s *session, unit string, id int) (params.RelationUnitsWatchResult, error) {
	read := func() (bagVersions, error) {
		units, apps, err := s.model.BagVersions(unit, id)
		return bagVersions{units: units, apps: apps}, err
	}
	known, err := read()
	if err != nil {
		return params.RelationUnitsWatchResult{}, err
	}
	first := changeOf(bagVersions{}, known)
	if !s.model.legacy() { // Juju 4 tells of the application's databag when it changes, and not before
		first.AppChanged = nil
	}
	watcherID := s.register(newWatcher(s.model, reflect.TypeFor[params.RelationUnitsWatchResult](), func() (any, bool) {
		now, err := read()
		if err != nil {
			now = bagVersions{apps: known.apps}
		}
		change := changeOf(known, now)
		known = now
		return params.RelationUnitsWatchResult{Changes: change},
			len(change.Changed)+len(change.AppChanged)+len(change.Departed) > 0
	}))
	return params.RelationUnitsWatchResult{RelationUnitsWatcherId: watcherID, Changes: first}, nil
}

// changeOf tells the difference in the shape of Juju's event: versions only, the content is to be read again.
func changeOf(before, now bagVersions) params.RelationUnitsChange {
	change := params.RelationUnitsChange{Changed: map[string]params.UnitSettings{}, AppChanged: map[string]int64{}}
	for name, version := range now.units {
		if old, known := before.units[name]; !known || old != version {
			change.Changed[name] = params.UnitSettings{Version: version}
		}
	}
	for name, version := range now.apps {
		if old, known := before.apps[name]; !known || old != version {
			change.AppChanged[name] = version
		}
	}
	change.Departed = removed(before.units, now.units)
	return change
}
