// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/juju/loggo" //nolint:depguard // what Juju itself logs with, to quiet it
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if description := os.Getenv(agentVariable); description != "" {
		if err := runAgent(context.Background(), description, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "the measured agent:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	loggo.GetLogger("juju").SetLogLevel(loggo.CRITICAL)
	os.Exit(m.Run())
}

// sizes are how much is measured. SIGNET_BENCH names one of three sets, and SIGNET_BENCH_SIZES, JSON of some members,
// changes it.
type sizes struct {
	Requests    []int         // units that exist when one more asks
	Relation    int           // units of a relation
	Repetitions int           // at most, for each of them
	Storm       int           // units
	Many        int           // units of the storm over many relations; 0 for none
	Served      int           // units that an agent serves whose memory is measured
	Issuing     time.Duration // for each kind of CA and of bare signing
	Wave        int           // certificates
	List        int           // revoked certificates
	Replay      int           // entries
	Patience    time.Duration // with each thing that is waited for
}

// sets are by the values of SIGNET_BENCH. The first two take one minute and six on two cores; the last is the whole.
func sets() map[string]sizes {
	return map[string]sizes{
		"quick": {
			Requests: []int{1, 100}, Relation: 100, Repetitions: 5, Storm: 200, Served: 200, Issuing: time.Second,
			Wave: 2000, List: 10_000, Replay: 50_000, Patience: time.Minute,
		},
		"default": {
			Requests: []int{1, 100, 1000, 5000}, Relation: 100, Repetitions: 11, Storm: 1000, Served: 1000, Issuing: 2 * time.Second,
			Wave: 10_000, List: 100_000, Replay: 200_000, Patience: time.Minute,
		},
		"full": {
			Requests: []int{1, 100, 1000, 5000}, Relation: 100, Repetitions: 21, Storm: 1000, Many: 5000, Served: 5000, Issuing: 5 * time.Second,
			Wave: 100_000, List: 100_000, Replay: 1_000_000, Patience: 15 * time.Minute,
		},
	}
}

// run is one run of all measurements.
type run struct {
	*results
	sizes

	t        *testing.T
	programs programs
	profile  string // folder for profiles of the storms; empty for none
}

// TestBench measures all, one after the other, and is skipped without SIGNET_BENCH. SIGNET_BENCH_ONLY names items or
// rows by their beginnings ("4", "storm"), and SIGNET_BENCH_PROFILE a folder for profiles of the agent during the storms.
// What is not met fails nothing: the table says it.
func TestBench(t *testing.T) {
	mode := os.Getenv("SIGNET_BENCH")
	if mode == "" {
		t.Skip("measures, for minutes: set SIGNET_BENCH to quick, default or full (make bench)")
	}
	chosen, known := sets()[mode]
	require.True(t, known, "SIGNET_BENCH=%s is none of quick, default and full", mode)
	if text := os.Getenv("SIGNET_BENCH_SIZES"); text != "" {
		require.NoError(t, json.Unmarshal([]byte(text), &chosen))
		mode += " with " + text
	}
	r := &run{
		results: &results{Began: time.Now().UTC(), Mode: mode, Machine: thisMachine(t.Context())},
		sizes:   chosen, t: t, profile: os.Getenv("SIGNET_BENCH_PROFILE"),
	}
	r.programs = r.build()
	for _, part := range []struct {
		name    string
		measure func(*testing.T)
	}{
		{"1 hooks", r.coldStart},
		{"2 requests", r.newRequests},
		{"3 issuing", r.issuing},
		{"4 storms", r.storms},
		{"5 memory", r.memory},
		{"6 many", r.many},
	} {
		if !onlyOf(os.Getenv("SIGNET_BENCH_ONLY"), part.name) {
			continue
		}
		began := time.Now()
		t.Run(part.name, part.measure)
		t.Logf("%s took %s", part.name, time.Since(began).Round(time.Millisecond))
	}
	r.Seconds = time.Since(r.Began).Seconds()
	r.judge()
	require.NoError(t, r.print(os.Stdout))
	text, err := r.encode()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll("../../bench", 0o755))
	require.NoError(t, os.WriteFile("../../bench/results.json", text, 0o644))
}

