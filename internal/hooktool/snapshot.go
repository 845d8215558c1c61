// SPDX-License-Identifier: AGPL-3.0-only

package hooktool

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-charm/signet/internal/juju"
)

// Snapshot reads everything this unit may see, through the eyes of the running hook: what the hook has set already is
// in it.
func (s *Session) Snapshot(ctx context.Context) (juju.Snapshot, error) {
	snap := juju.Snapshot{
		Unit: s.env.Unit, ModelName: s.env.ModelName, ModelUUID: s.env.ModelUUID, JujuVersion: s.env.JujuVersion,
		Endpoints: s.env.Endpoints,
	}
	if err := s.read(ctx, &snap.Leader, "is-leader"); err != nil {
		return juju.Snapshot{}, err
	}
	for _, part := range []func(context.Context, *juju.Snapshot) error{
		s.readConfig, s.readRelations, s.readAddresses, s.readState, s.readStatus, s.readSecrets, s.readGiven, s.readLeftovers,
	} {
		if err := part(ctx, &snap); err != nil {
			return juju.Snapshot{}, err
		}
	}
	return snap, nil
}

// Confirm looks again.
func (s *Session) Confirm(ctx context.Context, snap juju.Snapshot, _ juju.Changes) error {
	later, err := s.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("cannot look again: %w", err)
	}
	return juju.Overtaken(snap, later)
}

// readLeftovers reads leader settings, where this Juju has any: Juju 4 has none.
func (s *Session) readLeftovers(ctx context.Context, snap *juju.Snapshot) error {
	if !snap.Leader {
		return nil
	}
	err := s.read(ctx, &snap.Leftovers, "leader-get")
	if len(snap.Leftovers) == 0 {
		snap.Leftovers = nil
	}
	if unknownCommand(err) {
		return nil
	}
	return err
}

// readConfig reads all options that have a value.
func (s *Session) readConfig(ctx context.Context, snap *juju.Snapshot) error {
	var raw json.RawMessage
	if err := s.read(ctx, &raw, "config-get"); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&snap.Config); err != nil {
		return errors.New("cannot understand the answer of config-get: not an object")
	}
	for option, value := range snap.Config {
		switch value := value.(type) {
		case nil:
			delete(snap.Config, option)
		case json.Number:
			snap.Config[option] = number(value)
		}
	}
	return nil
}

// number gives an int64 for a whole number, else a float64. JSON does not tell a float option of 1.0 from an int one.
func number(text json.Number) any {
	if whole, err := strconv.ParseInt(text.String(), 10, 64); err == nil {
		return whole
	}
	float, err := text.Float64()
	if err != nil {
		return text.String()
	}
	return float
}

