// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// climb shows the requests of the CAs that another CA certifies to whoever is related as such, and takes up what is
// answered. Every unit shows the same requests, so that a provider never sees one go with the unit that leads.
func (s *step) climb() {
	asking := s.asking()
	if s.decision.Climbs = s.settings.Intermediate || len(asking) > 0; !s.decision.Climbs {
		return
	}
	var wants []dialect.Want
	for _, one := range asking {
		request, err := cert.ParseRequest(one.Request)
		if err != nil {
			s.report(juju.Blocked, "the request of CA %d is unreadable: run get-csr force=true", one.Generation)
			return
		}
		wants = append(wants, dialect.Want{Kind: cert.Intermediate, CommonName: request.Subject.CommonName, Request: one.Request})
	}
	for _, relation := range s.snap.On(juju.Requires, dialect.Interface) {
		if relation.Broken {
			continue
		}
		s.decision.Bags[relation.ID] = juju.OwnBags{Unit: dialect.Request(relation, s.snap.Unit, wants, s.upstreamDialects(relation)...)}
		if s.snap.Leader {
			s.takeOffers(relation, wants, asking)
		}
	}
}

// asking are the CAs whose requests are shown: those that a relation certified, as long as they are on record, so that
// nobody takes their certificates for given back; and where that is how CAs are made, those that wait.
func (s *step) asking() []*slot {
	return slices.DeleteFunc(s.record.slots(), func(one *slot) bool {
		return one.Request == "" || !one.Upstream && (!s.settings.Intermediate || one.Certificate != "")
	})
}

// upstreamDialects says how to ask for a CA certificate. In the legacy dialect the CA's key would be made by the provider
// and travel in relation data, so that is asked only of a provider that speaks nothing else, and by one unit; and not for a
// CA whose key Vault keeps.
func (s *step) upstreamDialects(relation juju.Relation) []dialect.Dialect {
	spoken := dialect.Spoken(relation)
	inVault := slices.ContainsFunc(s.record.slots(), func(one *slot) bool { return one.Vault != nil && one.Request != "" })
	if s.snap.Leader && !inVault && slices.Contains(spoken, dialect.Legacy) && !slices.Contains(spoken, dialect.CSR) {
		return []dialect.Dialect{dialect.Legacy, dialect.CSR}
	}
	return []dialect.Dialect{dialect.CSR}
}

func (s *step) reportUncertified() {
	related := slices.ContainsFunc(s.snap.On(juju.Requires, dialect.Interface), func(r juju.Relation) bool { return !r.Broken })
	if related && s.settings.Intermediate {
		s.report(juju.Waiting, "waiting for the CA above to certify this one")
		return
	}
	s.report(juju.Blocked, "this CA is not certified: integrate %s:upstream with a CA, or run get-csr and upload-signed-csr", s.snap.Application())
}

// takeOffers takes up what a provider answers to the requests of CAs.
func (s *step) takeOffers(relation juju.Relation, wants []dialect.Want, asking []*slot) {
	offers, denials := dialect.Offers(relation, s.snap.Unit, wants)
	for _, denial := range denials {
		if !slices.ContainsFunc(s.retiring, func(old authority) bool { return old.Request == denial.Request }) {
			s.report(juju.Waiting, "%s refuses to certify the CA: %s", relation.RemoteApp, denial)
		}
	}
	taken := map[int]bool{}
	for _, offer := range offers {
		one := asking[offer.Want]
		if taken[offer.Want] {
			continue
		}
		retiring := slices.ContainsFunc(s.retiring, func(old authority) bool { return old.Generation == one.Generation })
		if offer.Revoked && retiring { // it is being replaced
			continue
		}
		if offer.Revoked {
			s.report(juju.Blocked, "%s has revoked the certificate of CA %d: run rotate-ca", relation.RemoteApp, one.Generation)
			continue
		}
		done, err := s.takeOffer(one, offer)
		if err != nil {
			s.report(juju.Waiting, "%s offers an unusable certificate for CA %d: %v", relation.RemoteApp, one.Generation, err)
			continue
		}
		taken[offer.Want] = done
	}
	if len(taken) > 0 {
		s.parseRecord()
	}
}

// takeOffer takes up one answer; false while that is not done. A key that came with it takes the place of the one that was
// made for the request.
func (s *step) takeOffer(one *slot, offer dialect.Offer) (bool, error) {
	if offer.Dialect == dialect.Legacy && one.Vault != nil {
		return false, errors.New("it came with a key of its own, but Vault keeps the CA's: integrate a provider that signs requests")
	}
	if offer.Dialect == dialect.Legacy && one.Certificate != "" && one.Certificate != offer.Issued.Certificate {
		return false, errors.New("it has another key than the CA in service: run rotate-ca to take it up")
	}
	request, err := cert.ParseRequest(one.Request)
	if err != nil {
		return false, err
	}
	public := request.PublicKey
	if offer.Dialect == dialect.Legacy {
		private, err := cert.ParseKey(offer.Issued.Key)
		if err != nil {
			return false, err
		}
		public = private.Public()
	}
	leaf, err := cert.Parse(offer.Issued.Certificate)
	if err != nil {
		return false, err
	}
	above := s.linked(leaf, offer.Issued.Issuers, one.Issuers, offer.Trust)
	if err := cert.CheckAuthority(leaf, above, public, s.now); err != nil {
		return false, err
	}
	fresh := one.Certificate != cert.EncodeCertificates(leaf)
	if one.Vault != nil && fresh {
		if done, err := s.installInVault(one, cert.EncodeCertificates(leaf), encodeAll(above)); !done {
			return false, err
		}
	}
	one.Certificate, one.Issuers, one.Upstream = cert.EncodeCertificates(leaf), encodeAll(above), true
	if offer.Dialect == dialect.Legacy && fresh {
		s.keepKey(*one, offer.Issued.Key)
	}
	return true, nil
}

