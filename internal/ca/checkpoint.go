// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"time"

	"github.com/signet-charm/signet/internal/audit"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// checkpoint vouches with a CA's key for all that is recorded by now, and records that. The same order again finds the
// checkpoint that was recorded.
func (e *Embedded) checkpoint(id order.ID, o order.SignRecord) (string, error) {
	before, err := e.journal.Order(string(id))
	if err != nil {
		return "", err
	}
	for _, entry := range before {
		if entry.Event == ledger.Checkpoint {
			return entry.Detail, nil
		}
	}
	signer, err := e.signer(o.Signer)
	if err != nil {
		return "", err
	}
	lines, sum, err := e.journal.Head()
	if err != nil {
		return "", err
	}
	text, err := audit.Sign(audit.Checkpoint{
		Unit: o.Unit, Model: o.Model, Lines: lines, Sum: sum, Time: o.Time.UTC().Truncate(time.Second),
	}, signer.certificate, signer.key, e.random)
	if err != nil {
		return "", order.Fail("signing", "cannot sign the record with CA %d: %v", o.Signer.Generation, err)
	}
	return text, e.journal.Append(ledger.Entry{
		Time: o.Time.UTC(), Event: ledger.Checkpoint, Order: string(id), Generation: o.Signer.Generation, Detail: text,
		Certificate: o.Signer.Certificate, // which may have been made elsewhere, and by whom the text can be verified
	})
}
