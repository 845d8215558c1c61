// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/controller"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/unit"
)

// These tests hold how what a turn does grows with what exists. They count, and time nothing, so that they say the same on
// every machine and under every load. A bound that a change makes too generous is to be tightened with it.

// witness is a unit of signet whose turns the test takes itself, one after the other.
type witness struct {
	*scene

	meter meter
	unit  *agent.Unit
}

// witnessOf connects after the crowd is there, so that its watchers have nothing to follow.
func witnessOf(t *testing.T, gather func(*scene) *crowd) (*witness, *crowd) {
	t.Helper()
	w := &witness{scene: newScene(t)}
	c := gather(w.scene)
	at, log := w.place(), slog.New(slog.DiscardHandler)
	require.NoError(t, os.MkdirAll(at.Dir, 0o700))
	conn := controller.Start(at.config(&w.meter, log))
	t.Cleanup(conn.Close)
	select {
	case <-conn.Watch(): // all watchers stand, and make no more calls of their own
	case <-time.After(time.Minute):
		require.FailNow(t, "no connection", "%v", conn.Err())
	}
	var err error
	w.unit, err = at.unit(conn, &w.meter, log)
	require.NoError(t, err)
	return w, c
}

// cost is what one turn did outside of the process.
type cost struct {
	calls          map[string]int64 // by method
	syncs          int64
	sent, received int64 // bytes
	rewrites       int64
}

func (w *witness) turn(c *crowd) cost {
	w.t.Helper()
	before := cost{w.calls(), w.meter.syncs.Load(), w.meter.sent.Load(), w.meter.received.Load(), c.rewrites()}
	_, err := w.unit.Turn(context.Background())
	require.NoError(w.t, err)
	made := w.calls()
	delete(made, "Uniter.ApplicationStatus") // who leads is asked by a watcher as well, whenever it likes
	maps.DeleteFunc(made, func(method string, count int64) bool { return count == before.calls[method] })
	for method := range made {
		made[method] -= before.calls[method]
	}
	return cost{
		made, w.meter.syncs.Load() - before.syncs, w.meter.sent.Load() - before.sent, w.meter.received.Load() - before.received,
		c.rewrites() - before.rewrites,
	}
}

// total is the number of all calls.
func (c cost) total() (total int64) {
	for _, count := range c.calls {
		total += count
	}
	return total
}

// rest takes turns until none changes anything.
func (w *witness) rest(c *crowd) {
	w.t.Helper()
	for commits := int64(-1); commits != w.meter.commits.Load(); {
		commits = w.meter.commits.Load()
		w.turn(c)
	}
}

// dialects gather a crowd in each.
func dialects() map[string]func(*scene, int) *crowd {
	return map[string]func(*scene, int) *crowd{
		"legacy":   func(s *scene, units int) *crowd { return s.legacyCrowd("kubernetes-worker", units) },
		"requests": func(s *scene, units int) *crowd { return s.requestCrowd("web", units) },
	}
}

// One request costs as many calls, writes and waits for the disk however many units are served already, and as many bytes,
// but for the version of each unit's databag, which is told anew. Where a dialect has all answers in one value of a databag,
// that is read before it is written, and written.
func TestARequestCostsTheSameHoweverManyAreServed(t *testing.T) {
	t.Parallel()
	for name, gather := range dialects() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const few, many = 10, 300
			costs := map[int]map[string]cost{}
			for _, size := range []int{few, many} {
				w, c := witnessOf(t, func(s *scene) *crowd { return gather(s, size+1) })
				c.ask(0, size)
				w.rest(c)
				require.Equal(t, size, c.answered())
				costs[size] = map[string]cost{"nothing to do": w.turn(c)}
				c.ask(size, size+1)
				costs[size]["one request"] = w.turn(c)
				require.Equal(t, size+1, c.answered())
				costs[size]["the turn after it"] = w.turn(c)
			}
			for what := range costs[few] {
				small, large := costs[few][what], costs[many][what]
				require.Equal(t, small.calls, large.calls, what)
				require.Equal(t, small.syncs, large.syncs, what)
				require.Equal(t, small.rewrites, large.rewrites, what)
				t.Logf("%s: %d calls, %d and %d bytes sent, %d and %d received, with %d and %d units",
					what, large.total(), small.sent, large.sent, small.received, large.received, few, many)
				sent, received := int64(0), int64(len(`"kubernetes-worker/100":{"version":10},`)) // for each unit more
				if name == "requests" && what == "one request" {
					sent, received = 4000, received+4000
				}
				const slack = 2000 // the wire's own, and what is of another length
				require.LessOrEqual(t, large.sent-small.sent, (many-few)*sent+slack, what)
				require.LessOrEqual(t, large.received-small.received, (many-few)*received+slack, what)
			}
			require.Zero(t, costs[many]["nothing to do"].syncs, "nothing to do is nothing to record")
			require.Zero(t, costs[many]["nothing to do"].rewrites)
			require.EqualValues(t, 1, costs[many]["one request"].rewrites)
		})
	}
}

