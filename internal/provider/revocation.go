// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// Keys of the peer application bag that tell what is revoked, each followed by the CA's generation. They are no secret
// and follow leadership, so that no leader ever forgets, or numbers a list lower than one before it.
const (
	revokedPrefix = "revoked." // JSON list of cert.Revocation
	crlPrefix     = "crl."     // PEM
)

func revokedKey(generation int) string { return fmt.Sprintf("%s%d", revokedPrefix, generation) }

func crlKey(generation int) string { return fmt.Sprintf("%s%d", crlPrefix, generation) }

const (
	listLife      = 7 * 24 * time.Hour  // of a revocation list; it is signed anew at half of that
	responderLife = 30 * 24 * time.Hour // of the certificate that OCSP responses are signed with
)

// readRevoked reads what is revoked. What cannot be read stays as it is, and is said.
func (s *step) readRevoked() {
	s.revoked, s.unread = map[int][]cert.Revocation{}, map[int]bool{}
	for key, text := range s.peers.OwnApp {
		number, found := strings.CutPrefix(key, revokedPrefix)
		generation, err := strconv.Atoi(number)
		if !found || err != nil {
			continue
		}
		list := s.memory.readRevoked(text)
		if list == nil {
			s.report(juju.Blocked, "the record of revoked certificates of CA %d is unreadable: restore it from a backup", generation)
			s.unread[generation] = true
			continue
		}
		s.revoked[generation] = list
	}
}

// revocationOf tells why a certificate is revoked; false when it is not.
func (s *step) revocationOf(generation int, serial string) (cert.Revocation, bool) {
	list := s.revoked[generation]
	at, found := slices.BinarySearchFunc(list, serial, func(one cert.Revocation, serial string) int {
		return strings.Compare(one.Serial, serial)
	})
	if !found {
		return cert.Revocation{}, false
	}
	return list[at], true
}

// sortRevoked puts a list in the order in which it is written, as others may not have.
func sortRevoked(list []cert.Revocation) {
	slices.SortStableFunc(list, func(a, b cert.Revocation) int { return strings.Compare(a.Serial, b.Serial) })
}

// heldBefore reports whether a certificate of a CA that is gone was revoked for good.
func (s *step) heldBefore(serial string, ask dialect.Ask) bool {
	for generation := range s.revoked {
		if revoked, found := s.revocationOf(generation, serial); found && holds(revoked.Reason, ask) {
			return true
		}
	}
	return false
}

// revoke notes that a certificate must no longer be trusted; false when that was known.
func (s *step) revoke(generation int, one cert.Revocation) bool {
	if _, known := s.revocationOf(generation, one.Serial); known {
		return false
	}
	one.Time = s.now.UTC().Truncate(time.Second)
	s.addRevoked(generation, one)
	s.decision.Entries = append(s.decision.Entries, ledger.Entry{
		Time: s.now, Event: ledger.Revoked, Generation: generation, Serial: one.Serial, Reason: string(one.Reason),
	})
	return true
}

func (s *step) addRevoked(generation int, more ...cert.Revocation) {
	s.newlyRevoked = true
	list := append(slices.Clone(s.revoked[generation]), more...)
	sortRevoked(list)
	s.revoked[generation] = slices.CompactFunc(list, func(a, b cert.Revocation) bool { return a.Serial == b.Serial })
}

// departed revokes what was published to units that are gone. A signing request that goes while another one asks for the
// same is a renewal.
func (s *step) departed(before juju.Relation, after juju.OwnBags, asks []dialect.Ask) {
	if !s.settings.RevokeOnDeparture {
		return
	}
	renewed := func(held dialect.Held) bool {
		return held.Dialect == dialect.CSR && slices.ContainsFunc(asks, func(ask dialect.Ask) bool {
			return ask.CommonName == held.Leaf.Subject.CommonName && (ask.CommonName != "" || ask.Names.Equal(cert.NamesOf(held.Leaf)))
		})
	}
	left, places := before, map[string]bool{}
	left.OwnUnit, left.OwnApp = after.Unit, after.App
	stays := map[string]bool{} // by serial number: one certificate may stand in several places
	memory := s.memory.of(before.ID)
	for _, held := range memory.Inventory(left) {
		stays[cert.SerialText(held.Leaf.SerialNumber)] = true
		places[held.Place] = true
	}
	for _, held := range memory.Inventory(before) {
		serial := cert.SerialText(held.Leaf.SerialNumber)
		if by, _, ours := s.issuerOf(held.Leaf); ours && !stays[serial] && !places[held.Place] && !held.Revoked && !renewed(held) {
			s.revoke(by.Generation, cert.Revocation{
				Serial: serial, Reason: cert.CessationOfOperation, Ends: held.Leaf.NotAfter.UTC(),
			})
		}
	}
}

