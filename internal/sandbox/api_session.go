// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/juju/errors"
	apiservererrors "github.com/juju/juju/apiserver/errors"
	"github.com/juju/juju/core/network"
	"github.com/juju/juju/rpc"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"
	"github.com/juju/rpcreflect"
)

// session is one connection and, once logged in, the unit behind it with its watchers.
type session struct {
	controller *Controller
	model      *Model
	network    net.Conn
	conn       *rpc.Conn // set before the connection starts

	mu        sync.Mutex
	unit      string
	watchers  map[string]*apiWatcher
	nextWatch int
	killed    bool
	doubled   map[string]reflect.Value // events to be told again, by watcher
	ended     chan struct{}
}

func newSession(c *Controller, network net.Conn) *session {
	return &session{
		controller: c, model: c.model, network: network, watchers: map[string]*apiWatcher{},
		doubled: map[string]reflect.Value{}, ended: make(chan struct{}),
	}
}

// cut breaks the connection below TLS, so that the other side gets no goodbye.
func (s *session) cut() {
	if secured, ok := s.network.(*tls.Conn); ok {
		// Whatever it fails with, the connection is of no more use.
		_ = secured.NetConn().Close()
	}
}

func (s *session) loggedIn() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unit
}

// register keeps a watcher until the client stops it or the connection ends, and gives its ID.
func (s *session) register(w *apiWatcher) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextWatch++
	id := strconv.Itoa(s.nextWatch)
	s.watchers[id] = w
	if s.killed {
		w.stop()
	}
	return id
}

func (s *session) watcher(id string, kind reflect.Type) (*apiWatcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, found := s.watchers[id]
	if !found || w.kind != kind {
		return nil, apiservererrors.ErrUnknownWatcher
	}
	return w, nil
}

func (s *session) unregister(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, found := s.watchers[id]; found {
		w.stop()
		delete(s.watchers, id)
	}
}

// kill unblocks everything that waits on behalf of this connection.
func (s *session) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.killed {
		close(s.ended)
	}
	s.killed = true
	for _, w := range s.watchers {
		w.stop()
	}
}

// transformError gives an error its code on the wire, as the real controller does.
func transformError(err error) error { return apiservererrors.ServerError(err) }

// gate is what a connection serves before its login: nothing else.
type gate struct{ session *session }

func (g *gate) Kill() { g.session.kill() }

func (g *gate) FindMethod(facade string, version int, method string) (rpcreflect.MethodCaller, error) {
	if facade != "Admin" {
		return nil, apiservererrors.ErrNotLoggedIn
	}
	return find(map[string]served{"Admin": {version: 3, object: &adminAPI{session: g.session}}}, facade, version, method)
}

// hall is what a connection serves after its login.
type hall struct {
	session *session
	facades map[string]served
}

// served is a facade in the one version that this controller has of it.
type served struct {
	version int
	object  any
	without []string // methods that the object has and this version has not
}

func (h *hall) Kill() { h.session.kill() }

func (h *hall) FindMethod(facade string, version int, method string) (rpcreflect.MethodCaller, error) {
	found, err := h.find(facade, version, method)
	if err != nil {
		return nil, err
	}
	return h.session.tampered(facade, method, found), nil
}

func (h *hall) find(facade string, version int, method string) (rpcreflect.MethodCaller, error) {
	if kind, isWatcher := watcherKinds()[facade]; isWatcher && version == 1 {
		return watcherMethod(h.session, kind, facade, method)
	}
	return find(h.facades, facade, version, method)
}

// find looks a facade's method up among its exported ones.
func find(facades map[string]served, facade string, version int, method string) (rpcreflect.MethodCaller, error) {
	missing := &rpcreflect.CallNotImplementedError{RootMethod: facade, Version: version, Method: method}
	f, found := facades[facade]
	if !found || f.version != version || slices.Contains(f.without, method) {
		return nil, missing
	}
	object := reflect.ValueOf(f.object)
	m, err := rpcreflect.ObjTypeOf(object.Type()).Method(method)
	if err != nil {
		return nil, missing
	}
	return &caller{
		params: m.Params, result: m.Result,
		call: func(ctx context.Context, _ string, arg reflect.Value) (reflect.Value, error) {
			return m.Call(ctx, object, arg)
		},
	}, nil
}

// caller is one method ready to be called.
type caller struct {
	params, result reflect.Type
	call           func(ctx context.Context, id string, arg reflect.Value) (reflect.Value, error)
}

func (c *caller) ParamsType() reflect.Type { return c.params }
func (c *caller) ResultType() reflect.Type { return c.result }
func (c *caller) Call(ctx context.Context, id string, arg reflect.Value) (reflect.Value, error) {
	return c.call(ctx, id, arg)
}

// adminAPI is the facade Admin 3.
type adminAPI struct{ session *session }

