// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// Where the authority is written down. The peer application bag follows leadership; the key lies in an application
// owned secret of its own for each generation, so that its content never changes.
const (
	authorityKey    = "authority" // peer application bag: JSON of slots
	SealLabel       = "seal"      // secret: content member "key", 32 bytes as base64
	SealMember      = "key"
	keyMember       = "private-key"
	certMember      = "certificate"
	firstGeneration = 1
)

// slots are the CAs of an application: the one that signs now.
type slots struct {
	Current slot `json:"current"`
}

type slot struct {
	Generation  int      `json:"generation"`
	Certificate string   `json:"certificate"`
	Issuers     []string `json:"issuers,omitempty"`
}

func authorityLabel(generation int) string { return fmt.Sprintf("ca-%d", generation) }

// findSigner gives the authority in force, or orders one to be made on first leadership. Without one it reports why
// and gives false.
func (s *step) findSigner() bool {
	peers, found := s.snap.Peers()
	if !found {
		s.report(juju.Waiting, "waiting for the peer relation")
		return false
	}
	s.peers = peers
	written := peers.OwnApp[authorityKey]
	switch {
	case written != "":
		return s.readSigner(written)
	case !s.snap.Leader:
		s.report(juju.Waiting, "waiting for the leader to create the CA")
		return false
	}
	return s.foundSigner() && s.recordSigner()
}

func (s *step) readSigner(written string) bool {
	var read slots
	if err := json.Unmarshal([]byte(written), &read); err != nil {
		s.report(juju.Blocked, "the record of the CA in the peer relation is unreadable: restore it from a backup")
		return false
	}
	s.signer.Authority = cert.Authority(read.Current)
	if err := s.adoptCertificate(); err != nil {
		s.report(juju.Blocked, "the CA certificate in the peer relation is unusable: restore it from a backup")
		return false
	}
	if secret, found := s.snap.Secret(authorityLabel(read.Current.Generation)); found {
		s.signer.Key = cert.NewKey(secret.Content[keyMember])
	} else if s.snap.Leader && s.snap.CanSecrets && s.holdsKey() {
		s.rescueKey()
	}
	return true
}

// rescueKey makes the secret of a CA whose key lies on this unit's disk only: the model had no secrets when the CA was
// made, or the secret was removed.
func (s *step) rescueKey() {
	answer, ok := s.obtain(order.FetchKey{Authority: s.signer.Authority})
	if !ok {
		return
	}
	s.signer.Key = answer.Key
	s.keepKey()
}

// keepKey puts the CA's key where every unit and every later leader finds it.
func (s *step) keepKey() {
	s.decision.Secrets = append(s.decision.Secrets, juju.Secret{
		Label:   authorityLabel(s.signer.Generation),
		Owner:   juju.OwnedByApplication,
		Content: map[string]string{keyMember: s.signer.Key.Reveal(), certMember: s.signer.Certificate},
	})
}

// adoptCertificate parses the signer's certificate once for all comparisons.
func (s *step) adoptCertificate() (err error) {
	s.issuer, err = cert.Parse(s.signer.Certificate)
	return err
}

// canSign reports whether this unit may order signatures, and if not, says why in the unit's status.
func (s *step) canSign() bool {
	switch {
	case !s.snap.Leader:
		return false
	case !s.signer.Key.IsZero() || s.holdsKey():
		return true
	case s.snap.CanSecrets && s.secretExists():
		s.report(juju.Waiting, "cannot read the CA's key from secret %s; is its back end reachable?", authorityLabel(s.signer.Generation))
	case s.snap.CanSecrets:
		s.report(juju.Blocked, "the CA's key is lost: secret %s is gone and no copy lies on this unit; restore it from a backup", authorityLabel(s.signer.Generation))
	default:
		s.report(juju.Blocked, "the CA's key lies on another unit, and this model has no secrets to share it: keep one unit, or upgrade to Juju 3")
	}
	return false
}

func (s *step) secretExists() bool {
	_, found := s.snap.Secret(authorityLabel(s.signer.Generation))
	return found
}

// holdsKey reports whether the CA's key lies on this unit's own disk.
func (s *step) holdsKey() bool {
	hash, err := cert.KeyHash(s.issuer.PublicKey)
	held := strings.Fields(s.snap.Local[fmt.Sprintf("authority.%d", s.signer.Generation)])
	return err == nil && slices.Contains(held, hash)
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

// foundSigner gives the first CA: the one whose secret a leader left that got no further than that, else a new one. It
// makes none where there has been one before.
func (s *step) foundSigner() bool {
	label := authorityLabel(firstGeneration)
	secret, found := s.snap.Secret(label)
	switch {
	case found && secret.Content[keyMember] == "":
		s.report(juju.Waiting, "cannot read the CA's key from secret %s; is its back end reachable?", label)
		return false
	case found:
		s.signer = order.Signer{
			Authority: cert.Authority{Generation: firstGeneration, Certificate: secret.Content[certMember]},
			Key:       cert.NewKey(secret.Content[keyMember]),
		}
	case s.hasIssuedBefore():
		s.report(juju.Blocked, "the CA is lost although certificates were issued: restore it from a backup; signet makes no second one by itself")
		return false
	case !s.createSigner():
		return false
	}
	if err := s.adoptCertificate(); err != nil {
		s.report(juju.Blocked, "the new CA's certificate is unusable: %v", err)
		return false
	}
	return true
}

// createSigner has a CA made.
func (s *step) createSigner() bool {
	answer, ok := s.obtain(order.CreateAuthority{
		Generation:    firstGeneration,
		CommonName:    s.caCommonName(firstGeneration),
		Organizations: s.settings.CAOrganizations,
		KeyType:       s.settings.CAKeyType,
		NotBefore:     s.notBefore(),
		Life:          s.settings.CALife,
	})
	switch {
	case ok:
		s.signer = order.Signer{Authority: answer.Authority, Key: answer.Key}
	case answer.Failure != nil:
		s.report(juju.Blocked, "cannot create the CA: %s", answer.Failure.Message)
		s.wake(s.now.Add(retry))
	default:
		s.report(juju.Maintenance, "creating the CA")
	}
	return ok
}

// recordSigner writes the CA down where every unit and every later leader finds it.
func (s *step) recordSigner() bool {
	text, err := json.Marshal(slots{Current: slot(s.signer.Authority)})
	if err != nil {
		s.report(juju.Blocked, "cannot record the CA: %v", err)
		return false
	}
	s.peerBag()[authorityKey] = string(text)
	if s.snap.CanSecrets {
		s.keepKey()
	}
	return true
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

// caCommonName names the CA for people. Where no option says it, it differs by generation: one name with two keys
// confuses path builders.
func (s *step) caCommonName(generation int) string {
	if name := s.settings.CACommonName; name != "" {
		return name
	}
	suffix := fmt.Sprintf(" CA G%d", generation)
	name := []rune(strings.Trim(s.snap.ModelName+" "+s.snap.Application(), " "))
	return string(name[:min(len(name), cert.MaxCommonName-len(suffix))]) + suffix
}
