// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// MaxSignatures is how many certificates one turn has signed for those who ask. What is beyond waits for the next turn, which
// follows at once: what was signed is published meanwhile, and nobody's flood keeps a hook busy for minutes.
const MaxSignatures = 1000

// share lets no asker wait for another's flood: signatures are ordered in rounds, in each of which every unit of every
// relation has two. What is beyond the turn's share is not ordered, nor recorded as if it were.
func (s *step) share() {
	var wanted []order.Sign
	others := s.decision.Orders[:0:0]
	for _, o := range s.decision.Orders {
		if sign, ok := o.(order.Sign); ok && sign.Asker.App != "" {
			wanted = append(wanted, sign)
		} else {
			others = append(others, o)
		}
	}
	if len(wanted) == 0 {
		return
	}
	fair := inRounds(wanted)
	if room := max(0, MaxSignatures-s.signed); len(fair) > room {
		left := map[string]bool{}
		for _, sign := range fair[room:] {
			left[string(sign.ID())] = true
		}
		s.decision.Entries = slices.DeleteFunc(s.decision.Entries, func(e ledger.Entry) bool {
			return e.Event == ledger.Ordered && left[e.Order]
		})
		fair = fair[:room]
		s.wake(s.nextShare())
	}
	for _, sign := range fair {
		others = append(others, sign)
	}
	s.decision.Orders = others
}

// nextShare is when the next turn has its share: at once while the rest gets less. When nothing of this turn's share was
// signed or refused for good, the next one would be the same again.
func (s *step) nextShare() time.Time {
	if s.hopeless > 0 {
		return s.now
	}
	for _, answer := range s.answers {
		if answer.State == order.Done && answer.Issued.Certificate != "" || answer.State == order.Pending && answer.Request != "" {
			return s.now
		}
	}
	if s.signed == 0 { // not answered yet
		return s.now
	}
	return s.now.Add(retry)
}

// inRound is how many orders of one asker a round has: a unit asks for a server and a client certificate, which are published at
// once where they are signed in one turn.
const inRound = 2

// inRounds puts orders in such an order that each asker's first two come before any asker's third. Within a round the order
// stays.
func inRounds(orders []order.Sign) []order.Sign {
	rounds := map[order.Asker]int{}
	type placed struct {
		order.Sign
		round int
	}
	list := make([]placed, len(orders))
	for i, o := range orders {
		list[i] = placed{o, rounds[o.Asker] / inRound}
		rounds[o.Asker]++
	}
	slices.SortStableFunc(list, func(a, b placed) int { return a.round - b.round })
	fair := make([]order.Sign, len(list))
	for i, p := range list {
		fair[i] = p.Sign
	}
	return fair
}