// Each relation more costs a turn a fixed number of calls.
func TestARelationCostsAFixedNumberOfCalls(t *testing.T) {
	t.Parallel()
	calls := map[int]int64{}
	for _, relations := range []int{1, 3, 9} {
		w, c := witnessOf(t, func(s *scene) *crowd {
			var first *crowd
			for n := range relations {
				c := s.legacyCrowd(fmt.Sprintf("kubernetes-worker-a%d", n), 1)
				c.ask(0, 1)
				if first == nil {
					first = c
				}
			}
			return first
		})
		w.rest(c)
		calls[relations] = w.turn(c).total()
	}
	t.Logf("calls of a turn with nothing to do, by relations: %v", calls)
	const each = 1 // the end of the watcher that told who is in scope
	require.EqualValues(t, each*2, calls[3]-calls[1])
	require.EqualValues(t, each*6, calls[9]-calls[3])
}

// Whoever asks at once is answered at once: however many there are, each databag is written once, and the disk is waited for
// as often as for a few.
func TestACrowdIsAnsweredInOneWrite(t *testing.T) {
	t.Parallel()
	for name, gather := range dialects() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			costs := map[int]cost{}
			for _, size := range []int{10, 100} {
				w, c := witnessOf(t, func(s *scene) *crowd { return gather(s, size) })
				w.rest(c) // there is a CA
				c.ask(0, size)
				costs[size] = w.turn(c)
				require.Equal(t, size, c.answered())
				require.EqualValues(t, 1, costs[size].rewrites)
				w.rest(c)
			}
			t.Logf("waits for the disk, by units: %d for 10, %d for 100", costs[10].syncs, costs[100].syncs)
			require.Equal(t, costs[10].calls, costs[100].calls)
			require.Equal(t, costs[10].syncs, costs[100].syncs)
			most := int64(3) // for what was ordered, the serial numbers and the certificates
			if name == "legacy" {
				most += 2 // for the keys, and their folder
			}
			require.LessOrEqual(t, costs[100].syncs, most)
		})
	}
}

// Decisions take time in proportion to what there is, in each state of a relation, and read no more for each unit than they
// do today. Not parallel: what others allocate would be counted.
func TestDecisionsGrowInProportion(t *testing.T) {
	if raceDetector {
		t.Skip("counts allocations, of which the race detector has its own; nothing here runs beside anything else")
	}
	for name, relate := range map[string]func(*testing.T, int) juju.Relation{
		"legacy":   func(_ *testing.T, units int) juju.Relation { return legacyRelation(7, units) },
		"requests": func(t *testing.T, units int) juju.Relation { return requestRelation(t, 7, units) },
	} {
		few, many := decisions(t, relate(t, 20), allocated), decisions(t, relate(t, 80), allocated)
		fewRead, manyRead := decisions(t, relate(t, 4), read), decisions(t, relate(t, 12), read)
		for state, limit := range map[string]map[string]work{
			"legacy": {
				"nobody answered":              {Allocations: 300},
				"all answered":                 {Allocations: 460, Certificates: 2, Blocks: 8},
				"all due":                      {Allocations: 460, Certificates: 2, Blocks: 8},
				"all answered, and remembered": {Allocations: 3},
				"all due, and remembered":      {Allocations: 25},
			},
			"requests": {
				"nobody answered":              {Allocations: 540, Requests: 2, Blocks: 4},
				"all answered":                 {Allocations: 760, Certificates: 2, Requests: 2, Blocks: 8},
				"all due":                      {Allocations: 760, Certificates: 2, Requests: 2, Blocks: 8},
				"all answered, and remembered": {Allocations: 0.5},
				"all due, and remembered":      {Allocations: 0.5},
			},
		}[name] {
			each, eachRead := many[state].each(few[state], 80-20), manyRead[state].each(fewRead[state], 12-4)
			each.Certificates, each.Requests, each.Blocks = eachRead.Certificates, eachRead.Requests, eachRead.Blocks
			t.Logf("%s, %s: for each unit more %+v", name, state, each)
			require.LessOrEqual(t, each.Allocations, limit.Allocations, "%s, %s: allocations", name, state)
			require.LessOrEqual(t, each.Certificates, limit.Certificates, "%s, %s: certificates read", name, state)
			require.LessOrEqual(t, each.Requests, limit.Requests, "%s, %s: requests read", name, state)
			require.LessOrEqual(t, each.Blocks, limit.Blocks, "%s, %s: PEM blocks read", name, state)
			const tolerance = 1.1
			require.LessOrEqual(t, many[state].Bytes, tolerance*80/20*few[state].Bytes, "%s, %s: bytes", name, state)
		}
	}
}

