// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
)

// fit is a certificate that says what is asked for, by a CA that goes on. On the same ground that stays so, and only its renewal
// comes.
type fit struct {
	certificate string
	leaf        *x509.Certificate
	term        term
	grant       dialect.Grant
}

// fitting gives the grant of an ask whose certificate is known to fit, unless something else is to be done about it.
func (s *step) fitting(ask dialect.Ask, current cert.Issued, holders nodeHolders) (dialect.Grant, bool) {
	if current.Certificate == "" || s.attentive() {
		return dialect.Grant{}, false
	}
	found, known := s.memory.of(ask.Relation).fits.Find(keyOf(ask))
	if !known || found.certificate != current.Certificate || s.early(found.leaf.NotBefore) || holders.other(ask) != "" {
		return dialect.Grant{}, false
	}
	if !s.lasts(ask.App, found.term) {
		return dialect.Grant{}, false
	}
	s.lasting = append(s.lasting, found.term)
	return found.grant, true
}

// term is how long a certificate that fits may stay.
type term struct {
	unit          string
	renew, urgent time.Time // when its renewal is due, and when that can wait no longer; zero for never
}

// lasts reports whether a certificate stays for now: it is not due, or its renewal is put off.
func (s *step) lasts(app string, t term) bool {
	if t.renew.IsZero() || s.now.Before(t.renew) {
		s.expectRenewal(t.renew)
		return true
	}
	return s.signing && s.putOff(app, t.unit, verdict{due: true, urgent: !s.now.Before(t.urgent)})
}

// attentive reports whether everything is to be looked at, because it is not only the relations, the ground and the time that
// count: something was revoked in this turn, an operator acts, wants something renewed or signs, or somebody wants to see all.
func (s *step) attentive() bool {
	return s.newlyRevoked || s.snap.Action != nil || len(s.wishes) > 0 || s.byHand() || s.overview != nil
}

// noteFit remembers that a certificate fits, where nothing is to be said of it in each turn.
func (s *step) noteFit(ask dialect.Ask, current cert.Issued, terms terms, why verdict, grant dialect.Grant) {
	unsaid := len(terms.reported.Refusals)+len(terms.reported.Without) == 0 && terms.verdict.Allowed() && ask.Kind != cert.Intermediate
	if !unsaid || why.leaf == nil || why.passing || s.attentive() || s.compromisedAsk(ask) {
		return
	}
	term := term{ask.Unit, why.renew, urgentAt(why.leaf)}
	s.lasting = append(s.lasting, term)
	s.memory.of(ask.Relation).fits.Put(keyOf(ask), fit{current.Certificate, why.leaf, term, grant})
}

// compromisedAsk reports whether an ask's own key is known to others.
func (s *step) compromisedAsk(ask dialect.Ask) bool {
	return ask.Dialect == dialect.CSR && s.compromised(ask.Request)
}
