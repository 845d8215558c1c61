// SPDX-License-Identifier: AGPL-3.0-only

// Package wire loads recorded relation data, what real charms and libraries wrote into their databags, as values that
// tests replay from either side. It is for tests only. Where to look next: testdata/wire at the module's root, and the
// replay tests of package dialect.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/juju"
)

// FolderVariable names the environment variable with a further folder of recordings to replay.
const FolderVariable = "SIGNET_VECTORS"

// Recording is one scenario: what two applications had in their databags, step by step.
type Recording struct {
	Name   string // of the file, without ".json"
	States []State
}

// State is one step of a scenario.
type State struct {
	Name      string
	Relations []Relation
}

// Relation is one relation in one state, seen from neither side.
type Relation struct {
	ID        int
	Interface string // "tls-certificates" or "certificate_transfer"
	Provider  End
	Requirer  End
}

// End is one side of a relation.
type End struct {
	App      string
	Endpoint string
	Bag      juju.Bag
	Units    map[string]juju.Bag
}

// UnitNames are the side's units by name.
func (e End) UnitNames() []string { return slices.Sorted(maps.Keys(e.Units)) }

// ProviderSees is the relation as a unit of the provider sees it when it leads.
func (r Relation) ProviderSees(unit string) juju.Relation {
	return sees(r, r.Provider, r.Requirer, unit, juju.Provides)
}

// RequirerSees is the relation as a unit of the requirer sees it when it leads.
func (r Relation) RequirerSees(unit string) juju.Relation {
	return sees(r, r.Requirer, r.Provider, unit, juju.Requires)
}

func sees(r Relation, own, remote End, unit string, role juju.Role) juju.Relation {
	return juju.Relation{
		ID:        r.ID,
		Endpoint:  juju.Endpoint{Name: own.Endpoint, Interface: r.Interface, Role: role},
		RemoteApp: remote.App,
		OwnUnit:   nonNil(own.Units[unit]), OwnApp: nonNil(own.Bag),
		RemoteApplication: nonNil(remote.Bag), RemoteUnits: maps.Clone(remote.Units),
	}
}

func nonNil(bag juju.Bag) juju.Bag {
	if bag == nil {
		return juju.Bag{}
	}
	return maps.Clone(bag)
}

// Folders are the folders to load: testdata/wire of this module, found upwards from the working directory, and the one
// named in the environment.
func Folders() ([]string, error) {
	here, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("cannot find the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(here, "go.mod")); err == nil {
			break
		}
		if here == filepath.Dir(here) {
			return nil, errors.New("cannot find the module: no go.mod here or above")
		}
		here = filepath.Dir(here)
	}
	folders := []string{filepath.Join(here, "testdata", "wire")}
	if more := os.Getenv(FolderVariable); more != "" {
		folders = append(folders, more)
	}
	return folders, nil
}

// All reads the recordings of all folders; each folder must hold some.
func All() ([]Recording, error) {
	folders, err := Folders()
	if err != nil {
		return nil, err
	}
	var all []Recording
	for _, folder := range folders {
		recordings, err := Load(folder)
		if err != nil {
			return nil, err
		}
		all = append(all, recordings...)
	}
	return all, nil
}

// Load reads all recordings in a folder and below it, by path. JSON files that are no recordings are passed over; a
// folder without any recording is an error, so that a replay cannot pass by replaying nothing.
func Load(folder string) ([]Recording, error) {
	var recordings []Recording
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		recording, found, err := parse(text)
		if err != nil {
			return fmt.Errorf("cannot read recording %s: %w", path, err)
		}
		if !found {
			return nil
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		recording.Name = strings.TrimSuffix(filepath.ToSlash(name), ".json")
		recordings = append(recordings, recording)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(recordings) == 0 {
		return nil, fmt.Errorf("cannot replay folder %s: it holds no recordings", folder)
	}
	return recordings, nil
}

// file is a recording as it is written.
type file struct {
	Protocol string `json:"protocol"`
	States   []struct {
		State     string     `json:"state"`
		Relations []relation `json:"relations"`
	} `json:"states"`
}

type relation struct {
	ID        int                 `json:"relation_id"`
	Endpoints []string            `json:"endpoints"` // "application:endpoint", the provider's first
	Apps      map[string]juju.Bag `json:"application_databags"`
	Units     map[string]juju.Bag `json:"unit_databags"`
}

// parse reads a recording, or a bare list of relations as one state; false when the text is neither.
func parse(text []byte) (Recording, bool, error) {
	var bare []relation
	if json.Unmarshal(text, &bare) == nil && len(bare) > 0 && len(bare[0].Endpoints) > 0 {
		relations, err := relations(bare, "")
		return Recording{States: []State{{"recorded", relations}}}, true, err
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return Recording{}, false, err
	}
	if len(f.States) == 0 {
		return Recording{}, false, nil
	}
	var recording Recording
	for _, state := range f.States {
		relations, err := relations(state.Relations, f.Protocol)
		if err != nil {
			return Recording{}, false, fmt.Errorf("state %s: %w", state.State, err)
		}
		recording.States = append(recording.States, State{state.State, relations})
	}
	return recording, true, nil
}

func relations(written []relation, protocol string) ([]Relation, error) {
	var read []Relation
	for _, w := range written {
		if len(w.Endpoints) != 2 {
			return nil, fmt.Errorf("relation %d has %d endpoints", w.ID, len(w.Endpoints))
		}
		r := Relation{ID: w.ID, Interface: "tls-certificates", Provider: w.end(0), Requirer: w.end(1)}
		if strings.HasPrefix(protocol, "certificate_transfer") {
			r.Interface = "certificate_transfer"
		}
		read = append(read, r)
	}
	return read, nil
}

func (w relation) end(i int) End {
	app, endpoint, _ := strings.Cut(w.Endpoints[i], ":")
	end := End{App: app, Endpoint: endpoint, Bag: w.Apps[app], Units: map[string]juju.Bag{}}
	for unit, bag := range w.Units {
		if juju.ApplicationOf(unit) == app {
			end.Units[unit] = bag
		}
	}
	return end
}
