// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"fmt"
	"slices"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/order"
)

// spec says what the certificate for an ask shall say.
func (s *step) spec(ask dialect.Ask) (cert.Spec, error) {
	spec := cert.Spec{Kind: ask.Kind, CommonName: ask.CommonName, Names: ask.Names, Request: ask.Request, Life: s.settings.Life}
	if ask.Dialect == dialect.CSR {
		return s.specOfRequest(spec)
	}
	switch ask.Kind {
	case cert.Client:
		spec.ClientAuth = true
	case cert.Intermediate:
		spec.Life, spec.Names = s.settings.CALife/2, cert.Names{}
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

// specOfRequest takes from a request the usages it may have: those it asks for, else serverAuth. One that asks for
// clientAuth alone is a client certificate.
func (s *step) specOfRequest(spec cert.Spec) (cert.Spec, error) {
	request, err := cert.ParseRequest(spec.Request)
	if err != nil {
		return cert.Spec{}, err
	}
	spec.CommonName, spec.Names = "", cert.Names{}
	if spec.Kind == cert.Intermediate {
		spec.Life = s.settings.CALife / 2
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
		Ask:       string(ask.ID()),
		Spec:      spec,
		Replaces:  why.serial,
		Signer:    s.signer,
		NotBefore: s.notBefore(),
	}
	if ask.Dialect == dialect.Legacy {
		wanted.KeyType = s.settings.KeyType
		if why.kept == s.settings.KeyType {
			wanted.Key = why.key
		}
	}
	return wanted
}
