// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/juju/juju/rpc/params"
	"golang.org/x/sync/errgroup"

	"github.com/signet-charm/signet/internal/juju"
)

// snapshotTries is how often a snapshot starts over because what it reads changes under its hands.
const snapshotTries = 4

// Snapshot reads what changed, in bulk. It is not one transaction: when a relation goes away, or leadership does, between
// two of its reads, it starts over instead of showing half of a change.
func (l *link) Snapshot(ctx context.Context) (juju.Snapshot, error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	var err error
	for range snapshotTries {
		var snap juju.Snapshot
		l.memory.begin(time.Now())
		if snap, err = l.read(ctx); err == nil {
			return snap, nil
		}
		if !gone(err) {
			l.memory.forget() // it may hold what could not be decoded
			break
		}
		l.log.Debug("the model changed during a snapshot", "cause", err)
	}
	return juju.Snapshot{}, fmt.Errorf("cannot read the unit's snapshot: %w", err)
}

func (l *link) read(ctx context.Context) (juju.Snapshot, error) {
	c, err := l.client(ctx)
	if err != nil {
		return juju.Snapshot{}, err
	}
	snap := juju.Snapshot{
		Unit: l.unit.Id(), ModelName: l.modelName, ModelUUID: l.modelUUID, JujuVersion: l.version, CanSecrets: l.canSecrets,
		Endpoints: l.endpoints,
	}
	var reads errgroup.Group // of what does not depend on each other
	reads.Go(func() error { return c.readShared(&snap) })
	for _, read := range []func(*juju.Snapshot) error{c.readConfig, c.readAddresses, c.readState, c.readStatus} {
		reads.Go(func() error { return read(&snap) })
	}
	if err := reads.Wait(); err != nil {
		return juju.Snapshot{}, err
	}
	if err := snap.Give(c.readGiven); err != nil {
		return juju.Snapshot{}, err
	}
	if snap.Leader {
		if snap.Leftovers, err = c.readLeftovers(); err != nil {
			return juju.Snapshot{}, err
		}
	}
	return snap, c.settle()
}

// leader asks whether the unit leads its application now. It does not claim leadership, as the unit agent's tracker
// does: a claim would take a free lease for a unit whose own agent may be dead, keep others from taking over while
// signet lives, and, since a claim sets the lease's end rather than extending it, cut short what the tracker holds. The
// status of an application is readable by its leader only, which makes reading it the question (Uniter.ApplicationStatus).
func (c *client) leader() (bool, error) {
	var results params.ApplicationStatusResults
	args := params.Entities{Entities: []params.Entity{{Tag: c.unit.String()}}}
	err := c.call("Uniter", "ApplicationStatus", args, &results)
	if err == nil {
		err = expect(1, len(results.Results), "statuses")
	}
	if err == nil {
		err = resultError(results.Results[0].Error)
	}
	switch {
	case err == nil:
		return true, nil
	case notLeader(err), code(err) == params.CodeUnauthorized:
		return false, nil
	}
	return false, fmt.Errorf("cannot tell whether %s is the leader: %w", c.unit.Id(), err)
}

// readShared reads what other units write into as well: leadership, relations and secrets.
func (c *client) readShared(snap *juju.Snapshot) (err error) {
	var found []joined
	if snap.Leader, found, err = c.readWho(); err != nil {
		return err
	}
	if snap.Remembered, err = c.readBags(found, snap.Leader); err != nil {
		return err
	}
	snap.Relations = make([]juju.Relation, len(found))
	for i, j := range found {
		snap.Relations[i] = j.relation
	}
	snap.Secrets, err = c.readSecrets(snap.Leader, c.memory.published())
	return err
}

// readWho reads whether this unit leads, and which relations it takes part in.
func (c *client) readWho() (leader bool, found []joined, err error) {
	var reads errgroup.Group
	reads.Go(func() (err error) {
		leader, err = c.leader()
		return err
	})
	unjoined := false
	reads.Go(func() (err error) {
		found, unjoined, err = c.joined()
		return err
	})
	if err := reads.Wait(); err != nil {
		return false, nil, err
	}
	if unjoined {
		select {
		case c.unjoined <- struct{}{}:
		default:
		}
	}
	c.missed(found)
	return leader, found, nil
}

// readLeftovers reads the application's leader settings, once: this charm writes none, so that what stands there is
// another's. Juju 4 has none.
func (c *client) readLeftovers() (map[string]string, error) {
	c.mu.Lock()
	known := c.leftovers
	c.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	var results params.GetLeadershipSettingsBulkResults
	args := params.Entities{Entities: []params.Entity{{Tag: c.app.String()}}}
	err := c.call("Uniter", "Read", args, &results)
	if err == nil {
		err = expect(1, len(results.Results), "leader settings")
	}
	if err == nil {
		err = resultError(results.Results[0].Error)
	}
	var found map[string]string
	switch {
	case err == nil && len(results.Results[0].Settings) > 0:
		found = results.Results[0].Settings
	case err != nil && code(err) != params.CodeNotImplemented:
		return nil, fmt.Errorf("cannot read the leader settings: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leftovers = &found
	return found, nil
}

func (c *client) readConfig(snap *juju.Snapshot) error {
	settings, err := c.self.ConfigSettings()
	if err != nil {
		return fmt.Errorf("cannot read the config: %w", err)
	}
	snap.Config = configFrom(settings)
	return nil
}

func (c *client) readState(snap *juju.Snapshot) error {
	state, err := c.self.State()
	if err != nil {
		return fmt.Errorf("cannot read the unit's state: %w", err)
	}
	snap.State = map[string]string{}
	maps.Copy(snap.State, state.CharmState)
	return nil
}

func (c *client) readStatus(snap *juju.Snapshot) error {
	status, err := c.self.UnitStatus()
	if err != nil {
		return fmt.Errorf("cannot read the unit's status: %w", err)
	}
	snap.Status = juju.Status{Level: juju.Level(status.Status), Message: status.Info}
	return nil
}

// readAddresses reads the addresses of all endpoints in one call. An endpoint without a network, as before the machine
// has an address, is left out: it must not hide the others.
func (c *client) readAddresses(snap *juju.Snapshot) error {
	snap.Addresses = map[string]juju.Addresses{}
	if len(c.endpoints) == 0 {
		return nil
	}
	var names []string
	for _, endpoint := range c.endpoints {
		names = append(names, endpoint.Name)
	}
	results, err := c.self.NetworkInfo(names, nil)
	if err != nil {
		return fmt.Errorf("cannot read the unit's addresses: %w", err)
	}
	for name, result := range results {
		if err := resultError(result.Error); err != nil {
			c.log.Debug("an endpoint has no addresses", "endpoint", name, "cause", err)
			continue
		}
		snap.Addresses[name] = addressesFrom(result)
	}
	return nil
}

func addressesFrom(result params.NetworkInfoResult) juju.Addresses {
	addresses := juju.Addresses{Ingress: result.IngressAddresses, Egress: result.EgressSubnets}
	for _, network := range result.Info {
		for _, address := range network.Addresses {
			addresses.Bind = append(addresses.Bind, address.Address)
		}
	}
	return addresses
}

// configFrom gives the options that are set. JSON has one kind of number, so a whole one comes as int64 whatever the
// option's type is.
func configFrom(settings map[string]any) map[string]any {
	config := map[string]any{}
	for option, value := range settings {
		switch value := value.(type) {
		case nil:
		case float64:
			if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
				config[option] = int64(value)
			} else {
				config[option] = value
			}
		default:
			config[option] = value
		}
	}
	return config
}
