// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3/lint"
	_ "github.com/zmap/zlint/v3/lints/community" // registers its lints
	_ "github.com/zmap/zlint/v3/lints/rfc"       // registers its lints

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// tolerated reports whether a lint is passed over where the bytes are somebody else's. One wants a domain or an address
// as the host of each URI, but the trust domain of a SPIFFE ID is often neither ("spiffe://cluster/ns/a"). Another wants
// the mail address of a subject among the alternative names (RFC 5280, 4.1.2.6), where the tls_certificates libraries do
// not put it.
func tolerated(name string) bool {
	return name == "e_ext_san_uri_host_not_fqdn_or_ip" || name == "e_subj_email_not_in_san"
}

// linter judges certificates before they are signed for good. Safe for concurrent use.
type linter struct {
	random   io.Reader
	registry func() (lint.Registry, error)
	made     func() (lint.Registry, error) // for keys that were made here just now, and others that are surely not small
	small    smallKeys

	mu     sync.Mutex
	keys   map[cert.KeyType]crypto.Signer // throw-away keys
	signed map[cert.KeyType][]byte        // a signature of each
	shapes map[string]bool                // ways of another CA that were linted
	rests  map[rest][]*lint.CertificateLint
}

func newLinter(random io.Reader) *linter {
	return &linter{random: random, registry: sync.OnceValues(func() (lint.Registry, error) { return lints() }),
		made: sync.OnceValues(func() (lint.Registry, error) { return lints(smallKeyLint) }), keys: map[cert.KeyType]crypto.Signer{}, signed: map[cert.KeyType][]byte{}, shapes: map[string]bool{}, rests: map[rest][]*lint.CertificateLint{}}
}

// lints are zlint's for the RFCs and for common mistakes. Those of the browsers' forum are wrong for a private authority:
// they refuse private addresses and single-label names. One that looks for the keys of a public authority takes as
// long as all others together. Only the packages that hold them are imported, not zlint's own, which imports all: each
// start of the program, so each hook, would register the others.
func lints(without ...string) (lint.Registry, error) {
	return lint.GlobalRegistry().Filter(lint.FilterOptions{
		IncludeSources: lint.SourceList{
			lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC6962, lint.RFC8813, lint.Community,
		},
		ExcludeNames: append(without, "e_cert_issued_by_compromised_emudhra_ca"),
	})
}

// lint makes the certificate with a throw-away key in the issuer's place and gives it if nothing is wrong with it. A
// fault has the code "lint".
func (l *linter) lint(work issue, template *x509.Certificate) (*x509.Certificate, error) {
	issuer := cmp.Or(work.issuer, template)
	key, err := l.throwAway(issuer.PublicKey)
	if err != nil {
		return nil, err
	}
	standIn := *issuer
	standIn.PublicKey = key.Public()
	der, err := x509.CreateCertificate(l.random, template, &standIn, template.PublicKey, key)
	if err != nil {
		return nil, order.Fail("lint", "cannot build the certificate: %v", err)
	}
	return l.read(work, der)
}

// judge is lint of what is about to be signed, byte for byte. A signature of a throw-away key stands where the issuer's will.
func (l *linter) judge(work issue, issuer *x509.Certificate, tbs []byte) (*x509.Certificate, error) {
	signature, err := l.standIn(issuer.PublicKey)
	if err != nil {
		return nil, err
	}
	der, err := assemble(tbs, signature)
	if err != nil {
		return nil, order.Fail("lint", "cannot build the certificate: %v", err)
	}
	return l.read(work, der)
}

// read gives a certificate if nothing is wrong with it.
func (l *linter) read(work issue, der []byte) (*x509.Certificate, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, order.Fail("lint", "cannot read the certificate back: %v", err)
	}
	faults := ownFaults(work, certificate)
	found, err := l.zlint(der, work.foreign(), work.fresh || l.small.rulesOut(certificate.PublicKey))
	if err != nil {
		return nil, err
	}
	if faults = append(faults, found...); len(faults) > 0 {
		return nil, order.Fail("lint", "the certificate would be wrong: %s", strings.Join(faults, "; "))
	}
	return certificate, nil
}

// maxShapes bounds what is remembered: how long certificates last differs near the end of their CA.
const maxShapes = 1000

func (l *linter) knows(shape string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shapes[shape]
}

func (l *linter) learn(shape string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.shapes) < maxShapes {
		l.shapes[shape] = true
	}
}

