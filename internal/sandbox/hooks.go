// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
)

// maxHooks bounds Settle: more hooks than this without coming to rest is a charm that never does.
const maxHooks = 5000

// hookTries is how often Settle runs a failing hook before it gives up; a unit agent goes on for ever, ever more slowly.
const hookTries = 3

// RunnerOptions configures a Runner; the zero value is ready to use.
type RunnerOptions struct {
	Dir          string   // Juju's data folder, for agents/unit-…/agent.socket; a temporary one when empty. Sockets need short paths
	Tools        string   // folder with the hook tools as executables (LinkTools), first in PATH of process charms
	Path         string   // the rest of PATH; the usual system folders when empty
	APIAddresses []string // for JUJU_API_ADDRESSES
}

// Runner is the unit agents of a model: it runs the hooks of the units that are attached to it, one at a time each, in
// the order in which Juju runs them, and serves them the hook tools. Safe for concurrent use.
type Runner struct {
	model *Model
	opts  RunnerOptions
	owned bool // the folder is ours to remove

	mu      sync.Mutex
	agents  map[string]*unitAgent
	events  []Event
	log     []LogLine
	counter int
}

// Event is one hook that ran, or that the charm did not have.
type Event struct {
	Unit    string
	Hook    HookInfo
	Err     error // why it failed; its changes were discarded
	Skipped bool  // the charm has no such hook
}

// String shows the event as "etcd/0 certificates-relation-joined(easyrsa/0)".
func (e Event) String() string { return e.Unit + " " + e.Hook.String() }

// LogLine is one line of the model's log.
type LogLine struct {
	Unit    string
	Level   string // DEBUG, INFO, WARNING, ERROR
	Message string
}

// NewRunner makes a runner for a model. Close frees what it holds.
func NewRunner(model *Model, opts RunnerOptions) (*Runner, error) {
	r := &Runner{model: model, opts: opts, agents: map[string]*unitAgent{}}
	if r.opts.Dir == "" {
		dir, err := os.MkdirTemp("", "juju-")
		if err != nil {
			return nil, fmt.Errorf("cannot make the folder for hook sockets: %w", err)
		}
		r.opts.Dir, r.owned = dir, true
	}
	return r, nil
}

// Close removes the runner's folder. No hook may be running.
func (r *Runner) Close() error {
	if !r.owned {
		return nil
	}
	if err := os.RemoveAll(r.opts.Dir); err != nil {
		return fmt.Errorf("cannot remove the folder of hook sockets: %w", err)
	}
	return nil
}

