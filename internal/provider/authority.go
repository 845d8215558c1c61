// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"fmt"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// findSigner gives the authority in force, or orders one to be made on first leadership, and lets its life go on. Without
// one that can be shown it reports why and gives false.
func (s *step) findSigner() bool {
	s.decision.Climbs = true // until it is known whose the relations are, what they show stays
	peers, found := s.snap.Peers()
	if !found {
		s.report(juju.Waiting, "waiting for the peer relation")
		return false
	}
	s.peers = peers
	if written := peers.OwnApp[authorityKey]; written != "" && !s.readRecord(written) {
		s.damaged = true
	}
	s.readRevoked()
	s.readWishes()
	s.act()
	if s.damaged {
		return false
	}
	if s.record.Current.Generation == 0 && !s.found() {
		return false
	}
	if s.snap.Leader {
		s.consult()
		s.replaceUncertified()
		if !s.replaceUnused() {
			return false
		}
		if s.record.Current.Made == nil {
			s.record.Current.Made = s.options()
		}
		s.rescueKey()
	}
	s.climb()
	if s.snap.Leader {
		s.rollOver()
	}
	if s.current.slot == nil && !s.byHand() {
		s.reportUncertified()
	}
	return s.current.slot != nil || s.byHand()
}

// replaceUncertified makes a root of a first CA that waits to be certified where that is not wanted any more.
func (s *step) replaceUncertified() {
	waits := s.record.Current.Certificate == "" && s.record.Current.Request != ""
	byOption := s.record.Current.Made != nil && s.record.Current.Made.Intermediate
	if !waits || !byOption || s.settings.Intermediate || s.snap.Action != nil {
		return
	}
	if made, done := s.make(s.generation(), cert.Subject{}); done {
		s.record = record{Current: made}
		s.parseRecord()
	}
}

// replaceUnused makes another CA at once when authority says that CAs are made elsewhere, and nothing was issued by now:
// there is nobody who would have to trust both. False means that this is not done, and that nothing may be issued before.
func (s *step) replaceUnused() bool {
	was, now := s.record.Current.Made, s.options()
	moved := was != nil && (was.Intermediate != now.Intermediate || was.Vault != now.Vault || was.Hand != now.Hand)
	if !moved || s.record.Next != nil || len(s.record.Retiring) > 0 || s.snap.Action != nil || s.adoptedCA() || !s.unused() {
		return true
	}
	made, done := s.make(s.freeGeneration(), cert.Subject{})
	if !done {
		return false
	}
	s.record = record{Current: made}
	return s.parseRecord()
}

// adoptedCA reports whether the CA was another program's, whom others may trust.
func (s *step) adoptedCA() bool { return !s.record.Current.Adopted.IsZero() }

// found makes sure that there is a first CA.
func (s *step) found() bool {
	if !s.snap.Leader {
		s.report(juju.Waiting, "waiting for the leader to create the CA")
		return false
	}
	if taken, done := s.takeOver(); taken {
		return done && s.parseRecord()
	}
	label := authorityLabel(firstGeneration)
	secret, found := s.snap.Secret(label)
	switch {
	case found && secret.Content[keyMember] == "":
		s.report(juju.Waiting, "cannot read the CA's key from secret %s; is its back end reachable?", label)
		return false
	case found: // of a leader that got no further than that
		s.record.Current = slot{
			Generation: firstGeneration, Certificate: secret.Content[certMember], Request: secret.Content[requestMember],
		}
		s.keepKey(s.record.Current, cert.NewKey(secret.Content[keyMember]))
	case s.hasIssuedBefore() && s.settings.Hand:
		s.report(juju.Blocked, "it is not known which CA issued what is published: run provide-certificate with its ca-certificate")
		return false
	case s.hasIssuedBefore() && !s.settings.Vault.Use: // which has its CA still
		s.report(juju.Blocked, "the CA is lost although certificates were issued: restore it from a backup; signet makes no second one by itself")
		return false
	default:
		made, done := s.make(firstGeneration, cert.Subject{})
		if !done {
			return false
		}
		s.record.Current = made
	}
	return s.parseRecord()
}

// hasIssuedBefore looks for certificates of a CA that is no longer on record.
func (s *step) hasIssuedBefore() bool {
	for _, relation := range s.snap.On(juju.Provides, dialect.Interface) {
		if relation.OwnUnit["ca"] != "" || relation.OwnApp["certificates"] != "" {
			return true
		}
	}
	return false
}