// publishRevoked writes down what is revoked, and has a list signed for each CA whose certificates may be asked about:
// where lists are served, and wherever anything was ever revoked.
func (s *step) publishRevoked() {
	bag := s.peerBag()
	known := map[string]bool{}
	onRecord := map[int]bool{}
	for _, one := range s.record.slots() {
		onRecord[one.Generation] = true
		known[crlKey(one.Generation)], known[revokedKey(one.Generation)] = true, true
	}
	for generation := range s.unread {
		known[revokedKey(generation)] = true
	}
	for generation := range s.revoked { // what is revoked for good outlives its CA
		revoked := revokedKey(generation)
		known[revoked] = true
		if list := s.remembered(generation, onRecord[generation]); len(list) > 0 {
			if text, err := json.Marshal(list); err == nil {
				bag[revoked] = string(text)
			}
		} else {
			delete(bag, revoked)
		}
	}
	for _, member := range s.members() {
		crl, list := crlKey(member.Generation), s.listed(member.Generation)
		if s.unread[member.Generation] {
			continue // a list without what cannot be read would take it back
		}
		switch {
		case member.Hand: // whoever signs with it lists what is revoked
		case member.Vault != nil:
			s.fetchList(bag, crl, member, list)
		case s.settings.Listen != "" || len(list) > 0 || bag[crl] != "":
			s.signList(bag, crl, member, list)
		}
	}
	maps.DeleteFunc(bag, func(key, _ string) bool { // of CAs that have retired for good
		return (strings.HasPrefix(key, crlPrefix) || strings.HasPrefix(key, revokedPrefix)) && !known[key]
	})
}

// listed is what the list of a CA has to say: what ended by itself is left out once a list has said it after that
// (RFC 5280, 3.3).
func (s *step) listed(generation int) []cert.Revocation {
	return slices.DeleteFunc(slices.Clone(s.revoked[generation]), func(one cert.Revocation) bool { return s.said(generation, one) })
}

// said reports whether a certificate has ended, and a list has said after its end, for as long as a list is good, that it
// was revoked. A clock that is ahead for a moment makes nobody forget it.
func (s *step) said(generation int, one cert.Revocation) bool {
	if one.Ends.IsZero() || !s.now.After(one.Ends.Add(2*listLife)) {
		return false
	}
	standing := s.memory.parseList(s.peers.OwnApp[crlKey(generation)])
	return standing != nil && standing.ThisUpdate.After(one.Ends) && s.now.After(standing.ThisUpdate.Add(listLife/2))
}

// remembered is what is to be written down: besides that, what was revoked for good and asked for again, and keys that are
// not to be certified again. These outlive their CA.
func (s *step) remembered(generation int, onRecord bool) []cert.Revocation {
	list := slices.Clone(s.revoked[generation])
	for i := range list {
		list[i].Held = list[i].Held || s.withheld[list[i].Serial]
	}
	return slices.DeleteFunc(list, func(one cert.Revocation) bool {
		over := !onRecord || s.said(generation, one)
		return over && one.Key == "" && !one.Held
	})
}

// compromised reports whether a request is for a key that was revoked as compromised.
func (s *step) compromised(text string) bool {
	request, err := cert.ParseRequest(text)
	if err != nil {
		return false
	}
	hash, err := cert.KeyHash(request.PublicKey)
	for _, list := range s.revoked {
		for _, one := range list {
			if err == nil && one.Key == hash {
				return true
			}
		}
	}
	return false
}

// signList has a list signed when what it says changed, or half of its life is over.
func (s *step) signList(bag juju.Bag, key string, a authority, list []cert.Revocation) {
	standing := s.memory.parseList(bag[key])
	number := s.now.Unix() // so that it grows even past a backup that is older than what was published
	if standing != nil {
		renew := standing.NextUpdate.Add(-listLife / 2)
		// One that another CA of this generation signed, which a restored one took the place of, is none.
		ours := s.memory.signed(bag[key], a)
		if ours && lists(standing, list) && s.now.Before(renew) && !s.early(standing.ThisUpdate) {
			s.wake(renew)
			return
		}
		if standing.Number.IsInt64() {
			number = max(number, standing.Number.Int64()+1)
		}
	}
	if !s.signing {
		return
	}
	wanted := order.SignCRL{Signer: s.signerOf(a), Number: number, Revoked: list, Update: s.notBefore(), Life: listLife + backdate}
	answer, done := s.obtain(wanted)
	switch {
	case done:
		bag[key] = answer.CRL
		s.wake(s.now.Add(listLife / 2))
	case answer.Failure != nil:
		s.report(juju.Waiting, "cannot sign the revocation list of CA %d: %s", a.Generation, answer.Failure.Message)
		s.wake(s.now.Add(retry))
	}
}

