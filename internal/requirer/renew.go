// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"crypto/x509"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
)

// askedKey is where the unit state notes when a certificate was last asked for again.
func askedKey(i item) string { return "asked-again." + i.name }

// renew replaces the request of a certificate whose renewal is due, or that is revoked or over: a new request, because
// sending the old one again changes nothing, and the same key. Legacy certificates are renewed by their provider.
func (s *step) renew(items []item) {
	for n := range items {
		i := &items[n]
		switch {
		case i.best == nil && i.spent != nil:
			s.askAgain(i, i.spent, s.now)
		case i.best != nil && i.best.offer.Dialect == dialect.CSR:
			s.askAgain(i, i.best.leaf, cert.RenewAt(i.best.leaf))
		case i.best != nil:
			s.wake(i.best.leaf.NotAfter.Add(time.Second))
		}
	}
}

// askAgain asks for a certificate's successor when the time has come, but not again before a part of its life has gone
// by since the last time: with a wrong clock every new certificate is due, or over, when it arrives.
func (s *step) askAgain(i *item, leaf *x509.Certificate, at time.Time) {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	pause := max(life/4, time.Minute)
	if i.best == nil {
		pause = min(pause, time.Hour)
	}
	asked, err := time.Parse(time.RFC3339, s.snap.State[askedKey(*i)])
	if again := asked.Add(pause); err == nil && again.After(at) {
		at = again
	}
	if s.now.Before(at) {
		s.wake(at)
		return
	}
	former := i.want.Request
	if s.makeRequest(i, cert.SerialText(leaf.SerialNumber)); i.want.Request != former {
		s.decision.State[askedKey(*i)] = s.now.UTC().Format(time.RFC3339)
	}
}
