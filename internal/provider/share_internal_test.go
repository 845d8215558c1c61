// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// Who asks for a thousand certificates that nobody can sign has turns follow each other no faster for it.
func TestAShareOfWhichNothingIsSignedDoesNotFollowAtOnce(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for sentence, c := range map[string]struct {
		answers  []order.Answer
		signed   int
		hopeless int
		wake     time.Time
	}{
		"nothing is answered yet": {nil, 0, 0, now},
		"something is signed": {[]order.Answer{
			{Order: "a", State: order.Failed}, {Order: "b", State: order.Done, Issued: cert.Issued{Certificate: "pem"}},
		}, MaxSignatures, 0, now},
		"nothing can be signed":          {[]order.Answer{{Order: "a", State: order.Failed}}, MaxSignatures, 0, now.Add(retry)},
		"all waits for somebody":         {[]order.Answer{{Order: "a", State: order.Pending}}, MaxSignatures, 0, now.Add(retry)},
		"a list is signed, and no asker": {[]order.Answer{{Order: "a", State: order.Failed}, {Order: "b", State: order.Done}}, MaxSignatures, 0, now.Add(retry)},
		"something is refused for good":  {[]order.Answer{{Order: "a", State: order.Failed}}, MaxSignatures, 1, now},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			s := &step{now: now, answers: order.ByID(c.answers), signed: c.signed, hopeless: c.hopeless}
			for range MaxSignatures + 1 {
				s.decision.Orders = append(s.decision.Orders, order.Sign{Asker: order.Asker{Relation: 3, App: "web"}})
			}
			s.share()
			require.Len(t, s.decision.Orders, MaxSignatures-c.signed)
			require.Equal(t, c.wake, s.decision.Wake)
		})
	}
}