// linked puts the certificates above a CA in order, out of all that are known: what came with it, what was known before,
// and what other charms say to trust, for a root may arrive later than the rest.
func (s *step) linked(certificate *x509.Certificate, texts ...[]string) []*x509.Certificate {
	var pool []*x509.Certificate
	for _, text := range slices.Concat(texts...) {
		if parsed, err := cert.ParseCertificates(text); err == nil {
			pool = append(pool, parsed...)
		}
	}
	for _, relation := range s.snap.On(juju.Requires, dialect.TransferInterface) {
		received, _ := dialect.ReadTransfer(relation)
		for _, text := range received {
			if parsed, err := cert.ParseCertificates(text); err == nil {
				pool = append(pool, parsed...)
			}
		}
	}
	return cert.Issuers(certificate, pool)
}

func encodeAll(certificates []*x509.Certificate) []string {
	var texts []string
	for _, c := range certificates {
		texts = append(texts, cert.EncodeCertificates(c))
	}
	return texts
}

// install takes up a CA certificate that an operator had signed, with what is above it: for the request that waits, or
// for the key of a CA in service. It gives nothing while Vault is being told, which is told nothing of a trial.
func (s *step) install(certificates []*x509.Certificate, trial bool) (*slot, error) {
	var one *slot
	var leaf *x509.Certificate
	for _, candidate := range []*slot{s.record.Next, &s.record.Current} {
		if candidate == nil || candidate.Generation == 0 || candidate.Request == "" && candidate.Certificate == "" {
			continue
		}
		public, err := candidate.publicKey()
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(certificates, func(c *x509.Certificate) bool { return cert.SameKey(c.PublicKey, public) })
		if at >= 0 {
			one, leaf = candidate, certificates[at]
			break
		}
	}
	if one == nil {
		return nil, errors.New("none of the certificates is for the key of this CA's request: run get-csr and have what it gives signed")
	}
	text := cert.EncodeCertificates(leaf)
	if err := s.checkUncertified(*one, text); err != nil {
		return nil, err
	}
	above := s.linked(leaf, encodeAll(certificates), one.Issuers)
	if err := s.checkInstalled(leaf, above, certificates); err != nil {
		return nil, err
	}
	if one.Vault != nil && one.Certificate != text && !trial {
		if done, err := s.installInVault(one, text, encodeAll(above)); !done {
			return nil, err
		}
	}
	one.Upstream = one.Upstream && one.Certificate == text // else the next relation would be shown its request
	one.Certificate, one.Issuers = text, encodeAll(above)
	s.parseRecord()
	return one, nil
}

// checkUncertified says why a CA's certificate cannot be replaced by hand: because a relation certifies that CA, which would
// put its own certificate back at once. The same one may come again, with a root that was missing.
func (s *step) checkUncertified(one slot, text string) error {
	for _, relation := range s.snap.On(juju.Requires, dialect.Interface) {
		if one.Upstream && one.Certificate != text && !relation.Broken {
			return fmt.Errorf("%s certifies CA %d over a relation and would put its own certificate back: run juju remove-relation %s:%s %s first",
				relation.RemoteApp, one.Generation, s.snap.Application(), relation.Endpoint.Name, relation.RemoteApp)
		}
	}
	return nil
}

func (s slot) publicKey() (any, error) {
	if s.Certificate != "" {
		certificate, err := cert.Parse(s.Certificate)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	}
	request, err := cert.ParseRequest(s.Request)
	if err != nil {
		return nil, err
	}
	return request.PublicKey, nil
}

// checkInstalled says why a certificate that an operator uploads cannot be taken.
func (s *step) checkInstalled(leaf *x509.Certificate, above, given []*x509.Certificate) error {
	if err := cert.CheckAuthority(leaf, above, leaf.PublicKey, s.now); err != nil {
		return err
	}
	for _, c := range given {
		if !c.Equal(leaf) && !slices.ContainsFunc(above, c.Equal) && !cert.SelfSigned(c) {
			return fmt.Errorf("the chain has a gap: %q is not above the certificate: give every CA from this one's up to the root",
				c.Subject)
		}
	}
	top := leaf
	if len(above) > 0 {
		top = above[len(above)-1]
	}
	if !cert.SelfSigned(top) && slices.ContainsFunc(given, cert.SelfSigned) {
		return fmt.Errorf("the chain has a gap: who signed %q is missing between it and the root", top.Subject)
	}
	if cert.SelfSigned(leaf) {
		return errors.New("it is signed with its own key: have the request signed by another CA")
	}
	if s.settings.Policy.HasIntermediates() && !cert.CanCross(leaf, above...) {
		return errors.New("its path length allows no CA below it, but intermediate-applications or policy-rules name applications that " +
			"ask this CA for CA certificates: have it signed with a path length of 1, or take them out")
	}
	if rest := leaf.NotAfter.Sub(s.now); rest < 2*s.settings.Life {
		return fmt.Errorf("it ends in %d days, but certificates live %d: have it signed for at least twice that, or lower certificate-validity",
			int(rest/(24*time.Hour)), int(s.settings.Life/(24*time.Hour)))
	}
	return nil
}
