// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"fmt"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// globalClient is the common name of the client certificate that all legacy consumers of a relation share. It is the
// Vault charm's; EasyRSA's "client" is a name that request-header proxies are commonly configured to trust.
const globalClient = "global-client"

// serveRelation decides about everything that one relation asks for. Without an authority nothing is published, and
// what stands there already stays. Only the leader decides; the other units publish what it does.
func (s *step) serveRelation(relation juju.Relation, ready bool) {
	if ready && !s.snap.Leader {
		s.mirror(relation)
		s.surveyMirrored(relation)
		return
	}
	if ready && s.rests(relation) {
		return
	}
	before, shown := s.sumsNow(), relation
	s.lasting = nil
	relation = s.withShelved(relation)
	memory := s.memory.of(relation.ID)
	defer memory.Pass()
	memory.rested = 0
	reading := memory.Read(relation)
	known := s.writtenMakers(relation.ID)
	known.attribute(reading.Asks)
	published := memory.Index(relation)
	asks, denials := s.admit(reading, published)
	if !ready {
		s.denials = append(s.denials, denials...)
		s.surveyUnserved(relation)
		return
	}
	asks, refused := s.apart(asks, reading.Application, published)
	denials = append(denials, refused...)
	publication := dialect.Publication{Reading: reading, Capabilities: s.capabilities(relation)}
	holders := s.holdersOf(relation, published, reading.Asks, asks)
	s.forsaken(relation, published, known, reading.Asks)
	for _, ask := range asks {
		grant, denial := s.grant(published, ask, holders)
		s.surveyAsk(ask, grant.Issued, denial)
		if denial != nil {
			denials = append(denials, *denial)
		}
		if grant.Issued.Certificate != "" {
			publication.Grants = append(publication.Grants, grant)
			s.granted++
		}
	}
	s.saveNodes(relation.ID, holders, publication.Grants)
	s.saveMakers(relation, known, publication.Grants)
	if _, exposed := published.Client(); exposed && !s.settings.Legacy {
		s.exposed++
	}
	if len(reading.Legacy) > 0 && s.settings.Legacy {
		publication.Common = s.common(relation, published)
	}
	s.surveyOrphans(relation)
	publication.Denials = denials
	s.denials = append(s.denials, denials...)

	bags := juju.OwnBags{
		Unit: memory.PublishUnit(relation, publication),
		App:  memory.PublishApplication(relation, publication),
	}
	s.departed(relation, bags, reading.Asks)
	s.decision.Bags[relation.ID] = bags
	s.settle(shown, bags, s.sumsNow().since(before))
}

// common is what all legacy consumers of a relation share, once the global client certificate exists.
func (s *step) common(relation juju.Relation, published *dialect.Index) *dialect.Common {
	client, denial := s.grant(published, globalClientAsk(relation), nil)
	s.surveyAsk(globalClientAsk(relation), client.Issued, denial)
	if client.Issued.Certificate != "" {
		s.shared++
	}
	if denial != nil {
		s.denials = append(s.denials, *denial)
	}
	if client.Issued.Certificate == "" && (!s.byHand() || s.current.slot == nil) {
		return nil
	}
	return &dialect.Common{Trust: s.trusted(), Chain: s.commonChain(), Client: client.Issued}
}

func globalClientAsk(relation juju.Relation) dialect.Ask {
	return dialect.Ask{
		Relation: relation.ID, App: relation.RemoteApp,
		Dialect: dialect.Legacy, Kind: cert.Client, CommonName: globalClient,
	}
}

func isGlobalClient(ask dialect.Ask) bool {
	return ask.Dialect == dialect.Legacy && ask.Kind == cert.Client && ask.CommonName == globalClient && ask.Name == ""
}

// grant gives the certificate for an ask: the one there is when it still serves, else a new one once it is signed.
// A certificate that must be replaced stays in service until its successor exists.
func (s *step) grant(published *dialect.Index, ask dialect.Ask, holders nodeHolders) (dialect.Grant, *dialect.Denial) {
	current := current(published, ask)
	if grant, fits := s.fitting(ask, current, holders); fits {
		return grant, nil
	}
	terms, err := s.terms(ask, holders)
	if err != nil {
		return dialect.Grant{}, s.deny(ask, dialect.Malformed, err.Error())
	}
	spec := terms.spec
	replaced := current.Certificate != ""
	for {
		verdict := s.judge(current, spec, ask)
		switch {
		case verdict.keep:
			s.note(ask, current, terms)
			s.expectRenewal(verdict.renew)
			grant := s.dress(ask, current)
			s.noteFit(ask, current, terms, verdict, grant)
			return grant, nil
		case verdict.held:
			s.withheld[verdict.serial] = true
			return s.hold(ask, current)
		case s.compromisedAsk(ask):
			return s.dress(ask, current), s.deny(ask, dialect.Revoked, "the request's key was revoked as compromised: make a new key")
		case !s.signing:
			return s.dress(ask, current), s.withoutSigner(ask, current)
		case !terms.verdict.Allowed():
			return s.leave(ask, current), s.refused(ask, terms.verdict.Refusals[0])
		case !s.byHand() && s.putOff(ask.App, ask.Unit, verdict):
			grant := s.dress(ask, current)
			s.noteFit(ask, current, terms, verdict, grant)
			return grant, nil
		}
		if weak := terms.weakness(); weak != nil {
			return s.leave(ask, current), s.refused(ask, *weak)
		}
		if err := cert.Permits(s.chain(), spec.Names.With(ask.Names)); err != nil {
			return s.dress(ask, current), s.deny(ask, dialect.BadName, err.Error())
		}
		s.considered++
		wanted := s.sign(ask, spec, verdict)
		wanted.Rule = terms.verdict.Rule
		if reason, refused := s.snap.Local[RefusedKey+string(wanted.ID())]; refused {
			return s.dress(ask, current), s.deny(ask, dialect.Unsignable, reason)
		}
		if denial := s.tooOften(ask, wanted, verdict); denial != nil {
			return s.dress(ask, current), denial
		}
		answer, done := s.certify(ask, wanted, current)
		if answer.State != "" {
			s.signed++
		}
		if replaced && verdict.due && answer.Failure == nil {
			s.noteRenewal(ask, done)
			replaced = false
		}
		if !done {
			return s.dress(ask, current), s.unsigned(ask, wanted, answer)
		}
		if again := s.judge(answer.Issued, spec, ask); !again.keep && !again.due {
			return s.dress(ask, current), s.deny(ask, dialect.NotSigned, "the authority's answer does not fit: "+again.reason)
		}
		if answer.Issued.Certificate == current.Certificate {
			return s.dress(ask, current), nil
		}
		current = answer.Issued
	}
}

