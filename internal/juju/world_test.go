// SPDX-License-Identifier: AGPL-3.0-only

package juju_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signet-charm/signet/internal/juju"
)

func TestDiffIsMinimal(t *testing.T) {
	t.Parallel()
	snap := juju.Snapshot{
		Relations: []juju.Relation{{
			ID: 3, Endpoint: juju.Endpoint{Name: "certificates"},
			OwnUnit: juju.Bag{"ca": "A", "old": "x", "egress-subnets": "10.0.0.0/8"},
		}},
		Secrets: []juju.Secret{{URI: "secret:1", Label: "ca-1", Content: map[string]string{"key": "k"}}},
		State:   map[string]string{"a": "1"},
		Status:  juju.Status{Level: juju.Active, Message: "ready"},
	}
	cases := map[string]struct {
		world juju.World
		want  juju.Changes
	}{
		"a world that says nothing changes nothing": {},
		"a world equal to the snapshot changes nothing": {
			world: juju.World{
				Bags:    map[int]juju.OwnBags{3: {Unit: snap.Relations[0].OwnUnit}},
				Secrets: snap.Secrets, State: snap.State, Status: snap.Status,
			},
		},
		"keys are written, removed and left": {
			world: juju.World{Bags: map[int]juju.OwnBags{3: {Unit: juju.Bag{"ca": "B", "egress-subnets": "10.0.0.0/8", "new": "y"}}}},
			want: juju.Changes{Relations: []juju.RelationChange{{
				ID: 3, Key: "certificates:3", Unit: juju.Bag{"ca": "B", "old": "", "new": "y"},
			}}},
		},
		"a relation that Juju does not show is passed over": {
			world: juju.World{Bags: map[int]juju.OwnBags{9: {Unit: juju.Bag{"ca": "B"}}}},
		},
		"a known secret keeps its URI": {
			world: juju.World{Secrets: []juju.Secret{{Label: "ca-1", Content: map[string]string{"key": "other"}}}},
			want: juju.Changes{Secrets: []juju.Secret{
				{URI: "secret:1", Label: "ca-1", Content: map[string]string{"key": "other"}},
			}},
		},
		"state that is not mentioned stays": {
			world: juju.World{State: map[string]string{"b": "2"}},
			want:  juju.Changes{State: map[string]string{"b": "2"}},
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, juju.Diff(snap, test.world))
		})
	}
}

// What Diff gives, once applied, leaves nothing to change.
func TestDiffComesToRest(t *testing.T) {
	t.Parallel()
	texts := rapid.SampledFrom([]string{"a", "b", "c"})
	bags := rapid.MapOf(texts, texts)
	rapid.Check(t, func(t *rapid.T) {
		snap := juju.Snapshot{
			Relations: []juju.Relation{{ID: 1, OwnUnit: bags.Draw(t, "unit"), OwnApp: bags.Draw(t, "app")}},
			State:     bags.Draw(t, "state"),
			Secrets:   []juju.Secret{{URI: "secret:x", Label: "x", Content: bags.Draw(t, "content")}},
		}
		world := juju.World{
			Bags:    map[int]juju.OwnBags{1: {Unit: bags.Draw(t, "want unit"), App: bags.Draw(t, "want app")}},
			State:   bags.Draw(t, "want state"),
			Secrets: []juju.Secret{{Label: texts.Draw(t, "label"), Content: bags.Draw(t, "want content")}},
			Status:  juju.Status{Level: juju.Waiting, Message: texts.Draw(t, "message")},
		}
		next := juju.Apply(snap, juju.Diff(snap, world))
		rest := juju.Diff(next, world)
		if !rest.Empty() {
			t.Fatalf("still to change: %+v", rest)
		}
	})
}

func TestConfigRefusesOneOptionAtATime(t *testing.T) {
	t.Parallel()
	config := &juju.Config{Values: map[string]any{
		"choice": "z", "flag": "yes", "span": "12x", "words": " a  b ", "long": "101w", "far": "999999999w",
	}}
	require.Equal(t, "a", config.Choice("choice", "a", "b"))
	require.True(t, config.Flag("flag", true))
	require.Zero(t, config.Span("span", 0))
	require.Equal(t, []string{"a", "b"}, config.Words("words"))
	require.Equal(t, 101*7*24*time.Hour, config.Span("long", 0))
	require.Zero(t, config.Span("far", 0))
	require.Len(t, config.Errors, 4)
	require.EqualError(t, config.Errors[0], `config choice: "z" is none of a, b`)
}
