// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/host"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// The stories of this file and its neighbours are about a unit that cannot do something: a flow is played once
// undisturbed, which counts all that the unit does outside of its process, and then once for each of these calls, and for
// each way in which it can go wrong. Nobody lists the calls: whoever adds one has it tried. What flows there are is in
// crash_flows_test.go, and what must hold in crash_judge_test.go.

var errCut = errors.New("cut off")

// outside stands between one unit and all that is outside of its process, and counts the calls. One of them fails on
// demand.
type outside struct {
	calls  []string
	failAt int // counted from 1; 0 for none
	way    way
	dead   bool                         // the process is: nothing of it reaches the outside any more
	watch  func(what string, err error) // called after each call, with the error of the one that failed; may be nil
}

// way is how a call goes wrong.
type way struct {
	name string
	done bool // it was done, and the reply is lost; else it was not done
	dies bool // the process, with the call
}

func ways() []way {
	return []way{
		{name: "not done"},
		{name: "done, the reply is lost", done: true},
		{name: "crash before it", dies: true}, // which is a crash after the one before it
	}
}

// disturb has the n-th call from now go wrong.
func (o *outside) disturb(n int, how way) { o.calls, o.failAt, o.way, o.dead = nil, n, how, false }

// tripped reports whether the call that was to go wrong has.
func (o *outside) tripped() bool { return o.failAt > 0 && len(o.calls) >= o.failAt }

func (o *outside) call(what string, do func() error) error {
	if o.dead {
		return errCut
	}
	o.calls = append(o.calls, what)
	chosen := len(o.calls) == o.failAt
	if chosen && !o.way.done {
		o.dead = o.way.dies
		return o.seen(what, fmt.Errorf("%s: %w", what, errCut))
	}
	err := do()
	if chosen {
		o.dead = o.way.dies
		return o.seen(what, fmt.Errorf("%s: %w", what, errCut))
	}
	return o.seen(what, err)
}

func (o *outside) seen(what string, err error) error {
	if o.watch != nil {
		o.watch(what, err)
	}
	return err
}

// disk is a disk.System whose operations are counted. Syncs are not done: they would only take time.
func (o *outside) disk(op disk.Op) error {
	return o.call(fmt.Sprintf("disk %s %s", op.Kind, filepath.Base(op.Path)), func() error {
		if op.Kind == disk.Sync {
			return nil
		}
		return disk.Perform(op)
	})
}

// counted is a Carrier whose orders are counted, besides what they do to the disk.
type counted struct {
	agent.Carrier

	out *outside
}

func (c counted) Carry(ctx context.Context, o order.Order) (answer order.Answer) {
	what := strings.TrimPrefix(fmt.Sprintf("carry %T", o), "carry order.")
	err := c.out.call("carry "+what, func() error {
		answer = c.Carrier.Carry(ctx, o)
		return nil
	})
	if err != nil {
		return order.Answer{Order: o.ID(), State: order.Failed, Failure: order.FailureOf(err)}
	}
	return answer
}

// signing is the authority with its signatures counted.
type signing struct {
	agent.Authority

	out *outside
}

func (s signing) Carry(ctx context.Context, o order.Order) order.Answer {
	return counted{s.Authority, s.out}.Carry(ctx, o)
}

// SignAll is one call for each batch; that it is cut off within is tried at each write.
func (s signing) SignAll(ctx context.Context, orders ...order.Sign) (answers []order.Answer) {
	err := s.out.call("carry Sign", func() error {
		answers = s.Authority.SignAll(ctx, orders...)
		return nil
	})
	if err == nil {
		return answers
	}
	answers = nil // which nobody was told
	for _, o := range orders {
		answers = append(answers, order.Answer{Order: o.ID(), State: order.Failed, Failure: order.FailureOf(err)})
	}
	return answers
}

