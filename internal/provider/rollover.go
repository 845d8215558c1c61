// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// A CA is replaced in steps, none of which leaves anybody without whom to trust:
//
//  1. the next CA is made, and certified where it is no root; each of the two vouches for the other
//  2. the next one is published to be trusted, beside the current one
//  3. when all who say so have taken it, or after a time, it signs; what the old one signed is replaced, one unit after
//     the other, and chains hold the certificate by which the old one vouches for it
//  4. when the last certificate of the old one has ended, it is withdrawn

// rollOver lets the replacement of a CA go on as far as it can.
func (s *step) rollOver() {
	if s.current.slot == nil {
		return
	}
	s.undoEarly()
	if s.record.Next == nil && !s.record.Paused && s.rolloverDue() {
		if s.settings.Hand {
			s.report(juju.Waiting, "the CA ends on %s: provide the next one, run provide-certificate with its ca-certificate alone",
				s.current.certificate.NotAfter.Format(time.DateOnly))
		} else {
			s.beginRollover(cert.Subject{})
		}
	}
	if s.next.slot != nil && s.record.Since.IsZero() {
		s.introduce()
	}
	if s.next.slot != nil && !s.record.Since.IsZero() && !s.record.Paused {
		// A clock that is years ahead must not replace the CA of a healthy cluster: past its end, an operator says that it ended.
		ready, expired := s.record.Since.Add(s.trustWait()), s.now.After(s.current.certificate.NotAfter)
		if s.sameRoot() || !expired && (s.everybodyTrusts(s.next) || !s.now.Before(ready)) {
			s.moveOn()
		} else if !expired {
			s.wake(ready)
		}
	}
	if !s.record.Paused {
		s.retire(false)
	}
	if s.record.Next == nil && len(s.record.Retiring) == 0 {
		s.record.Paused = false // there is nothing left to be held up
	}
}

// undoEarly goes back from a CA that was made while the clock was ahead: nobody takes it for valid yet, and the one before
// it has not ended.
func (s *step) undoEarly() {
	if s.next.slot != nil && s.early(s.next.certificate.NotBefore) {
		s.goBack()
	}
	if s.early(s.current.certificate.NotBefore) && s.record.Next == nil && len(s.retiring) > 0 && !s.early(s.retiring[0].certificate.NotBefore) {
		s.goBack()
	}
}

// rolloverDue reports whether the current CA is near its end: what it signs would soon be cut short.
func (s *step) rolloverDue() bool {
	due := s.rolloverAt()
	if len(s.retiring) > 0 && s.retiring[0].certificate.NotAfter.After(s.current.certificate.NotAfter) {
		due = s.current.certificate.NotAfter.Add(-s.leafLife()) // the operator went back to this one: not before there is need
	}
	if s.now.Before(due) {
		s.wake(due)
		return false
	}
	return true
}

// rolloverAt is when twice the life of the certificates that it signs is left to the current CA, or half of its own life
// where that is shorter.
func (s *step) rolloverAt() time.Time {
	ca := s.current.certificate
	return ca.NotAfter.Add(-min(2*s.settings.Life, ca.NotAfter.Sub(ca.NotBefore)/2)).Truncate(time.Second)
}

// leafLife is how long certificates live: never so long that they would need the whole life of their CA.
func (s *step) leafLife() time.Duration {
	if s.current.certificate == nil {
		return s.settings.Life
	}
	half := (s.current.certificate.NotAfter.Sub(s.current.certificate.NotBefore) + time.Second) / 2
	return min(s.settings.Life, half.Truncate(time.Second))
}

// trustWait is how long the next CA is published before it signs, for those who cannot say that they trust it.
func (s *step) trustWait() time.Duration {
	return min(s.settings.TrustWait, max(s.current.certificate.NotAfter.Sub(s.record.Since)/4, 0))
}

// beginRollover has the next CA made.
func (s *step) beginRollover(subject cert.Subject) bool {
	generation := s.generation()
	made, done := s.make(generation, subject)
	if !done {
		return false
	}
	s.record.Next, s.record.Last, s.record.Since = &made, generation, time.Time{}
	return s.parseRecord()
}

// introduce has the two CAs vouch for each other, where they may, and publishes the next one from now on.
func (s *step) introduce() {
	if s.sameRoot() || s.vouch(s.current, s.next) && s.vouch(s.next, s.current) {
		s.record.Since = s.now.UTC().Truncate(time.Second)
	}
}

// sameRoot reports whether everybody who trusts the current CA trusts the next one already.
func (s *step) sameRoot() bool { return s.next.root() == s.current.root() }

