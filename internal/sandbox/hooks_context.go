// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/juju/errors"

	"github.com/signet-charm/signet/internal/juju"
)

// HookContext is one running hook or action: what it is about, and the hook tools, which read the model through the
// unit's eyes and gather what the hook writes until it ends well. Its tools run one at a time.
type HookContext struct {
	runner *Runner
	model  *Model
	agent  *unitAgent
	info   HookInfo
	action *runningAction // nil in a hook
	id     string
	socket string
	server net.Listener

	mu        sync.Mutex // held while a tool runs; guards all below
	closed    bool
	conns     []net.Conn
	minion    bool // not the leader, once seen: it stays so for the rest of the hook
	relations map[int]*hookRelation
	state     map[string]string // nil until it is first asked for
	newState  bool
	secrets   SecretChanges // gathered
	opened    []PortRange
	shut      []PortRange
	storage   []string          // asked for with storage-add; no charm here has any
	settings  map[string]string // the application's leader settings; nil until they are first asked for
}

// hookRelation is one relation as one hook sees it.
type hookRelation struct {
	info    RelationInfo
	known   *agentRelation
	broken  bool
	unit    *writtenBag // the own unit's databag, once it was used
	app     *writtenBag // the own application's, likewise
	others  map[string]map[string]string
	appBags map[string]map[string]string
}

// writtenBag is an own databag with what the hook has written to it.
type writtenBag struct {
	values  map[string]string
	changes map[string]string // an empty value removes the key
}

func (b *writtenBag) set(key, value string) {
	b.changes[key] = value
	if value == "" {
		delete(b.values, key)
		return
	}
	b.values[key] = value
}

// open makes the context of a hook, or of an action, and serves it the hook tools.
func (r *Runner) open(a *unitAgent, info HookInfo, action *runningAction) (*HookContext, error) {
	h := &HookContext{
		runner: r, model: r.model, agent: a, info: info, action: action,
		id:        fmt.Sprintf("%s-%s-%016x", a.unit, info.Name, r.nextNumber()),
		relations: map[int]*hookRelation{},
	}
	for id, known := range a.relations {
		seen, err := r.model.RelationOf(a.unit, id)
		if err != nil {
			continue // gone since the agent last looked
		}
		h.relations[id] = &hookRelation{
			info: seen, known: known, broken: id == info.RelationID && info.kind == "relation-broken",
			others: map[string]map[string]string{}, appBags: map[string]map[string]string{},
		}
	}
	if info.RelationID != noRelation && h.relations[info.RelationID] == nil {
		return nil, errors.Errorf("unknown relation id: %d", info.RelationID)
	}
	dir := filepath.Join(r.opts.Dir, "agents", "unit-"+strings.ReplaceAll(a.unit, "/", "-"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the unit's agent: %w", err)
	}
	h.socket = filepath.Join(dir, "agent.socket")
	if err := h.serve(); err != nil {
		return nil, err
	}
	return h, nil
}

// close ends the hook tools: whoever still holds a connection is refused.
func (h *HookContext) close() {
	_ = h.server.Close() // removes the socket
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, conn := range h.conns {
		_ = conn.Close()
	}
}

// flush makes the hook's changes in one piece.
func (h *HookContext) flush() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.storage) > 0 {
		return errors.NotFoundf("charm storage %q", h.storage[0])
	}
	commit := Commit{Secrets: h.secrets, Open: h.opened, Close: h.shut}
	for _, id := range slices.Sorted(maps.Keys(h.relations)) {
		change := BagChange{RelationID: id}
		if bag := h.relations[id].unit; bag != nil {
			change.Unit = bag.changes
		}
		if bag := h.relations[id].app; bag != nil {
			change.App = bag.changes
		}
		if len(change.Unit)+len(change.App) > 0 {
			commit.Relations = append(commit.Relations, change)
		}
	}
	if h.newState {
		commit.State = &UnitState{Charm: h.state}
	}
	if len(commit.Relations) == 0 && commit.State == nil && commit.Secrets.empty() && len(h.opened)+len(h.shut) == 0 {
		return nil
	}
	return h.model.Commit(h.agent.unit, commit)
}