// play is one unit with the model, the machine and the clock that it sees. It is the unit's agent.Session: a model in
// memory, in which each part of a commit is one call.
type play struct {
	t       *testing.T
	dir     string // the machine's folder, the unit's own and the charm's
	out     *outside
	unit    *agent.Unit // nil while the process does not run
	now     time.Time
	snap    juju.Snapshot
	react   func(*play)         // what others in the model do when they see what the unit did; may be nil
	taken   map[string]string   // by service, what its files were when it was last reloaded
	ran     []string            // programs
	issuers map[string]*pretend // CAs of others
	commits int
	loses   int // the commit, counted from 1, that is lost with its hook
	system  disk.System
	known   map[string]onDisk // what stands since the scene was set
	marking bool
	marks   []mark
	died    func()      // what becomes of the machine when the process dies; nil for nothing
	struck  func(*play) // looks at the unit while something is wrong, once, before it settles; nil for nothing
}

// noon is when plays begin.
func noon() time.Time { return time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC) }

const peersID = 1

// newPlay is a leader of signet with a peer relation and nothing else.
func newPlay(t *testing.T) *play {
	t.Helper()
	p := &play{
		t: t, dir: t.TempDir(), out: &outside{}, now: noon(), taken: map[string]string{}, known: map[string]onDisk{}, issuers: map[string]*pretend{},
		snap: juju.Snapshot{
			Endpoints: []juju.Endpoint{
				{Name: "certificates", Interface: tlsInterface, Role: juju.Provides},
				{Name: "upstream", Interface: tlsInterface, Role: juju.Requires},
			},
			Unit: "signet/0", ModelName: "test", ModelUUID: "uuid", JujuVersion: "3.6.25", Leader: true, CanSecrets: true,
			Config: map[string]any{}, State: map[string]string{},
			Relations: []juju.Relation{{
				ID: peersID, Endpoint: juju.Endpoint{Name: "peers", Interface: "signet_peers", Role: juju.Peers}, RemoteApp: "signet",
				OwnUnit: juju.Bag{}, OwnApp: juju.Bag{},
			}},
			Addresses: map[string]juju.Addresses{"upstream": {Bind: []string{"10.1.0.1"}, Ingress: []string{"10.1.0.1"}}},
		},
	}
	p.system = p.out.disk
	for _, path := range []string{p.machine(), p.charm()} {
		require.NoError(t, os.Mkdir(path, 0o755))
	}
	return p
}

func (p *play) machine() string { return filepath.Join(p.dir, "machine") }
func (p *play) state() string   { return filepath.Join(p.dir, "state") }
func (p *play) charm() string   { return filepath.Join(p.dir, "charm") }

// start starts the process: what the program itself joins to a unit, with each way out of it counted.
func (p *play) start() error {
	folder, err := disk.OpenOn(p.state(), p.system, disk.OnMachine(p.machine()))
	if err != nil {
		return err
	}
	program := &program{lookup: func(name string) string { return map[string]string{"SIGNET_ROOT": p.machine()}[name] }, stderr: io.Discard}
	unit := program.unit(p, folder, place{unit: p.snap.Unit, charmDir: p.charm(), stateDir: p.state()})
	clock := func() time.Time { return p.now }
	unit.Authority = signing{ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal(), Now: clock}), p.out}
	unit.Machine = host.New(host.Config{Records: folder.Ran(), Root: p.machine(), Run: p.run})
	unit.Keeper = counted{unit.Keeper, p.out}
	unit.Now, unit.Log = clock, slog.New(slog.DiscardHandler)
	p.unit = unit
	return nil
}

// take takes a turn, with the operator's action where there is one. A process that died in it is gone after it.
func (p *play) take(action *juju.Action) (outcome agent.Outcome, err error) {
	if p.unit == nil {
		err = p.start()
	}
	switch {
	case err != nil:
	case action != nil:
		outcome, err = p.unit.Act(p.t.Context(), *action)
	default:
		outcome, err = p.unit.Turn(p.t.Context())
	}
	if p.out.dead {
		p.out.dead, p.unit = false, nil
		err = errCut
		if p.died != nil {
			p.died()
		}
	}
	if p.react != nil {
		p.react(p)
	}
	return outcome, err
}