// vouch has one CA certify another; true when that is done, or cannot be.
func (s *step) vouch(one, other authority) bool {
	if one.Vault != nil || one.Hand { // which would need the other's key, and identifies keys in its own way
		return true
	}
	// Neither can be certified for a time that is past: after a long sleep the next CA must not wait for the one that it replaces.
	may := cert.CanCross(one.certificate, s.linked(one.certificate, one.Issuers)...) &&
		!s.now.After(one.certificate.NotAfter) && !s.now.After(other.certificate.NotAfter)
	has := slices.ContainsFunc(other.Crosses, func(text string) bool {
		cross, err := cert.Parse(text)
		return err == nil && cert.IssuedBy(cross, one.certificate)
	})
	if !may || has {
		return true
	}
	wanted := order.CrossSign{
		Signer: s.signerOf(one), Generation: other.Generation, Certificate: other.Certificate, NotBefore: s.notBefore(),
	}
	answer, done := s.obtain(wanted)
	if done {
		other.slot.Crosses = append(other.slot.Crosses, answer.Issued.Certificate)
	} else if answer.Failure != nil {
		s.report(juju.Waiting, "cannot cross-certify CA %d: %s", other.Generation, answer.Failure.Message)
		s.wake(s.now.Add(retry))
	}
	return done
}

// everybodyTrusts reports whether all consumers say that they trust a CA. Who is told of it in another way than by a
// relation's answer cannot say so.
func (s *step) everybodyTrusts(a authority) bool {
	asked := false
	for _, relation := range s.snap.On(juju.Provides, dialect.Interface) {
		if relation.Broken || len(relation.RemoteUnits) == 0 && !relation.Partial {
			continue
		}
		asked = true
		if !dialect.Acknowledged(relation, a.root()) {
			return false
		}
	}
	return asked && len(s.snap.On(juju.Provides, dialect.TransferInterface)) == 0
}

// moveOn lets the next CA sign.
func (s *step) moveOn() {
	old := s.record.Current
	old.Until = s.lastLeaf()
	s.record.Retiring = append([]slot{old}, s.record.Retiring...)
	s.record.Current, s.record.Next, s.record.Since = *s.record.Next, nil, time.Time{}
	if s.record.Last == s.record.Current.Generation {
		s.record.Last = 0
	}
	s.parseRecord()
}

// lastLeaf is when the last certificate that the current CA can have signed by now ends, also one that is not shown now.
func (s *step) lastLeaf() time.Time {
	end := s.now.Add(s.leafLife())
	if end.After(s.current.certificate.NotAfter) {
		end = s.current.certificate.NotAfter
	}
	return end.UTC().Truncate(time.Second)
}

// goBack undoes a rollover: the next CA is dropped, or where it signs already, the old one signs again and the new one
// retires in its stead. Both are trusted everywhere then, so nothing breaks.
func (s *step) goBack() {
	if s.record.Next != nil {
		s.record.Next, s.record.Since = nil, time.Time{}
	} else {
		newer := s.record.Current
		newer.Until = s.lastLeaf()
		s.record.Last = max(s.record.Last, newer.Generation)
		s.record.Current = s.record.Retiring[0]
		s.record.Current.Until = time.Time{}
		s.record.Retiring[0] = newer
	}
	s.dropCrosses()
	s.parseRecord()
}

// retire withdraws the CAs whose last certificate has ended, or at once all that nobody has a certificate of.
func (s *step) retire(atOnce bool) {
	var kept []slot
	for _, old := range s.retiring {
		switch {
		case !atOnce && s.now.Before(old.Until):
			s.wake(old.Until)
			kept = append(kept, *old.slot)
		case s.holds(old):
			kept = append(kept, *old.slot)
		}
	}
	if len(kept) == len(s.record.Retiring) {
		return
	}
	s.record.Retiring = kept
	s.dropCrosses()
	s.parseRecord()
}

// holds reports whether a certificate that a CA signed is still published, and not over.
func (s *step) holds(a authority) bool {
	for _, relation := range s.snap.On(juju.Provides, dialect.Interface) {
		if relation.Broken {
			continue
		}
		for _, held := range s.memory.of(relation.ID).Inventory(s.withShelved(relation)) {
			if cert.IssuedBy(held.Leaf, a.certificate) && !s.now.After(held.Leaf.NotAfter) {
				return true
			}
		}
	}
	return false
}

// dropCrosses forgets what CAs vouched that are no longer on record.
func (s *step) dropCrosses() {
	slots := s.record.slots()
	for _, one := range slots {
		one.Crosses = slices.DeleteFunc(slices.Clone(one.Crosses), func(text string) bool {
			cross, err := cert.Parse(text)
			return err != nil || !slices.ContainsFunc(slots, func(other *slot) bool {
				issuer, err := cert.Parse(other.Certificate)
				return err == nil && cert.IssuedBy(cross, issuer)
			})
		})
	}
}

