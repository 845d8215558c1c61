// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// A CA may be kept by Vault: it has the key, signs, and makes the revocation list; all else is as with a CA of this
// application's own. Its slot says where in Vault it is.

// consultEvery is how often Vault is asked how it is, when nothing else happens: what it has revoked is published, and a token
// is kept alive.
const consultEvery = 10 * time.Minute

// tryAgain has an order that failed given again when that is worth while.
func (s *step) tryAgain(answer order.Answer) {
	if answer.Again.After(s.now) {
		s.wake(answer.Again)
		return
	}
	s.wake(s.now.Add(retry))
}

// consult asks Vault about each CA that it keeps. One that it does not answer for cannot sign now.
func (s *step) consult() {
	for _, one := range s.record.slots() {
		if _, heard := s.heard[one.Generation]; one.Vault == nil || one.Generation == 0 || heard { // made in this very turn
			continue
		}
		answer, done := s.consulted(*one.Vault)
		if !done {
			continue
		}
		if s.heard == nil {
			s.heard = map[int]order.Answer{}
		}
		if err := one.hear(answer, s.now); err != nil {
			s.report(juju.Blocked, "CA %d: %v", one.Generation, err)
			continue
		}
		s.heard[one.Generation] = answer
	}
	if s.heard != nil {
		s.parseRecord()
		s.wake(s.now.Add(consultEvery))
	}
}

// consulted gives what Vault says of a place.
func (s *step) consulted(place order.Place) (order.Answer, bool) {
	vault, ready := s.vaultAt(place)
	if !ready {
		return order.Answer{}, false
	}
	wanted := order.Consult{Vault: vault}
	if s.asked[wanted.ID()] { // two CAs may be at one place
		answer := s.answers[wanted.ID()]
		return answer, answer.State == order.Done
	}
	if s.asked == nil {
		s.asked = map[order.ID]bool{}
	}
	s.asked[wanted.ID()] = true
	answer, done := s.obtain(wanted)
	if answer.Failure != nil {
		s.vaultFails(answer)
	}
	if until := answer.Consulted.Until; done && !until.IsZero() {
		s.wake(until)
	}
	return answer, done
}

// hear takes up what Vault says of a CA: that it was certified, by whom, or certified anew. An error says that another one
// is in its place.
func (s *slot) hear(answer order.Answer, now time.Time) error {
	found := answer.Authority
	if found.Certificate == "" && s.Certificate == "" {
		return nil
	}
	if found.Certificate == "" {
		return fmt.Errorf("it is gone from Vault's mount %s: restore Vault from a backup, or run rotate-ca for a new one", s.Vault.Mount)
	}
	certificate, err := cert.Parse(found.Certificate)
	if err != nil {
		return err
	}
	public, err := s.publicKey()
	if err != nil {
		return err
	}
	if !cert.SameKey(certificate.PublicKey, public) {
		if s.Certificate == "" { // a mount keeps the CA that it has while another one waits to be certified
			return nil
		}
		return fmt.Errorf("another one has its place in Vault's mount %s: run rotate-ca to take that one up", s.Vault.Mount)
	}
	s.Vault.Issuer = answer.Consulted.Issuer
	if found.Certificate == s.Certificate {
		if len(found.Issuers) > len(s.Issuers) { // the root may become known later
			s.Issuers = found.Issuers
		}
		return nil
	}
	if before, err := cert.Parse(s.Certificate); err == nil &&
		(!bytes.Equal(before.RawSubject, certificate.RawSubject) || !certificate.NotAfter.After(before.NotAfter)) {
		return fmt.Errorf("another certificate of its key is in Vault's mount %s: put the former one back, or run rotate-ca", s.Vault.Mount)
	}
	if now.After(certificate.NotAfter) {
		return errors.New("the certificate that Vault has of it has expired")
	}
	s.Certificate, s.Issuers = found.Certificate, found.Issuers
	return nil
}

// vaultSigns reports whether Vault answers for a CA that it keeps.
func (s *step) vaultSigns(a authority) bool {
	answer, heard := s.heard[a.generation()]
	return heard && answer.Authority.Certificate == a.Certificate
}