// smallKeyLint computes whether a private key is one of the first 65,536, which takes a third of the time of all lints, and
// which those are not that were drawn here, nor those that smallKeys rules out.
const smallKeyLint = "e_ecdsa_small_private_key"

// zlint gives what zlint finds. Warnings count where every byte is ours; in a request they are the requester's business.
func (l *linter) zlint(der []byte, foreign, fresh bool) ([]string, error) {
	lints := l.registry
	if fresh {
		lints = l.made
	}
	registry, err := lints()
	if err != nil {
		return nil, fmt.Errorf("cannot load the lints: %w", err)
	}
	worst := lint.Warn
	if foreign {
		worst = lint.Error
	}
	var faults []string
	// It takes fingerprints in MD5 and SHA-1 of all that it reads, for lists of its own: names, which protect nothing.
	fips140.WithoutEnforcement(func() {
		var certificate *zx509.Certificate
		if certificate, err = zx509.ParseCertificate(der); err != nil {
			return
		}
		shape, usual := shapeOf(certificate.RawTBSCertificate)
		of := rest{shape, foreign, fresh}
		asked := l.left(of)
		if !usual || asked == nil {
			asked = registry.CertificateLints().Lints()
		}
		found := make([]lint.LintStatus, len(asked))
		for i, each := range asked {
			result := each.Execute(certificate, registry.GetConfiguration())
			if found[i] = result.Status; result.Status >= worst && !(foreign && tolerated(each.Name)) {
				faults = append(faults, strings.TrimSpace(each.Name+" "+result.Details))
			}
		}
		if usual && len(faults) == 0 {
			l.leave(of, asked, found)
		}
	})
	if err != nil {
		return nil, order.Fail("lint", "the certificate would be wrong: zlint cannot read it: %v", err)
	}
	slices.Sort(faults)
	return faults, nil
}

// throwAway gives a key of the same type as the issuer's that never signs anything for good.
func (l *linter) throwAway(issuer crypto.PublicKey) (crypto.Signer, error) {
	keyType, err := cert.KeyTypeOf(issuer)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if key, found := l.keys[keyType]; found {
		return key, nil
	}
	key, err := keyType.Generate(l.random)
	if err != nil {
		return nil, err
	}
	l.keys[keyType] = key
	return key, nil
}

// ownFaults compares the certificate as it would be read with what was ordered. It looks at the parsed bytes only, so
// that a mistake in the template cannot hide itself.
func ownFaults(work issue, c *x509.Certificate) []string {
	var faults []string
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	issuer, spec := work.issuer, work.spec
	if issuer == nil {
		issuer = c
	}
	expect(c.Version == 3, "the version is %d", c.Version)
	expect(c.SerialNumber.Sign() > 0 && len(c.SerialNumber.Bytes()) <= 20 && c.SerialNumber.BitLen() > 64,
		"the serial number is not positive, of more than 64 bits and at most 20 octets")
	expect(bytes.Equal(c.RawIssuer, issuer.RawSubject), "the issuer is not the authority's subject")
	expect(work.issuer == nil || !cert.SameName(c.RawSubject, c.RawIssuer), "the subject is the authority's own")
	expect(len(c.UnhandledCriticalExtensions) == 0, "it has an unknown critical extension")

	wantEnd := c.NotBefore.Add(spec.Life.Truncate(time.Second) - time.Second)
	if wantEnd.After(issuer.NotAfter) {
		wantEnd = issuer.NotAfter
	}
	expect(c.NotAfter.Equal(wantEnd), "it ends at %s, not at %s", c.NotAfter, wantEnd)
	expect(!c.NotBefore.Before(issuer.NotBefore), "it begins before the authority does")
	expect(!c.NotAfter.After(issuer.NotAfter), "it outlives the authority")

	keyID, _ := cert.KeyID(c.PublicKey)
	if work.other != nil { // others may have made it of the key in another way
		keyID = work.other.SubjectKeyId
	}
	expect(bytes.Equal(c.SubjectKeyId, keyID), "the subject key identifier is not the key's")
	expect(work.issuer == nil || len(c.AuthorityKeyId) > 0 && bytes.Equal(c.AuthorityKeyId, issuer.SubjectKeyId),
		"the authority key identifier is not the authority's")
	if work.foreign() {
		return append(faults, usageFaults(work, c)...)
	}
	return append(append(faults, usageFaults(work, c)...), nameFaults(spec, c)...)
}