// issuerOf gives the CA on record that signed a certificate.
func (s *step) issuerOf(leaf *x509.Certificate) (by authority, retiring, found bool) {
	if s.current.slot != nil && cert.IssuedBy(leaf, s.current.certificate) {
		return s.current, false, true
	}
	for _, old := range s.retiring {
		if cert.IssuedBy(leaf, old.certificate) {
			return old, true, true
		}
	}
	return authority{}, false, false
}

// outlives notes that a retiring CA is needed as long as a certificate that it signed.
func (a authority) outlives(leaf *x509.Certificate) {
	end := leaf.NotAfter
	if end.After(a.certificate.NotAfter) {
		end = a.certificate.NotAfter
	}
	if end.After(a.slot.Until) {
		a.slot.Until = end.UTC()
	}
}

// trusted are the certificates to trust: the roots of the CA that signs, of those that signed, and of the next one.
func (s *step) trusted() []string {
	var roots []string
	for _, member := range s.members() {
		if root := member.root(); !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	return roots
}

// transferred are the certificates that certificate_transfer tells: what is to be trusted, and what is between.
func (s *step) transferred() []string {
	var all []string
	for _, member := range s.members() {
		all = append(all, member.public().Chain()...)
	}
	return all
}

// issuersOf gives what follows a CA's certificates: where another CA on record vouches for it, the way up to that one,
// which those go who do not know this CA yet, or no longer know it.
func (s *step) issuersOf(a authority) []string {
	for _, text := range a.Crosses {
		cross, err := cert.Parse(text)
		if err != nil {
			continue
		}
		for _, other := range s.members() {
			if other.Generation != a.Generation && cert.IssuedBy(cross, other.certificate) {
				return joined(a.public().Chain(), append([]string{text}, other.public().Chain()...))
			}
		}
	}
	chain := a.public().Chain()
	for _, other := range s.members() {
		// Nobody can vouch: at least the other's root comes along, to be trusted. What some take for the root stays last.
		if root := other.root(); !slices.Contains(chain, root) {
			chain = slices.Insert(chain, len(chain)-1, root)
		}
	}
	return chain
}

// joined puts two ways up into one chain. A root's own certificate is left out: who has it needs no other. An
// intermediate's way stays, and what some take for the root stays last.
func joined(own, other []string) []string {
	if len(own) == 1 && selfSigned(own[0]) {
		return other
	}
	chain := slices.Clone(own[:len(own)-1])
	for _, text := range append(other, own[len(own)-1]) {
		if !slices.Contains(chain, text) {
			chain = append(chain, text)
		}
	}
	return chain
}

// commonChain is what every legacy consumer appends to its certificate, whoever of the CAs signed it.
func (s *step) commonChain() []string {
	var chain []string
	add := func(texts ...string) {
		for _, text := range texts {
			if !slices.Contains(chain, text) {
				chain = append(chain, text)
			}
		}
	}
	for _, member := range s.members() {
		if len(member.Issuers) > 0 {
			add(member.public().Chain()...)
		}
		if len(s.members()) > 1 {
			add(member.Crosses...)
		}
	}
	return chain
}

// rolloverNote says how far the replacement of the CA has come; empty when there is none.
func (s *step) rolloverNote() string {
	var notes []string
	switch {
	case s.record.Next != nil && s.record.Next.Certificate == "":
		notes = append(notes, fmt.Sprintf("CA %d waits to be certified", s.record.Next.Generation))
	case s.record.Next != nil:
		since := s.record.Since
		if since.IsZero() { // it is published in the next turn
			since = s.now.UTC()
		}
		notes = append(notes, fmt.Sprintf("CA %d is to be trusted, and signs from %s",
			s.record.Next.Generation, since.Add(s.trustWait()).Format(time.RFC3339)))
	}
	for _, old := range s.record.Retiring {
		notes = append(notes, fmt.Sprintf("CA %d is trusted until %s", old.Generation, old.Until.Format(time.RFC3339)))
	}
	if len(notes) == 0 {
		if changed := s.planned(); len(changed) > 0 {
			return fmt.Sprintf("a new CA is planned (%s changed): run rotate-ca on the leader", strings.Join(changed, ", "))
		}
		return ""
	}
	if s.record.Paused {
		notes = append(notes, "paused: run rotate-ca step=resume")
	}
	return "rollover: " + strings.Join(notes, ", ")
}

// planned names the options that the next CA will be made by and the current one was not.
func (s *step) planned() []string {
	if s.record.Current.Made == nil {
		return nil
	}
	return s.record.Current.Made.changed(*s.options())
}