// Attach gives a unit a charm. From now on its hooks run, it leaves relations and the model by way of its hooks, and it
// claims leadership whenever nobody has it.
func (r *Runner) Attach(unit string, charm Charm) error {
	if err := r.model.Attend(unit, true); err != nil {
		return fmt.Errorf("cannot attach a charm: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.agents[unit] = newUnitAgent(unit, charm)
	return nil
}

// Detach stops a unit's agent where it is, as when its machine dies: no more hooks run for it, and leadership that it has
// runs out in a minute, or with RemoveUnit.
func (r *Runner) Detach(unit string) {
	r.mu.Lock()
	delete(r.agents, unit)
	r.mu.Unlock()
	_ = r.model.Attend(unit, false) // an error says that the unit is gone
}

// Upgrade gives a unit a new revision of its charm and runs upgrade-charm and config-changed.
func (r *Runner) Upgrade(unit string, charm Charm) error {
	a, err := r.agent(unit)
	if err != nil {
		return err
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	a.charm = charm
	a.ordered = append(a.ordered, hookOf("upgrade-charm"))
	a.config = ""
	return nil
}

// Order has a hook that is about no relation, such as update-status, run at the next Settle.
func (r *Runner) Order(unit, hook string) error {
	return r.order(unit, hookOf(hook))
}

// OrderSecret has a secret hook run at the next Settle: secret-rotate, secret-expired, secret-remove or secret-changed.
func (r *Runner) OrderSecret(unit, hook, uri, label string, revision int) error {
	info := hookOf(hook)
	info.SecretURI, info.SecretLabel, info.SecretRevision = uri, label, revision
	return r.order(unit, info)
}

func (r *Runner) order(unit string, info HookInfo) error {
	a, err := r.agent(unit)
	if err != nil {
		return err
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	a.ordered = append(a.ordered, info)
	return nil
}

// Settle runs hooks, one for each unit in turn, until none is due. It fails when a hook goes on failing, naming each
// such unit (all others have settled), and when the units do not come to rest.
func (r *Runner) Settle(ctx context.Context) error {
	tries := map[string]int{}
	var last []string
	for ran := 0; ran < maxHooks; {
		quiet := true
		for _, a := range r.attached() {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("cannot settle: %w", err)
			}
			if tries[a.unit] >= hookTries {
				continue
			}
			event, due := r.step(ctx, a)
			if !due {
				continue
			}
			quiet = false
			ran++
			last = append(last[max(0, len(last)-9):], event.String())
			if event.Err != nil {
				tries[a.unit]++
			} else {
				delete(tries, a.unit)
			}
		}
		if quiet {
			return r.failures()
		}
	}
	return fmt.Errorf("cannot settle: %d hooks ran and more are due, the last were %s", maxHooks, strings.Join(last, ", "))
}

// Serve settles whenever the model changes, until the context ends. Failing hooks are tried again at each change.
func (r *Runner) Serve(ctx context.Context) error {
	for ctx.Err() == nil {
		_ = r.Settle(ctx) // the failure is in the events, and in the unit's agent status
		// The channel is taken after settling, so that what a failing hook changes does not wake its own retry.
		changed := r.model.Changed()
		if r.due() {
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
	return nil
}

// due reports whether a unit that is not in error has a hook to run.
func (r *Runner) due() bool {
	return slices.ContainsFunc(r.attached(), func(a *unitAgent) bool {
		a.turn.Lock()
		defer a.turn.Unlock()
		_, due := a.next(r.model)
		return due && a.failed == nil
	})
}

// RunHook runs one hook on a unit at once, whatever else is due, and returns its error: a failed hook is not retried.
func (r *Runner) RunHook(ctx context.Context, unit, hook string) error {
	a, err := r.agent(unit)
	if err != nil {
		return err
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	a.watch(r.model)
	return r.run(ctx, a, hookOf(hook)).Err
}

// step runs the next hook of one unit; false when none is due.
func (r *Runner) step(ctx context.Context, a *unitAgent) (Event, bool) {
	a.turn.Lock()
	defer a.turn.Unlock()
	info, due := a.next(r.model)
	if !due {
		return Event{}, false
	}
	event := r.run(ctx, a, info)
	a.failed = nil
	if event.Err == nil {
		event.Err = a.done(r.model, info)
	}
	if event.Err != nil {
		a.failed = &info
	}
	r.report(a, event)
	return event, true
}

// run runs one hook: begin, the charm, then its changes in one piece if it ended well.
func (r *Runner) run(ctx context.Context, a *unitAgent, info HookInfo) Event {
	a.begin(r.model, info)
	event := Event{Unit: a.unit, Hook: info}
	hook, err := r.open(a, info, nil)
	if err == nil {
		err = a.charm.Hook(ctx, hook)
		if errors.Is(err, ErrNoHook) {
			event.Skipped, err = true, nil
		}
		hook.close()
		if err == nil {
			err = hook.flush()
		}
	}
	if err != nil {
		event.Err = fmt.Errorf("hook %s of %s failed: %w", info, a.unit, err)
		r.addLog(LogLine{Unit: a.unit, Level: "ERROR", Message: event.Err.Error()})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
	return event
}

// report shows in the model how the unit's agent is doing, where that has changed.
func (r *Runner) report(a *unitAgent, event Event) {
	level, message := "idle", ""
	if event.Err != nil {
		level, message = "error", fmt.Sprintf("hook failed: %q", event.Hook.Name)
	}
	if now, err := r.model.AgentStatus(a.unit); err == nil && (now.Level != level || now.Message != message) {
		_ = r.model.SetAgentStatus(a.unit, level, message, nil) // the unit may be gone by now
	}
}

// failures names the units whose hook goes on failing.
func (r *Runner) failures() error {
	var failures []error
	for _, a := range r.attached() {
		a.turn.Lock()
		if a.failed != nil {
			failures = append(failures, fmt.Errorf("cannot settle: unit %s is in error: %w", a.unit, r.lastError(a.unit)))
		}
		a.turn.Unlock()
	}
	return errors.Join(failures...)
}

func (r *Runner) lastError(unit string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, event := range slices.Backward(r.events) {
		if event.Unit == unit && event.Err != nil {
			return event.Err
		}
	}
	return errors.New("a hook failed")
}

// Events are the hooks that ran so far, in order.
func (r *Runner) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Hooks are the hooks that a unit ran so far, in order, as "certificates-relation-joined(easyrsa/0)".
func (r *Runner) Hooks(unit string) []string {
	var names []string
	for _, event := range r.Events() {
		if event.Unit == unit {
			names = append(names, event.Hook.String())
		}
	}
	return names
}

// ForgetEvents begins a new record of events.
func (r *Runner) ForgetEvents() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}

// Log is what the units have logged so far, by juju-log or by printing, and the hooks that failed.
func (r *Runner) Log() []LogLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

func (r *Runner) addLog(line LogLine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, line)
}

// agent finds the agent of a unit.
func (r *Runner) agent(unit string) (*unitAgent, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, found := r.agents[unit]; found {
		return a, nil
	}
	return nil, fmt.Errorf("unit %s has no charm attached", unit)
}

// attached gives the agents in the order of their units' names.
func (r *Runner) attached() []*unitAgent {
	r.mu.Lock()
	defer r.mu.Unlock()
	agents := slices.Collect(maps.Values(r.agents))
	slices.SortFunc(agents, func(a, b *unitAgent) int { return compareUnits(a.unit, b.unit) })
	return agents
}

// nextNumber numbers hook contexts.
func (r *Runner) nextNumber() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counter++
	return r.counter
}