// usageFaults says where usages and constraints do not fit the kind.
func usageFaults(work issue, c *x509.Certificate) []string {
	isCA := work.issuer == nil || work.spec.Kind == cert.Intermediate
	var usages []x509.ExtKeyUsage
	if !isCA && work.spec.Kind != cert.Client && work.spec.ServerAuth {
		usages = append(usages, x509.ExtKeyUsageServerAuth)
	}
	if !isCA && (work.spec.Kind == cert.Client || work.spec.ClientAuth) {
		usages = append(usages, x509.ExtKeyUsageClientAuth)
	}
	if work.spec.Kind == cert.Responder {
		usages = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	}
	keyUsage := x509.KeyUsageDigitalSignature
	switch _, isRSA := c.PublicKey.(*rsa.PublicKey); {
	case work.issuer == nil:
		keyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	case isCA:
		keyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	case isRSA && slices.Contains(usages, x509.ExtKeyUsageServerAuth):
		keyUsage |= x509.KeyUsageKeyEncipherment
	}
	var faults []string
	extended := slices.Sorted(slices.Values(c.ExtKeyUsage)) // their order means nothing
	if !slices.Equal(extended, usages) || len(c.UnknownExtKeyUsage) > 0 {
		faults = append(faults, fmt.Sprintf("the extended key usage is %s%s, not %s", extUsageNames(extended),
			strings.Repeat(" and others", min(1, len(c.UnknownExtKeyUsage))), extUsageNames(usages)))
	}
	said := c.KeyUsage
	if isCA && work.elsewhere { // a CA's own key may sign other things besides
		said &^= x509.KeyUsageDigitalSignature
	}
	if said != keyUsage {
		faults = append(faults, fmt.Sprintf("the key usage is %s, not %s", usageNames(c.KeyUsage), usageNames(keyUsage)))
	}
	// Without basic constraints a certificate is no CA's, either (RFC 5280, 4.2.1.9).
	if !c.BasicConstraintsValid && (isCA || !work.elsewhere) || c.IsCA != isCA {
		faults = append(faults, fmt.Sprintf("the basic constraints do not say CA:%t", isCA))
	}
	if isCA && (c.MaxPathLen != work.spec.PathLen || c.MaxPathLenZero != (work.spec.PathLen == 0)) {
		faults = append(faults, fmt.Sprintf("the path length is %d, not %d", c.MaxPathLen, work.spec.PathLen))
	}
	return append(faults, constraintFaults(work.spec.Constraints, c)...)
}

// constraintFaults says where the names for which a CA may issue are not those ordered.
func constraintFaults(wanted *cert.Constraints, c *x509.Certificate) []string {
	var domains, networks, noDomain, noNetwork []string
	if wanted != nil {
		domains, networks = wanted.Domains, wanted.Networks
		if len(domains) == 0 {
			noDomain = []string{""}
		}
		if len(networks) == 0 {
			noNetwork = []string{"0.0.0.0/0", "::/0"}
		}
	}
	texts := func(ranges []*net.IPNet) []string {
		var list []string
		for _, network := range ranges {
			list = append(list, network.String())
		}
		return list
	}
	if c.PermittedDNSDomainsCritical == (wanted != nil) && slices.Equal(c.PermittedDNSDomains, domains) &&
		slices.Equal(c.ExcludedDNSDomains, noDomain) && slices.Equal(texts(c.PermittedIPRanges), networks) &&
		slices.Equal(texts(c.ExcludedIPRanges), noNetwork) {
		return nil
	}
	return []string{"the name constraints are not those ordered"}
}

// nameFaults says where the names are not those ordered.
func nameFaults(spec cert.Spec, c *x509.Certificate) []string {
	var faults []string
	if c.Subject.CommonName != spec.CommonName || !slices.Equal(c.Subject.Organization, spec.Organizations) ||
		len(c.Subject.Names) != len(spec.Organizations)+min(1, len(spec.CommonName)) {
		faults = append(faults, fmt.Sprintf("the subject is %q", c.Subject))
	}
	names := cert.NamesOf(c)
	if !names.Equal(spec.Names.With(cert.Names{})) {
		faults = append(faults, fmt.Sprintf("the names are %q, not %q", names.List(), spec.Names.List()))
	}
	if spec.Kind != cert.Server && spec.Kind != cert.Application {
		return faults
	}
	// Clients that still look at the common name must not see a host that the names leave out (RFC 6125, 6.4.4).
	if asName, err := cert.ParseNames([]string{spec.CommonName}); err == nil && !names.With(asName).Equal(names) {
		faults = append(faults, fmt.Sprintf("the common name %q is not among the names", spec.CommonName))
	}
	return faults
}
