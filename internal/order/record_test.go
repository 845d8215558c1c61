// SPDX-License-Identifier: AGPL-3.0-only

package order_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// Who asks and which rule allows it make no other certificate; a checkpoint is one until something more is recorded.
func TestWhatIsForTheRecordNamesNoOrder(t *testing.T) {
	t.Parallel()
	signing := baseSign()
	signing.Asker, signing.Rule = order.Asker{Relation: 7, App: "web", Unit: "web/0"}, "rule"
	require.Equal(t, baseSign().ID(), signing.ID())

	wanted := order.SignRecord{Signer: baseSign().Signer, Unit: "signet/0", Model: "uuid", Since: time.Unix(1, 0)}
	same := wanted
	same.Time, same.Signer.Key = time.Unix(9, 0), cert.Key{}
	require.Equal(t, wanted.ID(), same.ID())
	for name, change := range map[string]func(*order.SignRecord){
		"the unit":     func(o *order.SignRecord) { o.Unit = "signet/1" },
		"what is new":  func(o *order.SignRecord) { o.Since = time.Unix(2, 0) },
		"the CA":       func(o *order.SignRecord) { o.Signer.Generation = 2 },
		"its key":      func(o *order.SignRecord) { o.Signer.Certificate = "other" },
		"another home": func(o *order.SignRecord) { o.Model = "other" },
	} {
		other := wanted
		change(&other)
		require.NotEqual(t, wanted.ID(), other.ID(), name)
	}
}
