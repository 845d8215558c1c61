// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// Judge gives what the lints that stand before each signature find in a certificate that anybody made. With strict, warnings
// count as well, as they do where every byte is this program's.
func Judge(certificate *x509.Certificate, strict bool) ([]string, error) {
	found, err := newLinter(rand.Reader).zlint(certificate.Raw, !strict, false)
	return append(keyFaults(certificate.PublicKey), found...), err
}

// keyFaults says why a key would not be certified here, which the lints of the RFCs leave open.
func keyFaults(key crypto.PublicKey) []string {
	var faults []string
	for _, why := range []string{cert.KeyFault(key), cert.KnownWeakness(key)} {
		if why != "" {
			faults = append(faults, why)
		}
	}
	return faults
}

// JudgeRequest gives what would keep a request from being signed: its own faults, and what the lints find in the certificate
// that would be made of it. The certificate is made with throw-away keys, and is nobody's.
func JudgeRequest(text string, isCA bool, now time.Time) ([]string, error) {
	request, err := cert.ParseRequest(text)
	if err == nil {
		err = cert.CheckRequest(request)
	}
	if err == nil {
		_, err = cert.RequestNames(request)
	}
	if err != nil {
		return []string{err.Error()}, nil
	}
	if faults := keyFaults(request.PublicKey); len(faults) > 0 {
		return faults, nil
	}
	l := newLinter(rand.Reader)
	issuer, err := l.trialIssuer(now)
	if err != nil {
		return nil, err
	}
	const life = 90 * 24 * time.Hour
	spec := cert.Spec{Kind: cert.Server, Request: text, Life: life}
	if spec.ServerAuth, spec.ClientAuth = cert.RequestedUsages(request); spec.ClientAuth && !spec.ServerAuth {
		spec.Kind = cert.Client
	} else {
		spec.ServerAuth = true
	}
	if isCA {
		spec = cert.Spec{Kind: cert.Intermediate, Request: text, Life: life}
	}
	template, err := cert.Template(spec, issuer, nil, new(big.Int).Lsh(big.NewInt(1), 134), now)
	if err != nil {
		return []string{err.Error()}, nil
	}
	_, err = l.lint(issue{spec: spec, issuer: issuer}, template)
	if failure, ok := errors.AsType[*order.Failure](err); ok {
		return []string{failure.Message}, nil
	}
	return nil, err
}

// trialIssuer is a CA that signs nothing for good.
func (l *linter) trialIssuer(now time.Time) (*x509.Certificate, error) {
	key, err := cert.P256.Generate(l.random)
	if err != nil {
		return nil, err
	}
	id, err := cert.KeyID(key.Public())
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stand-in CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: -1, SubjectKeyId: id, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(l.random, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// ProfileFaults says where a certificate is otherwise than this program would make one for the same use. CA certificates are
// as their options say, and are not judged.
func ProfileFaults(c *x509.Certificate) []string {
	if c.IsCA {
		return nil
	}
	spec := cert.Spec{Kind: cert.Client}
	for _, usage := range c.ExtKeyUsage {
		spec.ServerAuth = spec.ServerAuth || usage == x509.ExtKeyUsageServerAuth
		spec.ClientAuth = spec.ClientAuth || usage == x509.ExtKeyUsageClientAuth
	}
	if spec.ServerAuth {
		spec.Kind = cert.Server
	}
	faults := usageFaults(issue{spec: spec, issuer: c}, c)
	if c.SerialNumber.BitLen() <= 64 {
		faults = append(faults, "the serial number has 64 bits or fewer")
	}
	if len(c.AuthorityKeyId) == 0 {
		faults = append(faults, "it does not say which key signed it (authority key identifier)")
	}
	return faults
}