// settle takes turns until one goes well and changes nothing. What is due within minutes comes when it is due.
func (p *play) settle() agent.Outcome {
	const turns, soon = 60, 15 * time.Minute
	if look := p.struck; look != nil {
		p.struck = nil
		look(p)
	}
	p.marks = p.marks[:0]
	for range turns {
		if p.marking {
			p.marks = append(p.marks, mark{len(p.out.calls), p.keep()})
		}
		before, tripped, model := p.commits, p.out.tripped(), p.remote()
		outcome, err := p.take(nil)
		switch {
		case err != nil, p.commits > before, tripped != p.out.tripped(), model != p.remote():
		case !outcome.Wake.IsZero() && outcome.Wake.Sub(p.now) <= soon:
			p.now = later(outcome.Wake, p.now.Add(time.Second))
		default:
			return outcome
		}
	}
	require.FailNow(p.t, "it does not come to rest", "%s; %s", p.snap.Status, strings.Join(p.out.calls[max(0, len(p.out.calls)-30):], "; "))
	return agent.Outcome{}
}

// act runs an action as an operator does: who is told that it failed, or nothing, looks, and runs it again unless it is
// done.
func (p *play) act(done func(*play) bool, name string, params ...any) {
	action := &juju.Action{Name: name, Params: map[string]any{}}
	for i := 0; i < len(params); i += 2 {
		action.Params[params[i].(string)] = params[i+1]
	}
	for range 3 {
		outcome, err := p.take(action)
		if done(p) {
			return
		}
		if err == nil && outcome.Result.Failure == "" && p.loses == 0 {
			require.FailNow(p.t, "an action says that it is done and is not", "%s: %v", name, outcome.Result.Results)
		}
		p.settle()
		if done(p) {
			return
		}
	}
	require.FailNow(p.t, "an action cannot be done", name)
}

// remote is what others publish.
func (p *play) remote() string {
	var text strings.Builder
	for _, relation := range p.snap.Relations {
		fmt.Fprint(&text, relation.RemoteApplication, relation.RemoteUnits)
	}
	return text.String()
}

// Snapshot implements agent.Session.
func (p *play) Snapshot(context.Context) (snap juju.Snapshot, err error) {
	err = p.out.call("rpc snapshot", func() error {
		snap = p.snap
		return nil
	})
	return snap, err
}

// Confirm implements agent.Session.
func (p *play) Confirm(ctx context.Context, snap juju.Snapshot, _ juju.Changes) error {
	later, err := p.Snapshot(ctx)
	if err != nil {
		return err
	}
	return juju.Overtaken(snap, later)
}

// Commit implements agent.Session. What is committed can be cut between its parts: secrets, one after the other, then bags
// and state at once, then the status.
func (p *play) Commit(_ context.Context, changes juju.Changes) error {
	p.commits++
	part := func(what string, of juju.Changes) error {
		if of.Empty() || p.commits == p.loses && of.Status == nil {
			return nil
		}
		return p.out.call("rpc commit "+what, func() error {
			p.snap = juju.Apply(p.snap, of)
			return nil
		})
	}
	for _, secret := range changes.Secrets {
		if known, found := p.snap.Secret(secret.Label); found && secret.URI == "" {
			secret.URI = known.URI
		}
		if err := part("secret "+secret.Label, juju.Changes{Secrets: []juju.Secret{secret}}); err != nil {
			return err
		}
	}
	if err := part("bags", juju.Changes{Relations: changes.Relations, State: changes.State}); err != nil {
		return err
	}
	return part("status", juju.Changes{Status: changes.Status})
}

// run plays the machine's programs. A service has taken up its files when it was reloaded.
func (p *play) run(_ context.Context, name string, args ...string) (output string, err error) {
	err = p.out.call("run "+name+" "+args[0], func() error {
		switch {
		case name == "systemctl" && args[0] == "show":
			output = "loaded\n"
		case name == "systemctl":
			p.taken[args[len(args)-1]] = p.installed()
			p.ran = append(p.ran, name)
		default:
			p.taken[name] = p.trustStore()
			p.ran = append(p.ran, name)
		}
		return nil
	})
	return output, err
}

// relation gives a relation by its ID, to be changed.
func (p *play) relation(id int) *juju.Relation {
	p.snap.Relations = slices.Clone(p.snap.Relations)
	for i := range p.snap.Relations {
		if p.snap.Relations[i].ID == id {
			return &p.snap.Relations[i]
		}
	}
	require.FailNow(p.t, "there is no such relation", "%d", id)
	return nil
}
