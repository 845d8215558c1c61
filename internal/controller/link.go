// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/juju/juju/api"
	"github.com/juju/juju/api/agent/secretsmanager"
	"github.com/juju/juju/api/agent/uniter"
	"github.com/juju/juju/api/base"
	"github.com/juju/names/v5"

	"github.com/signet-charm/signet/internal/juju"
)

// link is one logged-in connection: the connection that Conn keeps one of.
type link struct {
	conn       api.Connection
	unit       names.UnitTag
	app        names.ApplicationTag
	endpoints  []juju.Endpoint
	log        *slog.Logger
	version    string // the unit agent's
	modelName  string
	modelUUID  string
	canSecrets bool
	unjoined   chan struct{} // capacity 1: a snapshot met a relation that the unit agent has yet to enter

	turn   sync.Mutex // one snapshot or commit at a time
	memory *memory

	stray chan []string // capacity 1: keys of relations that a snapshot met and the watch does not know

	mu       sync.Mutex
	tracked  map[string]int     // by secret ID: the revision this connection told the controller it reads
	watched  map[string]watched // by relation key: the relations whose units are watched
	unlisted juju.Bag           // keys that the peer databag lacks, see setUnlisted

	leftovers *map[string]string // leader settings, once they were read
}

// open logs in and makes a link of the connection.
func open(ctx context.Context, config Config) (connection, error) {
	conn, who, err := login(ctx, config)
	if err != nil {
		return nil, err
	}
	l, err := newLink(ctx, conn, who, config)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

func newLink(ctx context.Context, conn api.Connection, who identity, config Config) (*link, error) {
	if conn.BestFacadeVersion("Uniter") == 0 {
		version, _ := conn.ServerVersion()
		return nil, fmt.Errorf("cannot talk to controller version %s: it shares no version of the Uniter API with this program; "+
			"hooks alone can serve the unit there", version)
	}
	application, err := names.UnitApplication(who.unit.Id())
	if err != nil {
		return nil, fmt.Errorf("cannot tell the application of %s: %w", who.unit.Id(), err)
	}
	model, err := uniter.NewState(caller{conn, ctx}, who.unit).Model()
	if err != nil {
		return nil, fmt.Errorf("cannot read the model's name: %w", err)
	}
	l := &link{
		conn: conn, unit: who.unit, app: names.NewApplicationTag(application), endpoints: config.Endpoints, log: config.Log,
		version: who.version, modelName: model.Name, modelUUID: model.UUID,
		canSecrets: conn.BestFacadeVersion("SecretsManager") > 0,
		memory:     newMemory(time.Now()),
		unjoined:   make(chan struct{}, 1), stray: make(chan []string, 1), tracked: map[string]int{}, watched: map[string]watched{},
	}
	if l.version == "" {
		version, _ := conn.ServerVersion()
		l.version = version.String()
	}
	return l, nil
}

// client is the controller's API during one snapshot, commit or watch.
type client struct {
	*link
	api     base.APICaller
	uniter  *uniter.State
	secrets *secretsmanager.Client
	self    *uniter.Unit
}

// client binds the API to a context; it makes one call, which finds out whether the unit still exists.
func (l *link) client(ctx context.Context) (*client, error) {
	bound := caller{l.conn, ctx}
	c := &client{link: l, api: bound, uniter: uniter.NewState(bound, l.unit), secrets: secretsmanager.NewClient(bound)}
	var err error
	if c.self, err = c.uniter.Unit(l.unit); err != nil {
		return nil, fmt.Errorf("cannot find unit %s: %w", l.unit.Id(), err)
	}
	return c, nil
}

// call makes a call to a facade in the best version that both sides know. The library's wrappers make most calls one
// thing at a time; this is for those that read many.
func (c *client) call(facade, method string, args, response any) error {
	return c.api.APICall(facade, c.api.BestFacadeVersion(facade), "", method, args, response)
}

// settle proves that all answers so far were understood. An answer that cannot be decoded ends the connection, but the
// library hands out what it made of it without an error; a ping behind it then fails.
func (c *client) settle() error {
	return c.api.APICall("Pinger", c.api.BestFacadeVersion("Pinger"), "", "Ping", nil, nil)
}
