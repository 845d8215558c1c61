// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"github.com/signet-charm/signet/internal/cert"
)

// Serve is what everybody may ask this unit for over HTTP.
type Serve struct {
	Listen      string // address and port; empty to serve nothing
	Authorities []Served
}

// Served is one CA: its certificate, its revocation list and what its OCSP responses are signed with.
type Served struct {
	Generation   int
	Certificate  string // PEM
	CRL          string // PEM; empty when there is none yet
	Responder    string // PEM
	ResponderKey cert.Key
}

// serveOthers says what this unit serves once the turn is committed: what then stands in the peer relation and in
// secrets, so that all units serve the same.
func (s *step) serveOthers() {
	if s.settings.Listen == "" {
		return
	}
	bag := s.peers.OwnApp
	if s.snap.Leader { // as it stands once this turn is committed
		bag = s.peerBag()
	}
	for _, member := range s.members() {
		secret, _ := s.snap.Secret(responderLabel(member.Generation))
		for _, fresh := range s.decision.Secrets {
			if fresh.Label == responderLabel(member.Generation) {
				secret = fresh
			}
		}
		s.decision.Serve.Authorities = append(s.decision.Serve.Authorities, Served{
			Generation:   member.Generation,
			Certificate:  member.Certificate,
			CRL:          bag[crlKey(member.Generation)],
			Responder:    secret.Content[certMember],
			ResponderKey: cert.NewKey(secret.Content[keyMember]),
		})
	}
}
