// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/order"
)

// spec says what the certificate for an ask shall say.
func (s *step) spec(ask dialect.Ask) (cert.Spec, error) {
	spec := cert.Spec{Kind: ask.Kind, CommonName: ask.CommonName, Names: ask.Names, Request: ask.Request, Life: s.leafLife(), Points: s.points()}
	if ask.Dialect == dialect.CSR {
		return s.specOfRequest(spec, ask)
	}
	switch ask.Kind {
	case cert.Client:
		spec.ClientAuth = true
	case cert.Intermediate:
		spec.Life, spec.Names = s.authorityLife(), cert.Names{}
	default:
		spec.ServerAuth = true
		// etcd and OVN use their server certificates as clients among themselves.
		spec.ClientAuth = len(s.settings.StrictServerUsage) == 0 || slices.Contains(s.settings.StrictServerUsage, ask.App)
		// Verifiers look at the alternative names only (RFC 6125, 6.4.4), so the common name has to be one of them.
		if name, err := cert.ParseNames([]string{ask.CommonName}); err == nil {
			spec.Names = spec.Names.With(name)
		}
	}
	if len([]rune(spec.CommonName)) > cert.MaxCommonName {
		if spec.Names.Len() == 0 {
			return cert.Spec{}, fmt.Errorf("the common name has more than %d characters and there is no alternative name", cert.MaxCommonName)
		}
		spec.CommonName = ""
	}
	return spec, nil
}

// authorityLife is how long a CA below this one lives.
func (s *step) authorityLife() time.Duration { return s.settings.CALife / 2 }

// specOfRequest takes from a request the usages it may have: those it asks for, else serverAuth. One that asks for
// clientAuth alone is a client certificate.
func (s *step) specOfRequest(spec cert.Spec, ask dialect.Ask) (cert.Spec, error) {
	request, err := s.memory.of(ask.Relation).ParseRequest(spec.Request)
	if err != nil {
		return cert.Spec{}, err
	}
	spec.CommonName, spec.Names = "", cert.Names{}
	if spec.Kind == cert.Intermediate {
		spec.Life = s.authorityLife()
		return spec, nil
	}
	spec.ServerAuth, spec.ClientAuth = cert.RequestedUsages(request)
	switch {
	case spec.ClientAuth && !spec.ServerAuth:
		spec.Kind = cert.Client
	case !spec.ClientAuth:
		spec.ServerAuth = true
	}
	return spec, nil
}

// sign is the order for an ask's next certificate. A private key made here is certified again when only names change
// or time has passed: consumers then restart less, and pinned keys stay good.
func (s *step) sign(ask dialect.Ask, spec cert.Spec, why verdict) order.Sign {
	wanted := order.Sign{
		For:       fmt.Sprintf("relation %d %s %s", ask.Relation, ask.Unit, describe(ask)),
		Asker:     order.Asker{Relation: ask.Relation, App: ask.App, Unit: ask.Unit},
		Ask:       string(ask.ID()),
		Spec:      spec,
		Replaces:  why.serial,
		Signer:    s.signer,
		NotBefore: s.notBefore(),
	}
	if ask.Dialect == dialect.Legacy {
		wanted.KeyType = s.settings.KeyType
		if (why.kept == s.settings.KeyType || why.adopted) && !(why.due && (s.settings.RotateKeys || why.rekey)) {
			wanted.Key = why.key
		}
	}
	return wanted
}

// points are the URLs at which the revocation lists, the responder and the certificate of the current CA are to be
// found: those of the option, else of every unit that says where it can be reached; none where nothing is served.
func (s *step) points() cert.Points {
	if s.current.slot == nil || s.current.Vault != nil || s.current.Hand { // Vault puts its own (config/urls)
		return cert.Points{}
	}
	return s.pointsOf(s.current.Generation)
}

func (s *step) pointsOf(generation int) cert.Points {
	if s.settings.Listen == "" {
		return cert.Points{}
	}
	var points cert.Points
	for _, base := range s.bases() {
		points.CRL = append(points.CRL, fmt.Sprintf("%s/crl/%d.crl", base, generation))
		points.OCSP = append(points.OCSP, base+"/ocsp")
		points.Issuer = append(points.Issuer, fmt.Sprintf("%s/ca/%d.crt", base, generation))
	}
	if !s.snap.CanSecrets { // no responder
		points.OCSP = nil
	}
	return points
}

// bases are the URLs at which the units of this application serve.
func (s *step) bases() []string {
	if s.settings.PublicURL != "" {
		return []string{strings.TrimSuffix(s.settings.PublicURL, "/")}
	}
	at, err := netip.ParseAddrPort(s.settings.Listen)
	switch {
	case err != nil || at.Addr().IsLoopback(): // nobody else reaches it
		return nil
	case !at.Addr().IsUnspecified():
		return []string{"http://" + at.String()}
	}
	var hosts []string
	if own := s.snap.Addresses[s.peers.Endpoint.Name].Ingress; len(own) > 0 {
		hosts = append(hosts, own[0])
	}
	for _, bag := range s.peers.RemoteUnits {
		if address := bag["ingress-address"]; address != "" {
			hosts = append(hosts, address)
		}
	}
	slices.Sort(hosts)
	var bases []string
	for _, host := range slices.Compact(hosts) {
		if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
			host = "[" + host + "]"
		}
		place := fmt.Sprintf("%s:%d", host, at.Port())
		bases = append(bases, "http://"+place)
	}
	return bases
}
