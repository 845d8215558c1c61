// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// shelf holds the legacy grants of all relations with their private keys, as the units of this application share them
// through the peer relation: every unit must publish the same, and a new leader must find what the old one issued.
type shelf struct {
	found map[dialect.AskID]cert.Issued
	kept  map[string]map[dialect.AskID]stored // by peer bag key
}

type stored struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

func readShelf(bag juju.Bag) shelf {
	s := shelf{found: map[dialect.AskID]cert.Issued{}, kept: map[string]map[dialect.AskID]stored{}}
	for key, text := range bag {
		if !strings.HasPrefix(key, SealedPrefix) {
			continue
		}
		var grants map[dialect.AskID]stored
		if json.Unmarshal([]byte(text), &grants) != nil {
			continue // unreadable: what it held is asked of the own bags, and signed again where they lack it
		}
		for id, grant := range grants {
			s.found[id] = cert.Issued{Certificate: grant.Certificate, Key: cert.NewKey(grant.Key)}
		}
	}
	return s
}

func (s shelf) get(ask dialect.Ask) (cert.Issued, bool) {
	issued, found := s.found[ask.ID()]
	return issued, found
}

// put keeps a legacy grant on the shelf; what is not put in a step goes.
func (s shelf) put(ask dialect.Ask, issued cert.Issued) {
	if ask.Dialect != dialect.Legacy || issued.Certificate == "" {
		return
	}
	key := fmt.Sprintf("%s%d", SealedPrefix, ask.Relation)
	if ask.Name != "" {
		key += "." + ask.Name
	}
	if s.kept[key] == nil {
		s.kept[key] = map[dialect.AskID]stored{}
	}
	s.kept[key][ask.ID()] = stored{issued.Certificate, issued.Key.Reveal()}
}

// writeShelf puts the shelf into the peer bag. Without a key to seal it with (a model without secrets, a secret that
// cannot be read now) nothing is shared, and what stands there stays.
func (s *step) writeShelf() {
	if !s.sealed {
		return
	}
	bag := s.peerBag()
	maps.DeleteFunc(bag, func(key, _ string) bool {
		_, kept := s.shelf.kept[key]
		return strings.HasPrefix(key, SealedPrefix) && !kept
	})
	for _, key := range slices.Sorted(maps.Keys(s.shelf.kept)) {
		text, err := json.Marshal(s.shelf.kept[key])
		if err == nil {
			bag[key] = string(text)
		}
	}
}