// Login lets a unit in that shows its password. Who is not known and who has the wrong password get the same answer.
func (a *adminAPI) Login(_ context.Context, request params.LoginRequest) (params.LoginResult, error) {
	s, c := a.session, a.session.controller
	c.mu.Lock()
	refuse, redirect, addr := c.faults.refuse, c.faults.redirect, c.addr
	c.mu.Unlock()
	if refuse {
		return params.LoginResult{}, apiservererrors.ErrTryAgain
	}
	if redirect != nil {
		return params.LoginResult{}, redirect.redirection()
	}
	tag, err := names.ParseUnitTag(request.AuthTag)
	if err != nil || !c.authenticate(tag.Id(), request.Credentials) {
		return params.LoginResult{}, apiservererrors.ErrBadCreds
	}
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return params.LoginResult{}, errors.Annotate(err, "cannot tell server address")
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return params.LoginResult{}, errors.Annotate(err, "cannot tell server address")
	}
	s.mu.Lock()
	s.unit = tag.Id()
	s.mu.Unlock()
	root := newHall(s)
	s.conn.ServeRoot(root, nil, transformError)
	return params.LoginResult{
		Servers: [][]params.HostPort{{{
			Address: params.Address{Value: host, Type: "ipv4", Scope: "local-machine"}, Port: port,
		}}},
		ModelTag:      names.NewModelTag(s.model.uuid).String(),
		ControllerTag: names.NewControllerTag(c.uuid).String(),
		Facades:       root.versions(),
		ServerVersion: s.model.version,
	}, nil
}

// redirection is the error of a login whose model is at this controller now.
func (c *Controller) redirection() error {
	addresses, err := network.ParseProviderHostPorts(c.Addr())
	if err != nil {
		return err
	}
	return &apiservererrors.RedirectError{
		Servers: []network.ProviderHostPorts{addresses}, CACert: c.CACert(), ControllerTag: names.NewControllerTag(c.uuid),
	}
}

func newHall(s *session) *hall {
	h := &hall{session: s, facades: map[string]served{
		"Pinger":            {version: 1, object: pingerAPI{}},
		"Uniter":            uniterOf(s, s.controller.facades["Uniter"]),
		"LeadershipService": {version: 2, object: &leadershipAPI{s}},
	}}
	if s.model.HasSecrets() {
		h.facades["SecretsManager"] = secretsManagerOf(s, s.controller.facades["SecretsManager"])
	}
	return h
}

// versions lists what is served, for clients to choose from.
func (h *hall) versions() []params.FacadeVersions {
	var list []params.FacadeVersions
	for _, name := range slices.Sorted(maps.Keys(h.facades)) {
		list = append(list, params.FacadeVersions{Name: name, Versions: []int{h.facades[name].version}})
	}
	for _, name := range slices.Sorted(maps.Keys(watcherKinds())) {
		list = append(list, params.FacadeVersions{Name: name, Versions: []int{1}})
	}
	return list
}

// pingerAPI is the facade Pinger 1: clients ping to see that the connection lives.
type pingerAPI struct{}

// Ping does nothing.
func (pingerAPI) Ping() {}

// leadershipAPI is the facade LeadershipService 2.
type leadershipAPI struct{ *session }

// ClaimLeadership claims or prolongs leadership, for the unit itself and between 5 s and 5 min only.
func (l *leadershipAPI) ClaimLeadership(args params.ClaimLeadershipBulkParams) params.ClaimLeadershipBulkResults {
	results := params.ClaimLeadershipBulkResults{Results: make([]params.ErrorResult, len(args.Params))}
	for i, arg := range args.Params {
		results.Results[i].Error = apiservererrors.ServerError(l.claim(arg))
	}
	return results
}

func (l *leadershipAPI) claim(arg params.ClaimLeadershipParams) error {
	app, err := names.ParseApplicationTag(arg.ApplicationTag)
	if err != nil {
		return apiservererrors.ErrPerm
	}
	unit, err := names.ParseUnitTag(arg.UnitTag)
	if err != nil {
		return apiservererrors.ErrPerm
	}
	duration := time.Duration(arg.DurationSeconds * float64(time.Second))
	if duration < 5*time.Second || duration > 5*time.Minute {
		return errors.New("invalid duration")
	}
	return l.model.ClaimLeadership(l.loggedIn(), app.Id(), unit.Id(), duration)
}

// BlockUntilLeadershipReleased answers when the application's lease is free.
func (l *leadershipAPI) BlockUntilLeadershipReleased(ctx context.Context, app names.ApplicationTag) params.ErrorResult {
	return params.ErrorResult{
		Error: apiservererrors.ServerError(l.model.AwaitLeadershipReleased(ctx, l.loggedIn(), app.Id())),
	}
}