// work is what one decision does inside of the process.
type work struct{ Allocations, Bytes, Certificates, Requests, Blocks float64 }

// each is what one unit more costs, where so many more cost this.
func (w work) each(few work, units float64) work {
	return work{
		(w.Allocations - few.Allocations) / units, (w.Bytes - few.Bytes) / units, (w.Certificates - few.Certificates) / units,
		(w.Requests - few.Requests) / units, (w.Blocks - few.Blocks) / units,
	}
}

// decisions measures the decision on a relation in each of its states.
func decisions(t *testing.T, relation juju.Relation, measured func(func()) work) map[string]work {
	t.Helper()
	w := newWorld(t)
	w.turns(noon) // there is a CA
	w.relate(relation)
	later := noon.Add(70 * 24 * time.Hour)
	found := map[string]work{"nobody answered": measured(func() { unit.Decide(noon, w.snap, nil) })}
	w.turns(noon)
	found["all answered"] = measured(func() { unit.Decide(noon, w.snap, nil) })
	found["all due"] = measured(func() { unit.Decide(later, w.snap, nil) })
	w.memory.Decide(noon, w.snap, nil)
	found["all answered, and remembered"] = measured(func() { w.memory.Decide(noon, w.snap, nil) })
	w.memory.Decide(later, w.snap, nil)
	found["all due, and remembered"] = measured(func() { w.memory.Decide(later, w.snap, nil) })
	return found
}

// allocated counts what something allocates.
func allocated(do func()) work {
	found := work{Allocations: testing.AllocsPerRun(1, do)} // which first does it once, for what is made once
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	found.Bytes = float64(after.TotalAlloc - before.TotalAlloc)
	return found
}

// read counts what something reads. The profile of memory, when it leaves nothing out, which takes ten times as long, knows
// each certificate that was read: reading one makes one x509.Certificate, in one place.
func read(do func()) work {
	do() // what is made once is made
	rate := runtime.MemProfileRate
	defer func() { runtime.MemProfileRate = rate }()
	runtime.MemProfileRate = 1
	earlier := objects()
	do()
	later := objects()
	count := func(function string) float64 { return later[function] - earlier[function] }
	return work{
		Certificates: count("crypto/x509.parseCertificate"), Requests: count("crypto/x509.parseCertificateRequest"),
		Blocks: count("encoding/pem.Decode"),
	}
}

// objects counts what was made so far, by the functions that make the things of interest.
func objects() map[string]float64 {
	sizes := map[string]uintptr{
		"crypto/x509.parseCertificate":        unsafe.Sizeof(x509.Certificate{}),
		"crypto/x509.parseCertificateRequest": unsafe.Sizeof(x509.CertificateRequest{}),
		"encoding/pem.Decode":                 unsafe.Sizeof(pem.Block{}),
	}
	for range 3 { // the profile is of the collection before the last one
		runtime.GC()
	}
	var records []runtime.MemProfileRecord
	for n, complete := runtime.MemProfile(nil, true); !complete; {
		records = make([]runtime.MemProfileRecord, n+100)
		if n, complete = runtime.MemProfile(records, true); complete {
			records = records[:n]
		}
	}
	count := map[string]float64{}
	for _, record := range records {
		if record.AllocObjects == 0 {
			continue
		}
		frames := runtime.CallersFrames(record.Stack())
		for {
			frame, more := frames.Next()
			if !strings.HasPrefix(frame.Function, "runtime.") {
				if size, wanted := sizes[frame.Function]; wanted && uintptr(record.AllocBytes/record.AllocObjects) >= size {
					count[frame.Function] += float64(record.AllocObjects)
				}
				break
			}
			if !more {
				break
			}
		}
	}
	return count
}
