// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/juju/loggo" //nolint:depguard // what Juju itself logs with, to quiet it
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

func TestMain(m *testing.M) {
	// Connections are cut on purpose here; Juju's own complaints about it would hide what matters.
	loggo.GetLogger("juju").SetLogLevel(loggo.CRITICAL)
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must come; it is never waited for in vain where all is well.
const patience = 20 * time.Second

var signetEndpoints = []juju.Endpoint{
	{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides},
	{Name: "upstream", Interface: "tls-certificates", Role: juju.Requires},
	{Name: "peers", Interface: "signet-peers", Role: juju.Peers},
}

// scene is a model with two units of signet, of which signet/0 leads, and one of web, which requires certificates.
type scene struct {
	t     *testing.T
	juju  *sandbox.Controller
	model *sandbox.Model
}

func newScene(t *testing.T, options sandbox.Options) *scene {
	t.Helper()
	options.Dir = t.TempDir()
	controller, err := sandbox.Start(options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, controller.Close()) })
	s := &scene{t: t, juju: controller, model: controller.Model()}
	require.NoError(t, s.model.Deploy("signet", sandbox.CharmMeta{
		Endpoints: signetEndpoints,
		Config:    map[string]any{"mode": "ca", "days": 365, "ratio": 0.5, "strict": false, "notes": nil},
		Types:     map[string]string{"notes": "string"},
	}))
	require.NoError(t, s.model.Deploy("web", sandbox.CharmMeta{Endpoints: []juju.Endpoint{
		{Name: "tls", Interface: "tls-certificates", Role: juju.Requires},
	}}))
	for _, app := range []string{"signet", "signet", "web"} {
		_, err := s.model.AddUnit(app)
		require.NoError(t, err)
	}
	return s
}

func (s *scene) config(unit string) Config {
	return Config{
		AgentConf: s.juju.AgentConf(unit), Unit: unit, Endpoints: signetEndpoints,
		Random: func(n int64) int64 { return min(n-1, int64(10*time.Millisecond)) },
	}
}

// dial connects as a unit.
func (s *scene) dial(unit string) *Conn {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	conn, err := dial(ctx, s.config(unit))
	require.NoError(s.t, err)
	s.t.Cleanup(conn.Close)
	return conn
}

func (s *scene) integrate() int {
	s.t.Helper()
	id, err := s.model.Integrate("signet:certificates", "web:tls")
	require.NoError(s.t, err)
	return id
}

func (s *scene) snapshot(conn *Conn) juju.Snapshot {
	s.t.Helper()
	snap, err := conn.Snapshot(s.t.Context())
	require.NoError(s.t, err)
	return snap
}

// relation is the only one on the certificates endpoint.
func (s *scene) relation(conn *Conn) juju.Relation {
	s.t.Helper()
	relations := s.snapshot(conn).On(juju.Provides, "tls-certificates")
	require.Len(s.t, relations, 1)
	return relations[0]
}

// writeAs writes databags as another unit's charm does.
func (s *scene) writeAs(unit string, id int, bag, app map[string]string) {
	s.t.Helper()
	require.NoError(s.t, s.model.Commit(unit, sandbox.Commit{Relations: []sandbox.BagChange{{RelationID: id, Unit: bag, App: app}}}))
}

// told looks after each notice, and only then, until what it sees is as wanted.
func (s *scene) told(conn *Conn, wanted func(juju.Snapshot) bool) juju.Snapshot {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case <-conn.Watch():
		case <-deadline:
			s.t.Fatal("no notice came after which the snapshot was as wanted")
		}
		snap, err := conn.Snapshot(s.t.Context())
		if err != nil {
			require.ErrorIs(s.t, err, juju.ErrUnreachable)
			continue
		}
		if wanted(snap) {
			return snap
		}
	}
}

// quiet takes the notice of the connect, so that the next one is of a change.
func (s *scene) quiet(conn *Conn) {
	s.t.Helper()
	s.told(conn, func(juju.Snapshot) bool { return true })
}

// eventually waits for a condition that gives no notice.
func (s *scene) eventually(condition func() bool) {
	s.t.Helper()
	require.Eventually(s.t, condition, patience, 5*time.Millisecond)
}

// dial starts a Conn and waits for its first attempt, which the context bounds. The error of a failed attempt names the
// next step, and is a juju.ErrUnreachable when nothing but waiting is needed.
func dial(ctx context.Context, config Config) (*Conn, error) {
	c := Start(config)
	select {
	case <-c.tried:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		c.Close()
		return nil, fmt.Errorf("cannot connect to the controller: %w", context.Cause(ctx))
	}
	if _, err := c.connection(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