// parseList reads a revocation list; nil when there is none that can be read and has a number.
func (m *Memory) parseList(text string) *x509.RevocationList {
	return m.lists.Get(text, func() *x509.RevocationList {
		if list := cert.ParseCRL(text); list != nil && list.Number != nil {
			return list
		}
		return nil
	})
}

// signed reports whether a revocation list is signed with a CA's key.
func (m *Memory) signed(text string, a authority) bool {
	return m.signatures.Get(signedList{text, a.Certificate}, func() bool {
		list := m.parseList(text)
		return list != nil && list.CheckSignatureFrom(a.certificate) == nil
	})
}

// readRevoked reads what is revoked; nil where it is unreadable. In what others wrote it may be in another order.
func (m *Memory) readRevoked(text string) []cert.Revocation {
	return m.revoked.Get(text, func() []cert.Revocation {
		list := []cert.Revocation{}
		if json.Unmarshal([]byte(text), &list) != nil {
			return nil
		}
		sortRevoked(list)
		return append(make([]cert.Revocation, 0, len(list)), list...) // not nil where it is null
	})
}

// lists reports whether a signed list says exactly this.
func lists(signed *x509.RevocationList, list []cert.Revocation) bool {
	if len(signed.RevokedCertificateEntries) != len(list) {
		return false
	}
	wanted := map[string]cert.Revocation{}
	for _, one := range list {
		wanted[one.Serial] = one
	}
	for _, entry := range signed.RevokedCertificateEntries {
		one, found := wanted[cert.SerialText(entry.SerialNumber)]
		if !found || one.Reason.Code() != entry.ReasonCode || !one.Time.Equal(entry.RevocationTime) {
			return false
		}
	}
	return true
}

// Secrets of OCSP responders, "ocsp-<generation>", have the members of the CAs' own.
func responderLabel(generation int) string { return fmt.Sprintf("ocsp-%d", generation) }

// keepResponder sees to a certificate with which every unit signs OCSP responses (RFC 6960, 4.2.2.2), so that no program
// that strangers talk to needs the CA's key. A model without secrets has no place for it.
func (s *step) keepResponder(a authority) {
	if s.settings.Listen == "" || !s.snap.CanSecrets || !s.signing || a.Hand || a.Vault != nil && !s.vaultSigns(a) {
		return
	}
	label := responderLabel(a.Generation)
	secret, found := s.snap.Secret(label)
	if found && secret.Content == nil {
		return
	}
	replaces := ""
	if standing, err := cert.Parse(secret.Content[certMember]); err == nil && cert.IssuedBy(standing, a.certificate) {
		renew := cert.RenewAt(standing)
		if s.now.Before(renew) && !s.early(standing.NotBefore) {
			s.wake(renew)
			return
		}
		if a.certificate.NotAfter.Sub(standing.NotAfter) <= responderLife/20 { // it lasts as long as its CA
			return
		}
		replaces = cert.SerialText(standing.SerialNumber)
	}
	keyType := cert.P256
	if a.certificate.PublicKeyAlgorithm == x509.RSA { // whoever verifies its signatures can verify these too
		keyType = cert.RSA2048
	}
	name := []rune("OCSP responder of " + a.certificate.Subject.CommonName)
	answer, done := s.obtain(order.Sign{
		For: fmt.Sprintf("OCSP responder of CA %d", a.Generation), Ask: fmt.Sprintf("ocsp/%d", a.Generation),
		Spec: cert.Spec{
			Kind: cert.Responder, CommonName: string(name[:min(len(name), cert.MaxCommonName)]), Life: responderLife,
		},
		KeyType: keyType, Replaces: replaces, Signer: s.signerOf(a), NotBefore: s.notBefore(),
	})
	switch {
	case done:
		s.decision.Secrets = append(s.decision.Secrets, juju.Secret{
			Label: label, Owner: juju.OwnedByApplication,
			Content: map[string]string{keyMember: answer.Issued.Key.Reveal(), certMember: answer.Issued.Certificate},
		})
	case answer.Failure != nil:
		s.report(juju.Waiting, "cannot certify the OCSP responder of CA %d: %s", a.Generation, answer.Failure.Message)
		s.tryAgain(answer)
	}
}