// make has a CA made: a root, or the request for one that another CA certifies.
func (s *step) make(generation int, subject cert.Subject) (slot, bool) {
	request := s.settings.Intermediate || subject.CommonName != ""
	if subject.CommonName == "" {
		subject.CommonName, subject.Organizations = s.caCommonName(generation), s.settings.CAOrganizations
	}
	if s.settings.Hand {
		return s.expectCA(generation), true
	}
	if s.settings.Vault.Use {
		return s.makeInVault(generation, subject, request)
	}
	var wanted order.Order = order.CreateAuthority{
		Generation:    generation,
		CommonName:    subject.CommonName,
		Organizations: subject.Organizations,
		KeyType:       s.settings.CAKeyType,
		NotBefore:     s.notBefore(),
		Life:          s.settings.CALife,
	}
	if request {
		wanted = order.RequestAuthority{Generation: generation, Subject: subject, KeyType: s.settings.CAKeyType}
	}
	answer, ok := s.obtain(wanted)
	switch {
	case ok:
		made := slot{
			Generation: generation, Certificate: answer.Authority.Certificate, Request: answer.Request, Made: s.options(),
		}
		s.keepKey(made, answer.Key)
		return made, true
	case answer.Failure != nil:
		s.report(juju.Blocked, "cannot create the CA: %s", answer.Failure.Message)
		s.wake(s.now.Add(retry))
	default:
		s.report(juju.Maintenance, "creating the CA")
	}
	return slot{}, false
}

// rescueKey makes the secret of a CA whose key lies on this unit's disk only: the model had no secrets when the CA was
// made, or the secret was removed.
func (s *step) rescueKey() {
	if s.keyless() || !s.snap.CanSecrets || s.secretExists() || !s.keys[s.current.Generation].IsZero() || !s.holdsKey(s.current) {
		return
	}
	if answer, ok := s.obtain(order.FetchKey{Authority: s.current.public()}); ok {
		s.keepKey(*s.current.slot, answer.Key)
		s.signer.Key = answer.Key
	}
}

// canSign reports whether this unit may order signatures, and if not, says why in the unit's status.
func (s *step) canSign() bool {
	if !s.snap.Leader || s.byHand() {
		return s.snap.Leader
	}
	label := authorityLabel(s.current.Generation)
	switch {
	case s.current.Vault != nil:
		return s.vaultSigns(s.current) // else that is reported
	case !s.signer.Key.IsZero() || s.holdsKey(s.current):
		return true
	case s.snap.CanSecrets && s.secretExists():
		s.report(juju.Waiting, "cannot read the CA's key from secret %s; is its back end reachable?", label)
	case s.snap.CanSecrets:
		s.report(juju.Blocked, "the CA's key is lost: secret %s is gone and no copy lies on this unit; restore it from a backup", label)
	default:
		s.report(juju.Blocked, "the CA's key lies on another unit, and this model has no secrets to share it: keep one unit, or upgrade to Juju 3")
	}
	return false
}

func (s *step) secretExists() bool {
	_, found := s.snap.Secret(authorityLabel(s.current.Generation))
	return found
}

// ensureSeal has the secret made under which private keys travel through the peer relation.
func (s *step) ensureSeal() bool {
	if !s.snap.CanSecrets {
		return false
	}
	if secret, found := s.snap.Secret(SealLabel); found {
		if secret.Content[SealMember] == "" {
			s.report(juju.Waiting, "cannot read secret %s: private keys of the legacy dialect cannot be shared between units", SealLabel)
			return false
		}
		return true
	}
	if !s.snap.Leader {
		return false
	}
	answer, ok := s.obtain(order.MakeSecret{Label: SealLabel})
	if !ok {
		return false
	}
	s.decision.Secrets = append(s.decision.Secrets, juju.Secret{
		Label:   SealLabel,
		Owner:   juju.OwnedByApplication,
		Content: map[string]string{SealMember: answer.Key.Reveal()},
	})
	return true
}

// caCommonName names a CA for people. It differs by generation: one name with two keys confuses path builders.
func (s *step) caCommonName(generation int) string {
	suffix := fmt.Sprintf(" CA G%d", generation)
	base := strings.Trim(s.snap.ModelName+" "+s.snap.Application(), " ")
	if option := s.settings.CACommonName; option != "" {
		if generation == firstGeneration {
			return option
		}
		base, suffix = option, fmt.Sprintf(" G%d", generation)
	}
	name := []rune(base)
	return string(name[:min(len(name), cert.MaxCommonName-len(suffix))]) + suffix
}