// dress gives a certificate the issuers that it has now: they change while a CA is replaced, although it does not.
func (s *step) dress(ask dialect.Ask, issued cert.Issued) dialect.Grant {
	leaf, err := s.memory.of(ask.Relation).Parse(issued.Certificate)
	if err != nil {
		return dialect.Grant{Ask: ask, Issued: issued}
	}
	if by, _, ours := s.issuerOf(leaf); ours {
		issued.Issuers, issued.CA = s.issuersOf(by), by.Certificate
	}
	return dialect.Grant{Ask: ask, Issued: issued}
}

// leave gives what is there to an ask that gets nothing new: its certificate while that is valid, so that a policy which
// became narrower stops nobody before the renewal.
func (s *step) leave(ask dialect.Ask, current cert.Issued) dialect.Grant {
	if current.Certificate == "" {
		return dialect.Grant{}
	}
	s.considered++ // for its certificate ends, and nothing wakes then
	leaf, err := s.memory.of(ask.Relation).Parse(current.Certificate)
	if err != nil || s.now.After(leaf.NotAfter) {
		return dialect.Grant{}
	}
	if by, _, ours := s.issuerOf(leaf); ours {
		if _, revoked := s.revocationOf(by.generation(), cert.SerialText(leaf.SerialNumber)); revoked {
			return dialect.Grant{}
		}
	}
	return s.dress(ask, current)
}

// hold leaves a certificate in its place that is revoked for good, with the word to stop using it where the dialect has
// one.
func (s *step) hold(ask dialect.Ask, current cert.Issued) (dialect.Grant, *dialect.Denial) {
	grant := s.dress(ask, current)
	if ask.Dialect == dialect.CSR {
		grant.Revoked = true
		return grant, nil
	}
	return grant, s.deny(ask, dialect.Revoked, "its certificate is revoked for good; to serve it again, remove the relation and add it anew")
}

// chain is the current CA with all that is above it.
func (s *step) chain() []*x509.Certificate {
	if s.above == nil {
		for _, text := range s.signer.Chain() {
			if parsed, err := cert.Parse(text); err == nil {
				s.above = append(s.above, parsed)
			}
		}
	}
	return s.above
}

// unsigned notes that an order is not done: given just now, pending, or failed.
func (s *step) unsigned(ask dialect.Ask, wanted order.Sign, answer order.Answer) *dialect.Denial {
	if s.byHand() && answer.State != order.Failed { // an operator is waited for
		s.overview.pend(ask)
		return nil
	}
	switch answer.State {
	case order.Failed:
		if answer.Failure.Final() {
			s.hopeless++
			return s.deny(ask, dialect.Unsignable, answer.Failure.Message)
		}
		s.tryAgain(answer)
		return s.deny(ask, dialect.NotSigned, answer.Failure.Message)
	case order.Pending:
		s.waiting++
		s.overview.pend(ask)
		s.wake(s.now.Add(retry))
	default:
		s.decision.Entries = append(s.decision.Entries, s.ordered(ask, wanted))
	}
	return nil
}

// withoutSigner tells a requirer that there is nobody to sign for it now.
func (s *step) withoutSigner(ask dialect.Ask, current cert.Issued) *dialect.Denial {
	if current.Certificate != "" {
		return nil
	}
	return s.deny(ask, dialect.NoAuthority, "the CA cannot sign now; see the unit's status")
}

func (s *step) deny(ask dialect.Ask, code dialect.Code, reason string) *dialect.Denial {
	return &dialect.Denial{
		Relation: ask.Relation, Unit: ask.Unit, Item: describe(ask), Ask: ask.ID(), Request: ask.Request,
		Code: code, Reason: reason,
	}
}

// current gives the certificate that an ask has.
func current(published *dialect.Index, ask dialect.Ask) cert.Issued {
	var issued cert.Issued
	if isGlobalClient(ask) {
		issued, _ = published.Client()
	} else {
		issued, _ = published.Published(ask)
	}
	if issued.Certificate == "" {
		issued, _ = published.Revoked(ask)
	}
	return issued
}

// describe names an ask for people.
func describe(ask dialect.Ask) string {
	name := ask.CommonName
	if name == "" && ask.Names.Len() > 0 {
		name = ask.Names.List()[0]
	}
	return fmt.Sprintf("%s certificate %q", ask.Kind, name)
}