// within bounds one thing that is waited for.
func (r *run) within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), r.Patience)
	t.Cleanup(cancel)
	return ctx
}

// newRequests has one more unit ask where many are served, again and again.
func (r *run) newRequests(t *testing.T) {
	var settled time.Duration // how long it took until the units before were served
	before := 0
	for _, size := range r.Requests {
		if before > 0 && settled*time.Duration(size/before) > r.Patience {
			t.Logf("%d units would be served after more than %s: not measured", size, r.Patience)
			continue
		}
		t.Run(fmt.Sprint(size), func(t *testing.T) { settled = r.newRequest(t, size) })
		before = size
	}
	first, last := r.figures[requestPrefix+"1"], slices.Max(r.Requests)
	for ; last > 1 && r.figures[fmt.Sprint(requestPrefix, last)] == nil; last-- {
	}
	if first != nil && last > 1 {
		r.put(requestGrowth, figure{Value: r.figures[fmt.Sprint(requestPrefix, last)].Value / first.Value, Size: last})
	}
}

// newRequest gives how long it took until what was there before was served.
func (r *run) newRequest(t *testing.T, size int) time.Duration {
	s := newScene(t)
	var served []*crowd // besides, where there are more than one relation is for
	for n := range (size - 1) / r.Relation {
		other := s.legacyCrowd(fmt.Sprintf("kubernetes-worker-a%d", n), r.Relation)
		other.ask(0, r.Relation)
		served = append(served, other)
	}
	have := size - len(served)*r.Relation
	c := s.legacyCrowd("kubernetes-worker", have+r.Repetitions)
	c.ask(0, have)
	began := time.Now()
	signet := s.place().start(t)
	for limit, all := r.within(t), append(served, c); len(all) > 0; all = all[1:] {
		wanted := len(all[0].units)
		if all[0] == c {
			wanted = have
		}
		if err := all[0].await(limit, wanted); err != nil {
			t.Logf("not measured: %v", err)
			return r.Patience
		}
	}
	signet.rest()
	settled := time.Since(began)
	t.Logf("%d units are served after %s", size, settled.Round(time.Millisecond))
	costs := map[string][]float64{}
	ends := time.Now().Add(r.Patience / 4)
	for n := range r.Repetitions {
		if n >= 3 && time.Now().After(ends) {
			break
		}
		signet.rest()
		before, calls, begin := signet.tell("read"), s.calls(), time.Now()
		c.ask(have+n, have+n+1)
		output, err := r.programs.hook(t, s.place(), "certificates-relation-changed").CombinedOutput()
		require.NoError(t, err, "%s", output)
		if c.answered() < have+n+1 { // its turn had begun before
			require.NoError(t, c.await(r.within(t), have+n+1))
		}
		took := time.Since(begin)
		cost := signet.tell("read").since(before)
		for what, value := range map[string]float64{
			"ms": milliseconds(took), "calls": float64(s.callsSince(calls)), "turns": float64(cost.Turns),
			"allocations": float64(cost.Mallocs), "allocated_bytes": float64(cost.Allocated),
			"sent_bytes": float64(cost.Sent), "received_bytes": float64(cost.Received),
			"disk_bytes": float64(cost.Written), "disk_syncs": float64(cost.Syncs), "cpu_ms": milliseconds(cost.CPU),
		} {
			costs[what] = append(costs[what], value)
		}
	}
	medians := map[string]float64{"repetitions": float64(len(costs["ms"]))}
	for what, values := range costs {
		medians[what] = median(values)
	}
	r.put(fmt.Sprint(requestPrefix, size), figure{
		Value: medians["ms"], Size: size, Details: medians,
		Note: fmt.Sprintf("CPU %s ms, %s calls, %s allocations, sent %s kB, disk %s kB in %s syncs, %s turns",
			shown(medians["cpu_ms"], ""), shown(medians["calls"], ""),
			shown(medians["allocations"], ""), shown(medians["sent_bytes"]/1000, ""), shown(medians["disk_bytes"]/1000, ""),
			shown(medians["disk_syncs"], ""), shown(medians["turns"], "")),
	})
	return settled
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