// Unit is the name of the unit that the hook runs on.
func (h *HookContext) Unit() string { return h.agent.unit }

// Info says which hook this is.
func (h *HookContext) Info() HookInfo { return h.info }

// DispatchPath is what Juju calls the hook: "hooks/<name>" or "actions/<name>".
func (h *HookContext) DispatchPath() string {
	if h.action != nil {
		return "actions/" + h.action.name
	}
	return "hooks/" + h.info.Name
}

// leads asks for leadership as a hook does: a unit that was seen not to lead does not lead in this hook any more.
func (h *HookContext) leads() bool {
	if !h.minion && h.model.Leader(juju.ApplicationOf(h.agent.unit)) != h.agent.unit {
		h.minion = true
	}
	return !h.minion
}

// memberNames are the remote units that the charm has been told of, sorted as texts: "web/10" before "web/2".
func (r *hookRelation) memberNames() []string { return slices.Sorted(maps.Keys(r.known.members)) }

// key is the relation's name in the hook tools: "certificates:3".
func (r *hookRelation) key() string { return fmt.Sprintf("%s:%d", r.info.Endpoint.Name, r.info.ID) }

// ownUnit gives the unit's own databag with what the hook has written.
func (h *HookContext) ownUnit(r *hookRelation) (*writtenBag, error) {
	if r.unit == nil {
		values, err := h.model.ReadUnitBag(h.agent.unit, r.info.ID, h.agent.unit)
		if err != nil {
			return nil, err
		}
		r.unit = &writtenBag{values: values, changes: map[string]string{}}
	}
	return r.unit, nil
}

// ownApp gives the own application's databag with what the hook has written.
func (h *HookContext) ownApp(r *hookRelation) (*writtenBag, error) {
	if r.app == nil {
		values, err := h.model.ReadAppBag(h.agent.unit, r.info.ID, juju.ApplicationOf(h.agent.unit))
		if err != nil {
			return nil, err
		}
		r.app = &writtenBag{values: values, changes: map[string]string{}}
	}
	return r.app, nil
}

// otherUnit gives a remote unit's databag: that of a member as of the last hook about it.
func (h *HookContext) otherUnit(r *hookRelation, name string) (map[string]string, error) {
	kept := r.others
	if _, member := r.known.members[name]; member {
		kept = r.known.bags
	}
	return remembered(kept, name, func() (map[string]string, error) {
		return h.model.ReadUnitBag(h.agent.unit, r.info.ID, name)
	})
}

// otherApp gives an application's databag, read at most once in a hook.
func (h *HookContext) otherApp(r *hookRelation, name string) (map[string]string, error) {
	return remembered(r.appBags, name, func() (map[string]string, error) {
		return h.model.ReadAppBag(h.agent.unit, r.info.ID, name)
	})
}

func remembered(bags map[string]map[string]string, name string, read func() (map[string]string, error)) (map[string]string, error) {
	if bag, found := bags[name]; found {
		return bag, nil
	}
	bag, err := read()
	if err != nil {
		return nil, err
	}
	bags[name] = bag
	return bag, nil
}

// charmState gives the unit's state with what the hook has written.
func (h *HookContext) charmState() (map[string]string, error) {
	if h.state == nil {
		state, err := h.model.State(h.agent.unit)
		if err != nil {
			return nil, err
		}
		h.state = maps.Clone(state.Charm)
		if h.state == nil {
			h.state = map[string]string{}
		}
	}
	return h.state, nil
}

// output keeps what the charm's process printed: in the log, and in an action's results.
func (h *HookContext) output(stdout, stderr string, state *os.ProcessState) {
	for _, line := range lines(stdout) {
		h.runner.addLog(LogLine{Unit: h.agent.unit, Level: "DEBUG", Message: line})
	}
	for _, line := range lines(stderr) {
		h.runner.addLog(LogLine{Unit: h.agent.unit, Level: "WARNING", Message: line})
	}
	if h.action != nil {
		h.action.stdout, h.action.stderr = stdout, stderr
		if state != nil {
			h.action.code = state.ExitCode()
		}
	}
}
