// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
)

// clockSlack is how far this machine's clock may run behind a provider's.
const clockSlack = 10 * time.Minute

// check decides whether an offered certificate may be installed. It reads as a checklist; the first thing wrong is
// the error. With the error comes the certificate when it is a proper answer whose time is over.
func (s *step) check(offer dialect.Offer, i item) (*x509.Certificate, error) {
	leaf, err := cert.Parse(offer.Issued.Certificate)
	if err != nil {
		return nil, err
	}
	switch {
	case offer.Revoked:
		return leaf, errors.New("it is revoked")
	case leaf.IsCA:
		return nil, errors.New("it is a CA certificate")
	case leaf.NotBefore.Sub(s.now) > clockSlack:
		s.wake(leaf.NotBefore)
		return nil, fmt.Errorf("it is not valid before %s: is this machine's clock right?", leaf.NotBefore.Format(time.DateTime))
	case s.now.After(leaf.NotAfter):
		return leaf, fmt.Errorf("it expired at %s", leaf.NotAfter.Format(time.DateTime))
	case offer.Dialect == dialect.Legacy && !cert.KeyMatches(offer.Issued.Key, leaf):
		return nil, errors.New("its private key is another certificate's")
	case offer.Dialect == dialect.CSR && !sameKey(i.want.Request, leaf):
		return nil, errors.New("its public key is not this unit's")
	}
	if missing := missingNames(leaf, i.want.Names); i.want.Kind == cert.Server && len(missing) > 0 {
		return nil, fmt.Errorf("it lacks the names %s", strings.Join(missing, ", "))
	}
	if err := s.checkChain(offer, leaf, i); err != nil {
		return nil, err
	}
	if i.alsoClient && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && len(leaf.ExtKeyUsage) > 0 {
		return nil, errors.New("it is good for servers only, but etcd's members are clients of each other with it")
	}
	return leaf, nil
}

// checkChain verifies the way from the certificate to what the provider says to trust (RFC 5280, 6).
func (s *step) checkChain(offer dialect.Offer, leaf *x509.Certificate, i item) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, text := range offer.Trust {
		roots.AppendCertsFromPEM([]byte(text))
	}
	for _, text := range offer.Issued.Issuers {
		intermediates.AppendCertsFromPEM([]byte(text))
	}
	usage := x509.ExtKeyUsageServerAuth
	if i.want.Kind == cert.Client {
		usage = x509.ExtKeyUsageClientAuth
	}
	at := s.now
	if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore // this machine's clock runs late: no reason to refuse
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return fmt.Errorf("it does not verify: %w", err)
	}
	return nil
}

// requests reports whether a standing signing request asks for just what an item wants, under a key of this type.
func requests(standing string, i item, keyType cert.KeyType) bool {
	request, err := cert.ParseRequest(standing)
	if err != nil {
		return false
	}
	names, err := cert.RequestNames(request)
	if err != nil {
		return false
	}
	_, clientAuth := cert.RequestedUsages(request)
	standingType, err := cert.KeyTypeOf(request.PublicKey)
	return err == nil && (i.want.Kind == cert.Client || clientAuth == i.alsoClient) && standingType == keyType && names.Equal(i.want.Names) &&
		request.Subject.CommonName == i.want.CommonName && slices.Equal(request.Subject.Organization, i.organizations)
}

func sameKey(request string, leaf *x509.Certificate) bool {
	parsed, err := cert.ParseRequest(request)
	return err == nil && cert.SameKey(parsed.PublicKey, leaf.PublicKey)
}

// missingNames gives the wanted names that a certificate lacks; more than wanted does no harm.
func missingNames(leaf *x509.Certificate, want cert.Names) []string {
	have := cert.NamesOf(leaf).List()
	var missing []string
	for _, name := range want.List() {
		if !slices.Contains(have, name) {
			missing = append(missing, name)
		}
	}
	return missing
}
