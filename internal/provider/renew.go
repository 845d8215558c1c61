// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// wishesKey is where the peer application bag remembers which certificates an operator wants to be renewed before their time,
// so that the next leader goes on: JSON of wishes by serial number. A wish goes with its certificate.
const wishesKey = "renewals-wanted"

// wish is that of an operator's, for one certificate.
type wish struct {
	AtOnce bool `json:"at-once,omitempty"` // without regard to the pace
	NewKey bool `json:"new-key,omitempty"` // where the key is made here
}

func (s *step) readWishes() {
	s.wishes, s.seen = map[string]wish{}, map[string]bool{}
	_ = json.Unmarshal([]byte(s.peers.OwnApp[wishesKey]), &s.wishes) // unreadable: nothing is wanted
}

// saveWishes writes down what is still to be renewed.
func (s *step) saveWishes() {
	partial := slices.ContainsFunc(s.snap.On(juju.Provides, dialect.Interface), func(r juju.Relation) bool { return r.Partial || r.Broken })
	left := maps.Clone(s.wishes)
	maps.DeleteFunc(left, func(serial string, _ wish) bool { return !s.seen[serial] && !partial })
	text := ""
	if len(left) > 0 {
		if encoded, err := json.Marshal(left); err == nil {
			text = string(encoded)
		}
	}
	if s.peers.OwnApp[wishesKey] == text {
		return
	}
	bag := s.peerBag()
	if bag[wishesKey] = text; text == "" {
		delete(bag, wishesKey)
	}
}

// wished tells what an operator wants of a certificate that is in service.
func (s *step) wished(serial string) (wish, bool) {
	wanted, found := s.wishes[serial]
	if found {
		s.seen[serial] = true
	}
	return wanted, found
}

// actRenew has certificates renewed before their time, at the pace of renewals.
func (s *step) actRenew(params *juju.Config) {
	chosen, err := selected(params)
	all := params.Flag("all", false)
	switch {
	case err != nil:
		s.fail("%v", err)
	case chosen.everything() && !all:
		s.fail("say what to renew: serial=, name=, unit=, application= or relation=, or all=true")
	case !chosen.everything() && all:
		s.fail("all=true means all certificates: leave out what chooses some")
	default:
		s.renew(chosen, wish{AtOnce: params.Flag("at-once", false), NewKey: params.Flag("new-key", false)}, params.Flag("dry-run", false))
	}
}

// actReissue renews all, as the Vault charm's action of this name does.
func (s *step) actReissue(params *juju.Config) {
	s.renew(selection{relation: -1}, wish{}, params.Flag("dry-run", false))
}

func (s *step) renew(chosen selection, wanted wish, trial bool) {
	if s.current.slot == nil {
		s.fail("there is no CA yet: see the status of %s", s.snap.Application())
		return
	}
	found := s.published(func(r juju.Relation, held dialect.Held) bool { return !held.Revoked && s.fits(chosen, r, held) })
	if len(found) == 0 {
		s.fail("no certificate that is published and not revoked fits: run list-certificates")
		return
	}
	var lines, serials []string
	for _, one := range found {
		serial := cert.SerialText(one.leaf.SerialNumber)
		serials = append(serials, serial)
		lines = append(lines, fmt.Sprintf("%s %s", serial, one.leaf.Subject))
		s.wishes[serial] = wanted
	}
	if trial {
		s.succeed(map[string]string{"count": strconv.Itoa(len(lines)), "certificates": strings.Join(lines, "\n")})
		return
	}
	s.late = func() {
		left := 0
		s.did("%s to renew", count(len(serials), "certificate"))
		for _, serial := range serials {
			if _, waits := s.wishes[serial]; waits {
				left++
				continue
			}
			s.did("certificate %s is renewed", serial)
		}
		results := map[string]string{
			"count": strconv.Itoa(len(lines)), "certificates": strings.Join(lines, "\n"),
			"renewed": strconv.Itoa(len(lines) - left), "waiting": strconv.Itoa(left),
		}
		if left > 0 {
			results["note"] = "the rest follows one unit of an application at a time, as renewal-interval, renewals-per-hour and " +
				"maintenance-window say; at-once=true does not wait"
			if s.byHand() {
				results["note"] = "they wait for an operator: run get-outstanding-certificate-requests"
			}
		}
		s.succeed(results)
	}
}

// wants reports whether an operator wants a certificate renewed, and how.
func (s *step) wants(of *verdict) bool {
	wanted, found := s.wished(of.serial)
	if found {
		of.urgent, of.rekey = wanted.AtOnce, wanted.NewKey
	}
	return found
}