// makeInVault has the next CA made by Vault, or takes up the one that an operator made there.
func (s *step) makeInVault(generation int, subject cert.Subject, request bool) (slot, bool) {
	place := s.settings.Vault.place()
	vault, ready := s.vaultAt(place)
	if !ready {
		if s.login.Unavailable == "" && len(s.decision.Reports) == 0 {
			s.report(juju.Maintenance, "logging in to Vault")
		}
		return slot{}, false
	}
	there, done := s.consulted(place)
	if !done {
		if there.Failure == nil {
			s.report(juju.Maintenance, "asking Vault for its CA")
		}
		return slot{}, false
	}
	made := slot{Generation: generation, Vault: &place, Made: s.options()}
	if found := there.Authority; found.Certificate != "" && !s.onRecord(found.Certificate) {
		place.Issuer = there.Consulted.Issuer
		made.Certificate, made.Issuers = found.Certificate, found.Issuers
		certificate, err := cert.Parse(found.Certificate)
		if err == nil {
			err = cert.CheckAuthority(certificate, s.linked(certificate, found.Issuers), certificate.PublicKey, s.now)
		}
		if err != nil {
			s.report(juju.Blocked, "the CA in Vault's mount %s cannot be used: %v", place.Mount, err)
			return slot{}, false
		}
		s.hearOf(generation, there)
		return made, true
	}
	if s.record.Current.Generation == 0 && s.hasIssuedBefore() {
		s.report(juju.Blocked, "the CA is gone from Vault's mount %s although certificates were issued: restore Vault, or signet, from a backup; "+
			"signet makes no second one by itself", place.Mount)
		return slot{}, false
	}
	var wanted order.Order = order.CreateAuthority{
		Generation: generation, CommonName: subject.CommonName, Organizations: subject.Organizations,
		KeyType: s.settings.CAKeyType, NotBefore: s.notBefore(), Life: s.settings.CALife, Vault: &vault,
	}
	if request {
		wanted = order.RequestAuthority{Generation: generation, Subject: subject, KeyType: s.settings.CAKeyType, Vault: &vault}
	}
	answer, done := s.obtain(wanted)
	if !done {
		if answer.Failure != nil {
			s.vaultFails(answer)
		} else {
			s.report(juju.Maintenance, "creating the CA")
		}
		return slot{}, false
	}
	place.Issuer = answer.Consulted.Issuer
	made.Certificate, made.Request = answer.Authority.Certificate, answer.Request
	s.hearOf(generation, answer)
	return made, true
}

// hearOf notes what Vault said of a CA that is about to be on record.
func (s *step) hearOf(generation int, answer order.Answer) {
	if s.heard == nil {
		s.heard = map[int]order.Answer{}
	}
	s.heard[generation] = answer
	s.wake(s.now.Add(consultEvery))
}

func (s *step) onRecord(certificate string) bool {
	return slices.ContainsFunc(s.record.slots(), func(one *slot) bool { return one.Certificate == certificate })
}

// installInVault has Vault take up the certificate of a CA whose key it keeps; false while that is not done.
func (s *step) installInVault(one *slot, certificate string, issuers []string) (bool, error) {
	vault, ready := s.vaultAt(*one.Vault)
	if !ready {
		return false, nil
	}
	answer, done := s.obtain(order.InstallAuthority{
		Vault: vault, Generation: one.Generation, Certificate: certificate, Issuers: issuers,
	})
	if !done {
		if answer.Failure != nil {
			s.tryAgain(answer)
			return false, errors.New(answer.Failure.Message)
		}
		return false, nil
	}
	one.Vault.Issuer = answer.Consulted.Issuer
	s.hearOf(one.Generation, answer)
	return true, nil
}

// fetchList publishes the revocation list that Vault makes, once it has all that was revoked here.
func (s *step) fetchList(bag juju.Bag, key string, a authority, list []cert.Revocation) {
	heard, reached := s.heard[a.Generation]
	if !reached || !s.signing {
		return
	}
	text := heard.Consulted.CRL
	if missing := s.unlisted(text, list); len(missing) > 0 {
		vault, ready := s.vaultAt(*a.Vault)
		if !ready {
			return
		}
		answer, done := s.obtain(order.Revoke{Vault: vault, Serials: missing})
		switch {
		case done:
			text = answer.Consulted.CRL
		case answer.Failure != nil:
			s.report(juju.Waiting, "cannot have Vault revoke %s: %s", count(len(missing), "certificate"), answer.Failure.Message)
			s.tryAgain(answer)
			return
		default:
			return
		}
	}
	if made := cert.ParseCRL(text); made != nil && made.CheckSignatureFrom(a.certificate) == nil {
		bag[key] = text
	}
}

// unlisted are the serial numbers that a revocation list does not have, of certificates that have not ended by themselves.
func (s *step) unlisted(text string, list []cert.Revocation) []string {
	has := map[string]bool{}
	if made := cert.ParseCRL(text); made != nil {
		for _, entry := range made.RevokedCertificateEntries {
			has[cert.SerialText(entry.SerialNumber)] = true
		}
	}
	var missing []string
	for _, one := range list {
		if !has[one.Serial] && (one.Ends.IsZero() || s.now.Before(one.Ends)) {
			missing = append(missing, one.Serial)
		}
	}
	return missing
}