// readRelations reads the relations of every endpoint, and the one that ends with this hook: Juju leaves it out of
// relation-ids, and shows it to whoever asks by its ID.
func (s *Session) readRelations(ctx context.Context, snap *juju.Snapshot) error {
	var keys []string
	for _, endpoint := range s.env.Endpoints {
		var ids []string
		if err := s.read(ctx, &ids, "relation-ids", endpoint.Name); err != nil {
			return fmt.Errorf("cannot list the relations of endpoint %q: %w", endpoint.Name, err)
		}
		keys = append(keys, ids...)
	}
	if broken := s.env.broken(); broken != "" && !slices.Contains(keys, broken) {
		keys = append(keys, broken)
	}
	goal, err := s.readGoal(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		relation, err := s.readRelation(ctx, key, snap.Leader)
		if err != nil {
			return fmt.Errorf("cannot read relation %s: %w", key, err)
		}
		relation.Partial = s.partial(relation, goal)
		snap.Relations = append(snap.Relations, relation)
	}
	slices.SortFunc(snap.Relations, func(a, b juju.Relation) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

func (s *Session) readRelation(ctx context.Context, key string, leader bool) (juju.Relation, error) {
	endpoint, known := s.env.endpoint(key)
	_, number, _ := strings.Cut(key, ":")
	id, err := strconv.Atoi(number)
	if err != nil || !known {
		return juju.Relation{}, errors.New("neither its endpoint nor its number makes sense")
	}
	relation := juju.Relation{ID: id, Endpoint: endpoint, Broken: key == s.env.broken()}
	if relation.RemoteApp, err = s.remoteApp(ctx, relation); err != nil {
		return juju.Relation{}, err
	}
	if relation.RemoteUnits, err = s.remoteUnits(ctx, relation); err != nil {
		return juju.Relation{}, err
	}
	if relation.OwnUnit, err = s.bag(ctx, relation, s.env.Unit); err != nil {
		return juju.Relation{}, err
	}
	own := juju.ApplicationOf(s.env.Unit)
	if leader || endpoint.Role == juju.Peers {
		if relation.OwnApp, err = s.bag(ctx, relation, own, "--app"); err != nil {
			return juju.Relation{}, err
		}
	}
	if endpoint.Role == juju.Peers { // one bag, seen from both sides
		relation.OwnApp = withoutSecretKeys(relation.OwnApp)
		relation.RemoteApplication = relation.OwnApp
		return relation, nil
	}
	if relation.RemoteApp != "" {
		relation.RemoteApplication, err = s.bag(ctx, relation, relation.RemoteApp, "--app")
	}
	return relation, err
}

// remoteApp names the other side: by relation-list --app, else as the hook's environment names it.
func (s *Session) remoteApp(ctx context.Context, relation juju.Relation) (string, error) {
	if relation.Endpoint.Role == juju.Peers {
		return juju.ApplicationOf(s.env.Unit), nil
	}
	var app string
	err := s.read(ctx, &app, "relation-list", "-r", relation.Key(), "--app")
	if errors.Is(err, juju.ErrUnreachable) {
		return "", err
	}
	if err == nil && app != "" {
		return app, nil
	}
	if s.env.RelationID == relation.Key() && s.env.RemoteApp != "" {
		return s.env.RemoteApp, nil
	}
	return "", err
}

// remoteUnits reads the databags of the units in scope. A unit that is departing in this hook is gone, also where Juju
// still lists it.
func (s *Session) remoteUnits(ctx context.Context, relation juju.Relation) (map[string]juju.Bag, error) {
	bags := map[string]juju.Bag{}
	if relation.Broken {
		return bags, nil
	}
	var units []string
	if err := s.read(ctx, &units, "relation-list", "-r", relation.Key()); err != nil {
		return nil, err
	}
	for _, unit := range units {
		if unit == s.env.Unit || (unit == s.env.DepartingUnit && relation.Key() == s.env.RelationID) {
			continue
		}
		bag, err := s.bag(ctx, relation, unit)
		if err != nil {
			return nil, err
		}
		bags[unit] = bag
	}
	return bags, nil
}

// bag reads one databag. It is nil where the other side of a broken relation is gone with its data, and for the own
// application's when leadership was lost since is-leader; every other refusal is an error, because a databag that only
// seems empty would have its certificates withdrawn.
func (s *Session) bag(ctx context.Context, relation juju.Relation, owner string, flags ...string) (juju.Bag, error) {
	bag := juju.Bag{}
	args := append([]string{"-r", relation.Key()}, flags...)
	err := s.read(ctx, &bag, "relation-get", append(args, "-", owner)...)
	switch {
	case err == nil && bag == nil: // null: Juju's JSON for an empty bag
		return juju.Bag{}, nil
	case err == nil:
		return bag, nil
	case errors.Is(err, juju.ErrUnreachable):
		return nil, err
	case relation.Broken, owner == juju.ApplicationOf(s.env.Unit) && refused(err, "permission denied"):
		return nil, nil
	}
	return nil, fmt.Errorf("cannot read the databag of %s: %w", owner, err)
}

// readAddresses reads network-get for each endpoint. An endpoint that Juju knows no network for has none.
func (s *Session) readAddresses(ctx context.Context, snap *juju.Snapshot) error {
	snap.Addresses = map[string]juju.Addresses{}
	for _, endpoint := range s.env.Endpoints {
		var answer struct {
			Bind []struct {
				Addresses []struct {
					Value   string `json:"value"`
					Address string `json:"address"` // before Juju 2.9
				} `json:"addresses"`
			} `json:"bind-addresses"`
			Egress  []string `json:"egress-subnets"`
			Ingress []string `json:"ingress-addresses"`
		}
		err := s.read(ctx, &answer, "network-get", endpoint.Name)
		if errors.Is(err, juju.ErrUnreachable) {
			return err
		}
		if err != nil {
			continue
		}
		addresses := juju.Addresses{Ingress: answer.Ingress, Egress: answer.Egress}
		for _, device := range answer.Bind {
			for _, address := range device.Addresses {
				if text := cmp.Or(address.Value, address.Address); text != "" {
					addresses.Bind = append(addresses.Bind, text)
				}
			}
		}
		snap.Addresses[endpoint.Name] = addresses
	}
	return nil
}

// readState reads the unit state; Juju before 2.8 has none.
func (s *Session) readState(ctx context.Context, snap *juju.Snapshot) error {
	err := s.read(ctx, &snap.State, "state-get")
	if err != nil && !unknownCommand(err) {
		return err
	}
	if snap.State == nil {
		snap.State = map[string]string{}
	}
	return nil
}

func (s *Session) readStatus(ctx context.Context, snap *juju.Snapshot) error {
	var answer struct {
		Status  juju.Level `json:"status"`
		Message string     `json:"message"`
	}
	if err := s.read(ctx, &answer, "status-get", "--include-data"); err != nil {
		return err
	}
	snap.Status = juju.Status{Level: answer.Status, Message: answer.Message}
	return nil
}
